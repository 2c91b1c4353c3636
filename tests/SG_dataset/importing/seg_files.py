"""Files in the exact layout of the SeG data set, made of our own motion.

The skeleton (51 joints, 13 end sites) is that of its releases; the body of the made actor has other proportions than
the canonical one: narrower shoulders, longer arms and neck, shorter legs. Its hands are put where the same gesture has
them on that body: relative to its head where the gesture plays at the head, else relative to its shoulders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from openpyxl import Workbook

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.bvh import write_bvh
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import Skeleton, canonical

COLUMNS = ("Semantics-Aware Index", "Copyright Source", "Label", "Description", "Contextual Meaning", "Example")
HIPS_HEIGHT = 89.5  # cm
ODD_NAMES = {"3131": "FOREFINGER_RAISE.bvh", "0000": "FOREFINGER_AND_MIDDLE_FINGERSMOKE-{n}.bvh"}

_HAND = (  # x of the left hand, y, z of each finger's three joints and end
    ((2.0446, -2.3235, 3.2528), (3.0881, 0, 0), (2.6395, 0, 0), (2.5822, 0, 0)),
    ((8.3645, 0, 3.2528), (4.6469, 0, 0), (2.3235, 0, 0), (2.273, 0, 0)),
    ((8.3645, 0, 1.0781), (5.1116, 0, 0), (2.7882, 0, 0), (2.7277, 0, 0)),
    ((7.8998, 0, -1.0781), (4.6469, 0, 0), (2.3235, 0, 0), (2.273, 0, 0)),
    ((7.4351, 0, -3.2528), (3.7176, 0, 0), (1.8588, 0, 0), (1.8184, 0, 0)),
)
_FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")


def _build() -> tuple[Skeleton, dict[str, str]]:
    """The skeleton, and its joint for each canonical joint that it has."""
    names: list[str] = []
    parents, offsets, ends = [], [], []
    ours: dict[str, str] = {}

    def add(name: str, parent: str, offset: Sequence[float], plays: str = "") -> None:
        parents.append(names.index(parent) if parent else -1)
        names.append(name)
        offsets.append(offset)
        if plays:
            ours[plays] = name

    add("Hips", "", (0, 0, 0), "Hips")
    add("Chest", "Hips", (0, 8.0072, 0), "Spine")
    add("Chest2", "Chest", (0, 22.0771, 0), "Spine2")
    add("Neck", "Chest2", (0, 23.2551, 0), "Neck")
    add("Head", "Neck", (0, 14.3701, 1.9566), "Head")
    ends.append(("Head", (0, 19.566, 0)))
    for side, s in (("Left", 1), ("Right", -1)):
        add(side + "Collar", "Chest2", (3.9119 * s, 19.017, -0.4671), side + "Shoulder")
        add(side + "Shoulder", side + "Collar", (10.3837 * s, 0, 0), side + "Arm")
        add(side + "Elbow", side + "Shoulder", (26.6621 * s, 0, 0), side + "ForeArm")
        add(side + "Wrist", side + "Elbow", (28.869 * s, 0, 0), side + "Hand")
        for f, rows in enumerate(_HAND):
            parent = side + "Wrist"
            for k, (x, y, z) in enumerate(rows[:3]):
                name = f"{side}Finger{f}{k or ''}"
                add(name, parent, (x * s, y, z), f"{side}Hand{_FINGERS[f]}{k + 1}")
                parent = name
            ends.append((parent, (rows[3][0] * s, 0, 0)))
    for side, s in (("Left", 1), ("Right", -1)):
        add(side + "Hip", "Hips", (9.783 * s, 0, 0), side + "UpLeg")
        add(side + "Knee", side + "Hip", (0, -41.7891, 0), side + "Leg")
        add(side + "Ankle", side + "Knee", (0, -41.1332, 0), side + "Foot")
        add(side + "Toe", side + "Ankle", (0, -6.359, 14.6745))
        ends.append((side + "Toe", (0, 0, 3.9132)))
    skeleton = Skeleton(
        tuple(names),
        tuple(parents),
        np.array(offsets, float),
        tuple(names.index(joint) for joint, _ in ends),
        np.array([offset for _, offset in ends], float),
    )
    return skeleton, ours


SKELETON, PLAYS = _build()
SCALE = (41.7891 + 41.1332) / (45.062 + 42.058)


def seg_motion(motion: Motion, anchor: str = "shoulders") -> Motion:
    """The same performance by the data set's actor. anchor: "shoulders", "head", or "" for equal limb directions."""
    places, world = motion.forward_kinematics()
    sk = canonical()
    turned = rot.identity(len(motion), len(SKELETON))
    played = {theirs: ours for ours, theirs in PLAYS.items()}
    for j, name in enumerate(SKELETON.names):
        turned[:, j] = world[:, sk.index(played[name])] if name in played else turned[:, SKELETON.parents[j]]
    root = (motion.root_positions - motion.root_positions[0]) * SCALE + [0, HIPS_HEIGHT, 0]
    made = _from_world(motion.fps, root, turned)
    if anchor:
        there = made.forward_kinematics()[0]
        ours, theirs = (_anchor(anchor, p, s) for p, s in ((places, sk), (there, SKELETON)))
        for side in ("Left", "Right"):
            goal = theirs + SCALE * (places[:, sk.index(side + "Hand")] - ours)
            _reach(turned, there, side, goal)
        made = _from_world(motion.fps, root, turned)
    return made


