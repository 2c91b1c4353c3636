"""Compiled gestures: rest at both ends, mirror images, contact, arms that reach, the guide's own examples."""

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.checks import JOINT_SPEED, check_compiled, check_motion, joint_speed, stroke_distance, stroke_features
from SG_dataset.compiler import arm, hands, timing
from SG_dataset.compiler.body import pose_body
from SG_dataset.compiler.compile import compile_variant
from SG_dataset.compiler.rest import rest_pose, sway
from SG_dataset.notation.read import FOLDER, gesture_files, parse_gesture, read_gesture, shared_poses
from SG_dataset.notation.shapes import FINGERS, finger_points, hand_shape, shape_names

ROOT = Path(__file__).parents[3]
SOME = ["0112", "1332", "2030", "2022", "3123"]


def spec_of(gesture_id: str):
    return read_gesture(next(FOLDER.glob(f"{gesture_id}*.yaml")))


def gesture_with(move: list, variants: list | None = None):
    """A gesture of the given movement with made-up texts."""
    data = {
        "id": "9999",
        "label": "TEST",
        "description": "x",
        "meanings": ["x"],
        "move": move,
        "examples": [f"word *{i}*" for i in range(12)],
        "variants": variants or [{}, {"hand": "left"}],
        "tags": {"kind": "emblem", "hands": "one", "valence": "neutral", "formality": "neutral"},
    }
    return parse_gesture(data, "test", shared_poses())


POINT = [
    {"prepare": 0.5, "right": {"zone": "chest side near", "palm": "in", "fingers": "forward up", "shape": "point"}},
    {"stroke": 0.4, "right": {"zone": "shoulder inner far", "palm": "down", "fingers": "forward"}},
]


@pytest.mark.parametrize("gesture_id", SOME)
def test_starts_and_ends_in_the_shared_rest_pose(gesture_id: str) -> None:
    motion = compile_variant(spec_of(gesture_id), spec_of(gesture_id).variants[0]).motion
    root, rest = rest_pose()
    for frame in (0, -1):
        assert np.degrees(rot.angle(rot.mul(rot.inverse(rest), motion.rotations[frame]))).max() < 0.2
        assert np.abs(motion.root_positions[frame] - root).max() < 0.01


def test_the_same_input_gives_the_same_motion() -> None:
    spec = spec_of("3123")
    a, b = (compile_variant(spec, spec.variants[0]).motion for _ in range(2))
    assert np.array_equal(a.rotations, b.rotations) and np.array_equal(a.root_positions, b.root_positions)


def test_left_handed_variant_is_the_mirror_image() -> None:
    spec = gesture_with(POINT)
    right, left = (compile_variant(spec, v) for v in spec.variants)
    sk = canonical()
    at = round(right.phases.stroke * 60)
    r = right.motion.forward_kinematics()[0][at, sk.index("RightHand")]
    q = left.motion.forward_kinematics()[0][at, sk.index("LeftHand")]
    assert np.abs(r * [-1, 1, 1] - q).max() < 3  # but for sway and tremor, which differ


def test_the_hand_gets_where_the_file_says() -> None:
    compiled = compile_variant(gesture_with(POINT), gesture_with(POINT).variants[0])
    sk, frame = canonical(), round(compiled.phases.stroke * 60)
    places, world = compiled.motion.forward_kinematics()
    wrist, turn = places[frame, sk.index("RightHand")], world[frame, sk.index("RightHand")]
    assert np.abs(wrist + rot.rotate(turn, [-6.0, 0.3, 0.2]) - [-11, 150, 46]).max() < 5
    assert rot.rotate(turn, [-1.0, 0, 0])[2] > 0.85  # fingers forward
    assert rot.rotate(turn, [0, -1.0, 0])[1] < -0.8  # palm down


@pytest.mark.parametrize("gesture_id", SOME)
def test_shipped_gestures_pass_their_checks(gesture_id: str) -> None:
    for variant in spec_of(gesture_id).variants:
        assert check_compiled(compile_variant(spec_of(gesture_id), variant))[0] == []


def test_checks_see_a_gesture_that_is_wrong() -> None:
    inside = [
        {"prepare": 0.5, "right": {"zone": "chest middle close", "palm": "in", "fingers": "up", "shape": "fist"}},
        {"stroke": 0.06, "right": {"zone": "overhead far_wide beside"}},
    ]
    problems, _ = check_compiled(compile_variant(gesture_with(inside), gesture_with(inside).variants[0]))
    assert any("peak" in p for p in problems)
    far = [
        {"prepare": 0.5, "right": {"touch": "hip_back up 40 out 60", "palm": "in", "fingers": "up"}},
        {"stroke": 0.4},
    ]
    problems, _ = check_compiled(compile_variant(gesture_with(far), gesture_with(far).variants[0]))
    assert any("misses" in p for p in problems)


