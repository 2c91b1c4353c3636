"""Checks of compiled gestures: what a body can do, what real clips show, and whether hands keep out of the body.

Ranges of movement were measured on 336 moving arms of 265 clips of real gestures (30 frames per second, finite
differences of the wrist's place): peak speed median 110, 99th percentile 344 cm/s; peak acceleration 744 and 4,312
cm/s2; peak jerk 17,156 and 212,629 cm/s3. A gesture must stay under the 99th percentile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import FINGER_JOINTS, SIDES
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler import arm as arms
from SG_dataset.compiler.collide import Capsules, depths
from SG_dataset.compiler.compile import Compiled, compile_variant
from SG_dataset.compiler.hands import hand_point
from SG_dataset.compiler.rest import rest_pose
from SG_dataset.compiler.scene import MIRROR_POINT, MIRROR_TURN, rest_place
from SG_dataset.notation.landmarks import CAPSULES, LANDMARKS, TIP_RADIUS
from SG_dataset.notation.read import read_gesture, shared_poses
from SG_dataset.notation.records import GestureSpec, HandKey
from SG_dataset.notation.shapes import FLEXION_LIMITS
from SG_dataset.phases import Phases

SPEED, ACCELERATION, JERK = 344.0, 4312.0, 212_629.0  # cm/s, cm/s2, cm/s3 at 30 samples per second
# rad/s between consecutive frames, any joint: the fastest joint of the authored gestures turns at 19 rad/s and 99 of
# 100 variants stay below 16, while a joint that flips from end to end of its range in one frame shows 60 to 133
JOINT_SPEED = 20.0
TOUCH_WITHIN = 1.5  # cm
PENETRATION = 1.0  # cm into the body's capsules
REST_TURN = np.radians(1.0)  # difference from the rest pose at both ends
FOOT_SLIDE = 0.3  # cm
DISTINCT = 6.0  # least distance between the strokes of two gestures, see `stroke_distance`
TWIST_SLACK, WRIST_SLACK, FINGER_SLACK = 3.0, 3.0, 6.0  # degrees


@dataclass
class Report:
    """Problems by gesture, pairs that look alike, and measurements."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: int = 0

    @property
    def passed(self) -> bool:
        return not self.problems

    def text(self, verbose: bool = False) -> str:
        lines = [*(self.notes if verbose else []), *self.problems]
        lines.append(f"{self.checked} variants checked, {len(self.problems)} problems.")
        return "\n".join(lines)


def check_files(paths: Iterable[Path]) -> Report:
    """Read, compile and check gesture files; look-alikes are sought among all of them."""
    report, strokes = Report(), {}
    sentences: dict[str, str] = {}
    for path in sorted(paths):
        if path.name.startswith("_"):
            continue
        spec = read_gesture(path, shared_poses(path.parent))
        for example in spec.examples:
            if sentences.setdefault(example.text, spec.id) != spec.id:
                report.problems.append(
                    f"{spec.id}: the sentence {example.text!r} is also in {sentences[example.text]}."
                )
        for variant in spec.variants:
            compiled = compile_variant(spec, variant)
            name = f"{spec.id} {spec.label} variant {variant.number}"
            problems, notes = check_compiled(compiled)
            report.problems += [f"{name}: {p}" for p in problems]
            report.notes.append(f"{name}: {notes}")
            report.checked += 1
            if variant.number == 1:
                strokes[spec.id] = (spec, stroke_features(compiled.motion, compiled.phases, compiled.hand))
    report.problems += look_alikes(strokes)
    return report


def check_library(path: Path) -> Report:
    """Check the motions of a built library, without what only the notation knows.

    People did what an imported library shows, however fast their hands were: there a measurement beyond the limits of
    authored motion is a note, not a problem."""
    from SG_dataset.open import open_library

    report, library = Report(), open_library(path)
    for gesture in library.gestures.values():
        for variant in gesture.variants:
            motion = variant.motion()
            problems, notes = check_motion(motion, variant.phases)
            if library.info.get("kind") == "imported":
                form = check_form(motion, variant.phases)
                notes = "; ".join([notes, *(p for p in problems if p not in form)])
                problems = form
            name = f"{gesture.id} {gesture.label} variant {variant.number}"
            report.problems += [f"{name}: {p}" for p in problems]
            report.notes.append(f"{name}: {notes}")
            report.checked += 1
    return report


