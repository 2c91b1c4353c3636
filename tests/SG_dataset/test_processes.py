"""Workers begin as asked, and none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from SG_dataset.processes import MOST_WORKERS, process_pool

ROOT = Path(__file__).resolve().parents[2]
PARENT = """
import os, sys, time
from SG_dataset.processes import process_pool

def work(folder):
    open(os.path.join(folder, str(os.getpid())), "w").close()
    while True:
        sum(range(1000))  # never waits for anybody

if __name__ == "__main__":
    pool = process_pool(2)
    for _ in range(2):
        pool.submit(work, sys.argv[1])
    time.sleep(600)
"""


def alive(pid: int) -> bool:
    """Whether a process still runs; a zombie that nobody has collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script, busy = tmp_path / "parent.py", tmp_path / "busy"
    script.write_text(PARENT)
    busy.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, str(script), str(busy)], env=environment)
    try:
        while parent.poll() is None and len(list(busy.iterdir())) < 2:
            time.sleep(0.05)
        workers = [int(p.name) for p in busy.iterdir()]
        assert len(workers) == 2 and all(map(alive, workers))
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 20.0  # they end within a second; a machine that is busy is given time
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in workers if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def mark() -> None:
    os.environ["MARKED"] = "yes"


def marked() -> tuple[str | None, bool]:
    return os.environ.get("MARKED"), signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_workers_begin_as_asked_and_leave_ctrl_c_to_the_parent() -> None:
    with process_pool(1, mark) as pool:
        assert pool.submit(marked).result() == ("yes", True)
    with process_pool(1) as pool:
        assert pool.submit(marked).result() == (None, True)
    assert process_pool(1000)._max_workers == MOST_WORKERS  # none is started before there is work
