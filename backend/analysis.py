"""What can be known of a recording before the models run: its sound, its words, its rhythm's features.

Imports no torch: `batch` runs this in a process for every core.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.models.audio_input import AudioInput
from backend.models.description import audio_input_of, folder_of, read_description
from backend.resources import Resources
from backend.speech import align, features, prosody, script, transcribe
from backend.speech.audio import FEATURE_RATE, SPEECH_RATE, Audio, load_audio
from backend.timing import Stopwatch
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.manner import Manner
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.protocol import GenerateSettings
from sg_blender_addon.core.timeline import Word

MIN_SECONDS = 0.05


def trimmed(audio: Audio, settings: GenerateSettings) -> Audio:
    """The part of the recording that the strip plays, at the speed it plays it."""
    if settings.audio_start is None and settings.audio_end is None and settings.speed == 1.0:
        return audio
    start = settings.audio_start or 0.0
    end = min(settings.audio_end if settings.audio_end is not None else audio.seconds, audio.seconds)
    if end - start < MIN_SECONDS:
        raise UserError("The chosen part of the recording is empty.", "Check the strip's start and end.", "audio_range")
    if settings.speed == 1.0:
        low = audio.low[round(start * FEATURE_RATE) : round(end * FEATURE_RATE)]
        speech = audio.speech[round(start * SPEECH_RATE) : round(end * SPEECH_RATE)]
        return replace(audio, low=low, speech=speech, seconds=end - start)
    played = Audio.from_samples(audio.clip(start, end), round(SPEECH_RATE * settings.speed), audio.warnings)
    return replace(played, sha256=audio.sha256, seconds=(end - start) / settings.speed)


def read_script(settings: GenerateSettings) -> script.Script:
    """The given script with its times moved to what is heard of the recording."""
    given = script.read_script(settings.script, settings.script_kind)
    start = settings.audio_start or 0.0
    if start == 0.0 and settings.speed == 1.0:
        return given

    def heard(seconds: float | None) -> float | None:
        return None if seconds is None else max(0.0, (seconds - start) / settings.speed)

    return replace(given, cues=tuple(replace(c, start=heard(c.start), end=heard(c.end)) for c in given.cues))


def find_words(
    audio: Audio, settings: GenerateSettings, progress: Progress
) -> tuple[tuple[Word, ...], tuple[str, ...]]:
    """Words with times, from the script where there is one, else by speech recognition; and warnings.

    Raises UserError where the recogniser is missing: `words_or_none` turns that into a warning.
    """

    def recognise(part: Progress) -> transcribe.Transcript:
        return transcribe.transcribe(audio, settings.engine, settings.whisper_model, settings.language, part)

    if settings.script.strip():
        given, later = read_script(settings), progress.span(0.5, 1.0)
        words, warnings = align.align(audio, given, lambda: recognise(later), settings.language, progress)
        return tuple(words), tuple(warnings)
    heard = recognise(progress.span(0.0, 0.8))
    words = align.refine(audio, heard, heard.language, progress.span(0.8, 1.0))
    return tuple(words), tuple(heard.warnings)


def words_or_none(
    audio: Audio, key: Hashable, settings: GenerateSettings, resources: Resources, progress: Progress
) -> tuple[tuple[Word, ...], tuple[str, ...]]:
    """`find_words`, remembered by `key`; a failure is a warning and is not remembered."""
    try:
        found: tuple[tuple[Word, ...], tuple[str, ...]] = resources.words.get(
            key, lambda: find_words(audio, settings, progress)
        )
    except UserError as error:
        return (), (f"{error} The motion follows the rhythm of the voice only.",)
    return found


def extract_features(
    audio: Audio, words: Sequence[Word], audio_input: AudioInput, progress: Progress | None = None
) -> npt.NDArray[np.float32]:
    """Raw features (T, n) of a recording, of the kind that generators hear."""
    if audio_input.features == "reference":
        return features.extract(audio, progress)
    return prosody.extract(audio, words, progress)


def _heard(
    audio: Audio, key: Hashable, words: Sequence[Word], weights: str, resources: Resources, progress: Progress
) -> npt.NDArray[np.float32]:
    """The features that these weights hear, remembered by `key` and what they hear of the words: their times."""
    wanted = audio_input_of(read_description(folder_of(weights))[0])
    times = () if wanted.features == "reference" else tuple((word.start, word.end) for word in words)
    rows: npt.NDArray[np.float32] = resources.features.get(
        (key, wanted.features, times), lambda: extract_features(audio, words, wanted, progress)
    )
    return rows


def load(source: str | Path | bytes, progress: Progress | None = None) -> Audio:
    """Read a recording. Raises UserError for anything that holds no usable sound."""
    return load_audio(source, progress)


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that can be known before the models run: made in this process or, by `batch`, in others."""

    audio: Audio
    words: tuple[Word, ...]
    features: npt.NDArray[np.float32]  # (T, n), raw, of the kind that the weights hear
    warnings: tuple[str, ...]
    timing: dict[str, float]
    manner: Manner  # the script's own where it names one, else the settings'


def prepare(
    source: str | Path | bytes | Audio, settings: GenerateSettings, resources: Resources, progress: Progress
) -> Prepared:
    """Recording, words and features. Raises UserError for unusable audio."""
    watch = Stopwatch()
    with watch.stage("audio"):
        whole = source if isinstance(source, Audio) else load(source, progress.span(0.0, 0.1, "Reading the recording"))
        audio = trimmed(whole, settings)
    heard = (audio.sha256, settings.audio_start, settings.audio_end, settings.speed)
    with watch.stage("words"):
        wanted = settings.retriever != "off" or bool(settings.script.strip())
        script_of = (settings.script, settings.script_kind, settings.language)
        key = (*heard, *script_of, settings.engine, settings.whisper_model)
        part = progress.span(0.1, 0.75, "Finding the words")
        words, warnings = words_or_none(audio, key, settings, resources, part) if wanted else ((), ())
    with watch.stage("features"):
        part = progress.span(0.75, 1.0, "Listening to the rhythm")
        rows = _heard(audio, heard, words, settings.weights, resources, part)
    manner = script.named_manner(settings.script)[0] or settings.manner
    return Prepared(audio, words, rows, (*audio.warnings, *warnings), watch.seconds, manner)
