"""Build and check the Blender extension without a Blender binary:  python packaging/build_zip.py [-o FOLDER]

Uses the extension tool inside a `bpy` wheel: the one of the Python that runs this, or that of a `.venv-bpy*` in the
project. The zip holds the add-on, the backend's source with its weights, and the gesture library.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOL = "bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
TAGS = "modules/_bpy_internal/extensions/tags.py"
NEEDED = (
    "blender_manifest.toml",
    "__init__.py",
    "pyproject.toml",
    "locks/backend.txt",
    "locks/backend-without-torch.txt",
    "locks/installer.txt",
    "locks/sizes.json",
    "locks/uv.txt",
    "LICENSE",
    "NOTICE",
    "sg_blender_addon/registration.py",
    "sg_blender_addon/core/canonical_skeleton.json",
    "backend/__main__.py",
    "backend/weights/starter/weights.json",
    "backend/gestures/plain_speech.txt",
    "backend/gestures/triggers.txt",
    "SG_dataset/__init__.py",
    "SG_dataset/built/library.zip",
    "SG_dataset/importing/seg_labels.json",
)
"""Without one of these the extension would install and then not work."""


class BuildError(Exception):
    """The zip cannot be made; the message says why."""


def find_tool() -> Path:
    """blender_ext.py of a bpy wheel; BuildError says how to get one."""
    places = [Path(sys.prefix), *sorted(ROOT.glob(".venv-bpy*"), reverse=True)]
    for place in places:
        for site in (*place.glob("lib/python*/site-packages"), place / "Lib" / "site-packages"):
            found = next(site.glob(TOOL), None)
            if found:
                return found
    raise BuildError("No bpy wheel found. Make one with: make .venv-bpy45/ready")


def blender_ext(tool: Path, *arguments: str) -> None:
    """Run the tool; BuildError with its words when it refuses."""
    done = subprocess.run([sys.executable, str(tool), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{arguments[0]} failed:\n{done.stdout}{done.stderr}")


def build(folder: Path, root: Path = ROOT) -> Path:
    """Build and validate the zip; returns its path. An older zip of the same version is replaced only on success."""
    tool = find_tool()
    tags = tool.parents[3] / TAGS
    manifest = tomllib.loads((root / "blender_manifest.toml").read_text("utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"{manifest['id']}-{manifest['version']}.zip"
    fresh = final.with_suffix(".new.zip")
    checks = ("--valid-tags", str(tags)) if tags.is_file() else ()
    blender_ext(tool, "validate", *checks, str(root))
    blender_ext(tool, "build", *checks, "--source-dir", str(root), "--output-filepath", str(fresh))
    blender_ext(tool, "validate", *checks, str(fresh))
    missing = set(NEEDED) - set(contents(fresh))
    if missing:
        fresh.unlink()
        raise BuildError(f"The zip would lack {', '.join(sorted(missing))}. Build the library and the weights first.")
    fresh.replace(final)
    return final


def contents(path: Path) -> list[str]:
    """Names of the files in a zip."""
    with zipfile.ZipFile(path) as archive:
        return [name for name in archive.namelist() if not name.endswith("/")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build", help="folder (default: build)")
    arguments = parser.parse_args()
    try:
        made = build(arguments.output)
    except BuildError as error:
        raise SystemExit(str(error)) from error
    size = made.stat().st_size / 1e6
    print(f"{made}  {size:.1f} MB, {len(contents(made))} files")
    print("Install it in Blender: Edit > Preferences > Get Extensions > Install from Disk")


if __name__ == "__main__":
    main()
