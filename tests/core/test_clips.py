"""A performance as clips for one rig."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sg_blender_addon.core import clips
from sg_blender_addon.core.errors import UserError
from tests.core.motions import SEGMENTS, performance, segment
from tests.core.rig_models import Shape, make_rig

RIG = make_rig(Shape(arms_down=45))
FPS = 24.0


def test_the_rhythm_on_every_bone_and_the_gestures_on_what_they_change() -> None:
    rhythm, *gestures = clips.whole(performance(), RIG, FPS)
    assert rhythm.span is None
    assert {c.bone for c in rhythm.channels} == {RIG.names[i] for i in RIG.joints.values()}
    assert {len(c.values) for c in rhythm.channels} == {8 * 24 + 1}
    assert [clip.span.segment for clip in gestures if clip.span] == list(SEGMENTS)
    assert {c.bone for c in gestures[1].channels} >= {"RightForeArm", "RightHandMiddle2"}
    assert not {c.bone for c in gestures[1].channels if "Left" in c.bone or "Leg" in c.bone or "Hips" in c.bone}


def test_a_gesture_alone_is_the_same_as_among_all() -> None:
    among = clips.whole(performance(), RIG, FPS)[2]
    (alone,) = clips.of_segments(performance(), [SEGMENTS[1]], RIG, FPS)
    assert alone.span == among.span
    assert alone.keys == among.keys == sum(c.values.size for c in alone.channels)
    for a, b in zip(alone.channels, among.channels, strict=True):
        assert (a.bone, a.path) == (b.bone, b.path)
        assert np.allclose(a.values, b.values)


def test_what_cannot_be_used_is_refused() -> None:
    take = performance()
    with pytest.raises(UserError, match="does not lie within"):
        clips.of_segments(take, [segment("LATE", "x", 9, 20.0, 20.5, 21.0)], RIG, FPS)
    with pytest.raises(UserError, match="too short"):
        clips.whole(replace(take, rhythm=take.rhythm.slice(0, 1), merged=take.merged.slice(0, 1)), RIG, FPS)
    root = take.merged.root_positions.copy()
    root[5] = np.nan
    with pytest.raises(UserError, match="invalid numbers"):
        clips.whole(replace(take, merged=replace(take.merged, root_positions=root)), RIG, FPS)


def test_a_rig_is_the_same_only_if_motion_fits_both() -> None:
    again = make_rig(Shape(arms_down=45))
    assert RIG.same_as(again)
    assert not RIG.same_as(make_rig(Shape(arms_down=44)))
    assert not RIG.same_as(replace(again, rotation_modes=("XYZ",) * len(again.names)))
    assert not RIG.same_as(replace(again, names=("other", *again.names[1:])))
