"""The backend's own Python environment: what is there, whether it works, and getting rid of it.

Blender's Python stays untouched. Everything lies in one folder that the caller names, and each environment in a folder
of its own there: Windows does not let go of files that a running backend has loaded, so a new one never goes over an
old one. `environment.json` says which of them counts; `setup.py` makes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from ..core.files import replacing
from . import locks, platforms
from .failures import DETAIL_LINES
from .job import Control
from .process import child_environment
from .running import run_streaming

MISSING, INCOMPLETE, OUTDATED, READY = "missing", "incomplete", "outdated", "ready"
MARKER = "environment.json"
ATTEMPT = "attempt.json"
"""What an unfinished set-up has reached."""
LOCK = "setup.lock"
LOG_NAME = "setup.log"
MODULES = 1700
"""That the doctor loads, for the progress bar only."""
DOCTOR_TIMEOUT_S = 600.0
"""The first start of everything, perhaps under the eyes of a virus scanner."""


@dataclass(frozen=True)
class EnvironmentPlan:
    """What to make, where, and from what."""

    folder: Path
    """Receives everything."""
    root: Path
    """The extension (or checkout): holds `locks/` and `backend/`."""
    own_python: Path
    """Blender's interpreter: the environment is made from it where it fits."""
    chosen_python: Path | None = None
    """The user's choice instead."""
    small_torch: bool = False
    """PyTorch's CPU build where the usual one brings CUDA."""
    torch_source: str = ""
    """Folder or address of an index that has it. Empty: PyTorch's own index is asked."""
    wheels: Path | None = None
    """A folder of wheels to install from, instead of the package index."""

    @property
    def log_path(self) -> Path:
        return self.folder / LOG_NAME

    @property
    def small(self) -> bool:
        """Whether torch is to be chosen apart from all other packages."""
        return self.small_torch and locks.brings_cuda(self.root)


@dataclass(frozen=True)
class Marker:
    """Which environment counts."""

    environment: str
    """Name of its folder."""
    fingerprint: str
    """Of the locks that it was made from."""
    made_for: str
    base_python: str

    @classmethod
    def read(cls, folder: Path) -> Marker | None:
        """What was written last; None where there is nothing, or nothing of ours."""
        try:
            return cls(**json.loads((folder / MARKER).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        with replacing(folder / MARKER) as temporary:
            temporary.write_text(json.dumps(vars(self), indent=1), "utf-8")


@dataclass
class Attempt:
    """An unfinished set-up, kept in a file, so that one that was killed is gone on with."""

    environment: str
    made_for: str
    """What it is made from and for: with anything else another attempt begins."""
    done: list[str] = field(default_factory=list)
    """Steps that need not be taken again."""

    @classmethod
    def read(cls, folder: Path) -> Attempt | None:
        try:
            return cls(**json.loads((folder / ATTEMPT).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        with replacing(folder / ATTEMPT) as temporary:
            temporary.write_text(json.dumps(vars(self), indent=1), "utf-8")


def environment_python(folder: Path) -> Path | None:
    """The interpreter of the environment in `folder`, None while there is none that counts."""
    marker = Marker.read(folder)
    python = platforms.environment_python(folder / marker.environment) if marker else None
    return python if python is not None and python.exists() else None


def state(folder: Path, root: Path) -> str:
    """`missing`, `incomplete`, `outdated` (the extension was updated since) or `ready`. Reads files, starts nothing."""
    marker = Marker.read(folder)
    if marker is None or environment_python(folder) is None or not Path(marker.base_python).exists():
        return INCOMPLETE if marker or (folder / ATTEMPT).exists() else MISSING
    return READY if marker.fingerprint == locks.fingerprint(root) else OUTDATED


def doctor(python: Path, root: Path, control: Control | None = None, low: float = 0.0) -> dict[str, Any]:
    """What `python -m backend doctor --json` says; UserError when the backend cannot work there.

    low: where on the control's bar it begins. The first start loads, and compiles, a thousand modules, and says each.
    """
    control = control or Control()
    lines: list[str] = []
    modules = 0

    def take(line: str) -> None:
        nonlocal modules
        if not line.startswith("import time:"):
            lines.append(line)
            return
        modules += 1
        package = line.rsplit("|", 1)[-1].strip().split(".")[0]
        control.report(f"Starting the backend ({package})", low + (1 - low) * min(1.0, modules / MODULES) * 0.9)

    code = run_streaming(
        [str(python), "-X", "importtime", "-m", "backend", "doctor", "--json"], control, take,
        cwd=root, env=child_environment(root), timeout_s=DOCTOR_TIMEOUT_S,
    )  # fmt: skip
    report = _last_json("\n".join(lines))
    if code == 0 and report is not None:
        return report
    reason = next((line for line in reversed(lines) if line.strip()), "it said nothing").strip()
    checks = [item for item in (report or {}).get("checks", ()) if isinstance(item, dict)]
    broken = [item for item in checks if item.get("required") and not item.get("ok")]
    if broken:
        reason = "; ".join(str(item.get("message") or item.get("name")) for item in broken)
    error = UserError(
        f"The backend does not work: {reason[:300]}",
        "Press 'Set up backend' again: it is installed anew from what was downloaded.",
        "backend_broken",
    )
    error.details = "\n".join(lines[-DETAIL_LINES:])
    raise error


def remove(folder: Path) -> None:
    """Delete everything that was set up in `folder`; UserError when files are in use, or when it is being set up."""
    if not folder.is_dir():
        return
    try:
        with platforms.held(platforms.FileLock(folder / LOCK)) as alone:
            if not alone:
                raise set_up_elsewhere(folder)
            for name in (MARKER, ATTEMPT):
                (folder / name).unlink(missing_ok=True)
            for path in folder.iterdir():
                if path.is_dir():
                    platforms.remove_tree(path)
                elif path.name not in (LOCK, LOG_NAME):
                    path.unlink()
    except OSError as error:
        raise UserError(
            f"The backend's environment could not be removed: {error.strerror or error}",
            "Close other Blenders that use it and try again.",
            "environment_in_use",
        ) from error


def set_up_elsewhere(folder: Path) -> UserError:
    """Somebody else is at it."""
    holder = platforms.FileLock(folder / LOCK).holder()
    return UserError(
        "Another Blender is setting up the backend" + (f" (process {holder})." if holder else "."),
        "Wait until it is done: what it makes serves this Blender too.",
        "setup_elsewhere",
    )


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
