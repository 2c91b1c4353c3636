"""The add-on inside a real Blender (the bpy wheel), enabled from the checkout as an extension."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER = Path(tempfile.mkdtemp(prefix="gesticulator-user-"))
os.environ.setdefault("BLENDER_USER_RESOURCES", str(USER))

bpy = pytest.importorskip("bpy")
import addon_utils  # noqa: E402 - there only with bpy

REPOSITORY, EXTENSION = "dev", "semantic_gesticulator"
SMALL_SERVER = ROOT / "tests" / "client" / "small_server"
PACKAGE = f"bl_ext.{REPOSITORY}.{EXTENSION}"


def enable_from_checkout() -> str:
    """Enable the checkout as an extension of a repository of its own; returns its package."""
    folder = USER / "extensions_dev"
    folder.mkdir(exist_ok=True)
    if not (folder / EXTENSION).exists():
        (folder / EXTENSION).symlink_to(ROOT, target_is_directory=True)
    repos = bpy.context.preferences.extensions.repos
    if REPOSITORY not in {repo.module for repo in repos}:
        repos.new(name="Dev", module=REPOSITORY, custom_directory=str(folder), source="USER")
    if addon_utils.enable(PACKAGE, default_set=True) is None:
        raise RuntimeError(f"{PACKAGE} cannot be enabled")
    return PACKAGE


@atexit.register
def _leave() -> None:
    """A callback left behind makes some Blenders crash or hang at exit."""
    if PACKAGE in sys.modules:
        addon_utils.disable(PACKAGE)
    shutil.rmtree(USER, ignore_errors=True)


_status = 0


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    global _status
    _status = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """The wheel of 4.2 frees its panels' classes after Python has gone, and crashes: leave before it comes to that."""
    if bpy.app.version < (4, 5):
        _leave()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_status)


@pytest.fixture(scope="session")
def package() -> str:
    """The package of the enabled add-on."""
    return enable_from_checkout()


@pytest.fixture
def addon(package: str):
    """An empty file with the add-on enabled; gives the package of `sg_blender_addon` as Blender loaded it."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    bpy.context.preferences.system.use_online_access = True
    yield sys.modules[f"{package}.sg_blender_addon"]


@pytest.fixture
def small(addon, monkeypatch):
    """The add-on, its preferences pointing to the small server of the client's tests."""
    from tests.bl.scenes import module

    machine = module(addon, "backend_settings")
    monkeypatch.setattr(machine, "ROOT", SMALL_SERVER)
    settings = machine.preferences()
    settings.backend_mode, settings.python_path = "OWN", sys.executable
    yield addon
    module(addon, "job_runner").shut_down()  # with a job that a failed test left behind


@pytest.fixture
def shot(small, tmp_path):
    """A scene at 24 fps with a speaker and a voice strip that starts at frame 11; gives the armature."""
    from tests.bl import scenes

    scene = scenes.empty()
    strip = scenes.add_voice(scene, scenes.write_tone(tmp_path / "voice.wav"), 11)
    character = scenes.add_character()
    scene.gesticulator.character = character
    scene.gesticulator.voice = strip.name
    return character
