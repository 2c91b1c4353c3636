"""Reading the names and the hierarchy of an unknown humanoid rig.

Names alone are ambiguous (a "shoulder" is a collar bone in one rig and an upper arm in the next; "leg" may be the
whole leg or the shin), so names give roles and the hierarchy settles the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .joint_groups import FINGERS, SIDES

_TOKENS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_LEFT, _RIGHT = {"l", "left", "lf", "lft"}, {"r", "right", "rt", "rgt"}
_FILLER = {
    "bip",
    "bip01",
    "cc",
    "base",
    "j",
    "c",
    "jt",
    "def",
    "bone",
    "joint",
    "b",
    "bn",
    "m",
    "mid",
    "center",
    "jnt",
    "sk",
    "skel",
    "bind",
    "f",
    "finger",
    "rig",
    "mixamorig",
    "bend",
    "character",
    "valvebiped",
}
_IGNORED = {
    "twist",
    "roll",
    "ik",
    "pole",
    "target",
    "ctrl",
    "control",
    "end",
    "leaf",
    "tip",
    "helper",
    "share",
    "mch",
    "org",
    "tweak",
    "nub",
    "null",
    "socket",
    "attach",
    "muscle",
    "jiggle",
    "hold",
    "vis",
    "fk",
    "parent",
    "adj",
    "weapon",
    "breast",
    "toe",
    "ball",
    "eye",
    "jaw",
    "hair",
    "skirt",
    "site",
    "weight",
    "corrective",
}
_ROLES = {
    "hips": "hips hip pelvis",
    "spine": "spine chest upperchest lowerchest abdomen waist torso abdomenlower abdomenupper chestlower chestupper"
    " spinelower spineupper ribs ribcage back stomach body",
    "neck": "neck necklower neckupper necktwist",
    "head": "head skull",
    "collar": "clavicle collar collarbone clav",
    "shoulder": "shoulder",
    "arm": "arm upperarm uparm shldr armupper bicep",
    "forearm": "forearm lowerarm lowarm elbow armlower",
    "hand": "hand wrist",
    "thigh": "thigh upleg upperleg legupper femur",
    "leg": "leg",
    "shin": "shin calf lowerleg lowleg knee leglower tibia",
    "foot": "foot ankle",
    "Thumb": "thumb handthumb",
    "Index": "index handindex pointer",
    "Middle": "middle handmiddle",
    "Ring": "ring handring",
    "Pinky": "pinky little pinkie handpinky handlittle small",
}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words.split()}
_PALMS = {"metacarpal", "palm", "inhand", "carpal", "meta"}


@dataclass(frozen=True)
class _Reading:
    role: str = ""
    side: str = ""
    palm: bool = False
    number: int = -1


def _read(name: str) -> _Reading:
    """Role, side and number that a bone's name claims."""
    words = [w.lower() for w in _TOKENS.findall(name.rsplit(":", 1)[-1].rsplit("|", 1)[-1])]
    side = "Left" if _LEFT & set(words) else "Right" if _RIGHT & set(words) else ""
    if _IGNORED & set(words):
        return _Reading()
    numbers = [int(w) for w in words if w.isdigit()]
    palm = bool(_PALMS & set(words))
    finger_words = {"finger"} & set(words)
    plain = [w for w in words if not w.isdigit() and w not in _LEFT | _RIGHT | _PALMS]
    letters = [w for w in plain if len(w) == 1 and w in "abcd"]
    core = "".join(w for w in plain if w not in _FILLER and w not in letters)
    role = _ROLE_OF.get(core, "")
    if not role and "mid" in plain and not core:
        role = "Middle"
    if not role and (finger_words or (palm and not core)) and numbers and 1 <= numbers[0] + palm <= 5:
        role, numbers = FINGERS[numbers[0] + palm - 1], numbers[1:]
    if role in FINGERS and not numbers and letters:
        numbers = ["abcd".index(letters[-1]) + 1]
    return _Reading(role, side, palm, numbers[-1] if numbers else -1)


class _Tree:
    """The rig's hierarchy with what each name claims."""

    def __init__(self, names: Sequence[str], parents: Sequence[int]) -> None:
        self.names, self.parents = list(names), list(parents)
        self.readings = [_read(name) for name in names]
        self.depth = [len(self.ancestors(i)) for i in range(len(names))]

    def ancestors(self, i: int) -> list[int]:
        """Parents from the nearest to the root (broken loops end the walk)."""
        out: list[int] = []
        while (i := self.parents[i]) >= 0 and i not in out and len(out) <= len(self.parents):
            out.append(i)
        return out

    def first(self, role: str, side: str = "", under: int = -1) -> int:
        """The bone of this role nearest to the root, within the subtree of `under` when given; -1 if none."""
        hits = [
            i
            for i, r in enumerate(self.readings)
            if (r.role, r.side) == (role, side) and not r.palm and (under < 0 or under in self.ancestors(i))
        ]
        return min(hits, key=lambda i: (self.depth[i], i), default=-1)


