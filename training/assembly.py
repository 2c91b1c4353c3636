"""Assembled co-speech: a standing person who talks, put together from real pieces by what the speech does.

The layers, from the ground up: feet and weight (`stance`), trunk and head (`trunk`), arms (`arms`), carried out from
one plan (`plan`) in one manner; legs are solved last, so that planted feet stand still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from backend.motion import posture_plan
from backend.motion.posture_plan import Leg, Resting, Span, rest_changes
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.manner import Manner
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from training import arms, trunk
from training.contact import keep_out
from training.legs import plant
from training.life import Idle, Posture, Shift, Talk
from training.motion_folder import FPS
from training.plan import Placed, Plan, make_plan, tracks
from training.prosody import Prosody
from training.stance import Stance, stand
from training.units import TRUNK_JOINTS, Unit, arm_joints, hand_in_chest, trunk_joints
from training.vocabulary import Rest

_NECK = (0.25, 0.25, 0.5)  # of the head's turn, by neck, upper neck and head
_RESTING_TALK = 0.4
_TALK_SHARE = 0.55  # of the recorded conversation's turns: its feet were not planted
_QUIET = 2.5  # seconds: hands that rest for longer do not beat
_BREATH_PITCH = -0.8  # degrees of the upper spine at full breath


@dataclass(frozen=True, eq=False)
class Stock:
    """What clips are assembled from."""

    units: Sequence[Unit]
    postures: Sequence[Posture]
    idles: Sequence[Idle]
    rests: Sequence[Rest]
    shifts: Sequence[Shift] = ()
    talks: Sequence[Talk] = ()


@dataclass(frozen=True, eq=False)
class Assembled:
    """Motion, and what was planned for the whole clip (`backend.motion.posture_plan`)."""

    motion: Motion
    legs: Sequence[Leg]
    quiet: Sequence[Span]
    changes: Sequence[Resting[Rest]]
    manner: Manner

    def rows(self, count: int) -> Floats:
        """What generators are told of it at each of `count` tokens."""
        return posture_plan.rows(self.legs, self.quiet, self.changes, self.manner, count)


def assemble(
    prosody: Prosody, stock: Stock, frames: int, rng: np.random.Generator, manner: Manner | None = None
) -> Assembled:
    """Motion of `frames` frames at 60 fps for a clip of speech; calm where nobody speaks."""
    manner = manner or Manner()
    times = np.arange(frames) / FPS
    posture = stock.postures[int(rng.integers(len(stock.postures)))]
    plan = make_plan(prosody, stock.units, manner, rng)
    stance = stand(prosody, posture, stock.shifts, frames, manner, rng)
    breath = trunk.breath_curve(prosody, times, rng)
    sway, hip_sway = trunk.idle_track(stock.idles, frames, rng)
    rotations = np.tile(posture.pose, (frames, 1, 1))
    changes = rest_changes(plan.rests, stock.rests, manner, rng)
    holding = _move_arms(rotations, prosody, plan, changes, sway, times, manner, rng)
    lift = trunk.shrug_curve(plan.placed, times, manner, rng)
    for side in SIDES:
        arms.help_with_clavicle(rotations, side, 1 - holding[side], lift + 1.5 * breath, manner)
    hips = _move_trunk(rotations, prosody, plan.placed, plan.rests, stance, stock, sway, breath, times, manner, rng)
    hips = stance.hips + hips + hip_sway * [1.0, 0.0, 1.0]
    motion = _smooth(Motion(FPS, canonical(), hips, rotations))
    ankles, soles = ({s: feet[k] for s, feet in stance.feet.items()} for k in (0, 1))
    return Assembled(keep_out(plant(motion, ankles, soles)), stance.legs, plan.quiet, changes, manner)


def _move_arms(
    rotations: Floats,
    prosody: Prosody,
    plan: Plan,
    changes: Sequence[Resting[Rest]],
    sway: Floats,
    times: Floats,
    manner: Manner,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Rests, idling, gestures and beats of both arms, in place; returns how far each holds on to something (F,)."""
    held = arms.lay_rests(rotations, changes, times)
    long = [span for span in plan.rests if span[1] - span[0] > _QUIET]
    beats = arms.beats_of(prosody, [p.emphasis for p in plan.placed], long)
    holding = {}
    for side, rows in tracks(plan.placed).items():
        joints = list(arm_joints(side))
        alive = np.repeat((1 - held[side])[:, None], len(joints), axis=1)
        own = rot.slerp(rot.identity(*sway[:, joints].shape[:-1]), sway[:, joints], alive)
        rotations[:, joints] = rot.mul(rotations[:, joints], own)
        arms.lay_echo(rotations, side, plan.placed, 1 - held[side], times, manner, rng)
        raised = arms.lay_arm(rotations, side, rows, times)
        holding[side] = np.maximum(held[side] * (1 - np.minimum(2 * raised, 1)), arms.self_touch(rows, times))
        arms.add_beats(rotations, side, raised, holding[side], beats, times, manner, rng)
    return holding


