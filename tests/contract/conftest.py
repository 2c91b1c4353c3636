"""The add-on in a real Blender against the real backend: one scene, one voice, one backend process for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("bpy")

from tests.bl.conftest import addon, package  # noqa: F401 - fixtures

ROOT = Path(__file__).resolve().parents[2]
VOICE = ROOT / "tests" / "data" / "speech" / "welcome.flac"


def backend_python() -> Path:
    """The interpreter that runs the backend: SG_BACKEND_PYTHON, or the project's own environment."""
    name = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    return Path(os.environ.get("SG_BACKEND_PYTHON", ROOT / ".venv" / name))


@pytest.fixture
def real(addon):  # noqa: F811
    """The add-on with the real backend in its preferences; the backend stays for the next test."""
    from tests.bl.scenes import module

    python = backend_python()
    if not python.exists():
        pytest.fail(f"{python} is missing: run make, or set SG_BACKEND_PYTHON")
    settings = module(addon, "backend_settings").preferences()
    settings.backend_mode, settings.python_path = "OWN", str(python)
    settings.weights = os.environ.get("SG_TEST_WEIGHTS", "")
    yield addon
    settings.backend_mode, settings.python_path, settings.weights = "OWN", "", ""


@pytest.fixture
def shot(real):
    """A scene at 24 fps: a speaker, and its voice with the script from frame 11 on. Gives the armature."""
    import bpy

    from tests.bl import scenes

    scene = scenes.empty()
    strip = scenes.add_voice(scene, VOICE, 11)
    character = scenes.add_character()
    script = bpy.data.texts.new("welcome.txt")
    script.write(VOICE.with_suffix(".txt").read_text("utf-8"))
    settings = scene.gesticulator
    settings.character, settings.voice, settings.script, settings.density = character, strip.name, script, 1.0
    return character
