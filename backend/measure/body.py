"""Motion of several skeletons as the parts that are measured, all at one frame rate and one size."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.checks import hand_depths

FPS, ARM = 30.0, 54.0  # frames per second and cm of arm that every motion is brought to
SMOOTH = 0.05  # s: deviation of the Gaussian over every speed
_BLOCK = 4096  # frames
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Names:
    """Joints of a way of naming. {} stands for the side's tag; `fingers` is a pattern."""

    pelvis: str
    chest: str
    head: str
    clavicle: str
    arm: str
    fore: str
    hand: str
    ankle: str
    fingers: str
    tags: tuple[str, str]


SKELETONS = (
    Names("Hips", "Spine3", "Head", "{}Shoulder", "{}Arm", "{}ForeArm", "{}Hand", "{}Foot", r"{}Hand\w+\d",
          ("Left", "Right")),
    Names("Hips", "Spine2", "Head", "{}Shoulder", "{}Arm", "{}ForeArm", "{}Hand", "{}Foot", r"{}Hand\w+\d",
          ("Left", "Right")),
    Names("Hips", "Chest2", "Head", "{}Collar", "{}Shoulder", "{}Elbow", "{}Wrist", "{}Foot", r"{}Finger\d+",
          ("Left", "Right")),
    Names("JtPelvis", "JtSpineC", "JtSkullA", "JtClavicle{}", "JtShoulder{}", "JtElbow{}", "JtWrist{}", "JtAnkle{}",
          r"Jt(Thumb|Index|Middle|Ring|Little)[ABC]{}", ("Lf", "Rt")),
    Names("base", "spine3", "skullbase", "{}_sternoclavicular", "{}_shoulder", "{}_elbow", "{}_wrist", "{}_ankle",
          r"{}_(thumb|index|middle|ring|pinky)[123]", ("l", "r")),
    Names("Bip01 Pelvis", "Bip01 Spine2", "Bip01 Head", "Bip01 {} Clavicle", "Bip01 {} UpperArm", "Bip01 {} Forearm",
          "Bip01 {} Hand", "Bip01 {} Foot", r"Bip01 {} Finger\d+", ("L", "R")),
    Names("pelvis", "spine3", "head", "{}_collar", "{}_shoulder", "{}_elbow", "{}_wrist", "{}_ankle",
          r"{}_(thumb|index|middle|ring|pinky)\d", ("left", "right")),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Body:
    """World rotations (F) and places (F, 3), cm, of pelvis, chest, head, clavicleL/R, armL/R, foreL/R, handL/R and,
    where the skeleton has them, ankleL/R; local rotations of the finger joints; all at `FPS` and with an arm of `ARM`.

    Places are counted from the pelvis in the first frame. depth (F,): how deep the hands are in head, trunk and thighs
    (cm, negative outside); None for skeletons whose flesh we do not know.
    """

    turn: dict[str, Rotation]
    at: dict[str, Floats]
    fingers: list[Rotation]
    depth: Floats | None = None

    def __len__(self) -> int:
        return len(self.at["pelvis"])

    @property
    def seconds(self) -> float:
        return len(self) / FPS


def parts_of(names: tuple[str, ...]) -> tuple[dict[str, int], list[int]]:
    """Joint indices of the measured parts and of the finger joints. UserError for an unknown skeleton."""
    for known in SKELETONS:
        parts = {part: getattr(known, part) for part in ("pelvis", "chest", "head")}
        for side, tag in zip("LR", known.tags, strict=True):
            sided = ("clavicle", "arm", "fore", "hand", "ankle")
            parts |= {part + side: getattr(known, part).format(tag) for part in sided}
        wanted = {part: name for part, name in parts.items() if name in names or not part.startswith("ankle")}
        if set(wanted.values()) <= set(names):
            patterns = [known.fingers.format(tag) for tag in known.tags]
            fingers = [j for j, name in enumerate(names) if any(re.fullmatch(p, name) for p in patterns)]
            return {part: names.index(name) for part, name in wanted.items()}, fingers
    raise UserError(
        f"The motion's joints have unknown names ({', '.join(names[:6])} ...).",
        "Names as in our own files, Mixamo's or a 3ds Max biped's can be measured.",
        "unknown_skeleton",
    )


def body_of(motion: Motion) -> Body:
    """The parts of a motion. UserError for an unknown skeleton and for less than a second."""
    index, fingers = parts_of(motion.skeleton.names)
    times = np.arange(int((len(motion) - 1) * FPS / motion.fps) + 1) / FPS
    if len(times) < FPS:
        raise UserError("The motion is shorter than a second.", "Measure a longer one.", "motion_too_short")
    known = motion.skeleton.same_as(canonical())
    joints = list(index.values())
    places, turns, ends, depths = list[Floats](), list[Floats](), list[Floats](), list[Floats]()
    for start in range(0, len(times), _BLOCK):
        part = motion.at(times[start : start + _BLOCK])
        at, world = part.forward_kinematics()
        places.append(at[:, joints])
        turns.append(world[:, joints])
        ends.append(part.rotations[:, fingers])
        if known:
            depths.append(hand_depths(part, at, world)[0].max(axis=1))
    place, turn, end = (np.concatenate(rows) for rows in (places, turns, ends))
    at_of = {name: place[:, k] for k, name in enumerate(index)}
    arm = np.linalg.norm(at_of["armL"] - at_of["foreL"], axis=1) + np.linalg.norm(
        at_of["foreL"] - at_of["handL"], axis=1
    )
    scale, origin = ARM / float(np.median(arm)), at_of["pelvis"][:1].copy()
    return Body(
        {name: Rotation.from_quat(rot.to_xyzw(turn[:, k])) for k, name in enumerate(index)},
        {name: (path - origin) * scale for name, path in at_of.items()},
        [Rotation.from_quat(rot.to_xyzw(end[:, k])) for k in range(len(fingers))],
        np.concatenate(depths) if known else None,
    )


def spin(turn: Rotation) -> Floats:
    """Turning speed (F,), degrees/s, smoothed."""
    steps = np.degrees((turn[:-1].inv() * turn[1:]).magnitude()) * FPS
    return np.asarray(gaussian_filter1d(np.append(steps, steps[-1]), SMOOTH * FPS))


def speed(path: Floats) -> Floats:
    """Of a path (F, 3), cm/s (F,), smoothed."""
    velocity = np.gradient(gaussian_filter1d(path, SMOOTH * FPS, axis=0), 1 / FPS, axis=0)
    return np.asarray(np.linalg.norm(velocity, axis=1))


def leftward(body: Body) -> Floats:
    """The direction (3,) from the right shoulder to the left, on average."""
    left = (body.at["armL"] - body.at["armR"]).mean(axis=0)
    return np.asarray(left / np.linalg.norm(left))


def hands(body: Body) -> Floats:
    """(2, F, 3): left and right wrist relative to the pelvis, cm, X to the body's mean left, Y up, Z ahead."""
    left = leftward(body)
    face = Rotation.from_euler("y", np.arctan2(left[2], left[0]))
    return np.stack([face.apply(body.at[f"hand{side}"] - body.at["pelvis"]) for side in "LR"])
