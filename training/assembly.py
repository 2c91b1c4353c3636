"""Assembled co-speech: gestures on the stressed syllables of speech, over real standing idles.

What each layer adds: the posture with its idle; arms from the plan (prepared, stroked on the syllable, held, blended
into the next or back to rest); small beats of a raised hand on the syllables between; head nods, torso accents and
weight shifts from energy and pitch; and legs solved so that the feet never move.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.rotations import Array
from sg_blender_addon.core.skeleton import canonical
from training.legs import plant
from training.plan import Placed, make_plan, tracks
from training.prosody import Prosody
from training.smartbody import FPS
from training.units import SIDES, TRUNK, Posture, Unit, arm_joints, trunk_joints

_X, _Y, _Z = np.eye(3)
_DEG = np.pi / 180
_FLEX = {"Left": -_Y, "Right": _Y}  # the elbow's hinge in the canonical T pose


def min_jerk(x: Array) -> Array:
    """0 to 1 with still ends; the time course of a reaching hand (Flash and Hogan 1985)."""
    x = np.clip(x, 0.0, 1.0)
    return x**3 * (10 - 15 * x + 6 * x * x)


def wander(rng: np.random.Generator, frames: int, seconds: float, columns: int = 1) -> Array:
    """Smooth noise (frames, columns) of deviation 1 that changes over about `seconds`."""
    sigma = max(seconds * FPS / 2.5, 1.0)
    noise = gaussian_filter1d(rng.standard_normal((frames + int(8 * sigma), columns)), sigma, axis=0)
    noise /= np.sqrt(1 / (2 * np.sqrt(np.pi) * sigma))
    return np.asarray(noise[int(4 * sigma) : int(4 * sigma) + frames])


def base(posture: Posture, frames: int, rng: np.random.Generator) -> Motion:
    """The posture's idle from a random place, with a little more of the life that short idles lack."""
    skeleton = canonical()
    length = len(posture.sway)
    loop = np.concatenate([np.arange(length), np.arange(length - 2, 0, -1)])
    order = loop[(rng.integers(len(loop)) + np.arange(frames)) % len(loop)]
    rotations = rot.mul(posture.pose, posture.sway[order])
    root = posture.root + posture.root_sway[order]
    amounts = {"Spine": 0.5, "Spine1": 0.4, "Neck": 0.6, "Head": 1.2}
    for side in SIDES:
        amounts |= {f"{side}Arm": 0.7, f"{side}ForeArm": 1.0, f"{side}Hand": 1.2}
    for name, degrees in amounts.items():
        j = skeleton.index(name)
        rotations[:, j] = rot.mul(
            rotations[:, j], rot.from_rotation_vector(degrees * _DEG * wander(rng, frames, 2.5, 3))
        )
    breath = np.sin(2 * np.pi * (np.arange(frames) / FPS / rng.uniform(3.2, 4.5) + rng.random()))
    _turn(rotations, "Spine2", _X, -0.5 * _DEG * breath)
    root = root + wander(rng, frames, 4.0, 3) * np.array([0.35, 0.0, 0.2])
    return Motion(FPS, skeleton, root, rotations)


def _turn(rotations: Array, name: str, axis: Array, angle: Array) -> None:
    j = canonical().index(name)
    rotations[:, j] = rot.mul(rotations[:, j], rot.from_axis_angle(axis, angle))


def sample_unit(placed: Placed, times: Array, joints: list[int]) -> Array:
    """The unit's local rotations (F, len(joints), 4) at clip times, scaled in size about its own rest."""
    source = placed.unit.motion.rotations[:, joints]
    place = np.clip(placed.local(times) * FPS, 0, len(source) - 1)
    low = np.minimum(place.astype(int), len(source) - 2)
    pose = rot.slerp(source[low], source[low + 1], (place - low)[:, None])
    if abs(placed.size - 1) < 1e-3:
        return pose
    first = np.broadcast_to(source[:1], pose.shape)
    return rot.slerp(first, pose, np.full(pose.shape[:-1], placed.size))


def weight_of(placed: Placed, times: Array) -> Array:
    """How far the arm belongs to this gesture: in before the stroke, out from `leave` on."""
    lead = placed.emphasis - placed.start
    if placed.chained:
        ramp = np.clip(0.8 * lead, 0.26, 0.55)
        begin, end = placed.emphasis - 0.05 - ramp, placed.emphasis - 0.05
    else:
        begin, end = placed.start - 0.12, placed.start + 0.6 * lead
    out = 0.75 + 0.004 * placed.unit.size
    return min_jerk((times - begin) / (end - begin)) * (1 - min_jerk((times - placed.leave) / out))


