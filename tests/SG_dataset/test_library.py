"""The built library, its search, the inventory and the command line."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.errors import UserError
from SG_dataset.build import build, new_gesture
from SG_dataset.cli import main
from SG_dataset.compiler.compile import compile_variant
from SG_dataset.inventory import read_inventory, write_inventory
from SG_dataset.library import write_library
from SG_dataset.motion_codec import decode_motion, encode_motion
from SG_dataset.notation.read import FOLDER, parse_gesture, read_gesture, read_gestures, shared_poses, vector
from SG_dataset.open import open_library
from SG_dataset.records import NewGesture, NewVariant


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, out = tmp_path_factory.mktemp("gestures"), tmp_path_factory.mktemp("built")
    for name in ("_shared", "3123", "0112", "2022"):
        for path in FOLDER.glob(f"{name}*.yaml"):
            shutil.copy(path, source)
    build(out, source)
    return out


def test_library_knows_gestures_phases_and_motions(built: Path) -> None:
    library = open_library(built)
    gesture = library.gesture("0112")
    assert set(library.gestures) == {"3123", "0112", "2022"} and gesture.label == "FOREHEAD FINGER-TAP"
    variant = gesture.variants[0]
    motion = variant.motion()
    assert motion.fps == 60 and abs(motion.seconds - variant.seconds) < 1e-9
    p = variant.phases
    assert 0 < p.stroke_start <= p.stroke <= p.stroke_end <= p.retraction < motion.seconds
    assert library.preview("0112").startswith(b"\x89PNG")


def test_a_gesture_names_what_its_picture_shows(built: Path, tmp_path: Path) -> None:
    source = open_library(built).gesture("3123")
    variants = tuple(NewVariant(v.number, v.motion(), v.phases, v.hand) for v in source.variants)
    texts = (source.label, source.description, source.meanings, source.examples, source.tags)
    for id_, picture in (("1", b"one"), ("2", b"two"), ("3", b"one"), ("4", b"")):
        write_library([NewGesture("3123", *texts, variants, picture)], tmp_path / id_ / "library.zip", {})
    one, two, again, none = (open_library(tmp_path / id_).gesture("3123").picture for id_ in "1234")
    assert one == again and len({one, two, none}) == 3 and all((one, two, none))
    assert source.to_json()["picture"] == source.picture
    with pytest.raises(UserError, match="no picture"):
        open_library(tmp_path / "4").preview("3123")


def test_a_motion_survives_its_encoding() -> None:
    spec = read_gesture(next(FOLDER.glob("3123*.yaml")))
    motion = compile_variant(spec, spec.variants[0]).motion
    again = decode_motion(encode_motion(motion))
    assert rot.angle(rot.mul(rot.inverse(motion.rotations), again.rotations)).max() < 1e-3
    assert np.abs(again.root_positions - motion.root_positions).max() < 0.01


def test_broken_and_missing_libraries_are_explained(tmp_path: Path, built: Path) -> None:
    with pytest.raises(UserError, match="no gesture library"):
        open_library(tmp_path / "nowhere")
    broken = tmp_path / "library.zip"
    broken.write_bytes((built / "library.zip").read_bytes()[:300])
    with pytest.raises(UserError, match="broken"):
        open_library(tmp_path)
    with pytest.raises(UserError, match="broken"):
        decode_motion(b"not a motion, nor anything like it")


def test_a_failing_build_leaves_the_old_library(tmp_path: Path) -> None:
    path = tmp_path / "library.zip"
    write_library([new_gesture(next(read_gestures()), with_preview=False)], path, {})
    before = path.read_bytes()

    def failing():
        yield new_gesture(next(read_gestures()), with_preview=False)
        raise UserError("no")

    with pytest.raises(UserError):
        write_library(failing(), path, {})
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "expected"), [("hello, goodbye!", "3123"), ("no, never", "2022"), ("use your brain and think", "0112")]
)
def test_search_ranks_by_meaning_and_examples(built: Path, text: str, expected: str) -> None:
    assert open_library(built).search(text)[0][0].id == expected


def test_inventory_reads_back_as_written(tmp_path: Path) -> None:
    gestures = list(read_gestures())
    path = tmp_path / "list.xlsx"
    write_inventory(gestures, path)
    rows = read_inventory(path)
    assert [(r.id, r.label) for r in rows] == [(g.id, g.label) for g in gestures]
    assert rows[0].examples.count("\n") >= 11
    with pytest.raises(UserError):
        read_inventory(FOLDER / "_shared.yaml")


def test_notation_mistakes_say_where(tmp_path: Path) -> None:
    good = read_gesture(next(FOLDER.glob("3123*.yaml")))
    assert good.id == "3123" and good.examples[0].word == "Hello" and "*" not in good.examples[0].text
    base = {
        "id": "0001",
        "label": "X",
        "description": "x",
        "meanings": ["x"],
        "examples": [f"a *{i}*" for i in range(12)],
        "tags": {"kind": "emblem", "hands": "one", "valence": "neutral", "formality": "neutral"},
        "variants": [{}, {}],
    }
    for hand, words in (
        ({"zone": "chest inner", "palm": "in", "fingers": "up"}, "not a zone"),
        ({"touch": "knee", "palm": "in", "fingers": "up"}, "landmark"),
        ({"zone": "chest inner mid", "palm": "up", "fingers": "up"}, "same direction"),
        ({"zone": "chest inner mid", "palm": "in", "fingers": "up", "shape": "blob"}, "no hand shape"),
        ({"zone": "chest inner mid", "palm": "sideways", "fingers": "up"}, "not a direction"),
        ({"zone": "chest inner mid", "palm": "in", "finger": "up"}, "no field"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            parse_gesture({**base, "move": [{"stroke": 0.4, "right": hand}]}, "file.yaml", shared_poses())
        assert "file.yaml" in caught.value.message and "right" in caught.value.message


def test_the_inventory_is_complete_and_its_sentences_are_nobody_elses() -> None:
    specs = list(read_gestures())
    assert len({spec.id for spec in specs}) == len({spec.label for spec in specs}) == 208
    assert sum(len(spec.variants) for spec in specs) >= 500 and min(len(spec.variants) for spec in specs) >= 2
    owners: dict[str, set[str]] = {}
    for spec in specs:
        assert len({example.text for example in spec.examples}) >= 12
        for example in spec.examples:
            assert example.word and "*" not in example.text
            assert re.search(rf"(?<!\w){re.escape(example.word)}(?!\w)", example.text), example
            owners.setdefault(re.sub(r"\W+", " ", example.text).strip().casefold(), set()).add(spec.id)
    assert {text: ids for text, ids in owners.items() if len(ids) > 1} == {}


def test_directions_are_words_with_numbers() -> None:
    assert vector("up 3 + forward, out 2", "t") == (2, 3, 1)


def test_command_line(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json", "--library", str(built)]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3
    assert main(["show", "9998", "--library", str(built)]) == 2
    assert "no gesture" in capsys.readouterr().err
    assert main(["preview", "2022", "-o", str(tmp_path / "x.png"), "--variant", "1", "--cell", "80"]) == 0
    assert (tmp_path / "x.png").stat().st_size > 1000
    assert main(["check", "2022"]) == 0
    assert main(["search", "hello", "--json", "--library", str(built)]) == 0
