"""Files appear whole or not at all, and leave nothing beside them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sg_blender_addon.core import files
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.files import check_writable, move, replacing


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_the_old_content_stays_until_the_new_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.json"
    for text in ("one", "two"):
        with replacing(path) as temporary:
            assert temporary.parent == path.parent and temporary.suffix == ".json"
            before = path.read_text() if path.exists() else ""
            temporary.write_text(text)
            assert before == ("one" if text == "two" else "")
        assert path.read_text() == text
    assert names(path.parent) == ["a.json"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o044  # others may read it, as any file


@pytest.mark.parametrize("error", [Cancelled(), KeyboardInterrupt(), ValueError("bad")])
def test_what_ends_the_block_passes_and_the_old_file_stays(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert names(tmp_path) == ["a.txt"] and path.read_text() == "old"


def test_a_writer_may_put_its_own_file_in_the_place_or_take_it_away(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with replacing(path) as temporary:
        temporary.unlink()
        temporary.write_bytes(b"own")
    assert path.read_bytes() == b"own"
    with pytest.raises(UserError, match="could not be written"), replacing(path) as temporary:
        temporary.unlink()
    assert names(tmp_path) == ["a.bin"] and path.read_bytes() == b"own"


def test_a_disk_that_refuses_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "a.txt", tmp_path / "folder"):
        said = pytest.raises(UserError, match=r"^\S+ could not be written: .+\. Choose a folder")
        with said as caught, replacing(path) as temporary:
            temporary.write_text("x")
        assert caught.value.code == "cannot_write" and caught.value.hint
        with pytest.raises(UserError) as caught:
            check_writable(path)
        assert caught.value.code == "cannot_write"
    check_writable(tmp_path / "to" / "be" / "made.txt")
    assert names(tmp_path) == ["file", "folder"]


def test_long_names_find_room(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 120 + ".txt")
    with replacing(path) as temporary:
        temporary.write_text("x")
    assert names(tmp_path) == [path.name]


def opened_by_a_reader(monkeypatch: pytest.MonkeyPatch, refusals: int) -> list[float]:
    """As Windows: `os.replace` refuses so many times while somebody reads the target. Returns the waits."""
    waits: list[float] = []
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        if len(waits) < refusals:
            raise PermissionError(13, "Access is denied")
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", refuse)
    monkeypatch.setattr(files.time, "sleep", waits.append)
    return waits


def test_a_reader_that_has_the_file_open_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    waits = opened_by_a_reader(monkeypatch, refusals=2)
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new" and len(waits) == 2


def test_a_reader_that_never_closes_it_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    waits = opened_by_a_reader(monkeypatch, refusals=1000)
    with pytest.raises(UserError, match="could not be written: Access is denied"), replacing(path) as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["a.txt"] and path.read_text() == "old"
    assert sum(waits) < 1.0  # nobody waits long for somebody who stays


def test_folders_move_too(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").touch()
    move(tmp_path / "a", tmp_path / "b")
    assert names(tmp_path) == ["b"] and names(tmp_path / "b") == ["x"]
