"""A result let into the scene step by step, and all that may happen between two steps."""

from __future__ import annotations

import math
import os
import threading
import time

import pytest

bpy = pytest.importorskip("bpy")

from sg_blender_addon.bl import steps  # noqa: E402 - only with bpy
from sg_blender_addon.client.job import Job  # noqa: E402
from sg_blender_addon.core.errors import Cancelled, UserError  # noqa: E402
from sg_blender_addon.core.motion import Motion  # noqa: E402
from sg_blender_addon.core.performance import Performance  # noqa: E402
from sg_blender_addon.core.skeleton import canonical  # noqa: E402
from tests.bl import scenes  # noqa: E402
from tests.bl.scenes import module  # noqa: E402

# ---------------------------------------------------------------- steps as such


def counting(seen: list[object]):
    """Two fractions, a job, and its result as the end; writes down how it ended."""
    try:
        yield 0.25
        yield 0.5
        return (yield Job("add", lambda control: 40 + 2))
    except Cancelled:
        seen.append("cancelled")
        raise
    finally:
        seen.append("closed")


def test_without_a_budget_every_advance_is_one_step():
    running = steps.Running(counting([]))
    fractions = []
    for _ in range(3):
        assert not running.advance(0.0)
        fractions.append(running.fraction)
    assert fractions == [0.25, 0.5, 0.5]
    running.job.wait()
    assert running.advance(0.0)
    assert running.result == 42


def test_with_a_budget_it_goes_on_until_it_has_to_wait():
    go = threading.Event()

    def waiting():
        yield 0.25
        yield 0.5
        return (yield Job("wait", lambda control: go.wait(5)))

    running = steps.Running(waiting())
    assert not running.advance(math.inf)
    assert running.job is not None
    go.set()
    running.job.wait()
    assert running.advance(math.inf)
    assert running.result is True


def test_scripts_get_all_of_it_at_once():
    assert steps.finish(counting([])) == 42


def test_cancel_lets_the_steps_clean_up():
    seen: list[object] = []
    running = steps.Running(counting(seen))
    running.advance(0.0)
    running.cancel()
    assert running.cancelling
    with pytest.raises(Cancelled):
        running.advance(math.inf)
    assert seen == ["cancelled", "closed"]


def test_what_a_job_failed_with_is_raised_inside_the_steps():
    def careful():
        try:
            yield Job("bug", lambda control: 1 / 0)
        except UserError as error:
            return error

    error = steps.finish(careful())
    assert error.code == "internal"
    assert "ZeroDivisionError" in error.details


def test_an_interruption_waits_for_no_job():
    def stubborn():
        yield Job("add", lambda control: 1)
        try:
            yield 0.5
        except steps.Interrupted:
            return "begins again"

    running = steps.Running(stubborn())
    running.advance(0.0)
    running.interrupt()  # while a job is waited for there is nothing to lose
    running.job.wait()
    assert not running.advance(0.0)
    running.interrupt()
    assert running.advance(0.0)
    assert running.result == "begins again"


# ---------------------------------------------------------------- a performance on its way into the scene


@pytest.fixture
def building(shot, small, monkeypatch):
    """A generated performance and a second one on its way, one step per tick, its first Action begun; gives `live`."""
    for name in ("generate", "swap", "strips"):
        monkeypatch.setattr(module(small, f"operators.{name}"), "waits", lambda wait: wait)
    live = module(small, "job_runner")
    monkeypatch.setattr(live, "BUDGET_S", 0.0)
    monkeypatch.setattr(module(small, "baking"), "KEYS_AT_ONCE", 2000)
    bpy.ops.gesticulator.generate(wait=True)
    bpy.ops.gesticulator.generate()
    until(live, lambda: unfinished(small))
    return live


def until(live, there):
    while not there():
        assert live.tick()
        time.sleep(0.001)


def to_the_end(live):
    while live.tick():
        time.sleep(0.001)


def kept(addon):
    """Everything in the folder of takes."""
    return set(module(addon, "backend_settings").user_folder("takes").iterdir())


def unfinished(addon):
    return [action.name for action in bpy.data.actions if module(addon, "baking").UNFINISHED in action]


def shown():
    return bpy.context.window_manager.gesticulator_job


