"""Arms over a way of standing: rests that change, gestures over them, beats of raised hands, clavicles that help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from backend.motion.posture_plan import CHANGE, Resting
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.manner import Manner
from sg_blender_addon.core.skeleton import canonical
from training.curves import beat_curve, bump, near, wander
from training.motion_folder import FPS
from training.plan import Placed
from training.prosody import Prosody
from training.units import arm_joints
from training.vocabulary import Rest

_DEG = np.pi / 180
_X, _Y, _Z = np.eye(3)
_FLEX = {"Left": -_Y, "Right": _Y}  # the elbow's hinge in the canonical T pose
_SIGN = {"Left": 1.0, "Right": -1.0}
_ECHO = (0.4, 0.7)  # share of a one-handed gesture that the other hand does too
_RAISED_CM = 35.0  # a gesture of this size has the whole arm
_GRIP = 6.0  # degrees a finger's joints close where a hold is renewed
_FINGERS = {"Index": 0.7, "Middle": 1.0, "Ring": 1.1, "Pinky": 1.2}  # of it
_LIFT, _FORWARD = 0.26, 0.24  # degrees of clavicle per degree of upper arm: the shoulder's rhythm, less what clips have


def lay_rests(rotations: Floats, rows: Sequence[Resting[Rest]], times: Floats) -> dict[str, Floats]:
    """Set the arms of `rotations` to their rests in place; returns per side how held it is there (F,)."""
    held = {}
    for side in SIDES:
        joints = list(arm_joints(side))
        pose = np.tile(rows[0].rest.arms[side], (len(times), 1, 1))
        touch = np.full(len(times), float(rows[0].rest.held))
        for row in rows[1:]:
            begin = int(np.searchsorted(times, row.at))
            share = minimum_jerk((times[begin:] - row.at) / CHANGE)
            goal = np.broadcast_to(row.rest.arms[side], pose[begin:].shape)
            pose[begin:] = rot.slerp(pose[begin:], goal, np.repeat(share[:, None], len(joints), axis=1))
            touch[begin:] += share * (float(row.rest.held) - touch[begin:])
        rotations[:, joints] = pose
        held[side] = touch
    return held


def sample_unit(placed: Placed, times: Floats, joints: list[int]) -> Floats:
    """The unit's local rotations (F, len(joints), 4) at clip times, scaled in size about its own rest."""
    source = placed.unit.motion.rotations[:, joints]
    place = np.clip(placed.local(times) * FPS, 0, len(source) - 1)
    low = np.minimum(place.astype(int), len(source) - 2)
    pose = rot.slerp(source[low], source[low + 1], (place - low)[:, None])
    if abs(placed.size - 1) < 1e-3:
        return pose
    first = np.broadcast_to(source[:1], pose.shape)
    return rot.slerp(first, pose, np.full(pose.shape[:-1], placed.size))


def weight_of(placed: Placed, times: Floats) -> Floats:
    """How far the arm belongs to this gesture: in before the stroke, out from `leave` on."""
    lead = placed.emphasis - placed.start
    if placed.chained:
        ramp = np.clip(0.8 * lead, 0.3, 0.65)
        begin, end = placed.emphasis - 0.05 - ramp, placed.emphasis - 0.05
    else:
        begin, end = placed.start - 0.12, placed.start + 0.6 * lead
    out = 0.8 + 0.004 * placed.unit.size
    return minimum_jerk((times - begin) / (end - begin)) * (1 - minimum_jerk((times - placed.leave) / out))


def lay_arm(rotations: Floats, side: str, rows: Sequence[Placed], times: Floats) -> Floats:
    """Compose the gestures of one arm over `rotations` in place; returns how raised the arm is (F,)."""
    joints = list(arm_joints(side))
    raised = np.zeros(len(times))
    for placed, span, weight in _layers(rows, times):
        pose = sample_unit(placed, times[span], joints)
        share = np.repeat(weight[:, None], len(joints), axis=1)
        rotations[span, joints[0] : joints[-1] + 1] = rot.slerp(
            rotations[span, joints[0] : joints[-1] + 1], pose, share
        )
        raised[span] = np.maximum(raised[span], weight * min(placed.unit.size / _RAISED_CM, 1.0))
    return raised


