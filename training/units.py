"""Gesture units cut from the retargeted clips."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from sg_blender_addon.core import joint_groups
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import SIDES, TRUNK
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from training.motion_folder import FPS, Clip

_OTHER = {"Left": "Right", "Right": "Left"}
# not talk: changes of stance, stretching, fights, insults
_NOT_TALK = re.compile(r"^$|ToIdle|Stretch|Guitar|ScrewYou|ThrowAway|WeightShift|Transition|Crossed|LeanForward|Relax")
# hands that busy themselves with the body: for pauses, never on a stressed word
_SELF_TOUCH = re.compile(r"Scratch|Squeeze|TouchHands|Contemplate|Think|Touch")
_LONGEST = 8.0  # seconds: longer clips are conversations
_MOVING_CM = 9.0  # a hand that strays less from its start is not part of the gesture
TRUNK_JOINTS = ("Hips", *TRUNK)


@cache
def arm_joints(side: str) -> tuple[int, ...]:
    """Indices of the collar bone, arm and fingers of a side."""
    return tuple(joint_groups.arm_joints(canonical(), side))


def hand_in_chest(rotations: Floats, side: str) -> Floats:
    """Hand path (F, 3), cm, from the chest joint and in its frame."""
    skeleton = canonical()
    place = np.zeros((len(rotations), 3))
    world = rot.identity(len(rotations))
    for name in ("Shoulder", "Arm", "ForeArm", "Hand"):
        j = skeleton.index(side + name)
        place = place + rot.rotate(world, skeleton.offsets[j])
        world = rot.mul(world, rotations[:, j])
    return place


@cache
def trunk_joints() -> tuple[int, ...]:
    return tuple(canonical().index(n) for n in TRUNK_JOINTS)


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
    trunk_delta: Floats = field(repr=False)  # (F, 7, 4) rotations of `TRUNK_JOINTS` relative to the first frame
    hips_delta: Floats = field(repr=False)  # (F, 3) path of the hips from the first frame, cm
    peak: dict[str, tuple[Floats, Floats]]  # hand place (3,) from the hips, world turn (4,) at the emphasis, per side
    self_touch: bool = False

    def mirrored(self) -> Unit:
        flipped = tuple(s for s in SIDES if _OTHER[s] in self.sides)
        return Unit(
            f"{self.name}~",
            self.motion.mirrored(),
            self.begin,
            self.emphasis,
            self.leave,
            flipped,
            self.size,
            self.trunk_delta * np.array([1.0, 1.0, -1.0, -1.0]),
            self.hips_delta * np.array([-1.0, 1.0, 1.0]),
            {_OTHER[s]: (at * [-1.0, 1.0, 1.0], turn * [1.0, 1.0, -1.0, -1.0]) for s, (at, turn) in self.peak.items()},
            self.self_touch,
        )


def hand_paths(motion: Motion) -> dict[str, Floats]:
    """Hand positions (F, 3) relative to the hips, cm, per side."""
    positions, _ = motion.forward_kinematics()
    return {s: positions[:, motion.skeleton.index(s + "Hand")] - positions[:, 0] for s in SIDES}


def _hands_at(motion: Motion, frame: int) -> dict[str, tuple[Floats, Floats]]:
    positions, world = motion.slice(frame, frame + 1).forward_kinematics()
    hands = {side: motion.skeleton.index(side + "Hand") for side in SIDES}
    return {side: (positions[0, j] - positions[0, 0], world[0, j]) for side, j in hands.items()}


def unit_of(clip: Clip) -> Unit | None:
    """The gesture of a clip; None where the hands stay at rest or the clip is no talk."""
    if _NOT_TALK.search(clip.gesture) or clip.motion.seconds > _LONGEST:
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
        clip.motion.root_positions - clip.motion.root_positions[:1],
        _hands_at(clip.motion, emphasis),
        bool(_SELF_TOUCH.search(clip.gesture)),
    )


def collect_units(clips: Sequence[Clip]) -> list[Unit]:
    """All gestures and their mirror images."""
    units = [unit for unit in map(unit_of, clips) if unit is not None]
    return units + [u.mirrored() for u in units]
