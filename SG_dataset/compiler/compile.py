"""The compiler: one variant of a gesture to motion on the canonical skeleton."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk
from sg_blender_addon.core.joint_groups import FINGER_JOINTS
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler import arm, channels, timing
from SG_dataset.compiler import rest as resting
from SG_dataset.compiler.avoid import clear_path
from SG_dataset.compiler.body import BREATH_LIFT, Body, pose_body, set_collar
from SG_dataset.compiler.hands import Targets, hand_targets
from SG_dataset.compiler.scene import MIRROR_POINT, MIRROR_TURN, Scene
from SG_dataset.notation.read import HANDS, with_times
from SG_dataset.notation.records import GestureSpec, HandKey, Key, VariantSpec
from SG_dataset.phases import Phases

FPS = 60.0
LEAD, TAIL = 0.15, 0.20  # seconds of rest before and after
RESTING = HandKey(rest=True)


@dataclass(frozen=True)
class Compiled:
    """A variant's motion, its phases, and the stretches of time (start, end, side, key) in which a hand must touch.

    hand: which hands gesture: "right", "left", "both" or "none".
    """

    motion: Motion
    phases: Phases
    hand: str
    contacts: tuple[tuple[float, float, str, HandKey, HandKey], ...]


def compile_variant(gesture: GestureSpec, variant: VariantSpec, fps: float = FPS) -> Compiled:
    """Motion (60 frames per second unless asked otherwise) of a variant; the same input gives the same output."""
    keys, key_times = _timeline(variant)
    seed = zlib.crc32(f"{gesture.id}-{variant.number}".encode())
    frames = int(np.ceil((key_times[-1]) * fps)) + 1
    time = np.arange(frames) / fps
    root, rest = resting.rest_pose()
    curves = channels.curves(keys, key_times, time, gesture.participation, variant.size)
    sway = resting.sway(frames, fps, seed, fade_seconds=0.6)
    body = pose_body(np.tile(root, (frames, 1)), np.tile(rest, (frames, 1, 1)), fps, curves, sway)
    for side in _order(keys):
        _move_arm(body, keys, key_times, time, side, variant, curves, sway, seed)
    motion = Motion(fps, canonical(), body.root, rot.normalize(body.local))
    contacts, hands = _contacts(keys, key_times), _hands_in_use(keys)
    if variant.hand == "left":
        swap = {"right": "left", "left": "right"}
        motion, contacts = motion.mirrored(), tuple((a, b, swap[s], h, o) for a, b, s, h, o in contacts)
        hands = swap.get(hands, hands)
    return Compiled(motion, _phases(keys, key_times), hands, contacts)


def _hands_in_use(keys: Sequence[Key]) -> str:
    used = [side for side in HANDS if any(not key.hands[side].rest for key in keys)]
    return "both" if len(used) == len(HANDS) else used[0] if used else "none"


def _timeline(variant: VariantSpec) -> tuple[list[Key], Floats]:
    """Keys with rest at both ends, repetitions added, and their times in seconds."""
    rest_key = Key("hold", LEAD, dict.fromkeys(HANDS, RESTING), {})
    keys, times = [rest_key, replace(rest_key)], [0.0, LEAD]
    for key in variant.keys:
        seconds, hands = key.seconds, dict(key.hands)
        for side, hand in hands.items():
            if hand.cycle and variant.times:
                more = with_times(hand.cycle, variant.times)
                seconds = key.seconds * more.times / hand.cycle.times
                hands[side] = replace(hand, cycle=more)
        cycles = {}
        for part, (cycle, sizes) in key.body_cycles.items():
            more = with_times(cycle, variant.times)
            seconds = max(seconds, key.seconds * more.times / cycle.times)
            cycles[part] = (more, sizes)
        keys.append(replace(key, hands=hands, body_cycles=cycles))
        times.append(times[-1] + seconds / variant.tempo)
    keys.append(rest_key)
    times.append(times[-1] + TAIL)
    return keys, np.array(times)


def _phases(keys: Sequence[Key], key_times: Floats) -> Phases:
    strokes = [k for k, key in enumerate(keys) if key.phase == "stroke"]
    first, last = strokes[0], strokes[-1]
    start, end = float(key_times[first - 1]), float(key_times[first])
    key = keys[first]
    cycles = [h.cycle for h in key.hands.values() if h.cycle] + [c for c, _ in key.body_cycles.values()]
    share = 1.0
    if cycles:  # the first beat of a repeated movement, not its end
        share = min(1.0, (0.55 if cycles[0].style == "tap" else 0.3) / cycles[0].times)
    if key.accent is not None:
        share = key.accent
    retract = max(k for k, key in enumerate(keys) if key.phase == "retract")
    return Phases(start, start + share * (end - start), float(key_times[last]), float(key_times[retract - 1]))


def _order(keys: Sequence[Key]) -> tuple[str, ...]:
    """The hand that the other one touches is moved first."""
    return (
        ("left", "right")
        if any(k.hands["right"].anchor == "other" or "other_" in k.hands["right"].anchor for k in keys)
        else ("right", "left")
    )


def _contacts(keys: Sequence[Key], key_times: Floats) -> tuple[tuple[float, float, str, HandKey, HandKey], ...]:
    """Stretches in which a hand must touch: to the next key with the same touch, else the key's instant."""
    found = []
    for side in HANDS:
        other = "left" if side == "right" else "right"
        for k, key in enumerate(keys):
            hand = key.hands[side]
            if hand.touching:
                nxt = keys[k + 1].hands[side] if k + 1 < len(keys) else hand
                same = nxt.touching and nxt.anchor == hand.anchor and nxt.offset == hand.offset and not nxt.cycle
                found.append(
                    (float(key_times[k]), float(key_times[k + 1 if same else k]), side, hand, key.hands[other])
                )
    return tuple(found)


