"""Which bone of a rig plays which canonical joint.

Three ways lead to a `BoneMap`: the naming schemes people meet every day (`PRESETS`), a reading of the names and the
hierarchy for any other humanoid (`guess`), and a JSON file edited by hand. `detect` tries the first two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .errors import UserError
from .joint_groups import ARM, FINGERS, LEG, NECK, SIDES, SPINE
from .skeleton import canonical

# How much a joint tells about a rig being a person; everything else (fingers, metacarpals) is a bonus.
_WEIGHTS = {"Hips": 2.0, "Spine2": 1.5, "Head": 1.5} | {
    side + part: weight
    for side in SIDES
    for part, weight in (("Arm", 2.0), ("ForeArm", 2.0), ("Hand", 1.5), ("UpLeg", 1.0), ("Leg", 1.0), ("Foot", 0.5))
}
_BONUS = 0.05
_ENOUGH = 0.5  # of a preset's own weight: below this the names are not that preset's


@dataclass(frozen=True)
class BoneMap:
    """Canonical joint -> bone name. `score` runs from 0 (nothing found) to 1 (every canonical joint has a bone)."""

    preset: str
    joints: Mapping[str, str]
    missing: tuple[str, ...] = ()
    score: float = 0.0

    @classmethod
    def make(cls, preset: str, joints: Mapping[str, str]) -> BoneMap:
        """A map in canonical order with its missing joints and score filled in."""
        names = canonical().names
        ordered = {joint: joints[joint] for joint in names if joints.get(joint)}
        return cls(preset, ordered, tuple(j for j in names if j not in ordered), _weigh(ordered) / _weigh(names))

    def with_joint(self, joint: str, bone: str) -> BoneMap:
        """The map with one joint set, or cleared when `bone` is empty; a bone keeps one joint only."""
        if joint not in canonical():
            raise UserError(f"There is no joint called {joint}.", "Choose one of the canonical joints.", "bad_mapping")
        joints = {j: b for j, b in self.joints.items() if j != joint and b != bone}
        return BoneMap.make("custom", joints | {joint: bone})

    def why_unusable(self) -> str:
        """One sentence on what is missing for gestures to make sense, or an empty string."""
        if not self.joints:
            return "None of its bones could be recognised as parts of a body."
        arms = [side for side in SIDES if {side + "Arm", side + "ForeArm"} <= set(self.joints)]
        if not arms:
            return "No upper arm with its forearm was found among its bones."
        return ""

    def to_json(self) -> dict[str, Any]:
        return {"preset": self.preset, "joints": dict(self.joints)}

    @classmethod
    def from_json(cls, data: Any, bone_names: Iterable[str] | None = None) -> BoneMap:
        """Read a mapping made by hand; UserError names the first thing that is wrong with it."""
        joints = data.get("joints") if isinstance(data, dict) else None
        if not isinstance(joints, dict) or not all(isinstance(v, str) for v in joints.values()):
            raise _bad_mapping('It needs an object "joints" of joint name to bone name.')
        unknown = [j for j in joints if j not in canonical()]
        if unknown:
            raise _bad_mapping(f"There is no joint called {unknown[0]}.")
        used = [b for b in joints.values() if b]
        twice = sorted({b for b in used if used.count(b) > 1})
        if twice:
            raise _bad_mapping(f"The bone {twice[0]} is given to two joints.")
        absent = sorted(set(used) - set(bone_names)) if bone_names is not None else []
        if absent:
            raise _bad_mapping(f"The rig has no bone called {absent[0]}.")
        return cls.make(str(data.get("preset") or "custom"), joints)

    @classmethod
    def from_text(cls, text: str, bone_names: Iterable[str] | None = None) -> BoneMap:
        """As `from_json`, from the text of a file."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise _bad_mapping(f"It is not JSON ({error}).") from error
        return cls.from_json(data, bone_names)


def _bad_mapping(why: str) -> UserError:
    return UserError(f"The bone mapping cannot be used. {why}", "Correct it, or detect the rig again.", "bad_mapping")


def _weigh(joints: Iterable[str]) -> float:
    return sum(_WEIGHTS.get(joint, _BONUS) for joint in joints)


# ---------------------------------------------------------------- naming schemes


def _scheme(
    middle: Mapping[str, str],
    limbs: Mapping[str, str],
    finger: str,
    sides: tuple[str, str],
    fingers: Sequence[str] = FINGERS,
    palms: str = "",
) -> dict[str, str]:
    """Fill a scheme's templates: {s} side, {f} finger, {n} 1..3, {p} palm number."""
    names = dict(middle)
    for side, s in zip(SIDES, sides, strict=True):
        names.update({side + part: template.format(s=s) for part, template in limbs.items()})
        for i, (joint, f) in enumerate(zip(FINGERS, fingers, strict=True)):
            names.update({f"{side}Hand{joint}{n}": finger.format(s=s, f=f, n=n) for n in (1, 2, 3)})
            if palms and i:
                names[f"{side}InHand{joint}"] = palms.format(s=s, f=f, p=i)
    return names


