"""Long recordings: memory does not grow with length beyond the result itself, progress and cancel work."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from tests.backend.conftest import ROOT, Serving, speechlike

# VmHWM is this program's own peak; getrusage's would hold that of the process which started it, the whole test session
MEASURE = """
import re, sys
from pathlib import Path
from backend.cli import main
code = main(sys.argv[1:])
print("PEAK", int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
sys.exit(code)
"""


def peak_memory(speech: Path, folder: Path, *options: str) -> float:
    """Peak resident memory (MB) of generating a recording's motion, as BVH and npz, in its own process."""
    outputs = [option for kind in ("bvh", "npz") for option in ("-o", str(folder / f"o.{kind}"))]
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, "generate", str(speech), *outputs, "--device", "cpu", *options],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return float(result.stdout.rsplit("PEAK", 1)[1])


def peak_of_rhythm(seconds: float, folder: Path, weights: Path) -> float:
    """Of `seconds` of speech without words, with tiny weights."""
    path = folder / f"{seconds:.0f}.wav"
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_U8") as file:
        block = speechlike(60.0, 8000)
        for _ in range(max(1, round(seconds / 60))):
            file.write(block[: round(min(seconds, 60.0) * 8000)])
    return peak_memory(path, folder, "--retriever", "off", "--weights", str(weights))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's own figure of a program's peak")
def test_memory_grows_only_by_the_result(tmp_path: Path, tiny_weights: Path) -> None:
    """A short proxy of the two hours: what each minute costs."""
    short, long = peak_of_rhythm(30.0, tmp_path, tiny_weights), peak_of_rhythm(150.0, tmp_path, tiny_weights)
    assert long - short < 60  # MB for two minutes: one block of features, then nothing
    assert long < 1200  # the number that the starter has to keep on a minute


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hours(tmp_path: Path, tiny_weights: Path) -> None:
    assert peak_of_rhythm(7200.0, tmp_path, tiny_weights) < 1200
    assert (tmp_path / "o.bvh").stat().st_size > 1e8


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_hour_with_words_and_gestures(tmp_path: Path) -> None:
    """The starter weights and library, a script, every stage."""
    data, rate = soundfile.read(ROOT / "demo" / "speech.flac", dtype="int16")
    times = round(3600 * rate / len(data))
    with soundfile.SoundFile(tmp_path / "hour.flac", "w", rate, 1, "PCM_16") as file:
        for _ in range(times):
            file.write(data)
    (tmp_path / "hour.txt").write_text((ROOT / "demo" / "speech.txt").read_text("utf-8") * times, "utf-8")
    assert peak_memory(tmp_path / "hour.flac", tmp_path, "--script", str(tmp_path / "hour.txt")) < 1200


@pytest.mark.slow
def test_two_hours_can_be_cancelled(server: Serving, tiny_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16") as file:
        for _ in range(120):
            file.write(0.05 * speechlike(60.0, 8000))
    digest = server.upload(path.read_bytes()[: 8 * 2**20])
    settings = {"weights": str(tiny_weights), "retriever": "off"}
    job = server.client.post("/v1/jobs", json={"audio": digest, "settings": settings}).json()
    time.sleep(5)
    status = server.client.get(f"/v1/jobs/{job['id']}").json()
    assert status["state"] == "running" and 0 < status["fraction"] < 1
    server.client.delete(f"/v1/jobs/{job['id']}")
    assert server.wait(job["id"], 30)["state"] == "cancelled"
