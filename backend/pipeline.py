"""The order of the stages: a recording becomes a performance.

Everything that is not the motion itself may fail without taking the motion along: without words or semantics the
character still talks with its body, and the report says what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.protocol import GenerateSettings
from sg_blender_addon.core.timeline import Segment, Word
from sg_blender_addon.core.wire import motion_arrays, pack

from .progress import Progress
from .resources import Resources
from .stages import align, blend, blend_codes, features, generate, place, retrieve, script, transcribe
from .stages.audio import FEATURE_RATE, SPEECH_RATE, Audio, load_audio

MIN_SECONDS = 0.05


@dataclass(frozen=True, eq=False)
class Performance:
    """What a job makes. rhythm and merged have the same frames; times are seconds from the start of the audio."""

    rhythm: Motion
    merged: Motion
    words: tuple[Word, ...]
    segments: tuple[Segment, ...]
    audio_info: dict[str, Any]
    timing: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def report(self) -> dict[str, Any]:
        """REPORT.json."""
        return {
            "audio": self.audio_info,
            "words": [w.to_json() for w in self.words],
            "segments": [s.to_json() for s in self.segments],
            "timing": {name: round(value, 4) for name, value in self.timing.items()},
            "warnings": list(self.warnings),
        }

    def wire(self) -> bytes:
        """The result of a job: report, frame rate, skeleton and both motions."""
        meta = {**self.report(), "fps": self.merged.fps, "skeleton": self.merged.skeleton.to_json()}
        return pack(meta, {**motion_arrays("rhythm", self.rhythm), **motion_arrays("merged", self.merged)})


class Watch:
    """Seconds per stage."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def total(self, stages: dict[str, float], audio_seconds: float) -> dict[str, float]:
        """The timing of REPORT.json: `stages`, and everything since this watch began."""
        total = time.perf_counter() - self._began
        return {**stages, "total_s": total, "real_time_factor": total / max(audio_seconds, 1e-3)}


def as_heard(audio: Audio, settings: GenerateSettings) -> Audio:
    """The part of the recording that the strip plays, at the speed it plays it."""
    if settings.audio_start is None and settings.audio_end is None and settings.speed == 1.0:
        return audio
    start = settings.audio_start or 0.0
    end = min(settings.audio_end if settings.audio_end is not None else audio.seconds, audio.seconds)
    if end - start < MIN_SECONDS:
        raise UserError(
            "The chosen part of the recording is empty.", "Check the strip's start and end.", "audio_range"
        )
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


def find_segments(
    words: Sequence[Word], audio: Audio, settings: GenerateSettings, resources: Resources, progress: Progress
) -> tuple[list[Segment], list[str]]:
    """Semantic gestures on the words, and the locked ones."""
    wanted = settings.retriever != "off" and bool(words)
    if not wanted and not settings.locked:
        return [], []
    library = resources.library(settings.library)
    warnings: list[str] = []
    choices: list[retrieve.Choice] = []
    if wanted:
        try:
            choices, warnings = retrieve.choose(
                words,
                library,
                method=settings.retriever,
                density=settings.density,
                seed=settings.seed,
                llm_url=settings.llm_url,
                llm_model=settings.llm_model,
                llm_key=settings.llm_key,
                progress=progress,
            )
        except UserError as error:
            warnings = [f"{error} The performance has no semantic gestures."]
    first = settings.range_start if settings.range_start is not None else -np.inf
    last = settings.range_end if settings.range_end is not None else np.inf
    choices = [c for c in choices if first <= words[c.word_index].start < last]
    segments, left_out = place.place(
        choices, words, library, audio.seconds, seed=settings.seed, locked=settings.locked
    )
    return segments, [*warnings, *left_out]


