"""Make every file of locks/ from pyproject.toml:  python packaging/make_locks.py [--check]

Needs uv and the plain package index: what pip is configured to is not looked at, local folders of wheels and further
indexes are left out, and nothing published after `exclude-newer` in pyproject.toml counts. Versions that stand in a
lock are kept as long as they fit; delete the file, or a package in it, to get newer ones.

Each lock holds versions and checksums for every system and Python at once, and is complete in itself or together with
the lock that it is laid upon: install it with `pip install --no-deps --require-hashes -r`.
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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename
from uv import find_uv_bin

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SIZES = "sizes.json"
TORCH_ALONE = re.compile(r"torch|triton|(nvidia|cuda)-.*")
"""torch, and what only its CUDA build for Linux needs."""
GLIBC = 28
"""Of Linux wheels: 2.28, as torch itself asks for."""
MACOS = (14, 0)
"""Likewise."""


Files = dict[tuple[str, str], list[dict[str, Any]]]
"""(name, version) to its wheels, each with `url` and `size`."""


class LockError(Exception):
    """The locks cannot be made, or are not what pyproject.toml asks for; the message says which and why."""


@dataclass(frozen=True)
class Lock:
    """What one environment, or a part of it, is made of."""

    name: str
    extras: tuple[str, ...] = ()
    """Of pyproject.toml; with any, the project's own dependencies are in it too."""
    groups: tuple[str, ...] = ()
    pythons: tuple[str, ...] = PYTHONS
    sources: tuple[str, ...] = ()
    """Packages that exist as source only."""


EVERYTHING = Lock(
    "everything", ("backend", "whisper-tiny", "openai-whisper", "training", "voice", "dev"),
    ("sentences", "installer", "locking"), sources=("openai-whisper",),
)  # fmt: skip
"""A developer's environment, resolved as a whole; the files of locks/ are its parts."""
BACKEND = Lock("backend", ("backend", "whisper-tiny"), ("sentences",))
INSTALLER, UV = frozenset({"pip", "setuptools"}), frozenset({"uv"})
APART = (
    Lock("blender-42", groups=("blender-42",), pythons=("3.11",)),
    Lock("blender-45", groups=("blender-45",), pythons=("3.11",)),
    Lock("blender-50", groups=("blender-50",), pythons=("3.11",)),
    Lock("blender-52", groups=("blender-52",), pythons=("3.13",)),
    Lock("language-model", groups=("language-model",), pythons=("3.11",)),
)
"""Environments of their own."""
FILES = {
    "installer": "pip itself, and setuptools for what is built here.",
    "uv": "Makes the locks; finds torch's CPU build and a Python where there is none.",
    "backend": "What the backend needs.",
    "backend-without-torch": "What the backend needs, where torch (of the version in backend.txt) is chosen apart.",
    "development": "What tests, checks and training need; installed upon all of these.",
    **{f"blender-{v}": "Blender as a Python module, and what the tests need beside it." for v in (42, 45, 50, 52)},
    "language-model": "The language model that the slow tests serve.",
}
"""Of locks/, with their first comment."""
OF_EVERYTHING = ("installer", "uv", "backend", "development")


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
    """Of wheels, best first."""
    uv: str = ""
    """As uv calls it."""

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
    return Platform("linux", "Linux", machine, (*tags, f"linux_{machine}"), f"{machine}-manylinux_2_{GLIBC}")


PLATFORMS = {
    "linux-x86_64": _linux("x86_64"),
    "linux-aarch64": _linux("aarch64"),
    "windows-x86_64": Platform("win32", "Windows", "AMD64", ("win_amd64",), "x86_64-pc-windows-msvc"),
    "macos-arm64": Platform("darwin", "Darwin", "arm64", tuple(mac_platforms(MACOS, "arm64")), "aarch64-apple-darwin"),
    "macos-x86_64": Platform(
        "darwin", "Darwin", "x86_64", tuple(mac_platforms(MACOS, "x86_64")), "x86_64-apple-darwin"
    ),
}


def environment() -> dict[str, str]:
    """Ours without what turns uv to other indexes or folders."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    return {**ours, "MACOSX_DEPLOYMENT_TARGET": ".".join(map(str, MACOS))}


def compiled(lock: Lock, folder: Path, seed: str) -> str:
    """The lock's lines as uv resolves them, with the versions of `seed` where they fit."""
    out = folder / f"{lock.name}.txt"
    out.write_text(seed, "utf-8")
    run_uv(lock, out, "", ["--generate-hashes", "--no-header"])
    return out.read_text("utf-8")


def files_of(lock: Lock, folder: Path, pins: str) -> Files:
    """The wheels of a resolved lock, as the index states them."""
    out = folder / f"pylock.{lock.name}.toml"
    run_uv(lock, out, pins, ["--format", "pylock.toml"])
    packages = tomllib.loads(out.read_text("utf-8"))["packages"]
    return {(item["name"], item["version"]): item.get("wheels") or [item["sdist"]] for item in packages}


