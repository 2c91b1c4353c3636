"""Make every file of locks/ from pyproject.toml:  python packaging/make_locks.py [--check]

Needs uv and the plain package index, nothing else: what pip is configured to is not looked at, local folders of wheels and
further indexes are left out, and nothing published after `exclude-newer` in pyproject.toml counts. Versions that stand in
a lock are kept as long as they fit; delete the file, or its line, to get newer ones.

Each lock holds versions and checksums for every system and Python at once, and is complete in itself or together with the
lock that it is laid upon: install with `pip install --no-deps --require-hashes -r`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SIZES = "sizes.json"
TORCH_ALONE = re.compile(r"torch|triton|(nvidia|cuda)-.*")
"""torch, and what only its CUDA build for Linux needs."""
GLIBC = 28
"""Of Linux wheels: 2.28, as torch itself asks for."""


class LockError(Exception):
    """The locks cannot be made, or are not what pyproject.toml asks for; the message says which and why."""


@dataclass(frozen=True)
class Lock:
    """One file of locks/."""

    name: str
    what: str
    """Its first comment."""
    extras: tuple[str, ...] = ()
    """Of pyproject.toml; with any, the project's own dependencies are in it too."""
    groups: tuple[str, ...] = ()
    pythons: tuple[str, ...] = PYTHONS
    within: str = ""
    """The lock with whose versions this one agrees."""
    without: str = ""
    """The lock whose packages are left out, or "torch"."""
    sources: tuple[str, ...] = ()
    """Packages that exist as source only."""


EVERYTHING = Lock(
    "everything", "", ("backend", "whisper-tiny", "openai-whisper", "training", "voice", "dev"),
    ("sentences", "installer", "locking"), sources=("openai-whisper",),
)  # fmt: skip
"""Resolved first and not kept: the locks of one environment agree with it."""
BACKEND = ("backend", "whisper-tiny")
BESIDE = ("3.11",)
LOCKS = (
    Lock("installer", "pip itself, and setuptools for what is built here.", groups=("installer",), within="everything"),
    Lock("backend", "What the backend needs.", BACKEND, ("sentences",), within="everything"),
    Lock("backend-without-torch", "What the backend needs, where torch (of the same version as in backend.txt) is chosen "
         "apart.", BACKEND, ("sentences",), within="everything", without="torch"),
    Lock("development", "What tests, checks and training need; installed upon backend.txt and installer.txt.",
         EVERYTHING.extras, EVERYTHING.groups, within="everything", without="backend", sources=EVERYTHING.sources),
    Lock("blender-42", "Blender 4.2 as a module, and what the tests need beside it.", (), ("blender-42",), BESIDE),
    Lock("blender-45", "Blender 4.5 as a module, and what the tests need beside it.", (), ("blender-45",), BESIDE),
    Lock("blender-50", "Blender 5.0 as a module, and what the tests need beside it.", (), ("blender-50",), BESIDE),
    Lock("blender-52", "Blender 5.2 as a module, and what the tests need beside it.", (), ("blender-52",), ("3.13",)),
)  # fmt: skip


@dataclass(frozen=True)
class Platform:
    """A system that locks are made for, as wheels and markers name it."""

    system: str
    """sys.platform"""
    name: str
    """platform.system()"""
    machine: str
    """platform.machine()"""
    tags: tuple[str, ...]

    def marker_values(self, python: str) -> dict[str, str]:
        """What a requirement's marker is evaluated with."""
        return {
            "sys_platform": self.system, "platform_system": self.name, "platform_machine": self.machine,
            "os_name": "nt" if self.system == "win32" else "posix", "implementation_name": "cpython",
            "platform_python_implementation": "CPython", "python_version": python, "python_full_version": f"{python}.0",
        }  # fmt: skip

    def wheel_tags(self, python: str) -> list[Tag]:
        """What fits, best first."""
        version = tuple(int(part) for part in python.split("."))
        interpreter = f"cp{version[0]}{version[1]}"
        return [
            *cpython_tags(version, platforms=self.tags),
            *compatible_tags(version, interpreter, self.tags),
        ]


def _linux(machine: str) -> Platform:
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 16, -1)] + [f"manylinux2014_{machine}"]
    if machine == "x86_64":
        tags += [f"manylinux_2_{minor}_{machine}" for minor in range(16, 4, -1)]
        tags += ["manylinux2010_x86_64", "manylinux1_x86_64"]
    return Platform("linux", "Linux", machine, (*tags, f"linux_{machine}"))


PLATFORMS = {
    "linux-x86_64": _linux("x86_64"),
    "linux-aarch64": _linux("aarch64"),
    "windows-x86_64": Platform("win32", "Windows", "AMD64", ("win_amd64",)),
    "macos-arm64": Platform("darwin", "Darwin", "arm64", tuple(mac_platforms((14, 0), "arm64"))),
    "macos-x86_64": Platform("darwin", "Darwin", "x86_64", tuple(mac_platforms((14, 0), "x86_64"))),
}


def environment() -> dict[str, str]:
    """Ours without what turns uv to other indexes or folders."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}


def compiled(lock: Lock, folder: Path, seed: str, pins: str = "", omitted: Sequence[str] = ()) -> str:
    """The lock's lines as uv resolves them, versions of `seed` kept where they fit and those of `pins` in any case."""
    out = folder / f"{lock.name}.txt"
    out.write_text(seed, "utf-8")
    run_uv(lock, out, pins, ["--generate-hashes", "--no-header", *_each("--no-emit-package", omitted)])
    return out.read_text("utf-8")


