"""From a sound strip to strips on the NLA, and back out, through the real backend over HTTP."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

bpy = pytest.importorskip("bpy")

from tests.bl import rig_scenes, scenes  # noqa: E402 - only with bpy
from tests.bl.scenes import module  # noqa: E402
from tests.contract.conftest import VOICE  # noqa: E402


def tracks(character):
    return {track.name: list(track.strips) for track in character.animation_data.nla_tracks}


def strips(character):
    return [s for name, found in tracks(character).items() if name.startswith("Gestures: semantic") for s in found]


def strip_named(character, name):
    return next(strip for strip in strips(character) if strip.name == name)


def segment_of(addon, character, name):
    return module(addon, "metadata").read(strip_named(character, name).action).segment


def test_a_voice_becomes_a_performance(shot):
    scene = bpy.context.scene
    assert bpy.ops.gesticulator.generate() == {"FINISHED"}
    (rhythm,) = tracks(shot)["Gestures: rhythm"]
    words = [word.name.strip(".,!?").lower() for word in scene.gesticulator.words]
    said = [word.strip(".,!?").lower() for word in VOICE.with_suffix(".txt").read_text("utf-8").split()]
    assert words == said
    assert rhythm.frame_start == 11
    assert scene.frame_start == 11
    assert scene.frame_end >= scene.gesticulator.frame_of(scene.gesticulator.words[-1].end) - 1
    assert scene.sync_mode == "AUDIO_SYNC"
    assert strips(shot), "at full density some word of the welcome has a gesture"
    poses = [rig_scenes.evaluated(shot, frame) for frame in range(11, scene.frame_end, 6)]
    assert max(rig_scenes.pose_error(a, poses[0]) for a in poses[1:]) > 5.0


def test_every_stroke_is_near_its_word(shot, real):
    bpy.ops.gesticulator.generate()
    words = bpy.context.scene.gesticulator.words
    for strip in strips(shot):
        segment = module(real, "metadata").read(strip.action).segment
        assert abs(segment.stroke - words[segment.word_index].start) <= 0.1001


def test_the_same_seed_gives_the_same_keys(shot, real):
    def keys():
        (rhythm,) = tracks(shot)["Gestures: rhythm"]
        return module(real, "metadata").content_hash(rhythm.action)

    bpy.ops.gesticulator.generate()
    first = keys()
    bpy.ops.gesticulator.generate()
    assert keys() == first
    bpy.context.scene.gesticulator.seed = 1
    bpy.ops.gesticulator.generate()
    assert keys() != first


def test_swap_reblend_and_regenerate_keep_their_promises(shot, real):
    bpy.ops.gesticulator.generate()
    strip = strips(shot)[0]
    record = module(real, "metadata").read(strip.action)
    other = next(g for g in module(real, "catalogue").gestures() if g.id != record.segment.gesture_id)
    bpy.ops.gesticulator.swap_gesture(gesture_id=other.id, variant=other.variants[-1].number, strip=strip.name)
    name = next(s.name for s in strips(shot) if s.name.startswith(other.label))  # strips die when they are replaced
    assert segment_of(real, shot, name).stroke == pytest.approx(record.segment.stroke)
    bpy.ops.gesticulator.generate()
    swapped = strip_named(shot, name)
    module(real, "compat").place_strip(swapped, swapped.frame_start + 3)
    module(real, "metadata").update(swapped.action, lock=False)
    bpy.ops.gesticulator.reblend()
    assert segment_of(real, shot, name).stroke == pytest.approx(record.segment.stroke + 3 / 24, abs=0.02)
    bpy.ops.gesticulator.regenerate_range(frame_start=40, frame_end=70)
    assert strip_named(shot, name)


def test_no_semantics_when_off(shot):
    bpy.context.scene.gesticulator.retriever = "off"
    bpy.ops.gesticulator.generate()
    assert not strips(shot)
    assert len(tracks(shot)["Gestures: rhythm"]) == 1


def test_a_trimmed_strip_is_what_is_heard(shot):
    scene = bpy.context.scene
    strip = (scene.sequence_editor.strips_all if hasattr(scene.sequence_editor, "strips_all")
             else scene.sequence_editor.sequences_all)["voice"]  # fmt: skip
    strip.frame_offset_start, strip.frame_offset_end = 12, 12
    scene.gesticulator.script = None
    scene.gesticulator.retriever = "off"
    bpy.ops.gesticulator.generate()
    (rhythm,) = tracks(shot)["Gestures: rhythm"]
    assert rhythm.frame_start == 23
    assert rhythm.frame_end == pytest.approx(strip.frame_final_end, abs=2)


def failing(match: str, *codes: str) -> None:
    before = scenes.fingerprint()
    with pytest.raises(RuntimeError, match=match) as caught:
        bpy.ops.gesticulator.generate()
    assert "Traceback" not in str(caught.value)
    assert scenes.fingerprint() == before
    job = bpy.context.window_manager.gesticulator_job
    assert job.code in codes
    assert job.hint


def test_a_file_that_is_no_sound(shot, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"this is no sound at all" * 50)
    bpy.data.sounds[0].filepath = str(broken)
    before = scenes.fingerprint()
    with pytest.raises(RuntimeError, match=r"broken|sound|audio|recording"):
        bpy.ops.gesticulator.generate()
    assert scenes.fingerprint() == before


def test_a_missing_weights_folder(shot, real, tmp_path):
    module(real, "backend_settings").preferences().weights = str(tmp_path / "none")
    failing("weights", "no_weights")


def test_a_wrong_token(shot, real):
    live, machine = module(real, "job_runner"), module(real, "backend_settings")
    url = live.connection.open(machine.backend_choice()).url
    settings = machine.preferences()
    settings.backend_mode, settings.url, settings.token = "URL", url, "wrong"
    failing("refused the token", "unauthorized")


def test_url_and_token_of_a_running_backend(shot, real):
    live, machine = module(real, "job_runner"), module(real, "backend_settings")
    api = live.connection.open(machine.backend_choice())
    settings = machine.preferences()
    settings.backend_mode, settings.url = "URL", api.url
    settings.token = api._session.headers["Authorization"].removeprefix("Bearer ")
    assert bpy.ops.gesticulator.generate() == {"FINISHED"}


def test_a_backend_killed_in_mid_job_twice(shot, real, monkeypatch):
    live = module(real, "job_runner")
    monkeypatch.setattr(module(real, "operators.generate"), "waits", lambda wait: wait)
    before = scenes.fingerprint()
    bpy.ops.gesticulator.generate()
    killed: set[int] = set()
    deadline = time.monotonic() + 60
    while live.tick() and time.monotonic() < deadline:
        pid = live.connection.pid
        if pid and pid not in killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        time.sleep(0.01)
    job = bpy.context.window_manager.gesticulator_job
    assert job.code in ("backend_crashed", "backend_start")
    assert job.error
    assert job.hint
    assert scenes.fingerprint() == before
    assert 2 <= len(killed) <= 3
    assert bpy.ops.gesticulator.generate(wait=True) == {"FINISHED"}  # the next press works again


def test_cancel_in_mid_job(shot, real, monkeypatch):
    live = module(real, "job_runner")
    monkeypatch.setattr(module(real, "operators.generate"), "waits", lambda wait: wait)
    before = scenes.fingerprint()
    bpy.ops.gesticulator.generate()
    bpy.ops.gesticulator.cancel()
    while live.tick():
        time.sleep(0.01)
    assert bpy.context.window_manager.gesticulator_job.message == "Cancelled"
    assert scenes.fingerprint() == before


def test_the_timer_waits_for_nothing(shot, real, monkeypatch):
    """What a tick costs is measured by the bake's own bench; here: it calls no backend and waits for no thread."""
    live, client = module(real, "job_runner"), f"{real.__name__}.client"
    api, job = sys.modules[f"{client}.api"].Api, sys.modules[f"{client}.job"].Job
    monkeypatch.setattr(module(real, "operators.generate"), "waits", lambda wait: wait)
    plain, callers = api._send, set()

    def send(*given, **options):
        callers.add(threading.current_thread())
        return plain(*given, **options)

    monkeypatch.setattr(api, "_send", send)
    monkeypatch.setattr(job, "wait", None)
    bpy.ops.gesticulator.generate()
    while live.tick():
        time.sleep(0.02)
    assert live.state().error == ""
    assert callers
    assert threading.main_thread() not in callers
