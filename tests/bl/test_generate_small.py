"""The whole way through the add-on, with a small server in the backend's place: fast, and able to fail on request."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy")

from sg_blender_addon.core.manner import NAMED, PRESETS, Manner, limits  # noqa: E402
from tests.bl import scenes  # noqa: E402 - only with bpy
from tests.bl.scenes import module  # noqa: E402


def script(text: str) -> None:
    """Give the scene a script; its words steer the small server."""
    block = bpy.data.texts.new("Script")
    block.write(text)
    bpy.context.scene.gesticulator.script = block


def test_generate_puts_strips_words_range_and_sync_into_the_scene(shot):
    scene = bpy.context.scene
    assert bpy.ops.gesticulator.generate() == {"FINISHED"}
    tracks = {track.name: [s.name for s in track.strips] for track in shot.animation_data.nla_tracks}
    assert tracks["Gestures: semantic"] == ["THUMB UP · good"]
    assert len(tracks["Gestures: rhythm"]) == 1
    rhythm = shot.animation_data.nla_tracks["Gestures: rhythm"].strips[0]
    assert (rhythm.frame_start, rhythm.frame_end) == (11, 11 + 72)
    assert [word.name for word in scene.gesticulator.words] == ["Hello,", "this", "is", "good."]
    assert (scene.frame_start, scene.frame_end, scene.sync_mode) == (11, 83, "AUDIO_SYNC")
    assert "1 gesture on 4 words" in bpy.context.window_manager.gesticulator_job.message


def test_how_gestures_are_blended_is_asked_of_the_backend(shot, small):
    request = module(small, "request")
    target = request.read_target(bpy.context)
    for blend in ("auto", "motion", "codes"):
        bpy.context.scene.gesticulator.blend = blend
        assert request.build_request(bpy.context, target).settings.blend == blend


def asked(small):
    request = module(small, "request")
    return request.build_request(bpy.context, request.read_target(bpy.context)).settings.manner


def test_a_manner_with_a_name_is_asked_of_the_backend(shot, small):
    settings = bpy.context.scene.gesticulator
    items = [item.identifier for item in settings.bl_rna.properties["manner"].enum_items]
    assert items == [*NAMED, "custom"]
    assert asked(small).to_json() == Manner().to_json()
    for name, manner in NAMED.items():
        settings.manner = name
        assert asked(small).to_json() == manner.to_json()


def test_ones_own_manner_begins_as_the_one_chosen_before(shot, small):
    settings = bpy.context.scene.gesticulator
    settings.manner = "big stage"
    settings.manner = "custom"
    assert asked(small).to_json() == PRESETS["big stage"].to_json()
    settings.manner_hand = -0.4
    assert asked(small).to_json() == replace(PRESETS["big stage"], hand=-0.4).to_json()


def test_sliders_have_the_limits_of_a_manner_and_reach_them(shot, small):
    settings = bpy.context.scene.gesticulator
    settings.manner = "custom"
    for name in Manner().to_json():
        slider = settings.bl_rna.properties[f"manner_{name}"]
        low, high = limits(name)
        assert (slider.hard_min, slider.hard_max) == pytest.approx((low, high)) and slider.description
        for beyond, limit in ((low - 5, low), (high + 5, high)):
            setattr(settings, f"manner_{name}", beyond)
            assert asked(small).to_json()[name] == limit


def test_the_frame_range_stays_when_asked(shot):
    scene = bpy.context.scene
    scene.gesticulator.set_range = False
    scene.frame_start, scene.frame_end = 1, 50
    bpy.ops.gesticulator.generate()
    assert (scene.frame_start, scene.frame_end) == (1, 50)


def test_generating_again_replaces_ours_and_keeps_what_is_locked(shot, small):
    bpy.ops.gesticulator.generate()
    first = {action.name for action in bpy.data.actions}
    bpy.ops.gesticulator.generate()
    assert len(bpy.data.actions) == len(first)
    strip = shot.animation_data.nla_tracks["Gestures: semantic"].strips[0]
    strip.mute = True
    bpy.ops.gesticulator.generate()
    assert [s.mute for s in shot.animation_data.nla_tracks["Gestures: semantic"].strips] == [True]
    assert "1 of your own kept" in bpy.context.window_manager.gesticulator_job.message


def test_in_a_window_the_timer_does_the_same(shot, small, monkeypatch):
    live, base = module(small, "job_runner"), module(small, "operators.base")
    monkeypatch.setattr(base, "waits", lambda wait: wait)
    monkeypatch.setattr(module(small, "operators.generate"), "waits", lambda wait: wait)
    before = scenes.fingerprint()
    assert bpy.ops.gesticulator.generate() == {"FINISHED"}
    job = bpy.context.window_manager.gesticulator_job
    assert job.running
    assert bpy.app.timers.is_registered(live._pump)
    stages = set()
    while live.tick():
        stages.add(job.stage)
        assert job.stage == "Building strips" or scenes.fingerprint() == before  # test_steps looks closer
        time.sleep(0.01)
    assert "Generating" in stages
    assert not job.running
    assert "THUMB UP · good" in [s.name for t in shot.animation_data.nla_tracks for s in t.strips]


def test_cancel_leaves_the_scene_alone(shot, small, monkeypatch):
    live = module(small, "job_runner")
    monkeypatch.setattr(module(small, "operators.generate"), "waits", lambda wait: wait)
    script("slow")
    before = scenes.fingerprint()
    bpy.ops.gesticulator.generate()
    job = bpy.context.window_manager.gesticulator_job
    while live.tick() and job.stage != "Generating":
        time.sleep(0.01)
    assert not bpy.ops.gesticulator.generate.poll()
    bpy.ops.gesticulator.cancel()
    while live.tick():
        time.sleep(0.01)
    assert job.message == "Cancelled"
    assert not job.error
    assert scenes.fingerprint() == before
    assert bpy.ops.gesticulator.generate.poll()


def failing(match: str | None, code: str) -> None:
    """Generate fails with one sentence in the report and in the box, and the scene is as before."""
    before = scenes.fingerprint()
    with pytest.raises(RuntimeError, match=match) as caught:
        bpy.ops.gesticulator.generate()
    assert "Traceback" not in str(caught.value)
    assert scenes.fingerprint() == before
    job = bpy.context.window_manager.gesticulator_job
    assert not job.running
    assert job.code == code
    assert str(Path.home()) not in job.details


def test_a_backend_that_fails(shot):
    script("fail")
    failing("The voice is silent", "too_quiet")


def test_a_backend_that_keeps_crashing(shot):
    script("crash")
    failing("stopped twice", "backend_crashed")


@pytest.mark.parametrize(("words", "code"), [("garbage", "bad_motion_data"), ("nonsense", "not_a_backend")])
def test_a_backend_that_answers_nonsense(shot, words, code):
    script(words)
    failing(None, code)


def test_a_missing_interpreter(shot, small):
    module(small, "backend_settings").preferences().python_path = "/nowhere/python"
    failing("Python was not found", "backend_missing")


def test_a_wrong_token(shot, small):
    live, machine = module(small, "job_runner"), module(small, "backend_settings")
    url = live.connection.open(machine.backend_choice()).url
    settings = machine.preferences()
    settings.backend_mode, settings.url, settings.token = "URL", url, "wrong"
    failing("refused the token", "unauthorized")


def test_a_remote_backend_needs_online_access(shot, small):
    settings = module(small, "backend_settings").preferences()
    settings.backend_mode, settings.url, settings.token = "URL", "http://gpu.example:8765", "t"
    bpy.context.preferences.system.use_online_access = False
    failing("online access is off", "offline")


def test_a_missing_sound_file(shot):
    scene = bpy.context.scene
    editor = scene.sequence_editor
    strip = (editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)["voice"]
    strip.sound.filepath = "//gone.wav"
    failing("missing: gone.wav", "audio_not_found")


def test_a_strip_that_is_gone(shot):
    bpy.context.scene.gesticulator.voice = "other"
    failing("'other' is gone", "no_strip")


def test_an_armature_without_a_body(shot):
    data = bpy.data.armatures.new("Snake")
    snake = bpy.data.objects.new("Snake", data)
    bpy.context.scene.collection.objects.link(snake)
    bpy.context.view_layer.objects.active = snake
    bpy.ops.object.mode_set(mode="EDIT")
    for index in range(5):
        bone = data.edit_bones.new(f"seg{index}")
        bone.head, bone.tail = (0, index, 0), (0, index + 1, 0)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.context.scene.gesticulator.character = snake
    failing("Gestures cannot be put on Snake", "no_mappable_bones")


def test_a_linked_armature(shot, tmp_path):
    library = tmp_path / "library.blend"
    bpy.data.libraries.write(str(library), {shot})
    bpy.context.scene.gesticulator.character = None
    bpy.data.objects.remove(shot)
    with bpy.data.libraries.load(str(library), link=True) as (source, target):
        target.objects = list(source.objects)
    bpy.context.scene.gesticulator.character = target.objects[0]
    failing("linked from library.blend", "linked_armature")


@pytest.mark.parametrize("missing", ["character", "voice"])
def test_a_grey_button_says_why(shot, missing):
    scene = bpy.context.scene
    if missing == "character":
        scene.gesticulator.character = None
        reason = "Choose the character"
    else:
        scenes.remove_voice(scene)
        reason = "no sound strip"
    assert not bpy.ops.gesticulator.generate.poll()
    with pytest.raises(RuntimeError, match=reason):
        bpy.ops.gesticulator.generate()


def test_the_character_may_be_renamed_but_not_deleted_while_a_job_runs(shot, small, monkeypatch):
    live = module(small, "job_runner")
    monkeypatch.setattr(module(small, "operators.generate"), "waits", lambda wait: wait)
    bpy.ops.gesticulator.generate()
    shot.name = "Renamed"
    while live.tick():
        time.sleep(0.01)
    assert shot.animation_data.nla_tracks
    bpy.ops.gesticulator.generate()
    bpy.data.objects.remove(shot)
    while live.tick():
        time.sleep(0.01)
    assert "was removed while" in bpy.context.window_manager.gesticulator_job.error


def test_the_scene_may_be_renamed_while_a_job_runs(shot, small, monkeypatch):
    live = module(small, "job_runner")
    monkeypatch.setattr(module(small, "operators.generate"), "waits", lambda wait: wait)
    bpy.ops.gesticulator.generate()
    scene = bpy.context.scene
    name, scene.name = scene.name, "Renamed"
    bpy.data.scenes.new(name)  # of the old name, without a voice
    while live.tick():
        time.sleep(0.01)
    assert bpy.context.window_manager.gesticulator_job.error == ""
    assert shot.animation_data.nla_tracks


def test_without_the_list_of_gestures_the_performance_comes_in_all_the_same(shot, small, monkeypatch):
    """Somebody stopped the backend when the motion had just come, and it does not start again."""
    live, generate = module(small, "job_runner"), module(small, "operators.generate")
    plain, UserError = generate.generate, generate.UserError

    def refuse(*_):
        raise UserError("The backend stopped while starting.", "", "backend_start")

    def made(connection, wanted, control):
        take = plain(connection, wanted, control)
        monkeypatch.setattr(connection, "open", refuse)
        return take

    monkeypatch.setattr(generate, "generate", made)
    assert bpy.ops.gesticulator.generate() == {"FINISHED"}
    assert live.state().error == ""
    assert shot.animation_data.nla_tracks


def test_a_strip_that_is_trimmed_while_a_job_runs(shot, small, monkeypatch):
    live = module(small, "job_runner")
    monkeypatch.setattr(module(small, "operators.generate"), "waits", lambda wait: wait)
    bpy.ops.gesticulator.generate()
    module(small, "sound_strips").find(bpy.context.scene, "voice").frame_final_end -= 20
    before = scenes.fingerprint()
    while live.tick():
        time.sleep(0.01)
    assert "was changed while" in bpy.context.window_manager.gesticulator_job.error
    assert scenes.fingerprint() == before
