"""The tree of docs/architecture.md is that of the files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "packaging" / "draw_tree.py"


@pytest.fixture(scope="module")
def drawer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_tree", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_tree_as_it_is(drawer: ModuleType) -> None:
    page = drawer.PAGE.read_text("utf-8")
    assert page == drawer.with_tree(page), "run: python packaging/draw_tree.py"


def test_every_file_says_what_it_is(drawer: ModuleType) -> None:
    silent = [row for package in drawer.PACKAGES for row in drawer.rows(drawer.ROOT / package) if len(row.split()) < 3]
    assert silent == []