def lay_arm(rotations: Array, side: str, rows: Sequence[Placed], times: Array) -> Array:
    """Compose the gestures of one arm over `rotations` in place; returns how raised the arm is (F,)."""
    joints = list(arm_joints(side))
    raised = np.zeros(len(times))
    for placed, weight in _layers(rows, times):
        live = np.flatnonzero(weight > 1e-4)
        if len(live) == 0:
            continue
        span = slice(int(live[0]), int(live[-1]) + 1)
        pose = sample_unit(placed, times[span], joints)
        share = np.repeat(weight[span, None], len(joints), axis=1)
        rotations[span, joints[0] : joints[-1] + 1] = rot.slerp(
            rotations[span, joints[0] : joints[-1] + 1], pose, share
        )
        raised = np.maximum(raised, weight * min(placed.unit.size / 35.0, 1.0))
    return raised


def _layers(rows: Sequence[Placed], times: Array) -> Iterator[tuple[Placed, Array]]:
    """Each gesture of an arm with its weight (F,) over what lies below it."""
    for i, placed in enumerate(rows):
        weight = weight_of(placed, times)
        if i + 1 < len(rows) and rows[i + 1].chained:
            # once the next gesture has the arm, this one is hidden: it must be gone before the next one retracts
            kept = np.where(times > placed.leave, _kept(placed, times, weight), weight)
            weight = np.where(times > rows[i + 1].emphasis, 0.0, kept)
        yield placed, weight


def _kept(placed: Placed, times: Array, weight: Array) -> Array:
    """A gesture overtaken by a chained one does not fall meanwhile."""
    return np.maximum(weight, weight[np.searchsorted(times, placed.leave) - 1] * (times <= placed.leave + 0.6))


def beat_curve(times: Array, at: float, seconds: float) -> Array:
    """A small up and down stroke: up before `at`, fastest downwards at `at`, back afterwards; peak 1."""
    x = (times - at) / seconds
    return -x * np.exp(0.5 - 0.5 * x * x)


def add_beats(
    rotations: Array,
    side: str,
    raised: Array,
    accents: Sequence[tuple[float, float]],
    times: Array,
    rng: np.random.Generator,
) -> None:
    """Beats of a raised arm on (time, strength) syllables."""
    elbow, wrist, upper = (np.zeros(len(times)) for _ in range(3))
    for at, strength in accents:
        size = strength * rng.uniform(0.7, 1.3)
        elbow += size * beat_curve(times, at, 0.115)
        wrist += size * beat_curve(times, at + 0.05, 0.11)
        upper += size * beat_curve(times, at - 0.02, 0.13)
    # a hand at rest beats a little too; nobody speaks with one arm and turns the other to stone
    share = 0.12 + 0.88 * gaussian_filter1d(raised, 6)
    _turn(rotations, f"{side}ForeArm", _FLEX[side], 13 * _DEG * elbow * share)
    _turn(rotations, f"{side}Hand", _Z if side == "Left" else -_Z, 11 * _DEG * wrist * share)
    _turn(rotations, f"{side}Arm", _FLEX[side], 4 * _DEG * upper * share)
    drift = 3 * _DEG * wander(rng, len(times), 0.9, 3) * gaussian_filter1d(raised, 6)[:, None]  # holds are never frozen
    for name in ("Arm", "ForeArm", "Hand"):
        j = canonical().index(side + name)
        rotations[:, j] = rot.mul(rotations[:, j], rot.from_rotation_vector(drift))


def nod_curve(times: Array, at: float) -> Array:
    """Down into the syllable, a small rebound after it."""

    def bump(centre: float, width: float) -> Array:
        return np.exp(-0.5 * ((times - centre) / width) ** 2)

    return bump(at + 0.03, 0.12) - 0.35 * bump(at + 0.36, 0.16)


def phrase_targets(prosody: Prosody, frames: int, rng: np.random.Generator, columns: int, seconds: float) -> Array:
    """Per phrase a random target (deviation 1) that is approached smoothly, neutral in pauses: (frames, columns)."""
    values = np.zeros((frames, columns))
    for phrase in prosody.phrases:
        cut = [phrase.start]
        while phrase.end - cut[-1] > 3.0:
            cut.append(cut[-1] + rng.uniform(1.2, 2.6))
        for a, b in zip(cut, [*cut[1:], phrase.end + 0.25], strict=True):
            values[int(a * FPS) : int(b * FPS)] = rng.standard_normal(columns)
    return gaussian_filter1d(values, seconds * FPS, axis=0, mode="nearest")


