"""One BVH file to one variant: retarget, clean, find the phases, trim, and start and end in the shared rest pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.bvh import read_bvh
from sg_blender_addon.core.easing import minimum_jerk
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler.compile import FPS, LEAD, TAIL
from SG_dataset.compiler.rest import rest_pose
from SG_dataset.importing import ground
from SG_dataset.importing.contact import keep_contacts
from SG_dataset.importing.joints import find_joints
from SG_dataset.importing.phases import Found, Still, find_phases
from SG_dataset.importing.retarget import Posed, to_canonical
from SG_dataset.importing.smooth import jitter, low_pass, smooth_rotations, without_glitches
from SG_dataset.phases import Phases

LONGEST = 60.0  # s: anything longer is a take with many gestures, not one
SHORTEST = 0.3  # s
LARGEST = 200_000_000  # bytes: a minute of 200 joints at 240 frames per second has less
HURRY = 120.0  # cm/s: how fast, on average, hands are brought from rest to where a clip begins
WAY_IN = 0.6  # of preparation (and retraction) over which the shared rest pose passes into the clip
SHORTEST_WAY = 0.3  # s
MANY_GLITCHES = 0.002  # of all joint frames: above it the report mentions them
NOTABLE_JITTER = 0.4  # degrees


@dataclass(frozen=True)
class Options:
    """How files are read. joints: canonical -> own name; rest: see `to_canonical`; fps: instead of the files'."""

    joints: Mapping[str, str] = field(default_factory=dict)
    rest: str = "auto"
    fps: float = 0.0


@dataclass(frozen=True)
class Clip:
    """An imported variant, where in its file it begins (seconds, may be negative), and what a person should know."""

    motion: Motion
    phases: Phases
    hand: str
    start: float
    notes: tuple[str, ...]


def import_clip(path: Path, options: Options = Options(), stroke: float | None = None) -> Clip:
    """Read and convert one file. stroke: seconds in the file, where somebody knows better than the detection.

    UserError says why a file cannot be used.
    """
    source = read_bvh(path, LARGEST)
    if options.fps:
        source = replace(source, fps=options.fps)
    if not SHORTEST < source.seconds < LONGEST:
        raise UserError(
            f"It lasts {source.seconds:.1f} s; one gesture takes between {SHORTEST:g} and {LONGEST:g} s.",
            "Cut the recording into one file per gesture.",
            "bad_length",
        )
    joints = find_joints(source.skeleton, options.joints)
    notes = _missing(frozenset(joints.joints))
    cleaned, more = _clean(source)
    posed = to_canonical(cleaned, joints.joints, options.rest)
    motion, stance, poles = _stand(posed)
    try:
        found = find_phases(motion)
    except Still as error:
        raise UserError(
            "Nothing moves in it: no hand, head or foot leaves its place.", "Leave the file out.", "no_movement"
        ) from error
    if stroke is not None:
        found = _with_stroke(found, stroke, source.seconds)
    trimmed, phases, start, cut = _trim(motion, stance, poles, found)
    return Clip(trimmed, phases, found.hand, start, (*notes, *more, *cut))


def _missing(found: frozenset[str]) -> tuple[str, ...]:
    notes = []
    fingers = [s for s in SIDES if f"{s}HandIndex1" not in found]
    if fingers:
        notes.append(
            "no fingers: hands stay relaxed" if len(fingers) == 2 else f"no fingers on the {fingers[0].lower()} hand"
        )
    if not any(f"{s}Foot" in found for s in SIDES):
        notes.append("no legs: it stands at rest")
    return tuple(notes)


def _clean(source: Motion) -> tuple[Motion, tuple[str, ...]]:
    """Without glitches and jitter, at 60 frames per second."""
    notes = []
    q, bridged = without_glitches(source.rotations)
    if bridged > MANY_GLITCHES * q.shape[0] * q.shape[1]:
        notes.append(f"{bridged} jumps of single joints bridged")
    shake = jitter(q, source.fps)
    if shake > NOTABLE_JITTER:
        notes.append(f"jitter of {shake:.1f} degrees removed")
    root = low_pass(source.root_positions, source.fps)
    smooth = replace(source, rotations=smooth_rotations(q, source.fps), root_positions=root)
    if source.fps == FPS:
        return smooth, tuple(notes)
    even = smooth.resample(FPS)
    return replace(even, rotations=smooth_rotations(even.rotations, FPS)), tuple(notes)


