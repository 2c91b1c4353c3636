"""Single gestures: swap, variant, add, remove, snap, blend again, a range anew, export."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from tests.bl import scenes  # noqa: E402 - only with bpy
from tests.bl.scenes import module  # noqa: E402


@pytest.fixture
def performance(shot, small, monkeypatch, tmp_path):
    """The armature with one THUMB UP on the fourth word; gestures are remembered in a fresh folder."""
    bpy.ops.gesticulator.generate()
    bpy.context.scene.gesticulator.word_index = 3
    return shot


def strips(character):
    tracks = character.animation_data.nla_tracks
    return [strip for track in tracks if track.name.startswith("Gestures: semantic") for strip in track.strips]


def record(small, strip):
    return module(small, "metadata").read(strip.action)


def test_swap_puts_another_gesture_on_the_word_and_locks_it(performance, small):
    stroke = record(small, strips(performance)[0]).segment.stroke
    assert bpy.ops.gesticulator.swap_gesture(gesture_id="0002") == {"FINISHED"}
    (strip,) = strips(performance)
    made = record(small, strip)
    assert strip.name == "HAND RING · good"
    assert (made.segment.gesture_id, made.segment.stroke, made.lock) == ("0002", pytest.approx(stroke), True)
    assert len(bpy.data.actions) == 2


def test_how_a_new_gesture_is_blended_is_chosen_anew(performance, small, monkeypatch):
    sent = []
    choosing = module(small, "operators.swap")
    work = choosing.rearrange
    monkeypatch.setattr(choosing, "rearrange", lambda *given: sent.append(given[1]) or work(*given))
    module(small, "backend_settings").preferences().weights = "/weights"
    settings = bpy.context.scene.gesticulator
    for blend, expected in (("auto", "motion"), ("codes", "codes"), ("auto", "motion")):
        settings.blend = blend
        bpy.ops.gesticulator.swap_variant()
        assert (sent[-1].placed[0].blend, sent[-1].weights) == (blend, "/weights")
        assert record(small, strips(performance)[0]).segment.blend == expected
    settings.blend = "codes"
    bpy.ops.gesticulator.add_gesture(gesture_id="0002", word=0)
    assert sent[-1].placed[0].blend == "codes"
    module(small, "backend_settings").preferences().weights = ""


def test_a_swap_survives_generating_again(performance):
    bpy.ops.gesticulator.swap_gesture(gesture_id="0002")
    bpy.ops.gesticulator.generate()
    assert [strip.name for strip in strips(performance)] == ["HAND RING · good"]


def test_variants_go_round(performance, small):
    numbers = []
    for _ in range(3):
        bpy.ops.gesticulator.swap_variant()
        numbers.append(record(small, strips(performance)[0]).segment.variant)
    assert numbers == [2, 1, 2]


def test_a_gesture_without_other_variants_says_so(performance):
    bpy.ops.gesticulator.swap_gesture(gesture_id="0002")
    with pytest.raises(RuntimeError, match="no other variant"):
        bpy.ops.gesticulator.swap_variant()


def test_variants_of_a_list_that_is_not_here_yet(performance, small):
    catalogue, machine, previews = (module(small, name) for name in ("catalogue", "backend_settings", "previews"))
    catalogue.file_of(machine.library()).unlink()
    with pytest.raises(RuntimeError, match="not known yet"):
        bpy.ops.gesticulator.swap_variant()
    while previews.tick():
        time.sleep(0.01)
    assert bpy.ops.gesticulator.swap_variant() == {"FINISHED"}


def test_add_puts_a_gesture_on_a_word(performance, small):
    scene = bpy.context.scene
    bpy.ops.gesticulator.add_gesture(gesture_id="0002", word=0)
    added = next(s for s in strips(performance) if s.name == "HAND RING · Hello")
    assert record(small, added).segment.stroke == pytest.approx(scene.gesticulator.words[0].start, abs=1e-3)
    with pytest.raises(RuntimeError, match="has a gesture already"):
        bpy.ops.gesticulator.add_gesture(gesture_id="0001", word=0)
    with pytest.raises(RuntimeError, match="no word 99"):
        bpy.ops.gesticulator.add_gesture(gesture_id="0001", word=99)


def test_remove_uncovers_the_rhythm(performance):
    bpy.ops.gesticulator.remove_gesture()
    assert not strips(performance)
    assert len(performance.animation_data.nla_tracks["Gestures: rhythm"].strips) == 1
    assert len(bpy.data.actions) == 1


def test_snap_brings_the_stroke_back_to_the_word(performance, small):
    (strip,) = strips(performance)
    word = bpy.context.scene.gesticulator.words[3]
    module(small, "compat").place_strip(strip, strip.frame_start + 7.5)
    length = strip.frame_end - strip.frame_start
    bpy.ops.gesticulator.snap_to_word()
    made = record(small, strip)
    stroke = made.frame_zero + made.segment.stroke * 24 + (strip.frame_start - made.state["frame_start"])
    assert stroke == pytest.approx(bpy.context.scene.gesticulator.frame_of(word.start), abs=0.01)
    assert strip.frame_end - strip.frame_start == pytest.approx(length, abs=0.01)


def test_snap_refuses_to_lie_on_another_strip(performance):
    (strip,) = strips(performance)
    track = performance.animation_data.nla_tracks["Gestures: semantic"]
    strip.frame_start_ui = 100
    track.strips.new("block", 30, bpy.data.actions.new("Block")).frame_end = 60
    with pytest.raises(RuntimeError, match="Another strip lies there"):
        bpy.ops.gesticulator.snap_to_word(strip="THUMB UP · good")


def test_reblend_follows_a_moved_strip(performance, small):
    with pytest.raises(RuntimeError, match="No gesture was moved"):
        bpy.ops.gesticulator.reblend()
    (strip,) = strips(performance)
    module(small, "compat").place_strip(strip, strip.frame_start + 12)
    bpy.ops.gesticulator.reblend()
    (strip,) = strips(performance)
    made = record(small, strip)
    assert made.segment.stroke == pytest.approx(1.25 + 0.5, abs=0.01)
    assert made.lock


def test_lock_toggles(performance, small):
    for locked in (True, False):
        bpy.ops.gesticulator.toggle_lock(strip="THUMB UP · good")
        assert record(small, strips(performance)[0]).lock is locked


def test_a_range_is_made_anew_and_the_rest_stays(performance, small):
    def keys():
        strip = performance.animation_data.nla_tracks["Gestures: rhythm"].strips[0]
        curves = sorted(
            module(small, "compat").fcurves(strip.action), key=lambda curve: (curve.data_path, curve.array_index)
        )
        return np.array([[point.co[1] for point in curve.keyframe_points] for curve in curves])

    before = keys()
    bpy.ops.gesticulator.regenerate_range(frame_start=60, frame_end=80)
    after = keys()
    assert before.shape == after.shape
    np.testing.assert_allclose(after[:, : 60 - 12], before[:, : 60 - 12], atol=1e-5)
    assert [strip.name for strip in strips(performance)] == ["THUMB UP · good"]


@pytest.mark.parametrize(("first", "last"), [(-1, -1), (500, 600), (11, 12)])
def test_a_range_outside_the_voice(performance, first, last):
    with pytest.raises(RuntimeError, match="range"):
        bpy.ops.gesticulator.regenerate_range(frame_start=first, frame_end=last)


def test_export_writes_motion_and_report(performance, tmp_path):
    bpy.ops.gesticulator.export(filepath=str(tmp_path / "out.bvh"))
    assert (tmp_path / "out.bvh").read_text().startswith("HIERARCHY")
    report = json.loads((tmp_path / "out.json").read_text())
    assert [word["text"] for word in report["words"]] == ["Hello,", "this", "is", "good."]
    assert report["segments"][0]["gesture_id"] == "0001"
    assert sorted(p.name for p in tmp_path.glob("out*")) == ["out.bvh", "out.json"]


def test_export_to_nowhere_leaves_nothing(performance, tmp_path):
    with pytest.raises(RuntimeError, match="no such folder"):
        bpy.ops.gesticulator.export(filepath=str(tmp_path / "no" / "out.bvh"))
    assert not (tmp_path / "no").exists()


def test_a_take_that_is_gone_is_one_sentence(performance, small):
    for file in module(small, "backend_settings").user_folder("takes").glob("*.npz"):
        file.unlink()
    before = scenes.fingerprint()
    with pytest.raises(RuntimeError, match="not on this machine"):
        bpy.ops.gesticulator.swap_gesture(gesture_id="0002")
    assert scenes.fingerprint() == before


def test_another_frame_rate_is_one_sentence(performance):
    bpy.context.scene.render.fps = 30
    with pytest.raises(RuntimeError, match="frame rate was changed"):
        bpy.ops.gesticulator.swap_gesture(gesture_id="0002")


@pytest.mark.parametrize(
    "name",
    [
        "swap_gesture",
        "swap_variant",
        "remove_gesture",
        "snap_to_word",
        "reblend",
        "toggle_lock",
        "add_gesture",
        "regenerate_range",
    ],
)
def test_before_generating_every_button_says_why_it_is_grey(shot, name):
    with pytest.raises(RuntimeError, match="press Generate"):
        getattr(bpy.ops.gesticulator, name)()
