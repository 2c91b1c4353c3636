"""Solid modelling with numpy: signed distances of rounded shapes, their smooth unions, and meshes of the result.

Points are (N, 3); a distance is negative inside. Distances need not be exact: meshes are pulled onto the zero level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...core.arrays import Floats
from ...core.rotations import normalize

Distance = Callable[[Floats], Floats]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Mesh:
    """vertices (V, 3); faces (F, 4) vertex indices, counter-clockwise seen from outside."""

    vertices: Floats
    faces: Indices


def cone(
    a: Sequence[float] | Floats,
    b: Sequence[float] | Floats,
    ra: float,
    rb: float,
    squash: Sequence[float] = (1.0, 1.0, 1.0),
) -> Distance:
    """A rod with round ends of radius ra and rb; `squash` scales its girth per axis."""
    scale = np.asarray(squash, dtype=float)
    start, way = np.asarray(a, dtype=float), np.asarray(b, dtype=float) - np.asarray(a, dtype=float)

    def distance(p: Floats) -> Floats:
        share = np.clip((p - start) @ way / max(way @ way, 1e-9), 0.0, 1.0)
        aside = (p - start - share[:, None] * way) / scale
        return (np.linalg.norm(aside, axis=1) - (ra + (rb - ra) * share)) * scale.min()

    return distance


def ball(centre: Sequence[float] | Floats, radii: Sequence[float] | Floats) -> Distance:
    """An ellipsoid."""
    middle, size = np.asarray(centre, dtype=float), np.asarray(radii, dtype=float)
    return lambda p: (np.linalg.norm((p - middle) / size, axis=1) - 1.0) * size.min()


def column(rings: Sequence[tuple[float, float, float, float]], bulge: float = 2.3) -> Distance:
    """A vertical body of rounded cross-sections: rings of (height, half width, half depth, z of the middle)."""
    y, w, d, z = np.array(rings, dtype=float).T
    fine = np.linspace(y[0], y[-1], 200)
    kernel = np.exp(-0.5 * (np.linspace(-2, 2, 21)) ** 2)
    w, d, z = (_smooth(np.interp(fine, y, values), kernel / kernel.sum()) for values in (w, d, z))

    def distance(p: Floats) -> Floats:
        width, depth, middle = (np.interp(p[:, 1], fine, values) for values in (w, d, z))
        round_ = (np.abs(p[:, 0] / width) ** bulge + np.abs((p[:, 2] - middle) / depth) ** bulge) ** (1 / bulge)
        side = (round_ - 1.0) * np.minimum(width, depth)
        return smooth_max([side, p[:, 1] - y[-1], y[0] - p[:, 1]], 1.0)

    return distance


def _smooth(values: Floats, kernel: Floats) -> Floats:
    half = len(kernel) // 2
    return np.convolve(np.pad(values, half, mode="edge"), kernel, "valid")


def smooth_min(distances: Sequence[Floats], k: float) -> Floats:
    """Union with fillets about k wide."""
    out = distances[0]
    for d in distances[1:]:
        h = np.maximum(k - np.abs(out - d), 0.0) / k
        out = np.minimum(out, d) - h * h * k * 0.25
    return out


def smooth_max(distances: Sequence[Floats], k: float) -> Floats:
    """Intersection with rounded edges."""
    return -smooth_min([-d for d in distances], k)


def union(shapes: Sequence[Distance], k: float) -> Distance:
    return lambda p: smooth_min([shape(p) for shape in shapes], k)


def mesh_of(shape: Distance, low: Sequence[float] | Floats, high: Sequence[float] | Floats, step: float) -> Mesh:
    """The surface of a shape inside a box, by surface nets on a grid of `step`, then pulled onto the surface."""
    lo = np.asarray(low, dtype=float)
    counts = np.maximum(np.ceil((np.asarray(high, dtype=float) - lo) / step).astype(int), 2)
    axes = [lo[i] + step * np.arange(counts[i] + 1) for i in range(3)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = shape(grid.reshape(-1, 3)).reshape(grid.shape[:3])
    index, places = _cells(values)
    vertices = _pull(shape, lo + step * places, step)
    return Mesh(vertices, _quads(values < 0, index))


def _cells(values: Floats) -> tuple[Indices, Floats]:
    """Per grid cell the number of its vertex (-1: none), and the vertices' places in grid units."""
    corners = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    shape = tuple(n - 1 for n in values.shape)
    at = {c: values[c[0] : c[0] + shape[0], c[1] : c[1] + shape[1], c[2] : c[2] + shape[2]] for c in corners}
    total, crossings = np.zeros((*shape, 3)), np.zeros(shape)
    for c in corners:
        for axis in range(3):
            if c[axis]:
                continue
            i, j, k = (1 if i == axis else c[i] for i in range(3))
            a, b = at[c], at[i, j, k]
            crossed = (a < 0) != (b < 0)
            share = np.where(crossed, a / np.where(crossed, a - b, 1.0), 0.0)
            place = np.array(c, dtype=float) + share[..., None] * np.eye(3)[axis]
            total += np.where(crossed[..., None], place, 0.0)
            crossings += crossed
    used = crossings > 0
    index = np.full(shape, -1)
    index[used] = np.arange(int(used.sum()))
    return index, np.argwhere(used) + total[used] / crossings[used][:, None]