def _anchor(kind: str, places: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    if kind == "head":
        return places[:, skeleton.index("Head")]
    arm = "Shoulder" if skeleton is SKELETON else "Arm"
    return (places[:, skeleton.index("Left" + arm)] + places[:, skeleton.index("Right" + arm)]) / 2


def _from_world(fps: float, root: np.ndarray, world: np.ndarray) -> Motion:
    local = world.copy()
    for j, p in enumerate(SKELETON.parents):
        if p >= 0:
            local[:, j] = rot.mul(rot.inverse(world[:, p]), world[:, j])
    return Motion(fps, SKELETON, root, rot.normalize(local))


def _reach(world: np.ndarray, places: np.ndarray, side: str, goal: np.ndarray) -> None:
    """Turn an arm, in place, so that its wrist comes to `goal` with the elbow in the plane it was in."""
    upper, fore = (SKELETON.index(side + n) for n in ("Shoulder", "Elbow"))
    a, b = 26.6621, 28.869
    line = goal - places[:, upper]
    distance = np.clip(np.linalg.norm(line, axis=-1), 6.0, (a + b) * 0.999)
    x = rot.normalize(line)
    elbow = places[:, fore] - places[:, upper]
    y = rot.normalize(elbow - x * np.sum(elbow * x, -1, keepdims=True))
    cosine = (a * a + distance**2 - b * b) / (2 * a * distance)
    new = a * (cosine[:, None] * x + np.sqrt(1 - np.clip(cosine, -1, 1) ** 2)[:, None] * y)
    rest = np.array([1.0 if side == "Left" else -1.0, 0, 0])
    world[:, upper] = rot.mul(rot.between(rot.rotate(world[:, upper], rest), new), world[:, upper])
    lower = distance[:, None] * x - new
    world[:, fore] = rot.mul(rot.between(rot.rotate(world[:, fore], rest), lower), world[:, fore])


def file_name(gesture_id: str, label: str, number: int) -> str:
    """How the data set calls a file: the label with underscores and a number, two of them unlike the rest."""
    if gesture_id in ODD_NAMES:
        return ODD_NAMES[gesture_id].format(n=number)
    bare = re.sub(r"[',]", "", label)
    return f"{bare.replace(' ', '_')}-{number}.bvh"


def decorated(label: str, row: int) -> str:
    """Labels as the spreadsheet has them: some with a footnote mark, some with curly quotes."""
    label = f"{label}[1]" if row % 9 == 4 else label
    return label.replace("'", "’") if row % 2 else label


def write_list(path: Path, labels: dict[str, str]) -> None:
    """A workbook in the data set's layout; every third id is a number, so that its zeros get lost as in practice."""
    book = Workbook()
    page = book.active
    assert page is not None
    page.title = "sg_list"
    page.append(["The gestures of this list are for research."])
    page.append(["[1] see the paper"])
    page.append(list(COLUMNS))
    for row, (number, label) in enumerate(labels.items()):
        page.append(
            [
                int(number) if row % 3 == 0 else number,
                "somebody",
                decorated(label, row),
                f"How one makes {label.lower()}.",
                f"meaning of {label.lower()}; another one",
                f"1. A sentence for *{label.split()[0].lower()}* here.\n2. Another sentence.",
            ]
        )
    book.save(path)


def write_file(motion: Motion, path: Path) -> None:
    """A BVH file with the data set's channels: root X Y Z position, then rotations in the order Z X Y."""
    write_bvh(motion, path, "ZXY")
