from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.bvh import read_bvh, write_bvh
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical

SMALL = """HIERARCHY
ROOT my hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Yrotation Xrotation Zrotation
  JOINT leg
  {
    OFFSET 0 -10 0
    CHANNELS 3 Xrotation Zrotation Yrotation
    End Site
    {
      OFFSET 0 -10 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.04
1 2 3 90 0 0 0 0 90
1 2 4 0 45 0 0 0 0
"""


def random_motion(frames: int = 50) -> Motion:
    rng = np.random.default_rng(5)
    q = rot.continuous(rot.normalize(rng.standard_normal((frames, 59, 4))))
    return Motion(60.0, canonical(), rng.standard_normal((frames, 3)) + [0, 95, 0], q)


@pytest.mark.parametrize("order", ["ZXY", "XYZ", "YXZ"])
def test_round_trip_keeps_world_positions(tmp_path: Path, order: str) -> None:
    motion = random_motion()
    write_bvh(motion, tmp_path / "a.bvh", order)
    again = read_bvh(tmp_path / "a.bvh")
    assert again.skeleton.names == motion.skeleton.names
    assert again.fps == 60.0
    np.testing.assert_allclose(again.forward_kinematics()[0], motion.forward_kinematics()[0], atol=2e-3)
    np.testing.assert_allclose(again.end_positions(), motion.end_positions(), atol=2e-3)


def test_root_channels_hold_absolute_positions(tmp_path: Path) -> None:
    write_bvh(Motion.rest(canonical(), 3, 60.0), tmp_path / "a.bvh")
    last = (tmp_path / "a.bvh").read_text().splitlines()[-1].split()
    assert float(last[1]) == pytest.approx(95.431)
    assert len(last) == 6 + 58 * 3


def test_reads_any_order_spaces_in_names_and_crlf(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_bytes(SMALL.replace("\n", "\r\n").encode())
    motion = read_bvh(tmp_path / "a.bvh")
    assert motion.skeleton.names == ("my hips", "leg")
    assert motion.fps == 25.0
    np.testing.assert_allclose(motion.root_positions, [[1, 2, 3], [1, 2, 4]])
    np.testing.assert_allclose(np.abs(motion.rotations[0, 0] @ rot.from_axis_angle([0, 1, 0], np.pi / 2)), 1.0)
    # the leg turns about its own length, so its end stays below
    np.testing.assert_allclose(motion.end_positions()[0, 0], [1, 2 - 20, 3], atol=1e-9)


def test_hips_that_move_below_a_root_on_the_ground(tmp_path: Path) -> None:
    """Blender gives every bone position channels; where the root stays, the hips carry the movement."""
    (tmp_path / "a.bvh").write_text(
        "HIERARCHY\nROOT ground\n{\nOFFSET 0 0 0\n"
        "CHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation\n"
        "JOINT hips\n{\nOFFSET 0 90 0\nCHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation\n"
        "JOINT spine\n{\nOFFSET 0 10 0\nCHANNELS 3 Xrotation Yrotation Zrotation\nEnd Site\n{\nOFFSET 0 5 0\n}\n}\n"
        "JOINT leg\n{\nOFFSET 10 0 0\nCHANNELS 3 Xrotation Yrotation Zrotation\nEnd Site\n{\nOFFSET 0 -80 0\n}\n}\n"
        "}\n}\nMOTION\nFrames: 2\nFrame Time: 0.02\n"
        "0 0 0 0 90 0 0 90 0 0 0 0 0 0 0 0 0 0\n0 0 0 0 90 0 4 60 0 0 0 0 0 0 0 0 0 0\n"
    )
    motion = read_bvh(tmp_path / "a.bvh")
    places = motion.forward_kinematics()[0]
    np.testing.assert_allclose(places[:, 1], [[0, 90, 0], [0, 60, -4]], atol=1e-9)
    np.testing.assert_allclose(places[:, 2] - places[:, 1], [[0, 10, 0]] * 2, atol=1e-9)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "bad_bvh"),
        ("RIFF garbage", "bad_bvh"),
        (SMALL.replace("Frames: 2", "Frames: 9"), "bad_bvh"),
        (SMALL.replace("Frame Time: 0.04", "Frame Time: 0"), "bad_bvh"),
        (SMALL.replace("0 0 90\n", "0 0 x\n"), "bad_bvh"),
        (SMALL.replace("0 0 90\n", "0 0 nan\n"), "bad_bvh"),
        (SMALL.replace("Xrotation Zrotation", "Wrotation Zrotation"), "bad_bvh"),
        (SMALL[: SMALL.index("End Site")] + "MOTION\nFrames: 1\nFrame Time: 0.04\n", "bad_bvh"),
        (SMALL.replace("MOTION", SMALL[len("HIERARCHY\n") : SMALL.index("MOTION")] + "MOTION"), "several_roots"),
    ],
)
def test_broken_files_get_one_clear_sentence(tmp_path: Path, content: str, code: str) -> None:
    (tmp_path / "a.bvh").write_text(content)
    with pytest.raises(UserError) as caught:
        read_bvh(tmp_path / "a.bvh")
    assert caught.value.code == code
    assert caught.value.hint


def test_missing_file_and_unwritable_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_bvh(tmp_path / "none.bvh")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="could not be written"):
        write_bvh(random_motion(2), tmp_path / "file" / "a.bvh")


def test_nothing_half_written_stays_behind(tmp_path: Path) -> None:
    broken = random_motion(3)
    broken.rotations[1] = np.nan
    with pytest.raises((UserError, ValueError)):
        write_bvh(broken, tmp_path / "a.bvh", "XX")
    assert list(tmp_path.iterdir()) == []
