"""Hands stay outside the body and out of the view of the face, whatever the layers under them did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.motion import Motion
from SG_dataset.compiler.collide import Capsules, depths, resolve
from SG_dataset.compiler.scene import Scene, body_capsules, rest_place

_STEP = 3  # frames between those that are looked at: hands do not pass through bodies faster than that
_ALLOWED = 0.6  # cm: flesh gives
_AHEAD_OF = 1.2  # of the depth is moved, for the smoothing takes some
_SMOOTH = 0.07  # seconds
_EARLY = 2  # looked-at frames by which a push is ahead of what it is for, and outlasts it
_KNUCKLES = (("Hand", 2.2), *((f"Hand{f}1", 0.9) for f in ("Index", "Middle", "Ring", "Pinky")))
_TIPS = tuple(f"Hand{f}3" for f in ("Thumb", "Index", "Middle", "Ring", "Pinky"))
_TIP_RADIUS = 0.5
# what a face needs to be seen: from before the nose forwards, in the head's frame, cm; hands at the chin are below it
_VIEW = (np.array([0.0, 168.0, 20.0]), np.array([0.0, 168.0, 60.0]), 10.0)


def keep_out(motion: Motion, passes: int = 3) -> Motion:
    """The motion with upper arms swung so that hands do not sink into head, trunk and thighs, nor hide the face."""
    for _ in range(passes):
        seen = replace(motion, root_positions=motion.root_positions[::_STEP], rotations=motion.rotations[::_STEP])
        places, world = seen.forward_kinematics()
        names = motion.skeleton.names
        scene = Scene(
            "Left", {n: places[:, j] for j, n in enumerate(names)}, {n: world[:, j] for j, n in enumerate(names)}
        )
        capsules = body_capsules(scene)
        rotations = motion.rotations.copy()
        for side in SIDES:
            turn = _way_out(seen, places, world, capsules, side)
            if turn is not None:
                j = motion.skeleton.index(side + "Arm")
                rotations[:, j] = rot.mul(_over(turn, len(motion)), rotations[:, j])
        motion = replace(motion, rotations=rotations)
    return motion


def _way_out(motion: Motion, places: Floats, world: Floats, capsules: Capsules, side: str) -> Floats | None:
    """Rotation vectors (F, 3) in the collar bone's frame that swing the arm clear; None where it is clear already."""
    skeleton = motion.skeleton
    ends = dict(zip(skeleton.end_parents, skeleton.end_offsets, strict=True))
    points = [places[:, skeleton.index(side + name)] for name, _ in _KNUCKLES]
    for name in _TIPS:
        j = skeleton.index(side + name)
        points.append(places[:, j] + rot.rotate(world[:, j], ends[j]))
    radii = np.array([r for _, r in _KNUCKLES] + [_TIP_RADIUS] * len(_TIPS))
    hand = places[:, skeleton.index(side + "Hand")]
    away = rot.normalize((hand - places[:, 0]) * [1.0, 0.0, 1.0])
    push = resolve(np.stack(points, 1), radii, capsules, np.full((1, 1), _ALLOWED), away)
    head = skeleton.index("Head")
    push = push + _off_face(np.stack(points, 1), places[:, head], world[:, head], 1.0 if side == "Left" else -1.0)
    if not push.any():
        return None
    push = _around(push)
    push = gaussian_filter1d(_AHEAD_OF * push, _SMOOTH * motion.fps / _STEP, axis=0, mode="nearest")
    arm = hand - places[:, skeleton.index(side + "Arm")]
    turn = np.cross(arm, push) / np.maximum(np.sum(arm * arm, axis=-1, keepdims=True), 400.0)
    return np.asarray(rot.rotate(rot.inverse(world[:, skeleton.index(side + "Shoulder")]), turn))


def _around(push: Floats) -> Floats:
    """The largest push (F, 3) within `_EARLY` looked-at frames: a hand that passes quickly has to be clear by then, and
    smoothing would leave little of so short a push."""
    size = rot.length(push)[:, 0]
    padded = np.pad(size, _EARLY)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _EARLY + 1)
    return push[np.clip(np.arange(len(push)) + windows.argmax(axis=1) - _EARLY, 0, len(push) - 1)]


def _off_face(points: Floats, head: Floats, turn: Floats, sign: float) -> Floats:
    """Displacement (F, 3), down and to its own side, of a hand whose points (F, N, 3) are between a face and its
    viewers: always the same way, or a hand that passes would be thrown from side to side."""
    ends = [head + rot.rotate(turn, end - rest_place("Head")) for end in _VIEW[:2]]
    radius = np.array([_VIEW[2]])
    view = Capsules(ends[0][:, None], ends[1][:, None], radius, radius)
    inside = np.maximum(depths(points, np.zeros(points.shape[1]), view)[0].max(axis=(1, 2)), 0.0)
    return np.asarray(inside[:, None] * [0.5 * sign, -0.87, 0.0])


def _over(turn: Floats, frames: int) -> Floats:
    """Rotation vectors of every `_STEP`th frame as rotations (frames, 4) of all."""
    at = np.arange(len(turn)) * _STEP
    columns = [np.interp(np.arange(frames), at, turn[:, k]) for k in range(3)]
    smooth = gaussian_filter1d(np.stack(columns, axis=-1), _STEP, axis=0, mode="nearest")
    return rot.from_rotation_vector(smooth)
