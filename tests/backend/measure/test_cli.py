"""`python -m backend measure` on files that `generate` wrote, the table, and everything that is no motion."""

import json
import math

import numpy as np
import pytest

from backend.cli import main
from backend.measure import table
from backend.measure.read import read
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.errors import UserError

from . import bodies


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_weights, speech):
    """A BVH, an npz and a report of one performance."""
    folder = tmp_path_factory.mktemp("made")
    outputs = ["-o", str(folder / "a.bvh"), "-o", str(folder / "a.npz"), "--report", str(folder / "a.json")]
    assert main(["generate", str(speech), *outputs, "--retriever", "off", "--weights", str(tiny_weights)]) == 0
    return folder


def test_a_generated_bvh_beside_people(made, speech, capsys):
    assert main(["measure", str(made / "a.bvh"), "--audio", str(speech), "--report", str(made / "a.json")]) == 0
    out, err = capsys.readouterr()
    assert "real speaker" in out and "SmartBody" in out and "pelvis deg/s p50" in out and "feet slide cm/s" in out
    assert "4 s are too little to tell timing" in err


def test_bvh_and_npz_say_the_same(made, speech, capsys):
    found = []
    for name in ("a.bvh", "a.npz"):
        assert main(["measure", str(made / name), "--audio", str(speech), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0].keys() == found[1].keys() and found[0]["seconds"] == 4.0
    for row in ("pelvis deg/s p50", "wrist cm/s p90", "hand y cm sd"):
        assert found[0][row] == pytest.approx(found[1][row], rel=0.01)


def test_a_column_can_be_kept(made, tmp_path, capsys):
    kept = tmp_path / "columns.json"
    for name in ("one", "two", "one"):
        command = ["measure", str(made / "a.bvh"), "--alone", "--name", name, "--save", str(kept), "--about", "a test"]
        assert main(command) == 0
    assert list(json.loads(kept.read_text())) == ["one", "two"] and "real speaker" not in capsys.readouterr().out
    assert table.kept(kept)["one"]["clips"] == 1 and table.kept(tmp_path / "none.json") == {}


def test_motion_folders_are_read_and_frozen_clips_counted(tmp_path):
    motion = bodies.turn(bodies.standing(2.0, 30.0), "Head", [0, 1, 0], np.linspace(0, 1, 60))
    skeleton, still = motion.skeleton, bodies.standing(2.0, 30.0)
    arrays = {"S/names": np.array(skeleton.names), "S/parents": np.array(skeleton.parents),
              "S/offsets": skeleton.offsets / 100}  # fmt: skip
    for name, one in (("lives", motion), ("frozen", still)):
        arrays |= {f"S/{name}/q": rot.to_xyzw(one.rotations), f"S/{name}/root": one.root_positions / 100}
    np.savez(tmp_path / "set.npz", **arrays)
    found = read(tmp_path / "set.npz")
    assert len(found.clips) == 1 and found.passed_over == 1
    assert np.allclose(found.clips[0].root_positions, motion.root_positions)
    assert len(read(f"{tmp_path / 'set.npz'}:S/lives").clips) == 1
    with pytest.raises(UserError, match="no clip S/none"):
        read(f"{tmp_path / 'set.npz'}:S/none")


@pytest.mark.parametrize(("name", "data"), [("a.npz", b"no zip"), ("a.bvh", b"no bvh"), ("none.npz", None)])
def test_what_is_no_motion_is_one_sentence(tmp_path, capsys, name, data):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    assert main(["measure", str(tmp_path / name)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ") and "hint: " in err and "Traceback" not in err


def test_a_recording_belongs_to_one_motion(made, speech, capsys):
    assert main(["measure", str(made / "a.bvh"), str(made / "a.npz"), "--audio", str(speech)]) == 1
    assert "one motion" in capsys.readouterr().err
    (made / "broken.json").write_text('{"segments": [{"start": "soon"}]}')
    assert main(["measure", str(made / "a.bvh"), "--report", str(made / "broken.json")]) == 1
    assert "report" in capsys.readouterr().err


def test_anchors_say_where_they_are_from():
    data = json.loads(table.ANCHORS.read_text("utf-8"))
    assert {"real speaker", "MoveBox talk", "SeG 60 clips", "SmartBody"} <= set(data)
    for entry in data.values():
        assert len(entry["about"]) > 40 and all(math.isfinite(v) for v in entry["rows"].values())


def test_tables_have_all_rows_and_dashes():
    columns = {"a": {"x": 1.23456, "y": float("nan")}, "b": {"z": 1200.0}}
    assert table.markdown({"a": [columns["a"], {"x": 0.00001}], "b": [columns["b"]]}).splitlines() == [
        "| | a | b |", "|---|---|---|", "| x | 1.23 / 0 | - |", "| y | - / - | - |", "| z | - / - | 1200 |",
    ]  # fmt: skip
    assert len(table.text(columns).splitlines()) == 4