def _quads(inside: npt.NDArray[np.bool_], index: Indices) -> Indices:
    """One quad around every grid edge that leaves the shape."""
    faces = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        low = np.moveaxis(inside, (axis, u, v), (0, 1, 2))
        cells = np.moveaxis(index, (axis, u, v), (0, 1, 2))
        a, b = low[:-1, 1:-1, 1:-1], low[1:, 1:-1, 1:-1]
        around = np.stack([cells[:, :-1, :-1], cells[:, 1:, :-1], cells[:, 1:, 1:], cells[:, :-1, 1:]], axis=-1)
        faces.append(around[a & ~b])
        faces.append(around[~a & b][:, ::-1])
    return np.concatenate(faces)


def _pull(shape: Distance, points: Floats, step: float) -> Floats:
    """Newton steps along the numeric gradient, none longer than a third of a cell."""
    small = 0.1 * step
    for _ in range(4):
        value = shape(points)
        sides = [shape(points + small * e) - shape(points - small * e) for e in np.eye(3)]
        gradient = np.stack(sides, axis=1) / (2 * small)
        move = value[:, None] * gradient / np.maximum((gradient**2).sum(axis=1, keepdims=True), 1e-6)
        length = np.linalg.norm(move, axis=1, keepdims=True)
        points = points - move * np.minimum(1.0, step / 3 / np.maximum(length, 1e-9))
    return points


def tube(
    points: Floats,
    radii: Sequence[float] | Floats,
    sides: int = 14,
    up: Sequence[float] = (0.0, 1.0, 0.0),
    flat: float = 1.0,
) -> Mesh:
    """A closed tube through points (P, 3) with a radius at each; `flat` squeezes it along `up`."""
    points = np.asarray(points, dtype=float)
    along = normalize(np.gradient(points, axis=0))
    side = normalize(np.cross(np.broadcast_to(np.asarray(up, dtype=float), along.shape), along))
    over = np.cross(along, side)
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = np.cos(turn)[None, :, None] * side[:, None] + flat * np.sin(turn)[None, :, None] * over[:, None]
    vertices = points[:, None] + np.asarray(radii, dtype=float)[:, None, None] * ring
    rows, k = len(points), np.arange(sides)
    n = (k + 1) % sides
    first = np.stack([k, n, n + sides, k + sides], axis=1)
    faces = [first + r * sides for r in range(rows - 1)]
    return Mesh(vertices.reshape(-1, 3), np.concatenate(faces))


def smoothstep(x: Floats, low: float, high: float) -> Floats:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    result: Floats = t * t * (3 - 2 * t)
    return result
