"""What pip cannot do and uv can: bring a Python, and say where PyTorch keeps its CPU build.

uv comes as a pinned package from the index, into an environment of its own.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from . import locks, platforms, pythons
from .failures import AGAIN, failure
from .job import Control
from .pip import Pip
from .process import child_environment
from .pythons import Interpreter
from .running import run_streaming
from .virtual import make_environment

VERSION = "3.13"
"""The Python that is fetched where the machine has none that fits: the one of the newest Blenders."""
MIRROR = "UV_PYTHON_INSTALL_MIRROR"


@dataclass(frozen=True)
class Uv:
    """Where uv is, or will be, and where it writes."""

    root: Path
    """The extension: holds the lock."""
    folder: Path
    log_path: Path
    wheels: Path | None
    """A folder of wheels to take uv itself from, instead of the index."""

    def get(self, base: Interpreter, control: Control) -> Path:
        """The program, installed if it is not there yet."""
        environment = self.folder / "tools"
        program = platforms.environment_program(environment, "uv")
        if program.is_file():
            return program
        make_environment(base, environment, self.folder, control)
        pip = Pip(platforms.environment_python(environment), self.folder, self.log_path)
        source = ["--no-index", "--find-links", str(self.wheels)] if self.wheels else []
        lock = locks.path(self.root, locks.UV)
        pip(["install", "--no-deps", "--require-hashes", *source, "-r", str(lock)], control, offline=bool(self.wheels))
        return program

    def fetch_python(self, base: Interpreter, control: Control) -> Path:
        """A standalone Python in our folder, downloaded if it is not there yet."""
        home = self.folder / "python"
        found = self._python_in(home)
        if found is None:
            if not base.makes_environments:
                raise _no_python(base, "")
            control.report(f"Fetching Python {VERSION}", 0.01)
            command = ["python", "install", VERSION, "--install-dir", str(home), "--no-bin"]
            try:
                self._run(self.get(base, control), command, control)
            except UserError as error:
                platforms.remove_tree(home)  # or half a Python would be taken for one the next time
                raise _no_python(base, error.details) from error
            found = self._python_in(home)
        if found is None:
            raise _no_python(base, "uv said that it was done, and there is none.")
        return found

    def find_small_torch(self, base: Interpreter, python: Interpreter, pin: str, control: Control) -> tuple[str, int]:
        """(URL with its checksum, bytes) of PyTorch's CPU build for an interpreter on this machine."""
        program = self.get(base, control)
        wanted, answer = self.folder / "torch.in", self.folder / "pylock.torch.toml"
        wanted.write_text(pin + "\n", "utf-8")
        answer.unlink(missing_ok=True)
        command = ["pip", "compile", "--torch-backend", "cpu", "--no-deps", "--format", "pylock.toml"]
        command += ["--python", str(python.path), "-o", str(answer), str(wanted)]
        try:
            self._run(program, command, control)
            wheel = tomllib.loads(answer.read_text("utf-8"))["packages"][0]["wheels"][0]
            return f"{wheel['url']}#sha256={wheel['hashes']['sha256']}", int(wheel.get("size") or 0)
        except (UserError, OSError, KeyError, IndexError, tomllib.TOMLDecodeError) as error:
            raise _no_small_torch(error) from error

    def _run(self, program: Path, arguments: Sequence[str], control: Control) -> None:
        lines: list[str] = []
        with self.log_path.open("a", encoding="utf-8") as log:

            def take(line: str) -> None:
                lines.append(line)
                log.write(line + "\n")

            take("> uv " + " ".join(arguments))
            environment = child_environment(self.folder) | _mirror()
            environment["UV_CACHE_DIR"] = str(self.folder / "cache" / "uv")
            environment.update(dict.fromkeys(("UV_NO_CONFIG", "UV_SYSTEM_CERTS", "NO_COLOR"), "1"))
            code = run_streaming([str(program), *arguments], control, take, cwd=self.folder, env=environment)
        if code != 0:
            raise failure(lines[1:], self.log_path, self.folder)

    def _python_in(self, home: Path) -> Path | None:
        folders = sorted(home.glob(f"cpython-{VERSION}.*")) if home.is_dir() else []
        found = [platforms.unpacked_python(folder) for folder in folders]
        return next((path for path in found if path.is_file()), None)


def _mirror() -> dict[str, str]:
    """uv wants an address; a folder is what people have."""
    where = os.environ.get(MIRROR, "")
    return {MIRROR: Path(where).resolve().as_uri()} if where and Path(where).is_dir() else {}


def _no_python(base: Interpreter, details: str) -> UserError:
    error = UserError(
        f"The backend cannot use {base.name}, which this Blender brings, and no other could be fetched.",
        f"Install a 64-bit Python {pythons.versions_text(pythons.supported())} from your system or python.org and "
        f"{AGAIN}. Without a network: name a mirror folder in {MIRROR}.",
        "bad_python",
    )
    error.details = details
    return error


def _no_small_torch(error: Exception) -> UserError:
    told = UserError(
        "PyTorch's small build was not found: its own package index could not be read.",
        "Name a folder or an index that has it in the add-on's preferences, or switch 'Small PyTorch' off: the large "
        "one comes from the usual index.",
        "no_small_torch",
    )
    told.details = getattr(error, "details", "") or str(error)
    return told