@cache
def _rest_arm() -> tuple[Floats, Floats, Floats]:
    """The left hand at rest in the chest's frame: wrist (3,), orientation (4,), and the elbow's swivel."""
    root, local = resting.rest_pose()
    motion = Motion(FPS, canonical(), root[None], local[None])
    places, world = motion.forward_kinematics()
    ix = canonical().index
    chest = world[0, ix("Spine2")]
    inverse = rot.inverse(chest)
    wrist = rot.rotate(inverse, places[0, ix("LeftHand")] - places[0, ix("Spine2")])
    shoulder, elbow = places[:, ix("LeftArm")], places[0, ix("LeftForeArm")]
    line = rot.normalize(places[0, ix("LeftHand")] - shoulder[0])
    _, pole, _ = arm.elbow_place(shoulder, places[:, ix("LeftHand")], chest[None], np.zeros(1))
    actual = elbow - shoulder[0]
    actual = rot.normalize(actual - (actual @ line) * line)
    swivel = np.degrees(np.arctan2(np.cross(pole[0], actual) @ line, pole[0] @ actual))
    return wrist, rot.mul(inverse, world[0, ix("LeftHand")]), np.array(swivel)


def _move_arm(
    body: Body,
    keys: Sequence[Key],
    key_times: Floats,
    time: Floats,
    side: str,
    variant: VariantSpec,
    curves: dict[str, Floats],
    sway: dict[str, Floats],
    seed: int,
) -> None:
    """Solve one arm over all frames and write it into the body."""
    name = side.capitalize()
    if all(k.hands[side].rest for k in keys):
        _hang(body, name)
        return
    scene = Scene(name, body.places, body.world)
    wrist_rest, turn_rest, swivel_rest = _rest_arm()
    targets = hand_targets(
        keys,
        side,
        key_times,
        time,
        scene,
        (wrist_rest, turn_rest),
        variant.size,
        np.array(variant.place),
        seed + (side == "left"),
    )
    chest_place, chest = scene.joint("Spine2")
    _lift_collar(body, name, targets.wrist, chest_place, chest, curves, sway)
    shoulder, collar = _arm_root(scene, name)
    swivel = _swivels(keys, side, key_times, time, targets, shoulder, chest, collar, float(swivel_rest), variant.elbow)
    other = "RightHand" if name == "Left" else "LeftHand"
    wrist = clear_path(scene, shoulder, collar, targets, swivel, body.fps, other in body.places)
    solved = arm.solve(shoulder, wrist, targets.turn, chest, collar, swivel, body.fps)
    _write(body, name, solved, targets.fingers)


