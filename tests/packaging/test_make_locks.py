"""The locks: resolved for every platform from the plain index, up to date, with checksums that are looked at."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "locks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "packaging" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


make_locks = load("make_locks")
WITHOUT_TORCH = {"macos-x86_64"}
PLATFORMS = [key for key in make_locks.PLATFORMS if key not in WITHOUT_TORCH]


def text(name: str) -> str:
    return (LOCKS / f"{name}.txt").read_text("utf-8")


def pip(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The package index answers, or there is no network here; in CI there has to be one."""
    folder = tmp_path_factory.mktemp("index")
    try:
        make_locks.run_uv(make_locks.Lock("one", groups=("sentences",)), folder / "out.txt", "", ())
    except make_locks.LockError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"needs the package index: {error}")


def test_locks_and_sizes_are_what_pyproject_asks_for(index: None, tmp_path: Path) -> None:
    made = make_locks.make(tmp_path, LOCKS)
    assert {path.name for path in LOCKS.iterdir()} == set(made)
    assert [name for name, content in made.items() if content != (LOCKS / name).read_text("utf-8")] == []


def test_each_platform_alone_resolves_to_what_its_lock_installs(index: None, tmp_path: Path) -> None:
    """Not all of them at once, as the lock was made, but as one who is there would ask."""

    def alone(key: str, python: str) -> dict[str, str]:
        out = tmp_path / f"{key}-{python}.txt"
        system = ("--python-platform", make_locks.PLATFORMS[key].uv, "--python-version", python)
        make_locks.run_uv(make_locks.BACKEND, out, text("backend"), (*system, "--no-header"))
        resolved = make_locks.entries(out.read_text("utf-8"))
        return {item.name: next(iter(item.specifier)).version for item in resolved}

    pairs = [(key, python) for key in PLATFORMS for python in ("3.11", "3.13")]
    with ThreadPoolExecutor(len(pairs)) as pool:  # uv waits for the index most of the time
        for (key, python), found in zip(pairs, pool.map(alone, *zip(*pairs, strict=True)), strict=True):
            assert found == make_locks.installed(text("backend"), make_locks.PLATFORMS[key], python), (key, python)


def test_torch_apart_makes_the_same_environment() -> None:
    for key in PLATFORMS:
        for python in make_locks.PYTHONS:
            whole, rest = (make_locks.installed(text(name), make_locks.PLATFORMS[key], python)
                           for name in ("backend", "backend-without-torch"))  # fmt: skip
            assert rest.items() <= whole.items()
            apart = set(whole) - set(rest)
            assert "torch" in apart
            assert all(name.startswith(("torch", "triton", "nvidia-", "cuda-")) for name in apart)
            if not key.startswith("linux"):
                assert apart == {"torch"}


def test_locks_of_one_environment_agree() -> None:
    one = {name: {str(item) for item in make_locks.entries(text(name))} for name in ("backend", "development")}
    assert not set(make_locks.names(text("backend"))) & set(make_locks.names(text("development")))
    installer = {item.name: str(item.specifier) for item in make_locks.entries(text("installer"))}
    assert set(installer) == {"pip", "setuptools"}
    together = {make_locks.Requirement(line).name for lines in one.values() for line in lines}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for wanted in (item for extra in extras.values() for item in extra):
        assert make_locks.canonicalize_name(make_locks.Requirement(wanted).name) in together


@pytest.mark.parametrize("lock", list(make_locks.FILES))
def test_every_entry_is_exact_and_has_checksums_and_no_address(lock: str) -> None:
    lines = text(lock).splitlines()
    assert "://" not in text(lock)
    for number, line in enumerate(lines):
        if line and not line[0].isspace() and not line.startswith("#"):
            assert len(make_locks.Requirement(line.removesuffix("\\")).specifier) == 1
            assert "==" in line
            assert lines[number + 1].startswith("    --hash=sha256:")


def test_sizes_name_the_platforms_that_have_wheels() -> None:
    sizes = json.loads((LOCKS / "sizes.json").read_text("utf-8"))
    assert set(sizes["backend"]) == set(PLATFORMS) == set(sizes["backend-without-torch"])
    assert all(sizes["backend"][key] > sizes["backend-without-torch"][key] > 100e6 for key in PLATFORMS)
    assert {key for key in sizes["blender-42"] if key.startswith("linux")} == {"linux-x86_64"}


@pytest.mark.parametrize(("key", "wheel"), [
    ("linux-x86_64", "manylinux_2_28_x86_64"), ("linux-aarch64", "manylinux_2_28_aarch64"),
    ("windows-x86_64", "win_amd64"), ("macos-arm64", "macosx_14_0_arm64"),
])  # fmt: skip
def test_the_wheel_that_fits_a_platform_best_is_counted(key: str, wheel: str) -> None:
    kinds = ("manylinux_2_28_x86_64", "manylinux_2_28_aarch64", "win_amd64", "macosx_14_0_arm64", "any")
    files = [{"url": f"x/demo-1-{'py3-none' if kind == 'any' else 'cp311-cp311'}-{kind}.whl",
              "size": 2 if kind == wheel else 1} for kind in kinds]  # fmt: skip
    count = make_locks._download
    assert count("demo==1", {("demo", "1"): files}, make_locks.PLATFORMS[key], "3.11") == 2
    assert count("demo==1", {("demo", "1"): files}, make_locks.PLATFORMS[key], "3.12") == 1
    assert "demo 1 has no wheel" in count("demo==1", {("demo", "1"): files[:-1]}, make_locks.PLATFORMS[key], "3.12")
    assert count("demo==1 ; python_version < '3.11'", {}, make_locks.PLATFORMS[key], "3.11") == 0


def test_a_folder_of_wheels_is_enough_and_a_changed_wheel_is_refused(index: None, tmp_path: Path) -> None:
    """As a studio without a network installs it, on two packages of the lock."""
    blocks = text("backend").split("\n    # via")
    chosen = [block[block.index(name) :] for name in ("h11==", "idna==") for block in blocks if f"\n{name}" in block]
    part, wheels = tmp_path / "part.txt", tmp_path / "wheels"
    part.write_text("\n".join(chosen) + "\n", "utf-8")
    exact = ("--no-deps", "--require-hashes", "-r", part)
    assert pip("download", *exact, "-d", wheels).returncode == 0
    offline = ("install", "--no-index", "--no-cache-dir", "--find-links", wheels, *exact)
    done = pip(*offline, "--target", tmp_path / "installed")
    assert done.returncode == 0, done.stderr
    assert {"h11", "idna"} <= {path.name for path in (tmp_path / "installed").iterdir()}
    with next(wheels.glob("h11-*")).open("ab") as wheel:
        wheel.write(b"\0")
    done = pip(*offline, "--target", tmp_path / "again")
    assert done.returncode != 0
    assert "h11" in done.stderr
    assert "HASH" in done.stderr.upper()
