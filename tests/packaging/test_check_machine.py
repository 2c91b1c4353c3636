"""What is said before anything is downloaded."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.packaging.test_make_locks import LOCKS, ROOT, load

check_machine = load("check_machine")
SIZES = json.loads((LOCKS / "sizes.json").read_text("utf-8"))
LOCKS_OF_DEMO = ["installer", "uv", "backend", "development", "blender-45"]


def test_readme_lists_the_libraries_that_are_looked_for() -> None:
    line = re.search(r"^System libraries \(Debian names\): `(.*)`", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert line is not None
    assert set(line[1].split()) == set(check_machine.LIBRARIES.values())


def test_platforms_are_named_as_in_the_sizes() -> None:
    named = {check_machine.platform_key(*pair) for pair in [
        ("Linux", "x86_64"), ("Linux", "aarch64"), ("Windows", "AMD64"), ("Darwin", "arm64")]}  # fmt: skip
    assert named == set(SIZES["backend"])
    assert check_machine.platform_key() in SIZES["installer"]


def test_missing_libraries_come_with_the_command() -> None:
    check_machine.check_libraries(lambda _name: True)
    with pytest.raises(check_machine.MissingError, match=r"type: (sudo )?apt-get install libxi6 libegl1$"):
        check_machine.check_libraries(lambda name: name not in {"libXi.so.6", "libEGL.so.1"}, debian=True)
    with pytest.raises(check_machine.MissingError, match=r"libXi.so.6 \(Debian: libxi6\)"):
        check_machine.check_libraries(lambda name: name != "libXi.so.6", debian=False)
    assert not check_machine.loads("libthere-is-none.so.0")


def test_gigabytes_are_those_of_the_locks() -> None:
    size = sum(SIZES[lock]["linux-x86_64"] for lock in LOCKS_OF_DEMO)
    said = check_machine.announcement(LOCKS_OF_DEMO, "linux-x86_64", SIZES)
    assert f"{size / 1e9:.1f} GB are downloaded" in said
    assert "with CUDA" in said
    assert "TORCH=cpu" in said
    small = check_machine.announcement(["backend-without-torch"], "linux-x86_64", SIZES)
    assert "CUDA" not in small
    assert f"{(SIZES['backend-without-torch']['linux-x86_64'] + check_machine.CPU_TORCH) / 1e9:.1f} GB" in small
    assert "CUDA" not in check_machine.announcement(["backend"], "windows-x86_64", SIZES)


def test_readme_states_the_gigabytes_of_the_locks() -> None:
    readme = re.sub(r"\s+", " ", (ROOT / "README.md").read_text("utf-8"))

    def size(key: str, *locks: str) -> str:
        return f"{check_machine.download(locks, key, SIZES) / 1e9:.1f}"

    linux, macos = (size(key, *LOCKS_OF_DEMO) for key in ("linux-x86_64", "macos-arm64"))
    assert f"downloads {linux} GB on Linux" in readme
    assert f"{macos} GB on macOS" in readme
    others = [size(key, "blender-42", "blender-50") for key in ("linux-x86_64", "macos-arm64")]
    assert f"adds {others[0]} and {others[1]} GB of other Blenders" in readme
    small = [lock.replace("backend", "backend-without-torch") for lock in LOCKS_OF_DEMO]
    small_size = check_machine.download(small, "linux-x86_64", SIZES) + check_machine.CPU_TORCH
    assert f"{small_size / 1e9:.1f} GB on Linux; the choice" in readme


def test_what_does_not_exist_for_a_platform_is_said() -> None:
    with pytest.raises(check_machine.MissingError, match="Blender as a Python module does not exist for linux-aarch64"):
        check_machine.download(LOCKS_OF_DEMO, "linux-aarch64", SIZES)
    with pytest.raises(check_machine.MissingError, match=r"PyTorch .* does not exist for macos-x86_64"):
        check_machine.download(LOCKS_OF_DEMO, "macos-x86_64", SIZES)


def test_a_full_disk_is_said_before_it_is_filled(tmp_path: Path) -> None:
    check_machine.check_space(0, tmp_path)
    with pytest.raises(check_machine.MissingError, match=r"GB are needed: make room"):
        check_machine.check_space(1 << 60, tmp_path)


def test_nothing_is_announced_when_all_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ready").touch()
    check_machine.main([f"backend={tmp_path}", f"installer={tmp_path}"])
    assert capsys.readouterr().out == ""
    check_machine.main([f"installer={tmp_path / 'none'}"])
    assert "GB are downloaded" in capsys.readouterr().out


@pytest.mark.parametrize(("fake", "said"), [
    ("", r"There is no .*python here; type: sudo apt-get install python3.11 python3.11-venv"),
    ('case "$1" in --version) echo Python 3.8.2;; *) exit 1;; esac', r"is Python 3.8.2, and Blender's modules need"),
    ('case "$2" in *version_info*) ;; *) exit 1;; esac', r"cannot make environments; type: sudo apt-get install"),
])  # fmt: skip
def test_make_names_a_python_that_will_not_do(tmp_path: Path, fake: str, said: str) -> None:
    python = tmp_path / "python"
    if fake:
        python.write_text(f"#!/bin/sh\n{fake}\n")
        python.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--silent", "check", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert re.search(said, done.stderr)
    assert len(done.stderr.splitlines()) == 2  # the sentence, and make's own
