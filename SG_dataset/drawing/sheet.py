"""Contact sheets: key frames of a motion from the front, three-quarter and twice close to the hand, with the path.

In every picture a line in the wrist band's colour shows where the hand came from since the picture before it, with an
arrow at its end: a still picture otherwise hides tapping, circling and waving.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.motion import Motion
from SG_dataset.drawing.closeup import Direction, Side, hand_camera, spread_direction, thumb_direction
from SG_dataset.drawing.figure import FigureRenderer
from SG_dataset.drawing.raster import Camera
from SG_dataset.phases import Phases

Image = NDArray[np.uint8]

TRAILS = {"Left": (0, 140, 140), "Right": (235, 100, 0), "Head": (150, 30, 150), "Foot": (40, 110, 40)}
ROWS = ("front", "three_quarter", "hand", "thumb")
CLOSE_ROWS = ("hand", "thumb")  # fingers spread out, and from the thumb's side
_FINE: dict[str, Any] = {"full_body": False, "supersample": 2}
_BEAT_WINDOW, _DISTINCT = 0.12, 0.08  # seconds: a turn this near the beat shows it; pictures are farther apart
_SMALLEST_PATH = 3.0  # cm: shorter movements are sway, not gesture


def key_frames(motion: Motion, phases: Phases | None, columns: int = 6) -> list[int]:
    """Frames that tell the story: with phases from late preparation to the end of the stroke, else evenly spread."""
    last = len(motion) - 1
    if phases is None:
        return [round(x) for x in np.linspace(0, last, columns)]
    start, end = (min(last, round(t * motion.fps)) for t in (phases.stroke_start, phases.stroke_end))
    held = min(last, round((0.4 * phases.stroke_end + 0.6 * phases.retraction) * motion.fps))
    early = min(last, round(0.75 * start))
    columns -= 1
    turns = _turning_points(motion, start, end)
    beat = min(last, round(phases.stroke * motion.fps))
    near = [t for t in turns if abs(t - beat) <= _BEAT_WINDOW * motion.fps]  # where a beat stops it says most
    chosen = {start, min(near, key=lambda t: abs(t - beat), default=beat), end, *([held] if held - end > 6 else [])}
    for turn in turns:
        if len(chosen) < columns and min(abs(turn - c) for c in chosen) > _DISTINCT * motion.fps:
            chosen.add(turn)
    while len(chosen) < columns:  # halve the longest stretch of the stroke
        ordered = sorted(chosen)
        gaps = [b - a for a, b in pairwise(ordered)]
        widest = int(np.argmax(gaps))
        if gaps[widest] < 2:
            break
        chosen.add(ordered[widest] + gaps[widest] // 2)
    return [early, *sorted(chosen)[:columns]]


def _turning_points(motion: Motion, start: int, end: int) -> list[int]:
    """Frames within the stroke at which the busiest hand (or the head) turns back or pauses, in order."""
    places, world = motion.forward_kinematics()
    index = motion.skeleton.index
    tracks = [places[:, index(n)] for n in ("RightHandIndex3", "LeftHandIndex3", "RightHand", "LeftHand")]
    travel = [np.linalg.norm(np.diff(t[start : end + 1], axis=0), axis=1).sum() for t in tracks]
    if max(travel) < 12.0:
        tracks, travel = (
            [places[:, index("Head")] + rot.rotate(world[:, index("Head")], np.array([0.0, 6.0, 11.0]))],
            [1.0],
        )
    speed = np.linalg.norm(np.gradient(tracks[int(np.argmax(travel))], axis=0), axis=1)
    inner = range(max(1, start + 2), min(len(speed) - 1, end - 1))
    return [
        f
        for f in inner
        if speed[f] <= speed[f - 1] and speed[f] < speed[f + 1] and speed[f] < 0.5 * speed[start:end].max()
    ]


def sheet(
    motion: Motion,
    frames: Sequence[int] | None = None,
    phases: Phases | None = None,
    *,
    cell: int = 300,
    columns: int = 6,
    rows: Sequence[str] = ROWS,
    title: str = "",
) -> Image:
    """A contact sheet, uint8 (height, width, 3): one column per frame, one row per view, the title above."""
    chosen = list(frames) if frames is not None else key_frames(motion, phases, columns)
    gap, top = 3, 26 if title else 0
    width, height = len(chosen) * (cell + gap) + gap, len(rows) * (cell + gap) + gap + top
    page = PillowImage.new("RGB", (width, height), (45, 45, 48))
    if title:
        ImageDraw.Draw(page).text((8, 5), title, fill=(255, 255, 255), font=ImageFont.load_default(15))
    base = FigureRenderer(motion, (cell, cell), "front", **_FINE)
    span = range(chosen[1] if len(chosen) > 1 else chosen[0], chosen[-1] + 1)
    trails = _tracks(base, span)
    for r, view in enumerate(rows):
        renderer = _Row(motion, cell, view, base.side, chosen)
        for c, frame in enumerate(chosen):
            image = PillowImage.fromarray(renderer.draw(frame))
            if view not in CLOSE_ROWS or not {"Left", "Right"} & set(trails):
                since = chosen[c - 1] if c else max(0, frame - (chosen[1] - chosen[0] if len(chosen) > 1 else 0))
                _draw_trails(image, renderer.camera(frame), trails, chosen[min(1, c)], since, frame)
            page.paste(image, (gap + c * (cell + gap), top + gap + r * (cell + gap)))
    return np.asarray(page)


class _Row:
    """One view over all the frames of a sheet, at one scale or, close to the hands, from one direction."""

    def __init__(self, motion: Motion, cell: int, view: Any, side: Side, frames: list[int]) -> None:
        close = view in CLOSE_ROWS
        self.renderer = FigureRenderer(motion, (cell, cell), "hand" if close else view, **_FINE, side=side)
        feet = moving(self.renderer, ("LeftFoot", "RightFoot"), range(min(frames), max(frames) + 1))
        self._camera: Camera | None = None
        self._direction: Direction | None = None
        middle, looked_at = frames[len(frames) // 2], frames[1:] or frames
        if not close:
            self._camera = self.renderer.body_camera(feet, frames)
        elif feet:
            self._camera = _foot_camera(self.renderer, middle, view)
        elif self.renderer.idle("Left") and self.renderer.idle("Right"):  # the face then
            self._camera = _head_camera(self.renderer, middle, view)
        else:
            self._direction = spread_direction(self.renderer, looked_at)
            if view == "thumb":
                self._direction = thumb_direction(self.renderer, looked_at, self._direction)

    def camera(self, frame: int) -> Camera:
        return self._camera or hand_camera(self.renderer, frame, self._direction)

    def draw(self, frame: int) -> Image:
        return self.renderer.frame(frame, self.camera(frame))


def moving(renderer: FigureRenderer, joints: tuple[str, ...], frames: range, least: float = _SMALLEST_PATH) -> bool:
    """Whether one of the joints travels more than `least` cm within the frames."""
    indices = [renderer.motion.skeleton.index(j) for j in joints]
    return bool(np.ptp(renderer.positions[frames.start : frames.stop, indices], axis=0).max() > least)


def _head_camera(renderer: FigureRenderer, frame: int, view: str) -> Camera:
    x, y, z = (float(a) for a in renderer.positions[frame, renderer.motion.skeleton.index("Head")])
    return Camera((x, y - 2.0, z), 70.0 if view == "thumb" else 0.0, 5.0, 58.0, 300.0)


def _foot_camera(renderer: FigureRenderer, frame: int, view: str) -> Camera:
    sk = renderer.motion.skeleton
    x, _, z = (float(a) for a in renderer.positions[frame, [sk.index("LeftFoot"), sk.index("RightFoot")]].mean(0))
    return Camera((x, 9.0, z + 5.0), 85.0 if view == "thumb" else 40.0, 12.0, 52.0, 300.0)


def _tracks(renderer: FigureRenderer, frames: range) -> dict[str, Floats]:
    """World paths (F, 3) of what moves: hands, else the nose or the feet."""
    sk, m, p = renderer.motion.skeleton, renderer.matrices, renderer.positions
    tracks: dict[str, Floats] = {}
    for side in SIDES:
        foot = sk.index(side + "Foot")
        toe = p[:, foot] + m[:, foot] @ np.array([0.0, -6.0, 15.0])
        if np.ptp(toe[frames.start : frames.stop], axis=0).max() > _SMALLEST_PATH:
            tracks["Foot"] = toe
        if moving(renderer, (side + "Hand", side + "HandIndex3"), frames, 5.0) and not renderer.idle(side):
            tracks[side] = _longest_finger(renderer, side, frames)
    if not tracks:
        head = sk.index("Head")
        tracks["Head"] = p[:, head] + m[:, head] @ np.array([0.0, 6.0, 11.0])
    return tracks


def _longest_finger(renderer: FigureRenderer, side: str, frames: range) -> Floats:
    """The path (F, 3) of the finger tip that is farthest from the wrist: the one that points, or the middle finger."""
    sk, m, p = renderer.motion.skeleton, renderer.matrices, renderer.positions
    fingers = [side + f"Hand{name}3" for name in ("Index", "Middle", "Pinky")]
    ends = [(sk.index(f), sk.end_offsets[sk.end_parents.index(sk.index(f))]) for f in fingers]
    tips = np.stack([p[:, joint] + m[:, joint] @ offset for joint, offset in ends])
    reach = np.linalg.norm(tips - p[:, sk.index(side + "Hand")], axis=-1)[:, frames.start : frames.stop]
    return np.asarray(tips[reach.mean(1).argmax()])


def _draw_trails(
    image: PillowImage.Image, camera: Camera, tracks: dict[str, Floats], first: int, since: int, end: int
) -> None:
    """Paths up to the frame `end`: strong with an arrow from `since` on, and thin before it, from `first` on."""
    draw = ImageDraw.Draw(image)
    for name, path in tracks.items():
        for start, width in ((first, 1), (since, 3)):
            piece = path[start : end + 1]
            if len(piece) < 2 or np.linalg.norm(np.diff(piece, axis=0), axis=1).sum() < _SMALLEST_PATH:
                continue
            points, _ = camera.project(piece, *image.size)
            line = [(float(x), float(y)) for x, y in points]
            draw.line(line, fill=(255, 255, 255), width=width + 2, joint="curve")
            draw.line(line, fill=TRAILS[name], width=width, joint="curve")
        if since < end:
            _arrow(draw, camera.project(path[since : end + 1], *image.size)[0], TRAILS[name])


def _arrow(draw: ImageDraw.ImageDraw, points: Floats, colour: tuple[int, int, int]) -> None:
    back = points[np.linalg.norm(points - points[-1], axis=1) > 6.0]
    if len(back) == 0:
        return
    d = points[-1] - back[-1]
    d /= max(float(np.linalg.norm(d)), 1e-6)
    n = np.array([-d[1], d[0]])
    tip = points[-1] + 4 * d
    draw.polygon(
        [tuple(tip), tuple(tip - 12 * d + 6 * n), tuple(tip - 12 * d - 6 * n)], fill=colour, outline=(255, 255, 255)
    )


def preview(motion: Motion, phases: Phases, size: int = 192) -> Image:
    """One square picture of the stroke from the front with the path that leads through it, uint8 (size, size, 3)."""
    last = len(motion) - 1
    start, stroke, end = (
        min(last, round(t * motion.fps)) for t in (phases.stroke_start, phases.stroke, phases.stroke_end)
    )
    renderer = FigureRenderer(motion, (size, size), "front", **_FINE)
    span = range(round(0.75 * start), end + 1)
    feet = moving(renderer, ("LeftFoot", "RightFoot"), span)
    camera = renderer.body_camera(feet, [start, stroke, end])
    image = PillowImage.fromarray(renderer.frame(stroke, camera))
    _draw_trails(image, camera, _tracks(renderer, span), start, start, end)
    return np.asarray(image)
