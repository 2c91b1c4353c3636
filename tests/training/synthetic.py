"""A motion folder and speech made from formulas: what the training's tests run on."""

from __future__ import annotations

import json

import numpy as np
import soundfile

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.easing import minimum_jerk
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from training.rigs import SMARTBODY, Rig

FPS = 30.0
RATE = 16000


def hanging(frames: int) -> Motion:
    """Standing with hanging arms and slightly bent knees."""
    motion = Motion.rest(canonical(), frames, FPS)
    s = motion.skeleton
    for side, sign in (("Left", -1), ("Right", 1)):
        motion.rotations[:, s.index(f"{side}Arm")] = rot.from_axis_angle([0, 0, 1], sign * 1.35)
        motion.rotations[:, s.index(f"{side}ForeArm")] = rot.from_axis_angle([0, -sign, 0], -0.2)
        for joint, angle in (("UpLeg", -0.1), ("Leg", 0.2), ("Foot", -0.1)):
            motion.rotations[:, s.index(f"{side}{joint}")] = rot.from_axis_angle([1, 0, 0], angle)
    motion.root_positions[:, 1] -= 0.435
    return motion


def gesture(sides: tuple[str, ...], reach: float, seconds: float = 2.4) -> Motion:
    """Hands rise to their height at 1 s, stay, and are back at rest before the end."""
    frames = int(seconds * FPS)
    motion, times = hanging(frames), np.arange(frames) / FPS
    share = minimum_jerk((times - 0.3) / 0.7) * (1 - minimum_jerk((times - 1.4) / 0.7))
    for side in sides:
        sign = 1 if side == "Left" else -1
        j = motion.skeleton.index(f"{side}ForeArm")
        bend = rot.from_axis_angle(np.tile([0.0, -sign, 0.0], (frames, 1)), reach * share)
        motion.rotations[:, j] = rot.mul(motion.rotations[:, j], bend)
        finger = motion.skeleton.index(f"{side}HandIndex1")
        motion.rotations[:, finger] = rot.from_axis_angle(np.tile([0.0, 0.0, -sign], (frames, 1)), 0.5 * share)
    return motion


def idle(seconds: float = 4.0) -> Motion:
    frames = int(seconds * FPS)
    motion, times = hanging(frames), np.arange(frames) / FPS
    j = motion.skeleton.index("Spine")
    sway = rot.from_axis_angle(np.tile([0.0, 0.0, 1.0], (frames, 1)), 0.01 * np.sin(times))
    motion.rotations[:, j] = rot.mul(motion.rotations[:, j], sway)
    return motion


def as_source(motion: Motion, rig: Rig = SMARTBODY) -> dict[str, np.ndarray]:
    """A canonical motion in the source's own joints, axes and units."""
    skeleton = motion.skeleton
    joints = [i for i, n in enumerate(skeleton.names) if n in rig.joints]
    where = {j: k for k, j in enumerate(joints)}
    frame = {j: rig.joints[skeleton.names[j]].frame for j in joints}
    positions, world = motion.forward_kinematics()
    rest = skeleton.rest_positions()
    parents, offsets, local = [], [], []
    for j in joints:
        p = skeleton.parents[j]
        while p >= 0 and p not in where:  # the palm bones are not in the source
            p = skeleton.parents[p]
        turned = rot.mul(world[:, j], frame[j])
        parents.append(where.get(p, -1))
        offsets.append(rest[j] * 0 if p < 0 else rot.rotate(rot.inverse(frame[p]), rest[j] - rest[p]) / 100)
        local.append(turned if p < 0 else rot.mul(rot.inverse(rot.mul(world[:, p], frame[p])), turned))
    return {
        "names": np.array([rig.joints[skeleton.names[j]].source for j in joints]),
        "parents": np.array(parents),
        "offsets": np.array(offsets),
        "q": rot.to_xyzw(np.stack(local, axis=1)),
        "root": positions[:, 0] / 100,
    }


CLIPS = {
    "Test@Idle01": idle(),
    "Test@Idle01_BeatLowLf01": gesture(("Left",), 1.2),
    "Test@Idle01_BeatMidRt01": gesture(("Right",), 1.7),
    "Test@Idle01_BeatHighBt01": gesture(("Left", "Right"), 2.1),
}


def motion_folder(folder):
    """Write the clips as a motion folder."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays, index = {}, []
    sync = {"ready": 0.3, "strokeStart": 0.4, "emphasis": 1.0, "stroke": 1.4, "relax": 1.6}
    for name, motion in CLIPS.items():
        source = as_source(motion)
        arrays |= {f"Test/{k}": source[k] for k in ("names", "parents", "offsets")}
        arrays |= {f"Test/{name}/{k}": source[k] for k in ("q", "root")}
        index.append({"set": "Test", "name": name, "seconds": motion.seconds, "frames": len(motion), "sync": sync})
    np.savez(folder / "clips.npz", **arrays)
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def bursts(times, seconds, loud=(), rate=RATE):
    """Voiced tone bursts of 0.18 s centred at `times`; those in `loud` are louder and higher."""
    t = np.arange(int(seconds * rate)) / rate
    out = np.zeros(len(t), np.float32)
    for at in times:
        strong = any(abs(at - x) < 1e-6 for x in loud)
        shape = np.exp(-0.5 * ((t - at) / 0.06) ** 2)
        pitch = 150 if strong else 120
        tone = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 9))
        out += (0.3 if strong else 0.1) * shape * tone
    return out.astype(np.float32)


def speech_folder(folder):
    """Three short recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, gap in enumerate((0.3, 0.36, 0.42)):
        times = np.arange(0.3, 4.0, gap)
        soundfile.write(folder / f"talk{i}.wav", bursts(times, 4.4, times[1::3]), RATE)
    return folder
