from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sg_blender_addon.client.connection import BackendChoice, Connection
from sg_blender_addon.client.editing import Rearrangement, catalogue, rearrange, splice
from sg_blender_addon.client.job import Control
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core import wire
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from sg_blender_addon.core.timeline import Segment

THUMB = Segment("0001", "THUMB UP", 1, "good.", 3, 1.0, 1.25, 2.0, 0.9)


@pytest.fixture
def take(tmp_path: Path) -> Path:
    """A kept take of three seconds at rest."""
    rest = Motion.rest(canonical(), 91, 30.0)
    path = tmp_path / "take.npz"
    meta = {"fps": rest.fps, "skeleton": rest.skeleton.to_json()}
    path.write_bytes(wire.pack(meta, wire.motion_arrays("rhythm", rest)))
    return path


def wander(seed: int, frames: int = 91) -> Motion:
    rng = np.random.default_rng(seed)
    skeleton = canonical()
    rotations = rot.from_rotation_vector(np.cumsum(rng.normal(0, 0.01, (frames, len(skeleton), 3)), axis=0))
    root = skeleton.offsets[0] + np.cumsum(rng.normal(0, 0.2, (frames, 3)), axis=0)
    return Motion(30.0, skeleton, root, rotations)


def test_a_swapped_gesture_keeps_its_stroke_and_takes_its_own_times(
    connection: Connection, choice: BackendChoice, take: Path
) -> None:
    swapped = Segment("0002", "?", 1, "good.", 3, 0.0, 1.25, 0.0, 1.0, locked=True)
    done = rearrange(connection, Rearrangement(choice, take, (), (swapped,), natural=True), Control())
    placed = done.placed[0]
    assert (placed.label, placed.stroke) == ("HAND RING", 1.25)
    assert (placed.start, placed.end) == pytest.approx((1.0, 2.2))
    assert done.take.segments == done.placed
    turned = rot.angle(rot.mul(rot.inverse(done.take.rhythm.rotations), done.take.merged.rotations)).max(axis=1)
    assert turned[round(1.25 * 30)] > 0.9
    assert turned[0] < 1e-5


def test_times_are_cut_to_the_take(connection: Connection, choice: BackendChoice, take: Path) -> None:
    early = Segment("0001", "THUMB UP", 2, "hi", 0, 0.0, 0.1, 0.0, 1.0)
    late = Segment("0001", "THUMB UP", 2, "so", 9, 0.0, 2.9, 0.0, 1.0)
    done = rearrange(connection, Rearrangement(choice, take, (), (early, late), natural=True), Control())
    assert [(s.start, s.end) for s in done.placed] == [
        (0.0, pytest.approx(0.85)),
        (pytest.approx(2.65), pytest.approx(3.0)),
    ]


@pytest.mark.parametrize(("weights", "measured"), [("starter", "motion"), ("odd", "codes")])
def test_how_a_gesture_is_blended_is_measured_with_the_weights(
    connection: Connection, choice: BackendChoice, take: Path, weights: str, measured: str
) -> None:
    later = replace(THUMB, start=1.9, stroke=2.2, end=2.9, blend="codes")
    first, second = (replace(THUMB, start=s, stroke=s + 0.2, end=s + 0.5, blend="auto") for s in (1.2, 0.2))
    asked = Rearrangement(choice, take, (later,), (first, second), natural=False, weights=weights)
    done = rearrange(connection, asked, Control())
    assert done.placed == (replace(first, blend=measured), replace(second, blend=measured))
    assert set(done.take.segments) == {later, *done.placed}


def test_an_unknown_gesture(connection: Connection, choice: BackendChoice, take: Path) -> None:
    unknown = Segment("0999", "?", 1, "good.", 3, 0.0, 1.25, 0.0, 1.0)
    with pytest.raises(UserError, match="no variant 1 of gesture 0999"):
        rearrange(connection, Rearrangement(choice, take, (), (unknown,), natural=True), Control())


def test_a_take_that_is_not_here(connection: Connection, choice: BackendChoice, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not on this machine") as caught:
        rearrange(connection, Rearrangement(choice, tmp_path / "gone.npz", (), (THUMB,), natural=False), Control())
    assert caught.value.code == "take_missing"


def test_a_take_that_is_damaged(connection: Connection, choice: BackendChoice, take: Path) -> None:
    take.write_bytes(take.read_bytes()[:1000])
    with pytest.raises(UserError, match="damaged"):
        rearrange(connection, Rearrangement(choice, take, (), (THUMB,), natural=False), Control())


def test_the_catalogue(connection: Connection, choice: BackendChoice) -> None:
    api = connection.open(choice)
    found = {gesture.id: gesture for gesture in catalogue(api)}
    assert found["0001"].label == "THUMB UP"
    assert [variant.number for variant in found["0001"].variants] == [1, 2]
    api.close()


def test_a_splice_is_the_old_motion_outside_and_the_new_inside() -> None:
    old, new = wander(1), wander(2)
    joined = splice(old, new, 1.0, 2.0, fade=0.2)
    outside = [*range(31), *range(60, 91)]
    np.testing.assert_allclose(joined.root_positions[outside], old.root_positions[outside], atol=1e-9)
    assert rot.angle(rot.mul(rot.inverse(joined.rotations[outside]), old.rotations[outside])).max() < 1e-6
    inside = slice(37, 54)
    assert rot.angle(rot.mul(rot.inverse(joined.rotations[inside]), new.rotations[inside])).max() < 1e-6


def test_a_splice_does_not_jump() -> None:
    old, new = wander(1), wander(2)
    joined = splice(old, new, 1.0, 2.0)
    step = np.abs(np.diff(joined.root_positions, axis=0)).max()
    assert step < 2.5 * max(np.abs(np.diff(m.root_positions, axis=0)).max() for m in (old, new))


@pytest.mark.parametrize(("start", "end"), [(0.0, 3.0), (0.0, 0.1), (2.9, 3.0), (-1.0, 9.0)])
def test_a_splice_at_the_ends_stays_finite(start: float, end: float) -> None:
    joined = splice(wander(1), wander(2), start, end)
    assert np.isfinite(joined.rotations).all()
    np.testing.assert_allclose(np.linalg.norm(joined.rotations, axis=-1), 1.0, atol=1e-6)