def guess(bone_names: Sequence[str], parents: Sequence[int]) -> dict[str, str]:
    """Canonical joint -> bone name for any humanoid; joints that cannot be told are left out."""
    tree = _Tree(bone_names, parents)
    found: dict[str, int] = {}
    for side in SIDES:
        found.update(_arm(tree, side))
        found.update(_leg(tree, side))
    found.update(_trunk(tree, found))
    return {joint: tree.names[i] for joint, i in found.items() if i >= 0}


def _arm(tree: _Tree, side: str) -> dict[str, int]:
    collar, shoulder, arm = (tree.first(role, side) for role in ("collar", "shoulder", "arm"))
    forearm = tree.first("forearm", side)
    if arm < 0 or (shoulder >= 0 and collar >= 0 and forearm >= 0 and arm == forearm):
        arm, shoulder = shoulder, -1  # a "shoulder" without an upper arm below it is the upper arm
    if collar < 0:
        collar = shoulder
    hand = tree.first("hand", side, arm) if arm >= 0 else tree.first("hand", side)
    if forearm < 0 and arm >= 0 and hand >= 0:
        between = [i for i in tree.ancestors(hand) if arm in tree.ancestors(i) and tree.readings[i].role == "arm"]
        forearm = between[0] if between else -1  # Arm1, Arm2 in one chain
    found = {side + "Shoulder": collar, side + "Arm": arm, side + "ForeArm": forearm, side + "Hand": hand}
    for finger in FINGERS:
        found.update(_finger(tree, side, finger, hand))
    return found


def _finger(tree: _Tree, side: str, finger: str, hand: int) -> dict[str, int]:
    bones = [
        i
        for i, r in enumerate(tree.readings)
        if r.role == finger
        and r.side in (side, "")
        and (hand < 0 or hand in tree.ancestors(i))
        and (r.side or hand >= 0)
    ]
    bones.sort(key=lambda i: (tree.depth[i], i))
    palms = [i for i in bones if tree.readings[i].palm or (tree.readings[i].number == 0 and len(bones) > 3)]
    chain = [i for i in bones if i not in palms][:3]
    found = {f"{side}Hand{finger}{n}": i for n, i in enumerate(chain, 1)}
    if palms and finger != "Thumb":
        found[f"{side}InHand{finger}"] = palms[0]
    return found


def _leg(tree: _Tree, side: str) -> dict[str, int]:
    thigh, leg, shin, hip = (tree.first(role, side) for role in ("thigh", "leg", "shin", "hips"))
    if thigh < 0:
        thigh = leg if leg >= 0 and shin >= 0 else hip
    if shin < 0:
        shin = leg
    foot = tree.first("foot", side)
    return {side + "UpLeg": thigh, side + "Leg": shin if shin != thigh else -1, side + "Foot": foot}


def _trunk(tree: _Tree, limbs: dict[str, int]) -> dict[str, int]:
    head = tree.first("head")
    hips = _hips(tree, limbs)
    chest = _common_parent(tree, [limbs.get(s + j, -1) for s in SIDES for j in ("Shoulder", "Arm")])
    if chest < 0 and head >= 0:
        chest = next((i for i in tree.ancestors(head) if tree.readings[i].role == "spine"), -1)
    if hips >= 0 and chest >= 0 and hips != chest and hips not in tree.ancestors(chest):
        hips = _common_parent(tree, [hips, chest])  # pelvis and spine side by side: what carries both is the hips
    spine = [] if chest in (-1, hips) else [i for i in [chest, *tree.ancestors(chest)] if i != hips][::-1]
    if hips >= 0:
        spine = [i for i in spine if hips in tree.ancestors(i)]
    found = {"Hips": hips, "Head": head} | _spread(spine)
    if head >= 0:
        necks = [i for i in tree.ancestors(head) if tree.readings[i].role == "neck"][::-1]
        found |= {"Neck": necks[0] if necks else -1, "Neck1": necks[-1] if len(necks) > 1 else -1}
    return found


def _hips(tree: _Tree, limbs: dict[str, int]) -> int:
    named = tree.first("hips")
    return named if named >= 0 else _common_parent(tree, [limbs.get(s + "UpLeg", -1) for s in SIDES])


def _common_parent(tree: _Tree, bones: Sequence[int]) -> int:
    """The nearest bone above all given ones (absent ones, -1, do not count)."""
    lists = [tree.ancestors(i) for i in bones if i >= 0]
    if not lists:
        return -1
    return next((i for i in lists[0] if all(i in other for other in lists[1:])), -1)


def _spread(spine: Sequence[int]) -> dict[str, int]:
    """Spine bones from bottom to top onto our three; the last is always the chest."""
    if len(spine) < 2:
        return {"Spine2": spine[0]} if spine else {}
    if len(spine) == 2:
        return {"Spine": spine[0], "Spine2": spine[1]}
    return {"Spine": spine[0], "Spine1": spine[(len(spine) - 1) // 2], "Spine2": spine[-1]}