def check_compiled(compiled: Compiled) -> tuple[list[str], str]:
    """Problems and one line of measurements of a compiled variant."""
    problems, notes = check_motion(compiled.motion, compiled.phases)
    worst = 0.0
    for start, end, side, hand, other in compiled.contacts:
        frames = sorted({min(len(compiled.motion) - 1, round(t * compiled.motion.fps)) for t in (start, end)})
        for frame in frames:
            gap = contact_gap(compiled.motion, frame, side, hand, other, compiled.hand)
            worst = max(worst, gap)
            if gap > TOUCH_WITHIN:
                problems.append(
                    f"the {side} hand misses {' '.join((hand.anchor, hand.other_point)).strip()} by {gap:.1f} cm "
                    f"at {frame / compiled.motion.fps:.2f} s"
                )
    return problems, notes + (f", contact within {worst:.1f} cm" if compiled.contacts else "")


def check_motion(motion: Motion, phases: Phases) -> tuple[list[str], str]:
    """Problems and one line of measurements of a motion with phases."""
    problems = []
    places, world = motion.forward_kinematics()
    speed, acceleration, jerk = wrist_dynamics(motion, places)
    for name, value, limit in (
        ("speed", speed, SPEED),
        ("acceleration", acceleration, ACCELERATION),
        ("jerk", jerk, JERK),
    ):
        if value > limit:
            problems.append(f"the wrist's peak {name} {value:.0f} is over {limit:.0f}: give the phase more time")
    turn, joint, when = joint_speed(motion)
    if turn > JOINT_SPEED:
        problems.append(f"{joint} turns at {turn:.0f} rad/s at {when:.2f} s, over {JOINT_SPEED:.0f}")
    problems += check_form(motion, phases)
    deepest, where = penetration(motion, places, world)
    if deepest > PENETRATION:
        problems.append(f"{where} is {deepest:.1f} cm inside the body")
    problems += limits(motion)
    return problems, (
        f"speed {speed:.0f} acceleration {acceleration:.0f} jerk {jerk:.0f} joints {turn:.0f} penetration {deepest:.1f}"
    )


def check_form(motion: Motion, phases: Phases) -> list[str]:
    """Problems that keep a variant from being blended: phases out of order, no rest at the ends, sliding feet."""
    problems = []
    if not 0 <= phases.stroke_start <= phases.stroke <= phases.stroke_end <= phases.retraction <= motion.seconds:
        problems.append("the phases are not in order")
    turn = max(rot.angle(rot.mul(rot.inverse(rest_pose()[1]), motion.rotations[f])).max() for f in (0, -1))
    if turn > REST_TURN:
        problems.append(f"it does not start and end at rest ({np.degrees(turn):.1f} degrees off)")
    return problems + _feet(motion, motion.forward_kinematics()[0])


def _feet(motion: Motion, places: Floats) -> list[str]:
    sk = motion.skeleton
    feet = places[:, [sk.index("LeftFoot"), sk.index("RightFoot")]]
    flat = np.abs(motion.rotations[:, sk.index("LeftFoot")] - motion.rotations[0, sk.index("LeftFoot")]).max() < 1
    slide = float(np.ptp(feet[..., [0, 2]], axis=0).max())
    return (
        [f"a foot slides {slide:.1f} cm"]
        if flat and slide > FOOT_SLIDE and np.ptp(feet[..., 1], axis=0).max() < 0.5
        else []
    )


def wrist_dynamics(motion: Motion, places: Floats) -> tuple[float, float, float]:
    """Peak speed, acceleration and jerk of the wrists at 30 samples per second, as the real clips were measured."""
    sk = motion.skeleton
    step = max(1, round(motion.fps / 30))
    wrists = places[::step, [sk.index("LeftHand"), sk.index("RightHand")]]
    values = []
    for _ in range(3):
        wrists = np.diff(wrists, axis=0) * (motion.fps / step)
        values.append(float(np.linalg.norm(wrists, axis=-1).max()) if len(wrists) else 0.0)
    return values[0], values[1], values[2]


