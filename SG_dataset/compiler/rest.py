"""The shared rest pose: what every library clip starts from and returns to, and what blending fades over.

Standing at ease: arms hanging with softly bent elbows, fingers relaxed one by one, knees unlocked. `sway` has the
breathing and sway of a person who listens; `rest_pose` is the still pose that clips begin and end in exactly.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk
from sg_blender_addon.core.joint_groups import FINGER_JOINTS, SIDES
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler.arm import TWIST_SHARE
from SG_dataset.compiler.legs import plant_feet
from SG_dataset.notation.shapes import hand_shape

KNEE_DROP = 0.8  # cm the hips sink so that the knees are not locked
ARM_ANGLES = {"abduct": 13.0, "forward": 4.0, "inward": 22.0, "elbow": 24.0, "pronate": 4.0, "wrist_flex": 6.0}


def side_arm_rotations() -> dict[str, Floats]:
    """Local rotations of the left arm at rest, by joint name without its side."""
    a = {k: np.radians(v) for k, v in ARM_ANGLES.items()}
    lower = rot.from_axis_angle([0.0, 0.0, 1.0], -(np.pi / 2 - a["abduct"]))
    swing = rot.from_axis_angle([1.0, 0.0, 0.0], -a["forward"])
    inward = rot.from_axis_angle([1.0, 0.0, 0.0], a["inward"])
    elbow = rot.from_axis_angle([0.0, 1.0, 0.0], -a["elbow"])
    twist = rot.from_axis_angle([1.0, 0.0, 0.0], TWIST_SHARE * a["pronate"])
    flex = rot.from_axis_angle([0.0, 0.0, 1.0], -a["wrist_flex"])
    wrist = rot.mul(rot.from_axis_angle([1.0, 0.0, 0.0], (1 - TWIST_SHARE) * a["pronate"]), flex)
    shoulder = rot.from_axis_angle([0.0, 0.0, 1.0], np.radians(-3.0))
    # the collar sinks a little; the upper arm is lowered in the collar's frame
    arm = rot.mul(swing, rot.mul(lower, inward))
    return {"Shoulder": shoulder, "Arm": arm, "ForeArm": rot.mul(elbow, twist), "Hand": wrist}


def mirror(q: Floats) -> Floats:
    """A rotation seen in the mirror x -> -x."""
    return np.asarray(q * np.array([1.0, 1.0, -1.0, -1.0]))


@cache
def rest_pose() -> tuple[Floats, Floats]:
    """Root position (3,) in cm and local rotations (J, 4) of the still rest pose."""
    skeleton = canonical()
    rotations = rot.identity(len(skeleton))
    for name, degrees in (("Spine", 1.5), ("Spine1", -1.0), ("Spine2", 1.5), ("Neck", 4.0), ("Head", -4.0)):
        rotations[skeleton.index(name)] = rot.from_axis_angle([1.0, 0.0, 0.0], np.radians(degrees))
    shape = hand_shape("relaxed")
    for side in SIDES:
        flip = mirror if side == "Right" else np.asarray
        for name, q in side_arm_rotations().items():
            rotations[skeleton.index(side + name)] = flip(q)
        for i, name in enumerate(FINGER_JOINTS):
            rotations[skeleton.index(side + name)] = flip(shape[i])
    root = skeleton.offsets[0] * [0.0, 1.0, 0.0] - [0.0, KNEE_DROP, 0.0]
    legs = plant_feet(root[None], rotations[None, 0])
    for name, q in legs.items():
        rotations[skeleton.index(name)] = q[0]
    root.setflags(write=False)
    rotations.setflags(write=False)
    return root, rotations


def _wander(time: Floats, periods: tuple[float, ...], rng: np.random.Generator) -> Floats:
    """Slow aimless movement of about unit size: sines whose periods never meet."""
    total = np.zeros_like(time)
    for period in periods:
        total = total + np.sin(2 * np.pi * (time / (period * rng.uniform(0.9, 1.1)) + rng.uniform()))
    return np.asarray(total / len(periods) ** 0.5)


def sway(frames: int, fps: float, seed: int, fade_seconds: float = 0.0) -> dict[str, Floats]:
    """Curves (F,) of living rest: root shifts in cm, angles in degrees, breathing 0..1, faded out at both ends."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames) / fps
    fade = minimum_jerk(np.minimum(t, t[-1] - t) / fade_seconds) if fade_seconds > 0 else np.ones(frames)
    sizes = {
        "shift": (0.55, (5.3, 3.1)),
        "push": (0.35, (4.1, 2.7)),
        "lean": (0.5, (4.7, 2.9)),
        "tilt": (0.5, (5.9, 3.7)),
        "turn": (0.6, (6.7, 3.3)),
        "head_nod": (0.9, (3.1, 1.9)),
        "head_turn": (1.3, (4.3, 2.3)),
        "head_tilt": (0.7, (5.1, 2.9)),
    }
    curves: dict[str, Floats] = {
        name: fade * size * _wander(t, periods, rng) for name, (size, periods) in sizes.items()
    }
    curves["breath"] = fade * 0.5 * (1 - np.cos(2 * np.pi * t / 3.7))
    return curves
