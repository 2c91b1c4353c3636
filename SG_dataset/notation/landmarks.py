"""Places on the body and zones of the space before it that gestures are written with.

All coordinates are for the LEFT hand ("own side" is +X), in the T pose standing on the floor, centimetres; the right
hand sees them mirrored. A landmark follows its joint. Surfaces are those of the drawn figure (`figure_mesh`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.errors import UserError

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Landmark:
    """A point on the skin: the joint it moves with, its place in the T pose and the direction out of the body there.

    Joints that begin with "Own" or "Other" belong to the hand's own or the other side."""

    joint: str
    place: Triple
    normal: Triple


LANDMARKS: dict[str, Landmark] = {
    # head
    "forehead": Landmark("Head", (0, 175.2, 9.9), (0, 0.35, 1)),
    "forehead_side": Landmark("Head", (4.2, 175.0, 8.6), (0.45, 0.3, 1)),
    "brow": Landmark("Head", (3.4, 172.8, 9.9), (0.3, 0.1, 1)),
    "temple": Landmark("Head", (7.2, 172.3, 4.2), (1, 0.1, 0.45)),
    "ear": Landmark("Head", (9.2, 168.6, 0.2), (1, 0, 0)),
    "ear_back": Landmark("Head", (8.2, 169.0, -3.2), (1, 0, -0.4)),
    "eye": Landmark("Head", (3.1, 170.3, 10.4), (0.15, 0, 1)),
    "between_eyes": Landmark("Head", (0, 170.6, 10.4), (0, 0, 1)),
    "nose": Landmark("Head", (0, 166.4, 12.7), (0, 0, 1)),
    "nose_side": Landmark("Head", (1.7, 166.6, 11.0), (0.8, 0, 0.6)),
    "under_nose": Landmark("Head", (0, 164.6, 11.2), (0, 0, 1)),
    "mouth": Landmark("Head", (0, 162.4, 10.6), (0, 0, 1)),
    "mouth_corner": Landmark("Head", (2.4, 162.4, 10.0), (0.3, 0, 1)),
    "cheek": Landmark("Head", (5.8, 165.0, 7.6), (0.7, 0, 0.7)),
    "jaw": Landmark("Head", (6.2, 160.4, 4.6), (0.8, -0.2, 0.4)),
    "chin": Landmark("Head", (0, 158.2, 9.0), (0, -0.3, 1)),
    "under_chin": Landmark("Head", (0, 156.9, 6.4), (0, -1, 0.3)),
    "crown": Landmark("Head", (0, 181.2, 0.4), (0, 1, 0)),
    "head_side": Landmark("Head", (7.3, 176.0, 0.5), (0.8, 0.6, 0)),
    "head_back": Landmark("Head", (3.0, 172.0, -9.2), (0.2, 0.1, -1)),
    "hair_front": Landmark("Head", (4.0, 179.0, 6.0), (0.4, 0.8, 0.5)),
    # neck
    "throat": Landmark("Neck", (0, 155.0, 5.9), (0, 0, 1)),
    "neck_side": Landmark("Neck", (5.9, 156.0, 0.6), (1, 0, 0.1)),
    "neck_other_side": Landmark("Neck", (-5.6, 155.5, 2.2), (-0.9, 0, 0.5)),
    "nape": Landmark("Neck", (2.4, 157.0, -5.6), (0.3, 0, -1)),
    # trunk
    "collar": Landmark("Spine2", (0, 147.5, 9.4), (0, 0.2, 1)),
    "chest": Landmark("Spine2", (0, 136.0, 13.2), (0, 0, 1)),
    "heart": Landmark("Spine2", (-6.0, 135.0, 12.7), (-0.1, 0, 1)),
    "chest_side": Landmark("Spine2", (8.0, 136.0, 12.1), (0.2, 0, 1)),
    "chest_other": Landmark("Spine2", (-9.5, 139.0, 11.4), (-0.25, 0, 1)),
    "stomach": Landmark("Spine1", (0, 120.0, 12.0), (0, 0, 1)),
    "belly": Landmark("Spine", (0, 110.0, 10.3), (0, 0, 1)),
    "belly_low": Landmark("Spine", (0, 102.0, 9.6), (0, 0, 1)),
    "waist": Landmark("Spine", (14.0, 108.0, 2.0), (1, 0, 0.2)),
    "hip": Landmark("Hips", (16.2, 99.0, 2.0), (1, 0, 0.2)),
    "hip_front": Landmark("Hips", (10.0, 97.0, 9.0), (0.3, 0, 1)),
    "hip_back": Landmark("Hips", (9.0, 97.0, -10.6), (0.2, 0, -1)),
    "thigh": Landmark("OwnUpLeg", (13.0, 84.0, 8.0), (0.3, 0, 1)),
    # the other arm (its joints are those of the other side; T pose: it runs along -X)
    "shoulder": Landmark("OwnShoulder", (17.0, 152.6, 0.6), (0.2, 1, 0.2)),
    "other_shoulder": Landmark("OtherShoulder", (-17.0, 151.6, 2.4), (-0.2, 0.9, 0.4)),
    "other_arm": Landmark("OtherArm", (-31.0, 151.8, 1.6), (0, 0.9, 0.4)),
    "other_arm_inner": Landmark("OtherArm", (-34.0, 145.0, 3.9), (0, -0.5, 0.9)),
    "other_elbow": Landmark("OtherForeArm", (-47.0, 147.6, -4.2), (0, 0, -1)),
    "other_forearm": Landmark("OtherForeArm", (-60.0, 151.0, 0.0), (0, 1, 0)),
    "other_forearm_inner": Landmark("OtherForeArm", (-60.0, 144.2, 0.0), (0, -1, 0)),
    "other_wrist": Landmark("OtherForeArm", (-70.5, 150.6, 0.0), (0, 1, 0)),
    "other_wrist_inner": Landmark("OtherForeArm", (-71.0, 144.6, 0.0), (0, -1, 0)),
}