def _stand(posed: Posed) -> tuple[Motion, ground.Stance, dict[str, Floats]]:
    """On the canonical skeleton, facing +Z, feet on the floor."""
    still = slice(0, max(3, len(posed.root) // 12))
    posed = ground.face_forward(posed, still)
    root, stance = ground.on_floor(posed, still)
    local = posed.local()
    root = ground.lower_to_reach(root, local, stance)
    poles = ground.knee_poles(posed, stance)
    motion = Motion(posed.fps, canonical(), root, ground.bend_legs(root, local, stance, poles))
    return keep_contacts(motion, posed.points), stance, poles


def _with_stroke(found: Found, stroke: float, seconds: float) -> Found:
    if not 0 <= stroke <= seconds:
        raise UserError(
            f"Its stroke is said to be at {stroke:g} s, but it lasts {seconds:.2f} s.",
            "Correct the mapping file.",
            "bad_mapping",
        )
    p = found.phases
    return replace(
        found,
        onset=min(found.onset, stroke),
        offset=max(found.offset, stroke),
        phases=Phases(min(p.stroke_start, stroke), stroke, max(p.stroke_end, stroke), max(p.retraction, stroke)),
    )


def _trim(
    motion: Motion, stance: ground.Stance, poles: dict[str, Floats], found: Found
) -> tuple[Motion, Phases, float, tuple[str, ...]]:
    """From a moment of rest before the gesture to one after it, exactly in the shared rest pose at both ends."""
    notes = []
    if not found.rests_before:
        notes.append("begins in the middle of a movement: a preparation from rest was added")
    if not found.rests_after:
        notes.append("ends in the middle of a movement: a way back to rest was added")
    way_in, way_out = (_way(motion, t) for t in (found.onset, found.offset))
    start = min(found.onset - LEAD, found.phases.stroke_start - way_in)
    end = max(found.offset + TAIL, found.phases.retraction + way_out)
    frames = max(2, round((end - start) * motion.fps)) + 1
    times = start + np.arange(frames) / motion.fps
    phases = Phases(*(float(min(max(t - start, 0.0), (frames - 1) / motion.fps)) for t in _ordered(found.phases)))
    index = np.clip(np.round(times * motion.fps).astype(int), 0, len(motion) - 1)
    weight = _presence(phases, frames, motion.fps, way_in, way_out)
    return _settle(motion, stance, poles, index, weight), phases, start, tuple(notes)


def _ordered(phases: Phases) -> tuple[float, float, float, float]:
    a, b, c, d = phases.stroke_start, phases.stroke, phases.stroke_end, phases.retraction
    return a, max(a, b), max(a, b, c), max(a, b, c, d)


def _way(motion: Motion, time: float) -> float:
    """Seconds that hands need between the shared rest pose and where they are at `time`."""
    frame = min(max(round(time * motion.fps), 0), len(motion) - 1)
    rest_root, rest_local = rest_pose()
    both = replace(
        motion,
        root_positions=np.stack([motion.root_positions[frame], rest_root]),
        rotations=np.stack([motion.rotations[frame], rest_local]),
    )
    places = both.forward_kinematics()[0][:, [canonical().index(side + "Hand") for side in SIDES]]
    return max(SHORTEST_WAY, float(np.linalg.norm(places[0] - places[1], axis=-1).max()) / HURRY)


def _presence(phases: Phases, frames: int, fps: float, way_in: float, way_out: float) -> Floats:
    """How much of the clip is there (F,): 0 at both ends, 1 well before the stroke until well after the hold."""
    time = np.arange(frames) / fps
    last = time[-1]
    rise = min(max(way_in, WAY_IN * phases.stroke_start), max(phases.stroke_start, 2 / fps))
    room = last - phases.retraction
    fall = min(max(way_out, WAY_IN * room), max(room, 2 / fps))
    return np.asarray(minimum_jerk(time / rise) * minimum_jerk((last - time) / fall))


def _settle(
    motion: Motion, stance: ground.Stance, poles: dict[str, Floats], index: NDArray[np.int_], weight: Floats
) -> Motion:
    """The frames `index` of a motion, with the shared rest pose in place of what `weight` (F,) leaves out."""
    rest_root, rest_local = rest_pose()
    w = weight[:, None]
    local = _towards(rest_local, motion.rotations[index], weight)
    root = rest_root + w * (motion.root_positions[index] - rest_root)
    ankles, feet, knees = {}, {}, {}
    for side in SIDES:
        place, turn = ground.rest_stance()[side]
        ankles[side] = place + w * (stance.ankles[side][index] - place)
        feet[side] = _towards(turn[None], stance.feet[side][index][:, None], weight)[:, 0]
        ahead = rot.rotate(turn, ground.AHEAD)
        knees[side] = ahead + w * (rot.normalize(poles[side][index]) - ahead)
    local = ground.bend_legs(root, local, ground.Stance(ankles, feet, stance.stands), knees)
    local[weight <= 0] = rest_local
    return Motion(motion.fps, motion.skeleton, root, rot.normalize(rot.continuous(local)))


def _towards(rest: Floats, clip: Floats, weight: Floats) -> Floats:
    """Mix (F, J, 4) of a rest pose (J, 4) and a clip; one sign per joint, so that nothing flips on the way."""
    clip = rot.continuous(clip)
    agree = np.sum(np.sum(clip * rest, axis=-1) * (1 - weight)[:, None], axis=0)
    clip = np.where(agree[None, :, None] < 0, -clip, clip)
    mixed = rest + weight[:, None, None] * (clip - rest)  # normalised mix: short arcs, and smooth where slerp is not
    return np.asarray(rot.normalize(mixed))
