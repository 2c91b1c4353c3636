"""Numbers about motion, in units that mean something: degrees, centimetres, seconds."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.rotations import Array
from training.prosody import Prosody

SIDES = ("Left", "Right")
BEAT_WIDTH = 0.1  # seconds; the tolerance of a beat


def joint_speeds(motion: Motion) -> Array:
    """Angular speed (F - 1, J), degrees per second."""
    turns = rot.angle(rot.mul(rot.inverse(motion.rotations[:-1]), motion.rotations[1:]))
    return np.asarray(np.degrees(turns) * motion.fps)


def hands(motion: Motion) -> Array:
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


def liveliness(motion: Motion) -> dict[str, float]:
    """Speed and jerk of the hands, foot sliding, and the sharpest turns."""
    path = hands(motion)
    speed = np.linalg.norm(np.diff(path, axis=0), axis=-1) * motion.fps
    jerk = np.linalg.norm(np.diff(path, n=3, axis=0), axis=-1) * motion.fps**3
    turning = joint_speeds(motion)
    arms = [i for i, n in enumerate(motion.skeleton.names) if n.endswith(("Arm", "ForeArm", "Hand"))]
    return {
        "hand_speed_cm_s": float(speed.mean()),
        "hand_jerk_m_s3": float(jerk.mean() / 100),
        "arm_turn_p99_deg_s": float(np.quantile(turning[:, arms], 0.99)),
        "arm_turn_max_deg_s": float(turning[:, arms].max()),
        "foot_sliding_cm_s": foot_sliding(motion),
        "token_border_ratio": border_ratio(turning[:, arms]),
    }


def foot_sliding(motion: Motion) -> float:
    """Mean horizontal speed of the ankles, cm/s."""
    positions, _ = motion.forward_kinematics()
    feet = positions[:, [motion.skeleton.index(s + "Foot") for s in SIDES]][..., [0, 2]]
    return float(np.linalg.norm(np.diff(feet, axis=0), axis=-1).mean() * motion.fps)


def border_ratio(turning: Array, frames_per_token: int = 8) -> float:
    """Mean change of turning speed where a token begins, against elsewhere: 1 means that borders cannot be seen."""
    change = np.abs(np.diff(turning, axis=0)).mean(axis=1)
    border = (np.arange(len(change)) + 2) % frames_per_token == 0
    return float(change[border].mean() / max(change[~border].mean(), 1e-9))


def rest_in_silence(motion: Motion, prosody: Prosody) -> dict[str, float]:
    """Hand height above its rest (cm) and hand speed (cm/s), in speech and in pauses of more than 1.6 s.

    The first 1.2 s of a pause are not counted: hands need them to come down.
    """
    path = hands(motion)
    height = path[..., 1].max(axis=1) - np.quantile(path[..., 1], 0.05)
    speed = np.linalg.norm(np.diff(path, axis=0, prepend=path[:1]), axis=-1).mean(axis=1) * motion.fps
    times = np.arange(len(motion)) / motion.fps
    speech = np.zeros(len(motion), dtype=bool)
    for phrase in prosody.phrases:
        speech |= (times >= phrase.start) & (times < phrase.end)
    ends = np.array([0.0, *(p.end for p in prosody.phrases)])
    starts = np.array([*(p.start for p in prosody.phrases), prosody.seconds])
    still = np.zeros(len(motion), dtype=bool)
    for a, b in zip(ends, starts, strict=True):
        if b - a > 1.6:
            still |= (times >= a + (1.2 if a > 0 else 0.4)) & (times < b - 0.3)

    def mean(values: Array, mask: Array) -> float:
        return float(values[mask].mean()) if mask.any() else float("nan")

    return {
        "height_speech_cm": mean(height, speech),
        "height_silence_cm": mean(height, still),
        "speed_speech_cm_s": mean(speed, speech),
        "speed_silence_cm_s": mean(speed, still),
    }


def motion_beats(motion: Motion) -> Array:
    """Seconds at which the hands are slowest between two movements: where strokes end."""
    speed = gaussian_filter1d(np.linalg.norm(np.diff(hands(motion), axis=0), axis=-1).max(axis=1), 2)
    found, _ = find_peaks(-speed, prominence=0.15 * speed.std())
    return np.asarray((found + 0.5) / motion.fps)


def beat_alignment(motion: Motion, prosody: Prosody, shift: float = 0.0) -> float:
    """How near the nearest motion beat is to each stressed syllable (1: always there), after Li et al. 2021.

    `shift` moves the syllables (round the clip): what chance would give.
    """
    stressed = np.array([a.time for p in prosody.phrases for a in p.accents if a.prominence > 0])
    beats = motion_beats(motion)
    if len(stressed) == 0 or len(beats) == 0:
        return float("nan")
    stressed = (stressed + shift) % prosody.seconds
    distance = np.abs(stressed[:, None] - beats[None]).min(axis=1)
    return float(np.exp(-(distance**2) / (2 * BEAT_WIDTH**2)).mean())


def energy_correlation(motion: Motion, prosody: Prosody) -> float:
    """Correlation of hand speed with the voice's energy, both over half a second."""
    speed = np.linalg.norm(np.diff(hands(motion), axis=0, prepend=hands(motion)[:1]), axis=-1).mean(axis=1)
    speed = gaussian_filter1d(speed, 0.25 * motion.fps)
    times = np.arange(len(motion)) / motion.fps
    energy = gaussian_filter1d(
        np.interp(times, np.arange(len(prosody.energy)) / 100, prosody.energy), 0.25 * motion.fps
    )
    if speed.std() < 1e-9 or energy.std() < 1e-9:
        return float("nan")
    return float(np.corrcoef(speed, energy)[0, 1])
