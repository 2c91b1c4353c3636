"""No module of ours imports itself by way of others."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "packaging" / "check_imports.py"


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_imports", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_our_packages_have_no_circle(checker: ModuleType) -> None:
    found = checker.imports()
    assert len(found) > 150 and "backend.motion.rhythm" in found["backend.pipeline"]
    assert checker.find_circles(found) == []


def test_late_and_type_checking_imports_count(checker: ModuleType) -> None:
    found = checker.imports()
    assert "backend.models.weights" in found["backend.resources"]  # only while types are checked, and in a function


def test_circles_are_found(checker: ModuleType) -> None:
    rings = checker.find_circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": {"d"}, "f": {"d"}})
    assert sorted(sorted(set(ring)) for ring in rings) == [["a", "b", "c"], ["d", "e"]]
