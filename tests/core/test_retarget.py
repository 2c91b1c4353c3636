"""Retargeting onto rigs of every rest pose: what the source's limbs do, the target's limbs do."""

from __future__ import annotations

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.retarget import TargetRig, retarget
from sg_blender_addon.core.skeleton import canonical
from tests.core.motions import moving, standing
from tests.core.rig_models import FINGERS, Shape, make_rig, pose, rest_motion

SHAPES = {
    "t_pose": Shape(),
    "a_pose": Shape(arms_down=47, finger_bend=14, roll_seed=2),
    "a_pose_thumbs_forward": Shape(arms_down=40, palm_turn=60, elbow_bend=18, finger_bend=20, roll_seed=3),
    "y_up_centimetres": Shape(arms_down=30, axes=(1.0, 0, 0, 0), unit=1.0, roll_seed=4),
    "legs_apart_and_long": Shape(arms_down=45, legs_apart=6, leg_stretch=1.2, shin_stretch=0.9, roll_seed=5),
    "simple_trunk": Shape(drop=("Spine", "Spine1", "Neck1"), roll_seed=6),
}


def directions(positions: dict[str, np.ndarray], pairs: list[tuple[str, str]]) -> np.ndarray:
    return rot.normalize(np.stack([positions[b] - positions[a] for a, b in pairs], axis=1))


def both(rig: TargetRig, motion: Motion) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Joint positions of source (turned to the rig's axes) and target."""
    source, _ = motion.forward_kinematics()
    heads, _ = pose(rig, retarget(motion, rig))
    names = canonical().names
    return (
        {n: rot.rotate(rig.axes, source[:, i]) for i, n in enumerate(names)},
        {n: heads[:, rig.joints[n]] for n in names if n in rig.joints},
    )


def worst_degrees(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(np.sum(a * b, axis=-1), -1, 1)).max()))


ARMS = [(s + a, s + b) for s in ("Left", "Right") for a, b in (("Arm", "ForeArm"), ("ForeArm", "Hand"))]
DIGITS = [(f"{s}Hand{f}{n}", f"{s}Hand{f}{n + 1}") for s in ("Left", "Right") for f in FINGERS for n in (1, 2)]
LEGS = [(s + a, s + b) for s in ("Left", "Right") for a, b in (("UpLeg", "Leg"), ("Leg", "Foot"))]


@pytest.mark.parametrize("name", SHAPES)
def test_arms_and_fingers_point_where_the_sources_point(name: str) -> None:
    source, target = both(make_rig(SHAPES[name]), moving())
    for pairs in (ARMS, DIGITS):
        assert worst_degrees(directions(source, pairs), directions(target, pairs)) < 0.5


@pytest.mark.parametrize("name", SHAPES)
def test_palms_face_where_the_sources_face(name: str) -> None:
    rig, motion = make_rig(SHAPES[name]), moving(3)
    source, target = both(rig, motion)
    for side in ("Left", "Right"):
        normals = [
            np.cross(p[f"{side}HandIndex1"] - p[side + "Hand"], p[f"{side}HandPinky1"] - p[side + "Hand"])
            for p in (source, target)
        ]
        assert worst_degrees(rot.normalize(normals[0]), rot.normalize(normals[1])) < 1.0


@pytest.mark.parametrize("name", ["t_pose", "a_pose", "y_up_centimetres"])
def test_legs_of_the_same_proportions_do_the_same(name: str) -> None:
    source, target = both(make_rig(SHAPES[name]), moving(4))
    assert worst_degrees(directions(source, LEGS), directions(target, LEGS)) < 0.5


def test_the_rest_pose_itself_comes_back_unchanged_in_a_t_pose() -> None:
    rig = make_rig(Shape())
    straight = Motion.rest(canonical(), 3, 60.0)
    result = retarget(straight, rig)
    heads, _ = pose(rig, result)
    trunk = [rig.joints[j] for j in ("Hips", "Spine2", "Head", "LeftHand", "LeftFoot", "RightFoot")]
    # 1 mm: a leg is never stretched to its last half per mille
    assert np.abs(heads[:, trunk] - rig.heads[trunk]).max() < 1e-3
    assert np.abs(result.location).max() < 1e-3


