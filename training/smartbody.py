"""The motion folder: SmartBody-style clips in an npz with an index, retargeted to the canonical skeleton.

Folder layout (docs/training.md shows how to make it from the SmartBody sources):

- `*.npz`: per set `<set>/names` (J,), `<set>/parents` (J,), `<set>/offsets` (J, 3) metres, and per clip
  `<set>/<clip>/q` (F, J, 4) local rotations x y z w including each joint's pre-rotation and `<set>/<clip>/root` (F, 3)
  metres, 30 frames/s, Y up, facing +Z.
- `index.json`: a list of {set, name, seconds, frames, sync: {ready, strokeStart, emphasis, stroke, relax}}.

The source has no T pose of its own, but its local axes are anatomical: X runs along the bone and Z is the hinge. So
the frame that each joint would have in the canonical T pose is known (`T_FRAMES`), and a retarget is a change of frame;
the trunk and the collar bones, whose bind pose differs between characters, are calibrated on each set's standing idle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.rotations import Array
from sg_blender_addon.core.skeleton import canonical
from training.legs import plant

SOURCE_FPS = 30.0
FPS = 60.0
SYNC_POINTS = ("ready", "strokeStart", "emphasis", "stroke", "relax")
_UP, _DOWN, _AHEAD, _BACK, _LEFT, _RIGHT = (
    np.array(v, dtype=float) for v in ([0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1], [1, 0, 0], [-1, 0, 0])
)
_FINGERS = ("Index", "Middle", "Ring", "Pinky")
_SOURCE_FINGER = {"Pinky": "Little"}


def _thumb_hinge(side: float) -> Array:
    """The thumb bends half way between the palm and the fingers' side (45 degrees), unlike the fingers."""
    bend = rot.normalize(_DOWN + _BACK)
    return np.cross(_LEFT, bend) * side


def _frames() -> dict[str, tuple[str, Array, Array]]:
    """Canonical joint -> (source joint, world direction of its local X, of its local Z) in the canonical T pose."""
    table: dict[str, tuple[str, Array, Array]] = {"Hips": ("JtPelvis", _LEFT, _AHEAD)}
    trunk = {
        "Spine": "SpineA",
        "Spine1": "SpineB",
        "Spine2": "SpineC",
        "Neck": "NeckA",
        "Neck1": "NeckB",
        "Head": "SkullA",
    }
    for name, source in trunk.items():
        table[name] = (f"Jt{source}", _UP, _LEFT)
    for side, tag, sign in (("Left", "Lf", 1.0), ("Right", "Rt", -1.0)):
        for name, source in {"Shoulder": "Clavicle", "Arm": "Shoulder", "ForeArm": "Elbow", "Hand": "Wrist"}.items():
            table[side + name] = (f"Jt{source}{tag}", _LEFT, _DOWN * sign)
        for name, source in {"UpLeg": "Hip", "Leg": "Knee"}.items():
            table[side + name] = (f"Jt{source}{tag}", _DOWN * sign, _RIGHT)
        table[side + "Foot"] = (f"JtAnkle{tag}", _AHEAD * sign, _RIGHT)
        for n, letter in enumerate("ABC", start=1):
            for finger in _FINGERS:
                source = _SOURCE_FINGER.get(finger, finger)
                table[f"{side}Hand{finger}{n}"] = (f"Jt{source}{letter}{tag}", _LEFT, _BACK * sign)
            table[f"{side}HandThumb{n}"] = (f"JtThumb{letter}{tag}", _LEFT, _thumb_hinge(sign))
    return table


T_FRAMES = _frames()
_CALIBRATED_TRUNK = ("Spine", "Spine1", "Spine2", "Neck", "Neck1", "Head")
_CALIBRATED_SIDES = ("LeftShoulder", "RightShoulder")


@dataclass(frozen=True)
class Clip:
    """One retargeted clip at 60 fps with its sync points in seconds."""

    set: str
    name: str
    motion: Motion
    sync: dict[str, float]

    @property
    def posture(self) -> str:
        """The standing posture that the clip starts from and returns to ("ChrBrad@Idle01")."""
        return self.name.split("_")[0]

    @property
    def gesture(self) -> str:
        """What is done ("BeatLowLf01"); empty for the idle itself."""
        return self.name.split("_", 1)[1] if "_" in self.name else ""


