from __future__ import annotations

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion, concatenate
from sg_blender_addon.core.skeleton import Skeleton, canonical, mirror_name


def random_motion(frames: int = 40, fps: float = 60.0, seed: int = 0) -> Motion:
    rng = np.random.default_rng(seed)
    skeleton = canonical()
    rotations = rot.from_rotation_vector(np.cumsum(0.02 * rng.standard_normal((frames, len(skeleton), 3)), axis=0))
    return Motion(fps, skeleton, skeleton.offsets[0] + rng.standard_normal((frames, 3)), rotations)


def test_canonical_skeleton_is_the_references_template() -> None:
    skeleton = canonical()
    assert len(skeleton) == 59
    assert len(skeleton.end_parents) == 13
    assert skeleton.names[:4] == ("Hips", "RightUpLeg", "RightLeg", "RightFoot")
    rest = dict(zip(skeleton.names, skeleton.rest_positions(), strict=True))
    assert rest["LeftHand"][0] == pytest.approx(2.9 + 16.1 + 28 + 26, abs=0.1)
    assert rest["RightHand"][0] == pytest.approx(-rest["LeftHand"][0], abs=0.2)
    assert 160 < rest["Head"][1] < 164


def test_skeleton_survives_json() -> None:
    again = Skeleton.from_json(canonical().to_json())
    assert again.same_as(canonical())
    np.testing.assert_allclose(again.end_offsets, canonical().end_offsets, atol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        (("a", "b"), (-1,), np.zeros((2, 3))),
        (("a", "b"), (1, -1), np.zeros((2, 3))),
        (("a", "a"), (-1, 0), np.zeros((2, 3))),
    ],
)
def test_skeleton_refuses_nonsense(arguments: tuple) -> None:
    with pytest.raises(ValueError, match=r"length|before|unique"):
        Skeleton(*arguments)


def test_mirror_names() -> None:
    assert mirror_name("LeftHandIndex1") == "RightHandIndex1"
    assert mirror_name("RightUpLeg") == "LeftUpLeg"
    assert mirror_name("Spine1") == "Spine1"


def test_rest_pose_stands_where_the_offsets_say() -> None:
    motion = Motion.rest(canonical(), 2, 60.0)
    positions, world = motion.forward_kinematics()
    np.testing.assert_allclose(positions[1], canonical().rest_positions())
    np.testing.assert_allclose(world, rot.identity(2, 59))


def test_one_bent_elbow_moves_the_hand_and_nothing_above() -> None:
    motion = Motion.rest(canonical(), 1, 60.0)
    arm = canonical().index("LeftForeArm")
    motion.rotations[0, arm] = rot.from_axis_angle([0, 1, 0], -np.pi / 2)  # from +X towards +Z: to the front
    positions, _ = motion.forward_kinematics()
    rest = canonical().rest_positions()
    np.testing.assert_allclose(positions[0, arm], rest[arm])
    hand = positions[0, canonical().index("LeftHand")] - positions[0, arm]
    np.testing.assert_allclose(hand, [0, 0, 26], atol=0.01)


def test_mirroring_reflects_positions_and_undoes_itself() -> None:
    motion = random_motion()
    symmetric = Skeleton(  # exact symmetry: the canonical offsets differ between sides in the third decimal
        canonical().names,
        canonical().parents,
        np.array(
            [
                canonical().offsets[i]
                if not n.startswith("Right")
                else canonical().offsets[canonical().index(mirror_name(n))] * [-1, 1, 1]
                for i, n in enumerate(canonical().names)
            ]
        )
        * np.where(np.array([[not n.startswith(("Left", "Right"))] for n in canonical().names]), [0, 1, 1], 1),
    )
    motion = Motion(60.0, symmetric, motion.root_positions, motion.rotations)
    positions, _ = motion.forward_kinematics()
    mirrored, _ = motion.mirrored().forward_kinematics()
    order = [symmetric.index(mirror_name(n)) for n in symmetric.names]
    np.testing.assert_allclose(mirrored, positions[:, order] * [-1, 1, 1], atol=1e-9)
    np.testing.assert_allclose(motion.mirrored().mirrored().rotations, motion.rotations)


@pytest.mark.parametrize("fps", [24.0, 30.0, 120.0])
def test_resampling_keeps_the_length_and_the_poses(fps: float) -> None:
    motion = random_motion(120)
    again = motion.resample(fps)
    assert again.seconds == pytest.approx(motion.seconds, abs=1 / fps)
    # both rates meet every half second
    np.testing.assert_allclose(again.root_positions[:: round(fps / 2)], motion.root_positions[::30])
    shared = np.abs(np.sum(again.rotations[:: round(fps / 2)] * motion.rotations[::30], axis=-1))
    np.testing.assert_allclose(shared, 1.0, atol=1e-9)


def test_sampling_holds_the_ends() -> None:
    motion = random_motion(10)
    sampled = motion.at([-1.0, 99.0])
    np.testing.assert_allclose(sampled.root_positions, motion.root_positions[[0, -1]])


def test_joining() -> None:
    a, b = random_motion(5, seed=1), random_motion(7, seed=2)
    assert len(concatenate([a, b])) == 12
    with pytest.raises(ValueError, match="share"):
        concatenate([a, b.resample(30)])


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Motion(60.0, canonical(), np.zeros((3, 3)), rot.identity(4, 59))
    with pytest.raises(ValueError, match="positive"):
        Motion(0.0, canonical(), np.zeros((3, 3)), rot.identity(3, 59))
