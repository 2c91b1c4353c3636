"""The built zip in a Blender of its own: installs, enables, breaks no rule, leaves nothing behind, lets Blender end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("bpy")

from tests.packaging.test_zip import load_builder  # only with bpy

SCRIPT = Path(__file__).with_name("install_and_enable.py")
DESIGNED = {
    "generate", "cancel", "setup_backend", "detect_rig", "edit_mapping", "swap_gesture", "swap_variant", "add_gesture",
    "remove_gesture", "snap_to_word", "reblend", "regenerate_range", "export",
}  # fmt: skip


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What a fresh Blender saw of the zip."""
    made = load_builder().build(tmp_path_factory.mktemp("zip"))
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path_factory.mktemp("user"))}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(made)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("SEEN "))[5:])


def test_it_is_enabled_with_all_operators_and_a_tab_in_three_editors(seen):
    assert seen["enabled"]
    assert set(seen["operators"]) >= DESIGNED
    for editor in ("view", "sequencer", "nla"):
        assert f"GESTICULATOR_PT_main_{editor}" in seen["panels"]


def test_it_breaks_none_of_blenders_rules_for_extensions(seen):
    assert seen["warnings"] == {}


def test_disabling_leaves_nothing_behind(seen):
    assert seen["left_behind"] == []
    assert not seen["scene_property_left"]


def test_it_finds_its_backend_and_keeps_its_files_where_updates_do_not_reach(seen):
    assert seen["root_has_backend"]
    assert ".user" in seen["user_folder"]
    assert seen["state"] == "missing"
