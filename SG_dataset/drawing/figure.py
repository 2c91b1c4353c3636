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
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import Skeleton
from SG_dataset.drawing.closeup import Side, hand_camera
from SG_dataset.drawing.mesh import Body, build_body, rest_positions
from SG_dataset.drawing.raster import Camera, outlines, rasterise

Image = NDArray[np.uint8]
View = Literal["front", "three_quarter", "hand"] | float

BACKDROP = np.array([0.84, 0.855, 0.87], np.float32)
GROUND = np.array([0.74, 0.745, 0.75], np.float32)
IDLE = 8.0  # degrees: an arm whose joints turn less only hangs on the body, whatever that does
LIGHT = np.array([0.35, 0.65, 0.68])  # right, up, towards the camera


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

    def idle(self, side: str) -> bool:
        """Whether the "Left" or "Right" hand takes no part in the motion."""
        turns = self.motion.rotations[:, [self.motion.skeleton.index(side + n) for n in ("Arm", "ForeArm", "Hand")]]
        return bool(np.degrees(rot.angle(rot.mul(rot.inverse(turns[:1]), turns))).max() < IDLE)

    def points_of_interest(self, frames: slice | list[int] = slice(None), full_body: bool = True) -> Floats:
        """World points (N, 3) that must be in the picture: the whole figure, or its upper half with what moves."""
        sk = self.motion.skeleton
        names = ["LeftArm", "RightArm", "LeftForeArm", "RightForeArm", "Hips" if full_body else "Spine1"]
        for side in SIDES:
            names += [] if self.idle(side) and not full_body else [side + "Hand", side + "HandMiddle3"]
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
        camera = camera or self._fixed or hand_camera(self, index)
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
