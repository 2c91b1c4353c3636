"""Run by test_extension.py in a process of its own: install a zip, switch it on and off, print what was seen."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bpy

import addon_utils  # isort: skip - there only once bpy is loaded

PACKAGE = "bl_ext.user_default.semantic_gesticulator"


def main(zip_path: str) -> dict[str, object]:
    seen: dict[str, object] = {}
    bpy.ops.extensions.package_install_files(
        filepath=zip_path, repo="user_default", enable_on_install=True, overwrite=True
    )
    seen["enabled"] = PACKAGE in bpy.context.preferences.addons
    seen["operators"] = sorted(dir(bpy.ops.gesticulator))
    seen["panels"] = sorted(name for name in dir(bpy.types) if name.startswith("GESTICULATOR_PT"))
    for _ in range(2):
        addon_utils.disable(PACKAGE, default_set=False)
        seen["left_behind"] = [n for n in dir(bpy.types) if n.lower().startswith("gesticulator")]
        seen["scene_property_left"] = hasattr(bpy.types.Scene, "gesticulator")
        addon_utils.enable(PACKAGE, default_set=False)
    machine = sys.modules[f"{PACKAGE}.sg_blender_addon.bl.backend_settings"]
    seen["root_has_backend"] = (machine.ROOT / "backend" / "__main__.py").is_file()
    seen["user_folder"] = str(machine.user_folder("logs").relative_to(Path(bpy.utils.resource_path("USER"))))
    seen["state"] = machine.backend_state()
    addon_utils._extensions_warnings_get._is_first = True
    seen["warnings"] = addon_utils._extensions_warnings_get()
    addon_utils.disable(PACKAGE, default_set=True)
    return seen


if __name__ == "__main__":
    print("SEEN " + json.dumps(main(sys.argv[-1])))
