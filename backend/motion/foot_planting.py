"""Foot planting: while a foot stands, it stands still.

Generated roots and legs disagree by a few centimetres, which shows as sliding feet. Here contacts are found from the
feet's own speed and height, each contact gets one place and one orientation, the feet glide between contacts on
minimum-jerk curves, and two-bone inverse kinematics bends hips and knees to follow. The floor is the height of the
rest pose's toes, so a motion on the canonical skeleton keeps its meaning on any retargeted rig.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.signal import lfilter

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core import two_bone
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.runs import runs
from sg_blender_addon.core.skeleton import Skeleton
from sg_blender_addon.core.storage import blocks, copy

CONTACT_SPEED = 14.0  # cm/s: slower than any step, faster than a swaying shin moves the ankle
CONTACT_HEIGHT = 6.0  # cm above the rest height of the ankle
SHORTEST_CONTACT = 0.2  # s; shorter ones are noise in the speed
SHORTEST_FLIGHT = 0.15  # s; shorter ones too
LONGEST_DRIFT = 12.0  # cm within one contact before the foot is set down anew
STEP_SECONDS = 0.4
STEP_LIFT = 4.0  # cm
LIFTED = 1.2  # cm that an ankle is above the other when the weight is clearly on that one
STEP_MEMORY, STEP_REACH = 20.0, 25.0  # s, cm
REACH = 0.999  # of the straight leg: a leg at full stretch snaps


@dataclass(frozen=True)
class Leg:
    """Joint indices of one leg and the toe's offset from the ankle (cm)."""

    hip: int
    knee: int
    foot: int
    toe: Floats


def legs(skeleton: Skeleton) -> tuple[Leg, Leg]:
    """The right and the left leg of the canonical skeleton."""

    def leg(side: str) -> Leg:
        foot = skeleton.index(f"{side}Foot")
        toe = skeleton.end_offsets[list(skeleton.end_parents).index(foot)]
        return Leg(skeleton.index(f"{side}UpLeg"), skeleton.index(f"{side}Leg"), foot, toe)

    return leg("Right"), leg("Left")


def chain(motion: Motion, leg: Leg) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """World hip, knee and ankle positions (F, 3) and world rotations of thigh's parent (the root) and foot (F, 4)."""
    root = motion.rotations[:, 0]
    thigh = rot.mul(root, motion.rotations[:, leg.hip])
    shin = rot.mul(thigh, motion.rotations[:, leg.knee])
    offsets = motion.skeleton.offsets
    hip = motion.root_positions + rot.rotate(root, offsets[leg.hip])
    knee = hip + rot.rotate(thigh, offsets[leg.knee])
    ankle = knee + rot.rotate(shin, offsets[leg.foot])
    return hip, knee, ankle, root, rot.mul(shin, motion.rotations[:, leg.foot])


def leg_path(motion: Motion, leg: Leg) -> tuple[Floats, Floats, Floats]:
    """World hip and ankle positions (F, 3) and foot rotations (F, 4) of a motion of any length."""
    frames = len(motion)
    hip, ankle, foot = np.empty((frames, 3)), np.empty((frames, 3)), np.empty((frames, 4))
    for part in blocks(frames, motion.rotations):
        hip[part], _, ankle[part], _, foot[part] = chain(motion.slice(part.start, part.stop), leg)
    return hip, ankle, foot


def contacts(ankle: Floats, rest_height: float, fps: float) -> list[tuple[int, int]]:
    """Frame ranges in which a foot stands, from its ankle's path (F, 3)."""
    smooth = gaussian_filter1d(ankle, 0.05 * fps, axis=0, mode="nearest")
    speed = np.linalg.norm(np.gradient(smooth, axis=0)[:, [0, 2]], axis=1) * fps if len(ankle) > 1 else np.zeros(1)
    standing = (speed < CONTACT_SPEED) & (smooth[:, 1] < rest_height + CONTACT_HEIGHT)
    for a, b in runs(~standing):
        if b - a < SHORTEST_FLIGHT * fps:
            standing[a:b] = True
    found = [(a, b) for a, b in runs(standing) if b - a >= min(SHORTEST_CONTACT * fps, len(ankle))]
    return [piece for a, b in found for piece in _without_drift(smooth, a, b, fps)]


def _without_drift(ankle: Floats, start: int, end: int, fps: float) -> list[tuple[int, int]]:
    """Split a contact whose foot creeps too far: it is lifted for a short step and set down again."""
    found, step = [], round(STEP_SECONDS * fps)
    while (away := _drifted(ankle, start, end)) is not None and away + step < end:
        found.append((start, away))
        start = away + step
    return [*found, (start, end)]


