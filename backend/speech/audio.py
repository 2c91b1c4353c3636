"""Read any recording into the two mono signals that the stages need, in blocks, whatever its length.

Features are computed at 3840 Hz (512 samples per token, 7.5 tokens a second), speech recognition and forced alignment
at 16 kHz. Both are resampled straight from the file's own rate while it is decoded: the recording never exists at its
original rate and channel count, and where the two signals are long they lie in files (see `core.storage`).
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
import soxr
from numpy.typing import NDArray

from sg_blender_addon.core.arrays import Floats32
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.storage import Growing, release

FEATURE_RATE = 3840
SPEECH_RATE = 16000
MAX_SECONDS = 4 * 3600.0
MIN_SECONDS = 0.02
MAX_CHANNELS = 64
BLOCK_SECONDS = 4.0
# A sample further out than this is not sound but a broken float file; 1.0 is full scale.
ABSURD = 1000.0
# The plain mean of the channels is kept (as in the reference) unless it loses 10 dB more than unrelated channels do.
CANCELLED = 0.1

FORMATS = "WAV, FLAC, OGG, AIFF, MP3, M4A, MP4 and MKV can be read"


@dataclass(frozen=True, eq=False)
class Audio:
    """A recording, mono, at the two rates in use.

    `low` (n,) float32 at 3840 Hz; `speech` (m,) float16 at 16 kHz: half precision keeps 66 dB below whatever the level
    is, so quiet recordings lose nothing, in half the memory. `sha256` is of the file's bytes.
    """

    low: Floats32
    speech: NDArray[np.float16]
    seconds: float
    sha256: str
    source_rate: int
    channels: int
    warnings: tuple[str, ...] = ()
    rate: ClassVar[int] = SPEECH_RATE

    @property
    def samples(self) -> Floats32:
        """The whole recording, (m,) float32 at `rate` (16 kHz). A fresh copy: for long files prefer `clip`."""
        return self.speech.astype(np.float32)

    def clip(self, start: float, end: float) -> Floats32:
        """The seconds `start`..`end` as float32 at 16 kHz."""
        first, last = (max(0, round(t * SPEECH_RATE)) for t in (start, end))
        samples = self.speech[first:last].astype(np.float32)
        release(self.speech)
        return samples

    @classmethod
    def from_samples(cls, samples: NDArray[Any], rate: int, warnings: tuple[str, ...] = ()) -> Audio:
        """An `Audio` from (n,) or (n, channels) samples at `rate`. Raises what such a file would raise."""
        data = np.asarray(samples, dtype=np.float32)
        data = data[:, None] if data.ndim == 1 else data
        source = _Source(rate, data.shape[1], lambda: iter([data]))
        return _build(source, hashlib.sha256(data.tobytes()).hexdigest(), None, list(warnings))


class _Source:
    """An opened recording: rate, channels, and a function that decodes it from the start in (n, channels) blocks."""

    def __init__(
        self, rate: int, channels: int, blocks: Callable[[], Iterator[Floats32]], seconds: float = 0.0
    ) -> None:
        self.rate, self.channels, self.blocks, self.seconds = rate, channels, blocks, seconds
        self.cut_short = False


def load_audio(source: str | Path | bytes, progress: Progress | None = None) -> Audio:
    """Decode a file (path) or its bytes. Raises `UserError` for anything that holds no usable sound."""
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise UserError(f"There is no file {path}.", "Check the path of the recording.", "audio_not_found")
    _refuse_empty(source)
    try:
        digest = _sha256(source)
        opened = _open(source)
        return _build(opened, digest, progress, [])
    except PermissionError as error:
        raise UserError(
            f"The file {source!s} may not be read.", "Check its permissions.", "audio_unreadable"
        ) from error
    except OSError as error:
        raise UserError(f"The recording could not be read: {error}.", "Check the disk.", "audio_unreadable") from error


def _refuse_empty(source: str | Path | bytes) -> None:
    size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    if size == 0:
        raise UserError("The recording is an empty file.", "Export or record it again.", "audio_empty")


def _sha256(source: str | Path | bytes) -> str:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with Path(source).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stream(source: str | Path | bytes) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


# ---------------------------------------------------------------------------------------------------------- decoding


def _open(source: str | Path | bytes) -> _Source:
    found = _open_sndfile(source) or _open_av(source)
    if found is None:
        raise UserError("This file holds no sound that can be read.", f"{FORMATS}.", "audio_unreadable")
    if not 500 <= found.rate <= 1_000_000 or not 1 <= found.channels <= MAX_CHANNELS:
        raise UserError(
            f"A recording with {found.channels} channels at {found.rate} Hz cannot be used.",
            "Export it as 48 kHz mono or stereo.",
            "audio_unsupported",
        )
    return found


def _open_sndfile(source: str | Path | bytes) -> _Source | None:
    import soundfile

    try:
        with _stream(source) as stream, soundfile.SoundFile(stream) as file:
            rate, channels, frames = int(file.samplerate), int(file.channels), int(file.frames)
    except (soundfile.LibsndfileError, TypeError, ValueError, RuntimeError):
        return None

    def blocks() -> Iterator[Floats32]:
        done = 0
        size = max(1024, int(BLOCK_SECONDS * rate))
        with _stream(source) as stream, soundfile.SoundFile(stream) as file:
            while True:
                try:
                    block = file.read(size, dtype="float32", always_2d=True)
                except (soundfile.LibsndfileError, RuntimeError):
                    found.cut_short = True
                    return
                if not len(block):
                    break
                done += len(block)
                yield block
        # Some containers do not know their length and say so with a huge number.
        found.cut_short = found.cut_short or (done < frames < (1 << 40) and frames - done > rate // 10)

    found = _Source(rate, channels, blocks, frames / max(rate, 1))
    with _stream(source) as stream:
        found.cut_short = _wav_is_cut(stream)
    return found


def _wav_is_cut(stream: IO[bytes]) -> bool:
    """True if a RIFF file promises more sound than it holds (libsndfile reads what is there without a word)."""
    if stream.read(4) != b"RIFF":
        return False
    size = stream.seek(0, io.SEEK_END)
    stream.seek(12)
    while len(head := stream.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            return length < 0xFFFFFF00 and stream.tell() + length > size + 1
        stream.seek(length + (length & 1), io.SEEK_CUR)
    return False


def _open_av(source: str | Path | bytes) -> _Source | None:
    import av

    @contextmanager
    def opened() -> Iterator[Any]:
        with _stream(source) as stream, av.open(stream, mode="r", metadata_errors="ignore") as container:
            yield container

    try:
        with opened() as container:
            if not container.streams.audio:
                raise UserError("This file has no sound track.", "Choose a file with speech in it.", "audio_no_track")
            track = container.streams.audio[0]
            rate, channels = int(track.rate or 0), int(track.channels or 0)
            seconds = float(container.duration or 0) / 1e6
    except (av.FFmpegError, ValueError, TypeError):
        return None

    def blocks() -> Iterator[Floats32]:
        try:
            with opened() as container:
                track = container.streams.audio[0]
                resampler = av.AudioResampler(format="fltp", layout=track.layout.name, rate=rate)
                for frame in container.decode(track):
                    yield from (out.to_ndarray().T.astype(np.float32) for out in resampler.resample(frame))
                yield from (out.to_ndarray().T.astype(np.float32) for out in resampler.resample(None))
        except (av.FFmpegError, ValueError):
            found.cut_short = True

    found = _Source(rate, channels, blocks, seconds)
    return found


# ------------------------------------------------------------------------------------------------- mixing, resampling


class _Resampled:
    """A mono signal at `rate` that grows while blocks at the source rate come in."""

    def __init__(self, source_rate: int, rate: int, dtype: type[np.floating[Any]]) -> None:
        self._stream = soxr.ResampleStream(source_rate, rate, 1, dtype="float32", quality="HQ")
        self._values = Growing(dtype)
        self._ratio = rate / source_rate

    def add(self, block: Floats32, last: bool = False) -> None:
        out = self._stream.resample_chunk(block, last=last)
        if self._values.dtype == np.float16:
            out = np.clip(out, -60000.0, 60000.0)
        self._values.add(out)

    def finish(self, source_samples: int) -> NDArray[Any]:
        """The signal, with exactly ceil(samples x ratio) values (what librosa gives)."""
        self.add(np.zeros(0, np.float32), last=True)
        return self._values.finish(int(np.ceil(source_samples * self._ratio)))


def _build(source: _Source, digest: str, progress: Progress | None, warnings: list[str]) -> Audio:
    weights = _mix_weights(source, warnings, progress)
    low = _Resampled(source.rate, FEATURE_RATE, np.float32)
    speech = _Resampled(source.rate, SPEECH_RATE, np.float16)
    count = broken = 0
    for block in source.blocks():
        clean, bad = _clean(block)
        mono = clean.mean(axis=1) if weights is None else clean @ weights
        low.add(mono)
        speech.add(mono)
        count += len(block)
        broken += bad
        _report(progress, source, count)
    seconds = count / source.rate
    _refuse_useless(seconds, broken, count)
    if broken:
        warnings.append(f"{broken} broken samples (not a number) in the recording were replaced by silence.")
    if source.cut_short:
        warnings.append("The recording ends earlier than its header says; what is there was used.")
    return Audio(
        low.finish(count), speech.finish(count), seconds, digest, source.rate, source.channels, tuple(warnings)
    )


def _clean(block: Floats32) -> tuple[Floats32, int]:
    """The block with broken samples silenced, and in how many of its rows there was one."""
    good = np.abs(block) < ABSURD
    if good.all():
        return block, 0
    return np.where(good, block, np.float32(0.0)), int((~good).any(axis=1).sum())


def _mix_weights(source: _Source, warnings: list[str], progress: Progress | None) -> Floats32 | None:
    """None for the plain mean of the channels; or a weight per channel where the mean would cancel the voice."""
    if source.channels == 1:
        return None
    energy = np.zeros(source.channels)
    mixed = 0.0
    for block in source.blocks():
        clean, _ = _clean(block)
        energy += np.square(clean, dtype=np.float64).sum(axis=0)
        mixed += float(np.square(clean.mean(axis=1), dtype=np.float64).sum())
        if progress is not None:
            progress.check()
    if mixed >= CANCELLED * energy.mean() / source.channels:
        return None
    loudest = int(energy.argmax())
    warnings.append(f"The channels cancel each other out (opposite phase); channel {loudest + 1} alone was used.")
    return np.eye(source.channels, dtype=np.float32)[loudest]


def _report(progress: Progress | None, source: _Source, count: int) -> None:
    if count / source.rate > MAX_SECONDS:
        raise UserError(
            f"The recording is longer than {MAX_SECONDS / 3600:.0f} hours.", "Cut it into parts.", "audio_too_long"
        )
    if progress is not None:
        progress.stage("audio", min(1.0, count / source.rate / source.seconds) if source.seconds > 0 else 0.0)


def _refuse_useless(seconds: float, broken: int, count: int) -> None:
    if count == 0:
        raise UserError("The recording holds no sound at all.", "Export or record it again.", "audio_empty")
    if seconds < MIN_SECONDS:
        raise UserError(
            f"The recording is only {seconds * 1000:.0f} ms long.", "Choose one with speech in it.", "audio_too_short"
        )
    if broken > count / 2:
        raise UserError(
            "More than half of the recording's samples are not numbers.",
            "Export it again as 16-bit PCM.",
            "audio_broken",
        )