def files_of(lock: Lock, folder: Path, pins: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """(name, version) to its wheels, each with `name` and `size` as the index states them."""
    out = folder / f"pylock.{lock.name}.toml"
    run_uv(lock, out, pins, ["--format", "pylock.toml"])
    packages = tomllib.loads(out.read_text("utf-8"))["packages"]
    return {(item["name"], item["version"]): item.get("wheels") or [item["sdist"]] for item in packages}


def run_uv(lock: Lock, out: Path, pins: str, options: Sequence[str]) -> None:
    """`uv pip compile` for all systems; LockError with its words when it finds no solution."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", lock.pythons[0], "-o", str(out)]
    if pins:
        constraints = out.with_suffix(".pins")
        constraints.write_text("\n".join(str(item) for item in entries(pins)), "utf-8")
        command += ["-c", str(constraints)]
    # built from source on no system, but for what exists in no other form
    command += ["--only-binary", ":all:", *_each("--no-binary", lock.sources)]
    command += [*_each("--extra", lock.extras), *_each("--group", lock.groups), *options]
    command += ["pyproject.toml"] if lock.extras else []
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LockError(f"{lock.name}.txt: {done.stderr.strip() or 'uv failed'}")


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def entries(text: str) -> Iterator[Requirement]:
    """The requirements of a lock, without their checksums."""
    for line in text.splitlines():
        if line and not line[0].isspace() and not line.startswith(("#", "-")):
            yield Requirement(line.removesuffix("\\").strip())


def names(text: str) -> list[str]:
    """The packages of a lock."""
    return [canonicalize_name(item.name) for item in entries(text)]


def make(folder: Path, committed: Path) -> dict[str, str]:
    """Every file of locks/, by name; versions of `committed` are kept where they fit."""
    old = {lock.name: _read(committed / f"{lock.name}.txt") for lock in LOCKS}
    own = "".join(old[lock.name] for lock in LOCKS if lock.within and lock.without != "torch")
    bodies = {EVERYTHING.name: compiled(EVERYTHING, folder, own)}
    for lock in LOCKS:
        omitted: list[str] = []
        if lock.without == "torch":
            omitted = [name for name in names(bodies["backend"]) if TORCH_ALONE.fullmatch(name)]
        elif lock.without:
            omitted = [*names(bodies[lock.without]), *names(bodies["installer"])]
        bodies[lock.name] = compiled(lock, folder, old[lock.name], bodies.get(lock.within, ""), sorted(set(omitted)))
    made = {f"{lock.name}.txt": _header(lock) + bodies[lock.name] for lock in LOCKS}
    return {**made, SIZES: json.dumps(measured(bodies, folder), indent=2) + "\n"}


def measured(bodies: dict[str, str], folder: Path) -> dict[str, dict[str, int]]:
    """Lock to platform to the bytes that it downloads there, for the first of the lock's Pythons.

    A platform is missing where there is no wheel for it: macOS on Intel has had no torch since 2.2, Blender has no module
    for Linux on ARM. LockError when a platform has wheels for one Python of the lock and not for another.
    """
    shared = files_of(EVERYTHING, folder, bodies[EVERYTHING.name])
    found: dict[str, dict[str, int]] = {}
    for lock in LOCKS:
        files = shared if lock.within else files_of(lock, folder, bodies[lock.name])
        found[lock.name] = {}
        for key, platform in PLATFORMS.items():
            sizes = {python: _download(bodies[lock.name], files, platform, python) for python in lock.pythons}
            lacking = {python: size for python, size in sizes.items() if isinstance(size, str)}
            if len(lacking) not in {0, len(sizes)}:
                raise LockError(f"{lock.name}.txt: on {key} {lacking}")
            first = sizes[lock.pythons[0]]
            if isinstance(first, int):
                found[lock.name][key] = first
    return found


def _download(
    body: str, files: dict[tuple[str, str], list[dict[str, Any]]], platform: Platform, python: str
) -> int | str:
    """Bytes of the files that pip would take, or which package has none."""
    order = {tag: rank for rank, tag in enumerate(platform.wheel_tags(python))}
    total = 0
    for item in entries(body):
        if item.marker and not item.marker.evaluate(platform.marker_values(python)):
            continue
        (specifier,) = item.specifier
        fitting = []
        for file in files[canonicalize_name(item.name), specifier.version]:
            name = file.get("name") or file["url"].rsplit("/", 1)[-1]
            tags = parse_wheel_filename(name)[3] if name.endswith(".whl") else [next(iter(order))]
            ranks = [order[tag] for tag in tags if tag in order]
            if ranks:
                fitting.append((min(ranks), file["size"]))
        if not fitting:
            return f"{item.name} {specifier.version} has no wheel"
        total += min(fitting)[1]
    return total


def _header(lock: Lock) -> str:
    return (
        f"# {lock.what}\n"
        "# Made by `make locks` from pyproject.toml and the plain package index; not edited by hand.\n"
        f"# Install: pip install --no-deps --require-hashes -r locks/{lock.name}.txt\n"
    )


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, fail when a lock would change")
    arguments = parser.parse_args()
    folder = ROOT / "locks"
    try:
        with tempfile.TemporaryDirectory() as temporary:
            made = make(Path(temporary), folder)
    except LockError as error:
        sys.exit(str(error))
    changed = [name for name, text in made.items() if text != _read(folder / name)]
    if arguments.check:
        sys.exit(f"Out of date: {', '.join(changed)}. Run make locks and commit them." if changed else 0)
    folder.mkdir(exist_ok=True)
    for name in changed:
        (folder / name).write_text(made[name], "utf-8")
    print(f"Changed: {', '.join(changed)}" if changed else "The locks are up to date.")


if __name__ == "__main__":
    main()
