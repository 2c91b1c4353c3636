"""A user's own library, imported by the command, in the add-on: set in the preferences, generated with, edited with."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy")

import addon_utils  # noqa: E402 - only with bpy

from sg_blender_addon.core.bvh import read_bvh  # noqa: E402
from tests.bl import rig_scenes, scenes  # noqa: E402
from tests.bl.scenes import module  # noqa: E402
from tests.bl.test_baking import baked  # noqa: E402
from tests.contract.conftest import ROOT, backend_python  # noqa: E402
from tests.contract.test_generate import segment_of, strips  # noqa: E402
from tests.core.rig_models import Shape  # noqa: E402

HELLO, BIG = "9001", "9000"  # new labels get ids from 9000 up, in the order of the alphabet
RECORDINGS = {"STUDIO HELLO-1": ("3123", 0), "STUDIO HELLO-2": ("3123", 1), "STUDIO BIG-4": ("3032", 0)}
MAPPING = """
gestures:
- label: STUDIO HELLO
  meanings: [a greeting in our studio]
  examples: ["*Hello* everyone!", "And *welcome* to the show.", "*Welcome* back."]
- label: STUDIO BIG
  meanings: [something large]
  examples: ["It is really *big*.", "What a *big* house.", "A *big* surprise."]
"""
RECORD = """
import sys
from pathlib import Path
from sg_blender_addon.core.bvh import write_bvh
from SG_dataset.library import Library
from SG_dataset.open import open_library
for name, number, variant in (words.split("/") for words in sys.argv[2:]):
    motion = open_library().gesture(number).variants[int(variant)].motion()
    write_bvh(motion, Path(sys.argv[1], name + ".bvh"), "XYZ")
"""


@pytest.fixture(scope="module")
def own_library(tmp_path_factory) -> Path:
    """Three recordings, imported as a user would."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "takes").mkdir()
    (folder / "map.yaml").write_text(MAPPING, "utf-8")
    takes = [f"{name}/{number}/{variant}" for name, (number, variant) in RECORDINGS.items()]
    python = str(backend_python())
    subprocess.run([python, "-c", RECORD, str(folder / "takes"), *takes], cwd=ROOT, check=True)
    import_folder(folder / "takes", folder / "library", "--mapping", str(folder / "map.yaml"))
    return folder / "library"


def import_folder(source: Path, library: Path, *options: str) -> None:
    command = [str(backend_python()), "-m", "SG_dataset", "import", str(source), "-o", str(library), "--quiet"]
    subprocess.run([*command, *options], cwd=ROOT, check=True, capture_output=True)


@pytest.fixture
def preferences(real):
    settings = module(real, "backend_settings").preferences()
    yield settings
    settings.library = ""


def on_word(real, shot, index: int):
    return next(strip for strip in strips(shot) if segment_of(real, shot, strip.name).word_index == index)


def test_alone_only_its_gestures_are_on_the_words(shot, real, preferences, own_library):
    preferences.library = str(own_library)
    assert bpy.ops.gesticulator.generate() == {"FINISHED"}
    assert {g.id for g in module(real, "catalogue").gestures()} == {HELLO, BIG}
    words = bpy.context.scene.gesticulator.words
    found = [module(real, "metadata").read(strip.action).segment for strip in strips(shot)]
    assert found
    for segment in found:
        assert segment.gesture_id in (HELLO, BIG)
        assert abs(segment.stroke - words[segment.word_index].start) <= 0.1001
    assert any(segment.word.strip(".,!").lower() in ("hello", "welcome", "big") for segment in found)


def test_over_ours_any_of_its_gestures_can_be_put_on_a_word(shot, real, preferences, own_library):
    preferences.library = f"{own_library}+starter"
    bpy.ops.gesticulator.generate()
    known = {g.id: g for g in module(real, "catalogue").gestures()}
    assert len(known) == 210
    assert [v.number for v in known[BIG].variants] == [1]  # its only file is a fourth take
    words = bpy.context.scene.gesticulator.words
    taken = module(real, "gestures").by_word(shot)
    free = next(i for i in range(3, len(words)) if i not in taken)
    edits = (
        lambda: bpy.ops.gesticulator.add_gesture(gesture_id=BIG, word=free),
        lambda: bpy.ops.gesticulator.swap_gesture(gesture_id=HELLO, strip=on_word(real, shot, free).name),
        lambda: bpy.ops.gesticulator.swap_variant(strip=on_word(real, shot, free).name),
    )
    for edit, expected in zip(edits, ((BIG, 1), (HELLO, 1), (HELLO, 2)), strict=True):
        assert edit() == {"FINISHED"}
        now = segment_of(real, shot, on_word(real, shot, free).name)
        assert (now.gesture_id, now.variant) == expected
        assert now.stroke == pytest.approx(words[free].start, abs=1e-3)


def test_what_blender_exports_is_imported_like_the_original(own_library, tmp_path):
    """The way from FBX: a Mixamo rig, its hips below a root bone, through Blender's own BVH exporter."""
    rig_scenes.fresh(30)
    addon_utils.enable("io_anim_bvh")
    motion = read_bvh(own_library.parent / "takes" / "STUDIO HELLO-1.bvh").resample(30.0)
    character = rig_scenes.mixamo(Shape(arms_down=45, finger_bend=12, roll_seed=8))
    baked(character, motion)
    character.select_set(True)
    (tmp_path / "exported").mkdir()
    path = tmp_path / "exported" / "STUDIO HELLO.bvh"
    bpy.ops.export_anim.bvh(filepath=str(path), frame_start=1, frame_end=len(motion))
    import_folder(path.parent, tmp_path / "library")
    again, original = (
        json.loads((folder / "import_report.json").read_text("utf-8"))["used"]
        for folder in (tmp_path / "library", own_library)
    )
    first = next(record for record in original if record["file"] == "STUDIO HELLO-1.bvh")
    assert again[0]["hand"] == first["hand"] == "right"
    assert again[0]["notes"] == []  # fingers and legs were found, nothing shakes
    for phase in ("stroke_start", "stroke", "stroke_end", "retraction"):
        there, here = (r["phases"][phase] + r["cut_from"] for r in (first, again[0]))
        assert here == pytest.approx(there, abs=0.05), phase


def test_a_folder_that_was_never_imported(shot, real, preferences, own_library):
    preferences.library = str(own_library.parent / "takes")
    before = scenes.fingerprint()
    with pytest.raises(RuntimeError, match="no gesture library") as caught:
        bpy.ops.gesticulator.generate()
    assert "SG_dataset import" in bpy.context.window_manager.gesticulator_job.hint
    assert "Traceback" not in str(caught.value)
    assert scenes.fingerprint() == before
