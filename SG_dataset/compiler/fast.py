"""Quaternion functions for the few hundred frames of one gesture.

The same results as `core.rotations`, to rounding. There every component is its own numpy call, which suits long
motions; a gesture is so short that the number of calls is what costs time, so here products of all components are
taken at once and one constant matrix adds them up.
"""

from __future__ import annotations

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats

SHORT = 120  # rows; above it the calls no longer cost more than the arithmetic
_TINY = 1e-12
_CONJUGATE = np.array([1.0, -1.0, -1.0, -1.0])


def _mul_table() -> Floats:
    """(16, 4): component products to the components of the Hamilton product."""
    unit = np.eye(4)
    return rot.mul(unit[:, None], unit[None]).reshape(16, 4)


def _turn_table() -> Floats:
    """(16, 9): products of a quaternion's own components to its rotation matrix less the identity."""
    unit = np.eye(4)
    both = rot.to_matrix(unit[:, None] + unit[None]) - np.eye(3)
    one = rot.to_matrix(unit) - np.eye(3)
    return (0.5 * (both - one[:, None] - one[None])).reshape(16, 9)


def _candidate_table() -> tuple[Floats, Floats]:
    """(9, 16) and (16,): a rotation matrix to the four ways of reading its quaternion, see `rotations.from_matrix`."""
    table, shift = np.zeros((4, 4, 3, 3)), np.diag([1.0, 1.0, 1.0, 1.0])
    signs = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    for i in range(4):
        table[i, i] = np.diag(signs[i])
    for i, (a, b) in enumerate(((2, 1), (0, 2), (1, 0)), 1):
        for row, column in ((0, i), (i, 0)):
            table[row, column, a, b], table[row, column, b, a] = 1, -1
    for i, j in ((1, 2), (1, 3), (2, 3)):
        for row, column in ((i, j), (j, i)):
            table[row, column, i - 1, j - 1] = table[row, column, j - 1, i - 1] = 1
    return table.reshape(16, 9).T.copy(), shift.reshape(16)


_MUL = _mul_table()
_TURN = _turn_table()
_TURN_OF = _TURN.reshape(16, 3, 3)
_UNTURNED = np.eye(3).reshape(9)
_CANDIDATES, _CANDIDATES_SHIFT = _candidate_table()


def dot(a: Floats, b: Floats) -> Floats:
    """Products of vectors (..., N), one per row, the last axis kept."""
    return np.asarray(np.einsum("...i,...i->...", a, b)[..., None])


def length(v: Floats) -> Floats:
    """Lengths (..., 1) of vectors."""
    return np.asarray(np.sqrt(dot(v, v)))


def normalize(v: Floats) -> Floats:
    """Scale vectors or quaternions along the last axis to length 1; zero vectors stay zero."""
    return np.asarray(v / np.maximum(length(v), _TINY))


def inverse(q: Floats) -> Floats:
    """Inverse of unit quaternions."""
    return np.asarray(q * _CONJUGATE)


def mul(a: Floats, b: Floats) -> Floats:
    """Hamilton product a b: the rotation b followed by a."""
    products = a[..., :, None] * b[..., None, :]
    return np.asarray((products.reshape(-1, 16) @ _MUL).reshape(products.shape[:-1]))


def matrix(q: Floats) -> Floats:
    """Rotation matrices (..., 3, 3) of unit quaternions."""
    products = q[..., :, None] * q[..., None, :]
    return np.asarray((products.reshape(-1, 16) @ _TURN + _UNTURNED).reshape(*q.shape[:-1], 3, 3))


def rotate(q: Floats, v: Floats) -> Floats:
    """Rotate vectors v by unit quaternions q."""
    if v.ndim == 1:  # one vector by many turns
        products = q[..., :, None] * q[..., None, :]
        return np.asarray((products.reshape(-1, 16) @ (_TURN_OF @ v)).reshape(*q.shape[:-1], 3) + v)
    if q.ndim > 1 and q.shape[-2] == 1:  # many vectors by each turn
        return np.asarray(v @ np.swapaxes(matrix(q[..., 0, :]), -1, -2))
    if q.size <= 4 * SHORT:
        return np.asarray(np.matmul(matrix(q), v[..., None])[..., 0])
    u = q[..., 1:]
    t = cross(u, v)
    t *= 2.0
    return np.asarray(v + q[..., :1] * t + cross(u, t))


def cross(a: Floats, b: Floats) -> Floats:
    """Cross product of (..., 3) vectors, broadcast."""
    ax, ay, az, bx, by, bz = a[..., 0], a[..., 1], a[..., 2], b[..., 0], b[..., 1], b[..., 2]
    first = ay * bz - az * by
    out = np.empty((*first.shape, 3))
    out[..., 0] = first
    np.subtract(az * bx, ax * bz, out=out[..., 1])
    np.subtract(ax * by, ay * bx, out=out[..., 2])
    return out


def from_axis_angle(axis: Floats, angle: Floats) -> Floats:
    """Rotation by `angle` (...,) about unit vectors `axis`, (..., 3) or one (3,)."""
    half = 0.5 * angle
    out = np.empty((*half.shape, 4))
    out[..., 0] = np.cos(half)
    np.multiply(np.sin(half)[..., None], axis, out=out[..., 1:])
    return out


def from_rotation_vector(r: Floats) -> Floats:
    """Rotation vector axis * angle to quaternion."""
    angle = length(r)
    out = np.empty((*r.shape[:-1], 4))
    out[..., :1] = np.cos(0.5 * angle)
    share = np.where(angle > _TINY, np.sin(0.5 * angle) / np.maximum(angle, _TINY), 0.5)
    np.multiply(share, r, out=out[..., 1:])
    return out


def to_rotation_vector(q: Floats) -> Floats:
    """Quaternion to the rotation vector axis * angle with angle in 0..pi (the short way)."""
    sine = length(q[..., 1:])
    half = np.arctan2(sine, np.abs(q[..., :1]))
    share = np.where(sine > _TINY, half / np.maximum(sine, _TINY), 1.0)
    return np.asarray(np.where(q[..., :1] < 0, -2 * share, 2 * share) * q[..., 1:])


def from_matrix(m: Floats) -> Floats:
    """Rotation matrices (N, 3, 3) to quaternions with w >= 0."""
    candidates = (m.reshape(-1, 9) @ _CANDIDATES + _CANDIDATES_SHIFT).reshape(-1, 4, 4)
    best = np.einsum("nii->ni", candidates).argmax(1)
    q = normalize(candidates[np.arange(len(best)), best])
    return np.asarray(np.where(q[:, :1] < 0, -q, q))


def slerp(a: Floats, b: Floats, t: Floats) -> Floats:
    """Spherical interpolation the short way; t (...) is 0 at a and 1 at b."""
    cosine = dot(a, b)
    t = t[..., None]
    theta = np.arccos(np.minimum(np.abs(cosine), 1.0))
    sine = np.sin(theta)
    near = sine < 1e-6
    safe = np.where(near, 1.0, sine)
    wa = np.where(near, 1 - t, np.sin((1 - t) * theta) / safe)
    wb = np.where(near, t, np.sin(t * theta) / safe)
    return normalize(wa * a + np.where(cosine < 0, -wb, wb) * b)