# zones: where the centre of the hand is, by three words
HEIGHTS = {
    "overhead": 192.0,
    "head": 170.0,
    "shoulder": 150.0,
    "chest": 133.0,
    "belly": 115.0,
    "hip": 99.0,
    "low": 85.0,
}
WIDTHS = {"across": -16.0, "middle": 1.0, "inner": 11.0, "side": 24.0, "wide": 42.0, "far_wide": 60.0}
DISTANCES = {"close": 17.0, "near": 25.0, "mid": 34.0, "far": 46.0, "full": 60.0, "beside": 3.0}

# points of the left hand in its own frame (fingers +X, back +Y, thumb side +Z); tips depend on the hand shape
HAND_POINTS: dict[str, Triple] = {
    "centre": (6.0, 0.3, 0.2),
    "palm": (5.6, -1.55, 0.2),
    "back": (5.6, 1.9, 0.2),
    "heel": (1.8, -1.7, 0.0),
    "wrist": (0.0, 0.0, 0.0),
    "inner_wrist": (-1.0, -2.5, 0.0),
    "knuckles": (9.6, 1.1, 0.4),
    "thumb_side": (6.0, 0.2, 3.9),
    "little_side": (5.8, 0.0, -3.8),
    "fist_front": (10.3, -0.8, 0.2),
    "fist_thumb_side": (6.6, -1.2, 3.4),
    "fist_little_side": (6.2, -1.6, -3.9),
    "fist_palm": (6.8, -3.9, 0.0),
}
TIP_POINTS = ("thumb_tip", "index_tip", "middle_tip", "ring_tip", "little_tip", "fingertips", "pinch_tip")
TIP_RADIUS = 0.6  # cm of flesh beyond a finger's end site


def zone_place(words: str) -> Floats:
    """The place (3,) of a zone such as "chest side mid" (height width distance); UserError for unknown words."""
    parts = words.split()
    tables = (HEIGHTS, WIDTHS, DISTANCES)
    if len(parts) != 3 or any(p not in t for p, t in zip(parts, tables, strict=True)):
        raise UserError(
            f"{words!r} is not a zone.",
            f"Write height, width and distance: {'/'.join(HEIGHTS)} {'/'.join(WIDTHS)} {'/'.join(DISTANCES)}.",
            "bad_notation",
        )
    return np.array([WIDTHS[parts[1]], HEIGHTS[parts[0]], DISTANCES[parts[2]]])


# the body as capsules for collisions: joint, two ends in the T pose, two radii; tapered; slightly inside the drawn skin
CAPSULES: tuple[tuple[str, Triple, Triple, float, float], ...] = (
    ("Head", (0, 163.5, 1.6), (0, 173.0, 0.6), 7.6, 8.2),
    ("Neck", (0, 150.0, -0.6), (0, 160.0, 0.4), 5.6, 5.4),
    ("Spine2", (6.0, 126.0, 1.6), (6.0, 139.5, 1.0), 11.0, 10.8),
    ("Spine2", (-6.0, 126.0, 1.6), (-6.0, 139.5, 1.0), 11.0, 10.8),
    ("Spine", (5.6, 108.0, 0.4), (5.6, 124.0, 1.2), 9.2, 10.4),
    ("Spine", (-5.6, 108.0, 0.4), (-5.6, 124.0, 1.2), 9.2, 10.4),
    ("Hips", (6.5, 92.0, -0.6), (6.5, 104.0, -0.2), 9.6, 9.2),
    ("Hips", (-6.5, 92.0, -0.6), (-6.5, 104.0, -0.2), 9.6, 9.2),
    ("OwnUpLeg", (9.5, 90.0, 0.0), (11.0, 52.0, 0.0), 8.4, 6.2),
    ("OtherUpLeg", (-9.5, 90.0, 0.0), (-11.0, 52.0, 0.0), 8.4, 6.2),
)
