"""BVH files.

The writer puts absolute root positions into the root's channels (many tools read them so) and the same channel order
everywhere. The reader takes any rotation order, channels per joint, end sites, and one root.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np

from . import rotations as rot
from .arrays import Floats
from .errors import UserError
from .files import replacing
from .motion import Motion
from .progress import Progress
from .skeleton import Skeleton
from .storage import blocks

MAX_JOINTS = 1000
MAX_BYTES = 2_000_000_000
_HINT = "Export it again as a BVH file with one skeleton and try once more."
_POSITIONS = ("Xposition", "Yposition", "Zposition")
_WRITE_CHUNK = 2048  # frames; their text takes 5 MB
_BEARS = 0.9  # of the joints below its parent


@dataclass
class _Joint:
    name: str
    parent: int
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    channels: list[str] = field(default_factory=list)


def _broken(path: Path, what: str) -> UserError:
    return UserError(f"{path.name} is not a usable BVH file: {what}.", _HINT, "bad_bvh")


class _Hierarchy:
    """The joints of a HIERARCHY part in file order, and the parents and offsets of its end sites."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.joints: list[_Joint] = []
        self.end_parents: list[int] = []
        self.end_offsets: list[tuple[float, float, float]] = []
        self._open: list[int | None] = []  # the joints whose braces are open; None is an end site
        self._words = iter(text.split())
        handlers: dict[str, Callable[[], object]] = {
            "ROOT": self._root,
            "JOINT": self._joint,
            "End": self._end,
            "OFFSET": self._offset,
            "CHANNELS": self._channels,
            "}": self._open.pop,
        }
        try:
            for word in self._words:
                if word in handlers:
                    handlers[word]()
        except (StopIteration, ValueError, IndexError) as error:
            raise _broken(path, "its hierarchy is cut off or malformed") from error
        if self._open or not self.joints:
            raise _broken(path, "its hierarchy is cut off or empty")

    def _parent(self) -> int:
        return next((joint for joint in reversed(self._open) if joint is not None), -1)

    def _root(self) -> None:
        if self.joints:
            raise UserError(
                f"{self.path.name} holds more than one skeleton.",
                "Export each character to a BVH of its own.",
                "several_roots",
            )
        self._joint()

    def _joint(self) -> None:
        self.joints.append(_Joint(self._name(), self._parent()))
        if len(self.joints) > MAX_JOINTS:
            raise _broken(self.path, f"it has more than {MAX_JOINTS} joints")
        self._open.append(len(self.joints) - 1)

    def _name(self) -> str:
        """Joint names may hold spaces; they end at the brace."""
        name = " ".join(iter(lambda: next(self._words), "{"))
        return name or f"joint{len(self.joints)}"

    def _end(self) -> None:
        while next(self._words) != "{":  # "Site", in some files with a name
            pass
        self._open.append(None)

    def _offset(self) -> None:
        x, y, z = (float(next(self._words)) for _ in range(3))
        joint = self._open[-1]
        if joint is not None:
            self.joints[joint].offset = (x, y, z)
        else:
            self.end_parents.append(self._parent())
            self.end_offsets.append((x, y, z))

    def _channels(self) -> None:
        joint = self._open[-1]
        if joint is None:
            raise _broken(self.path, "an end site has channels")
        self.joints[joint].channels = [next(self._words) for _ in range(int(next(self._words)))]


def read_bvh(path: str | Path, most_bytes: int = MAX_BYTES) -> Motion:
    """Read a BVH file; positions keep the file's unit (the canonical skeleton's files are in cm).

    Raises UserError for a missing, empty, cut-off, malformed or larger file and for several roots.
    """
    path = Path(path)
    try:
        if path.stat().st_size > most_bytes:
            raise UserError(
                f"{path.name} is larger than {most_bytes // 10**6} MB.", "Cut it into shorter clips.", "too_large"
            )
        text = path.read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(
            f"{path.name} cannot be read.", "Check the path and the file's permissions.", "file_not_found"
        ) from error
    head, found, tail = text.partition("MOTION")
    if not head.lstrip().startswith("HIERARCHY") or not found:
        raise _broken(path, "it has no HIERARCHY and MOTION parts")
    hierarchy = _Hierarchy(path, head)
    joints = hierarchy.joints
    match = re.match(r"\s*Frames:\s*(\d+)\s+Frame\s+Time:\s*([-+.\deE]+)", tail)
    if not match:
        raise _broken(path, "its MOTION part has no frame count and frame time")
    frames, frame_time = int(match[1]), float(match[2])
    if frames < 1 or not 1e-5 < frame_time < 10:
        raise _broken(path, "its frame count or frame time makes no sense")
    data = _read_values(path, tail[match.end() :], frames, sum(len(j.channels) for j in joints))
    skeleton = Skeleton(
        tuple(_unique([j.name for j in joints])),
        tuple(j.parent for j in joints),
        np.array([j.offset for j in joints], dtype=float),
        tuple(hierarchy.end_parents),
        np.array(hierarchy.end_offsets, dtype=float).reshape(-1, 3),
    )
    root, rotations = _decode_channels(path, joints, data)
    return Motion(round(1 / frame_time, 3), skeleton, root, rotations)


