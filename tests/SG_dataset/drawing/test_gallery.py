"""The gallery page and the set for naming blind: complete, from disk alone, and the key fits the pictures."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from sg_blender_addon.core.progress import Progress
from SG_dataset.drawing.gallery import BLIND_CELL, blind_set, write_gallery
from SG_dataset.drawing.sheet import ROWS
from SG_dataset.notation.read import FOLDER, read_gesture
from SG_dataset.notation.records import GestureSpec


@pytest.fixture(scope="module")
def two() -> list[GestureSpec]:
    return [read_gesture(next(FOLDER.glob(f"{i}*.yaml"))) for i in ("2022", "2100")]


def test_the_page_shows_every_gesture_from_disk_alone(two: list[GestureSpec], tmp_path: Path) -> None:
    told: list[str] = []
    page = write_gallery(two, tmp_path, Progress(lambda name, _: told.append(name))).read_text("utf-8")
    assert told == [f"{spec.id} {spec.label}" for spec in two]
    assert not re.search(r"https?://", page)
    for spec in two:
        assert spec.label in page and spec.examples[0].text in page
        with Image.open(tmp_path / f"{spec.id}-clip.webp") as clip:
            assert getattr(clip, "n_frames", 1) > 10
            with Image.open(tmp_path / f"{spec.id}.webp") as sheet:
                assert sheet.height > clip.height
    assert {p.name for p in tmp_path.iterdir()} == {
        "index.html", *(f"{spec.id}{end}" for spec in two for end in (".webp", "-clip.webp"))
    }  # fmt: skip


def test_the_blind_sets_names_tell_nothing_and_its_key_everything(two: list[GestureSpec], tmp_path: Path) -> None:
    blind_set(two, tmp_path, seed=4)
    key = json.loads((tmp_path / "key.json").read_text("utf-8"))
    assert sorted(key.values()) == ["2022", "2100"] and sorted(key) == ["000.png", "001.png"]
    for name in key:
        with Image.open(tmp_path / name) as picture:
            assert picture.height > len(ROWS) * BLIND_CELL
            assert not getattr(picture, "text", None)