def test_the_scene_shows_nothing_of_it_before_the_last_step(building, shot, small):
    def seen():
        return {name: digest for name, digest in scenes.fingerprint().items() if not name.startswith("action")}

    before = seen()
    fractions = []
    while building.tick():
        assert seen() == before
        assert (shown().stage, shown().running) == ("Building strips", True)
        fractions.append(shown().fraction)
    assert len(fractions) > 5
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert "1 gesture on 4 words" in shown().message
    assert not unfinished(small)
    assert len(bpy.data.actions) == 2


def test_cancel(building, small):
    building.tick()
    takes = kept(small)
    half = set(unfinished(small))
    before = {name: digest for name, digest in scenes.fingerprint().items() if name.removeprefix("action ") not in half}
    bpy.ops.gesticulator.cancel()
    assert not building.tick()
    assert shown().message == "Cancelled"
    assert scenes.fingerprint() == before
    assert len(takes - kept(small)) == 1
    assert bpy.ops.gesticulator.generate(wait=True) == {"FINISHED"}


def delete_character(shot):
    bpy.data.objects.remove(shot)


def rename_bone(shot):
    shot.data.bones["mixamorig:LeftArm"].name = "Arm of mine"


def turn_to_euler(shot):
    shot.pose.bones["mixamorig:LeftArm"].rotation_mode = "XYZ"


def change_frame_rate(shot):
    bpy.context.scene.render.fps = 25


def delete_half_an_action(shot):
    bpy.data.actions.remove(next(a for a in bpy.data.actions if "semantic_gesticulator_unfinished" in a))


def trim_voice(shot):
    editor = bpy.context.scene.sequence_editor
    strip = (editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)["voice"]
    strip.frame_final_end -= 20


MEDDLING = [
    (delete_character, "was removed while"),
    (rename_bone, "bones of Speaker were changed"),
    (turn_to_euler, "bones of Speaker were changed"),
    (change_frame_rate, "frame rate was changed"),
    (delete_half_an_action, "was removed while"),
    (trim_voice, "was changed while"),
]


@pytest.mark.parametrize("ticks", [0, 2])
@pytest.mark.parametrize(("meddle", "message"), MEDDLING)
def test_what_does_not_fit_any_more_is_one_sentence(building, shot, small, meddle, message, ticks):
    for _ in range(ticks):
        building.tick()
    takes = kept(small)
    meddle(shot)
    half = set(unfinished(small))
    before = {name: digest for name, digest in scenes.fingerprint().items() if name.removeprefix("action ") not in half}
    to_the_end(building)
    assert message in shown().error
    assert shown().hint
    assert scenes.fingerprint() == before
    assert len(takes - kept(small)) == 1


def test_another_file(building, small):
    scenes.empty()
    scenes.add_character()
    before = scenes.fingerprint()
    shown().property_unset("running")  # as Blender leaves it after it made a window manager anew
    shown().property_unset("kind")
    building.tick()
    assert shown().kind == "generate"
    to_the_end(building)
    assert "was removed while" in shown().error
    assert scenes.fingerprint() == before
    assert not unfinished(small)


def test_another_file_while_the_backend_works(building, small):
    to_the_end(building)
    bpy.ops.gesticulator.generate()
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    for name in ("running", "kind", "stage"):
        shown().property_unset(name)
    assert building.tick()
    assert (shown().running, shown().kind) == (True, "generate")
    assert bpy.ops.gesticulator.cancel.poll()
    bpy.ops.gesticulator.cancel()
    to_the_end(building)
    assert (shown().running, shown().message) == (False, "Cancelled")


def test_what_the_animator_does_meanwhile_counts(building, shot):
    shot.animation_data.nla_tracks["Gestures: semantic"].strips[0].mute = True
    to_the_end(building)
    assert [s.mute for s in shot.animation_data.nla_tracks["Gestures: semantic"].strips] == [True]
    assert "1 of your own kept" in shown().message


def test_keys_edited_while_the_old_rhythm_is_read_count_too(building, shot, small, monkeypatch):
    baking = module(small, "baking")
    plain, read = baking.read, []

    def reading(uid):
        read.append(baking.find(uid).name)
        if len(read) == 1:
            strip = shot.animation_data.nla_tracks["Gestures: semantic"].strips[0]
            next(iter(module(small, "compat").fcurves(strip.action))).keyframe_points[3].co[1] += 0.5
        return (yield from plain(uid))

    monkeypatch.setattr(baking, "read", reading)
    to_the_end(building)
    assert read == ["Gestures: rhythm · voice", "THUMB UP · good"]
    assert "1 of your own kept" in shown().message


