from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from backend.speech.audio import FEATURE_RATE, SPEECH_RATE, Audio, load_audio
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.progress import Progress

SPEECH = Path(__file__).parents[2] / "data" / "speech"


def tone(seconds: float, rate: int, hertz: float = 300.0, channels: int = 1) -> np.ndarray:
    t = np.arange(int(seconds * rate)) / rate
    return np.repeat(0.5 * np.sin(2 * np.pi * hertz * t)[:, None], channels, axis=1).astype(np.float32)


def wav(data: np.ndarray, rate: int, subtype: str = "PCM_16", kind: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, data, rate, subtype=subtype, format=kind)
    return buffer.getvalue()


def encoded(data: np.ndarray, rate: int, container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        layout = {1: "mono", 2: "stereo"}[data.shape[1]]
        stream: Any = out.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data.T), format="fltp", layout=layout)
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)
    return buffer.getvalue()


def peak_hertz(audio: Audio) -> float:
    spectrum = np.abs(np.fft.rfft(audio.samples))
    return float(spectrum.argmax() * SPEECH_RATE / len(audio.samples))


def test_golden_resampling_is_exact() -> None:
    audio = load_audio(SPEECH / "golden_8s_24k.wav")
    golden = np.load(SPEECH / "golden_audio.npz")["y3840"]
    assert audio.low.shape == golden.shape
    assert np.abs(audio.low - golden).max() < 1e-6
    assert audio.sha256 == hashlib.sha256((SPEECH / "golden_8s_24k.wav").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("rate", "channels", "subtype", "kind"),
    [
        (8000, 1, "PCM_U8", "WAV"),
        (192000, 2, "PCM_24", "WAV"),
        (48000, 6, "PCM_16", "WAV"),
        (44100, 2, "FLOAT", "WAV"),
        (11025, 1, "PCM_S8", "AIFF"),
        (44100, 2, "VORBIS", "OGG"),
        (44100, 1, "MPEG_LAYER_III", "MP3"),
        (16000, 1, "PCM_16", "FLAC"),
        (3840, 1, "PCM_16", "WAV"),
        (16000, 1, "ULAW", "WAV"),
    ],
)
def test_every_rate_depth_and_channel_count(rate: int, channels: int, subtype: str, kind: str) -> None:
    audio = load_audio(wav(tone(1.5, rate, channels=channels), rate, subtype, kind))
    assert audio.seconds == pytest.approx(1.5, abs=0.1)
    assert len(audio.low) == pytest.approx(audio.seconds * FEATURE_RATE, abs=2)
    assert len(audio.samples) == pytest.approx(audio.seconds * SPEECH_RATE, abs=2)
    assert peak_hertz(audio) == pytest.approx(300, abs=2)
    assert 0.3 < np.abs(audio.low).max() < 0.7


@pytest.mark.parametrize(
    ("container", "codec"), [("ipod", "aac"), ("mp4", "aac"), ("matroska", "aac"), ("mp3", "libmp3lame")]
)
def test_compressed_containers(container: str, codec: str) -> None:
    try:
        data = encoded(tone(2.0, 44100, channels=2), 44100, container, codec)
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"this PyAV cannot write {codec}: {error}")
    audio = load_audio(data)
    assert audio.seconds == pytest.approx(2.0, abs=0.15)
    assert audio.channels == 2
    assert peak_hertz(audio) == pytest.approx(300, abs=2)


def test_video_without_sound() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as out:
        stream: Any = out.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)
    with pytest.raises(UserError, match="no sound track"):
        load_audio(buffer.getvalue())


def test_blocks_equal_one_go() -> None:
    import soxr

    noise = np.random.default_rng(1).standard_normal((48000 * 11, 1)).astype(np.float32) * 0.1
    audio = load_audio(wav(noise, 48000, "FLOAT"))
    whole = soxr.resample(noise[:, 0], 48000, FEATURE_RATE, quality="HQ")
    assert np.abs(audio.low - whole[: len(audio.low)]).max() < 1e-5


