"""Making an empty virtual environment."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import UserError
from . import platforms
from .failures import disk_full, kind_of
from .job import Control
from .process import child_environment
from .pythons import CHOOSE, Interpreter
from .running import run_streaming

TIMEOUT_S = 600.0
"""A busy disk and a virus scanner make much of pip's own thousand files."""


def make_environment(base: Interpreter, environment: Path, folder: Path, control: Control) -> None:
    """Make `environment` from an interpreter, anew if there is something; UserError when that does not work.

    folder: the working folder, which exists.
    """
    platforms.remove_tree(environment, sleep=control.sleep)
    options = []
    if not platforms.WINDOWS and not platforms.has_symlinks(folder):
        options.append("--copies")
        (environment / "lib64").mkdir(parents=True)  # venv would make a link of that name, and fail
    lines: list[str] = []
    code = run_streaming(
        [str(base.path), "-I", "-m", "venv", *options, str(environment)], control, lines.append,
        cwd=folder, env=child_environment(folder), timeout_s=TIMEOUT_S,
    )  # fmt: skip
    if code == 0 and platforms.environment_python(environment).exists():
        return
    text = "\n".join(lines)
    if kind_of(text) == "disk_full":
        raise disk_full(folder)
    error = UserError(
        f"{base.name} could not make a virtual environment: {lines[-1] if lines else 'it said nothing'}",
        CHOOSE,
        "no_venv",
    )
    error.details = text
    raise error