def test_a_renamed_character_and_action_are_found_again(building, shot, small):
    shot.name = "Renamed"
    bpy.data.actions[unfinished(small)[0]].name = "Mine now"
    to_the_end(building)
    assert not shown().error
    assert "Gestures: rhythm · voice" in bpy.data.actions
    assert len(bpy.data.actions) == 2


def test_disabling_the_add_on_takes_half_of_it_back(building, small):
    assert shown().running
    takes = kept(small)
    building.unregister()
    assert len(takes - kept(small)) == 1
    assert not unfinished(small)
    assert not building.busy()
    building.register()
    assert (shown().running, shown().stage, shown().fraction) == (False, "", 0.0)
    assert bpy.ops.gesticulator.generate(wait=True) == {"FINISHED"}


def test_undo_and_redo_leave_nothing_half_done(building, small):
    if not bpy.context.preferences.edit.use_global_undo:
        pytest.skip("this Blender runs without undo")
    bpy.ops.ed.undo_push(message="the animator's own doing, with half an Action in it")
    building.tick()
    takes = kept(small)
    bpy.ops.ed.undo_push(message="more of it")
    bpy.ops.ed.undo()
    assert not unfinished(small)
    to_the_end(building)  # it began again
    assert not shown().error
    assert kept(small) == takes
    speaker = bpy.data.objects["Speaker"]
    assert [len(t.strips) for t in speaker.animation_data.nla_tracks] == [1, 1]
    assert len(bpy.data.actions) == 2
    bpy.ops.ed.undo()
    assert not unfinished(small)
    assert len(bpy.data.actions) == 2


def test_a_file_saved_meanwhile_holds_nothing_half_done(building, small, tmp_path):
    building.tick()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"), copy=True)
    to_the_end(building)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert not unfinished(small)
    assert len(bpy.data.actions) == 2


def test_single_gestures_take_the_same_way(building, shot, small):
    to_the_end(building)
    bpy.context.scene.gesticulator.word_index = 3
    before = scenes.fingerprint()
    assert bpy.ops.gesticulator.swap_gesture(gesture_id="0002") == {"FINISHED"}
    until(building, lambda: unfinished(small))
    assert [s.name for s in shot.animation_data.nla_tracks["Gestures: semantic"].strips] == ["THUMB UP · good"]
    bpy.ops.gesticulator.cancel()
    to_the_end(building)
    assert scenes.fingerprint() == before
    bpy.ops.gesticulator.swap_gesture(gesture_id="0002")
    to_the_end(building)
    assert [s.name for s in shot.animation_data.nla_tracks["Gestures: semantic"].strips] == ["HAND RING · good"]


# ---------------------------------------------------------------- takes on the disk


@pytest.fixture
def take():
    rest = Motion.rest(canonical(), 31, 30.0)
    return Performance(rest, rest, (), ())


def test_a_take_that_nobody_wants_any_more_or_that_finds_no_room_leaves_nothing(addon, take, tmp_path, monkeypatch):
    takes = module(addon, "takes")

    def enough():
        raise Cancelled

    with pytest.raises(Cancelled):
        takes.write(tmp_path / "a.npz", take, enough)
    assert not list(tmp_path.iterdir())

    def full(file, *_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(takes.wire, "write", full)
    takes.write(tmp_path / "a.npz", take)
    assert not list(tmp_path.iterdir())


def test_the_oldest_takes_go_by_number_and_by_bytes(addon, take, tmp_path, monkeypatch):
    takes = module(addon, "takes")

    def left():
        return sorted(path.stem for path in tmp_path.iterdir())

    for age, name in enumerate("edcba"):
        takes.write(tmp_path / f"{name}.npz", take)
        os.utime(tmp_path / f"{name}.npz", (1000 + age, 1000 + age))
    size = (tmp_path / "a.npz").stat().st_size
    monkeypatch.setattr(takes, "KEPT", 4)
    takes._prune(tmp_path)
    assert left() == ["a", "b", "c", "d"]
    monkeypatch.setattr(takes, "KEPT_BYTES", 2 * size)
    takes._prune(tmp_path)
    assert left() == ["a", "b"]
    monkeypatch.setattr(takes, "KEPT_BYTES", 1)
    takes._prune(tmp_path)
    assert left() == ["a"]