def test_different_gestures_are_farther_apart_than_the_same_one() -> None:
    features = {}
    for name in ("3123", "3232"):
        c = compile_variant(spec_of(name), spec_of(name).variants[0])
        features[name] = stroke_features(c.motion, c.phases, c.hand)
    assert stroke_distance(features["3123"], features["3123"]) == 0
    assert stroke_distance(features["3123"], features["3232"]) > 6


def test_every_file_is_named_after_its_label() -> None:
    for path in gesture_files():
        assert path.name.startswith(read_gesture(path).id + "_")


def test_the_guides_examples_compile() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "notation.md").read_text("utf-8"), re.S)
    moves = []
    for block in blocks:
        data = yaml.safe_load(block)
        moves.append(data["move"] if isinstance(data, dict) else data)
    assert len(moves) >= 4
    for move in moves:
        spec = gesture_with(move)
        problems, _ = check_compiled(compile_variant(spec, spec.variants[0]))
        assert problems == []


def test_sway_moves_a_little_and_keeps_the_feet() -> None:
    root, rotations = rest_pose()
    still = np.tile(root, (300, 1)), np.tile(rotations, (300, 1, 1))
    motion = pose_body(*still, 60.0, {"zero": np.zeros(300)}, sway(300, 60.0, seed=3)).motion()
    places = motion.forward_kinematics()[0]
    sk = canonical()
    assert np.ptp(places[:, sk.index("LeftFoot")], axis=0).max() < 0.01
    assert 0.2 < np.ptp(places[:, sk.index("Head")], axis=0).max() < 8


def test_arm_reaches_its_target_and_keeps_bone_lengths() -> None:
    rng = np.random.default_rng(0)
    wrist = rng.uniform([0, 100, 15], [40, 170, 40], (50, 3))
    n, ident = len(wrist), np.tile(rot.identity(), (50, 1))
    shoulder = np.tile([19.0, 147.0, 0.0], (n, 1))
    near = np.linalg.norm(wrist - shoulder, axis=1) < 51
    solved = arm.solve(shoulder, wrist, ident, ident, ident, np.zeros(n))
    a, b = arm.bone_lengths()
    assert np.allclose(np.linalg.norm(solved.elbow - shoulder, axis=1), a)
    assert np.allclose(np.linalg.norm(solved.wrist - solved.elbow, axis=1), b)
    assert np.abs(solved.wrist - wrist)[near].max() < 1e-6


def test_a_forearm_asked_past_its_range_stays_at_one_end() -> None:
    asked = 180.0 + 25.0 * np.sin(np.linspace(0, 16 * np.pi, 121))
    wrapped = (asked + 180.0) % 360.0 - 180.0
    assert np.abs(np.diff(np.clip(wrapped, *arm.TWIST_LIMITS))).max() > 190
    chosen = np.clip(arm.twist_branch(wrapped, 60.0), *arm.TWIST_LIMITS)
    assert np.ptp(chosen) == 0
    inside = np.linspace(*arm.TWIST_LIMITS, 60)
    assert np.array_equal(arm.twist_branch(inside, 60.0), inside)


def flip(side: str, **changes: str) -> list:
    """A hand that lies palm up and is turned palm down, exactly half a turn."""
    hand = {"zone": "chest inner mid", "fingers": "forward", "shape": "flat"}
    return [{"prepare": 0.5, side: {**hand, "palm": "up"}}, {"stroke": 0.5, side: {**hand, "palm": "down", **changes}}]


def thumb_at_half_way(move: list, side: str) -> np.ndarray:
    spec = gesture_with(move)
    compiled = compile_variant(spec, spec.variants[0])
    _, world = compiled.motion.forward_kinematics()
    middle = round(60 * (0.5 * (compiled.phases.stroke_start + compiled.phases.stroke_end) + hands.ORIENTATION_LAG))
    return rot.rotate(world[middle, canonical().index(side.capitalize() + "Hand")], [0.0, 0.0, 1.0])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("tilt", ["forward", "forward in 0.000000001", "forward out 0.000000001"])
def test_a_palm_flips_by_way_of_the_thumb_whatever_the_last_digits(side: str, tilt: str) -> None:
    assert thumb_at_half_way(flip(side, fingers=tilt), side)[1] > 0.8