def load(source: str | Path | bytes, progress: Progress | None = None) -> Audio:
    """Read a recording. Raises UserError for anything that holds no usable sound."""
    return load_audio(source, progress)


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that can be known before the models run: made in this process or, by `batch`, in others."""

    audio: Audio
    words: tuple[Word, ...]
    columns: npt.NDArray[np.float32]  # (T, 437) raw features
    warnings: tuple[str, ...]
    timing: dict[str, float]


def prepare(
    source: str | Path | bytes | Audio, settings: GenerateSettings, resources: Resources, progress: Progress
) -> Prepared:
    """Recording, words and features. Raises UserError for unusable audio."""
    watch = Watch()
    with watch.stage("audio"):
        whole = source if isinstance(source, Audio) else load(source, progress.span(0.0, 0.1, "Reading the recording"))
        audio = as_heard(whole, settings)
    heard = (audio.sha256, settings.audio_start, settings.audio_end, settings.speed)
    with watch.stage("words"):
        wanted = settings.retriever != "off" or bool(settings.script.strip())
        script_of = (settings.script, settings.script_kind, settings.language)
        key = (*heard, *script_of, settings.engine, settings.whisper_model)
        part = progress.span(0.1, 0.75, "Finding the words")
        words, warnings = words_or_none(audio, key, settings, resources, part) if wanted else ((), ())
    with watch.stage("features"):
        part = progress.span(0.75, 1.0, "Listening to the rhythm")
        columns = resources.features.get(heard, lambda: features.extract(audio, part))
    return Prepared(audio, words, columns, (*audio.warnings, *warnings), watch.seconds)


def sampling_of(settings: GenerateSettings) -> generate.Sampling:
    return generate.Sampling(settings.seed, settings.temperature, settings.top_k, settings.top_p, settings.exact)


def finish(
    prepared: Prepared,
    tokens: npt.NDArray[np.int64],
    settings: GenerateSettings,
    resources: Resources,
    progress: Progress,
) -> tuple[Performance, Watch]:
    """Codes (2, 4, T) to the performance; the watch holds this part's stages."""
    watch = Watch()
    audio, weights = prepared.audio, resources.weights(settings.weights)
    with watch.stage("retrieve"):
        part = progress.span(0.0, 0.4, "Choosing gestures")
        segments, notes = find_segments(prepared.words, audio, settings, resources, part)
    with watch.stage("decode"):
        rhythm = generate.rhythm(
            weights,
            tokens,
            audio.seconds,
            features.activity(audio),
            intensity=settings.intensity,
            exact=settings.exact,
            progress=progress.span(0.4, 0.8, "Building the motion"),
        )
    with watch.stage("blend"):
        progress.stage("Blending gestures", 0.8)
        merged = rhythm
        if segments:
            library = resources.library(settings.library)
            segments = blend_codes.choose(weights, segments, library, settings.blend, resources.codes)
            decoded = blend_codes.decoded_motion(
                weights, tokens, segments, library, audio.seconds, resources.codes, exact=settings.exact
            )
            merged = blend.blend(rhythm, segments, library, decoded=decoded)
        rhythm, merged = rhythm.resample(settings.fps), merged.resample(settings.fps)
    info = {
        "seconds": round(audio.seconds, 4),
        "sha256": audio.sha256,
        "rate": audio.source_rate,
        "channels": audio.channels,
    }
    warnings = tuple(dict.fromkeys((*prepared.warnings, *notes)))
    return Performance(rhythm, merged, prepared.words, tuple(segments), info, {}, warnings), watch


def generate_performance(
    source: str | Path | bytes | Audio,
    settings: GenerateSettings,
    resources: Resources,
    progress: Progress | None = None,
) -> Performance:
    """Speech to a performance. Raises UserError for unusable audio, weights, library or settings, and Cancelled."""
    progress = progress or Progress()
    watch = Watch()
    with watch.stage("load"):
        weights = resources.weights(settings.weights)
    prepared = prepare(source, settings, resources, progress.span(0.0, 0.4))
    with watch.stage("generate"):
        part = progress.span(0.4, 0.85, "Generating motion")
        tokens = generate.codes(weights, prepared.columns, sampling_of(settings), part)
    performance, last = finish(prepared, tokens, settings, resources, progress.span(0.85, 1.0))
    progress.stage("Done", 1.0)
    stages = {**prepared.timing, **watch.seconds, **last.seconds}
    return replace(performance, timing=watch.total(stages, prepared.audio.seconds))
