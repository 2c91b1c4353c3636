"""Our own rhythm vocabulary: compiled with variation, strokes where they are meant, rests that are rests."""

import numpy as np

from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical, mirror_name
from training import vocabulary
from training.units import arm_joints


def test_families_are_compiled_with_variation():
    units = vocabulary.strokes(2)
    names = {u.name.removeprefix("rhythm/").rstrip("~").rstrip("0123456789") for u in units}
    assert len(names) >= 10 and {"beat_down", "palm_up", "container", "precision_grip", "sweep_out", "counting",
                                 "offering", "weighing", "finger_play", "wrist_flick"} <= names  # fmt: skip
    assert len(units) == 4 * len(names)
    first, second = units[0], units[1]
    assert first.name.rstrip("12") == second.name.rstrip("12") and first.size != second.size
    for unit in units:
        assert unit.begin < unit.emphasis < unit.leave < unit.motion.seconds and not unit.self_touch


def test_the_same_seed_draws_the_same():
    a, b, c = (vocabulary.strokes(2, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(x.motion.rotations, y.motion.rotations) for x, y in zip(a, b, strict=True))
    assert any(x.size != y.size for x, y in zip(a, c, strict=True))


def test_touches_are_marked():
    assert all(u.self_touch for u in vocabulary.touches(1))


def test_rests_differ_and_mirror():
    rests = {r.name: r for r in vocabulary.rests()}
    assert len(rests) >= 10 and len({r.held for r in rests.values()}) >= 2
    for name, rest in rests.items():
        if name.endswith("~"):
            continue
        image = rests[f"{name}~"]
        for side in SIDES:
            flipped = rest.arms[side] * [1.0, 1.0, -1.0, -1.0]
            assert np.allclose(image.arms[mirror_name(side)], flipped)
            assert len(rest.arms[side]) == len(arm_joints(side))


def test_hands_on_hips_touch_them():
    from SG_dataset.checks import hand_depths
    from SG_dataset.compiler.rest import rest_pose

    rests = {r.name: r for r in vocabulary.rests()}
    for name, sides in (("hand_on_hip", ["Right"]), ("hip_and_belly", ["Right"]), ("hands_on_hips", SIDES)):
        pose = rest_pose()[1].copy()
        for side in SIDES:
            pose[list(arm_joints(side))] = rests[name].arms[side]
        motion = Motion(60.0, canonical(), np.zeros((1, 3)), pose[None])
        depth, points = hand_depths(motion, *motion.forward_kinematics())
        for side in sides:
            own = [d for d, point in zip(depth[0], points, strict=True) if point.startswith(side)]
            assert -0.5 < max(own) < 1.6 and sum(d > -2.5 for d in own) >= 3
