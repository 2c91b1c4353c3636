"""Batched quaternion functions.

Quaternions are arrays (..., 4) in the order w x y z; vectors (..., 3); angles in radians. Leading axes broadcast.
Nothing here normalises its input unless it says so. All functions return new arrays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .arrays import Floats

IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])
_TINY = 1e-12


def from_xyzw(q: npt.ArrayLike) -> Floats:
    """Reorder x y z w to w x y z."""
    return np.asarray(q)[..., [3, 0, 1, 2]]


def to_xyzw(q: npt.ArrayLike) -> Floats:
    """Reorder w x y z to x y z w."""
    return np.asarray(q)[..., [1, 2, 3, 0]]


def identity(*shape: int) -> Floats:
    """Identity quaternions of shape (*shape, 4)."""
    return np.broadcast_to(IDENTITY, (*shape, 4)).copy()


def normalize(v: npt.ArrayLike) -> Floats:
    """Scale vectors or quaternions along the last axis to length 1; zero vectors stay zero."""
    v = np.asarray(v, dtype=float)
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), _TINY)


def mul(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Hamilton product a b: the rotation b followed by a."""
    a, b = np.asarray(a), np.asarray(b)
    aw, ax, ay, az = a[..., 0], a[..., 1], a[..., 2], a[..., 3]
    bw, bx, by, bz = b[..., 0], b[..., 1], b[..., 2], b[..., 3]
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def inverse(q: npt.ArrayLike) -> Floats:
    """Inverse of unit quaternions."""
    return np.asarray(q) * np.array([1.0, -1.0, -1.0, -1.0])


def dot(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Products (..., 1) of vectors, one per row; the last axis is kept, so that they scale vectors."""
    return np.asarray(np.einsum("...i,...i->...", np.asarray(a), np.asarray(b))[..., None])


def length(v: npt.ArrayLike) -> Floats:
    """Lengths (..., 1) of vectors; the last axis is kept."""
    return np.asarray(np.sqrt(dot(v, v)))


def cross(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Cross product of (..., 3) vectors, broadcast; written out, because numpy's own is several times slower here."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    out = np.empty(np.broadcast_shapes(a.shape, b.shape))
    ax, ay, az, bx, by, bz = a[..., 0], a[..., 1], a[..., 2], b[..., 0], b[..., 1], b[..., 2]
    np.subtract(ay * bz, az * by, out=out[..., 0])
    np.subtract(az * bx, ax * bz, out=out[..., 1])
    np.subtract(ax * by, ay * bx, out=out[..., 2])
    return out


def rotate(q: npt.ArrayLike, v: npt.ArrayLike) -> Floats:
    """Rotate vectors v by unit quaternions q."""
    q, v = np.asarray(q), np.asarray(v)
    u, w = q[..., 1:], q[..., :1]
    t = 2.0 * cross(u, v)
    rotated: Floats = v + w * t + cross(u, t)
    return rotated


def from_axis_angle(axis: npt.ArrayLike, angle: npt.ArrayLike) -> Floats:
    """Rotation by `angle` about `axis` (normalised here)."""
    half = np.asarray(angle, dtype=float)[..., None] / 2
    axis = normalize(axis)
    return np.concatenate([np.cos(half) * np.ones_like(axis[..., :1]), np.sin(half) * axis], axis=-1)


def from_half_log(h: npt.ArrayLike) -> Floats:
    """Quaternion exponential: h (..., 3) is axis * angle / 2 (the motion vector's slots)."""
    h = np.asarray(h, dtype=float)
    angle = np.linalg.norm(h, axis=-1, keepdims=True)
    return np.concatenate([np.cos(angle), np.sinc(angle / np.pi) * h], axis=-1)


def to_half_log(q: npt.ArrayLike) -> Floats:
    """Quaternion logarithm (..., 3): axis * angle / 2 on the hemisphere that q is given on (half angle 0..pi)."""
    q = np.asarray(q, dtype=float)
    length = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = np.arctan2(length, q[..., :1])
    # towards the identity the factor tends to 1; at -1 (a full turn) the axis is undefined and zero is returned
    factor = np.where(length > _TINY, angle / np.maximum(length, _TINY), 1.0)
    return factor * q[..., 1:]


def from_rotation_vector(r: npt.ArrayLike) -> Floats:
    """Rotation vector axis * angle to quaternion."""
    return from_half_log(np.asarray(r, dtype=float) / 2)


def to_rotation_vector(q: npt.ArrayLike) -> Floats:
    """Quaternion to the rotation vector axis * angle with angle in 0..pi (the short way)."""
    q = np.asarray(q, dtype=float)
    return 2 * to_half_log(np.where(q[..., :1] < 0, -q, q))


def angle(q: npt.ArrayLike) -> Floats:
    """Rotation angle in 0..pi."""
    q = np.asarray(q, dtype=float)
    return 2 * np.arctan2(np.linalg.norm(q[..., 1:], axis=-1), np.abs(q[..., 0]))


def from_matrix(m: npt.ArrayLike) -> Floats:
    """Rotation matrices (..., 3, 3) to quaternions with w >= 0."""
    m = np.asarray(m, dtype=float)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # four ways to read the same quaternion; the one with the largest first term is well conditioned
    candidates = np.stack(
        [
            np.stack(
                [
                    1 + m00 + m11 + m22,
                    m[..., 2, 1] - m[..., 1, 2],
                    m[..., 0, 2] - m[..., 2, 0],
                    m[..., 1, 0] - m[..., 0, 1],
                ],
                -1,
            ),
            np.stack(
                [
                    m[..., 2, 1] - m[..., 1, 2],
                    1 + m00 - m11 - m22,
                    m[..., 0, 1] + m[..., 1, 0],
                    m[..., 0, 2] + m[..., 2, 0],
                ],
                -1,
            ),
            np.stack(
                [
                    m[..., 0, 2] - m[..., 2, 0],
                    m[..., 0, 1] + m[..., 1, 0],
                    1 - m00 + m11 - m22,
                    m[..., 1, 2] + m[..., 2, 1],
                ],
                -1,
            ),
            np.stack(
                [
                    m[..., 1, 0] - m[..., 0, 1],
                    m[..., 0, 2] + m[..., 2, 0],
                    m[..., 1, 2] + m[..., 2, 1],
                    1 - m00 - m11 + m22,
                ],
                -1,
            ),
        ],
        axis=-2,
    )
    diagonal = np.stack([candidates[..., i, i] for i in range(4)], axis=-1)
    best = np.argmax(diagonal, axis=-1)
    q = normalize(np.take_along_axis(candidates, best[..., None, None], axis=-2)[..., 0, :])
    return np.where(q[..., :1] < 0, -q, q)


def to_matrix(q: npt.ArrayLike) -> Floats:
    """Unit quaternions to rotation matrices (..., 3, 3)."""
    q = np.asarray(q)
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    return np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
            np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
            np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
        ],
        axis=-2,
    )


