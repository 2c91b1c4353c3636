"""Reading motion folders: the retarget undoes what the source's axes, units and frame rate did."""

import json

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.skeleton import canonical
from training.motion_folder import load_folders
from training.rigs import RIGS, SMARTBODY, rig_of

from . import synthetic


@pytest.fixture(scope="module")
def clips(motion_folder):
    return {c.name: c for c in load_folders([motion_folder]).used}


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


def changed(folder, arrays=(), rows=()):
    """A motion folder with other arrays, and index rows that differ or are new."""
    synthetic.motion_folder(folder)
    with np.load(folder / "clips.npz") as data:
        np.savez(folder / "clips.npz", **{**data, **dict(arrays)})
    index = {row["name"]: row for row in json.loads((folder / "index.json").read_text())}
    for row in rows:
        index[row["name"]] = {**index["Test@Idle01_BeatLowLf01"], **index.get(row["name"], {}), **row}
    (folder / "index.json").write_text(json.dumps(list(index.values())))
    return folder


def left_out(folders):
    clips = load_folders(folders)
    return {row.name: row.why for row in clips.left_out}, {c.name for c in clips.used}


def test_what_is_left_out_is_named_with_the_reason(tmp_path):
    with np.load(synthetic.motion_folder(tmp_path / "first") / "clips.npz") as data:
        frozen = np.repeat(data["Test/Test@Idle01_BeatLowLf01/q"][:1], 72, axis=0)
        copy = {
            f"Test/Test@Idle01_BeatMidRt01_old/{k}": data[f"Test/Test@Idle01_BeatMidRt01/{k}"] for k in ("q", "root")
        }
        seated = data["Test/Test@Idle01_BeatHighBt01/root"] - [0, 0.4, 0]
    folder = changed(
        tmp_path / "m",
        {"Test/Test@Idle01_BeatLowLf01/q": frozen, "Test/Test@Idle01_BeatHighBt01/root": seated, **copy},
        [
            {"name": "Test@Idle01_BeatMidRt01_old"},
            {"name": "Test@Idle01_Gone"},
            {"name": "Test@Idle01_BeatMidRt01", "wrist_correlation": 0.95, "nearest_in_smartbody": "A/B"},
        ],
    )
    why, used = left_out([folder])
    assert why == {
        "Test@Idle01_BeatLowLf01": "frozen",
        "Test@Idle01_BeatHighBt01": "seated",
        "Test@Idle01_BeatMidRt01_old": "an older copy of Test@Idle01_BeatMidRt01",
        "Test@Idle01_BeatMidRt01": "nearly a copy of A/B",
        "Test@Idle01_Gone": "in the index, but in no npz",
    }
    assert used == {"Test@Idle01"}


def test_every_archive_of_a_folder_is_read(tmp_path):
    folder = synthetic.motion_folder(tmp_path / "m")
    with np.load(folder / "clips.npz") as data:
        arrays = dict(data)
    extra = {k: arrays.pop(k) for k in list(arrays) if k.startswith("Test/Test@Idle01_BeatLowLf01/")}
    shared = {k: v for k, v in arrays.items() if k.count("/") == 1}
    np.savez(folder / "clips.npz", **arrays)
    np.savez(folder / "more.npz", **extra, **shared)
    assert {c.name for c in load_folders([folder]).used} == set(synthetic.CLIPS)


def test_a_take_in_two_folders_counts_once_and_a_living_one_stands_in(tmp_path):
    first = synthetic.motion_folder(tmp_path / "first")
    second = changed(tmp_path / "second")
    why, used = left_out([first, second])
    assert used == set(synthetic.CLIPS) and set(why) == set(synthetic.CLIPS)
    assert why["Test@Idle01"] == "the same take as Test/Test@Idle01"


def test_measuring_folders_are_refused(tmp_path):
    for number, mark in enumerate(({"use": "measuring only"}, {"set": "anchor"})):
        folder = changed(tmp_path / str(number), rows=[{"name": "Test@Idle01", **mark}])
        with pytest.raises(UserError, match="measuring only"):
            load_folders([synthetic.motion_folder(tmp_path / f"good{number}"), folder])


def test_skeletons_are_known_by_their_joints():
    for rig in RIGS:
        assert rig_of([joint.source for joint in rig.joints.values()]) is rig
    assert rig_of(["Hips", "Neck"]) is None


def test_world_axes_skeletons_need_no_frames(tmp_path):
    """The same motion told by the joints of another family comes out the same."""
    other = next(rig for rig in RIGS if rig.name == "common")
    skeleton = canonical()
    motion = synthetic.CLIPS["Test@Idle01_BeatMidRt01"]
    source = synthetic.as_source(motion, other)
    folder = changed(tmp_path / "m", {f"Test/Test@Idle01_BeatMidRt01/{k}": source[k] for k in ("q", "root")})
    with np.load(folder / "clips.npz") as data:
        arrays = {k: v for k, v in data.items() if "/Test@" not in k or "BeatMidRt01" in k}
    arrays |= {f"Test/{k}": source[k] for k in ("names", "parents", "offsets")}
    np.savez(folder / "clips.npz", **arrays)
    found = load_folders([folder]).used[0].motion
    for name in ("RightForeArm", "Spine2", "LeftLeg"):
        j = skeleton.index(name)
        turn = rot.angle(rot.mul(rot.inverse(found.rotations[::2, j]), motion.rotations[:, j]))
        assert np.degrees(turn).max() < 1.0
    assert SMARTBODY is not other


def test_a_folder_without_motion_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a motion folder"):
        load_folders([tmp_path])
    np.savez(tmp_path / "a.npz", x=np.zeros(1))
    (tmp_path / "index.json").write_text(json.dumps([]))
    with pytest.raises(UserError, match="no usable clip"):
        load_folders([tmp_path])
