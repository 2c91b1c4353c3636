"""Gesture units and standing postures cut from the retargeted clips."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.rotations import Array
from sg_blender_addon.core.skeleton import Skeleton, canonical
from training.smartbody import FPS, Clip

SIDES = ("Left", "Right")
# not talk: changes of stance, stretching, self-touch, fights, insults
_NOT_TALK = re.compile(
    r"^$|ToIdle|Stretch|Scratch|Squeeze|TouchHands|Guitar|ScrewYou|ThrowAway|WeightShift|Contemplate|Think"
)
_MOVING_CM = 9.0  # a hand that strays less from its start is not part of the gesture
TRUNK = ("Spine", "Spine1", "Spine2", "Neck", "Neck1", "Head")


@cache
def arm_joints(side: str) -> tuple[int, ...]:
    """Indices of the collar bone, arm and fingers of a side."""
    skeleton = canonical()
    return tuple(i for i, n in enumerate(skeleton.names) if n.startswith(side) and not re.search(r"UpLeg|Leg$|Foot", n))


@cache
def trunk_joints() -> tuple[int, ...]:
    return tuple(canonical().index(n) for n in TRUNK)


@dataclass(frozen=True, eq=False)
class Unit:
    """One gesture: its motion (60 fps) and, in seconds, when the hand has left rest (`begin`), reaches its peak
    (`emphasis`, belongs on the stressed word), and starts back (`leave`). `size` is the reach from rest in cm."""

    name: str
    motion: Motion
    begin: float
    emphasis: float
    leave: float
    sides: tuple[str, ...]
    size: float
    trunk_delta: Array = field(repr=False)  # (F, 6, 4) rotations relative to the first frame

    def mirrored(self) -> Unit:
        flipped = tuple({"Left": "Right", "Right": "Left"}[s] for s in self.sides)
        return Unit(
            f"{self.name}~",
            self.motion.mirrored(),
            self.begin,
            self.emphasis,
            self.leave,
            flipped,
            self.size,
            self.trunk_delta * np.array([1.0, 1.0, -1.0, -1.0]),
        )


@dataclass(frozen=True, eq=False)
class Posture:
    """How one stands at rest: a pose with hanging arms and small real idle motion as rotations relative to it."""

    name: str
    root: Array  # (3,)
    pose: Array  # (J, 4)
    sway: Array  # (F, J, 4)
    root_sway: Array  # (F, 3)

    def mirrored(self) -> Posture:
        def flip(root: Array, rotations: Array) -> Motion:
            return Motion(FPS, canonical(), root, rotations).mirrored()

        still, moving = flip(self.root[None], self.pose[None]), flip(self.root_sway, self.sway)
        return Posture(
            f"{self.name}~", still.root_positions[0], still.rotations[0], moving.rotations, moving.root_positions
        )


def hand_paths(motion: Motion) -> dict[str, Array]:
    """Hand positions (F, 3) relative to the hips, cm, per side."""
    positions, _ = motion.forward_kinematics()
    return {s: positions[:, motion.skeleton.index(s + "Hand")] - positions[:, 0] for s in SIDES}


def unit_of(clip: Clip) -> Unit | None:
    """The gesture of a clip; None where the hands stay at rest or the clip is no talk."""
    if _NOT_TALK.search(clip.gesture):
        return None
    paths = hand_paths(clip.motion)
    strays = {s: np.linalg.norm(p - p[0], axis=-1) for s, p in paths.items()}
    sides = tuple(s for s in SIDES if strays[s].max() > _MOVING_CM)
    if not sides:
        return None
    stray = np.max([strays[s] for s in sides], axis=0)
    size = float(stray.max())
    emphasis = round(clip.sync.get("emphasis", 0.0) * FPS)
    # in a few clips the noted instant is not at the gesture's height: the farthest point is then the better anchor
    if not 0 < emphasis < len(stray) or stray[emphasis] < 0.5 * size:
        emphasis = int(np.argmax(stray))
    begin = int(np.argmax(stray > 0.06 * size))
    leave = int(np.flatnonzero(stray > 0.72 * size)[-1])
    if emphasis - begin < 0.15 * FPS:
        return None
    first = clip.motion.rotations[:1, list(trunk_joints())]
    delta = rot.mul(rot.inverse(first), clip.motion.rotations[:, list(trunk_joints())])
    return Unit(
        f"{clip.set}/{clip.name}",
        clip.motion,
        begin / FPS,
        emphasis / FPS,
        max(leave, emphasis + 2) / FPS,
        sides,
        size,
        delta,
    )


def collect_units(clips: list[Clip]) -> list[Unit]:
    """All gestures and their mirror images; a clip found in two sets is taken once."""
    chosen: dict[str, Unit] = {}
    for clip in clips:
        unit = unit_of(clip)
        if unit is not None:
            chosen[clip.name] = unit
    units = list(chosen.values())
    return units + [u.mirrored() for u in units]


def _mean_pose(rotations: Array) -> Array:
    """Mean of (N, J, 4) rotations close to each other."""
    signs = np.where(np.sum(rotations * rotations[:1], axis=-1, keepdims=True) < 0, -1.0, 1.0)
    return rot.normalize((rotations * signs).mean(axis=0))


def _deltas(motion: Motion) -> tuple[Array, Array]:
    pose = _mean_pose(motion.rotations)
    return rot.mul(rot.inverse(pose), motion.rotations), motion.root_positions - motion.root_positions.mean(axis=0)


def _ping_pong(values: Array, frames: int) -> Array:
    """Repeat forwards and backwards to a length."""
    loop = np.concatenate([values, values[-2:0:-1]])
    return loop[np.arange(frames) % len(loop)]


def collect_postures(clips: list[Clip], most: int = 2) -> list[Posture]:
    """Up to `most` postures with hanging arms, those with an idle of their own first, and their mirror images.

    Postures without an idle of their own borrow the small motion of the others' idles, relative to their own pose:
    trunk and legs from the longest idle, arms from an idle with hanging arms.
    """
    idles = [c for c in clips if c.gesture == ""]
    if not idles:
        idles = sorted(clips, key=lambda c: -len(c.motion))[:1]
    longest = max(idles, key=lambda c: len(c.motion))
    hanging = [c for c in idles if hangs(c.motion)] or idles
    frames = max(len(longest.motion), 10 * int(FPS))
    sway, root_sway = (_ping_pong(v, frames) for v in _deltas(longest.motion))
    names = dict.fromkeys((c.set, c.posture) for c in clips)
    postures: dict[str, Posture] = {}
    for number, (set_name, posture) in enumerate(names):
        group = [c for c in clips if (c.set, c.posture) == (set_name, posture) and hangs(c.motion)]
        if len(group) == 0 or posture in postures:
            continue
        starts = np.stack([c.motion.rotations[0] for c in group])
        own = sway.copy()
        arms, _ = _deltas(hanging[number % len(hanging)].motion)
        for side in SIDES:
            joints = list(arm_joints(side))
            own[:, joints] = _ping_pong(arms[:, joints], frames)
        root = np.mean([c.motion.root_positions[0] for c in group], axis=0)
        postures[posture] = Posture(posture, root, _mean_pose(starts), own, root_sway)
    own_idle = {c.posture for c in idles}
    result = sorted(postures.values(), key=lambda p: p.name not in own_idle)[:most]
    return result + [p.mirrored() for p in result]


def hangs(motion: Motion) -> bool:
    """Whether both hands hang below the hips' top at the first frame, near the body."""
    paths = hand_paths(motion.slice(0, 1))
    return all(p[0, 1] < 3.0 and abs(p[0, 2]) < 30.0 for p in paths.values())


def skeleton() -> Skeleton:
    return canonical()
