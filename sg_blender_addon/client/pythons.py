"""An interpreter that the backend's packages exist for: the user's choice, Blender's own, one on the machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import Cancelled, UserError
from . import platforms
from .job import Control
from .process import child_environment
from .running import run_streaming

RANGE = ((3, 11), (3, 15))
"""Lowest version that works, and the first that does not."""
PROBE_TIMEOUT_S = 60.0
PROBE = """
import importlib.util, json, sys, sysconfig
print(json.dumps({
    "version": list(sys.version_info[:2]),
    "wide": sys.maxsize > 2**32,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python that was started once to see what it is."""

    path: Path
    version: tuple[int, int]
    fits: bool
    """The backend's packages exist for it."""
    makes_environments: bool

    @property
    def name(self) -> str:
        return f"Python {self.version[0]}.{self.version[1]}"


def supported() -> list[tuple[int, int]]:
    """The versions in RANGE, the newest last: with the first ones most packages have been tried."""
    low, high = RANGE
    return [(low[0], minor) for minor in range(low[1], high[1])]


def examine(path: Path, control: Control) -> Interpreter:
    """Start an interpreter and see what it is; UserError when it is none."""
    lines: list[str] = []
    try:
        code = run_streaming(
            [str(path), "-I", "-c", PROBE], control, lines.append, cwd=Path.cwd(),
            env=child_environment(Path.cwd()), timeout_s=PROBE_TIMEOUT_S,
        )  # fmt: skip
        answer = json.loads(lines[-1]) if code == 0 and lines else None
    except (ValueError, UserError):
        answer = None
    if not isinstance(answer, dict):
        raise UserError(
            f"This is not a Python that can be run: {path}",
            "Choose another one under 'Make it from' in the add-on's preferences, or leave it empty.",
            "bad_python",
        )
    major, minor = answer["version"]
    fits = answer["wide"] and not answer["free_threaded"] and RANGE[0] <= (major, minor) < RANGE[1]
    return Interpreter(path, (major, minor), fits, answer["venv"])


def choose(chosen: Path | None, own: Path, control: Control) -> Interpreter | None:
    """What to make the environment from; None where this machine has nothing fit.

    chosen: the user's choice, to be taken or refused (UserError). own: Blender's.
    """
    if chosen is not None:
        found = examine(chosen, control)
        _check(found)
        return found
    for path in (own, *platforms.pythons(supported())):
        try:
            found = examine(path, control)
        except Cancelled:
            raise
        except UserError:
            continue
        if found.fits and found.makes_environments:
            return found
    return None


def _check(found: Interpreter) -> None:
    if not found.fits:
        raise UserError(f"The backend cannot use {found.name} ({found.path}).", CHOOSE, "bad_python")
    if not found.makes_environments:
        raise UserError(
            f"{found.name} ({found.path}) cannot make virtual environments.",
            f"On Debian and Ubuntu: apt install python{found.version[0]}.{found.version[1]}-venv. {CHOOSE}",
            "no_venv",
        )


def versions_text(versions: Sequence[tuple[int, int]]) -> str:
    """The first and the last of them, as people write it."""
    return f"{versions[0][0]}.{versions[0][1]} to {versions[-1][0]}.{versions[-1][1]}"


CHOOSE = (
    f"Choose a 64-bit Python {versions_text(supported())} under 'Make it from' in the add-on's preferences, or leave "
    "it empty."
)
