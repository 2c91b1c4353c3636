"""From decoded vectors to a clip that can be shown: bounded root, planted feet, calm pauses, the audio's length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.signal import lfilter

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.rotations import Array

from .feet import plant

ROOT_MEMORY = 6.0  # s; sway of a few seconds stays, drift leaks away
ROOT_REACH = 25.0  # cm that the hips may ever leave their starting place, per axis
HEIGHT_MEMORY = 2.0  # s
HEIGHT_REACH = 12.0  # cm
MEAN_POSE_SECONDS = 1.2  # width of the running mean that amplitudes are scaled about
CALM = 0.3  # share of the amplitude left in long silence
PAUSE_SECONDS = 0.8  # shorter pauses are part of speaking
SILENCE_DB = -38.0  # below the loud parts of the clip: not speech
NOISE_FLOOR_DB = -58.0  # of full scale: not speech, whatever the rest of the clip is
_LOWER_BODY = ("Hips", "RightUpLeg", "RightLeg", "RightFoot", "LeftUpLeg", "LeftLeg", "LeftFoot")


def bound_root(root: Array, start: Array, fps: float) -> Array:
    """Root path (F, 3), cm, that keeps the sway of `root` but never drifts away from `start` (3,).

    Displacements are integrated with a leak and then folded smoothly into a box, so that ten minutes of a small bias
    do not walk the character out of the picture.
    """
    if len(root) < 2:
        return np.broadcast_to(start, root.shape).copy()
    steps = np.diff(root, axis=0, prepend=root[:1])
    path = np.empty_like(steps)
    for axis, memory in enumerate((ROOT_MEMORY, HEIGHT_MEMORY, ROOT_MEMORY)):
        path[:, axis] = lfilter([1.0], [1.0, -np.exp(-1.0 / (fps * memory))], steps[:, axis])
    reach = np.array([ROOT_REACH, HEIGHT_REACH, ROOT_REACH])
    return start + reach * np.tanh(path / reach)


def scale_amplitude(motion: Motion, gain: float | Array) -> Motion:
    """Scale the upper body's movement about its running mean pose by `gain` (a number or one per frame).

    Hips, legs and the root stay, so feet stay planted. gain 1 returns the motion unchanged.
    """
    gains = np.broadcast_to(np.asarray(gain, dtype=float), (len(motion),))
    if len(motion) < 2 or np.allclose(gains, 1.0):
        return motion
    rotations = np.array(motion.rotations)
    for joint, name in enumerate(motion.skeleton.names):  # joint by joint: an hour fits memory once, not four times
        if name in _LOWER_BODY:
            continue
        moving = rot.continuous(rotations[:, joint])
        mean = rot.normalize(gaussian_filter1d(moving, MEAN_POSE_SECONDS * motion.fps, axis=0, mode="nearest"))
        away = rot.to_rotation_vector(rot.mul(rot.inverse(mean), moving))
        rotations[:, joint] = rot.mul(mean, rot.from_rotation_vector(away * gains[:, None]))
    return replace(motion, rotations=rotations)


def speech_activity(samples: Array, rate: int, frames: int, fps: float) -> Array:
    """How much of the full amplitude each motion frame (frames,) deserves: 1 in speech, CALM in long silence."""
    hop = max(1, round(rate / 100))
    usable = len(samples) // hop * hop
    if usable == 0:
        return np.full(frames, CALM)
    blocks = np.asarray(samples[:usable], dtype=np.float32).reshape(-1, hop)
    level = 10 * np.log10(np.einsum("ij,ij->i", blocks, blocks) / hop + 1e-12)
    threshold = max(float(np.percentile(level, 98)) + SILENCE_DB, NOISE_FLOOR_DB)
    speaking = (level > threshold).astype(float)
    # A pause counts once it is longer than PAUSE_SECONDS; half a second eases in and out of it.
    width = max(1, round(PAUSE_SECONDS * 100))
    near = gaussian_filter1d(_dilate(speaking, width // 2), 25.0, mode="nearest")
    gain = CALM + (1 - CALM) * np.clip(near, 0.0, 1.0)
    times = np.arange(frames) / fps
    return np.interp(times, (np.arange(len(gain)) + 0.5) * hop / rate, gain)


def _dilate(mask: Array, reach: int) -> Array:
    result: Array = maximum_filter1d(mask, 2 * reach + 1, mode="constant", cval=0.0)
    return result


def fit_length(motion: Motion, seconds: float) -> Motion:
    """Exactly round(seconds * fps) frames (at least one): codes overshoot the audio by up to one token."""
    frames = max(1, round(seconds * motion.fps))
    if len(motion) >= frames:
        return motion.slice(0, frames)
    index: Sequence[int] = np.minimum(np.arange(frames), len(motion) - 1).tolist()
    return replace(motion, root_positions=motion.root_positions[index], rotations=motion.rotations[index])


def finish(motion: Motion, seconds: float, *, intensity: float = 1.0, activity: Array | None = None) -> Motion:
    """A decoded motion made presentable. `activity` (F,) is `speech_activity` for the frames of `seconds`."""
    motion = fit_length(motion, seconds)
    rotations = np.array(motion.rotations, dtype=np.float32)
    for joint in range(len(motion.skeleton)):
        rotations[:, joint] = rot.continuous(rot.normalize(rotations[:, joint]))
    motion = replace(motion, rotations=rotations)
    start = motion.skeleton.offsets[0]
    motion = replace(motion, root_positions=bound_root(motion.root_positions, start, motion.fps))
    gain = intensity if activity is None else intensity * activity[: len(motion)]
    return plant(scale_amplitude(motion, gain))
