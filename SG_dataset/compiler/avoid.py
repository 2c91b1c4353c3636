"""Moving a hand's path out of head, trunk, thighs and the other arm."""

from __future__ import annotations

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from SG_dataset.compiler import arm, collide, timing
from SG_dataset.compiler.hands import Targets
from SG_dataset.compiler.scene import Scene, body_capsules
from SG_dataset.notation.shapes import tip_positions

ROUNDS = 3
LONGEST_PUSH = 14.0  # cm in one round
ALLOWED, ALLOWED_TOUCHING, ALLOWED_TIPS = 0.25, 1.0, 1.2  # cm of depth; palm and tips of a hand that touches
IDLE = 0.05  # cm: smaller pushes are not worth another round
SAMPLE_RADII = np.array([2.4, 1.8, 1.8, *([1.0] * 4), *([0.75] * 5)])
_IS_TIP = np.arange(len(SAMPLE_RADII)) >= len(SAMPLE_RADII) - 5
_FIXED = np.array(
    [[3.0, 0.2, 0.3], [6.5, 0.2, 0.2], [8.9, 0.4, 3.1], [9.0, 0.4, 1.1], [8.4, 0.5, -0.6], [7.7, 0.5, -2.4]]
)  # palm and knuckles in the left hand's frame


def clear_path(
    scene: Scene, shoulder: Floats, collar: Floats, targets: Targets, swivel: Floats, fps: float, with_other: bool
) -> Floats:
    """The wrist path (F, 3), pushed out of what it would enter; every second frame is examined.

    with_other: the other arm is already placed and must be kept clear of, too."""
    frames = len(targets.wrist)
    at = np.unique(np.append(np.arange(0, frames, 2), frames - 1))
    part = scene.at(at)
    chest = part.joint("Spine2")[1]
    ahead = rot.rotate(chest, np.array([0.2, 0.0, 1.0]))
    body = body_capsules(part)
    other = _other_arm(part) if with_other else None
    fingers = tip_positions(targets.fingers[at])
    touching = targets.touching[at][:, None]
    allowed = ALLOWED + touching * (np.where(_IS_TIP, ALLOWED_TIPS, ALLOWED_TOUCHING) - ALLOWED)
    wrist, total = targets.wrist[at], np.zeros((len(at), 3))
    for _ in range(ROUNDS):
        solved = arm.solve(shoulder[at], wrist + total, targets.turn[at], chest, collar[at], swivel[at], fps / 2)
        points = hand_samples(solved, fingers)
        push = collide.resolve(points, SAMPLE_RADII, body, allowed, ahead)
        if other is not None:
            push_off = collide.resolve(points, SAMPLE_RADII, other, np.full((len(at), 1), 0.3), 0.4 * ahead)
            push = push + push_off * targets.free_of_hands[at][:, None]
        size = rot.length(push)
        if size.max() < IDLE:
            break
        push = push * np.minimum(1.0, LONGEST_PUSH / np.maximum(size, 1e-6))
        total = total + timing.blur(_hold_peaks(push, fps / 2), fps / 2, 0.035)
    if not total.any():
        return targets.wrist
    every = np.arange(frames)
    return targets.wrist + np.stack([np.interp(every, at, total[:, c]) for c in range(3)], 1)


def hand_samples(solved: arm.Arm, tips: Floats) -> Floats:
    """Points (F, N, 3) on forearm, palm, knuckles and finger tips, given the tips in the hand's frame (F, 5, 3)."""
    local = np.concatenate([np.broadcast_to(_FIXED, (len(tips), *_FIXED.shape)), tips], 1)
    world = solved.wrist[:, None] + rot.rotate(solved.hand_world[:, None], local)
    near = 0.15 * solved.elbow + 0.85 * solved.wrist  # further up, the elbow keeps the forearm out
    return np.concatenate([near[:, None], world], 1)


def _other_arm(scene: Scene) -> collide.Capsules:
    hand, turn = scene.joint("OtherHand")
    elbow, _ = scene.joint("OtherForeArm")
    tip = hand + rot.rotate(turn, np.array([-8.5, 0.0, 0.0]))
    return collide.Capsules(
        np.stack([elbow, hand], 1), np.stack([hand, tip], 1), np.array([3.6, 2.6]), np.array([2.8, 2.6])
    )


def _hold_peaks(push: Floats, fps: float) -> Floats:
    """Spread each push to its neighbours, so that smoothing does not take away what is needed at the deepest frame."""
    radius = max(1, round(0.05 * fps))
    size = np.linalg.norm(push, axis=-1)
    padded = np.concatenate([np.repeat(size[:1], radius), size, np.repeat(size[-1:], radius)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1)
    source = np.clip(np.arange(len(size)) + windows.argmax(1) - radius, 0, len(size) - 1)
    return np.asarray(push[source])
