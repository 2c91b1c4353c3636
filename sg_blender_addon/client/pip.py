"""pip as a child process: one call, and how far it is."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .failures import failure
from .job import Control
from .process import child_environment
from .running import run_streaming

LEAST_VERSION = (24, 1)
"""Of pip: older ones do not say how far a download is."""


@dataclass(frozen=True)
class Pip:
    """The pip of one interpreter."""

    python: Path
    folder: Path
    """Working folder: on the disk that everything goes to, so that no small temporary disk is filled."""
    log_path: Path

    def __call__(
        self,
        arguments: Sequence[str],
        control: Control,
        on_line: Callable[[str], None] = lambda line: None,
        on_pause: Callable[[], None] = lambda: None,
        *,
        offline: bool = False,
    ) -> None:
        """Run `pip ARGUMENTS`; its output goes into the log and, line by line, to `on_line`. UserError when it fails.

        offline: without the index, and without whatever else the user configured for pip.
        """
        lines: list[str] = []
        with self.log_path.open("a", encoding="utf-8") as log:

            def take(line: str) -> None:
                if not line.startswith("Progress "):
                    lines.append(line)
                    log.write(line + "\n")
                    log.flush()
                on_line(line)

            command = [str(self.python), "-m", "pip", *arguments, "--no-input", "--disable-pip-version-check"]
            take("> pip " + " ".join(arguments))
            code = run_streaming(
                command, control, take, cwd=self.folder, env=self._environment(offline), on_pause=on_pause
            )
        if code != 0:
            raise failure(lines[1:], self.log_path, self.folder)

    def version(self, control: Control) -> tuple[int, ...]:
        """Of pip; UserError where there is none."""
        said: list[str] = []
        self(["--version"], control, said.append, offline=True)
        match = re.search(r"pip (\d+)\.(\d+)", "\n".join(said[1:]))
        return (int(match[1]), int(match[2])) if match else (0,)

    def _environment(self, offline: bool) -> dict[str, str]:
        temporary = self.folder / "temp"
        temporary.mkdir(exist_ok=True)
        environment = child_environment(self.folder) | {"PYTHONNOUSERSITE": "1", "PIP_USER": "0", "NO_COLOR": "1"}
        environment.update({name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")})
        if offline:
            environment = {name: value for name, value in environment.items() if not name.startswith("PIP_")}
            environment["PIP_CONFIG_FILE"] = os.devnull
        return environment


_RAW = re.compile(r"^Progress (\d+) of (\d+)$")
_FILE = re.compile(r"^(Downloading|Using cached|Resuming download) (?:\S+/)?([\w.]+?)-\d\S*\.(whl\.metadata|whl)\b")
_SIZE = re.compile(r"\(([\d.]+) ([kMG]?B)\)$")
_RETRYING = re.compile(r"^WARNING: (Retrying|Connection timed out|Attempting to resume|.*resuming)", re.IGNORECASE)
_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}


class Downloading:
    """How many bytes one `pip download --progress-bar=raw` has fetched, from its lines."""

    def __init__(self) -> None:
        self.package = ""
        self.retrying = False
        self._whole = 0.0
        """Of the files before this one."""
        self._now = 0.0
        self._size = 0.0
        self._counts = False

    @property
    def bytes(self) -> int:
        return round(self._whole + self._now)

    def feed(self, line: str) -> None:
        """Take one line."""
        line = line.strip()
        if match := _FILE.match(line):
            self._file(match, line)
        elif (match := _RAW.match(line)) and self._counts:
            self._now, self._size = float(match[1]), float(match[2])
            self.retrying = False
        elif _RETRYING.match(line):
            self.retrying = True

    def _file(self, match: re.Match[str], line: str) -> None:
        how, package, kind = match.groups()
        self._counts = kind == "whl"  # a file's metadata may come before it, alone
        self.retrying = False
        if not self._counts or how == "Resuming download":
            return
        self._whole += self._size
        self.package = package.replace("_", "-")
        size = _SIZE.search(line)
        self._size = float(size[1]) * _UNITS[size[2]] if size else 0.0
        self._now = self._size if how == "Using cached" else 0.0


class Unpacking:
    """How many bytes one `pip install` from wheels has unpacked: it does not say, so its folder is looked at."""

    def __init__(self, site_packages: Path, folder: Path) -> None:
        """folder: the one that pip works in; it names wheels from there."""
        self.total = 0
        """Bytes that its wheels become."""
        self.begun = False
        self._working = folder
        self._folder = site_packages
        self._before = tree_bytes(site_packages)

    def feed(self, line: str) -> None:
        """Take one line."""
        line = line.strip()
        if line.startswith("Processing ") and ".whl" in line:
            self.total += unpacked_bytes(self._working / line.removeprefix("Processing ").split(" (from ")[0])
        self.begun = self.begun or line.startswith("Installing collected packages")

    @property
    def bytes(self) -> int:
        """Reads the whole folder: a tenth of a second with everything in it."""
        return max(0, tree_bytes(self._folder) - self._before) if self.begun else 0


def tree_bytes(folder: Path) -> int:
    """Size of the files in a folder, without what Python made of them."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    total += entry.stat(follow_symlinks=False).st_size
                elif entry.name != "__pycache__":
                    total += tree_bytes(Path(entry.path))
    except OSError:  # it is being filled or emptied
        pass
    return total


def unpacked_bytes(wheel: Path) -> int:
    """What a wheel becomes; 0 where it cannot be read, pip will say so."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return sum(item.file_size for item in archive.infolist())
    except (OSError, zipfile.BadZipFile):
        return 0
