"""The demo character's body in numbers: its parts, and its clothes."""

from __future__ import annotations

import numpy as np

from ...core.arrays import Floats
from ...core.joint_groups import SIDES
from .hands import hand
from .head import head
from .pose import Part, Pose, Weights, along, mix, spine_weights, stack
from .sdf import Distance, ball, column, cone, mesh_of, smooth_max, smooth_min, smoothstep, union


def parts(pose: Pose) -> list[Part]:
    """Every part of the character."""
    out = [*head(pose), sweater(pose), trousers(pose)]
    for side in SIDES:
        out += [*shoe(pose, side), *hand(pose, side)]
    return out


def sweater(pose: Pose) -> Part:
    hips = pose.at["Hips"]
    rings = [
        (-10.5, 17.4, 11.9, -0.6),
        (-7, 17.9, 12.2, -0.6),
        (-2, 16.8, 11.4, -0.5),
        (6, 14.8, 9.9, 0.0),
        (14, 13.7, 9.3, 0.4),
        (22, 14.1, 9.7, 0.8),
        (31, 15.6, 10.7, 1.1),
        (39, 16.6, 11.0, 0.9),
        (46, 16.0, 10.2, 0.1),
        (51, 13.2, 8.6, -0.6),
        (55, 9.2, 7.2, -0.9),
        (58, 7.0, 6.4, -0.9),
        (61.5, 6.5, 6.2, -0.6),
    ]
    trunk = column([(hips[1] + y, w, d, z) for y, w, d, z in rings])
    arms: dict[str, Distance] = {}
    shapes = [trunk]
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        shoulder, elbow, wrist = (pose.at[side + j] for j in ("Arm", "ForeArm", "Hand"))
        end = wrist + (elbow - wrist) * 0.07
        arms[side] = union([cone(shoulder, elbow, 5.7, 4.5), cone(elbow, end, 4.5, 3.35)], 1.5)
        collar = cone(hips + [sign * 4.0, 53.0, -1.0], shoulder + [-sign * 2.0, -0.6, -0.4], 5.2, 5.5)
        trapezius = cone(hips + [sign * 2.5, 57.5, -2.2], shoulder + [-sign * 5.0, 1.6, -1.0], 3.6, 4.0)
        shapes += [collar, trapezius, arms[side]]
    whole = union(shapes, 3.2)

    def cut(p: Floats) -> Floats:
        return smooth_max([whole(p), p[:, 1] - hips[1] - 60.6], 0.8)

    reach = float(pose.at["LeftHand"][0]) + 7
    low, high = np.array([-reach, hips[1] - 15, -16]), np.array([reach, hips[1] + 64, 18])
    mesh = mesh_of(cut, low, high, 1.0)
    p = mesh.vertices
    weights = spine_weights(pose, p)
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        shoulder, elbow, wrist = (pose.at[side + j] for j in ("Arm", "ForeArm", "Hand"))
        across = smoothstep(sign * p[:, 0], 3.0, 13.0) * smoothstep(p[:, 1], shoulder[1] - 14, shoulder[1] - 2)
        weights = mix(weights, {side + "Shoulder": np.ones(len(p))}, 0.85 * across)
        nearer = smoothstep(trunk(p) - arms[side](p), -2.5, 5.0) * (sign * p[:, 0] > 0)
        out = smoothstep(along(p, shoulder, elbow), -4.5, 5.0)
        upper = float(np.linalg.norm(elbow - shoulder))
        fore = np.where(along(p, shoulder, elbow) < upper - 6, -1e3, along(p, elbow, wrist))
        cuff = float(np.linalg.norm(wrist - elbow)) + 0.6
        arm = stack(fore, [(side + "ForeArm", 0.0, 3.2), (side + "Hand", cuff, 1.6)], side + "Arm")
        weights = mix(weights, arm, nearer * out)
    return Part("sweater", mesh, weights)


def trousers(pose: Pose) -> Part:
    hips = pose.at["Hips"]
    shapes: list[Distance] = [ball(hips + [0, -4.5, -0.8], (14.6, 10.5, 10.2))]
    legs: dict[str, Distance] = {}
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        hip, knee, ankle = (pose.at[side + j] for j in ("UpLeg", "Leg", "Foot"))
        legs[side] = union(
            [
                cone(hip + [-sign * 2.9, -6.0, -0.4], knee + [-sign * 0.4, 0, 0.3], 8.3, 6.2),
                cone(knee + [-sign * 0.4, 0, 0.3], ankle + [0, 1.6, -0.6], 6.2, 5.3),
            ],
            0.7,
        )
        shapes.append(legs[side])
    pelvis, left, right = shapes

    def whole(p: Floats) -> Floats:
        d = smooth_min([pelvis(p), np.minimum(left(p), right(p))], 4.0)
        return smooth_max([d, p[:, 1] - hips[1] - 4, 6.6 - p[:, 1]], 0.8)

    mesh = mesh_of(whole, hips + [-22, -93, -14], hips + [22, 6, 14], 1.1)
    p = mesh.vertices
    weights: Weights = {"Hips": np.ones(len(p))}
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        hip, knee, ankle = (pose.at[side + j] for j in ("UpLeg", "Leg", "Foot"))
        share = smoothstep(hip[1] - p[:, 1], -3.0, 12.0) * smoothstep(sign * p[:, 0], -0.8, 0.8)
        leg = stack(
            knee[1] - p[:, 1],
            [(side + "Leg", 0.0, 5.0), (side + "Foot", knee[1] - ankle[1] + 1.0, 2.5)],
            side + "UpLeg",
        )
        weights = mix(weights, leg, share)
    return Part("trousers", mesh, weights)


def shoe(pose: Pose, side: str) -> list[Part]:
    ankle = pose.at[side + "Foot"]
    x = float(ankle[0])
    upper = union(
        [
            cone([x, 4.4, -4.2], [x, 3.6, 8.0], 4.2, 3.7, (1.0, 0.95, 1.0)),
            ball([x, 2.6, 12.4], (4.3, 3.5, 5.2)),
            cone([x, 5.0, -2.2], [x, 9.2, -1.6], 4.5, 4.3),
        ],
        2.2,
    )

    def shoe(p: Floats) -> Floats:
        return smooth_max([upper(p), 1.6 - p[:, 1], p[:, 1] - 9.4], 0.6)

    def sole(p: Floats) -> Floats:
        flat = p * np.array([1.0, 0.0, 1.0]) + np.array([0.0, 3.0, 0.0])
        return smooth_max([upper(flat) - 0.35, 0.1 - p[:, 1], p[:, 1] - 2.1], 0.5)

    out = []
    for colour, shape in (("shoe", shoe), ("sole", sole)):
        mesh = mesh_of(shape, [x - 7, -1.5, -11], [x + 7, 12, 20], 0.7)
        out.append(Part(colour, mesh, {side + "Foot": np.ones(len(mesh.vertices))}))
    return out
