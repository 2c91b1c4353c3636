"""Is all here that make cannot bring?  python packaging/check_machine.py LOCK=FOLDER ...

Asked before anything is downloaded. Each argument is a lock and the folder it will be installed into. Says what is
about to be downloaded into folders that are not ready yet, or exits with one sentence: what is missing, what to type.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = {
    "libX11.so.6": "libx11-6",
    "libXi.so.6": "libxi6",
    "libXfixes.so.3": "libxfixes3",
    "libXrender.so.1": "libxrender1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libgomp.so.1": "libgomp1",
}
"""What Blender as a module loads on Linux and does not bring, and Debian's packages of it; README.md lists them too."""
UNPACKED = 2.2
"""Bytes on the disk for each byte downloaded: what is installed, and pip's cache of what it was installed from."""
CPU_TORCH = 191_794_682
"""Bytes of torch 2.13.0's CPU build for Linux on x86-64; the index that sizes.json was made from does not have it."""


class MissingError(Exception):
    """Something that this machine lacks; the message is one sentence with what to type."""


def platform_key(system: str = "", machine: str = "") -> str:
    """As sizes.json names platforms: "linux-x86_64"."""
    names = {"Darwin": "macos"}
    system, machine = system or platform.system(), machine or platform.machine()
    return f"{names.get(system, system.lower())}-{'x86_64' if machine == 'AMD64' else machine}"


def loads(library: str) -> bool:
    """Whether the system's loader finds it."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def check_libraries(found: Callable[[str], bool] = loads, debian: bool | None = None) -> None:
    """MissingError with the command that installs the libraries that Blender needs."""
    lacking = [name for name in LIBRARIES if not found(name)]
    if not lacking:
        return
    packages = " ".join(LIBRARIES[name] for name in lacking)
    if debian if debian is not None else shutil.which("apt-get") is not None:
        sudo = "" if os.geteuid() == 0 else "sudo "
        raise MissingError(f"Blender needs system libraries that are not here; type: {sudo}apt-get install {packages}")
    raise MissingError(f"Blender needs system libraries that are not here: {', '.join(lacking)} (Debian: {packages}).")


def download(locks: Sequence[str], key: str, sizes: dict[str, dict[str, int]]) -> int:
    """Bytes of all of them; MissingError where one of them cannot be had for this platform."""
    for lock in locks:
        if key not in sizes[lock]:
            what = "Blender as a Python module" if lock.startswith("blender") else "PyTorch in the version needed"
            raise MissingError(f"{what} does not exist for {key}: make this on another machine.")
    return sum(sizes[lock][key] for lock in locks)


def announcement(locks: Sequence[str], key: str, sizes: dict[str, dict[str, int]]) -> str:
    """What is about to happen, with its gigabytes."""
    size = download(locks, key, sizes)
    torch = ""
    if "backend-without-torch" in locks:
        size += CPU_TORCH
    elif "backend" in locks and key.startswith("linux"):
        cuda = sizes["backend"][key] - sizes["backend-without-torch"][key]
        torch = f" {cuda / 1e9:.1f} GB of it are PyTorch with CUDA: without a GPU of NVIDIA's stop this and add "
        torch += f"TORCH=cpu, which takes {CPU_TORCH / 1e9:.1f} GB."
    minutes = round(size * 8 / 1e8 / 60)
    return f"The first time {size / 1e9:.1f} GB are downloaded, {minutes} min at 100 Mbit/s.{torch}"


def check_space(needed: int, folder: Path) -> None:
    """MissingError where the disk would fill up."""
    free = shutil.disk_usage(folder).free
    if free < needed * UNPACKED:
        raise MissingError(
            f"{free / 1e9:.1f} GB are free on the disk of {folder}, {needed * UNPACKED / 1e9:.1f} GB are needed: "
            "make room, or move this folder to another disk."
        )


def main(arguments: Sequence[str]) -> None:
    wanted = [argument.partition("=")[::2] for argument in arguments]
    locks = [lock for lock, folder in wanted if not (ROOT / folder / "ready").exists()]
    if platform.system() == "Linux" and any(lock.startswith("blender") for lock, _ in wanted):
        check_libraries()
    if locks:
        sizes = json.loads((ROOT / "locks" / "sizes.json").read_text("utf-8"))
        key = platform_key()
        check_space(download(locks, key, sizes), ROOT)
        print(announcement(locks, key, sizes), flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except MissingError as missing:
        sys.exit(str(missing))
