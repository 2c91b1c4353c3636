"""The demo character's hands: a palm and five fingers with nails each."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ...core import rotations as rot
from ...core.arrays import Floats
from ...core.joint_groups import FINGERS
from .pose import Part, Pose, along, mix, stack
from .sdf import Mesh, ball, cone, mesh_of, smoothstep, tube, union

_GIRTH = {
    "Thumb": (1.22, 1.05, 0.92, 0.62),
    "Index": (0.92, 0.84, 0.75, 0.52),
    "Middle": (0.95, 0.86, 0.77, 0.53),
    "Ring": (0.9, 0.82, 0.73, 0.5),
    "Pinky": (0.79, 0.7, 0.62, 0.44),
}


def hand(pose: Pose, side: str) -> list[Part]:
    """Built in the hand's frame (fingers along X, palm down), where the left hand points to +X and the right to -X."""
    sign = 1.0 if side == "Left" else -1.0
    knuckle = {f: pose.in_hand(side, f"{side}Hand{f}1") for f in FINGERS}
    shapes = [cone([-sign * 4.5, 0, 0], [sign * 0.6, 0, 0.2], 2.75, 2.45, (1, 0.78, 1))]
    for finger in FINGERS[1:]:
        k = knuckle[finger]
        shapes.append(cone([sign * 0.8, 0.05, 0.45 * k[2] + 0.1], k - [sign * 0.25, 0.3, 0], 1.55, 1.1))
    thumb2 = pose.in_hand(side, f"{side}HandThumb2")
    thenar = cone([sign * 1.4, -0.5, 1.3], knuckle["Thumb"] + 0.62 * (thumb2 - knuckle["Thumb"]), 1.75, 1.2)
    shapes += [thenar, ball([sign * 4.6, -0.75, -1.0], (3.4, 0.9, 1.7))]
    palm = mesh_of(union(shapes, 1.5), [-8 if sign > 0 else -12, -4, -6], [12 if sign > 0 else 8, 4, 9], 0.32)
    p = palm.vertices
    weights = stack(sign * p[:, 0], [(side + "Hand", -0.6, 1.8)], side + "ForeArm")
    ball_of_thumb = smoothstep(-thenar(p), -0.9, 0.9) * smoothstep(along(p, knuckle["Thumb"], thumb2), -1.2, 2.2)
    weights = mix(weights, {f"{side}HandThumb1": np.ones(len(p))}, 0.9 * ball_of_thumb)
    out = [Part("skin", palm, weights)]
    for finger in FINGERS:
        out += _finger(pose, side, finger)
    return [Part(part.colour, _to_body(pose, side, part.mesh), part.weights) for part in out]


def _finger(pose: Pose, side: str, finger: str) -> list[Part]:
    joints = [f"{side}Hand{finger}{n}" for n in (1, 2, 3)]
    chain = np.array([pose.in_hand(side, j) for j in (*joints, joints[2] + "_end")])
    before = chain[0] - (chain[1] - chain[0]) * (0.34 if finger != "Thumb" else 0.1)
    places, radii = _profile(np.vstack([before, chain]), _GIRTH[finger])
    mesh = tube(places, radii, 16, flat=0.92)
    lengths = np.linalg.norm(np.diff(chain, axis=0), axis=1)
    place = _arc_length(mesh.vertices, chain)
    steps = [(joints[0], 0.1, 0.75), (joints[1], lengths[0], 0.6), (joints[2], lengths[0] + lengths[1], 0.5)]
    weights = stack(place, steps, side + "Hand") if finger != "Thumb" else stack(place, steps[1:], joints[0])
    direction = (chain[3] - chain[2]) / lengths[2]
    back = np.array([0.0, 1.0, 0.0]) if finger != "Thumb" else _thumb_back(direction)
    middle = chain[2] + direction * lengths[2] * 0.62 + back * _GIRTH[finger][2] * 0.66
    nail = tube(
        np.array([middle + direction * t for t in (-0.62, -0.5, 0.0, 0.5, 0.64)]),
        np.array([0.05, 0.42, 0.5, 0.46, 0.05]) * _GIRTH[finger][2] / 0.75,
        12,
        tuple(back),
        0.42,
    )
    return [Part("skin", mesh, weights), Part("nail", nail, {joints[2]: np.ones(len(nail.vertices))})]


def _thumb_back(direction: Floats) -> Floats:
    """The thumb's nail looks up and away from the fingers."""
    back = np.array([-0.35 * np.sign(direction[0]), 0.9, 0.45])
    back = back - direction * (back @ direction)
    return back / np.linalg.norm(back)


def _profile(points: Floats, girth: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Centre line and radii of a finger: slimmer between the joints, round at the tip."""
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    end = lengths[-1] - 0.02
    tip = np.array([0.0, 0.03, 0.1, 0.22, 0.42, 0.65])
    at = np.unique(np.concatenate([np.linspace(0, end - 0.7, 18), end - tip]))
    places = np.stack([np.interp(at, lengths, points[:, i]) for i in range(3)], axis=1)
    radius = np.interp(at, lengths, (girth[0], *girth))
    for bend in lengths[2:4]:
        radius = radius * (1 + 0.05 * np.exp(-(((at - bend) / 0.45) ** 2)))
    left = (lengths[-1] - at) / girth[3]
    round_end = np.sqrt(np.clip(1 - (1 - np.clip(left, 0, 1)) ** 2, 0.0, 1))
    return places, np.maximum(radius * round_end, 0.01)


def _arc_length(p: Floats, chain: Floats) -> Floats:
    """How far along a chain of points the nearest place lies; negative before its start."""
    best, value = np.full(len(p), np.inf), np.zeros(len(p))
    passed = 0.0
    for i, (a, b) in enumerate(pairwise(chain)):
        length = float(np.linalg.norm(b - a))
        t = along(p, a, b)
        t = np.clip(t, -np.inf if i == 0 else 0.0, np.inf if i == len(chain) - 2 else length)
        off = np.linalg.norm(p - a - t[:, None] * (b - a) / length, axis=1)
        value = np.where(off < best, passed + t, value)
        best, passed = np.minimum(best, off), passed + length
    return value


def _to_body(pose: Pose, side: str, mesh: Mesh) -> Mesh:
    return Mesh(pose.at[side + "Hand"] + rot.rotate(pose.turn[side + "Hand"], mesh.vertices), mesh.faces)