def test_opposite_phase_does_not_vanish() -> None:
    data = tone(1.0, 44100, channels=2)
    data[:, 1] *= -1.0
    audio = load_audio(wav(data, 44100))
    assert np.abs(audio.low).max() > 0.3
    assert "opposite phase" in audio.warnings[0]


def test_unrelated_channels_are_averaged() -> None:
    data = 0.2 * np.random.default_rng(0).standard_normal((44100, 2)).astype(np.float32)
    audio = load_audio(wav(data, 44100, "FLOAT"))
    assert audio.warnings == ()


def test_broken_samples_become_silence() -> None:
    data = tone(1.0, 16000)
    data[100:200] = np.nan
    data[300] = np.inf
    audio = load_audio(wav(data, 16000, "FLOAT"))
    assert np.isfinite(audio.low).all() and np.isfinite(audio.samples).all()
    assert audio.warnings[0].startswith("101 broken samples")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "audio_empty"),
        (b"\x00" * 5000, "audio_unreadable"),
        (b"This is a letter, not a recording. " * 100, "audio_unreadable"),
        (b"RIFF\x24\x00\x00\x00WAVE", "audio_unreadable"),
        (wav(np.zeros((0, 1), np.float32), 16000), "audio_empty"),
        (wav(tone(0.01, 16000), 16000), "audio_too_short"),
        (wav(np.full((16000, 1), np.nan, np.float32), 16000, "FLOAT"), "audio_broken"),
    ],
)
def test_useless_files_say_so(data: bytes, code: str, tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(UserError) as caught:
            load_audio(source)
        assert caught.value.code == code
        assert caught.value.message and caught.value.hint


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(UserError) as caught:
            load_audio(path)
        assert caught.value.code == "audio_not_found"


def test_truncated_files_give_what_is_there() -> None:
    data = wav(tone(2.0, 16000), 16000)
    audio = load_audio(data[: len(data) // 2])
    assert audio.seconds == pytest.approx(1.0, abs=0.01)
    assert "ends earlier" in audio.warnings[0]


@pytest.mark.parametrize(("kind", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")])
def test_truncated_compressed_files(kind: str, subtype: str) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((48000 * 3, 1)).astype(np.float32)
    data = wav(noise, 48000, subtype, kind)
    try:
        audio = load_audio(data[: int(len(data) * 0.6)])
    except UserError as error:
        assert error.code in {"audio_unreadable", "audio_empty"}
    else:
        assert 0.5 < audio.seconds < 3.0


def test_random_bytes_never_crash() -> None:
    rng = np.random.default_rng(5)
    heads = (
        b"RIFF....WAVEfmt ",
        b"fLaC",
        b"OggS",
        b"ID3\x03",
        b"\x00\x00\x00\x20ftypM4A ",
        b"\x1aE\xdf\xa3",
        b"FORM....AIFF",
    )
    for head in heads:
        for size in (20, 3000):
            data = head + rng.integers(0, 256, size, dtype=np.uint8).tobytes()
            try:
                load_audio(data)
            except UserError as error:
                assert error.message


@pytest.mark.parametrize("seconds", [0.1, 1.0])
def test_short_recordings(seconds: float) -> None:
    audio = load_audio(wav(tone(seconds, 44100), 44100))
    assert audio.seconds == pytest.approx(seconds)
    assert len(audio.low) == round(seconds * FEATURE_RATE)


def test_progress_and_cancel(tmp_path: Path) -> None:
    data = wav(tone(30.0, 8000), 8000)
    seen: list[float] = []
    load_audio(data, Progress(lambda _, fraction: seen.append(fraction)))
    assert len(seen) >= 5 and seen == sorted(seen) and seen[-1] > 0.9
    stop = threading.Event()
    with pytest.raises(Cancelled):
        load_audio(data, Progress(lambda *_: stop.set(), stop))


def test_clip_and_from_samples() -> None:
    audio = Audio.from_samples(tone(3.0, 16000)[:, 0], 16000)
    assert len(audio.clip(1.0, 2.5)) == 24000
    assert audio.clip(2.9, 99.0).dtype == np.float32
    with pytest.raises(UserError):
        Audio.from_samples(np.zeros(0), 16000)
