"""Blending: exact hands in the hold, smooth ways in and out, the rest of the body left to the rhythm."""

from __future__ import annotations

import numpy as np
import pytest

from backend.gestures.phases import Placement
from backend.gestures.place import place
from backend.motion.blend import blend, touches_face
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.timeline import Segment
from tests.backend.toys import arms_down, choice, raised, small_library, swaying, words

LIBRARY = small_library()


def joint_speed(motion: Motion) -> np.ndarray:
    """Angular speed (F-1, J), rad/s."""
    return rot.angle(rot.mul(rot.inverse(motion.rotations[:-1]), motion.rotations[1:])) * motion.fps


def difference(a: Motion, b: Motion) -> np.ndarray:
    return rot.angle(rot.mul(rot.inverse(a.rotations), b.rotations))


def one(gesture: str = "0031", stroke: float = 3.0) -> list[Segment]:
    return place([choice(0, gesture)], words(stroke), LIBRARY, 8.0)[0]


@pytest.mark.parametrize("fps", [60.0, 24.0])
def test_gesturing_arm_is_exact_from_stroke_to_end_of_hold(fps: float) -> None:
    rhythm = swaying(8.0, fps)
    (segment,) = one()
    merged = blend(rhythm, [segment], LIBRARY)
    variant = LIBRARY.gestures["0031"].variants[segment.variant - 1]
    placed = Placement.of(variant.phases, variant.seconds, segment.start, segment.stroke, segment.end)
    times = np.arange(len(rhythm)) / fps
    hold = np.flatnonzero((times >= placed.stroke_start) & (times <= placed.retraction))
    clip = variant.motion().at(placed.source_times(times[hold]))
    names = enumerate(rhythm.skeleton.names)
    arm = [i for i, n in names if n.startswith("Right") and "Leg" not in n and "Foot" not in n]
    error = rot.angle(rot.mul(rot.inverse(clip.rotations[:, arm]), merged.rotations[hold][:, arm]))
    assert len(hold) > 5 and error.max() < 1e-6


def test_the_rest_of_the_body_stays_with_the_rhythm() -> None:
    rhythm = swaying(8.0)
    (segment,) = one()
    merged = blend(rhythm, [segment], LIBRARY)
    changed = {rhythm.skeleton.names[j] for j in np.flatnonzero(difference(rhythm, merged).max(axis=0) > 1e-6)}
    assert changed and not any("Leg" in n or "Foot" in n or n == "Hips" or n.startswith("Left") for n in changed)
    assert np.array_equal(merged.root_positions, rhythm.root_positions)
    outside = difference(rhythm, merged)
    times = np.arange(len(rhythm)) / 60
    assert outside[(times < segment.start) | (times > segment.end)].max() < 1e-6


def test_nothing_pops() -> None:
    """Frame-to-frame changes of speed stay what rhythm and clip have themselves, also from gesture to gesture."""
    rhythm = swaying(8.0)
    spoken = words(2.0, 3.0, 4.1, 6.0)
    segments, _ = place([choice(i, ("0031", "2300")[i % 2]) for i in range(4)], spoken, LIBRARY, 8.0)
    assert len(segments) >= 3
    merged = blend(rhythm, segments, LIBRARY)
    jump = np.abs(np.diff(joint_speed(merged), axis=0)).max()
    own = max(
        np.abs(np.diff(joint_speed(raised("both", 1.6)), axis=0)).max(),
        np.abs(np.diff(joint_speed(rhythm), axis=0)).max(),
    )
    assert jump < 2.5 * own
    assert joint_speed(merged).max() < 3 * joint_speed(raised("both", 1.6)).max()


def test_opposite_hemispheres_do_not_flip() -> None:
    """The same rhythm with every sign turned over gives the same motion."""
    rhythm = swaying(8.0)
    turned = Motion(rhythm.fps, rhythm.skeleton, rhythm.root_positions, -rhythm.rotations)
    a, b = blend(rhythm, one(), LIBRARY), blend(turned, one(), LIBRARY)
    assert difference(a, b).max() < 1e-6
    assert (np.sum(b.rotations[1:] * b.rotations[:-1], axis=-1) > 0).all()


def test_rotations_half_a_turn_apart_do_not_spin() -> None:
    """Rhythm and clip pass through opposite rotations during the preparation: the way in stays smooth."""
    rhythm = arms_down(480)
    rotations = rhythm.rotations.copy()
    fore = rhythm.skeleton.index("RightForeArm")
    angles = np.linspace(-2.2, -1.4, 480)  # the clip turns the elbow to +1.4: apart by more and less than half a turn
    rotations[:, fore] = rot.mul(
        rot.from_axis_angle([0.0, 1.0, 0.0], angles), rot.from_axis_angle([1.0, 0.0, 0.0], 0.3 * angles)
    )
    rhythm = Motion(60.0, rhythm.skeleton, rhythm.root_positions, rotations)
    merged = blend(rhythm, one(stroke=4.0), LIBRARY)
    assert joint_speed(merged)[:, fore].max() < 15
    assert np.abs(np.diff(joint_speed(merged)[:, fore])).max() < 2


def test_cut_at_the_ends_of_the_shot() -> None:
    rhythm = swaying(4.0)
    segments, _ = place([choice(0), choice(1)], words(0.1, 3.8), LIBRARY, 4.0)
    merged = blend(rhythm, segments, LIBRARY)
    assert len(merged) == len(rhythm) and np.isfinite(merged.rotations).all()
    assert difference(rhythm, merged)[0].max() > 0.1 and difference(rhythm, merged)[-1].max() > 0.1
    assert joint_speed(merged).max() < 25


def test_a_moved_segment_takes_the_gesture_along() -> None:
    rhythm = arms_down(480)
    a = blend(rhythm, [Segment("2300", "", 1, "", -1, 2.0, 2.65, 3.6, 1.0)], LIBRARY)
    b = blend(rhythm, [Segment("2300", "", 1, "", -1, 3.0, 3.65, 4.6, 1.0)], LIBRARY)
    assert np.abs(a.rotations[120:216] - b.rotations[180:276]).max() < 1e-9


def test_no_segments_is_the_rhythm() -> None:
    rhythm = swaying(2.0)
    assert difference(rhythm, blend(rhythm, [], LIBRARY)).max() < 1e-9


def test_face_contact_is_noticed() -> None:
    hanging = raised()
    assert not touches_face(hanging, "right", 0.0)
    bent = hanging.rotations.copy()
    bent[:, hanging.skeleton.index("RightArm")] = rot.from_axis_angle([0.0, 0.0, 1.0], 0.6)
    bent[:, hanging.skeleton.index("RightForeArm")] = rot.from_axis_angle([0.0, 0.0, 1.0], -2.9)
    assert touches_face(Motion(60.0, hanging.skeleton, hanging.root_positions, bent), "right", 0.5)
    assert not touches_face(Motion(60.0, hanging.skeleton, hanging.root_positions, bent), "left", 0.5)
