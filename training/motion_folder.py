"""Motion folders: clips in npz files with an index, retargeted to the canonical skeleton.

Folder layout (docs/training.md shows how to make it from the SmartBody sources):

- one or more `*.npz`: per set `<set>/names` (J,), `<set>/parents` (J,), `<set>/offsets` (J, 3) metres, and per clip
  `<set>/<clip>/q` (F, J, 4) local rotations x y z w including each joint's pre-rotation and `<set>/<clip>/root` (F, 3)
  metres, 30 frames/s, Y up, facing +Z.
- `index.json`: a list of {set, name, seconds, frames, sync: {ready, strokeStart, emphasis, stroke, relax}}.

`training/rigs.py` knows the skeletons. The trunk and the collar bones, whose bind pose differs between characters, are
calibrated on each set's standing idle. Nothing is dropped in silence: what is not used is named with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.compiler.rest import rest_pose
from training.legs import plant
from training.rigs import LEFT, Rig, rig_of

SOURCE_FPS = 30.0
FPS = 60.0
NEAR_COPY = 0.9  # wrist correlation from which a clip counts as a copy of the one that its index row names
SEATED_CM = 75.0  # hips lower than this at the start
SHORTEST_FRAMES = 20
# takes that the index of their set does not mark: (ending of the name, what they are)
_COPIES = (("_Softened", "a softened copy"), ("_old", "an older copy"))
_LIVING = "ChrRachel_"  # the same takes by another character; where those of this one are frozen they stand in for them
_IDLE = re.compile(r"(?:^|[_@])(?:[Ii]dle(?:Stand)?\d*|idle_neutral_\d+|Motex)$")
_FINGER_FRAMES, _THUMB_DEGREES = 2.0, 85.0
_CALIBRATED_TRUNK = ("Spine", "Spine1", "Spine2", "Neck", "Neck1", "Head")
_CALIBRATED_SIDES = ("LeftShoulder", "RightShoulder")
_FLIP = np.array([1.0, 1.0, -1.0, -1.0])


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
        return self.name.removeprefix(_LIVING).split("_")[0]

    @property
    def gesture(self) -> str:
        """What is done ("BeatLowLf01"); empty for an idle."""
        if _IDLE.search(self.name):
            return ""
        name = self.name.removeprefix(_LIVING)
        return name.split("_", 1)[1] if "@" in name else name


@dataclass(frozen=True)
class LeftOut:
    """A clip that is not used, and why."""

    folder: str
    set: str
    name: str
    why: str

    def __str__(self) -> str:
        where = f"{self.folder}/" if self.folder else ""
        return f"{where}{self.set}/{self.name}: {self.why}"


@dataclass
class Clips:
    """What was read, and what was left out."""

    used: list[Clip] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def _source_globals(data: Any, set_name: str, clip: str) -> tuple[list[str], Floats, Floats]:
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


def _pitch_only(q: Floats) -> Floats:
    """The part of a rotation about the left-right axis: leaning forward, without turning or tilting."""
    return rot.swing_twist(q, LEFT)[1]


def calibrated(rig: Rig, names: Sequence[str], starts: Sequence[Floats]) -> dict[str, Floats]:
    """World rotation of each joint's frame in the canonical T pose, from standing poses (J, 4) of a set.

    Trunk: the forward lean of the idle is neutral. Collar bones: their idle pose is neutral. Feet: flat.
    """
    frames = {name: joint.frame for name, joint in rig.joints.items()}

    def mean(name: str) -> Floats:
        source = names.index(rig.joints[name].source)
        deltas = np.stack([rot.mul(world[source], rot.inverse(frames[name])) for world in starts])
        deltas *= np.where(deltas @ deltas[0] < 0, -1.0, 1.0)[:, None]
        return rot.normalize(deltas.mean(axis=0))

    for name in (n for n in _CALIBRATED_TRUNK if n in frames):
        frames[name] = rot.mul(_pitch_only(mean(name)), frames[name])
    left, right = (mean(name) for name in _CALIBRATED_SIDES)
    both = rot.slerp(left, right * _FLIP, 0.5)
    frames["LeftShoulder"] = rot.mul(both, frames["LeftShoulder"])
    frames["RightShoulder"] = rot.mul(both * _FLIP, frames["RightShoulder"])
    for name in ("LeftFoot", "RightFoot"):
        frames[name] = rot.mul(_pitch_only(mean(name)), frames[name])
    return frames


def retarget(rig: Rig, names: list[str], world: Floats, positions: Floats, frames: Mapping[str, Floats]) -> Motion:
    """Source world rotations (F, J, 4) and positions (F, J, 3), cm, to canonical motion at 60 fps.

    Canonical joints that the rig lacks move with their parent.
    """
    skeleton = canonical()
    goal = rot.identity(len(world), len(skeleton))
    for joint, name in enumerate(skeleton.names):
        if name in rig.joints:
            goal[:, joint] = rot.mul(world[:, names.index(rig.joints[name].source)], rot.inverse(frames[name]))
        else:
            goal[:, joint] = goal[:, skeleton.parents[joint]]
    local = goal.copy()
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            local[:, joint] = rot.mul(rot.inverse(goal[:, parent]), goal[:, joint])
    hips, ankles = _scaled_stance(rig, names, positions)
    motion = _to_60(Motion(SOURCE_FPS, skeleton, hips, rot.continuous(local)))
    ankles = {side: _spline(path, len(motion)) for side, path in ankles.items()}
    return plant(_with_calm_fingers(motion), ankles)


def _with_calm_fingers(motion: Motion) -> Motion:
    """Captured fingers jump now and then, and thumbs, whose axes nobody agrees on, turn farther than thumbs can."""
    skeleton, relaxed = motion.skeleton, rest_pose()[1]
    rotations = motion.rotations.copy()
    fingers = [j for j, name in enumerate(skeleton.names) if re.search(r"Hand[A-Z]\w+\d$", name)]
    smooth = gaussian_filter1d(rot.continuous(rotations[:, fingers]), _FINGER_FRAMES, axis=0, mode="nearest")
    rotations[:, fingers] = rot.normalize(smooth)
    for j in (j for j in fingers if "Thumb" in skeleton.names[j]):
        away = np.degrees(rot.angle(rot.mul(rot.inverse(relaxed[j]), rotations[:, j])))
        share = np.minimum(1.0, _THUMB_DEGREES / np.maximum(away, 1e-6))
        rotations[:, j] = rot.slerp(np.broadcast_to(relaxed[j], rotations[:, j].shape), rotations[:, j], share)
    return replace(motion, rotations=rotations)


def _scaled_stance(rig: Rig, names: list[str], positions: Floats) -> tuple[Floats, dict[str, Floats]]:
    """Hip and ankle paths (F, 3) scaled to the canonical legs, ankles of standing feet at their rest height."""
    skeleton = canonical()
    rest = skeleton.rest_positions()
    wanted = ("LeftUpLeg", "RightUpLeg", "LeftLeg", "LeftFoot", "RightFoot")
    at = {n: positions[:, names.index(rig.joints[n].source)] for n in wanted}
    source_leg = np.linalg.norm(at["LeftUpLeg"][0] - at["LeftLeg"][0]) + np.linalg.norm(
        at["LeftLeg"][0] - at["LeftFoot"][0]
    )
    own_leg = -(skeleton.offsets[skeleton.index("LeftLeg")][1] + skeleton.offsets[skeleton.index("LeftFoot")][1])
    scale = own_leg / source_leg
    middle = (at["LeftFoot"][0] + at["RightFoot"][0]) / 2
    hips = (at["LeftUpLeg"] + at["RightUpLeg"]) / 2
    result = {}
    for side in ("Left", "Right"):
        ankle = at[side + "Foot"]
        floor = np.array([middle[0], np.quantile(ankle[:, 1], 0.05), middle[2]])
        result[side] = (ankle - floor) * scale + np.array([0.0, rest[skeleton.index(side + "Foot"), 1], 0.0])
    floor = np.array([middle[0], np.quantile((at["LeftFoot"] + at["RightFoot"])[:, 1] / 2, 0.05), middle[2]])
    path = (hips - floor) * scale + np.array([0.0, rest[skeleton.index("LeftFoot"), 1], 0.0])
    return path, result


def _spline(values: Floats, frames: int) -> Floats:
    """Cubic resampling of 30 fps rows to `frames` rows at 60 fps (the last may be held)."""
    times = np.minimum(np.arange(frames) / FPS, (len(values) - 1) / SOURCE_FPS)
    return np.asarray(CubicSpline(np.arange(len(values)) / SOURCE_FPS, values, axis=0)(times))


def _to_60(motion: Motion) -> Motion:
    """30 to 60 fps by cubic splines: linear steps would leave a 30 Hz shiver in every velocity."""
    frames = 2 * len(motion) - 1
    rotations = rot.normalize(_spline(rot.continuous(motion.rotations), frames))
    return Motion(FPS, motion.skeleton, _spline(motion.root_positions, frames), rotations)


def load_folders(folders: Sequence[str | Path]) -> Clips:
    """All standing clips of the motion folders, retargeted; a clip that is in two of them is taken once."""
    clips = Clips()
    for folder in folders:
        _load(Path(folder), clips)
    _drop_doubles(clips)
    if not clips.used:
        raise UserError(
            f"{', '.join(map(str, folders))} holds no usable clip.",
            hint="Check index.json against the npz.",
            code="no_motion",
        )
    return clips


def _load(folder: Path, clips: Clips) -> None:
    index_file, archives = folder / "index.json", sorted(folder.glob("*.npz"))
    if not index_file.is_file() or not archives:
        raise UserError(
            f"{folder} is not a motion folder: it needs an index.json and an npz.",
            hint="docs/training.md describes the layout and where motion can be had.",
            code="no_motion",
        )
    rows = json.loads(index_file.read_text("utf-8"))
    if any(row.get("use") == "measuring only" or row["set"].startswith("anchor") for row in rows):
        raise UserError(
            f"{folder} is for measuring only and must not be trained on.",
            hint="Take it out of the motion folders; anchors belong to `evaluate`.",
            code="measuring_only",
        )
    found: set[tuple[str, str]] = set()
    for archive in archives:
        with np.load(archive, allow_pickle=False) as data:
            reader = _Reader(folder.name, rows, data)
            for row in rows:
                if f"{row['set']}/{row['name']}/q" in data:
                    found.add((row["set"], row["name"]))
                    reader.take(row, clips)
    for row in rows:
        if (row["set"], row["name"]) not in found:
            clips.left_out.append(LeftOut(folder.name, row["set"], row["name"], "in the index, but in no npz"))


class _Reader:
    """Reads the clips of one archive; keeps each set's calibration."""

    def __init__(self, folder: str, rows: list[dict[str, Any]], data: Any) -> None:
        self.folder, self.rows, self.data = folder, rows, data
        self._frames: dict[str, dict[str, Floats]] = {}

    def take(self, row: dict[str, Any], clips: Clips) -> None:
        set_name, name = row["set"], row["name"]
        why = self._unfit(row)
        if not why:
            names, world, positions = _source_globals(self.data, set_name, name)
            rig = rig_of(names)
            if rig is None:
                why = f"a skeleton that training/rigs.py does not know ({', '.join(names[:4])}, ...)"
            elif positions[0, names.index(rig.joints["Hips"].source), 1] < SEATED_CM:
                why = "seated"
            else:
                motion = retarget(rig, names, world, positions, self._calibration(rig, set_name))
                clips.used.append(Clip(set_name, name, motion, {k: float(v) for k, v in row["sync"].items()}))
                return
        clips.left_out.append(LeftOut(self.folder, set_name, name, why))

    def _unfit(self, row: dict[str, Any]) -> str:
        if row["frames"] < SHORTEST_FRAMES:
            return f"shorter than {SHORTEST_FRAMES} frames"
        if _is_static(self.data[f"{row['set']}/{row['name']}/q"]):
            return "frozen"
        if row.get("wrist_correlation", 0.0) >= NEAR_COPY:
            return f"nearly a copy of {row['nearest_in_smartbody']}"
        for ending, what in _COPIES:
            if row["name"].endswith(ending):
                return f"{what} of {row['name'].removesuffix(ending)}"
        return ""

    def _calibration(self, rig: Rig, set_name: str) -> dict[str, Floats]:
        if set_name not in self._frames:
            here = [row for row in self.rows if f"{row['set']}/{row['name']}/q" in self.data]
            chosen = _upright(here, set_name)
            starts, names = [], list[str]()
            for clip in chosen:
                names, world, _ = _source_globals(self.data, set_name, clip)
                # where a set is one clip it need not begin in its idle: its middle stands for it
                starts.append(world[0] if len(chosen) > 1 else _mean_rotation(world))
            self._frames[set_name] = calibrated(rig, names, starts)
        return self._frames[set_name]


