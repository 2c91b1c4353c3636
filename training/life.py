"""What real standing people do beside gesturing, cut from the clips: ways of standing, idles, weight shifts, talk.

Everything is kept relative to something (a mean pose, the way from one foot to the other), so that it can be laid over
any way of standing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from training.motion_folder import FPS, Clip
from training.units import TRUNK_JOINTS, arm_joints, hand_paths, trunk_joints

_FLIP = np.array([1.0, 1.0, -1.0, -1.0])
_SLOW = 1.5  # seconds: what an idle's hips do more slowly than this is a shift of weight, not sway
_SHIFT_CM = 6.0  # hips that travel sideways by less have not changed the leg they stand on
_LONGEST_SHIFT = 4.0  # seconds
_TALK_NOISE = 0.07  # seconds of smoothing over conversation that was captured by camera
_TALK_DRIFT = 2.0  # seconds: slower turns are steps to where the feet went, which here stay
_LEAST_TURN = 4.0  # degrees/s of pelvis: a conversation whose hips turn less has no trunk worth taking


@dataclass(frozen=True, eq=False)
class Posture:
    """A way of standing with hanging arms. pose (J, 4); feet: ankle places (3,) and world turns (4,) by side.

    hips (3,): the hips' place from the middle between the ankles; its x is the leg that carried the weight.
    """

    name: str
    pose: Floats
    feet: dict[str, tuple[Floats, Floats]]
    hips: Floats

    def mirrored(self) -> Posture:
        still = Motion(FPS, canonical(), np.zeros((1, 3)), self.pose[None]).mirrored()
        other = {"Left": "Right", "Right": "Left"}
        feet: dict[str, tuple[Floats, Floats]] = {
            other[s]: (at * [-1.0, 1.0, 1.0], turn * _FLIP) for s, (at, turn) in self.feet.items()
        }
        return Posture(f"{self.name}~", still.rotations[0], feet, self.hips * [-1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Idle:
    """Real standing: rotations (F, J, 4) relative to the mean pose, and the hips' quick sway (F, 3), cm."""

    name: str
    sway: Floats
    hips: Floats

    def mirrored(self) -> Idle:
        flipped = Motion(FPS, canonical(), self.hips, self.sway).mirrored()
        return Idle(f"{self.name}~", flipped.rotations, flipped.root_positions)


@dataclass(frozen=True, eq=False)
class Shift:
    """How weight goes from one leg to the other, by frame: `progress` (F,) 0 to 1 of the way sideways (to +x), and what
    happens beside it: `detour` (F, 2) of the hips up and ahead, and turns (F, 7, 4) of `TRUNK_JOINTS`, both without the
    straight change from start to end."""

    name: str
    progress: Floats
    detour: Floats
    turns: Floats

    @property
    def seconds(self) -> float:
        return len(self.progress) / FPS

    def mirrored(self) -> Shift:
        return Shift(f"{self.name}~", self.progress, self.detour, self.turns * _FLIP)


@dataclass(frozen=True, eq=False)
class Talk:
    """A trunk in conversation: turns (F, 7, 4) of `TRUNK_JOINTS` relative to the mean, and the frames at which it turns
    fastest (N,): what falls shortly before a stressed syllable."""

    name: str
    turns: Floats
    peaks: Floats

    def mirrored(self) -> Talk:
        return Talk(f"{self.name}~", self.turns * _FLIP, self.peaks)


def mean_pose(rotations: Floats) -> Floats:
    """Mean (J, 4) of (N, J, 4) rotations close to each other."""
    signs = np.where(np.sum(rotations * rotations[:1], axis=-1, keepdims=True) < 0, -1.0, 1.0)
    return rot.normalize((rotations * signs).mean(axis=0))


def relative(motion: Motion) -> Floats:
    """Rotations (F, J, 4) relative to the mean pose."""
    return rot.mul(rot.inverse(mean_pose(motion.rotations)), motion.rotations)


def collect_postures(clips: Sequence[Clip], most: int) -> list[Posture]:
    """Up to `most` ways of standing with hanging arms, those with an idle first, and their mirror images."""
    found: dict[str, list[Clip]] = {}
    for clip in clips:
        if "@" in clip.name and hangs(clip.motion):
            found.setdefault(clip.posture, []).append(clip)
    idles = {c.posture for c in clips if c.gesture == ""}
    names = sorted(found, key=lambda name: name not in idles)[:most]
    postures = [_posture(name, found[name]) for name in names]
    return postures + [p.mirrored() for p in postures]