def joint_speed(motion: Motion) -> tuple[float, str, float]:
    """The fastest change (rad/s) of a joint's local rotation between consecutive frames, which joint, and when (s)."""
    q = motion.rotations
    if len(q) < 2:
        return 0.0, motion.skeleton.names[0], 0.0
    speed = rot.angle(rot.mul(rot.inverse(q[:-1]), q[1:])) * motion.fps
    frame, joint = divmod(int(speed.argmax()), speed.shape[1])
    return float(speed[frame, joint]), motion.skeleton.names[joint], frame / motion.fps


def penetration(motion: Motion, places: Floats, world: Floats) -> tuple[float, str]:
    """The deepest that palms, knuckles, wrists and finger tips go into head, trunk and thighs (cm), and which."""
    depth, names = hand_depths(motion, places, world)
    worst = depth.max(0)
    return float(worst.max()), names[int(worst.argmax())]


def hand_depths(motion: Motion, places: Floats, world: Floats) -> tuple[Floats, list[str]]:
    """How deep (F, N) each hand's palm, knuckles and finger tips are in head, trunk and thighs (cm, negative outside),
    and their names; places and world: the motion's forward kinematics."""
    sk = motion.skeleton
    ends = dict(zip(sk.end_parents, sk.end_offsets, strict=True))
    names, points, radii = [], [], []
    for side in SIDES:
        for joint, radius in (("Hand", 2.2), *((f"Hand{f}1", 0.9) for f in ("Index", "Middle", "Ring", "Pinky"))):
            names.append(side + joint)
            points.append(places[:, sk.index(side + joint)])
            radii.append(radius)
        for finger in ("Thumb", "Index", "Middle", "Ring", "Pinky"):
            j = sk.index(f"{side}Hand{finger}3")
            names.append(f"{side} {finger} tip")
            points.append(places[:, j] + rot.rotate(world[:, j], ends[j]))
            radii.append(0.5)
    a, b, ra, rb = [], [], [], []
    for joint, end_a, end_b, r_a, r_b in CAPSULES:
        actual = joint.replace("Own", "Left").replace("Other", "Right")
        j, origin = sk.index(actual), rest_place(joint)
        a.append(places[:, j] + rot.rotate(world[:, j], np.array(end_a) - origin))
        b.append(places[:, j] + rot.rotate(world[:, j], np.array(end_b) - origin))
        ra.append(r_a)
        rb.append(r_b)
    capsules = Capsules(np.stack(a, 1), np.stack(b, 1), np.array(ra), np.array(rb))
    depth, _ = depths(np.stack(points, 1), np.array(radii), capsules)
    return np.asarray(depth.max(2)), names


def limits(motion: Motion) -> list[str]:
    """Joint angles beyond what forearms, wrists and fingers can do."""
    sk, problems = motion.skeleton, []
    for side in SIDES:
        flip = MIRROR_TURN if side == "Right" else np.ones(4)
        fore = motion.rotations[:, sk.index(side + "ForeArm")] * flip
        hand = motion.rotations[:, sk.index(side + "Hand")] * flip
        x = np.array([1.0, 0.0, 0.0])
        swing, twist_q = rot.swing_twist(fore, x)
        del swing
        twist, flexion, deviation = arms.wrist_angles(rot.mul(twist_q, hand))
        for name, value, (low, high), slack in (
            ("forearm twist", twist, arms.TWIST_LIMITS, TWIST_SLACK),
            ("wrist flexion", flexion, arms.FLEX_LIMITS, WRIST_SLACK),
            ("wrist deviation", deviation, arms.DEVIATION_LIMITS, WRIST_SLACK),
        ):
            if value.min() < low - slack or value.max() > high + slack:
                problems.append(
                    f"{side.lower()} {name} reaches {value.min():.0f}..{value.max():.0f} degrees "
                    f"(limits {low:.0f}..{high:.0f})"
                )
        for joint in FINGER_JOINTS[3:]:
            low, high = FLEXION_LIMITS[int(joint[-1]) - 1]
            q = motion.rotations[:, sk.index(side + joint)] * flip
            flexed = -np.degrees(rot.to_rotation_vector(q)[:, 2])
            if flexed.min() < low - FINGER_SLACK or flexed.max() > high + FINGER_SLACK:
                problems.append(f"{side}{joint} bends {flexed.min():.0f}..{flexed.max():.0f} degrees")
    return problems