@pytest.mark.parametrize("name", SHAPES)
def test_planted_feet_stay_planted_on_any_leg(name: str) -> None:
    rig, motion = make_rig(SHAPES[name]), standing()
    source = motion.forward_kinematics()[0]
    heads, turns = pose(rig, retarget(motion, rig))
    for side in ("Left", "Right"):
        assert np.ptp(source[:, canonical().index(side + "Foot")], axis=0).max() < 0.01  # the source does stand
        foot = rig.joints[side + "Foot"]
        assert np.ptp(heads[:, foot], axis=0).max() < 0.01 * rig.scale * 100 * 0.2  # 2 mm on a person
        up = rot.rotate(rig.axes, np.array([0.0, 1, 0]))
        tilt = rot.rotate(turns[:, foot], up)
        assert worst_degrees(tilt, np.broadcast_to(up, tilt.shape)) < 0.5  # soles flat


def test_motion_scales_with_the_legs() -> None:
    rig = make_rig(Shape(leg_stretch=2.0, shin_stretch=2.0))
    assert rig.scale == pytest.approx(0.02, rel=1e-6)
    motion = standing()
    heads, _ = pose(rig, retarget(motion, rig))
    ways = heads[:, rig.joints["Hips"]] - heads[0, rig.joints["Hips"]]
    expected = 0.02 * rot.rotate(rig.axes, motion.root_positions - motion.root_positions[0])
    assert np.abs(ways - expected).max() < 1e-3


def test_the_start_of_the_path_is_the_rigs_own_place() -> None:
    rig, motion = make_rig(Shape()), Motion.rest(canonical(), 2, 60.0)
    away = Motion(60.0, canonical(), motion.root_positions + [120.0, 0, 45.0], motion.rotations)
    result = retarget(away, rig, origin=(120.0 + canonical().offsets[0, 0], 45.0 + canonical().offsets[0, 2]))
    assert np.abs(result.location).max() < 0.002


def test_unmapped_twist_bones_and_bones_without_inherited_rotation() -> None:
    rig, motion = make_rig(SHAPES["a_pose"]), moving(7)
    joints = {j: b for j, b in rig.joints.items() if j not in ("LeftForeArm", "Spine1")}
    partial = TargetRig(rig.names, rig.parents, rig.rest, rig.tails, joints)
    heads, _ = pose(partial, retarget(motion, partial))
    source = motion.forward_kinematics()[0]
    names = canonical().names
    for a, b in DIGITS[:4]:
        got = rot.normalize(heads[:, rig.joints[b]] - heads[:, rig.joints[a]])
        want = rot.normalize(rot.rotate(rig.axes, source[:, names.index(b)] - source[:, names.index(a)]))
        assert worst_degrees(got, want) < 0.5
    free = tuple(n != "LeftArm" for n in rig.names)
    alone = TargetRig(rig.names, rig.parents, rig.rest, rig.tails, rig.joints, inherits_rotation=free)
    i = retarget(motion, alone).bones.index(rig.joints["LeftArm"])
    _, turns = pose(rig, retarget(motion, rig))
    rest = rig.rest_rotations[rig.joints["LeftArm"]]
    expected = rot.mul(rot.mul(rot.inverse(rest), turns[:, rig.joints["LeftArm"]]), rest)
    dots = np.abs(np.sum(retarget(motion, alone).rotations[:, i] * expected, axis=-1))
    assert dots.min() > 1 - 1e-9


def test_rotations_are_smooth_and_in_the_hemisphere_of_rest() -> None:
    result = retarget(moving(), make_rig(SHAPES["a_pose_thumbs_forward"]))
    steps = np.sum(result.rotations[1:] * result.rotations[:-1], axis=-1)
    assert steps.min() > 0.9
    assert (np.median(result.rotations[..., 0], axis=0) >= 0).all()


def test_a_bust_without_legs_or_hips_still_gestures() -> None:
    rig, motion = make_rig(SHAPES["a_pose"]), moving(5)
    joints = {j: b for j, b in rig.joints.items() if "Leg" not in j and "Foot" not in j and j != "Hips"}
    bust = TargetRig(rig.names, rig.parents, rig.rest, rig.tails, joints)
    result = retarget(motion, bust)
    assert result.location is None
    assert np.isfinite(result.rotations).all()


def test_foreign_skeletons_are_refused() -> None:
    skeleton = type(canonical())(("a",), (-1,), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="canonical"):
        retarget(Motion.rest(skeleton, 2, 60.0), make_rig(Shape()))


def test_the_rest_models_are_what_they_say() -> None:
    down = rest_motion(Shape(arms_down=45)).forward_kinematics()[0][0]
    hand, arm = (down[canonical().index("LeftHand" if n else "LeftArm")] for n in (1, 0))
    assert hand[1] - arm[1] == pytest.approx(-54 * np.sin(np.radians(45)), abs=0.1)
