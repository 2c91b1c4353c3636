"""Hours of recording: time and memory stay within bounds. Each runs in a process of its own, to measure its peak."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from backend.speech.audio import load_audio
from sg_blender_addon.core.errors import Cancelled
from sg_blender_addon.core.progress import Progress

ROOT = Path(__file__).parents[3]
SPEECH = ROOT / "tests" / "data" / "speech"

MEASURE = """
import json, resource, sys, time
from sg_blender_addon.core.progress import Progress
from backend.speech.audio import load_audio
from backend.speech.features import extract
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
steps = []
progress = Progress(lambda name, fraction: steps.append((name, fraction)))
began = time.time()
audio = load_audio(sys.argv[1], progress)
read, loaded = peak(), time.time() - began
rows = 0
if sys.argv[2] == "features":
    rows = len(extract(audio, progress.span(0.0, 1.0)))
print(json.dumps({"seconds": audio.seconds, "read_mb": read, "peak_mb": peak(), "rows": rows,
                  "reports": len(steps), "load_s": loaded, "all_s": time.time() - began}))
"""


def hours(path: Path, count: float) -> Path:
    """A stereo recording of that many hours, the same speech again and again."""
    data, rate = soundfile.read(SPEECH / "numbers.flac", dtype="float32")
    minute = np.resize(data, 60 * rate)
    with soundfile.SoundFile(path, "w", rate, 2, "PCM_16") as file:
        for _ in range(round(count * 60)):
            file.write(np.stack([minute, 0.7 * minute], axis=1))
    return path


def measured(path: Path, what: str) -> dict[str, float]:
    command = [sys.executable, "-c", MEASURE, str(path), what]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, env=dict(os.environ))
    print(done.stdout)
    return dict(json.loads(done.stdout))


@pytest.mark.slow
def test_two_hours_are_read_in_bounded_memory(tmp_path: Path) -> None:
    found = measured(hours(tmp_path / "two.flac", 2.0), "read")
    assert found["seconds"] == 7200 and found["reports"] > 1000
    # The two signals take 341 MB; the file at its own rate, as floats, would take 921 MB.
    assert found["peak_mb"] < 700


@pytest.mark.slow
def test_an_hours_features_in_bounded_memory(tmp_path: Path) -> None:
    found = measured(hours(tmp_path / "one.flac", 1.0), "features")
    assert found["rows"] == 27001
    assert found["peak_mb"] < 1200


def test_cancel_in_a_long_recording(tmp_path: Path) -> None:
    path = hours(tmp_path / "tenth.flac", 0.1)
    stop = threading.Event()
    reports: list[float] = []

    def listen(_: str, fraction: float) -> None:
        reports.append(fraction)
        if fraction > 0.2:
            stop.set()

    with pytest.raises(Cancelled):
        load_audio(path, Progress(listen, stop))
    assert max(reports) < 0.3
