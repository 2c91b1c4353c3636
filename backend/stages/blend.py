"""Laying semantic gestures over the rhythmic motion.

In the motion domain: the gesturing arm plays the library's clip exactly from stroke to the end of the hold; in
preparation and retraction it moves between rhythm and clip with minimum-jerk weights on hemisphere-continuous
quaternions. Legs, hips and root always come from the rhythm, torso and head are mixed, and a one-handed gesture leaves
the other arm to the rhythm. Segments whose `blend` is "codes" take their clip from a decoded code sequence instead
(see `blend_codes`), with the same rules for the rest of the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.rotations import Array
from sg_blender_addon.core.skeleton import Skeleton
from sg_blender_addon.core.timeline import Segment

from .phases import Placement, minimum_jerk
from .place import LibraryLike, VariantLike, find_variant

TORSO_SHARE = 0.5  # of the gesture's torso; the rest keeps breathing with the speech
HEAD_SHARE = 0.6
FACE_DISTANCE = 22.0  # cm from the head joint: a hand this near touches the face, so head and neck must be exact
CODE_MARGIN = 0.4  # s over which a decoded gesture fades in: three tokens, the reach of the codes' own mixing
_TORSO = ("Spine", "Spine1", "Spine2")
_HEAD = ("Neck", "Neck1", "Head")


@dataclass(frozen=True)
class Shares:
    """How much of the gesture each joint takes (J,), 0..1, at full weight."""

    joints: Array

    @classmethod
    def of(cls, skeleton: Skeleton, hand: str, near_face: bool) -> Shares:
        joints = np.zeros(len(skeleton))
        for i, name in enumerate(skeleton.names):
            if name in _TORSO:
                joints[i] = TORSO_SHARE
            elif name in _HEAD:
                joints[i] = 1.0 if near_face else HEAD_SHARE
            elif _arm_side(name) in _sides(hand):
                joints[i] = 1.0
        return cls(joints)


def _arm_side(name: str) -> str:
    for side in ("Right", "Left"):
        if name.startswith(side) and not any(part in name for part in ("Leg", "Foot", "Toe")):
            return side.lower()
    return ""


def _sides(hand: str) -> tuple[str, ...]:
    hand = hand.lower()
    if hand in ("right", "left"):
        return (hand,)
    return () if hand in ("none", "head") else ("right", "left")


def touches_face(clip: Motion, hand: str, around: float) -> bool:
    """Whether a gesturing hand or finger tip is near the head at `around` seconds of the clip."""
    moment = clip.at([around])
    positions = moment.forward_kinematics()[0][0]
    tips = moment.end_positions()[0]
    head = positions[clip.skeleton.index("Head")]
    for side in _sides(hand):
        points = [positions[clip.skeleton.index(f"{side.capitalize()}Hand")]]
        points += [
            tip
            for tip, parent in zip(tips, clip.skeleton.end_parents, strict=True)
            if clip.skeleton.names[parent].startswith(f"{side.capitalize()}Hand")
        ]
        if min(float(np.linalg.norm(p - head)) for p in points) < FACE_DISTANCE:
            return True
    return False


def slerp_along(a: Array, b: Array, t: Array) -> Array:
    """Spherical interpolation on the hemisphere that a and b are given on: no flip to the short way inside a clip.

    a, b (..., 4), t (...). Where a and b come to oppose each other it degrades to a normalised mix.
    """
    dot = np.clip(np.sum(a * b, axis=-1), -1.0, 1.0)
    theta = np.arccos(dot)
    sine = np.sin(theta)
    straight = sine < 1e-4
    safe = np.where(straight, 1.0, sine)
    wa = np.where(straight, 1 - t, np.sin((1 - t) * theta) / safe)
    wb = np.where(straight, t, np.sin(t * theta) / safe)
    return rot.normalize(wa[..., None] * a + wb[..., None] * b)


def _mix(base: Array, clip: Array, weight: Array) -> Array:
    """Mix (F, J, 4) by weight (F, J): signs are chosen once per joint and transition, so nothing flips on the way."""
    base, clip = rot.continuous(base), rot.continuous(clip)
    moving = (weight > 0) & (weight < 1)
    agreement = np.sum(np.sum(base * clip, axis=-1) * moving, axis=0)
    clip = np.where((agreement < 0)[None, :, None], -clip, clip)
    return slerp_along(base, clip, weight)


def _window(rhythm: Motion, start: float, end: float) -> tuple[int, int]:
    return max(0, int(np.floor(start * rhythm.fps))), min(len(rhythm), int(np.ceil(end * rhythm.fps)) + 1)


def _layer(rotations: Array, rhythm: Motion, placed: Placement, variant: VariantLike) -> None:
    """Lay one clip over `rotations` (F, J, 4), in place."""
    first, last = _window(rhythm, placed.start, placed.end)
    if last <= first:
        return
    clip = variant.motion()
    times = np.arange(first, last) / rhythm.fps
    shown = clip.at(placed.source_times(placed.lead(times)))
    shares = Shares.of(rhythm.skeleton, variant.hand, touches_face(clip, variant.hand, variant.phases.stroke))
    _mix_window(rotations[first:last], shown.rotations, placed.weight(times)[:, None] * shares.joints, placed, times)


def _layer_decoded(rotations: Array, rhythm: Motion, decoded: Motion, placed: Placement, hand: str) -> None:
    """Lay the upper body of `decoded` (the same frames, from codes) over the time of one gesture, in place."""
    start, end = placed.start - CODE_MARGIN / 2, placed.end + CODE_MARGIN / 2
    first, last = _window(rhythm, start, end)
    if last <= first:
        return
    times = np.arange(first, last) / rhythm.fps
    rise = minimum_jerk((times - start) / CODE_MARGIN) * minimum_jerk((end - times) / CODE_MARGIN)
    weight = rise[:, None] * Shares.of(rhythm.skeleton, hand, near_face=True).joints
    _mix_window(rotations[first:last], decoded.rotations[first:last], weight, placed, times)


def _mix_window(window: Array, shown: Array, weight: Array, placed: Placement, times: Array) -> None:
    joints = np.flatnonzero(weight.max(axis=0) > 0)
    middle = int(np.searchsorted(times, (placed.stroke_start + placed.retraction) / 2))
    # Way in and way out may need different signs: they meet in the hold, where the weight does not change.
    for part in (slice(0, middle), slice(middle, len(window))):
        if part.stop > part.start:
            window[part, joints] = _mix(window[part, joints], shown[part][:, joints], weight[part][:, joints])


def placement(segment: Segment, variant: VariantLike, seconds: float) -> Placement:
    """The phases of a segment on a timeline of `seconds`."""
    return Placement.of(variant.phases, variant.seconds, segment.start, segment.stroke, segment.end, seconds)


def blend(
    rhythm: Motion, segments: Sequence[Segment], library: LibraryLike, *, decoded: Motion | None = None
) -> Motion:
    """The rhythm with all segments laid over it, in order of time.

    rhythm: canonical skeleton, any frame rate. decoded: the motion of the merged codes, frame by frame beside the
    rhythm, for segments whose `blend` is "codes"; without it they are blended as motion. UserError where the library
    lacks a segment's gesture.
    """
    rotations = np.array(rhythm.rotations)
    for segment in sorted(segments, key=lambda s: s.start):
        variant = find_variant(library, segment.gesture_id, segment.variant)
        placed = placement(segment, variant, rhythm.seconds)
        if segment.blend == "codes" and decoded is not None:
            _layer_decoded(rotations, rhythm, decoded, placed, variant.hand)
        else:
            _layer(rotations, rhythm, placed, variant)
    for joint in range(len(rhythm.skeleton)):  # joint by joint: an hour of motion fits memory once, not twice
        rotations[:, joint] = rot.continuous(rotations[:, joint])
    return replace(rhythm, rotations=rotations)


def placements(segments: Sequence[Segment], library: LibraryLike, seconds: float) -> list[Placement]:
    """The phases of all segments, in their order."""
    return [placement(s, find_variant(library, s.gesture_id, s.variant), seconds) for s in segments]
