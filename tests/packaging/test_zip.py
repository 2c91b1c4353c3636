"""What the extension's zip holds, and what it must not."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load_builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_zip", ROOT / "packaging" / "build_zip.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return load_builder().build(tmp_path_factory.mktemp("zip"))


def names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_everything_that_blender_and_the_backend_need_is_there(built: Path) -> None:
    found = set(names(built))
    assert set(load_builder().NEEDED) <= found
    here = {p.relative_to(ROOT).as_posix() for folder in ("sg_blender_addon", "backend", "SG_dataset")
            for p in (ROOT / folder).rglob("*.py")}  # fmt: skip
    assert here <= found


def test_every_text_that_a_message_names_is_there(built: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        texts = [name for name in archive.namelist() if name.endswith((".py", ".md"))]
        inside = {name: archive.read(name).decode("utf-8") for name in texts}
    named = {f"docs/{name}" for text in inside.values() for name in re.findall(r"docs/([\w-]+\.md)", text)}
    linked = {f"docs/{name}" for path, text in inside.items() if path.startswith("docs/")
              for name in re.findall(r"\]\(([\w-]+\.md)", text)}  # fmt: skip
    assert {"docs/own-library.md", "docs/protocol.md"} <= named
    assert named | linked <= set(inside)


def test_nothing_else_is_there(built: Path) -> None:
    tops = {name.split("/")[0] for name in names(built)}
    assert tops == {
        "blender_manifest.toml",
        "__init__.py",
        "LICENSE",
        "NOTICE",
        "pyproject.toml",
        "locks",
        "sg_blender_addon",
        "backend",
        "SG_dataset",
        "docs",
    }
    assert not [name for name in names(built) if name.startswith("docs/") and not name.endswith(".md")]
    assert not [name for name in names(built) if "__pycache__" in name or "/." in name or name.endswith(".pyc")]


def test_it_is_small_enough_to_download_at_once(built: Path) -> None:
    assert built.stat().st_size < 120e6


def test_versions_agree() -> None:
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert manifest["version"] == project["version"]
    assert manifest["license"] == ["SPDX:" + project["license"]]
    assert manifest["blender_version_min"] == "4.2.0"


def test_a_zip_that_would_not_work_is_not_made(tmp_path: Path) -> None:
    builder = load_builder()
    root = tmp_path / "root"
    root.mkdir()
    for name in ("blender_manifest.toml", "__init__.py"):
        shutil.copy(ROOT / name, root / name)
    with pytest.raises(builder.BuildError, match="The zip would lack"):
        builder.build(tmp_path / "out", root)
    assert not list((tmp_path / "out").iterdir())


def test_an_invalid_manifest_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    text = (ROOT / "blender_manifest.toml").read_text("utf-8").replace('tagline = "Full', 'tagline = "Ends in a dot.')
    (root / "blender_manifest.toml").write_text(text.replace('voice"\n', 'voice."\n'), "utf-8")
    (root / "__init__.py").touch()
    builder = load_builder()
    with pytest.raises(builder.BuildError, match="validate failed"):
        builder.build(tmp_path / "out", root)


def test_the_root_module_imports_nothing() -> None:
    before = set(sys.modules)
    spec = importlib.util.spec_from_file_location("root_package", ROOT / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert not {name for name in set(sys.modules) - before if "bpy" in name or "sg_blender_addon" in name}