def lay_echo(
    rotations: Floats,
    side: str,
    plan: Sequence[Placed],
    free: Floats,
    times: Floats,
    manner: Manner,
    rng: np.random.Generator,
) -> None:
    """The hand that a gesture does not need goes along a little, as far as it is `free` (F,) of its rest."""
    joints = list(arm_joints(side))
    for placed in plan:
        share = rng.uniform(*_ECHO) * np.sqrt(manner.liveliness)
        if side in placed.unit.sides or placed.unit.self_touch:
            continue
        begin, end = np.searchsorted(times, (placed.start - 0.3, placed.leave + 1.3))
        part = times[begin:end]
        pose = sample_unit(replace(placed, unit=placed.unit.mirrored()), part, joints)
        delta = rot.mul(rot.inverse(pose[:1]), pose)
        weight = share * weight_of(replace(placed, chained=False), part) * free[begin:end]
        own = rot.slerp(rot.identity(*delta.shape[:-1]), delta, np.repeat(weight[:, None], len(joints), axis=1))
        rotations[begin:end, joints] = rot.mul(rotations[begin:end, joints], own)


def _layers(rows: Sequence[Placed], times: Floats) -> Iterator[tuple[Placed, slice, Floats]]:
    """Each gesture of an arm with its span and its weight there (n,) over what lies below it."""
    for i, placed in enumerate(rows):
        last = rows[i + 1].emphasis if i + 1 < len(rows) and rows[i + 1].chained else placed.leave
        begin, end = np.searchsorted(times, (placed.start - 1.5, max(last, placed.leave) + 2.0))
        part = times[begin:end]
        weight = weight_of(placed, part)
        if i + 1 < len(rows) and rows[i + 1].chained and len(part):
            # once the next gesture has the arm, this one is hidden: it must be gone before the next one retracts
            kept = np.where(part > placed.leave, _kept(placed, part, weight), weight)
            weight = np.where(part > rows[i + 1].emphasis, 0.0, kept)
        live = np.flatnonzero(weight > 1e-4)
        if len(live):
            yield placed, slice(int(begin + live[0]), int(begin + live[-1]) + 1), weight[live[0] : live[-1] + 1]


def _kept(placed: Placed, times: Floats, weight: Floats) -> Floats:
    """A gesture overtaken by a chained one does not fall meanwhile."""
    return np.maximum(weight, weight[np.searchsorted(times, placed.leave) - 1] * (times <= placed.leave + 0.6))


def self_touch(rows: Sequence[Placed], times: Floats) -> Floats:
    """How far (F,) an arm belongs to a self-touch: 0 nowhere, 1 fully."""
    held = np.zeros(len(times))
    for placed in rows:
        if placed.unit.self_touch:
            begin, end = np.searchsorted(times, (placed.start - 0.5, placed.leave + 1.5))
            held[begin:end] = np.maximum(held[begin:end], weight_of(placed, times[begin:end]))
    return held


def turn(rotations: Floats, name: str, axis: Floats, angle: Floats) -> None:
    """Turn a joint about a local axis by `angle` (F,) radians, in place."""
    j = canonical().index(name)
    rotations[:, j] = rot.mul(rotations[:, j], rot.from_axis_angle(axis, angle))