def _source_globals(data: Any, set_name: str, clip: str) -> tuple[list[str], Array, Array]:
    """Names, world rotations (F, J, 4) and positions (F, J, 3, cm) of a source clip."""
    names = [str(n) for n in data[f"{set_name}/names"]]
    parents = data[f"{set_name}/parents"]
    offsets = np.asarray(data[f"{set_name}/offsets"], dtype=float) * 100
    local = rot.normalize(rot.from_xyzw(data[f"{set_name}/{clip}/q"]))
    world, positions = np.empty_like(local), np.empty((*local.shape[:2], 3))
    for j, p in enumerate(parents):
        if p < 0:
            world[:, j] = local[:, j]
            positions[:, j] = np.asarray(data[f"{set_name}/{clip}/root"], dtype=float) * 100
        else:
            world[:, j] = rot.mul(world[:, p], local[:, j])
            positions[:, j] = positions[:, p] + rot.rotate(world[:, p], offsets[j])
    return names, world, positions


def _frame(x: Array, z: Array) -> Array:
    return rot.from_matrix(np.stack([x, np.cross(z, x), z], axis=-1))


def _pitch_only(q: Array) -> Array:
    """The part of a rotation about the left-right axis: leaning forward, without turning or tilting."""
    return rot.swing_twist(q, _LEFT)[1]


@dataclass(frozen=True)
class Calibration:
    """Per set: the world rotation of each T frame (canonical joint -> quaternion) after calibration on its idle."""

    frames: dict[str, Array]

    @classmethod
    def of_set(cls, data: Any, set_name: str, clips: list[str]) -> Calibration:
        """Trunk: the forward lean of the idle is neutral. Collar bones: their idle pose is neutral. Feet: flat."""
        frames = {name: _frame(x, z) for name, (_, x, z) in T_FRAMES.items()}
        starts = [_source_globals(data, set_name, clip) for clip in clips]

        def mean(name: str) -> Array:
            source = T_FRAMES[name][0]
            deltas = np.stack([rot.mul(w[0, names.index(source)], rot.inverse(frames[name])) for names, w, _ in starts])
            deltas *= np.where(deltas @ deltas[0] < 0, -1.0, 1.0)[:, None]
            return rot.normalize(deltas.mean(axis=0))

        for name in _CALIBRATED_TRUNK:
            frames[name] = rot.mul(_pitch_only(mean(name)), frames[name])
        left, right = mean(_CALIBRATED_SIDES[0]), mean(_CALIBRATED_SIDES[1])
        both = rot.slerp(left, right * np.array([1.0, 1.0, -1.0, -1.0]), 0.5)
        frames["LeftShoulder"] = rot.mul(both, frames["LeftShoulder"])
        frames["RightShoulder"] = rot.mul(both * np.array([1.0, 1.0, -1.0, -1.0]), frames["RightShoulder"])
        for name in ("LeftFoot", "RightFoot"):
            frames[name] = rot.mul(_pitch_only(mean(name)), frames[name])
        return cls(frames)


def retarget(names: list[str], world: Array, positions: Array, calibration: Calibration) -> Motion:
    """Source world rotations (F, J, 4) and positions (F, J, 3), cm, to canonical motion at 60 fps."""
    skeleton = canonical()
    goal = rot.identity(len(world), len(skeleton))
    for joint, name in enumerate(skeleton.names):
        if name in T_FRAMES:
            source = names.index(T_FRAMES[name][0])
            goal[:, joint] = rot.mul(world[:, source], rot.inverse(calibration.frames[name]))
        else:  # the palm bones ("InHand") move with the hand
            goal[:, joint] = goal[:, skeleton.parents[joint]]
    local = goal.copy()
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            local[:, joint] = rot.mul(rot.inverse(goal[:, parent]), goal[:, joint])
    hips, ankles = _scaled_stance(names, positions)
    motion = _to_60(Motion(SOURCE_FPS, skeleton, hips, rot.continuous(local)))
    ankles = {side: _spline(path, len(motion)) for side, path in ankles.items()}
    return plant(motion, ankles)