def move_head_and_trunk(
    rotations: Array, prosody: Prosody, arms: dict[str, Array], times: Array, rng: np.random.Generator
) -> None:
    frames = len(times)
    energy = np.interp(times, np.arange(len(prosody.energy)) / 100, prosody.energy)
    pitch = np.interp(times, np.arange(len(prosody.pitch)) / 100, prosody.pitch)
    nod = np.zeros(frames)
    for phrase in prosody.phrases:
        for accent in phrase.accents:
            nod += (2.2 + 1.7 * np.clip(accent.prominence, -1.2, 2.2)) * nod_curve(times, accent.time)
    nod *= rng.uniform(0.8, 1.2)
    look = phrase_targets(prosody, frames, rng, 3, 0.26) * np.array([6.0, 3.0, 2.2])  # turn, tilt, pitch
    lift = -0.35 * pitch  # the chin follows the melody
    for name, share in (("Neck", 0.25), ("Neck1", 0.25), ("Head", 0.5)):
        _turn(rotations, name, _Y, share * look[:, 0] * _DEG)
        _turn(rotations, name, _Z, share * look[:, 1] * _DEG)
        _turn(rotations, name, _X, share * (nod + look[:, 2] + lift) * _DEG)
    lean = phrase_targets(prosody, frames, rng, 3, 0.42) * np.array([1.0, 1.2, 0.8])
    slow = gaussian_filter1d(energy, 15)
    twist = 3.0 * gaussian_filter1d(arms["Right"] - arms["Left"], 18)
    for name in ("Spine", "Spine1", "Spine2"):
        _turn(rotations, name, _X, (0.9 * slow + 0.13 * nod + lean[:, 0] / 3) * _DEG)
        _turn(rotations, name, _Y, (lean[:, 1] + twist) / 3 * _DEG)
        _turn(rotations, name, _Z, lean[:, 2] / 3 * _DEG)


def add_trunk_of_units(rotations: Array, plan: Sequence[Placed], times: Array) -> None:
    """The trunk's own part in each gesture, relative to the unit's rest."""
    joints = list(trunk_joints())
    for placed in plan:
        weight = 0.7 * weight_of(placed, times)
        live = np.flatnonzero(weight > 1e-4)
        if len(live) == 0:
            continue
        span = slice(int(live[0]), int(live[-1]) + 1)
        place = np.clip(placed.local(times[span]) * FPS, 0, len(placed.unit.trunk_delta) - 1)
        delta = placed.unit.trunk_delta[np.round(place).astype(int)]
        share = np.repeat(weight[span, None], len(TRUNK), axis=1)
        turned = rot.slerp(np.broadcast_to(rot.IDENTITY, delta.shape), delta, share)
        for k, j in enumerate(joints):
            rotations[span, j] = rot.mul(rotations[span, j], turned[:, k])


def assemble(
    prosody: Prosody, units: Sequence[Unit], postures: Sequence[Posture], frames: int, rng: np.random.Generator
) -> Motion:
    """Motion of `frames` frames at 60 fps for a clip of speech; feet fixed to the floor, calm where nobody speaks."""
    posture = postures[int(rng.integers(len(postures)))]
    motion = base(posture, frames, rng)
    times = np.arange(frames) / FPS
    plan = make_plan(prosody, units, rng)
    arms = {side: lay_arm(motion.rotations, side, rows, times) for side, rows in tracks(plan).items()}
    used = {round(p.emphasis, 3) for p in plan}
    small = [
        (a.time, float(np.clip(0.6 + 0.35 * a.prominence, 0.15, 1.4)) * (0.4 if round(a.time, 3) in used else 1.0))
        for phrase in prosody.phrases
        for a in phrase.accents
    ]
    for side in SIDES:
        add_beats(motion.rotations, side, arms[side], small, times, rng)
    add_trunk_of_units(motion.rotations, plan, times)
    move_head_and_trunk(motion.rotations, prosody, arms, times, rng)
    motion.root_positions[:] += phrase_targets(prosody, frames, rng, 3, 0.55) * np.array([1.3, 0.0, 0.5])
    return stand(_smooth(motion), posture)


def _smooth(motion: Motion, frames: float = 2.0) -> Motion:
    """Take the last corners off the rotations."""
    rotations = rot.continuous(motion.rotations)
    smooth = rot.normalize(gaussian_filter1d(rotations, frames, axis=0, mode="nearest"))
    return Motion(
        motion.fps, motion.skeleton, gaussian_filter1d(motion.root_positions, frames, axis=0, mode="nearest"), smooth
    )


def stand(motion: Motion, posture: Posture) -> Motion:
    """Legs solved so that ankles and feet are exactly where the posture has them."""
    still = Motion(FPS, motion.skeleton, posture.root[None], posture.pose[None])
    positions, world = still.forward_kinematics()
    feet = [(side, motion.skeleton.index(side + "Foot")) for side in SIDES]
    return plant(motion, {s: positions[0, j] for s, j in feet}, {s: world[0, j] for s, j in feet})
