from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sg_blender_addon.client.connection import BackendChoice, Connection
from sg_blender_addon.client.editing import GestureInfo
from sg_blender_addon.client.job import Control
from sg_blender_addon.client.previews import PNG, PreviewRequest, preview_file, refresh
from sg_blender_addon.core.errors import Cancelled, UserError


def asked(connection: Connection, request: PreviewRequest) -> dict[str, GestureInfo]:
    """Bring the folder up to date; the gestures that the backend listed, by id."""
    listed: list[GestureInfo] = []
    refresh(connection, request, listed.extend, Control())
    return {gesture.id: gesture for gesture in listed}


@pytest.fixture
def request_(choice: BackendChoice, tmp_path: Path) -> PreviewRequest:
    (tmp_path / "previews").mkdir()
    return PreviewRequest(choice, "starter", tmp_path / "previews")


def test_every_preview_that_there_is_is_fetched_and_the_texts_with_it(
    connection: Connection, request_: PreviewRequest
) -> None:
    gestures = asked(connection, request_)
    ring = preview_file(request_.folder, gestures["0002"])
    assert list(request_.folder.iterdir()) == [ring]
    assert ring is not None and ring.read_bytes().startswith(PNG)
    assert gestures["0001"].meanings == ("good", "well done")
    assert gestures["0001"].words == ("Good", "good")
    assert gestures["0002"].examples == ("That is good enough.",)


def test_what_is_here_is_not_asked_for_again(connection: Connection, request_: PreviewRequest) -> None:
    ring = preview_file(request_.folder, asked(connection, request_)["0002"])
    assert ring is not None
    ring.write_bytes(b"kept")
    asked(connection, request_)
    assert ring.read_bytes() == b"kept"


def test_another_preview_has_another_file(tmp_path: Path) -> None:
    ring = GestureInfo("0002", "HAND RING", "", (), preview="ring1")
    files = {preview_file(tmp_path, g) for g in (ring, replace(ring, preview="ring2"), replace(ring, id="../0002"))}
    assert len(files) == 3
    assert all(file is not None and file.parent == tmp_path for file in files)
    assert preview_file(tmp_path, replace(ring, preview="")) is None


def test_without_a_backend_what_is_here_stays(request_: PreviewRequest) -> None:
    (request_.folder / "old.png").write_bytes(PNG)

    def forget(_: Sequence[GestureInfo]) -> None:
        raise AssertionError("nothing was listed")

    gone = replace(request_, backend=BackendChoice(url="http://127.0.0.1:9"))
    with pytest.raises(UserError, match="cannot be reached"):
        refresh(Connection(), gone, forget, Control())
    assert [path.name for path in request_.folder.iterdir()] == ["old.png"]


def test_it_stops_when_nobody_waits(connection: Connection, request_: PreviewRequest) -> None:
    control = Control()
    with pytest.raises(Cancelled):
        refresh(connection, request_, lambda _: control.cancelled.set(), control)
    assert not list(request_.folder.iterdir())
