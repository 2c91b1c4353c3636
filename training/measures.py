"""What a motion loses on its way through the tokenizer. How alive it is, `backend.measure` says."""

from __future__ import annotations

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.motion import Motion


def joint_speeds(motion: Motion) -> Floats:
    """Angular speed (F - 1, J), degrees per second."""
    turns = rot.angle(rot.mul(rot.inverse(motion.rotations[:-1]), motion.rotations[1:]))
    return np.asarray(np.degrees(turns) * motion.fps)


def hands(motion: Motion) -> Floats:
    """Hand positions (F, 2, 3) relative to the hips, cm."""
    positions, _ = motion.forward_kinematics()
    return positions[:, [motion.skeleton.index(s + "Hand") for s in SIDES]] - positions[:, :1]


def differences(a: Motion, b: Motion) -> dict[str, float]:
    """Mean joint rotation error in degrees and mean hand position error in cm of two motions of the same length."""
    turn = np.degrees(rot.angle(rot.mul(rot.inverse(a.rotations), b.rotations)))
    finger = np.array(["Hand" in n and not n.endswith("Hand") for n in a.skeleton.names])
    return {
        "body_degrees": float(turn[:, ~finger].mean()),
        "fingers_degrees": float(turn[:, finger].mean()),
        "hands_cm": float(np.linalg.norm(hands(a) - hands(b), axis=-1).mean()),
    }


def border_ratio(motion: Motion, frames_per_token: int = 8) -> float:
    """Mean change of the arms' turning speed where a token begins, against elsewhere: 1 means that borders cannot be
    seen."""
    arms = [i for i, n in enumerate(motion.skeleton.names) if n.endswith(("Arm", "ForeArm", "Hand"))]
    change = np.abs(np.diff(joint_speeds(motion)[:, arms], axis=0)).mean(axis=1)
    border = (np.arange(len(change)) + 2) % frames_per_token == 0
    return float(change[border].mean() / max(change[~border].mean(), 1e-9))
