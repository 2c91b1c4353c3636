"""Reading the motion folder: the retarget undoes what the source's axes, units and frame rate did."""

import json

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.skeleton import canonical
from training.smartbody import load_clips

from . import synthetic


@pytest.fixture(scope="module")
def clips(motion_folder):
    return {c.name: c for c in load_clips(motion_folder)}


def test_retarget_gives_back_the_canonical_motion(clips):
    for name, original in synthetic.CLIPS.items():
        found = clips[name].motion
        assert found.fps == 60 and len(found) == 2 * len(original) - 1
        turn = rot.angle(rot.mul(rot.inverse(found.rotations[::2]), original.rotations))
        assert np.degrees(turn).max() < 1.0
        assert np.abs(found.root_positions[::2, 1] - original.root_positions[:, 1]).max() < 0.3


def test_feet_stand_at_the_rest_height_and_do_not_move(clips):
    skeleton = canonical()
    rest = skeleton.rest_positions()
    for clip in clips.values():
        positions, _ = clip.motion.forward_kinematics()
        for side in ("Left", "Right"):
            foot = positions[:, skeleton.index(f"{side}Foot")]
            assert np.ptp(foot, axis=0).max() < 0.05
            assert abs(foot[0, 1] - rest[skeleton.index(f"{side}Foot"), 1]) < 0.3


def test_palm_bones_stay_and_posture_is_in_the_name(clips):
    clip = clips["Test@Idle01_BeatLowLf01"]
    palm = clip.motion.rotations[:, canonical().index("LeftInHandIndex")]
    assert np.allclose(np.abs(palm[:, 0]), 1.0)
    assert (clip.posture, clip.gesture) == ("Test@Idle01", "BeatLowLf01")
    assert clips["Test@Idle01"].gesture == ""


def test_static_clips_are_left_out(tmp_path):
    folder = synthetic.motion_folder(tmp_path / "m")
    with np.load(folder / "clips.npz") as data:
        arrays = dict(data)
    arrays["Test/Test@Idle01_BeatLowLf01/q"][:] = arrays["Test/Test@Idle01_BeatLowLf01/q"][:1]
    np.savez(folder / "clips.npz", **arrays)
    assert "Test@Idle01_BeatLowLf01" not in {c.name for c in load_clips(folder)}


def test_a_folder_without_motion_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a motion folder"):
        load_clips(tmp_path)
    np.savez(tmp_path / "a.npz", x=np.zeros(1))
    (tmp_path / "index.json").write_text(json.dumps([]))
    with pytest.raises(UserError, match="no usable clip"):
        load_clips(tmp_path)
