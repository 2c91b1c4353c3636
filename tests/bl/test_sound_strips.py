"""What of a file a strip plays, and where."""

from __future__ import annotations

import io
import wave
from dataclasses import replace

import pytest

bpy = pytest.importorskip("bpy")

from tests.bl import scenes  # noqa: E402 - only with bpy
from tests.bl.scenes import module  # noqa: E402

needs_sound = pytest.mark.skipif(not scenes.makes_strips(), reason="this Blender has no sound module")


@pytest.fixture
def strip(addon, tmp_path):
    """A strip of a three-second file at frame 11 of a scene at 24 fps."""
    scene = scenes.empty()
    return scenes.add_voice(scene, scenes.write_tone(tmp_path / "voice.wav"), 11)


@pytest.fixture
def sounds(addon):
    return module(addon, "sound_strips")


def read(sounds, strip):
    return sounds.read_voice(bpy.context.scene, strip)


def test_a_whole_strip(sounds, strip, tmp_path):
    voice = read(sounds, strip)
    assert voice.audio == tmp_path / "voice.wav"
    assert (voice.start_frame, voice.end_frame, voice.audio_start, voice.audio_end) == (11, 83, None, None)


def test_trims_at_both_ends(sounds, strip):
    strip.frame_offset_start, strip.frame_offset_end = 12, 24
    voice = read(sounds, strip)
    assert (voice.start_frame, voice.end_frame) == (23, 59)
    assert (voice.audio_start, voice.audio_end) == pytest.approx((0.5, 2.0))


def test_a_moved_strip_plays_the_same(sounds, strip):
    strip.frame_offset_start = 12
    before = read(sounds, strip)
    strip.frame_start += 100
    after = read(sounds, strip)
    assert after.start_frame == before.start_frame + 100
    assert (after.audio_start, after.audio_end) == (before.audio_start, before.audio_end)


def test_a_strip_stretched_beyond_its_sound_begins_where_the_sound_begins(sounds, strip):
    strip.frame_offset_start = -24
    voice = read(sounds, strip)
    assert (voice.start_frame, voice.audio_start, voice.audio_end) == (11, None, None)


def test_a_fractional_frame_rate(sounds, strip):
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = 30, 1.001
    strip.frame_offset_start = 15
    assert read(sounds, strip).audio_start == pytest.approx(15 * 1.001 / 30)


def test_a_packed_sound_is_sent_as_bytes(sounds, strip, tmp_path):
    data = (tmp_path / "voice.wav").read_bytes()
    strip.sound.pack()
    (tmp_path / "voice.wav").unlink()
    assert read(sounds, strip).audio == data


def test_whether_a_strip_is_still_what_it_was_is_told_without_reading_its_sound(sounds, strip, tmp_path, monkeypatch):
    scene = bpy.context.scene
    plain = read(sounds, strip)
    assert sounds.is_still(plain, scene, strip)
    strip.sound.pack()
    assert not sounds.is_still(plain, scene, strip)
    packed = read(sounds, strip)
    mixed = replace(packed, audio=b"a mixdown", mixed=True)
    monkeypatch.setattr(sounds, "audio_of", None)  # neither copied
    monkeypatch.setattr(sounds, "_mixed_down", None)  # nor mixed down
    assert sounds.is_still(packed, scene, strip)
    assert sounds.is_still(mixed, scene, strip)
    assert not sounds.is_still(replace(packed, audio=packed.audio[:-1]), scene, strip)
    strip.frame_start += 5
    assert not sounds.is_still(packed, scene, strip)
    assert not sounds.is_still(mixed, scene, strip)


def test_a_path_relative_to_the_file(sounds, strip, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    strip.sound.filepath = "//voice.wav"
    assert read(sounds, strip).audio == tmp_path / "voice.wav"


def test_a_missing_file(sounds, strip):
    strip.sound.filepath = "//gone.wav"
    with pytest.raises(Exception, match=r"missing: gone\.wav"):
        read(sounds, strip)


def test_nothing_left_of_the_sound(sounds, strip):
    strip.frame_offset_start = -48
    strip.frame_offset_end = 24 * 3
    with pytest.raises(Exception, match="Nothing of the sound is left"):
        read(sounds, strip)


def test_choosing(sounds, strip):
    scene = bpy.context.scene
    assert sounds.chosen(scene, "").name == "voice"
    assert sounds.chosen(scene, "voice") == strip
    with pytest.raises(Exception, match="is gone"):
        sounds.chosen(scene, "other")
    scenes.remove_voice(scene)
    with pytest.raises(Exception, match="has no sound strip"):
        sounds.chosen(scene, "")


@needs_sound
def test_with_several_strips_one_must_be_chosen(sounds, strip, tmp_path):
    scene = bpy.context.scene
    second = sounds.add(scene, scenes.write_tone(tmp_path / "second.wav", 0.5), 20)
    assert second.channel != strip.channel
    with pytest.raises(Exception, match="several sound strips"):
        sounds.chosen(scene, "")
    assert sounds.chosen(scene, "second") == second


@needs_sound
def test_a_retimed_strip_is_mixed_down_as_heard_and_everything_is_put_back(sounds, strip, tmp_path):
    scene = bpy.context.scene
    other = sounds.add(scene, scenes.write_tone(tmp_path / "music.wav"), 1)
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.type = "SEQUENCE_EDITOR"
    if hasattr(window.workspace, "sequencer_scene"):
        window.workspace.sequencer_scene = scene
    region = next(region for region in area.regions if region.type == "WINDOW")
    other.select, strip.select, scene.sequence_editor.active_strip = False, True, strip
    with bpy.context.temp_override(window=window, area=area, region=region, scene=scene):
        bpy.ops.sequencer.retiming_show()
        bpy.ops.sequencer.retiming_segment_speed_set(speed=200)
    before = scenes.fingerprint()
    voice = read(sounds, strip)
    assert scenes.fingerprint() == before
    assert (voice.audio_start, voice.audio_end, voice.speed, voice.mixed) == (None, None, 1.0, True)
    assert sounds.is_still(voice, scene, strip)
    with wave.open(io.BytesIO(voice.audio)) as file:
        seconds = file.getnframes() / file.getframerate()
    assert seconds == pytest.approx(1.5, abs=0.1)
    assert voice.end_frame - voice.start_frame == pytest.approx(36, abs=1)


@needs_sound
def test_add_voice_makes_a_strip_and_chooses_it(addon, tmp_path):
    scene = scenes.empty()
    scene.frame_set(7)
    bpy.ops.gesticulator.add_voice(filepath=str(scenes.write_tone(tmp_path / "line one.wav")))
    assert scene.gesticulator.voice == "line one"
    assert module(addon, "sound_strips").handles(module(addon, "sound_strips").find(scene, "line one"))[0] == 7


def test_add_voice_of_nothing(addon, tmp_path):
    scenes.empty()
    with pytest.raises(RuntimeError, match="There is no file"):
        bpy.ops.gesticulator.add_voice(filepath=str(tmp_path / "gone.wav"))
