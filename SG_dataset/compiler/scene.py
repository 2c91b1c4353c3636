"""Where the body's joints are over the frames, seen from one hand's side, and the body as capsules there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler.collide import Capsules
from SG_dataset.landmarks import CAPSULES

Floats = NDArray[np.floating[Any]]
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
                "bad_gesture",
            )
        place, turn = self.places[actual], self.world[actual]
        return (place, turn) if self.side == "Left" else (place * MIRROR_POINT, turn * MIRROR_TURN)


@cache
def rest_place(name: str) -> Floats:
    """A joint's place (3,) in the T pose, in the left hand's space (Own = left, Other = right)."""
    sk = canonical()
    actual = name.replace("Own", "Left").replace("Other", "Right")
    return np.asarray(sk.rest_positions()[sk.index(actual)] - sk.offsets[0] * [1.0, 0.0, 1.0])


def body_capsules(scene: Scene) -> Capsules:
    """Head, neck, trunk and thighs (F, C)."""
    a, b = [], []
    for joint, end_a, end_b, _, _ in CAPSULES:
        place, turn = scene.joint(joint)
        origin = rest_place(joint)
        a.append(place + rot.rotate(turn, np.array(end_a) - origin))
        b.append(place + rot.rotate(turn, np.array(end_b) - origin))
    radii = np.array([(c[3], c[4]) for c in CAPSULES])
    return Capsules(np.stack(a, 1), np.stack(b, 1), radii[:, 0], radii[:, 1])