def _middle(*names: str) -> dict[str, str]:
    joints = ("Hips", *SPINE, *NECK)
    return {joint: name for joint, name in zip(joints, names, strict=True) if name}


def _limbs(*names: str) -> dict[str, str]:
    return dict(zip((*ARM, *LEG), names, strict=True))


_MIXAMO = {joint: joint for joint in canonical().names if joint != "Neck1" and "InHand" not in joint}
_LOWER = tuple(f.lower() for f in FINGERS)

PRESETS: dict[str, dict[str, str]] = {
    "canonical": {joint: joint for joint in canonical().names},
    "mixamo": _MIXAMO,
    "rigify": _scheme(
        _middle("spine", "spine.001", "spine.002", "spine.003", "spine.004", "spine.005", "spine.006"),
        _limbs("shoulder.{s}", "upper_arm.{s}", "forearm.{s}", "hand.{s}", "thigh.{s}", "shin.{s}", "foot.{s}"),
        "{f}.0{n}.{s}",
        ("L", "R"),
        ("thumb", "f_index", "f_middle", "f_ring", "f_pinky"),
        "palm.0{p}.{s}",
    ),
    "unreal": _scheme(
        _middle("pelvis", "spine_01", "spine_02", "spine_03", "neck_01", "neck_02", "head"),
        _limbs("clavicle_{s}", "upperarm_{s}", "lowerarm_{s}", "hand_{s}", "thigh_{s}", "calf_{s}", "foot_{s}"),
        "{f}_0{n}_{s}",
        ("l", "r"),
        _LOWER,
        "{f}_metacarpal_{s}",
    ),
    "vrm": _scheme(
        _middle(
            "J_Bip_C_Hips", "J_Bip_C_Spine", "J_Bip_C_Chest", "J_Bip_C_UpperChest", "J_Bip_C_Neck", "", "J_Bip_C_Head"
        ),
        {
            part: "J_Bip_{s}_" + name
            for part, name in _limbs("Shoulder", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot").items()
        },
        "J_Bip_{s}_{f}{n}",
        ("L", "R"),
        ("Thumb", "Index", "Middle", "Ring", "Little"),
    ),
    "makehuman": _scheme(
        _middle("root", "spine05", "spine03", "spine01", "neck01", "neck03", "head"),
        _limbs(
            "clavicle.{s}",
            "upperarm01.{s}",
            "lowerarm01.{s}",
            "wrist.{s}",
            "upperleg01.{s}",
            "lowerleg01.{s}",
            "foot.{s}",
        ),
        "finger{f}-{n}.{s}",
        ("L", "R"),
        ("1", "2", "3", "4", "5"),
        "metacarpal{p}.{s}",
    ),
}

_PREFIX = re.compile(r"^(?:.*:)?(?:mixamorig\d*[_:]?)?")


def _bare(name: str) -> str:
    """The name without a namespace or the Mixamo prefix."""
    return _PREFIX.sub("", name, count=1) or name


def _from_preset(preset: str, by_bare: Mapping[str, str]) -> tuple[BoneMap, float]:
    template = PRESETS[preset]
    joints = {joint: by_bare[name] for joint, name in template.items() if name in by_bare}
    share = _weigh(joints) / _weigh(template)
    return BoneMap.make(preset, _chest_last(joints)), share


def _chest_last(joints: dict[str, str]) -> dict[str, str]:
    """With fewer spine bones than ours the topmost one is the chest: the arms hang on it."""
    present = [joint for joint in SPINE if joint in joints]
    if present and present[-1] != "Spine2":
        joints["Spine2"] = joints.pop(present[-1])
    return joints


def detect(bone_names: Sequence[str], parents: Sequence[int]) -> BoneMap:
    """Find the canonical joints in a rig.

    bone_names: all bones; parents: index of each bone's parent or -1. Never raises: a rig that is no body gives a map
    with a low score and `why_unusable()` says so.
    """
    by_bare: dict[str, str] = {}
    for name in bone_names:
        by_bare.setdefault(_bare(name), name)
    found = [_from_preset(preset, by_bare) for preset in PRESETS]
    best, share = max(found, key=lambda item: (item[1], item[0].score))
    if share >= 0.999:
        return best
    from .bone_names import guess  # the reading of names is only needed for rigs nobody has seen

    other = BoneMap.make("guess", guess(bone_names, parents))
    if share >= _ENOUGH and best.score >= other.score - 1e-9:
        return best
    return replace(other, preset=best.preset) if dict(other.joints) == dict(best.joints) else other
