"""The demo character's head: face, hair, eyes with lids, brows and lips."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...core.arrays import Floats
from .pose import Part, Pose, spine_weights
from .sdf import Distance, Mesh, ball, cone, mesh_of, smooth_max, smooth_min, tube, union


def head(pose: Pose) -> list[Part]:
    c = pose.at["Head"] + np.array([0.0, 10.0, 0.8])  # near the ears' height, in the middle of the skull

    def at(x: float, y: float, z: float) -> Floats:
        return c + np.array([x, y, z])

    skull = union(
        [
            ball(at(0, 2.2, -0.9), (7.9, 9.0, 9.5)),
            ball(at(0, -3.2, 2.0), (6.6, 7.2, 7.1)),
            ball(at(0, -8.9, 5.5), (2.7, 2.1, 2.3)),
        ],
        3.2,
    )
    neck = cone(pose.at["Neck"] - [0, 3, 1.2], at(0, -5, -1.8), 5.6, 5.1)
    nose = [cone(at(0, 0.6, 8.3), at(0, -3.2, 9.4), 0.55, 0.95), ball(at(0, -3.5, 9.3), (1.35, 0.8, 1.0))]
    cheeks = [ball(at(s * 3.9, -3.9, 5.0), (2.5, 2.3, 2.4)) for s in (1, -1)]
    ears = [ball(at(s * 7.7, -1.4, -0.9), (0.9, 2.9, 1.8)) for s in (1, -1)]
    sockets = [ball(at(s * 3.2, 0.1, 9.2), (2.3, 1.5, 1.6)) for s in (1, -1)]
    mouth = ball(at(0, -6.9, 6.2), (3.4, 1.7, 2.3))

    def face(p: Floats) -> Floats:
        d = smooth_min([union([skull, mouth, *cheeks], 2.0)(p), neck(p)], 3.0)
        d = smooth_min([d, *(n(p) for n in nose)], 1.2)
        d = smooth_max([d, *(-s(p) for s in sockets)], 1.0)
        return smooth_min([d, *(e(p) for e in ears)], 0.7)

    skin = mesh_of(face, at(-9.5, -22, -11.5), at(9.5, 12.5, 12.5), 0.45)
    found = [Part("skin", skin, spine_weights(pose, skin.vertices))]
    for colour, mesh in [("hair", _hair(skull, at)), *_features(face, at)]:
        found.append(Part(colour, mesh, {"Head": np.ones(len(mesh.vertices))}))
    return found


def _hair(skull: Distance, at: Callable[[float, float, float], Floats]) -> Mesh:
    """Short hair with some volume, swept to one side over the forehead."""
    volume = union(
        [
            skull,
            ball(at(0.6, 6.4, -1.6), (7.4, 6.0, 8.6)),
            ball(at(2.6, 8.6, 4.6), (4.6, 2.4, 3.6)),
            ball(at(-2.4, 8.0, 4.4), (4.6, 2.2, 3.6)),
            ball(at(0, -0.5, -5.5), (6.9, 6.5, 4.9)),
        ],
        2.5,
    )

    def hair(p: Floats) -> Floats:
        q = p - at(0, 0, 0)
        front = 0.69 * (q[:, 2] - 7.0) - 0.72 * (q[:, 1] - 5.9 - 0.10 * q[:, 0] + 0.035 * q[:, 0] ** 2)
        sides = 0.94 * (q[:, 2] - 1.1) - 0.35 * (q[:, 1] + 3.0)
        ear = 1.0 - np.hypot((q[:, 1] + 1.2) / 3.0, (q[:, 2] + 0.6) / 2.3)  # free round the ears
        return smooth_max([volume(p) - 0.85, np.minimum(front, sides), 1.6 * ear, -8.0 - q[:, 1]], 1.0)

    return mesh_of(hair, at(-11, -10, -13), at(11, 14, 12), 0.5)


def _front(shape: Distance, x: Floats, y: Floats, start: float) -> Floats:
    """The foremost places (N, 3) of a surface at x, y, searched from z = start backwards."""
    z = np.full(len(x), start)
    for _ in range(60):
        z = z - np.maximum(shape(np.stack([x, y, z], axis=1)), 0.0) * 0.7
    return np.stack([x, y, z], axis=1)


def _features(face: Distance, at: Callable[[float, float, float], Floats]) -> list[tuple[str, Mesh]]:
    """Eyes with lids, brows and lips, laid onto the face."""
    out: list[tuple[str, Mesh]] = []
    c, start = at(0, 0, 0), float(at(0, 0, 13)[2])
    for s in (1, -1):
        eye = at(s * 3.2, 0.1, 6.55)
        look = np.array([-0.02 * s, 0.0, 1.0])
        out += [
            ("white", _ellipsoid(eye, (1.62, 1.55, 1.55))),
            ("iris", _ellipsoid(eye + 1.1 * look, (0.86, 0.86, 0.56))),
            ("pupil", _ellipsoid(eye + 1.52 * look, (0.44, 0.44, 0.2))),
            ("white", _ellipsoid(eye + 1.58 * look + [0.22, 0.28, 0.0], (0.14, 0.14, 0.2))),
        ]
        for keep, tilt in ((0.42, 1.0), (-0.95, -1.0)):
            out.append(("skin", _lid(eye, keep, tilt)))
        x = c[0] + s * np.linspace(1.5, 5.0, 6)
        y = c[1] + np.array([2.15, 2.5, 2.75, 2.8, 2.6, 2.2])
        brow = _front(face, x, y, start) + [0, 0, 0.12]
        out.append(("hair", tube(brow, [0.16, 0.36, 0.38, 0.33, 0.26, 0.1], 10, flat=0.8)))
    x = np.linspace(-2.4, 2.4, 9)
    for drop, girth in ((-6.55, 0.30), (-7.1, 0.36)):
        curve = _front(face, c[0] + x, c[1] + drop + 0.075 * x * x * (1 if drop < -7 else 0.55), start)
        out.append(("lips", tube(curve, girth * np.sqrt(np.clip(1.02 - (x / 2.45) ** 2, 0.05, 1)), 12)))
    return out


def _lid(eye: Floats, keep: float, side: float) -> Mesh:
    """The part of a shell round the eye above (side 1) or below (side -1) a height."""
    shell = ball(eye, (1.75, 1.7, 1.72))

    def lid(p: Floats) -> Floats:
        return smooth_max([shell(p), side * (keep - (p[:, 1] - eye[1]))], 0.25)

    return mesh_of(lid, eye - 2.1, eye + 2.1, 0.2)


def _ellipsoid(centre: Floats, radii: tuple[float, float, float], step: float = 0.0) -> Mesh:
    size = np.array(radii)
    step = step or float(size.min()) / 4
    return mesh_of(ball(centre, radii), centre - size - 2 * step, centre + size + 2 * step, step)