def add_beats(
    rotations: Floats,
    side: str,
    raised: Floats,
    held: Floats,
    accents: Sequence[tuple[float, float]],
    times: Floats,
    manner: Manner,
    rng: np.random.Generator,
) -> None:
    """Beats of an arm that come down on (time, strength) syllables; small ones of a hand at rest."""
    elbow, wrist, upper = (np.zeros(len(times)) for _ in range(3))
    for at, strength in accents:
        size = strength * rng.uniform(0.6, 1.3)
        span = near(times, at, 0.7)
        elbow[span] += size * beat_curve(times[span], at - 0.16, 0.15)
        wrist[span] += size * beat_curve(times[span], at - 0.12, 0.14)
        upper[span] += size * beat_curve(times[span], at - 0.18, 0.16)
    # a hand at rest beats a little too, unless it holds on to something
    up = gaussian_filter1d(raised * (1 - held), 6)
    share = (0.6 * (1 - held) * (1 - up) + up) * np.sqrt(manner.liveliness)
    turn(rotations, f"{side}ForeArm", _FLEX[side], 18 * _DEG * elbow * share)
    turn(rotations, f"{side}Hand", _SIGN[side] * _Z, 10 * _DEG * wrist * share)
    turn(rotations, f"{side}Arm", _FLEX[side], 7 * _DEG * upper * share)
    # neither those that hold on to something: the fingers give and grip again, all of a hand together
    grip = _GRIP * _DEG * (0.35 * wander(rng, len(times), 1.6)[:, 0] + _squeezes(times, rng)) * held * (1 - up)
    for finger, own in _FINGERS.items():
        for k in (1, 2):
            turn(rotations, f"{side}Hand{finger}{k}", -_SIGN[side] * _Z, own * grip)
    turn(rotations, f"{side}HandThumb2", -_SIGN[side] * _Y, 0.8 * grip)
    turn(rotations, f"{side}Hand", -_SIGN[side] * _Z, 0.25 * grip)
    # holds in the air are never frozen
    drift = 3.5 * _DEG * wander(rng, len(times), 0.95, 3) * up[:, None]
    for name in ("Arm", "ForeArm", "Hand"):
        j = canonical().index(side + name)
        rotations[:, j] = rot.mul(rotations[:, j], rot.from_rotation_vector(drift))


def _squeezes(times: Floats, rng: np.random.Generator) -> Floats:
    """A hold that is renewed every few seconds (F,): a little tighter, then back; peaks of about 1."""
    curve = np.zeros(len(times))
    at = float(rng.gamma(3.0, 1.4))
    while at < times[-1]:
        span = near(times, at, 1.5)
        curve[span] += rng.uniform(0.4, 1.2) * bump(times[span], at, float(rng.uniform(0.18, 0.35)))
        at += 1.0 + float(rng.gamma(3.0, 1.4))
    return curve


def help_with_clavicle(rotations: Floats, side: str, free: Floats, lifted: Floats, manner: Manner) -> None:
    """The collar bone rises and comes forward with the upper arm, where that is `free` (F,) to be moved along, and by
    `lifted` (F,) degrees: shrugs and breath. In place."""
    sign = _SIGN[side]
    j = canonical().index(side + "Arm")
    bone = rot.rotate(rotations[:, j], sign * _X)
    raised = np.degrees(np.arcsin(np.clip(bone[:, 1], -1, 1))) + 75.0  # hanging arms are 75 degrees below the T pose
    ahead = np.degrees(np.arctan2(bone[:, 2], np.maximum(sign * bone[:, 0], 0.25)))
    smooth = gaussian_filter1d(free, 0.1 * FPS, mode="nearest")
    lift = _LIFT * smooth * np.clip(raised, -10, 120) + lifted
    forward = _FORWARD * smooth * np.clip(ahead, -30, 80)
    vector = np.stack([np.zeros(len(lift)), -sign * forward, sign * lift], axis=-1)
    smooth = gaussian_filter1d(vector * _DEG * (0.8 + 0.2 * manner.liveliness), 2.0, axis=0, mode="nearest")
    k = canonical().index(side + "Shoulder")
    rotations[:, k] = rot.mul(rot.from_rotation_vector(smooth), rotations[:, k])


def beats_of(
    prosody: Prosody, strokes: Sequence[float], quiet: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """(time, strength) of every syllable that hands mark; less where a stroke falls anyway, none in `quiet` spans."""
    return [
        (a.time, float(np.clip(0.4 + 0.6 * a.prominence, 0.0, 1.6)) * (0.4 if _close(a.time, strokes) else 1.0))
        for phrase in prosody.phrases
        for a in phrase.accents
        if a.prominence > -0.9 and not any(start < a.time < end for start, end in quiet)
    ]


def _close(time: float, strokes: Sequence[float]) -> bool:
    return any(abs(time - s) < 0.09 for s in strokes)