@pytest.mark.parametrize("gesture_id", ["0210", "1310", "2023", "2222"])
def test_rounding_decides_nothing(gesture_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, rng = spec_of(gesture_id), np.random.default_rng(0)
    expected = compile_variant(spec, spec.variants[0]).motion.rotations
    exact = hands.key_target

    def rounded_otherwise(*given: Any) -> Any:
        return tuple(a + 3e-15 * rng.standard_normal(a.shape) for a in exact(*given))

    monkeypatch.setattr(hands, "key_target", rounded_otherwise)
    for _ in range(4):
        turned = rot.mul(rot.inverse(expected), compile_variant(spec, spec.variants[0]).motion.rotations)
        assert np.degrees(rot.angle(turned)).max() < 1e-6


def best_branch(twist: np.ndarray, fps: float) -> float:
    """The least cost of any way through the branches of `arm.twist_branch`, found by trying all of them."""
    other = twist - 360.0 * np.where(twist < 0, -1.0, 1.0)
    costs = []
    for choice in itertools.product((False, True), repeat=len(twist)):
        angle = np.where(choice, other, twist)
        costs.append(branch_cost(angle, fps))
    return min(costs)


def branch_cost(angle: np.ndarray, fps: float) -> float:
    stop = np.clip(angle, *arm.TWIST_LIMITS)
    return float(((angle - stop) ** 2).sum() / fps + arm.BRANCH_COST * np.abs(np.diff(stop)).sum())


@pytest.mark.parametrize("seed", range(8))
def test_the_forearm_takes_the_cheapest_way_through_its_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    twist = (rng.uniform(-180, 180) + np.cumsum(rng.normal(0, 60, 9)) + 180) % 360 - 180
    chosen = arm.twist_branch(twist, 1.5)  # at so few frames a second, staying and changing both pay now and then
    assert np.allclose(np.cos(np.radians(chosen - twist)), 1)
    assert branch_cost(chosen, 1.5) == pytest.approx(best_branch(twist, 1.5))


def test_a_held_turn_goes_to_the_nearer_end_of_the_range() -> None:
    wrapped = np.concatenate([np.full(60, -140.0), np.full(60, 140.0)])
    chosen = arm.twist_branch(wrapped, 60.0)
    assert np.array_equal(chosen, wrapped)
    turned = timing.limit_speed(np.clip(chosen, *arm.TWIST_LIMITS), 60.0, arm.TWIST_SPEED)
    assert turned[0] == arm.TWIST_LIMITS[0] and turned[-1] == arm.TWIST_LIMITS[1]
    assert np.abs(np.diff(turned)).max() * 60 <= arm.TWIST_SPEED + 1e-6
    assert np.all(np.diff(turned) >= -1e-9)


def test_slow_curves_are_left_alone_by_the_speed_limit() -> None:
    slow = 30 * np.sin(np.linspace(0, 6, 200))
    assert np.array_equal(timing.limit_speed(slow, 60.0, 600.0), slow)


@pytest.mark.parametrize("gesture_id", ["0102", "2023", "3221", "2222"])
def test_no_joint_flips_from_one_frame_to_the_next(gesture_id: str) -> None:
    spec = spec_of(gesture_id)
    assert joint_speed(compile_variant(spec, spec.variants[0]).motion)[0] < JOINT_SPEED


def test_the_check_sees_a_joint_that_flips() -> None:
    compiled = compile_variant(spec_of("0102"), spec_of("0102").variants[0])
    motion, joint = compiled.motion, canonical().index("RightForeArm")
    turn = rot.from_axis_angle([1.0, 0.0, 0.0], 2.0)
    motion.rotations[60:, joint] = rot.mul(motion.rotations[60:, joint], turn)
    assert any("RightForeArm turns at" in p for p in check_motion(motion, compiled.phases)[0])


def test_curves_reach_their_keys_and_stop_at_turns() -> None:
    time = np.linspace(0, 2, 201)
    keys, values = np.array([0.0, 1.0, 2.0]), np.array([[0.0], [10.0], [0.0]])
    curve = timing.interpolate(time, keys, values, np.ones(3))
    assert np.allclose(curve[[0, 100, 200], 0], [0, 10, 0]) and curve.max() <= 10 + 1e-9
    assert abs(curve[101, 0] - curve[99, 0]) < 0.01


def test_shapes_exist_for_every_need_and_thumbs_touch() -> None:
    assert len(shape_names()) >= 30
    for shape, finger in (("ring", "index"), ("pinch", "index"), ("purse", "middle")):
        points = finger_points(hand_shape(shape))
        assert np.linalg.norm(points[0, 3] - points[1 + FINGERS.index(finger), 3]) < 2.2
    assert all(np.allclose(np.linalg.norm(hand_shape(s), axis=1), 1) for s in shape_names())
