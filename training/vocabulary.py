"""Our own rhythm vocabulary: the notation under `training/rhythm`, compiled with variation.

The library's 208 gestures mean something and are placed on words; these mean little and are placed on stress. They are
written in the same notation (docs/notation.md) and never shown as gestures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler.compile import Compiled, compile_variant
from SG_dataset.notation.read import load_yaml, parse_variant, vector
from SG_dataset.notation.records import GestureSpec
from training.life import arms_of, mean_pose
from training.motion_folder import Clip
from training.units import Unit, arm_joints, collect_units, hand_in_chest, hand_paths

FOLDER = Path(__file__).with_name("rhythm")
_RAISED, _ABOVE = 0.6, 5.0  # how held a raised hand is, and cm over the hips from which it is raised
_MIRROR = np.array([1.0, 1.0, -1.0, -1.0])


@dataclass(frozen=True, eq=False)
class Rest:
    """Where the hands rest: local rotations (n, 4) of collar bone, arm and fingers (`arm_joints`) per side.

    formal: 0 casual to 1 formal. held: how little the arms may be moved along with the rest of the body: 1 where hands
    hold each other or the body, less where they are raised, 0 where they hang.
    """

    name: str
    arms: dict[str, Floats]
    formal: float = 0.5
    held: float = 0.0

    @cached_property
    def place(self) -> tuple[float, ...]:
        """Where the hands are: left x y z, right x y z, cm from the chest joint in its frame."""
        pose = rot.identity(1, len(canonical()))
        for side, arm in self.arms.items():
            pose[:, arm_joints(side)] = arm
        return tuple(float(x) for side in SIDES for x in hand_in_chest(pose, side)[0])

    def mirrored(self) -> Rest:
        other = {"Left": "Right", "Right": "Left"}
        return Rest(f"{self.name}~", {other[s]: arm * _MIRROR for s, arm in self.arms.items()}, self.formal, self.held)


def strokes(variations: int, seed: int = 0) -> list[Unit]:
    """Every family of `strokes.yaml` in so many variations, and their mirror images."""
    return _units("strokes", variations, seed)


def touches(variations: int, seed: int = 0) -> list[Unit]:
    """Self-touches, likewise."""
    return _units("touches", variations, seed)


def rests() -> list[Rest]:
    """Every rest of `rests.yaml` and its mirror image."""
    found = []
    for name, row in _read("rests").items():
        compiled = _compile(name, row["move"], {}, 1)
        pose = compiled.motion.rotations[round(compiled.phases.stroke_end * compiled.motion.fps)]
        held = 1.0 if compiled.contacts else _held(pose)
        found.append(Rest(name, arms_of(pose), float(row["formal"]), held))
    return found + [rest.mirrored() for rest in found]


def rests_of(clips: Sequence[Clip]) -> list[Rest]:
    """The rests of the idles: how real people's arms hang or cross; and their mirror images.

    Those with a hand on the hip are our own (`rests`): captured on a wider body, it would hover beside this one.
    """
    found = []
    for clip in clips:
        if clip.gesture == "" and "OnHip" not in clip.name:
            pose = mean_pose(clip.motion.rotations)
            crossed = "Crossed" in clip.name
            found.append(Rest(clip.name, arms_of(pose), 0.35 if crossed else 0.5, 1.0 if crossed else _held(pose)))
    return found + [rest.mirrored() for rest in found]


def _held(pose: Floats) -> float:
    """Of a pose (J, 4) without contact: whether a hand is above the hips."""
    paths = hand_paths(Motion(60.0, canonical(), np.zeros((1, 3)), pose[None]))
    return _RAISED if max(path[0, 1] for path in paths.values()) > _ABOVE else 0.0


def hanging() -> Rest:
    """Both hands at the sides, as the library's clips begin and end."""
    from SG_dataset.compiler.rest import rest_pose

    return Rest("at_sides", arms_of(rest_pose()[1]), 0.5)


def _units(kind: str, variations: int, seed: int) -> list[Unit]:
    rng = np.random.default_rng(seed)
    clips = []
    for name, row in _read(kind).items():
        for number in range(1, variations + 1):
            compiled = _compile(name, row["move"], _drawn(row["vary"], number, rng), number)
            sync = {"emphasis": compiled.phases.stroke}
            label = f"{name}_Touch" if kind == "touches" else name
            clips.append(Clip("rhythm", f"{label}{number}", compiled.motion, sync))
    return collect_units(clips)


def _drawn(ranges: dict[str, Any], number: int, rng: np.random.Generator) -> dict[str, Any]:
    """One variation: the first is as written, the others anywhere in the ranges."""
    if number == 1:
        return {}
    change = {key: float(rng.uniform(*ranges[key])) for key in ("size", "tempo", "elbow")}
    reach = np.array(vector(ranges["place"], "vary")) * rng.uniform(-1, 1, 3)
    return change | {"place": f"out {reach[0]:.2f} up {reach[1]:.2f} forward {reach[2]:.2f}"}


def _read(kind: str) -> dict[str, Any]:
    return dict(load_yaml(FOLDER / f"{kind}.yaml"))


def _compile(name: str, move: Any, change: dict[str, Any], number: int) -> Compiled:
    variant = parse_variant(change, number, move, {}, f"training/rhythm: {name}")
    # the trunk follows the arms in assembly, by the same rule for all gestures: here only what the notation says
    spec = GestureSpec(name, name, "", (), (), {}, (variant,), participation=0.3)
    return compile_variant(spec, variant)