def _drifted(ankle: Floats, start: int, end: int) -> int | None:
    """The first frame of start..end that is too far from where the foot was set down at `start`."""
    for part in blocks(end - start):
        near = ankle[start + part.start : start + part.stop]
        far = np.flatnonzero(np.linalg.norm((near - ankle[start])[:, [0, 2]], axis=1) > LONGEST_DRIFT)
        if len(far):
            return start + part.start + int(far[0])
    return None


def _targets(
    ankle: Floats, foot: Floats, spans: list[tuple[int, int]], leg: Leg, skeleton: Skeleton
) -> tuple[Floats, Floats]:
    """Where the ankle (F, 3) and the foot's world rotation (F, 4) should be."""
    rest = skeleton.rest_positions()[leg.foot]
    floor = rest[1] + leg.toe[1]
    places, turns = [], []
    for a, b in spans:
        turn = rot.normalize(np.sum(rot.continuous(foot[a:b]), axis=0))
        place = np.median(ankle[a:b], axis=0)
        place[1] = max(rest[1], floor - rot.rotate(turn, leg.toe)[1])
        places.append(place)
        turns.append(turn)
    target, turned = ankle.copy(), foot.copy()
    for (a, b), place, turn in zip(spans, places, turns, strict=True):
        target[a:b], turned[a:b] = place, turn
    gaps = zip([None, *range(len(spans))], [*range(len(spans)), None], strict=True)
    for before, after in gaps:
        a = spans[before][1] if before is not None else 0
        b = spans[after][0] if after is not None else len(ankle)
        if b <= a:
            continue
        t = minimum_jerk((np.arange(a, b) - a + 1) / (b - a + 1))
        start = places[before] - ankle[a - 1] if before is not None else None
        end = places[after] - ankle[b] if after is not None else None
        first, last = (start if start is not None else end), (end if end is not None else start)
        assert first is not None and last is not None
        target[a:b] = ankle[a:b] + first + t[:, None] * (last - first)
        if before is not None and after is not None:
            stride = float(np.linalg.norm(places[after] - places[before]))
            lift = STEP_LIFT * 16 * (t * (1 - t)) ** 2 * min(1.0, stride / 5)
            own = np.max(ankle[a:b, 1]) - max(ankle[a - 1, 1], ankle[b, 1])
            if own < STEP_LIFT / 2:  # a real step already lifts the foot
                target[a:b, 1] += lift
            turned[a:b] = rot.slerp(turns[before], turns[after], t)
    return target, turned


def solve(motion: Motion, leg: Leg, target: Floats, foot: Floats) -> Floats:
    """Local rotations (F, 3, 4) of thigh, shin and foot that bring the ankle to `target` and the foot to `foot`."""
    hip, knee, ankle, root, _ = chain(motion, leg)
    upper = float(np.linalg.norm(motion.skeleton.offsets[leg.knee]))
    lower = float(np.linalg.norm(motion.skeleton.offsets[leg.foot]))
    thigh = rot.mul(root, motion.rotations[:, leg.hip])
    shin = rot.mul(thigh, motion.rotations[:, leg.knee])
    # The knee bends about an axis across the leg; near a straight leg the cross product is noise, so the thigh's own
    # X axis (the rest pose's hinge) is mixed in.
    sideways = rot.rotate(thigh, np.array([1.0, 0.0, 0.0]))
    axis = np.cross(knee - hip, ankle - knee) + 0.5 * upper * sideways
    limits = {"shortest": abs(upper - lower) + 1e-3, "longest": REACH * (upper + lower)}
    bent = two_bone.solve(target - hip, np.cross(target - hip, axis), upper, lower, **limits)
    thigh = rot.mul(rot.between(knee - hip, bent.middle), thigh)
    shin = rot.mul(rot.between(ankle - knee, bent.lower), shin)
    local = [rot.mul(rot.inverse(root), thigh), rot.mul(rot.inverse(thigh), shin), rot.mul(rot.inverse(shin), foot)]
    return np.stack(local, axis=1)


def _lowering(motion: Motion, hips: list[Floats], targets: list[Floats]) -> Floats:
    """How far (F,) the hips must sink so that both legs reach their targets."""
    need = np.zeros(len(motion))
    for leg, hip, target in zip(legs(motion.skeleton), hips, targets, strict=True):
        length = REACH * float(
            np.linalg.norm(motion.skeleton.offsets[leg.knee]) + np.linalg.norm(motion.skeleton.offsets[leg.foot])
        )
        flat = np.linalg.norm((hip - target)[:, [0, 2]], axis=1)
        highest = np.sqrt(np.maximum(length**2 - flat**2, 0.0)) + target[:, 1]
        need = np.maximum(need, hip[:, 1] - highest)
    width = max(3, round(0.3 * motion.fps))
    return gaussian_filter1d(maximum_filter1d(need, width, mode="nearest"), width / 4, mode="nearest")