def _mean_rotation(world: Floats) -> Floats:
    """Mean (J, 4) of rotations (F, J, 4) that are near each other."""
    return rot.normalize(rot.continuous(world).mean(axis=0))


def _drop_doubles(clips: Clips) -> None:
    """The same take in two sets counts once: the last one read is kept."""
    last = {_take(clip): clip for clip in clips.used}
    for clip in clips.used:
        kept = last[_take(clip)]
        if kept is not clip:
            clips.left_out.append(LeftOut("", clip.set, clip.name, f"the same take as {kept.set}/{kept.name}"))
    clips.used = list(last.values())


def _take(clip: Clip) -> str:
    """What a clip shows, whoever the character: idles by their posture, gestures by their name."""
    return clip.name.removeprefix(_LIVING) if clip.gesture == "" else clip.name


def _is_static(q: Floats) -> bool:
    """Exported bind poses: nothing moves."""
    return bool(np.abs(q - q[:1]).max() < 1e-3)


def _upright(index: list[dict[str, Any]], set_name: str) -> list[str]:
    """Clips that start standing with hanging arms, for calibration: not hands on hips, not seated."""
    names = [row["name"] for row in index if row["set"] == set_name and row["frames"] >= SHORTEST_FRAMES]
    tags = ("Idle01", "IdleStand01", "HandsAtSide", "Relax001")
    hanging = [n for n in names if any(tag in n for tag in tags)]
    return (hanging or names)[:12]