def _move_trunk(
    rotations: Floats,
    prosody: Prosody,
    plan: Sequence[Placed],
    spans: Sequence[tuple[float, float]],
    stance: Stance,
    stock: Stock,
    sway: Floats,
    breath: Floats,
    times: Floats,
    manner: Manner,
    rng: np.random.Generator,
) -> Floats:
    """Hips, spine, neck and head, in place; returns what the hips' path gains by it (F, 3), cm."""
    joints = list(trunk_joints())
    turns = rot.mul(stance.turns, sway[:, joints])
    path = np.zeros((len(times), 3))
    trunk.add_trunk_of_units(turns, path, plan, [0.8 * arms.weight_of(p, times) for p in plan], times)
    stresses = [a.time for phrase in prosody.phrases for a in phrase.accents if a.prominence > 0.0]
    talk = trunk.talk_track(stock.talks, prosody, stresses, times, rng)
    if talk is not None:
        share = np.repeat((_TALK_SHARE * manner.liveliness * _busy(spans, times))[:, None], len(TRUNK_JOINTS), axis=1)
        share[:, 4:] = 0.0  # the head has its own reasons
        turns = rot.mul(turns, rot.slerp(rot.identity(*talk.shape[:-1]), talk, np.clip(share, 0, 1)))
    pelvis, chest = trunk.follow_arms({s: hand_in_chest(rotations, s) for s in SIDES})
    settled = trunk.mark_stresses(prosody, plan, spans, times, manner, rng)
    pelvis, chest = pelvis + settled[0], chest + settled[1]
    chest = chest - pelvis * [0.6, 0.35, 0.75]  # the trunk bends back over the pelvis
    chest[:, 0] += _BREATH_PITCH * breath
    turns[:, 0] = rot.mul(turns[:, 0], _degrees(pelvis))
    for k in range(1, 4):
        turns[:, k] = rot.mul(turns[:, k], _degrees(chest / 3))
    head = trunk.head_track(prosody, _chest_turn(turns), times, manner, rng)
    for part, k in zip(_NECK, range(4, 7), strict=True):
        turns[:, k] = rot.mul(turns[:, k], _degrees(part * head))
    upright = rotations[:, joints]
    # the posture's own turning and tilting belonged to the leg that it stood on: the stance has its own
    upright[:, 0] = rot.swing_twist(upright[:, 0], np.array([1.0, 0.0, 0.0]))[1]
    rotations[:, joints] = rot.mul(upright, turns)
    path[:, 2] += 0.1 * pelvis[:, 0] + 0.12 * chest[:, 0]
    path[:, 0] += 0.1 * pelvis[:, 1]
    return path


def _busy(rests: Sequence[tuple[float, float]], times: Floats) -> Floats:
    """1 where the hands talk, less where they rest (F,), smooth."""
    busy = np.ones(len(times))
    for start, end in rests:
        a, b = np.searchsorted(times, (start, end))
        busy[a:b] = _RESTING_TALK
    return gaussian_filter1d(busy, 0.3 * FPS, mode="nearest")


def _degrees(vector: Floats) -> Floats:
    return rot.from_rotation_vector(np.radians(vector))


def _chest_turn(turns: Floats) -> Floats:
    """How far the chest has turned from how it would stand (F, 3), degrees."""
    chest = turns[:, 0]
    for k in range(1, 4):
        chest = rot.mul(chest, turns[:, k])
    return np.degrees(rot.to_rotation_vector(chest))


def _smooth(motion: Motion, frames: float = 2.0) -> Motion:
    """Take the last corners off the rotations."""
    rotations = rot.continuous(motion.rotations)
    smooth = rot.normalize(gaussian_filter1d(rotations, frames, axis=0, mode="nearest"))
    return Motion(
        motion.fps, motion.skeleton, gaussian_filter1d(motion.root_positions, frames, axis=0, mode="nearest"), smooth
    )