def root_over_feet(motion: Motion, progress: Progress | None = None) -> Floats:
    """The hips' path (F, 3), cm, that follows from the legs alone: the feet stand, so the hips are where the legs put
    them. `motion`'s own path is not read.

    A lifted foot does not count; how far steps carry both feet leaks away over `STEP_MEMORY` and stays within
    `STEP_REACH`, so that the character keeps its place. Joint angles of a small decoder are sure to a degree or two for
    hours, its displacements per frame add up to nothing that one could stand on.
    """
    progress = progress or Progress()
    skeleton, rest = motion.skeleton, motion.skeleton.rest_positions()
    progress.stage("feet", 0.0)
    still = replace(motion, root_positions=np.zeros((len(motion), 3)))
    both = legs(skeleton)
    paths = []
    for number, leg in enumerate(both):
        progress.stage("feet", number / 2)
        paths.append(leg_path(still, leg)[1])
    right, left = paths
    middle = (right + left) / 2
    on_left = 1 / (1 + np.exp(-np.clip((right - left)[:, 1] / LIFTED, -30, 30)))
    carried = -(on_left - 0.5)[1:, None] * np.diff(left - right, axis=0)
    leak = np.exp(-1 / (motion.fps * STEP_MEMORY))
    walked = lfilter([1.0], [1.0, -leak], np.concatenate([np.zeros((1, 3)), carried]), axis=0)
    root = STEP_REACH * np.tanh(walked / STEP_REACH) - middle + np.mean([rest[leg.foot] for leg in both], axis=0)
    root[:, 1] = rest[both[0].foot][1] - (on_left * left[:, 1] + (1 - on_left) * right[:, 1])
    return np.asarray(root)


def plant(motion: Motion, progress: Progress | None = None) -> Motion:
    """The same motion with feet that stand where they stand; only root height, thighs, shins and feet change."""
    if len(motion) < 2:
        return motion
    progress = progress or Progress()
    skeleton = motion.skeleton
    rest = skeleton.rest_positions()
    both = legs(skeleton)
    # First the whole figure: soles on the floor on average, so that the legs keep their bend.
    height = np.median([np.median(leg_path(motion, leg)[1][:, 1]) - rest[leg.foot][1] for leg in both])
    motion = replace(motion, root_positions=motion.root_positions - np.array([0.0, height, 0.0]))
    hips, targets, feet = [], [], []
    for number, leg in enumerate(both):
        progress.stage("feet", 0.2 + 0.2 * number)
        hip, ankle, foot = leg_path(motion, leg)
        foot = rot.continuous(foot)
        spans = contacts(ankle, rest[leg.foot][1], motion.fps)
        target, turned = _targets(ankle, foot, spans, leg, skeleton) if spans else (ankle, foot)
        hips.append(hip)
        targets.append(target)
        feet.append(turned)
    root = motion.root_positions.copy()
    root[:, 1] -= _lowering(motion, hips, targets)
    motion = replace(motion, root_positions=root)
    rotations = copy(motion.rotations)
    for part in blocks(len(motion), motion.rotations, rotations):
        progress.stage("feet", 0.6 + 0.4 * part.start / len(motion))
        piece = motion.slice(part.start, part.stop)
        for leg, target, foot in zip(both, targets, feet, strict=True):
            rotations[part, [leg.hip, leg.knee, leg.foot]] = solve(piece, leg, target[part], foot[part])
    return replace(motion, rotations=rotations)


def sliding(motion: Motion) -> float:
    """Mean horizontal speed (cm/s) of ankles and toes while their foot stands: what `plant` is measured by."""
    rest = motion.skeleton.rest_positions()
    speeds = [np.zeros(1)]
    for leg in legs(motion.skeleton):
        _, _, ankle, _, foot = chain(motion, leg)
        toe = ankle + rot.rotate(foot, leg.toe)
        for a, b in contacts(ankle, rest[leg.foot][1], motion.fps):
            steps = np.diff(np.stack([ankle[a:b], toe[a:b]])[..., [0, 2]], axis=1)
            speeds.append(np.linalg.norm(steps, axis=-1).reshape(-1) * motion.fps)
    return float(np.concatenate(speeds).mean())
