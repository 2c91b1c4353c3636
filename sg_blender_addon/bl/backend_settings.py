"""The machine's settings, and the backend that follows from them, read into plain values when a button is pressed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Protocol, cast

import bpy

from ..client import environment, locks, platforms
from ..client.api import is_loopback
from ..client.connection import BackendChoice
from ..client.process import ServeCommand
from ..core.errors import UserError
from .rna import present

PACKAGE = __package__.rsplit(".", 2)[0]
"""The extension's own package, e.g. `bl_ext.user_default.semantic_gesticulator`; the key of its preferences."""
ROOT = Path(__file__).resolve().parents[2]
"""The folder of the extension (or the checkout): holds `backend/`, `SG_dataset/`, pyproject.toml."""


class BackendPreferences(Protocol):
    """What the add-on's preferences say; Blender registers them as `GesticulatorPreferences`, which also draws them."""

    backend_mode: str
    python_path: str
    base_python: str
    small_torch: bool
    torch_source: str
    wheels_folder: str
    url: str
    token: str
    engine: str
    whisper_model: str
    retriever: str
    llm_url: str
    llm_model: str
    llm_key: str
    weights: str
    library: str
    cache_folder: str


def preferences() -> BackendPreferences:
    """The add-on's preferences; KeyError when the add-on is not enabled."""
    addons = present(bpy.context.preferences).addons
    return cast(BackendPreferences, addons[PACKAGE].preferences)


def user_folder(name: str = "") -> Path:
    """A folder of ours that survives updates of the extension; made if need be."""
    try:
        return Path(bpy.utils.extension_path_user(PACKAGE, path=name, create=True))
    except (ValueError, OSError):  # loaded as a plain module, outside of Blender's extensions
        folder = Path(bpy.utils.user_resource("DATAFILES", path="semantic_gesticulator", create=True)) / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def backend_folder() -> Path:
    """Where 'Set up backend' puts the environment."""
    return platforms.roomy(user_folder("backend"), platforms.local_folder(), long_paths=platforms.long_paths())


def wheels() -> Path | None:
    """The folder to install from, None for the package index."""
    chosen = preferences().wheels_folder.strip()
    return Path(bpy.path.abspath(chosen)) if chosen else None


def environment_plan() -> environment.EnvironmentPlan:
    settings = preferences()
    chosen = settings.base_python.strip()
    source = settings.torch_source.strip()
    return environment.EnvironmentPlan(
        folder=backend_folder(),
        root=ROOT,
        own_python=Path(sys.executable),
        chosen_python=Path(bpy.path.abspath(chosen)) if chosen else None,
        small_torch=settings.small_torch,
        torch_source=source if "://" in source or not source else bpy.path.abspath(source),
        wheels=wheels(),
    )


def download_text() -> str:
    """How much the set-up downloads in all, a sentence."""
    if wheels() is not None:
        return "It is installed from your folder of wheels; nothing is downloaded."
    small = preferences().small_torch
    size = locks.download_bytes(ROOT, small)
    if size is None:
        return f"There is no PyTorch for this kind of computer ({platforms.key()}): use a backend at an address."
    cuda = ", most of it NVIDIA's CUDA" if locks.brings_cuda(ROOT) and not small else ""
    room = locks.size_text(size + (locks.unpacked_bytes(ROOT, small) or 0))
    return f"In all {locks.size_text(size)} are downloaded{cuda}; they need {room} on the disk."


def backend_choice() -> BackendChoice:
    """Which backend to use; UserError where Blender's online access forbids it. Without any: a choice that says so."""
    settings = preferences()
    if settings.backend_mode == "URL":
        if not stays_here(settings.url):
            require_online("This backend is on another machine")
        return BackendChoice(url=settings.url.strip() or "(empty)", token=settings.token)
    python = own_python()
    if python is None:
        return BackendChoice()
    command = ServeCommand(python, ROOT, user_folder("logs"), ("--preload",), tuple(serve_environment().items()))
    return BackendChoice(serve=command)


def own_python() -> Path | None:
    """The interpreter that runs the backend here: the one from the preferences, or the one that was set up."""
    chosen = preferences().python_path.strip()
    if chosen:
        return Path(bpy.path.abspath(chosen))
    return environment.environment_python(backend_folder())


def serve_environment() -> dict[str, str]:
    """Where the backend keeps downloaded models, and whether it may download any."""
    chosen = preferences().cache_folder.strip()
    variables = {"HF_HOME": bpy.path.abspath(chosen)} if chosen else {}
    if not bpy.app.online_access:
        variables["HF_HUB_OFFLINE"] = "1"
    return variables


def backend_state() -> str:
    """One of environment's states, or `url`, `own`: what the panel says about the backend without asking it."""
    settings = preferences()
    if settings.backend_mode == "URL":
        return "url"
    if settings.python_path.strip():
        return "own"
    return environment.state(backend_folder(), ROOT)


def library() -> str:
    """Which gesture library the backend shall use."""
    return folder_or_starter(preferences().library)


def weights() -> str:
    """Which weights the backend shall use."""
    return folder_or_starter(preferences().weights)


def folder_or_starter(setting: str) -> str:
    """A folder setting as the backend wants it: an absolute path, or "starter" when it is empty."""
    return bpy.path.abspath(setting.strip()) if setting.strip() else "starter"


def stays_here(url: str) -> bool:
    """True when an address, as typed, points at this machine."""
    return is_loopback(url.strip() if "://" in url else "http://" + url.strip())


def require_online(what: str) -> None:
    """UserError unless the user allowed Blender to go online."""
    if not bpy.app.online_access:
        raise UserError(
            f"{what}, and Blender's online access is off.",
            "Switch on 'Allow Online Access' in Preferences > System > Network.",
            "offline",
        )
