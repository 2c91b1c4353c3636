"""Laying semantic gestures over the rhythmic motion.

In the motion domain: the gesturing arm plays the library's clip exactly from stroke to the end of the hold; in
preparation and retraction it moves between rhythm and clip with minimum-jerk weights on logarithms of
hemisphere-continuous quaternions. Legs, hips and root come from the rhythm unless the gesture is one of the legs, torso
and head are mixed unless the gesture is one of theirs, and a one-handed gesture leaves the other arm to the rhythm.
Segments whose `blend` is "codes" take their clip from a decoded code sequence instead (see `blend_codes`), with the
same rules for the rest of the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from backend.gestures.phases import Placement
from backend.gestures.place import find_variant
from backend.motion.postprocess import make_continuous
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk
from sg_blender_addon.core.joint_groups import NECK, SIDES, SPINE, TRUNK, arm_joints, arm_side, trunk_joints
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.skeleton import Skeleton
from sg_blender_addon.core.storage import copy, release
from sg_blender_addon.core.timeline import Segment
from SG_dataset.library import Library
from SG_dataset.records import Variant

# Share of the gesture in joints that also follow the speech, and the angle (degrees from the clip's first pose) from
# which on the joint belongs to the gesture altogether: a bow bows, a nod nods.
TORSO_SHARE, TORSO_ANGLE = 0.5, 20.0
HEAD_SHARE, HEAD_ANGLE = 0.6, 12.0
LEG_ANGLE = 12.0  # a clip whose thighs turn less than this stands: its legs are left to the rhythm
FOOT_ANGLE = 14.0  # a foot that taps turns more, one that the body sways over turns less
COLLAR_ANGLE = 8.0  # degrees: shoulders raised on purpose turn the collar bones more than this
FACE_DISTANCE = 22.0  # cm from the head joint: a hand this near touches the face, so head and neck must be exact
CODE_MARGIN = 0.4  # s over which a decoded gesture fades in: three tokens, the reach of the codes' own mixing


@dataclass(frozen=True)
class Shares:
    """How much of the gesture each joint takes (J,), 0..1, at full weight, and whether its legs and root take part."""

    joints: Floats
    legs: bool

    @classmethod
    def of(cls, clip: Motion, hand: str, stroke: float) -> Shares:
        """Of a clip whose stroke is at `stroke` seconds."""
        names = clip.skeleton.names
        turned = np.degrees(rot.angle(rot.mul(rot.inverse(clip.rotations[:1]), clip.rotations))).max(axis=0)
        legs = any(
            turned[clip.skeleton.index(f"{side}{joint}")] > angle
            for side in SIDES
            for joint, angle in (("UpLeg", LEG_ANGLE), ("Foot", FOOT_ANGLE))
        )
        torso = _growing(TORSO_SHARE, TORSO_ANGLE, sum(turned[clip.skeleton.index(n)] for n in SPINE))
        head = _growing(HEAD_SHARE, HEAD_ANGLE, sum(turned[clip.skeleton.index(n)] for n in NECK))
        if touches_face(clip, hand, stroke):
            head = 1.0
        # a shrug of the shoulders alone gestures with no hand, and yet with both collar bones
        sides = _sides(hand) or tuple(
            side for side in SIDES if turned[clip.skeleton.index(f"{side}Shoulder")] > COLLAR_ANGLE
        )
        joints = np.zeros(len(names))
        for i, name in enumerate(names):
            if name in SPINE:
                joints[i] = torso
            elif name in NECK:
                joints[i] = head
            elif arm_side(name):
                joints[i] = 1.0 if arm_side(name) in sides else 0.0
            else:
                joints[i] = 1.0 if legs else 0.0
        return cls(joints, legs)


def _growing(share: float, enough: float, angle: float) -> float:
    """`share` for small movements, 1 from `enough` degrees on."""
    return share + (1.0 - share) * float(np.clip(angle / enough, 0.0, 1.0)) ** 2


def _upper(skeleton: Skeleton) -> npt.NDArray[np.bool_]:
    """(J,) True for torso, head and arms."""
    return np.array([n in TRUNK or bool(arm_side(n)) for n in skeleton.names])


def _sides(hand: str) -> tuple[str, ...]:
    """The sides whose hands gesture, as joints are named."""
    hand = hand.title()
    if hand in SIDES:
        return (hand,)
    return () if hand in ("None", "Head") else SIDES


def gesturing_joints(skeleton: Skeleton, hand: str) -> list[int]:
    """Joints of the gesturing arms, fingers included; of torso and head where no hand gestures."""
    return arm_joints(skeleton, *_sides(hand)) or trunk_joints(skeleton)


def touches_face(clip: Motion, hand: str, around: float) -> bool:
    """Whether a gesturing hand or finger tip is near the head at `around` seconds of the clip."""
    moment = clip.at([around])
    positions = moment.forward_kinematics()[0][0]
    tips = moment.end_positions()[0]
    head = positions[clip.skeleton.index("Head")]
    for side in _sides(hand):
        points = [positions[clip.skeleton.index(f"{side}Hand")]]
        points += [
            tip
            for tip, parent in zip(tips, clip.skeleton.end_parents, strict=True)
            if clip.skeleton.names[parent].startswith(f"{side}Hand")
        ]
        if min(float(np.linalg.norm(p - head)) for p in points) < FACE_DISTANCE:
            return True
    return False


def _mix(base: Floats, clip: Floats, weight: Floats) -> Floats:
    """Mix (F, J, 4) by weight (F, J) in the space of rotation logarithms.

    A spherical interpolation turns wildly where two moving rotations come to be half a turn apart, which elbows and
    forearms do. Logarithms of time-continuous quaternions have no such place: their mix is as smooth as its two sides.
    The hemisphere of each side is chosen once per joint and transition, the nearer one.
    """
    moving = ((weight > 0) & (weight < 1))[..., None]
    base, clip = rot.continuous(base), rot.continuous(clip)
    base = np.where(np.sum(base[..., :1] * moving, axis=0) < 0, -base, base)
    ours, theirs, turned = rot.to_half_log(base), rot.to_half_log(clip), rot.to_half_log(-clip)
    far = np.sum(((ours - theirs) ** 2) * moving, axis=(0, 2)) > np.sum(((ours - turned) ** 2) * moving, axis=(0, 2))
    theirs = np.where(far[None, :, None], turned, theirs)
    return rot.from_half_log(ours + weight[..., None] * (theirs - ours))


def _window(rhythm: Motion, start: float, end: float) -> tuple[int, int]:
    return max(0, int(np.floor(start * rhythm.fps))), min(len(rhythm), int(np.ceil(end * rhythm.fps)) + 1)


def _layer(rotations: Floats, roots: Floats, rhythm: Motion, placed: Placement, variant: Variant) -> None:
    """Lay one clip over `rotations` (F, J, 4) and `roots` (F, 3), in place."""
    first, last = _window(rhythm, placed.start, placed.end)
    if last <= first:
        return
    clip = variant.motion()
    times = np.arange(first, last) / rhythm.fps
    shown = clip.at(placed.source_times(placed.lead(times)))
    shares = Shares.of(clip, variant.hand, variant.phases.stroke)
    weight = placed.weight(times)
    _mix_window(rotations[first:last], shown.rotations, weight[:, None] * shares.joints, placed, times)
    if shares.legs:
        # The way the hips leave the clip's first pose: the rhythm's own place in the room stays.
        roots[first:last] += weight[:, None] * (shown.root_positions - clip.root_positions[0])


def _layer_decoded(rotations: Floats, rhythm: Motion, decoded: Motion, placed: Placement, variant: Variant) -> None:
    """Lay the upper body of `decoded` (the same time, from codes) over the time of one gesture, in place."""
    start, end = placed.start - CODE_MARGIN / 2, placed.end + CODE_MARGIN / 2
    first, last = _window(rhythm, start, end)
    if last <= first:
        return
    times = np.arange(first, last) / rhythm.fps
    rise = minimum_jerk((times - start) / CODE_MARGIN) * minimum_jerk((end - times) / CODE_MARGIN)
    shares = Shares.of(variant.motion(), variant.hand, variant.phases.stroke)
    weight = rise[:, None] * np.where(_upper(rhythm.skeleton), shares.joints, 0.0)
    _mix_window(rotations[first:last], decoded.at(times).rotations, weight, placed, times)


def _mix_window(window: Floats, shown: Floats, weight: Floats, placed: Placement, times: Floats) -> None:
    joints = np.flatnonzero(weight.max(axis=0) > 0)
    middle = int(np.searchsorted(times, (placed.stroke_start + placed.retraction) / 2))
    # Way in and way out may need different signs: they meet in the hold, where the weight does not change.
    for part in (slice(0, middle), slice(middle, len(window))):
        if part.stop > part.start:
            window[part, joints] = _mix(window[part, joints], shown[part][:, joints], weight[part][:, joints])


def placement(segment: Segment, variant: Variant, seconds: float) -> Placement:
    """The phases of a segment on a timeline of `seconds`."""
    return Placement.of(variant.phases, variant.seconds, segment.start, segment.stroke, segment.end, seconds)


def blend(
    rhythm: Motion,
    segments: Sequence[Segment],
    library: Library,
    *,
    decoded: Motion | None = None,
    progress: Progress | None = None,
) -> Motion:
    """The rhythm with all segments laid over it, in order of time.

    rhythm: canonical skeleton, any frame rate. decoded: the motion of the merged codes, which begins with the rhythm,
    for segments whose `blend` is "codes"; without it they are blended as motion. UserError where the library
    lacks a segment's gesture.
    """
    progress = progress or Progress()
    rotations, roots = copy(rhythm.rotations), copy(rhythm.root_positions)
    for done, segment in enumerate(sorted(segments, key=lambda s: s.start)):
        progress.stage("blend", done / len(segments))
        variant = find_variant(library, segment.gesture_id, segment.variant)
        placed = placement(segment, variant, rhythm.seconds)
        if segment.blend == "codes" and decoded is not None:
            _layer_decoded(rotations, rhythm, decoded, placed, variant)
        else:
            _layer(rotations, roots, rhythm, placed, variant)
        release(rotations)
    make_continuous(rotations, progress)
    return replace(rhythm, root_positions=roots, rotations=rotations)


def placements(segments: Sequence[Segment], library: Library, seconds: float) -> list[Placement]:
    """The phases of all segments, in their order."""
    return [placement(s, find_variant(library, s.gesture_id, s.variant), seconds) for s in segments]
