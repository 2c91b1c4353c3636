"""From decoded vectors to a clip that can be shown: bounded root, planted feet, calm pauses, the audio's length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.signal import lfilter

from backend.models.config import TOKENS_PER_SECOND
from backend.motion.foot_planting import plant, root_over_feet
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk
from sg_blender_addon.core.joint_groups import LOWER_BODY
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.storage import blocks, empty

ROOT_MEMORY = 6.0  # s; sway of a few seconds stays, drift leaks away
ROOT_REACH = 25.0  # cm that the hips may ever leave their starting place, per axis
HEIGHT_MEMORY = 2.0  # s
HEIGHT_REACH = 12.0  # cm
MEAN_POSE_SECONDS = 1.2  # width of the running mean that amplitudes are scaled about
CALM = 0.3  # share of the amplitude left in long silence
PAUSE_SECONDS = 0.8  # shorter pauses are part of speaking
EASE_SECONDS = 0.25
EDGE_FRAMES = 8  # one token
LOOP_SECONDS = 2.0
NO_GAINS: Mapping[str, float] = MappingProxyType({})


def bound_root(root: Floats, start: Floats, fps: float) -> Floats:
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


def make_continuous(rotations: Floats, progress: Progress, *, unit: bool = False) -> None:
    """`rotations.continuous` along the frames of (F, J, 4), in place; unit: scaled to length 1 as well."""
    before = None
    for part in blocks(len(rotations), rotations):
        progress.check()
        own = rot.normalize(rotations[part]) if unit else rotations[part]
        own = rot.continuous(np.concatenate([own[:1] if before is None else before, own]))[1:]
        rotations[part], before = own, own[-1:]


def deviations(rotations: Floats, fps: float) -> tuple[Floats, Floats]:
    """The running mean (F, J, 4) of continuous rotations, and how far (F, J, 3) each is from it, radians."""
    mean = rot.normalize(gaussian_filter1d(rotations, MEAN_POSE_SECONDS * fps, axis=0, mode="nearest"))
    return mean, rot.to_rotation_vector(rot.mul(rot.inverse(mean), rotations))


def scale_amplitude(
    motion: Motion, gains: Floats, progress: Progress | None = None, own: Mapping[str, float] = NO_GAINS
) -> None:
    """Scale the upper body's movement about its running mean pose by `gains` (F,), in place, and that of each joint by
    its `own` gain besides.

    Legs and the root stay, so feet stay planted, and so do the hips unless they have a gain: the thighs then keep their
    turn in the world. The motion's rotations are continuous.
    """
    if len(motion) < 2 or (np.allclose(gains, 1.0) and not own):
        return
    progress = progress or Progress()
    names = motion.skeleton.names
    joints = [j for j, name in enumerate(names) if name not in LOWER_BODY or (j == 0 and name in own)]
    fixed = np.array([own.get(names[j], 1.0) for j in joints])
    follows = np.array([names[j] not in LOWER_BODY for j in joints])
    thighs = [j for j, parent in enumerate(motion.skeleton.parents) if parent == 0 and names[j] in LOWER_BODY]
    rotations, width = motion.rotations, MEAN_POSE_SECONDS * motion.fps
    reach = round(4 * width)  # frames to either side that the filter looks at
    past = rotations[:0, joints]  # as they were before they were scaled
    for part in blocks(len(motion), rotations):
        progress.stage("amplitude", part.start / len(motion))
        near = np.concatenate([past, rotations[part.start : part.stop + reach, joints]], dtype=float)
        inside = slice(len(past), len(past) + part.stop - part.start)
        mean, away = (values[inside] for values in deviations(near, motion.fps))
        scale = np.where(follows, gains[part, None], 1.0) * fixed
        hips = rotations[part, :1].astype(float)
        rotations[part, joints] = rot.mul(mean, rot.from_rotation_vector(away * scale[..., None]))
        if 0 in joints:
            turned = rot.mul(rot.inverse(rotations[part, :1]), hips)
            rotations[part, thighs] = rot.mul(turned, rotations[part, thighs])
        past = near[max(0, inside.stop - reach) : inside.stop]


def calm_gain(activity: Floats, frames: int, fps: float) -> Floats:
    """Amplitude (frames,) that suits the speech: 1 while somebody speaks, CALM in long silence, eased between.

    activity (T,): 0..1 per token row (`features.activity`). Pauses up to PAUSE_SECONDS belong to speaking.
    """
    if len(activity) == 0:
        return np.full(frames, CALM)
    reach = 2 * round(PAUSE_SECONDS / 2 * TOKENS_PER_SECOND) + 1
    near = maximum_filter1d(np.asarray(activity, dtype=float), reach, mode="constant", cval=0.0)
    smooth = gaussian_filter1d(near, EASE_SECONDS * TOKENS_PER_SECOND, mode="nearest")
    times = np.arange(frames) / fps
    return CALM + (1 - CALM) * np.interp(times * TOKENS_PER_SECOND, np.arange(len(smooth)), np.clip(smooth, 0.0, 1.0))


def _settle_ends(rotations: Floats) -> None:
    """Ease the first and last frames towards the pose just inside: a decoder sees nothing beyond its ends and jumps."""
    if len(rotations) < 4 * EDGE_FRAMES:
        return
    for frames, inner in ((range(EDGE_FRAMES), EDGE_FRAMES), (range(-1, -EDGE_FRAMES - 1, -1), -EDGE_FRAMES - 1)):
        for step, frame in enumerate(frames):
            share = minimum_jerk(np.array(step / EDGE_FRAMES))
            rotations[frame] = rot.slerp(rotations[inner], rotations[frame], share)


def fit_length(motion: Motion, seconds: float) -> Motion:
    """Exactly round(seconds * fps) frames (at least one): codes overshoot the audio by up to one token."""
    frames = max(1, round(seconds * motion.fps))
    if len(motion) >= frames:
        return motion.slice(0, frames)
    root = empty((frames, 3), motion.root_positions.dtype)
    rotations = empty((frames, *motion.rotations.shape[1:]), motion.rotations.dtype)
    for part in blocks(frames, motion.rotations, rotations):
        index = np.minimum(np.arange(part.start, part.stop), len(motion) - 1)
        root[part], rotations[part] = motion.root_positions[index], motion.rotations[index]
    return replace(motion, root_positions=root, rotations=rotations)


def close_loop(motion: Motion, path: Floats) -> None:
    """Bring the last `LOOP_SECONDS` of the rotations and of the hips' path (F, 3) back to the first frame, in place:
    an idle that can be repeated."""
    frames = min(round(LOOP_SECONDS * motion.fps), len(motion) // 2)
    if frames < 2:
        return
    share = minimum_jerk((np.arange(frames) + 1) / frames)
    rotations = motion.rotations
    goal = np.broadcast_to(rotations[:1], rotations[-frames:].shape)
    rotations[-frames:] = rot.slerp(rotations[-frames:], goal, np.repeat(share[:, None], rotations.shape[1], axis=1))
    path[-frames:] += share[:, None] * (path[0] - path[-frames:])


def finish(
    motion: Motion,
    seconds: float,
    *,
    root: str = "displacement",
    intensity: float = 1.0,
    activity: Floats | None = None,
    own: Mapping[str, float] = NO_GAINS,
    loop: bool = False,
    progress: Progress | None = None,
) -> Motion:
    """A decoded motion made presentable. `activity` (T,) per token row as `features.activity` gives it; root: where
    the hips' path comes from (`WeightsInfo.root`); own: each joint's gain
    (`WeightsInfo.gains`); loop: whether it ends as it begins.

    Takes over the motion's arrays.
    """
    progress = progress or Progress()
    motion = fit_length(motion, seconds)
    make_continuous(motion.rotations, progress, unit=True)
    gains = np.full(len(motion), intensity)
    if activity is not None:
        gains *= calm_gain(activity, len(motion), motion.fps)
    scale_amplitude(motion, gains, progress.span(0.0, 0.6), own)
    _settle_ends(motion.rotations)
    if root == "legs":
        path = root_over_feet(motion, progress.span(0.6, 0.65))
    else:
        path = bound_root(motion.root_positions, motion.skeleton.offsets[0], motion.fps)
    if loop:
        close_loop(motion, path)
    return plant(replace(motion, root_positions=path), progress.span(0.65, 1.0))


def resample(motion: Motion, fps: float, progress: Progress | None = None) -> Motion:
    """`Motion.resample` in blocks and float32, for motions of any length."""
    if fps == motion.fps or len(motion) == 0:
        return replace(motion, fps=fps)
    progress = progress or Progress()
    times = np.arange(max(1, round(motion.seconds * fps))) / fps
    root = np.empty((len(times), 3))
    rotations = empty((len(times), len(motion.skeleton), 4))
    for part in blocks(len(times), motion.rotations, rotations):
        progress.stage("resample", part.start / len(times))
        shown = motion.at(times[part])
        root[part], rotations[part] = shown.root_positions, shown.rotations
    return replace(motion, fps=fps, root_positions=root, rotations=rotations)