def _read_values(path: Path, text: str, frames: int, channels: int) -> Floats:
    try:
        values = np.array(text.split(), dtype=float)
    except ValueError as error:
        raise _broken(path, "a motion value is not a number") from error
    if not np.isfinite(values).all():
        raise _broken(path, "a motion value is not finite")
    if len(values) < frames * channels:
        raise _broken(path, f"it ends after {len(values) // max(channels, 1)} of {frames} frames")
    return values[: frames * channels].reshape(frames, channels)


def _unique(names: list[str]) -> list[str]:
    """Some exporters repeat a name; the second becomes "name.001" as in Blender."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        count = seen.get(name, 0)
        seen[name] = count + 1
        result.append(f"{name}.{count:03d}" if count else name)
    return result


def _decode_channels(path: Path, joints: list[_Joint], data: Floats) -> tuple[Floats, Floats]:
    rotations = rot.identity(len(data), len(joints))
    trunk = _trunk(joints)
    places = {j: np.tile(np.array(joints[j].offset), (len(data), 1)) for j in trunk}
    column = 0
    for j, joint in enumerate(joints):
        q = rot.identity(len(data))
        for channel in joint.channels:
            kind, axis = channel[1:].lower(), channel[:1].upper()
            if axis not in "XYZ" or kind not in ("position", "rotation"):
                raise _broken(path, f"the channel {channel!r} is unknown")
            values = data[:, column]
            column += 1
            if kind == "rotation":
                q = rot.mul(q, rot.from_axis_angle(np.eye(3)["XYZ".index(axis)], np.radians(values)))
            elif j in places:  # positions of limbs repeat their offsets in practice and have no place in Motion
                places[j][:, "XYZ".index(axis)] = values
        rotations[:, j] = q
    root, turn = places[0], rotations[:, 0]
    for j in trunk[1:]:  # hips that move below a root on the ground: the root moves instead
        root = root + rot.rotate(turn, places[j] - np.array(joints[j].offset))
        turn = rot.mul(turn, rotations[:, j])
    return root, rot.continuous(rotations)


def _trunk(joints: list[_Joint]) -> list[int]:
    """The root, and below it the joints that bear nearly the whole skeleton, as hips below a root on the ground do."""
    borne = [1] * len(joints)
    for j in range(len(joints) - 1, 0, -1):  # parents come before their children
        borne[joints[j].parent] += borne[j]
    trunk, joint = [0], 0
    while True:
        children = [j for j, other in enumerate(joints) if other.parent == joint]
        joint = max(children, key=lambda j: borne[j], default=0)
        if not joint or borne[joint] < _BEARS * (borne[trunk[-1]] - 1):
            return trunk
        trunk.append(joint)


def write_bvh(motion: Motion, path: str | Path, order: str = "ZXY", progress: Progress | None = None) -> None:
    """Write a BVH file; it appears whole or not at all, also when it is cancelled. Makes missing folders.

    The root's OFFSET is zero and its position channels are absolute, so that readers that add the two and readers
    that do not agree. Raises UserError when the place cannot be written.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="ascii", errors="replace", newline="\n") as file,
    ):
        file.write("HIERARCHY\n")
        sequence = _write_hierarchy(file, motion.skeleton, order)
        _write_frames(file, motion, order, sequence, progress or Progress())


def _write_hierarchy(file: TextIO, skeleton: Skeleton, order: str) -> list[int]:
    """Write the joints depth first; returns the order, which is the order of the channels."""
    rotation = " ".join(f"{axis}rotation" for axis in order)
    sequence: list[int] = []

    def write(joint: int, depth: int) -> None:
        sequence.append(joint)
        pad, inner = "\t" * depth, "\t" * (depth + 1)
        offset = skeleton.offsets[joint] if depth else np.zeros(3)
        file.write(f"{pad}{'JOINT' if depth else 'ROOT'} {skeleton.names[joint]}\n{pad}{{\n")
        file.write(f"{inner}OFFSET {_numbers(offset)}\n")
        if depth:
            file.write(f"{inner}CHANNELS 3 {rotation}\n")
        else:
            file.write(f"{inner}CHANNELS 6 {' '.join(_POSITIONS)} {rotation}\n")
        children = skeleton.children(joint)
        for child in children:
            write(child, depth + 1)
        ends = [o for p, o in zip(skeleton.end_parents, skeleton.end_offsets, strict=True) if p == joint]
        if not ends and not children:
            ends = [np.zeros(3)]  # the format wants every chain closed
        for end in ends:
            file.write(f"{inner}End Site\n{inner}{{\n{inner}\tOFFSET {_numbers(end)}\n{inner}}}\n")
        file.write(f"{pad}}}\n")

    write(0, 0)
    return sequence


def _write_frames(file: TextIO, motion: Motion, order: str, sequence: list[int], progress: Progress) -> None:
    file.write(f"MOTION\nFrames: {len(motion)}\nFrame Time: {1 / motion.fps:.8f}\n")
    for block in blocks(len(motion), motion.rotations, size=_WRITE_CHUNK):
        progress.stage("Writing", block.start / len(motion))
        part = motion.slice(block.start, block.stop)
        euler = np.degrees(rot.to_euler(part.rotations[:, sequence], order))
        values = np.concatenate([part.root_positions, euler.reshape(len(part), -1)], axis=1)
        line = " ".join(["%.5f"] * values.shape[1]) + "\n"
        file.write("".join([line % tuple(row) for row in values.tolist()]))


def _numbers(values: Floats) -> str:
    return " ".join(f"{v:.6f}" for v in values)
