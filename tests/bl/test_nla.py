"""Performances on the NLA: what plays, what is remembered, what regenerating keeps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from sg_blender_addon.bl import baking, compat, linking, metadata, nla, rigs, strips  # noqa: E402 - only with bpy
from sg_blender_addon.bl.steps import finish  # noqa: E402
from sg_blender_addon.core.errors import UserError  # noqa: E402
from tests.bl import rig_scenes  # noqa: E402
from tests.core.motions import SEGMENTS, performance, segment  # noqa: E402
from tests.core.rig_models import Shape  # noqa: E402

ZERO = 10.25  # the voice begins between two frames
ARM = [("RightArm", "RightForeArm"), ("RightForeArm", "RightHand"), ("RightHandIndex1", "RightHandIndex2")]


@pytest.fixture
def character():
    rig_scenes.fresh(24)
    return rig_scenes.mixamo(Shape(arms_down=45, roll_seed=5))


def apply(obj, take=None, **settings):
    settings = {"frame_start": ZERO, "source": "voice", "job": "job1", "scene": bpy.context.scene, **settings}
    return nla.apply_performance(obj, take or performance(), rigs.detect_bones(obj), **settings)


def error_at(obj, motion, seconds, pairs=ARM):
    bone_map = rigs.detect_bones(obj)
    axes = rigs.read_rig(obj, bone_map).axes
    return rig_scenes.limb_error(obj, bone_map.joints, motion, seconds, ZERO + seconds * 24, pairs, axes)


def tracks(obj):
    return {t.name: [s.name for s in t.strips] for t in obj.animation_data.nla_tracks}


def test_tracks_strips_and_names(character):
    result = apply(character)
    assert tracks(character) == {
        "Gestures: rhythm": ["Gestures: rhythm · voice"],
        "Gestures: semantic": ["THUMB UP · Great", "HALT · stop"],
        "Gestures: semantic 2": ["SHRUG · unknown"],  # so close to HALT that it overlaps
    }
    assert result.frames == pytest.approx((ZERO, ZERO + 8 * 24))
    assert len(result.placed) == 3
    assert result.warnings == []
    rhythm = strips.our_strips(character)[0].strip
    assert (rhythm.frame_start, rhythm.frame_end) == pytest.approx((ZERO, ZERO + 192), abs=1e-3)


def test_the_character_does_what_was_generated(character):
    take = performance()
    apply(character, take)
    for seconds in (0.2, 0.7, 1.6, 1.9, 2.9, 3.9, 5.3, 5.6, 7.5):  # at the strokes, between and far from gestures
        assert error_at(character, take.merged, seconds) < 1.5, seconds


def test_muting_uncovers_the_rhythm(character):
    take = performance()
    apply(character, take)
    assert error_at(character, take.rhythm, 1.6) > 30
    next(s for s in strips.our_strips(character) if s.strip.name.startswith("THUMB")).strip.mute = True
    assert error_at(character, take.rhythm, 1.6) < 0.5


def largest_step(obj, first, last):
    poses = [rig_scenes.evaluated(obj, f) for f in np.arange(first, last, 0.5)]
    return max(rig_scenes.pose_error(a, b) for a, b in pairwise(poses))


@pytest.mark.parametrize("how", ["as made", "moved", "stretched", "muted"])
def test_whatever_is_done_to_a_strip_the_motion_stays_continuous(character, how):
    apply(character)
    strip = next(s.strip for s in strips.our_strips(character) if s.strip.name.startswith("THUMB"))
    if how == "moved":
        compat.place_strip(strip, strip.frame_start + 9.5)
    elif how == "stretched":
        strip.scale = 1.4
    elif how == "muted":
        strip.mute = True
    # the gesture itself turns the fingers' whole chain by at most 20 degrees in half a frame
    assert largest_step(character, ZERO, ZERO + 4.5 * 24) < 25


def test_three_gestures_at_once_need_but_two_tracks(character):
    three = (
        segment("A", "a", 0, 1.0, 1.6, 2.9),
        segment("B", "b", 1, 1.9, 2.3, 3.6),
        segment("C", "c", 2, 2.4, 3.0, 3.9),
    )
    take = performance(segments=three)
    apply(character, take)
    assert tracks(character) == {
        "Gestures: rhythm": ["Gestures: rhythm · voice"],
        "Gestures: semantic": ["A · a", "C · c"],
        "Gestures: semantic 2": ["B · b"],
    }
    for seconds in np.arange(1.4, 3.4, 0.1):
        assert error_at(character, take.merged, seconds) < 6, seconds


def test_gestures_only_hold_what_they_change(character):
    apply(character)
    action = next(s.strip.action for s in strips.our_strips(character) if s.strip.name.startswith("HALT"))
    bones = {c.data_path.split('"')[1] for c in compat.fcurves(action)}
    assert "mixamorig:RightForeArm" in bones
    assert "mixamorig:RightHandMiddle2" in bones
    assert not {b for b in bones if "Left" in b or "Leg" in b or "Hips" in b}


def test_hips_and_legs_come_together(character):
    take = performance()
    root = take.merged.root_positions.copy()
    root[210:260, 1] -= 5 * np.sin(np.linspace(0, np.pi, 50))
    merged = type(take.merged)(60.0, take.merged.skeleton, root, take.merged.rotations)
    apply(character, replace(take, merged=merged))
    action = next(s.strip.action for s in strips.our_strips(character) if s.strip.name.startswith("HALT"))
    paths = {c.data_path for c in compat.fcurves(action)}
    assert 'pose.bones["mixamorig:Hips"].location' in paths
    assert 'pose.bones["mixamorig:LeftFoot"].rotation_quaternion' in paths


def test_records_survive_saving(character, tmp_path):
    apply(character)
    path = str(tmp_path / "scene.blend")
    name = character.name
    bpy.ops.wm.save_as_mainfile(filepath=path)
    rig_scenes.fresh()
    bpy.ops.wm.open_mainfile(filepath=path)
    found = strips.our_strips(bpy.data.objects[name])
    assert [s.record.kind for s in found] == ["rhythm", "semantic", "semantic", "semantic"]
    assert found[1].record.segment == SEGMENTS[0]
    assert found[1].record.job == "job1"
    assert found[1].record.frame_zero == ZERO
    assert [s.changed for s in found] == [""] * 4


def test_regenerating_replaces_what_nobody_touched(character):
    apply(character)
    actions = len(bpy.data.actions)
    take = performance(segments=SEGMENTS[:1], seed=3)
    result = apply(character, take, job="job2")
    assert result.removed == 4
    assert len(bpy.data.actions) == actions - 2
    assert tracks(character) == {
        "Gestures: rhythm": ["Gestures: rhythm · voice"],
        "Gestures: semantic": ["THUMB UP · Great"],
    }
    assert error_at(character, take.merged, 1.6) < 1.5


def touch(character, how):
    ours = next(s for s in strips.our_strips(character) if s.strip.name.startswith("HALT"))
    strip, action = ours.strip, ours.strip.action
    if how == "locked":
        metadata.update(action, lock=True)
    elif how == "muted":
        strip.mute = True
    elif how == "moved":
        compat.place_strip(strip, strip.frame_start - 3)
    elif how == "keys edited":
        curve = next(iter(compat.fcurves(action)))
        curve.keyframe_points[5].co.y += 0.2
    elif how == "swapped":
        strip.action = action.copy()
    elif how == "adjusted":
        strip.blend_in = 1.0
    elif how == "track":
        ours.track.lock = True
    return strip


@pytest.mark.parametrize("how", ["locked", "muted", "moved", "keys edited", "swapped", "adjusted", "track"])
def test_regenerating_keeps_what_the_animator_did(character, how):
    apply(character)
    kept = touch(character, how)
    before = metadata.strip_state(kept)
    result = apply(character, performance(seed=9), job="job2")
    again = [s for s in strips.our_strips(character) if s.strip.name.startswith("HALT")]
    assert len(again) == 1
    assert metadata.strip_state(again[0].strip) == before
    assert again[0].record.job == "job1"
    reason = "locked" if how == "track" else how
    assert ("HALT · stop", reason) in result.kept
    assert [s.label for s in result.skipped] == (["THUMB UP", "HALT"] if how == "track" else ["HALT"])
    assert sum(s.record.kind == "semantic" for s in strips.our_strips(character)) == 3


def test_everything_can_be_replaced_but_locked_strips(character):
    apply(character)
    touch(character, "moved")
    result = apply(character, performance(seed=9), job="job2", keep_changed=False)
    assert result.kept == []
    assert {s.record.job for s in strips.our_strips(character)} == {"job2"}


def test_a_hand_made_rhythm_stays(character):
    apply(character)
    ours = strips.our_strips(character)[0]
    curve = next(iter(compat.fcurves(ours.strip.action)))
    curve.keyframe_points[5].co.y += 0.2
    result = apply(character, job="job2")
    assert result.rhythm_action == ""
    assert any("rhythm" in w for w in result.warnings)
    assert strips.our_strips(character)[0].record.job == "job1"


def test_two_voices_live_side_by_side(character):
    apply(character)
    apply(character, frame_start=ZERO + 300, source="second")
    assert len(strips.our_strips(character)) == 8
    apply(character, frame_start=ZERO + 310, source="second")  # the second strip was moved and made again
    found = strips.our_strips(character)
    assert len(found) == 8
    assert sorted(s.strip.frame_start for s in found if s.record.kind == "rhythm") == [ZERO, ZERO + 310]


def key_bone(character, bone, value):
    animation = character.animation_data_create()
    action = compat.new_action("Mine", character.name)
    curve = compat.curve_bag(action).fcurves.new(f'pose.bones["{bone}"].rotation_quaternion', index=1)
    curve.keyframe_points.insert(1, value)
    compat.assign(animation, action)
    return action


def test_an_active_action_on_other_bones_is_left_alone(character):
    character.data.bones["root"].name = "Tail"
    mine = key_bone(character, "Tail", 0.3)
    result = apply(character)
    assert character.animation_data.action == mine
    assert result.warnings == []


def test_an_active_action_that_would_hide_the_gestures_is_pushed_down(character):
    mine = key_bone(character, "mixamorig:RightArm", 0.3)
    take = performance()
    result = apply(character, take)
    assert character.animation_data.action is None
    assert next(iter(tracks(character).items())) == ("Mine", ["Mine"])
    assert any("pushed down" in w for w in result.warnings)
    assert error_at(character, take.merged, 1.6) < 1.5
    assert [tuple(k.co) for c in compat.fcurves(mine) for k in c.keyframe_points] == [(1.0, pytest.approx(0.3))]
    rhythm = next(s.strip for s in strips.our_strips(character) if s.record.kind == "rhythm")
    assert rhythm.extrapolation == "NOTHING"  # their animation shows before and after


def test_an_action_made_on_top_of_the_gestures_stays_on_top(character):
    apply(character)
    mine = key_bone(character, "mixamorig:RightArm", 0.3)
    result = apply(character)
    assert character.animation_data.action == mine
    assert any("on top" in w for w in result.warnings)


def test_other_tracks_are_untouched(character):
    animation = character.animation_data_create()
    action = compat.new_action("Walk", character.name)
    compat.curve_bag(action).fcurves.new("location", index=0).keyframe_points.insert(1, 2.0)
    track = animation.nla_tracks.new()
    track.name = "Walk"
    compat.assign(track.strips.new("Walk", 1, action), action)
    before = metadata.strip_state(track.strips[0])
    apply(character)
    apply(character)
    assert metadata.strip_state(animation.nla_tracks["Walk"].strips[0]) == before
    assert animation.nla_tracks[0].name == "Walk"


def snapshot(obj):
    found = [(t.name, metadata.strip_state(s)) for t in obj.animation_data.nla_tracks for s in t.strips]
    return found, sorted(a.name for a in bpy.data.actions), obj.animation_data.action


@pytest.mark.parametrize(("home", "where"), [(linking, "_link_gesture"), (linking, "_link_rhythm"), (baking, "_write")])
def test_a_failure_leaves_everything_as_it_was(character, monkeypatch, home, where):
    key_bone(character, "mixamorig:LeftArm", 0.3)
    apply(character)
    before = snapshot(character)
    real, calls = getattr(home, where), []

    def failing(*args, **kwargs):
        calls.append(1)
        if len(calls) == (1 if where == "_link_rhythm" else 2):
            raise RuntimeError("out of memory")
        return real(*args, **kwargs)

    monkeypatch.setattr(home, where, failing)
    with pytest.raises(RuntimeError):
        apply(character, performance(seed=4))
    assert snapshot(character) == before


def test_a_failure_the_first_time_leaves_nothing(character, monkeypatch):
    mine = key_bone(character, "mixamorig:LeftArm", 0.3)
    monkeypatch.setattr(linking, "_link_gesture", lambda *_: (_ for _ in ()).throw(RuntimeError("no")))
    with pytest.raises(RuntimeError):
        apply(character)
    assert tracks(character) == {}
    assert character.animation_data.action == mine
    assert [a.name for a in bpy.data.actions] == ["Mine"]


def test_bad_motion_is_refused(character):
    take = performance()
    root = take.merged.root_positions.copy()
    root[5] = np.nan
    broken = replace(take, merged=replace(take.merged, root_positions=root), segments=())
    with pytest.raises(UserError):
        apply(character, broken)
    short = replace(take, rhythm=take.rhythm.slice(0, 1), merged=take.merged.slice(0, 1), segments=())
    with pytest.raises(UserError):
        apply(character, short)
    assert character.animation_data is None or tracks(character) == {}


def test_swapping_one_gesture_in_its_place(character):
    apply(character)
    old = next(s for s in strips.our_strips(character) if s.strip.name.startswith("THUMB"))
    new = segment("HAND RING", "Great,", 1, 0.9, 1.6, 2.6)
    take = performance(segments=(new, *SEGMENTS[1:]))
    find = nla.finder(bpy.context.scene, character, rigs.detect_bones(character))
    made = finish(nla.place_steps(find, take, [(new, old.strip.name)], frame_start=ZERO, source="voice", lock=True))
    assert made.placed == ["HAND RING · Great"]
    assert tracks(character)["Gestures: semantic"] == ["HAND RING · Great", "HALT · stop"]
    assert not [a for a in bpy.data.actions if a.name.startswith("THUMB")]
    assert error_at(character, take.merged, 1.6) < 1.5
    assert [s.changed for s in strips.our_strips(character)] == ["", "locked", "", ""]


def test_deleting_one_gesture(character):
    take = performance()
    apply(character, take)
    doomed = next(s.strip for s in strips.our_strips(character) if s.strip.name.startswith("SHRUG"))
    nla.delete_strip(character, doomed)
    assert "Gestures: semantic 2" not in tracks(character)
    assert error_at(character, take.rhythm, 5.8) < 0.5


def test_a_moved_strip_knows_its_new_times(character):
    apply(character)
    ours = next(s for s in strips.our_strips(character) if s.strip.name.startswith("THUMB"))
    assert nla.segment_now(ours, 24).stroke == pytest.approx(1.6, abs=0.01)
    compat.place_strip(ours.strip, ours.strip.frame_start + 12)
    moved = nla.segment_now(ours, 24)
    assert moved.stroke == pytest.approx(2.1, abs=0.01)
    assert moved.locked
    ours.strip.scale = 2.0
    assert nla.segment_now(ours, 24).start == pytest.approx(1.5, abs=0.01)
    assert nla.segment_now(ours, 24).stroke == pytest.approx(2.7, abs=0.05)


def test_frame_rates_with_a_base(character):
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = 30, 1.001
    apply(character)
    rhythm = strips.our_strips(character)[0].strip
    assert rhythm.frame_end - rhythm.frame_start == pytest.approx(8 * 30 / 1.001, abs=1.01)


def test_regenerating_while_a_strip_is_being_tweaked(character):
    apply(character)
    animation = character.animation_data
    ours = strips.our_strips(character)[1]
    animation.nla_tracks.active = ours.track
    for other in strips.our_strips(character):
        other.strip.select = False
    ours.strip.select = True
    animation.use_tweak_mode = True
    assert animation.use_tweak_mode
    take = performance(seed=7)
    apply(character, take, job="job2")
    assert not animation.use_tweak_mode
    assert animation.action is None
    assert error_at(character, take.merged, 1.6) < 1.5


def test_an_action_used_elsewhere_survives_under_its_name(character):
    apply(character)
    action = strips.our_strips(character)[1].strip.action
    action.use_fake_user = True
    apply(character, performance(seed=7))
    assert action.name.startswith("THUMB UP · Great")
    assert strips.our_strips(character)[1].strip.action != action


def test_one_character_does_not_disturb_the_other(character):
    other = rig_scenes.mixamo(Shape(roll_seed=9))
    apply(character)
    before = snapshot(character)[0]
    apply(other, performance(seed=5))
    apply(other, performance(seed=6))
    assert snapshot(character)[0] == before


def test_a_library_override_can_be_animated(character, tmp_path):
    name, library = character.name, str(tmp_path / "library.blend")
    bpy.ops.wm.save_as_mainfile(filepath=library)
    scene = rig_scenes.fresh()
    with bpy.data.libraries.load(library, link=True) as (_, into):
        into.objects = [name]
    scene.collection.objects.link(into.objects[0])
    with pytest.raises(UserError) as caught:
        apply(into.objects[0])
    assert caught.value.code == "linked_armature"
    override = into.objects[0].override_create(remap_local_usages=True)
    override.override_library.is_system_override = False
    take = performance()
    apply(override, take)
    assert error_at(override, take.merged, 1.6) < 1.5
