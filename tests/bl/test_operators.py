"""Rig, backend and error operators; settings that travel; what a person copies into a bug report."""

from __future__ import annotations

import getpass
import json
import sys
import time
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy")

from tests.bl import rig_scenes, scenes  # noqa: E402 - only with bpy
from tests.bl.scenes import module  # noqa: E402
from tests.client import wheelhouse  # noqa: E402

DOCTOR = """
import json, torch
print(json.dumps({"ok": True, "checks": [{"name": "alignment of scripts", "ok": False, "required": False}]}))
"""


@pytest.fixture
def character(addon):
    scene = rig_scenes.fresh()
    armature = scenes.add_character()
    scene.gesticulator.character = armature
    return armature


def test_detect_tells_what_it_found_and_forgets_corrections(character, addon):
    character[module(addon, "mapping").KEY] = "{}"
    assert bpy.ops.gesticulator.detect_rig() == {"FINISHED"}
    assert not module(addon, "mapping").saved(character)


def test_a_corrected_bone_is_kept_with_the_armature_and_used(character, addon):
    mapping = module(addon, "mapping")
    found = mapping.of(character)
    bpy.ops.gesticulator.edit_mapping(joint="LeftArm", bone=found.joints["LeftShoulder"])
    kept = mapping.of(character)
    assert kept.preset == "custom"
    assert kept.joints["LeftArm"] == found.joints["LeftShoulder"]
    assert "LeftShoulder" not in kept.joints
    assert json.loads(character[mapping.KEY])["preset"] == "custom"


@pytest.mark.parametrize(
    ("joint", "bone", "match"),
    [
        ("LeftArm", "nobody", "no bone called nobody"),
        ("Tail", "mixamorig:Hips", "no joint called Tail"),
        ("", "", "No joint was given"),
    ],
)
def test_corrections_that_cannot_be(character, addon, joint, bone, match):
    with pytest.raises(RuntimeError, match=match):
        bpy.ops.gesticulator.edit_mapping(joint=joint, bone=bone)
    assert not module(addon, "mapping").saved(character)


def test_every_joint_has_its_page_in_the_dialog(addon):
    pages = module(addon, "operators.rig").part_of
    assert (pages("Hips"), pages("LeftHand"), pages("LeftHandThumb1"), pages("RightInHandRing")) == (
        "BODY",
        "BODY",
        "LEFT",
        "RIGHT",
    )


def test_the_demo_character_is_ready_to_speak(addon):
    scene = rig_scenes.fresh()
    assert bpy.ops.gesticulator.add_character() == {"FINISHED"}
    assert module(addon, "rigs").can_be_baked(scene.gesticulator.character) is None


def test_settings_are_saved_with_the_file(character, addon, tmp_path):
    settings = bpy.context.scene.gesticulator
    settings.density, settings.seed, settings.language, settings.voice = 0.8, 7, "de", "line 1"
    settings.manner, settings.manner_width = "custom", 1.25
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    again = bpy.context.scene.gesticulator
    assert (again.seed, again.language, again.voice, again.character.name) == (7, "de", "line 1", "Speaker")
    assert again.density == pytest.approx(0.8)
    assert (again.manner, again.manner_width) == ("custom", 1.25)


def test_words_and_locks_survive_saving_and_the_gestures_can_still_be_edited(shot, small, tmp_path):
    bpy.ops.gesticulator.generate()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    scene = bpy.context.scene
    assert [word.name for word in scene.gesticulator.words][-1] == "good."
    scene.gesticulator.word_index = 3
    assert bpy.ops.gesticulator.swap_gesture(gesture_id="0002") == {"FINISHED"}


def test_another_file_opened_while_a_job_runs_is_left_alone(shot, small, monkeypatch):
    live = module(small, "job_runner")
    monkeypatch.setattr(module(small, "operators.generate"), "waits", lambda wait: wait)
    bpy.ops.gesticulator.generate()
    scenes.empty()
    scenes.add_character()
    before = scenes.fingerprint()
    while live.tick():
        time.sleep(0.01)
    assert "was removed while" in bpy.context.window_manager.gesticulator_job.error
    assert scenes.fingerprint() == before


def test_one_undo_takes_all_of_it_back(shot):
    if not bpy.context.preferences.edit.use_global_undo:
        pytest.skip("this Blender runs without undo")
    bpy.ops.ed.undo_push(message="before")
    before = scenes.fingerprint()
    bpy.ops.gesticulator.generate()
    assert scenes.fingerprint() != before
    bpy.ops.ed.undo()
    assert scenes.fingerprint() == before
    bpy.ops.ed.redo()
    armature = bpy.data.objects["Speaker"]
    assert "Gestures: rhythm" in armature.animation_data.nla_tracks


@pytest.fixture
def to_set_up(addon, tmp_path, monkeypatch):
    """The add-on without a backend; what it needs is one package, in a folder of wheels, named in the preferences."""
    machine = module(addon, "backend_settings")
    folder, index = tmp_path / "wheels", wheelhouse.Index()
    folder.mkdir()
    root = wheelhouse.write_root(tmp_path / "root", [index.add("torch")], "", DOCTOR)
    for name, content in index.wheels.items():
        (folder / name).write_bytes(content)
    index.close()
    monkeypatch.setattr(machine, "ROOT", root)
    monkeypatch.setattr(machine, "backend_folder", lambda: tmp_path / "user")
    settings = machine.preferences()
    settings.python_path, settings.wheels_folder = "", str(folder)
    yield machine
    settings.wheels_folder = settings.base_python = ""


