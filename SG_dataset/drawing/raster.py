"""A small triangle rasteriser in numpy: perspective camera, z-buffer, Gouraud colours, outlines.

Every triangle's bounding box is expanded into candidate pixels in one vectorised pass, so a frame costs a few
milliseconds and no Python loop runs over triangles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sg_blender_addon.core.arrays import Floats

Singles = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Camera:
    """Looks at `target` (cm) from `distance` cm away.

    `yaw` (degrees) 0 is in front (+Z), positive turns towards the character's left (+X).
    `span` is the height in cm that fills the picture at the target's depth."""

    target: tuple[float, float, float]
    yaw: float = 0.0
    elevation: float = 5.0
    span: float = 190.0
    distance: float = 560.0

    def axes(self) -> Floats:
        """Rows: right, up, towards the camera."""
        y, e = np.radians(self.yaw), np.radians(self.elevation)
        back = np.array([np.sin(y) * np.cos(e), np.sin(e), np.cos(y) * np.cos(e)])
        right = np.array([np.cos(y), 0.0, -np.sin(y)])
        return np.stack([right, np.cross(back, right), back])

    def project(self, points: Floats, width: int, height: int) -> tuple[Floats, Floats]:
        """Points (..., 3) in cm to pixels (..., 2) and depths (...) in cm from the camera."""
        q = (points - np.asarray(self.target)) @ self.axes().T
        depth = np.maximum(self.distance - q[..., 2], 1.0)
        scale = self.distance * height / self.span / depth
        return np.stack([width / 2 + q[..., 0] * scale, height / 2 - q[..., 1] * scale], -1), depth


def _pixel_range(c: Singles, limit: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """First and one past the last pixel whose centre lies between the extremes of three coordinates."""
    low = np.minimum(np.minimum(c[:, 0], c[:, 1]), c[:, 2])
    high = np.maximum(np.maximum(c[:, 0], c[:, 1]), c[:, 2])
    return (
        np.clip(np.ceil(low - 0.5), 0, limit).astype(np.int32),
        np.clip(np.floor(high - 0.5) + 1, 0, limit).astype(np.int32),
    )


def rasterise(
    xy: Floats, depth: Floats, colours: Floats, triangles: Ints, part: Ints, width: int, height: int
) -> tuple[Singles, Singles, NDArray[np.int16]]:
    """Draw triangles that turn counter-clockwise to the camera.

    xy (V, 2) pixels, depth (V,) cm, colours (V, 3) 0..1 -> picture (h, w, 3), depth (h, w), part index (h, w); where
    nothing is drawn they are 0, inf and -1."""
    p = xy.astype(np.float32)
    x, y = p[:, 0][triangles], p[:, 1][triangles]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    front = np.flatnonzero(area < -1e-6)
    x, y, area, triangles, part = x[front], y[front], area[front], triangles[front], part[front]
    x0, x1 = _pixel_range(x, width)
    y0, y1 = _pixel_range(y, height)
    live = np.flatnonzero((x1 > x0) & (y1 > y0))
    w, count = x1[live] - x0[live], (x1[live] - x0[live]) * (y1[live] - y0[live])
    inverse = (1.0 / depth).astype(np.float32)
    picture = np.zeros((height * width, 3), np.float32)
    buffer = np.zeros(height * width, np.float32)
    parts = np.full(height * width, -1, np.int16)
    if len(live) == 0:
        return (
            picture.reshape(height, width, 3),
            np.full((height, width), np.inf, np.float32),
            parts.reshape(height, width),
        )
    # barycentric coordinates as planes a + b * px + c * py per triangle: two multiplications per candidate pixel
    xa, ya, inv_area = x[live], y[live], 1.0 / area[live]
    b0, c0 = (ya[:, 1] - ya[:, 2]) * inv_area, (xa[:, 2] - xa[:, 1]) * inv_area
    b1, c1 = (ya[:, 2] - ya[:, 0]) * inv_area, (xa[:, 0] - xa[:, 2]) * inv_area
    ox, oy = x0[live] + 0.5, y0[live] + 0.5
    a0 = b0 * (ox - xa[:, 2]) + c0 * (oy - ya[:, 2])  # relative to a corner: single precision would not bear x * y
    a1 = b1 * (ox - xa[:, 2]) + c1 * (oy - ya[:, 2])
    planes = np.stack([a0, b0, c0, a1, b1, c1]).astype(np.float32)
    t = np.repeat(np.arange(len(live), dtype=np.int32), count)
    local = np.arange(len(t), dtype=np.int32) - np.repeat(np.cumsum(count, dtype=np.int32) - count, count)
    wt = w[t]
    row = local // wt
    col = local - row * wt
    px, py = col.astype(np.float32), row.astype(np.float32)
    u = planes[0][t] + planes[1][t] * px + planes[2][t] * py
    v = planes[3][t] + planes[4][t] * px + planes[5][t] * py
    inside = np.flatnonzero((u >= 0) & (v >= 0) & (u + v <= 1))
    t, u, v = t[inside], u[inside], v[inside]
    pixel = (y0[live][t] + row[inside]) * width + x0[live][t] + col[inside]
    corners = triangles[live][t]
    s = 1 - u - v
    zi = u * inverse[corners[:, 0]] + v * inverse[corners[:, 1]] + s * inverse[corners[:, 2]]
    np.maximum.at(buffer, pixel, zi)
    won = np.flatnonzero(zi >= buffer[pixel])
    pixel, corners = pixel[won], corners[won]
    col32 = colours.astype(np.float32)
    picture[pixel] = (
        u[won, None] * col32[corners[:, 0]] + v[won, None] * col32[corners[:, 1]] + s[won, None] * col32[corners[:, 2]]
    )
    parts[pixel] = part[live][t[won]]
    with np.errstate(divide="ignore"):
        out_depth = (1.0 / buffer).reshape(height, width)
    return picture.reshape(height, width, 3), out_depth, parts.reshape(height, width)


def outlines(
    picture: Singles, depth: Singles, parts: NDArray[np.int16], crease: float, edge: float, strength: float = 0.75
) -> None:
    """Darken, in place, the farther of two neighbouring pixels.

    They must be of two parts and differ by `crease` cm of depth, or differ by `edge` cm whatever they are."""
    d = np.minimum(depth, 1e4)
    dark = np.zeros(d.shape, bool)
    for axis in (0, 1):
        lo, hi = (slice(None, -1), slice(1, None))
        a = (lo, slice(None)) if axis == 0 else (slice(None), lo)
        c = (hi, slice(None)) if axis == 0 else (slice(None), hi)
        step = d[c] - d[a]
        size = np.abs(step)
        line = ((parts[a] != parts[c]) & (size > crease)) | (size > edge)
        dark[a] |= line & (step < 0)
        dark[c] |= line & (step >= 0)
    picture[dark] *= 1 - strength
