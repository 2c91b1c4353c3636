"""Motion: local joint rotations and a root path on a skeleton."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from . import rotations as rot
from .arrays import Floats
from .skeleton import Skeleton, mirror_indices

Times = Sequence[float] | Floats


@dataclass(frozen=True, eq=False)
class Motion:
    """A clip.

    fps: frames per second. root_positions (F, 3): the root joint's place in the world, cm, Y up (absolute: the rest
    height is in it). rotations (F, J, 4): local rotations w x y z relative to the parent's frame; identity is the
    rest pose.
    """

    fps: float
    skeleton: Skeleton
    root_positions: Floats
    rotations: Floats

    def __post_init__(self) -> None:
        frames = len(self.root_positions)
        if self.root_positions.shape != (frames, 3) or self.rotations.shape != (frames, len(self.skeleton), 4):
            raise ValueError(
                f"motion shapes do not fit: root {self.root_positions.shape}, rotations {self.rotations.shape}, "
                f"{len(self.skeleton)} joints"
            )
        if not self.fps > 0:
            raise ValueError("fps must be positive")

    def __len__(self) -> int:
        return len(self.root_positions)

    @property
    def seconds(self) -> float:
        return len(self) / self.fps

    @classmethod
    def rest(cls, skeleton: Skeleton, frames: int, fps: float) -> Motion:
        """The rest pose, held."""
        return cls(fps, skeleton, np.tile(skeleton.offsets[0], (frames, 1)), rot.identity(frames, len(skeleton)))

    def forward_kinematics(self) -> tuple[Floats, Floats]:
        """World positions (F, J, 3) in cm and world rotations (F, J, 4) of all joints."""
        positions = np.empty((len(self), len(self.skeleton), 3))
        world = np.empty((len(self), len(self.skeleton), 4))
        for j, p in enumerate(self.skeleton.parents):
            if p < 0:
                positions[:, j], world[:, j] = self.root_positions, self.rotations[:, j]
            else:
                positions[:, j] = positions[:, p] + rot.rotate(world[:, p], self.skeleton.offsets[j])
                world[:, j] = rot.mul(world[:, p], self.rotations[:, j])
        return positions, world

    def end_positions(self) -> Floats:
        """World positions (F, E, 3) of the end sites, cm: finger tips, toes, crown."""
        positions, world = self.forward_kinematics()
        parents = list(self.skeleton.end_parents)
        return positions[:, parents] + rot.rotate(world[:, parents], self.skeleton.end_offsets)

    def slice(self, start: int, end: int) -> Motion:
        """Frames start..end (end excluded), as slices do."""
        return replace(self, root_positions=self.root_positions[start:end], rotations=self.rotations[start:end])

    def at(self, times: Times) -> Motion:
        """Sample at times in seconds (frame 0 is time 0; outside is held), same fps tag: slerp and linear root."""
        if len(self) == 0:
            raise ValueError("an empty motion cannot be sampled")
        place = np.clip(np.asarray(times, dtype=float) * self.fps, 0, len(self) - 1)
        low = np.minimum(place.astype(int), max(len(self) - 2, 0))
        high = np.minimum(low + 1, len(self) - 1)
        t = place - low
        root = self.root_positions[low] * (1 - t)[:, None] + self.root_positions[high] * t[:, None]
        return replace(
            self, root_positions=root, rotations=rot.slerp(self.rotations[low], self.rotations[high], t[:, None])
        )

    def resample(self, fps: float) -> Motion:
        """The same clip at another frame rate; the length in seconds is kept to within a frame."""
        if fps == self.fps or len(self) == 0:
            return replace(self, fps=fps)
        frames = max(1, round(self.seconds * fps))
        return replace(self.at(np.arange(frames) / fps), fps=fps)

    def mirrored(self) -> Motion:
        """Left and right exchanged (reflection at the plane x = 0)."""
        order = mirror_indices(self.skeleton)
        return replace(
            self,
            root_positions=self.root_positions * np.array([-1.0, 1.0, 1.0]),
            rotations=self.rotations[:, order] * np.array([1.0, 1.0, -1.0, -1.0]),
        )


def concatenate(motions: Sequence[Motion]) -> Motion:
    """Clips of one skeleton and frame rate, one after the other."""
    first = motions[0]
    if any(m.fps != first.fps or not m.skeleton.same_as(first.skeleton) for m in motions):
        raise ValueError("motions to join must share skeleton and frame rate")
    return replace(
        first,
        root_positions=np.concatenate([m.root_positions for m in motions]),
        rotations=np.concatenate([m.rotations for m in motions]),
    )
