"""Batch: tables, resume, failures that do not spread."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from backend import batch
from backend.batch import key_of, read_manifest
from backend.cli import main
from sg_blender_addon.core.bvh import read_bvh
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.manner import PRESETS, Manner
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.protocol import GenerateSettings
from SG_dataset.open import open_library
from tests.backend.conftest import ROOT, speechlike


def table(folder: Path, text: str) -> Path:
    path = folder / "lines.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    for i, seconds in enumerate((1.0, 2.0, 1.5)):
        soundfile.write(tmp_path / f"{i}.wav", speechlike(seconds, seed=i), 16000)
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    return table(tmp_path, "speech,name,seed\n0.wav,hello,1\nbad.wav,broken,1\n1.wav,,2\n2.wav,hello,3\n")


def states(folder: Path) -> dict[str, str]:
    with (folder / "batch.csv").open(encoding="utf-8") as file:
        return {row["name"]: row["state"] for row in csv.DictReader(file)}


@pytest.mark.parametrize(("most", "passes"), [(10_000, [2]), (1, [1, 1])])
def test_long_lines_are_not_collected(
    tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, most: int, passes: list[int]
) -> None:
    """Eight recordings of an hour side by side would not fit into memory."""
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", speechlike(1.0), 16000)
    settings = GenerateSettings(weights=str(tiny_weights), retriever="off")
    lines = read_manifest(table(tmp_path, "speech\na.wav\nb.wav\n"), settings)
    run = batch.Batch(lines, tmp_path / "out", ["bvh"], "cpu", 1, Progress())
    together: list[int] = []
    codes = run._codes
    monkeypatch.setattr(run, "_codes", lambda same, progress: together.append(len(same)) or codes(same, progress))
    monkeypatch.setattr(batch, "MOST_ROWS", most)
    assert [o.state for o in run.run()] == ["done", "done"]
    assert together == passes


def test_a_table_with_a_failing_line(
    lines: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["batch", str(lines), "-o", str(out), "--retriever", "off", "--weights", str(tiny_weights)]
    assert main(command) == 1  # one line failed, the others are there
    assert states(out) == {"hello": "done", "broken": "failed", "1": "done", "hello-2": "done"}
    assert [len(read_bvh(out / f"{n}.bvh")) for n in ("hello", "1", "hello-2")] == [60, 120, 90]
    assert json.loads((out / "1.json").read_text())["audio"]["seconds"] == 2.0
    printed = capsys.readouterr().out
    assert "3 done, 1 failed" in printed and "no sound" in printed
    assert not list(out.glob(".*")) and not list(out.glob("broken*"))

    before = (out / "1.bvh").stat().st_mtime_ns
    soundfile.write(tmp_path / "bad.wav", speechlike(1.0), 16000)
    (out / "hello.bvh").unlink()
    command += ["--workers", "1"]
    assert main(command) == 0  # what is there is kept, what failed or is gone is made
    assert states(out) == {"hello": "done", "broken": "done", "1": "kept", "hello-2": "kept"}
    assert (out / "1.bvh").stat().st_mtime_ns == before
    assert main([*command, "--seed", "9"]) == 0  # lines name their seeds: nothing changes
    assert set(states(out).values()) == {"kept"}
    assert main([*command, "--intensity", "0.5"]) == 0  # other settings, other results
    assert set(states(out).values()) == {"done"}


def test_same_as_generate(lines: Path, tiny_weights: Path, tmp_path: Path) -> None:
    """Clips side by side come out as each would alone."""
    out = tmp_path / "out"
    options = ["--retriever", "off", "--weights", str(tiny_weights)]
    main(["batch", str(lines), "-o", str(out), *options, "--workers", "1"])
    main(["generate", str(tmp_path / "1.wav"), "-o", str(tmp_path / "alone.bvh"), "--seed", "2", *options])
    a, b = read_bvh(out / "1.bvh"), read_bvh(tmp_path / "alone.bvh")
    assert abs(a.rotations - b.rotations).max() < 1e-3


def test_interrupted_and_resumed(tiny_weights: Path, tmp_path: Path) -> None:
    for i in range(8):
        soundfile.write(tmp_path / f"{i}.wav", speechlike(6.0, 8000, seed=i), 8000)
    path = table(tmp_path, "speech\n" + "".join(f"{i}.wav\n" for i in range(8)))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "backend", "batch", str(path), "-o", str(out), "--retriever", "off",
               "--weights", str(tiny_weights), "--workers", "1"]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (out / batch.STATE).exists():  # a line is done
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err, err
    done = {name for name, state in states(out).items() if state == "done"}
    assert 0 < len(done) <= 8 and "left" in printed
    assert {p.stem for p in out.glob("*.bvh")} == done and not list(out.glob(".*"))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "no column 'speech'"),
        ("name,script\na,b\n", "no column 'speech'"),
        ("speech,colour\na.wav,red\n", "colour"),
        ("speech\n", "0 lines"),
        ("speech,seed\na.wav,many\n", "Line 2"),
        ("speech,name\na.wav,../../etc/passwd\n", "plain file name"),
        ("speech,density\na.wav,7\n", "density"),
        ("speech,manner\na.wav,wild\n", "'wild' is not a preset"),
        ("speech,manner\na.wav,calm,width=1.2\n", "Line 2 of the table has more cells"),
    ],
)
def test_unusable_tables(tmp_path: Path, text: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(tmp_path, text)
    assert main(["batch", str(path), "-o", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert part in err and "hint:" in err and not (tmp_path / "out").exists()


def test_tables_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    path.write_bytes("\ufeffSpeech;Script;Density\r\na.wav;a.txt;0.2\r\n;;\r\n".encode())
    (line,) = read_manifest(path, GenerateSettings(density=0.9))
    assert line.name == "a" and line.script == tmp_path / "a.txt" and line.settings.density == 0.2
    with pytest.raises(UserError, match="could not be read"):
        read_manifest(tmp_path / "none.csv", GenerateSettings())


def test_each_line_has_its_manner(tmp_path: Path) -> None:
    path = table(tmp_path, 'speech,manner\na.wav,calm\nb.wav,"calm,width=1.2"\nc.wav,\nd.wav,ordinary\n')
    lively = GenerateSettings(manner=PRESETS["lively"])
    lines = read_manifest(path, lively)
    assert [line.settings.manner for line in lines] == [
        PRESETS["calm"], replace(PRESETS["calm"], width=1.2), PRESETS["lively"], Manner(),
    ]  # fmt: skip
    same = replace(lines[0], settings=lively)
    assert key_of(lines[0], "w", "l") != key_of(same, "w", "l"), "another manner makes another result"


def test_names_are_made_unique(tmp_path: Path) -> None:
    path = table(tmp_path, "speech,name\na.wav,x\nb.wav,x\nc.wav,x-2\nd/a.wav,\ne/a.wav,\n")
    assert [line.name for line in read_manifest(path, GenerateSettings())] == ["x", "x-3", "x-2", "a", "a-2"]
    assert os.sep not in "".join(line.name for line in read_manifest(path, GenerateSettings()))


def test_another_library_content_is_another_line(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    (line,) = read_manifest(table(tmp_path, "speech\na.wav\n"), GenerateSettings())
    assert batch.key_of(line, "weights", "one") == batch.key_of(line, "weights", "one")
    assert batch.key_of(line, "weights", "one") != batch.key_of(line, "weights", "two")
    run = batch.Batch([line], tmp_path, ["bvh"], "cpu", 1000, Progress())
    assert run._library("starter") == open_library("starter").content_hash
    assert run._library(str(tmp_path)) == ""
    assert run.workers == batch.MOST_WORKERS