def run_uv(lock: Lock, out: Path, pins: str, options: Sequence[str]) -> None:
    """`uv pip compile`, for all systems unless the options name one; LockError with its words without a solution."""
    command = [find_uv_bin(), "pip", "compile", "--quiet", "-o", str(out), *options]
    if "--python-platform" not in options:
        command += ["--universal", "--python-version", lock.pythons[0]]
    if pins:
        constraints = out.with_suffix(".pins")
        constraints.write_text("\n".join(str(item) for item in entries(pins)), "utf-8")
        command += ["-c", str(constraints)]
    # built from source on no system, but for what exists in no other form
    command += ["--only-binary", ":all:", *_each("--no-binary", lock.sources)]
    command += [*_each("--extra", lock.extras), *_each("--group", lock.groups)]
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


def installed(text: str, platform: Platform, python: str) -> dict[str, str]:
    """Package to version: what installing the lock brings there."""
    values = platform.marker_values(python)
    return {
        canonicalize_name(item.name): next(iter(item.specifier)).version
        for item in entries(text)
        if item.marker is None or item.marker.evaluate(values)
    }


def part(body: str, wanted: Callable[[str], bool]) -> str:
    """The lines of those packages only."""
    kept, lines = False, []
    for line in body.splitlines(keepends=True):
        if not line[0].isspace():
            kept = wanted(canonicalize_name(Requirement(line.rstrip("\\\n")).name))
        if kept:
            lines.append(line)
    return "".join(lines)


def make(folder: Path, committed: Path) -> dict[str, str]:
    """Every file of locks/, by name; versions of `committed` are kept where they fit."""
    old = {name: _read(committed / f"{name}.txt") for name in FILES}
    everything = compiled(EVERYTHING, folder, "".join(old[name] for name in OF_EVERYTHING))
    with ThreadPoolExecutor(len(APART) + 2) as pool:  # uv waits for the index most of the time
        shared = pool.submit(files_of, EVERYTHING, folder, everything)
        apart = [pool.submit(_apart, lock, folder, old[lock.name]) for lock in APART]
        backend = compiled(BACKEND, folder, everything)
    odd = {(item.name, str(item.specifier)) for item in entries(backend)}
    odd -= {(item.name, str(item.specifier)) for item in entries(everything)}
    if odd:
        raise LockError(f"backend.txt and development.txt would differ in {odd}: delete both and make them again.")
    there = INSTALLER | UV | set(names(backend))
    bodies = {
        "installer": part(everything, lambda name: name in INSTALLER),
        "uv": part(everything, lambda name: name in UV),
        "backend": backend,
        "backend-without-torch": part(backend, lambda name: not TORCH_ALONE.fullmatch(name)),
        "development": part(everything, lambda name: name not in there),
    }
    sizes = {name: measured(name, body, shared.result(), PYTHONS) for name, body in bodies.items()}
    for lock, made in zip(APART, apart, strict=True):
        bodies[lock.name], files = made.result()
        sizes[lock.name] = measured(lock.name, bodies[lock.name], files, lock.pythons)
    texts = {f"{name}.txt": _header(name) + body for name, body in bodies.items()}
    return {**texts, SIZES: json.dumps(sizes, indent=2) + "\n"}


def _apart(lock: Lock, folder: Path, seed: str) -> tuple[str, Files]:
    body = compiled(lock, folder, seed)
    return body, files_of(lock, folder, body)


def measured(name: str, body: str, files: Files, pythons: Sequence[str]) -> dict[str, int]:
    """Platform to the bytes that the lock downloads there, for the first of its Pythons.

    A platform is missing where there is no wheel for it: macOS on Intel has had no torch since 2.2, Linux on ARM has no
    Blender module. LockError when a platform has wheels for one Python of the lock and not for another.
    """
    found: dict[str, int] = {}
    for key, platform in PLATFORMS.items():
        sizes = [_download(body, files, platform, python) for python in pythons]
        lacking = sorted({size for size in sizes if isinstance(size, str)})
        if lacking and any(isinstance(size, int) for size in sizes):
            raise LockError(f"{name}.txt: for some Pythons on {key} {', '.join(lacking)}.")
        if isinstance(sizes[0], int):
            found[key] = sizes[0]
    return found


def _download(body: str, files: Files, platform: Platform, python: str) -> int | str:
    """Bytes of the files that pip would take, or which package has none."""
    order = {tag: rank for rank, tag in enumerate(platform.wheel_tags(python))}
    total = 0
    for name, version in installed(body, platform, python).items():
        fitting = []
        for file in files[name, version]:
            wheel = file["url"].rsplit("/", 1)[-1]
            tags = parse_wheel_filename(wheel)[3] if wheel.endswith(".whl") else order
            ranks = [order[tag] for tag in tags if tag in order]
            if ranks:
                fitting.append((min(ranks), file["size"]))
        if not fitting:
            return f"{name} {version} has no wheel"
        total += min(fitting)[1]
    return total


def _header(name: str) -> str:
    return (
        f"# {FILES[name]}\n"
        "# Made by `make locks` from pyproject.toml and the plain package index; not edited by hand.\n"
        f"# Install: pip install --no-deps --require-hashes -r locks/{name}.txt\n"
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