def from_euler(angles: npt.ArrayLike, order: str) -> Floats:
    """Intrinsic Euler angles (..., 3): from_euler([a, b, c], "ZXY") is Rz(a) Rx(b) Ry(c), as BVH channels are read."""
    angles = np.asarray(angles, dtype=float)
    axes = np.eye(3)
    q = from_axis_angle(axes["XYZ".index(order[0])], angles[..., 0])
    for i in (1, 2):
        q = mul(q, from_axis_angle(axes["XYZ".index(order[i])], angles[..., i]))
    return q


def to_euler(q: npt.ArrayLike, order: str) -> Floats:
    """Intrinsic Euler angles (..., 3) of unit quaternions for an order of three different axes.

    The middle angle lies in -pi/2..pi/2; in gimbal lock the first angle takes the whole turn.
    """
    i, j, k = ("XYZ".index(c) for c in order)
    if len({i, j, k}) != 3:
        raise ValueError(f"Euler order {order!r} must name three different axes")
    sign = 1.0 if (i, j, k) in ((0, 1, 2), (1, 2, 0), (2, 0, 1)) else -1.0
    m = to_matrix(normalize(q))
    sine = np.clip(sign * m[..., i, k], -1.0, 1.0)
    middle = np.arcsin(sine)
    locked = np.abs(sine) > 1 - 1e-9
    first = np.where(
        locked,
        np.arctan2(sign * m[..., k, j], m[..., j, j]),
        np.arctan2(-sign * m[..., j, k], m[..., k, k]),
    )
    last = np.where(locked, 0.0, np.arctan2(-sign * m[..., i, j], m[..., i, i]))
    return np.stack([first, middle, last], axis=-1)


def between(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Shortest rotation that takes direction a to direction b (..., 3); any half turn where they oppose."""
    a, b = normalize(a), normalize(b)
    dot = np.sum(a * b, axis=-1, keepdims=True)
    q = np.concatenate([1 + dot, cross(a, b) + np.zeros_like(a + b)], axis=-1)
    least = np.eye(3)[np.argmin(np.abs(a), axis=-1)]
    half_turn = np.concatenate([np.zeros_like(dot), normalize(cross(a, least)) + np.zeros_like(b)], axis=-1)
    return normalize(np.where(dot < -1 + 1e-9, half_turn, q))


def slerp(a: npt.ArrayLike, b: npt.ArrayLike, t: npt.ArrayLike) -> Floats:
    """Spherical interpolation the short way; t (...) is 0 at a and 1 at b."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    t = np.asarray(t, dtype=float)[..., None]
    dot = np.sum(a * b, axis=-1, keepdims=True)
    b = np.where(dot < 0, -b, b)
    theta = np.arccos(np.clip(np.abs(dot), 0.0, 1.0))
    sine = np.sin(theta)
    near = sine < 1e-6
    safe = np.where(near, 1.0, sine)
    wa = np.where(near, 1 - t, np.sin((1 - t) * theta) / safe)
    wb = np.where(near, t, np.sin(t * theta) / safe)
    return normalize(wa * a + wb * b)


def continuous(q: npt.ArrayLike, axis: int = 0) -> Floats:
    """Flip signs along `axis` so that consecutive quaternions share a hemisphere."""
    q = np.moveaxis(np.asarray(q, dtype=float), axis, 0)
    dots = np.sum(q[1:] * q[:-1], axis=-1, keepdims=True)
    signs = np.cumprod(np.where(dots < 0, -1.0, 1.0), axis=0)
    return np.moveaxis(np.concatenate([q[:1], q[1:] * signs]), 0, axis)


def swing_twist(q: npt.ArrayLike, axis: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Split q = swing twist, where twist turns about `axis` (..., 3) and swing about an axis normal to it."""
    q, axis = np.asarray(q, dtype=float), normalize(axis)
    along = np.sum(q[..., 1:] * axis, axis=-1, keepdims=True)
    twist = np.concatenate([q[..., :1], along * axis], axis=-1)
    length = np.linalg.norm(twist, axis=-1, keepdims=True)
    twist = np.where(length < _TINY, IDENTITY, twist / np.maximum(length, _TINY))
    return mul(q, inverse(twist)), twist