def _scaled_stance(names: list[str], positions: Array) -> tuple[Array, dict[str, Array]]:
    """Hip and ankle paths (F, 3) scaled to the canonical legs, ankles of standing feet at their rest height."""
    skeleton = canonical()
    rest = skeleton.rest_positions()
    at = {n: positions[:, names.index(n)] for n in ("JtHipLf", "JtHipRt", "JtKneeLf", "JtAnkleLf", "JtAnkleRt")}
    source_leg = np.linalg.norm(at["JtHipLf"][0] - at["JtKneeLf"][0]) + np.linalg.norm(
        at["JtKneeLf"][0] - at["JtAnkleLf"][0]
    )
    own_leg = -(skeleton.offsets[skeleton.index("LeftLeg")][1] + skeleton.offsets[skeleton.index("LeftFoot")][1])
    scale = own_leg / source_leg
    middle = (at["JtAnkleLf"][0] + at["JtAnkleRt"][0]) / 2
    hips = (at["JtHipLf"] + at["JtHipRt"]) / 2
    result = {}
    for side, tag in (("Left", "Lf"), ("Right", "Rt")):
        ankle = at[f"JtAnkle{tag}"]
        floor = np.array([middle[0], np.quantile(ankle[:, 1], 0.05), middle[2]])
        result[side] = (ankle - floor) * scale + np.array([0.0, rest[skeleton.index(side + "Foot"), 1], 0.0])
    floor = np.array([middle[0], np.quantile((at["JtAnkleLf"] + at["JtAnkleRt"])[:, 1] / 2, 0.05), middle[2]])
    path = (hips - floor) * scale + np.array([0.0, rest[skeleton.index("LeftFoot"), 1], 0.0])
    return path, result


def _spline(values: Array, frames: int) -> Array:
    """Cubic resampling of 30 fps rows to `frames` rows at 60 fps (the last may be held)."""
    times = np.minimum(np.arange(frames) / FPS, (len(values) - 1) / SOURCE_FPS)
    return np.asarray(CubicSpline(np.arange(len(values)) / SOURCE_FPS, values, axis=0)(times))


def _to_60(motion: Motion) -> Motion:
    """30 to 60 fps by cubic splines: linear steps would leave a 30 Hz shiver in every velocity."""
    frames = 2 * len(motion) - 1
    rotations = rot.normalize(_spline(rot.continuous(motion.rotations), frames))
    return Motion(FPS, motion.skeleton, _spline(motion.root_positions, frames), rotations)


def load_clips(folder: str | Path) -> list[Clip]:
    """All standing clips of the motion folder, retargeted; static ones and broken sync points are left out."""
    folder = Path(folder)
    index_file, archives = folder / "index.json", sorted(folder.glob("*.npz"))
    if not index_file.is_file() or not archives:
        raise UserError(
            f"{folder} is not a motion folder: it needs an index.json and an npz.",
            hint="docs/training.md describes the layout and where motion can be had.",
            code="no_motion",
        )
    index = json.loads(index_file.read_text("utf-8"))
    clips = []
    with np.load(archives[0], allow_pickle=False) as data:
        calibrations: dict[str, Calibration] = {}
        for row in index:
            key = f"{row['set']}/{row['name']}/q"
            if key not in data or row["frames"] < 20 or _is_static(data[key]):
                continue
            if row["set"] not in calibrations:
                calibrations[row["set"]] = Calibration.of_set(data, row["set"], _upright(index, row["set"]))
            names, world, positions = _source_globals(data, row["set"], row["name"])
            if positions[0, names.index("JtPelvis"), 1] < 75:  # seated
                continue
            motion = retarget(names, world, positions, calibrations[row["set"]])
            clips.append(Clip(row["set"], row["name"], motion, {k: float(v) for k, v in row["sync"].items()}))
    if not clips:
        raise UserError(f"{folder} holds no usable clip.", hint="Check index.json against the npz.", code="no_motion")
    return clips


def _is_static(q: Array) -> bool:
    """Exported bind poses: nothing moves."""
    return bool(np.abs(q - q[:1]).max() < 1e-3)


def _upright(index: list[dict[str, Any]], set_name: str) -> list[str]:
    """Clips that start standing with hanging arms, for calibration: not hands on hips, not seated."""
    names = [row["name"] for row in index if row["set"] == set_name]
    hanging = [n for n in names if any(tag in n for tag in ("Idle01", "IdleStand01"))]
    return (hanging or names)[:12]
