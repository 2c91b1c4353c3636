"""Where the body's joints are over the frames, seen from one hand's side, and the body as capsules there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler.collide import Capsules
from SG_dataset.notation.landmarks import CAPSULES

MIRROR_POINT = np.array([-1.0, 1.0, 1.0])
MIRROR_TURN = np.array([1.0, 1.0, -1.0, -1.0])


@dataclass
class Scene:
    """Places (F, 3) and rotations (F, 4) of joints in one hand's space."""

    side: str  # "Left" or "Right"
    places: dict[str, Floats]
    world: dict[str, Floats]

    def at(self, frames: NDArray[np.integer[Any]]) -> Scene:
        """The scene at some frames."""
        places = {k: v[frames] for k, v in self.places.items()}
        return Scene(self.side, places, {k: v[frames] for k, v in self.world.items()})

    def joint(self, name: str) -> tuple[Floats, Floats]:
        """Place and rotation of a joint; "Own..." and "Other..." are resolved for the hand's side."""
        other = "Right" if self.side == "Left" else "Left"
        actual = name.replace("Own", self.side).replace("Other", other)
        if actual not in self.world:  # the other arm is laid down later, because it refers to this one
            raise UserError(
                "Both hands of a gesture refer to each other's arm.",
                "Give one of them a zone or a landmark of the body instead; see docs/notation.md.",
                "bad_notation",
            )
        place, turn = self.places[actual], self.world[actual]
        return (place, turn) if self.side == "Left" else (place * MIRROR_POINT, turn * MIRROR_TURN)


@cache
def rest_place(name: str) -> Floats:
    """A joint's place (3,) in the T pose, in the left hand's space (Own = left, Other = right)."""
    sk = canonical()
    actual = name.replace("Own", "Left").replace("Other", "Right")
    return np.asarray(sk.rest_positions()[sk.index(actual)] - sk.offsets[0] * [1.0, 0.0, 1.0])


@cache
def _capsule_table() -> tuple[tuple[str, ...], NDArray[np.integer[Any]], Floats, Floats]:
    """Joints that carry capsules; each capsule's joint (C,), its ends in that joint's frame (C, 2, 3), radii (C, 2)."""
    joints = tuple(dict.fromkeys(c[0] for c in CAPSULES))
    ends = np.array([(c[1], c[2]) for c in CAPSULES]) - np.array([rest_place(c[0]) for c in CAPSULES])[:, None]
    radii = np.array([(c[3], c[4]) for c in CAPSULES])
    return joints, np.array([joints.index(c[0]) for c in CAPSULES]), ends, radii


def body_capsules(scene: Scene) -> Capsules:
    """Head, neck, trunk and thighs (F, C)."""
    joints, owner, ends, radii = _capsule_table()
    found = [scene.joint(j) for j in joints]
    places, turns = np.stack([p for p, _ in found], 1), np.stack([q for _, q in found], 1)
    placed = places[:, owner, None] + ends @ np.swapaxes(rot.to_matrix(turns), -1, -2)[:, owner]
    return Capsules(placed[:, :, 0], placed[:, :, 1], radii[:, 0], radii[:, 1])