def contact_gap(motion: Motion, frame: int, side: str, hand: HandKey, other: HandKey, dominant: str) -> float:
    """Distance (cm) between a hand's contact point and what it touches at a frame, beyond the gap asked for."""
    one = motion.slice(frame, frame + 1)
    if dominant == "left":  # measured in the space it was written in, for a right-handed speaker
        one = one.mirrored()
        side = {"left": "right", "right": "left"}[side]
    if side == "right":
        one = one.mirrored()
    places, world = one.forward_kinematics()
    sk = canonical()
    at, turn = places[0, sk.index("LeftHand")], world[0, sk.index("LeftHand")]
    point = at + rot.rotate(turn, hand_point(hand.point, hand.shape))
    chest = world[0, sk.index("Spine2")]
    offset = np.array(hand.offset) + np.array(hand.move)
    if hand.anchor == "other":
        local = hand_point(hand.other_point, "relaxed" if other.rest else other.shape) * MIRROR_POINT
        goal = (
            places[0, sk.index("RightHand")]
            + rot.rotate(world[0, sk.index("RightHand")], local)
            + rot.rotate(chest, offset)
        )
        return max(0.0, float(np.linalg.norm(goal - point)) - max(hand.gap, 0.0))
    mark = LANDMARKS[hand.anchor]
    j = sk.index(mark.joint.replace("Own", "Left").replace("Other", "Right"))
    flesh = TIP_RADIUS if hand.point.endswith(("tip", "tips")) else 0.0
    out = rot.normalize(np.array(mark.normal)) * (hand.gap + flesh)
    goal = places[0, j] + rot.rotate(world[0, j], np.array(mark.place) + offset + out - rest_place(mark.joint))
    return float(np.linalg.norm(goal - point))


def stroke_features(motion: Motion, phases: Phases, hand: str) -> Floats:
    """What the eye sees of a stroke (N, D): hands, palms, finger tips and nose at eight instants, cm, right-handed."""
    if hand == "left":
        motion = motion.mirrored()
    times = np.linspace(phases.stroke_start, max(phases.stroke_end, phases.stroke_start + 0.05), 8)
    part = motion.at(times)
    places, world = part.forward_kinematics()
    sk = part.skeleton
    tips = part.end_positions()
    wanted = [i for i, p in enumerate(sk.end_parents) if "Hand" in sk.names[p] or sk.names[p] == "Head"]
    wrists = [sk.index("LeftHand"), sk.index("RightHand"), sk.index("LeftForeArm"), sk.index("RightForeArm")]
    nose = places[:, sk.index("Head")] + rot.rotate(world[:, sk.index("Head")], np.array([0.0, 6.0, 11.0]))
    return np.concatenate([places[:, wrists].reshape(8, -1), 0.6 * tips[:, wanted].reshape(8, -1), 2.0 * nose], axis=1)


def stroke_distance(a: Floats, b: Floats) -> float:
    """Root mean square distance of the features of two strokes, cm per point."""
    return float(np.sqrt(((a - b) ** 2).sum(1).mean() / 6.0))


def look_alikes(strokes: dict[str, tuple[GestureSpec, Floats]]) -> list[str]:
    """Pairs of gestures whose strokes are nearer than `DISTINCT` and that neither file explains under `similar`."""
    found, ids = [], sorted(strokes)
    for i, a in enumerate(ids):
        for b in ids[i + 1 :]:
            near = stroke_distance(strokes[a][1], strokes[b][1])
            if near < DISTINCT and b not in strokes[a][0].similar and a not in strokes[b][0].similar:
                found.append(f"{a} {strokes[a][0].label} and {b} {strokes[b][0].label} look alike ({near:.1f} cm)")
    return found
