"""Arrays in files behave like arrays in memory, and give their memory back."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest

from sg_blender_addon.core import storage, wire


@pytest.fixture
def in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "LARGE", 0)


@pytest.mark.usefixtures("in_files")
def test_an_array_in_a_file_is_an_array() -> None:
    array = storage.empty((50, 4))
    array[:] = np.arange(200, dtype=np.float32).reshape(50, 4)
    view = array[10:20, ::2]
    storage.release(view)  # what was written stays, seen through any view
    assert view[0].tolist() == [40.0, 42.0]
    again = storage.copy(view)
    array[:] = 0.0
    assert again.dtype == np.float32 and again[-1].tolist() == [76.0, 78.0]


def test_blocks_cover_the_length_once() -> None:
    parts = list(storage.blocks(10, size=4))
    assert [(p.start, p.stop) for p in parts] == [(0, 4), (4, 8), (8, 10)]
    assert not list(storage.blocks(0))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's own figure of a program's memory")
@pytest.mark.usefixtures("in_files")
def test_walking_along_a_large_array_takes_a_blocks_memory() -> None:
    def resident() -> float:
        return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]

    before = resident()
    array = storage.empty((64 * 2**20,), np.uint8)
    for part in storage.blocks(len(array), array, size=2**20):
        array[part] = 7
        assert resident() - before < 32
    assert all((array[part] == 7).all() for part in storage.blocks(len(array), array, size=2**20))


def test_a_full_disk_leaves_it_in_memory(monkeypatch: pytest.MonkeyPatch, in_files: None) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    array = storage.empty((5, 3))
    array[:] = 1.0
    assert array.sum() == 15.0


@pytest.mark.parametrize("large", [0, 2**20])
def test_growing(monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    monkeypatch.setattr(storage, "LARGE", large)
    values = storage.Growing(np.float16)
    for piece in np.arange(10, dtype=np.float32), np.zeros(0, np.float32), np.arange(3, dtype=np.float32):
        values.add(piece)
    result = values.finish(15)
    assert result.dtype == np.float16 and result.tolist() == [*range(10), 0, 1, 2, 0, 0]
    result[0] = 5  # an array like any other


def test_a_file_outlives_its_name() -> None:
    with tempfile.TemporaryFile() as file:
        wire.write(file, {"a": 1}, {"x": np.arange(300_000)})
        data = storage.mapped(file)
    meta, arrays = wire.unpack(b"".join(storage.pieces(data)))
    assert meta == {"a": 1} and np.array_equal(arrays["x"], np.arange(300_000))
    with tempfile.TemporaryFile() as file:
        assert len(storage.mapped(file)) == 0