def _posture(name: str, group: Sequence[Clip]) -> Posture:
    starts = np.stack([c.motion.rotations[0] for c in group])
    first = group[0].motion
    root = np.mean([c.motion.root_positions[0] for c in group], axis=0)
    still = Motion(FPS, first.skeleton, root[None], mean_pose(starts)[None])
    positions, world = still.forward_kinematics()
    feet = {s: (positions[0, j], world[0, j]) for s, j in ((s, first.skeleton.index(s + "Foot")) for s in SIDES)}
    middle = (feet["Left"][0] + feet["Right"][0]) / 2 * [1.0, 0.0, 1.0]
    feet = {s: (at - middle, turn) for s, (at, turn) in feet.items()}
    pose = still.rotations[0].copy()
    # the spine turned and tilted against the pelvis, for the leg that was stood on: talkers stand on either
    joints = list(trunk_joints())
    pose[joints] = rot.swing_twist(pose[joints], np.array([1.0, 0.0, 0.0]))[1]
    return Posture(name, pose, feet, root - middle)


def collect_idles(clips: Sequence[Clip]) -> list[Idle]:
    """The living idles and their mirror images; the longest clip stands in where a folder has none."""
    chosen = [c for c in clips if c.gesture == "" and len(c.motion) > 3 * FPS]
    if not chosen:
        chosen = sorted(clips, key=lambda c: -len(c.motion))[:1]
    idles = []
    for clip in chosen:
        slow = gaussian_filter1d(clip.motion.root_positions, _SLOW * FPS, axis=0, mode="nearest")
        idles.append(Idle(clip.name, relative(clip.motion), clip.motion.root_positions - slow))
    return idles + [i.mirrored() for i in idles]


def collect_shifts(clips: Sequence[Clip]) -> list[Shift]:
    """Every change of the standing leg in the clips, as a way to +x, and mirrored."""
    shifts = [shift for clip in clips for shift in _shifts_of(clip)]
    return shifts + [s.mirrored() for s in shifts]


def _shifts_of(clip: Clip) -> list[Shift]:
    if not re.search(r"WeightShift|ToIdle0", clip.name):
        return []
    x = gaussian_filter1d(clip.motion.root_positions[:, 0], 0.08 * FPS, mode="nearest")
    velocity = np.gradient(x) * FPS
    shifts = []
    moving = np.abs(velocity) > 2.5
    edges = np.flatnonzero(np.diff(np.concatenate([[0], moving.astype(int), [0]])))
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        begin, end = max(a - 12, 0), min(b + 12, len(x))
        if abs(x[end - 1] - x[begin]) > _SHIFT_CM and end - begin < _LONGEST_SHIFT * FPS:
            shifts.append(_shift(f"{clip.name}:{begin}", clip.motion.slice(begin, end), x[begin:end]))
    return shifts


def _shift(name: str, motion: Motion, x: Floats) -> Shift:
    if x[-1] < x[0]:
        motion, x = motion.mirrored(), -x
    progress = (x - x[0]) / (x[-1] - x[0])
    hips = gaussian_filter1d(motion.root_positions[:, 1:], 0.05 * FPS, axis=0, mode="nearest")
    detour = hips - (hips[:1] + progress[:, None] * (hips[-1:] - hips[:1]))
    joints = list(trunk_joints())
    turns = motion.rotations[:, joints]
    share = np.repeat(np.clip(progress, 0, 1)[:, None], len(TRUNK_JOINTS), axis=1)
    straight = rot.slerp(np.broadcast_to(turns[:1], turns.shape), np.broadcast_to(turns[-1:], turns.shape), share)
    return Shift(name, progress, detour, rot.mul(rot.inverse(straight), turns))


def collect_talk(clips: Sequence[Clip]) -> list[Talk]:
    """Conversations whose trunk is alive, and their mirror images."""
    found = []
    for clip in clips:
        if "conversation" not in f"{clip.set}/{clip.name}":
            continue
        turns = rot.continuous(relative(clip.motion)[:, list(trunk_joints())])
        slow = rot.normalize(gaussian_filter1d(turns, _TALK_DRIFT * FPS, axis=0, mode="nearest"))
        turns = rot.normalize(gaussian_filter1d(turns, _TALK_NOISE * FPS, axis=0, mode="nearest"))
        turns = rot.continuous(rot.mul(rot.inverse(slow), turns))
        speed = rot.angle(rot.mul(rot.inverse(turns[:-1, :4]), turns[1:, :4])).sum(axis=1) * FPS
        speed = gaussian_filter1d(np.degrees(speed), 0.06 * FPS)
        if np.median(speed) > _LEAST_TURN:
            peaks, _ = find_peaks(speed, prominence=0.3 * speed.std(), distance=int(0.25 * FPS))
            found.append(Talk(clip.name, turns, peaks))
    return found + [t.mirrored() for t in found]


def hangs(motion: Motion) -> bool:
    """Whether both hands hang below the hips' top at the first frame, near the body."""
    paths = hand_paths(motion.slice(0, 1))
    return all(p[0, 1] < 3.0 and abs(p[0, 2]) < 30.0 for p in paths.values())


def arms_of(pose: Floats) -> dict[str, Floats]:
    """Local rotations of collar bone, arm and fingers per side, of a pose (J, 4)."""
    return {side: pose[list(arm_joints(side))] for side in SIDES}
