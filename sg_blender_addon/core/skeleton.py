"""Joints with parents and offsets (a skeleton), and the canonical one that every model, clip and file here speaks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Floats


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Joints in an order where parents come before children.

    offsets (J, 3): from the parent's origin to the joint's, in the parent's rest frame, centimetres; the root's is its
    place in the rest pose. Rest frames are all aligned with the world (rest rotations are identity). End sites mark
    where the last bone of a chain ends: end_parents (E joint indices), end_offsets (E, 3).
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Floats
    end_parents: tuple[int, ...] = ()
    end_offsets: Floats = field(default_factory=lambda: np.zeros((0, 3)))

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.parents) == len(self.offsets):
            raise ValueError("names, parents and offsets of a skeleton must have the same length")
        if any(p >= i for i, p in enumerate(self.parents)):
            raise ValueError("parents must come before their children")
        index = {name: i for i, name in enumerate(self.names)}
        if len(index) != len(self.names):
            raise ValueError("joint names must be unique")
        object.__setattr__(self, "_index", index)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self._index  # type: ignore[attr-defined]

    def index(self, name: str) -> int:
        """Index of a joint; KeyError if there is none of that name."""
        result: int = self._index[name]  # type: ignore[attr-defined]
        return result

    def children(self, joint: int) -> list[int]:
        return [i for i, p in enumerate(self.parents) if p == joint]

    def rest_positions(self) -> Floats:
        """Joint positions (J, 3) of the rest pose, cm."""
        positions = np.array(self.offsets, dtype=float)
        for i, p in enumerate(self.parents):
            if p >= 0:
                positions[i] += positions[p]
        return positions

    def same_as(self, other: Skeleton) -> bool:
        """Same joints and hierarchy (offsets may differ)."""
        return self.names == other.names and self.parents == other.parents

    def to_json(self) -> dict[str, Any]:
        return {
            "names": list(self.names),
            "parents": list(self.parents),
            "offsets": np.round(self.offsets, 6).tolist(),
            "end_parents": list(self.end_parents),
            "end_offsets": np.round(self.end_offsets, 6).tolist(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Skeleton:
        return cls(
            tuple(data["names"]),
            tuple(int(p) for p in data["parents"]),
            np.array(data["offsets"], dtype=float).reshape(-1, 3),
            tuple(int(p) for p in data.get("end_parents", ())),
            np.array(data.get("end_offsets", ()), dtype=float).reshape(-1, 3),
        )


@cache
def canonical() -> Skeleton:
    """The canonical skeleton: 59 joints and 13 end sites, Y up, facing +Z, T pose, centimetres."""
    return Skeleton.from_json(json.loads((Path(__file__).parent / "canonical_skeleton.json").read_text("utf-8")))


def mirror_name(name: str) -> str:
    """The joint on the other side of the body ("LeftArm" for "RightArm"); middle joints answer themselves."""
    for a, b in (("Left", "Right"), ("Right", "Left")):
        if name.startswith(a):
            return b + name[len(a) :]
    return name


def mirror_indices(skeleton: Skeleton) -> list[int]:
    """For each joint the index of its mirror image."""
    return [skeleton.index(mirror_name(name)) for name in skeleton.names]
