"""Two-bone leg solving: feet that stay where they stand, whatever the hips do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core import two_bone
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.motion import Motion

_STRAIGHT = 0.999  # of the leg's length: a fully straight knee has no bending plane and pops


def plant(motion: Motion, ankles: dict[str, Floats], feet: dict[str, Floats] | None = None) -> Motion:
    """Bend the legs so that each ankle is at `ankles[side]` ((F, 3) or (3,), world cm).

    The knees keep the bending direction of the motion. The world rotation of each foot is kept, or set to
    `feet[side]` ((F, 4) or (4,)). Where a target is out of reach, the hips come down by what is missing.
    """
    skeleton = motion.skeleton
    frames = len(motion)
    goals = {side: np.broadcast_to(ankles[side], (frames, 3)) for side in SIDES}
    motion = _lower_hips(motion, goals)
    positions, world = motion.forward_kinematics()
    rotations = motion.rotations.copy()
    for side in SIDES:
        hip, knee, foot = (skeleton.index(side + n) for n in ("UpLeg", "Leg", "Foot"))
        upper, lower = (float(np.linalg.norm(skeleton.offsets[joint])) for joint in (knee, foot))
        # the knee stays in the plane of the leg's axis and where the knee cap looks
        ahead = rot.rotate(world[:, hip], np.array([0.0, 0.0, 1.0]))
        limits = {"shortest": abs(upper - lower) + 1e-3, "longest": _STRAIGHT * (upper + lower)}
        bent = two_bone.solve(goals[side] - positions[:, hip], ahead, upper, lower, **limits)
        hip_turn = rot.between(positions[:, knee] - positions[:, hip], bent.middle)
        shin = rot.rotate(hip_turn, positions[:, foot] - positions[:, knee])
        new_hip = rot.mul(hip_turn, world[:, hip])
        new_knee = rot.mul(rot.between(shin, bent.lower), rot.mul(hip_turn, world[:, knee]))
        foot_world = world[:, foot] if feet is None else np.broadcast_to(feet[side], (frames, 4))
        parent = world[:, skeleton.parents[hip]]
        rotations[:, hip] = rot.mul(rot.inverse(parent), new_hip)
        rotations[:, knee] = rot.mul(rot.inverse(new_hip), new_knee)
        rotations[:, foot] = rot.mul(rot.inverse(new_knee), foot_world)
    return replace(motion, rotations=rot.continuous(rotations))


def _lower_hips(motion: Motion, goals: dict[str, Floats]) -> Motion:
    """Bring the hips down, frame by frame, until both ankles can be reached."""
    skeleton = motion.skeleton
    root = motion.root_positions.copy()
    for side in SIDES:
        hip, knee, foot = (skeleton.index(side + n) for n in ("UpLeg", "Leg", "Foot"))
        reach = _STRAIGHT * (np.linalg.norm(skeleton.offsets[knee]) + np.linalg.norm(skeleton.offsets[foot]))
        joint = root + rot.rotate(motion.rotations[:, 0], skeleton.offsets[hip])
        level = np.linalg.norm((joint - goals[side])[:, [0, 2]], axis=-1)
        highest = goals[side][:, 1] + np.sqrt(np.maximum(reach**2 - level**2, 1.0))
        root[:, 1] -= np.maximum(joint[:, 1] - highest, 0.0)
    return replace(motion, root_positions=root)