def _hang(body: Body, name: str) -> None:
    """An arm that takes no part keeps its rest rotations; only its places in the world are found."""
    sk = canonical()
    parent = name + "Shoulder"
    for joint in (name + "Arm", name + "ForeArm", name + "Hand"):
        body.places[joint] = body.places[parent] + rot.rotate(body.world[parent], sk.offsets[sk.index(joint)])
        body.world[joint] = rot.mul(body.world[parent], body.local[:, sk.index(joint)])
        parent = joint


def _arm_root(scene: Scene, name: str) -> tuple[Floats, Floats]:
    """The upper arm's place and its parent's rotation, in the hand's space."""
    place = scene.places[name + "Arm"]
    turn = scene.world[name + "Shoulder"]
    return (place, turn) if name == "Left" else (place * MIRROR_POINT, turn * MIRROR_TURN)


def _lift_collar(
    body: Body,
    name: str,
    wrist: Floats,
    chest_place: Floats,
    chest: Floats,
    curves: dict[str, Floats],
    sway: dict[str, Floats],
) -> None:
    """The shoulder helps: it rises with a raised hand and comes forward with a far or crossing one."""
    local = rot.rotate(rot.inverse(chest), wrist - chest_place)
    height, forward, inward = local[:, 1] - 13.0, local[:, 2], -local[:, 0]
    lift = 15.0 * minimum_jerk((height + 25.0) / 75.0)
    protract = 9.0 * minimum_jerk((forward - 22.0) / 38.0) + 8.0 * minimum_jerk((inward + 8.0) / 34.0)
    zero = np.zeros(len(wrist))
    lift = lift + curves.get("raise_" + name, zero) + BREATH_LIFT * sway["breath"]
    set_collar(
        body,
        name,
        timing.blur(lift, body.fps, 0.05),
        timing.blur(protract + curves.get("protract_" + name, zero), body.fps, 0.05),
    )


def _swivels(
    keys: Sequence[Key],
    side: str,
    key_times: Floats,
    time: Floats,
    targets: Targets,
    shoulder: Floats,
    chest: Floats,
    collar: Floats,
    at_rest: float,
    extra: float,
) -> Floats:
    """Elbow swivel (F,): comfortable at each key, smooth between."""
    hands = [k.hands[side] for k in keys]
    at = np.clip(np.searchsorted(time, key_times), 0, len(time) - 1)
    moved = np.array([not h.rest for h in hands])
    at, values = at[moved], np.full(len(keys), at_rest)
    best = arm.comfortable_swivel(shoulder[at], targets.wrist[at], targets.turn[at], chest[at], collar[at])
    values[moved] = best + np.array([h.elbow for h in hands if not h.rest]) + extra
    return timing.interpolate(time, key_times, values[:, None], np.full(len(keys), 0.5))[:, 0]


def _write(body: Body, name: str, solved: arm.Arm, fingers: Floats) -> None:
    """Put a solved arm into the body's rotations and places, mirrored for the right side."""
    ix = canonical().index
    turn, point = (MIRROR_TURN, MIRROR_POINT) if name == "Right" else (np.ones(4), np.ones(3))
    for joint, q in (("Arm", solved.upper), ("ForeArm", solved.fore), ("Hand", solved.hand)):
        body.local[:, ix(name + joint)] = q * turn
    body.local[:, [ix(name + joint) for joint in FINGER_JOINTS]] = fingers * turn
    body.places[name + "ForeArm"], body.places[name + "Hand"] = solved.elbow * point, solved.wrist * point
    body.world[name + "Arm"] = rot.mul(body.world[name + "Shoulder"], body.local[:, ix(name + "Arm")])
    body.world[name + "ForeArm"] = rot.mul(body.world[name + "Arm"], body.local[:, ix(name + "ForeArm")])
    body.world[name + "Hand"] = solved.hand_world * turn
