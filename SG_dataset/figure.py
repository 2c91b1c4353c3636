"""Pictures of a motion: a solid figure with a face and readable fingers, drawn in numpy without a GPU.

`FigureRenderer` keeps the mesh, the kinematics of the motion and the ground between frames; `render` draws one frame.
Contact sheets are in `sheet.py`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import Skeleton
from SG_dataset.figure_mesh import Body, build_body, rest_positions
from SG_dataset.raster import Camera, outlines, rasterise

Image = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
View = Literal["front", "three_quarter", "hand"] | float
Side = Literal["Left", "Right"]

BACKDROP = np.array([0.84, 0.855, 0.87], np.float32)
GROUND = np.array([0.74, 0.745, 0.75], np.float32)
LIGHT = np.array([0.35, 0.65, 0.68])  # right, up, towards the camera
_CLOSE_YAWS = (0.0, 28.0, -28.0, 55.0, -55.0, 80.0, -80.0, 125.0, -125.0, 155.0, -155.0)
_CLOSE_ELEVATIONS = (5.0, 30.0, -20.0)


@lru_cache(maxsize=4)
def _body(skeleton: Skeleton) -> Body:
    ends = {p: skeleton.end_offsets[i] for i, p in enumerate(skeleton.end_parents)}
    return build_body(skeleton.names, skeleton.parents, skeleton.offsets, ends)


@lru_cache(maxsize=8)
def _background(camera: Camera, width: int, height: int) -> NDArray[np.float32]:
    """Backdrop with a ground plane at y = 0 that fades into it."""
    right, up, back = camera.axes()
    scale = camera.distance * height / camera.span
    x = (np.arange(width) + 0.5 - width / 2) / scale
    y = (height / 2 - np.arange(height) - 0.5) / scale
    ray_y = x[None] * right[1] + y[:, None] * up[1] - back[1]
    eye_y = camera.target[1] + back[1] * camera.distance
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(ray_y < -1e-4, -eye_y / ray_y, 1e5)
    fade = np.clip((reach - 500) / 700, 0, 1)[..., None].astype(np.float32)
    grade = (1.03 - 0.08 * np.linspace(0, 1, height, dtype=np.float32))[:, None, None]
    return np.asarray((GROUND * (1 - fade) + BACKDROP * fade) * grade, np.float32)


class FigureRenderer:
    """Draws frames of one motion; quick on successive frames because mesh, kinematics and ground are kept."""

    def __init__(
        self,
        motion: Motion,
        size: tuple[int, int] = (360, 360),
        view: View = "front",
        *,
        full_body: bool = True,
        supersample: int = 1,
        side: Side | None = None,
        camera: Camera | None = None,
    ) -> None:
        """size: (width, height) pixels. full_body False frames the hips and up. supersample 2 gives smoother edges
        at about three times the cost. side: which hand "three_quarter" and "hand" look at; by default the more
        active one."""
        self.motion, self.size, self.view, self.supersample = motion, size, view, supersample
        self.body = _body(motion.skeleton)
        self.positions, world = motion.forward_kinematics()
        self.matrices = rot.to_matrix(world)
        self.side: Side = side or active_side(motion.skeleton, self.positions)
        rest = rest_positions(motion.skeleton.parents, motion.skeleton.offsets)
        self._local = self.body.vertices[:, None] - rest[self.body.joints]
        self._two = np.flatnonzero(self.body.weights[:, 1] > 0)
        self._fixed = camera or (None if view == "hand" else self.body_camera(full_body))

    # ------------------------------------------------------------------ cameras

    def yaw(self) -> float:
        if self.view in {"front", "hand"}:
            return 0.0
        if self.view == "three_quarter":
            return 38.0 if self.side == "Left" else -38.0
        return float(self.view)

    def points_of_interest(self, frames: slice | list[int] = slice(None), full_body: bool = True) -> Floats:
        """World points (N, 3) that must be in the picture."""
        sk = self.motion.skeleton
        names = [
            "Hips",
            "LeftForeArm",
            "RightForeArm",
            "LeftHand",
            "RightHand",
            "LeftHandMiddle3",
            "RightHandMiddle3",
            "LeftArm",
            "RightArm",
        ]
        points = self.positions[frames][:, [sk.index(n) for n in names]].reshape(-1, 3)
        head = self.positions[frames][:, sk.index("Head")] + self.matrices[frames][:, sk.index("Head")] @ np.array(
            [0, 20.0, 0]
        )
        feet = self.positions[frames][:, [sk.index("LeftFoot"), sk.index("RightFoot")]].reshape(-1, 3) - [0, 10.0, 0]
        return np.concatenate([points, head] + ([feet] if full_body else []))

    def body_camera(
        self, full_body: bool = True, frames: slice | list[int] = slice(None), aspect: float | None = None
    ) -> Camera:
        """A camera that holds the figure in the picture over all the given frames."""
        points = self.points_of_interest(frames, full_body)
        probe = Camera((0.0, 100.0, 0.0), self.yaw())
        right, up, _ = probe.axes()
        x, y = points @ right, points @ up
        w, h = self.size
        aspect = aspect or w / h
        pad = 13.0
        low = y.min() - (2.0 if full_body else pad)
        span = max(y.max() + pad - low, (x.max() - x.min() + 2 * pad) / aspect)
        middle = right * (x.max() + x.min()) / 2 + up * (y.max() + pad / 2 + low) / 2
        return Camera((float(middle[0]), float(middle[1]), float(middle[2])), self.yaw(), span=float(span) * 1.04)

    def hand_points(self, frame: int, sides: tuple[Side, ...]) -> Floats:
        """Joints and finger tips (N, 3) of the given hands at a frame."""
        sk = self.motion.skeleton
        joints = [i for i, n in enumerate(sk.names) if any(n.startswith(s + "Hand") for s in sides)]
        ends = [(p, o) for p, o in zip(sk.end_parents, sk.end_offsets, strict=True) if p in joints]
        tips = [self.positions[frame, p] + self.matrices[frame, p] @ o for p, o in ends]
        return np.concatenate([self.positions[frame, joints], np.array(tips)])

    def hand_camera(self, frame: int, sides: tuple[Side, ...] | None = None) -> Camera:
        """A close-up from where the fingers are spread most in the picture and the body does not stand before them."""
        sides = sides or self._sides_together(frame)
        points = self.hand_points(frame, sides)
        centre = (points.max(0) + points.min(0)) / 2
        best, camera = -np.inf, Camera((0.0, 0.0, 0.0))
        blockers = self._blockers(frame, sides)
        for elevation in _CLOSE_ELEVATIONS:
            for yaw in _CLOSE_YAWS:
                candidate = Camera((float(centre[0]), float(centre[1]), float(centre[2])), yaw, elevation, 26.0, 110.0)
                axes = candidate.axes()
                score = _spread(points @ axes[:2].T) - 0.35 * _hidden(points, axes[2], *blockers)
                score -= 0.0022 * abs(yaw) + 0.0016 * abs(elevation - 5)
                if score > best:
                    best, camera = score, candidate
        q = points @ camera.axes()[:2].T
        span = float(max(np.ptp(q[:, 0]), np.ptp(q[:, 1])) + 7.0)
        return Camera(camera.target, camera.yaw, camera.elevation, max(span, 20.0), camera.distance)

    def _sides_together(self, frame: int) -> tuple[Side, ...]:
        """Both hands where they are near each other, else the active one."""
        apart = self.hand_points(frame, ("Left",)).mean(0) - self.hand_points(frame, ("Right",)).mean(0)
        return ("Left", "Right") if np.linalg.norm(apart) < 24 else (self.side,)

    def _blockers(self, frame: int, sides: tuple[Side, ...]) -> tuple[Floats, Floats]:
        """Spheres (centres (N, 3), radii (N,)) of everything but the hands looked at."""
        sk, p, m = self.motion.skeleton, self.positions[frame], self.matrices[frame]
        head = sk.index("Head")
        centres, radii = [p[head] + m[head] @ np.array([0, y, 0.8]) for y in (2.0, 11.0)], [8.5, 9.0]
        for joint, radius in (("Spine", 14.0), ("Spine1", 14.0), ("Spine2", 14.0), ("Neck", 6.0)):
            centres.append(p[sk.index(joint)])
            radii.append(radius)
        for s in ("Left", "Right"):
            a, e, h = (p[sk.index(s + n)] for n in ("Arm", "ForeArm", "Hand"))
            for t in (0.0, 0.33, 0.66, 1.0):
                centres.append(a + (e - a) * t)
                radii.append(5.0)
                if t < 0.7 or s not in sides:
                    centres.append(e + (h - e) * t)
                    radii.append(4.0)
        return np.array(centres), np.array(radii)

    # ------------------------------------------------------------------ drawing

    def posed(self, frame: int) -> tuple[Floats, Floats]:
        """World vertices (V, 3) and normals (V, 3) of the mesh at a frame."""
        b, m, p = self.body, self.matrices[frame], self.positions[frame]
        first = b.joints[:, 0]
        v = np.einsum("nij,nj->ni", m[first], self._local[:, 0]) + p[first]
        n = np.einsum("nij,nj->ni", m[first], b.normals)
        k = self._two
        second, w = b.joints[k, 1], b.weights[k]
        v[k] = w[:, :1] * v[k] + w[:, 1:] * (np.einsum("nij,nj->ni", m[second], self._local[k, 1]) + p[second])
        n[k] = w[:, :1] * n[k] + w[:, 1:] * np.einsum("nij,nj->ni", m[second], b.normals[k])
        return v, n

    def frame(self, index: int, camera: Camera | None = None, ghost: bool = False) -> Image:
        """Draw a frame as uint8 (height, width, 3). ghost: pale, on white, for onion skins."""
        camera = camera or self._fixed or self.hand_camera(index)
        ss = self.supersample
        w, h = self.size[0] * ss, self.size[1] * ss
        v, n = self.posed(index)
        xy, depth = camera.project(v, w, h)
        facing = n @ camera.axes().T
        light = 0.62 + 0.46 * np.clip(facing @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1) + 0.08 * facing[:, 1]
        colours = self.body.colours * light[:, None]
        # everything per pixel happens in the figure's own rectangle: it fills a fifth of a picture
        low = np.clip(np.floor(xy.min(0)).astype(int) - 2, 0, (w, h)) // ss * ss
        high = np.minimum(-(-(np.ceil(xy.max(0)).astype(int) + 3) // ss) * ss, (w, h))
        canvas = (
            np.array(self._ground(camera, w // ss, h // ss, index))
            if not ghost
            else np.ones((h // ss, w // ss, 3), np.float32)
        )
        cw, ch = (int(n) for n in np.maximum(high - low, 0))
        if cw and ch:
            picture, z, parts = rasterise(xy - low, depth, colours, self.body.triangles, self.body.part, cw, ch)
            close = camera.span < 60
            outlines(picture, z, parts, 0.25 if close else 0.8, 1.2 if close else 3.5)
            box = (slice(low[1] // ss, high[1] // ss), slice(low[0] // ss, high[0] // ss))
            canvas[box] = _over(picture, parts < 0, canvas[box], ss)
            if ss == 1:
                canvas[box] = _soften(canvas[box], parts)
        return np.asarray(np.clip(canvas * 255 + 0.5, 0, 255), np.uint8)

    def _ground(self, camera: Camera, w: int, h: int, index: int) -> NDArray[np.float32]:
        ground = _background(camera, w, h)
        if camera.span < 120:
            return ground
        feet = self.positions[
            index, [self.motion.skeleton.index("LeftFoot"), self.motion.skeleton.index("RightFoot")]
        ] * [1, 0, 1]
        xy, _ = camera.project(
            np.concatenate([feet + [0, 0, 5], [feet.mean(0) + [26, 0, 5]], [feet.mean(0) + [0, 0, 20]]]), w, h
        )
        cx, cy = xy[:2].mean(0)
        rx, ry = max(abs(xy[2, 0] - cx), 1.0), max(abs(xy[3, 1] - cy) * 1.6, 2.0)
        y0, y1 = (int(np.clip(cy + s * 3 * ry, 0, h)) for s in (-1, 1))
        x, y = (np.arange(w) + 0.5 - cx) / rx, (np.arange(y0, y1) + 0.5 - cy) / ry
        shade = np.exp(-(y**2))[:, None] * np.exp(-(x**2))[None]
        ground = ground.copy()
        ground[y0:y1] *= (1 - 0.35 * shade[..., None]).astype(np.float32)
        return ground


def _over(
    picture: NDArray[np.float32], empty: NDArray[np.bool_], ground: NDArray[np.float32], ss: int
) -> NDArray[np.float32]:
    """Lay the figure over the ground, averaging blocks of ss x ss samples."""
    if ss == 1:
        picture[empty] = ground[empty]
        return picture
    h, w = ground.shape[:2]
    blocks = picture.reshape(h, ss, w, ss, 3)
    cover = 1 - empty.reshape(h, ss, w, ss).mean((1, 3), dtype=np.float32)
    total = sum(blocks[:, i, :, j] for i in range(ss) for j in range(ss)) / np.float32(ss * ss)
    return np.asarray(total + (1 - cover)[..., None] * ground, np.float32)


def _soften(picture: NDArray[np.float32], parts: NDArray[np.int16]) -> NDArray[np.float32]:
    """Cheap anti-aliasing: average over the neighbours where parts meet."""
    edge = np.zeros(parts.shape, bool)
    edge[:, 1:] |= parts[:, 1:] != parts[:, :-1]
    edge[1:] |= parts[1:] != parts[:-1]
    edge[0] = edge[-1] = False
    edge[:, 0] = edge[:, -1] = False
    y, x = np.nonzero(edge)
    mixed = 0.4 * picture[y, x] + 0.15 * (picture[y - 1, x] + picture[y + 1, x] + picture[y, x - 1] + picture[y, x + 1])
    picture[y, x] = mixed
    return picture


def _spread(q: Floats) -> float:
    """How well the points of a hand are told apart: mean distance to the nearest neighbour, cm (at most 1.5)."""
    d = np.linalg.norm(q[:, None] - q[None], axis=-1) + np.eye(len(q)) * 9
    return float(np.minimum(d.min(1), 1.5).mean())


def _hidden(points: Floats, towards: Floats, centres: Floats, radii: Floats) -> float:
    """Share of the points with a sphere between them and the camera."""
    rel = centres[None] - points[:, None]
    along = rel @ towards
    off = np.linalg.norm(rel - along[..., None] * towards, axis=-1)
    return float(((along > 0) & (off < radii * 0.9)).any(1).mean())


def active_side(skeleton: Skeleton, positions: Floats) -> Side:
    """The hand that leaves its first place farther and moves more; a tie goes to the right."""

    def activity(side: str) -> float:
        wrist = positions[:, skeleton.index(side + "Hand")]
        step = np.linalg.norm(np.diff(wrist, axis=0), axis=1).sum()
        return float(np.percentile(np.linalg.norm(wrist - wrist[0], axis=1), 90) + 0.15 * step)

    return "Left" if activity("Left") > activity("Right") * 1.05 else "Right"


def render(
    motion: Motion, frame: int, size: tuple[int, int] = (300, 300), view: View = "front", **options: Any
) -> Image:
    """Draw one frame as uint8 (height, width, 3); options of `FigureRenderer`. Negative frames count from the end."""
    frame = range(len(motion))[frame]
    return FigureRenderer(motion, size, view, **{"supersample": 2, **options}).frame(frame)
