"""The guide's table: made from what was measured, in its place and nowhere else."""

import numpy as np
import pytest
import soundfile

from backend.measure import table as columns
from backend.models.description import STARTER
from sg_blender_addon.core.errors import UserError
from training import table
from training.__main__ import main

from . import synthetic


def test_the_guide_shows_what_was_measured():
    guide = table.GUIDE.read_text("utf-8")
    assert f"{table.BEGIN}\n\n{table.markdown()}\n\n{table.END}" in guide
    assert "hands timing z" in table.markdown() and "real speaker" in table.markdown()


def test_one_command_measures_and_writes(tmp_path, motion_folder, monkeypatch, capsys):
    monkeypatch.setattr(table, "MEASURED", tmp_path / "measured.json")
    guide = tmp_path / "guide.md"
    guide.write_text(f"before\n{table.BEGIN}\noutdated\n{table.END}\nafter\n")
    for voice in ("one", "two"):
        soundfile.write(tmp_path / f"{voice}.wav", synthetic.bursts(np.arange(0.3, 11, 0.37), 12.0), synthetic.RATE)
    recordings = [str(tmp_path / f"{voice}.wav") for voice in ("one", "two")]
    command = ["table", *recordings, "--motion", str(motion_folder), "--weights", str(STARTER), "--name", "ours"]
    assert main([*command, "--guide", str(guide)]) == 0
    assert list(columns.kept(table.MEASURED)) == ["assembled, one", "ours, one", "assembled, two", "ours, two"]
    text = guide.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "outdated" not in text
    assert "| | assembled | ours | real speaker |" in text and "| 12 / 12 |" in text
    assert "ours, two" in capsys.readouterr().out
    assert (
        main(
            [
                "table",
                recordings[0],
                "--weights",
                str(STARTER),
                "--name",
                "ours",
                "--pieces",
                "5",
                "--guide",
                str(guide),
            ]
        )
        == 0
    )
    assert columns.kept(table.MEASURED)["ours in 5 s, one"]["clips"] == 2
    text = guide.read_text()
    assert main(["table", "--guide", str(guide)]) == 0 and guide.read_text() == text


def test_what_is_wrong_is_said(tmp_path, capsys):
    (tmp_path / "guide.md").write_text("nothing")
    with pytest.raises(UserError, match="no place for the table"):
        table.write(tmp_path / "guide.md")
    assert main(["table", "--weights", "a", "--weights", "b", "--name", "one"]) == 1
    assert "needs a name" in capsys.readouterr().err
