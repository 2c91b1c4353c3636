"""Which source joint, in which local axes, is which canonical joint: one `Rig` per family of skeletons.

A source skeleton need not have a T pose of its own. It is enough to know the axes that each of its joints would have in
the canonical T pose; a retarget is then a change of frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats

UP, DOWN, AHEAD, BACK, LEFT, RIGHT = (
    np.array(v, dtype=float) for v in ([0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1], [1, 0, 0], [-1, 0, 0])
)
_FINGERS = ("Index", "Middle", "Ring", "Pinky")
# joints without which a skeleton is not the rig's
NEEDED = ("Hips", "Spine2", "Head", "LeftUpLeg", "LeftLeg", "LeftFoot", "RightFoot", "LeftArm", "RightHand")


@dataclass(frozen=True)
class Joint:
    """A source joint and its frame (w x y z) in the canonical T pose."""

    source: str
    frame: Floats


@dataclass(frozen=True)
class Rig:
    """A family of skeletons. joints: canonical name -> source joint; what is missing moves with its parent."""

    name: str
    joints: Mapping[str, Joint]

    def fits(self, names: Iterable[str]) -> bool:
        """Whether a skeleton with these joint names belongs to the family."""
        known = set(names)
        return all(self.joints[joint].source in known for joint in NEEDED)


def frame(x: Floats, z: Floats) -> Floats:
    """The rotation whose local X and Z point along the world directions x and z."""
    return rot.from_matrix(np.stack([x, np.cross(z, x), z], axis=-1))


def _thumb_hinge(side: float) -> Floats:
    """The thumb bends half way between the palm and the fingers' side (45 degrees), unlike the fingers."""
    return np.cross(LEFT, rot.normalize(DOWN + BACK)) * side


def _smartbody() -> Rig:
    """SmartBody's `Jt...` characters: X runs along the bone, towards the body on the right side, and Z is the hinge."""
    joints = {"Hips": Joint("JtPelvis", frame(LEFT, AHEAD))}
    trunk = ("SpineA", "SpineB", "SpineC", "NeckA", "NeckB", "SkullA")
    for name, source in zip(("Spine", "Spine1", "Spine2", "Neck", "Neck1", "Head"), trunk, strict=True):
        joints[name] = Joint(f"Jt{source}", frame(UP, LEFT))
    for side, tag, sign in (("Left", "Lf", 1.0), ("Right", "Rt", -1.0)):
        for name, source in {"Shoulder": "Clavicle", "Arm": "Shoulder", "ForeArm": "Elbow", "Hand": "Wrist"}.items():
            joints[side + name] = Joint(f"Jt{source}{tag}", frame(LEFT, DOWN * sign))
        for name, source in {"UpLeg": "Hip", "Leg": "Knee"}.items():
            joints[side + name] = Joint(f"Jt{source}{tag}", frame(DOWN * sign, RIGHT))
        joints[side + "Foot"] = Joint(f"JtAnkle{tag}", frame(AHEAD * sign, RIGHT))
        for n, letter in enumerate("ABC", start=1):
            for finger in _FINGERS:
                source = "Little" if finger == "Pinky" else finger
                joints[f"{side}Hand{finger}{n}"] = Joint(f"Jt{source}{letter}{tag}", frame(LEFT, BACK * sign))
            joints[f"{side}HandThumb{n}"] = Joint(f"JtThumb{letter}{tag}", frame(LEFT, _thumb_hinge(sign)))
    return Rig("smartbody", joints)


def _common() -> Rig:
    """SmartBody's older characters (`base, spine1, l_shoulder`): every joint has the world's axes in the T pose."""
    table = {"Hips": "base", "Spine": "spine1", "Spine1": "spine2", "Spine2": "spine3", "Neck": "spine4"}
    table |= {"Neck1": "spine5", "Head": "skullbase"}
    for side, tag in (("Left", "l"), ("Right", "r")):
        parts = {"Shoulder": "acromioclavicular", "Arm": "shoulder", "ForeArm": "elbow", "Hand": "wrist"}
        parts |= {"UpLeg": "hip", "Leg": "knee", "Foot": "ankle"}
        fingers = {f"Hand{f}{n}": f"{f.lower()}{n}" for f in ("Thumb", *_FINGERS) for n in (1, 2, 3)}
        table |= {side + name: f"{tag}_{source}" for name, source in (parts | fingers).items()}
    return _upright("common", table)


def _perception_neuron() -> Rig:
    """Perception Neuron: canonical names with one more spine joint; the world's axes in the T pose."""
    table = {"Hips": "Hips", "Spine": "Spine1", "Spine1": "Spine2", "Spine2": "Spine3", "Neck": "Neck", "Head": "Head"}
    for side in ("Left", "Right"):
        parts = ["Shoulder", "Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot"]
        parts += [f"Hand{f}{n}" for f in ("Thumb", *_FINGERS) for n in (1, 2, 3)]
        parts += [f"InHand{f}" for f in _FINGERS]
        table |= {side + part: side + part for part in parts}
    return _upright("perception neuron", table)


def _upright(name: str, table: Mapping[str, str]) -> Rig:
    return Rig(name, {joint: Joint(source, frame(LEFT, AHEAD)) for joint, source in table.items()})


def _biped() -> Rig:
    """3ds Max bipeds (`Bip01 ...`): X runs along the bone; the hinge is Z. Thumbs are left out: their rest differs."""
    joints = {}
    trunk = {"Hips": "Pelvis", "Spine": "Spine", "Spine1": "Spine1", "Spine2": "Spine2", "Neck": "Neck", "Head": "Head"}
    for name, source in trunk.items():
        joints[name] = Joint(f"Bip01 {source}", frame(UP, LEFT))
    for side, tag, out, up, thumb in (("Left", "L", LEFT, UP, BACK), ("Right", "R", RIGHT, DOWN, AHEAD)):
        for name, source in {"Shoulder": "Clavicle", "Arm": "UpperArm", "ForeArm": "Forearm"}.items():
            joints[side + name] = Joint(f"Bip01 {tag} {source}", frame(out, up))
        joints[side + "Hand"] = Joint(f"Bip01 {tag} Hand", frame(out, thumb))
        for name, source in {"UpLeg": "Thigh", "Leg": "Calf", "Foot": "Foot"}.items():
            joints[side + name] = Joint(f"Bip01 {tag} {source}", frame(DOWN, RIGHT))
        for n, finger in enumerate(_FINGERS, start=1):
            for k, part in enumerate(("", "1", "2"), start=1):
                joints[f"{side}Hand{finger}{k}"] = Joint(f"Bip01 {tag} Finger{n}{part}", frame(out, thumb))
    return Rig("biped", joints)


SMARTBODY = _smartbody()
RIGS = (SMARTBODY, _common(), _perception_neuron(), _biped())


def rig_of(names: Iterable[str]) -> Rig | None:
    """The family that a skeleton with these joint names belongs to."""
    known = list(names)
    return next((rig for rig in RIGS if rig.fits(known)), None)