def test_set_up_makes_an_environment_and_says_so(addon, to_set_up, tmp_path):
    machine = to_set_up
    bpy.context.preferences.system.use_online_access = False  # a folder of wheels needs none
    assert machine.backend_state() == "missing"
    with pytest.raises(RuntimeError, match="Set up the backend first"):
        scenes.empty()
        scenes.add_voice(bpy.context.scene, scenes.write_tone(tmp_path / "voice.wav"))
        bpy.context.scene.gesticulator.character = scenes.add_character()
        bpy.ops.gesticulator.generate()
    assert bpy.ops.gesticulator.setup_backend() == {"FINISHED"}
    message = bpy.context.window_manager.gesticulator_job.message
    assert message == "The backend is set up and works, without alignment of scripts"
    assert machine.backend_state() == "ready"
    assert machine.own_python().is_file()
    assert bpy.ops.gesticulator.remove_backend() == {"FINISHED"}
    assert machine.backend_state() == "missing"
    assert not bpy.ops.gesticulator.remove_backend.poll()


def test_character_and_voice_are_chosen_while_the_set_up_runs(addon, to_set_up, monkeypatch, tmp_path):
    runner, setup = module(addon, "job_runner"), module(addon, "operators.setup")
    scenes.empty()
    monkeypatch.setattr(setup, "waits", lambda wait: wait)
    monkeypatch.setattr(setup, "set_up", lambda plan, control: control.sleep(60))
    bpy.ops.gesticulator.setup_backend()
    try:
        assert bpy.ops.gesticulator.add_character() == {"FINISHED"}
        assert bpy.ops.gesticulator.edit_mapping.poll()
        assert bpy.ops.gesticulator.add_voice.poll()
        assert not bpy.ops.gesticulator.generate.poll()
        assert not bpy.ops.gesticulator.setup_backend.poll()
    finally:
        runner.shut_down()
    assert not runner.busy()


def test_set_up_needs_online_access(addon):
    bpy.context.preferences.system.use_online_access = False
    with pytest.raises(RuntimeError, match="online access is off"):
        bpy.ops.gesticulator.setup_backend()


def test_offline_the_backend_may_download_nothing(addon, tmp_path):
    machine = module(addon, "backend_settings")
    machine.preferences().cache_folder = str(tmp_path)
    assert machine.serve_environment() == {"HF_HOME": str(tmp_path)}
    bpy.context.preferences.system.use_online_access = False
    assert machine.serve_environment()["HF_HUB_OFFLINE"] == "1"
    machine.preferences().cache_folder = ""


def test_what_the_preferences_say_becomes_the_plan(addon, tmp_path):
    machine = module(addon, "backend_settings")
    settings = machine.preferences()
    plan = machine.environment_plan()
    assert (plan.own_python, plan.chosen_python, plan.wheels) == (Path(sys.executable), None, None)
    settings.base_python, settings.wheels_folder = "/chosen/python", str(tmp_path)
    settings.small_torch, settings.torch_source = True, " https://torch.example/cpu "
    plan = machine.environment_plan()
    assert (plan.chosen_python, plan.wheels) == (Path("/chosen/python"), tmp_path)
    assert (plan.small_torch, plan.torch_source) == (True, "https://torch.example/cpu")
    settings.base_python = settings.wheels_folder = settings.torch_source = ""
    settings.small_torch = False


def test_test_backend_answers(small):
    bpy.ops.gesticulator.check_backend()
    assert "version 0.0-small, 2 gestures" in bpy.context.window_manager.gesticulator_job.message


@pytest.mark.parametrize("retriever", ["openai"])
def test_a_language_model_needs_an_address_and_online_access(shot, small, retriever):
    settings = module(small, "backend_settings").preferences()
    bpy.context.scene.gesticulator.retriever = retriever
    with pytest.raises(RuntimeError, match="No language model's address"):
        bpy.ops.gesticulator.generate()
    settings.llm_url = "https://llm.example/v1"
    bpy.context.preferences.system.use_online_access = False
    with pytest.raises(RuntimeError, match="language model is on another machine"):
        bpy.ops.gesticulator.generate()
    settings.llm_url = "http://127.0.0.1:9/v1"
    assert bpy.ops.gesticulator.generate() == {"FINISHED"}
    settings.llm_url = ""


def test_a_scripts_name_tells_its_kind(shot, small):
    reader = module(small, "request")
    text = bpy.data.texts.new("line")
    text.write("Hello")
    bpy.context.scene.gesticulator.script = text
    for name, kind in (("line.srt", "srt"), ("line.VTT", "vtt"), ("line", "txt"), ("a.txt", "txt")):
        text.name = name
        wanted = reader.build_request(bpy.context, reader.read_target(bpy.context)).settings
        assert (wanted.script.strip(), wanted.script_kind) == ("Hello", kind)


def test_details_keep_the_users_name_and_folders_private(addon):
    reports = module(addon, "reports")
    home = str(Path.home())
    text = reports.masked(f"{home}/films/shot.blend /home/jane/x C:\\Users\\Jane\\y /mnt/{getpass.getuser()}/z")
    assert home not in text
    assert "jane" not in text.lower()
    assert f"/{getpass.getuser()}/" not in text


def test_long_lines_are_wrapped_and_long_paths_broken(addon):
    wrapped = module(addon, "reports").wrapped("one two three " + "x" * 50, 20)
    assert wrapped[0] == "one two three"
    assert max(map(len, wrapped)) <= 20
    assert "".join(wrapped[1:]) == "x" * 50


def test_estimates_read_as_people_say_them(addon):
    text = module(addon, "job_runner").eta_text
    assert [text(s) for s in (None, 0.2, 12.4, 300.0)] == ["", "about 1 s left", "about 12 s left", "about 5 min left"]
