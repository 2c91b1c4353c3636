"""Any BVH: other axes, units, names, rest poses and frame rates; mapping files; jitter; and what is wrong with them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.bvh import write_bvh
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import Skeleton, canonical
from SG_dataset.compiler.compile import Compiled, compile_variant
from SG_dataset.compiler.rest import rest_pose
from SG_dataset.importing.clip import Options, import_clip
from SG_dataset.importing.joints import find_joints
from SG_dataset.importing.mapping import ImportMapping, read_mapping
from SG_dataset.importing.phases import Still, find_phases
from SG_dataset.importing.run import import_folder
from SG_dataset.importing.smooth import jitter, low_pass, without_glitches
from SG_dataset.importing.sources import plan
from SG_dataset.notation.read import gesture_files, read_gesture
from SG_dataset.open import open_library

Z_UP = rot.from_axis_angle([1.0, 0.0, 0.0], np.pi / 2)  # Blender's axes: Z up, facing -Y


@cache
def made(number: str) -> Compiled:
    spec = read_gesture(next(p for p in gesture_files() if p.name.startswith(number)))
    return compile_variant(spec, spec.variants[0])


def foreign(motion: Motion, rest: np.ndarray, axes: np.ndarray = rot.IDENTITY, scale: float = 1.0, name=str) -> Motion:
    """The same performance on a skeleton whose joints rest turned by `rest` (J, 4), in other axes and another unit."""
    sk = motion.skeleton
    parent = [rest[p] if p >= 0 else rot.IDENTITY for p in sk.parents]
    offsets = np.array([scale * rot.rotate(axes, rot.rotate(q, o)) for q, o in zip(parent, sk.offsets, strict=True)])
    ends = np.array(
        [scale * rot.rotate(axes, rot.rotate(rest[p], o)) for p, o in zip(sk.end_parents, sk.end_offsets, strict=True)]
    )
    world = motion.forward_kinematics()[1]
    world = rot.mul(rot.mul(axes, rot.mul(world, rot.inverse(rest))), rot.inverse(axes))
    local = world.copy()
    for j, p in enumerate(sk.parents):
        if p >= 0:
            local[:, j] = rot.mul(rot.inverse(world[:, p]), world[:, j])
    skeleton = Skeleton(tuple(name(n) for n in sk.names), sk.parents, offsets, sk.end_parents, ends)
    return Motion(motion.fps, skeleton, scale * rot.rotate(axes, motion.root_positions), rot.normalize(local))


def a_pose() -> np.ndarray:
    """Rest turns (J, 4): arms hang 45 degrees down with their hands and fingers."""
    turns = rot.identity(len(canonical()))
    for j, n in enumerate(canonical().names):
        if any(part in n for part in ("Arm", "Hand")):
            sign = -1.0 if n.startswith("Left") else 1.0
            turns[j] = rot.from_axis_angle([0.0, 0.0, 1.0], sign * np.radians(45))
    return turns


def heap() -> np.ndarray:
    """Rest turns (J, 4) that lay every bone along the same axis, as some exporters do."""
    sk, turns = canonical(), rot.identity(len(canonical()))
    ends = dict(zip(sk.end_parents, sk.end_offsets, strict=True))
    for j in range(len(sk)):
        children = [c for c in sk.children(j) if np.linalg.norm(sk.offsets[c]) > 0]
        bone = sk.offsets[children[-1]] if children else ends.get(j, np.array([0.0, 1.0, 0.0]))
        turns[j] = rot.between(bone, [0.0, 1.0, 0.0])
    return turns


def hand_error(clip, source: Motion) -> tuple[float, float]:
    """Largest error of the wrists' places (cm) and hands' turns (degrees) in stroke and hold."""
    times = np.arange(clip.phases.stroke_start, clip.phases.retraction, 1 / 60)
    (a, wa), (b, wb) = (m.forward_kinematics() for m in (clip.motion.at(times), source.at(times + clip.start)))
    hands = [canonical().index(s + "Hand") for s in ("Left", "Right")]
    turn = rot.angle(rot.mul(rot.inverse(wa[:, hands]), wb[:, hands]))
    return float(np.linalg.norm(a[:, hands] - b[:, hands], axis=-1).max()), float(np.degrees(turn.max()))


@pytest.mark.parametrize(
    ("rest", "axes", "scale", "order", "fps"),
    [
        (rot.identity(59), rot.IDENTITY, 1.0, "XYZ", 120.0),
        (a_pose(), rot.IDENTITY, 0.01, "YXZ", 60.0),
        (a_pose(), Z_UP, 0.0254, "ZYX", 60.0),
        (rot.identity(59), rot.from_axis_angle([0.0, 1.0, 0.0], 2.0), 10.0, "XZY", 50.0),
    ],
    ids=["canonical at 120", "A pose in metres", "Blender's axes", "facing elsewhere, millimetres"],
)
def test_rest_pose_axes_unit_and_order_do_not_matter(rest, axes, scale, order, fps, tmp_path):
    source = made("3123").motion
    write_bvh(foreign(source, rest, axes, scale).resample(fps), tmp_path / "a.bvh", order)
    clip = import_clip(tmp_path / "a.bvh")
    place, turn = hand_error(clip, source)
    assert place < 1.0 and turn < 3.0
    assert clip.phases.stroke + clip.start == pytest.approx(made("3123").phases.stroke, abs=0.1)
    hips = clip.motion.root_positions[:, 1]
    assert np.abs(hips - rest_pose()[0][1]).max() < 1.0


def test_a_rest_pose_that_is_no_body_is_read_from_the_first_frame(tmp_path):
    source = made("2021").motion
    write_bvh(foreign(source, heap()), tmp_path / "a.bvh")
    place, turn = hand_error(import_clip(tmp_path / "a.bvh"), source)
    assert place < 3.0 and turn < 6.0  # the first frame stands at ease, not in a T pose


def test_thirty_frames_per_second_become_sixty_without_corners(tmp_path):
    source = made("3123").motion
    write_bvh(source.resample(30.0), tmp_path / "a.bvh")
    clip = import_clip(tmp_path / "a.bvh")
    assert clip.motion.fps == 60 and hand_error(clip, source)[0] < 1.5
    assert jitter(clip.motion.rotations, 60.0) < 0.1


def test_jitter_and_glitches_are_taken_out_and_time_is_kept(tmp_path):
    rng, source = np.random.default_rng(5), made("3123").motion
    noise = rot.from_rotation_vector(np.radians(rng.normal(0, 0.8, (*source.rotations.shape[:2], 3))))
    shaken = rot.mul(source.rotations, noise)
    forearm = canonical().index("RightForeArm")
    shaken[100, forearm] = rot.mul(shaken[100, forearm], rot.from_axis_angle([0.0, 1.0, 0.0], 0.8))
    write_bvh(Motion(60.0, canonical(), source.root_positions, shaken), tmp_path / "a.bvh")
    clip = import_clip(tmp_path / "a.bvh")
    assert any("jitter of" in note for note in clip.notes)
    assert not any("in the middle" in note for note in clip.notes)  # a trembling hand at rest does rest
    assert jitter(shaken, 60.0) > 5 * jitter(clip.motion.rotations, 60.0)
    place, turn = hand_error(clip, source)
    assert place < 5.0 and turn < 4.0  # through eight shaken joints
    assert clip.phases.stroke + clip.start == pytest.approx(made("3123").phases.stroke, abs=0.1)


def test_the_low_pass_has_no_delay_and_keeps_five_hertz():
    time = np.arange(240) / 60
    slow, quick = np.sin(2 * np.pi * 4 * time), np.sin(2 * np.pi * 22 * time)
    got = low_pass((slow + quick)[:, None], 60.0)[:, 0]
    assert np.abs(got - slow)[30:-30].max() < 0.08


def test_a_glitch_is_bridged_and_a_quick_turn_is_not():
    turns = rot.from_axis_angle([0.0, 0.0, 1.0], np.clip(np.arange(60) - 20, 0, 8) * 0.2)[:, None]
    clean, count = without_glitches(turns)
    assert count == 0 and np.allclose(clean, turns)
    for length in (1, 2, 3):
        broken = turns.copy()
        broken[45 : 45 + length, 0] = rot.from_axis_angle([1.0, 0.0, 0.0], 1.0)
        clean, count = without_glitches(broken)
        assert count == length and rot.angle(rot.mul(rot.inverse(clean), turns)).max() < 0.01


def test_a_clip_cut_in_the_middle_gets_a_way_in_and_out(tmp_path):
    phases, source = made("3123").phases, made("3123").motion
    first, last = (round(t * 60) for t in (phases.stroke_start + 0.1, phases.stroke_end - 0.1))
    write_bvh(source.slice(first, last), tmp_path / "a.bvh")
    clip = import_clip(tmp_path / "a.bvh")
    assert len(clip.notes) == 2 and clip.start < 0
    assert rot.angle(rot.mul(rot.inverse(rest_pose()[1]), clip.motion.rotations[0])).max() < 1e-3
    hand = canonical().index("RightHand")
    speed = np.linalg.norm(np.diff(clip.motion.forward_kinematics()[0][:, hand], axis=0), axis=-1) * 60
    assert speed.max() < 400  # a hurried hand, not a jump


def test_stillness_is_no_gesture():
    with pytest.raises(Still):
        find_phases(Motion.rest(canonical(), 120, 60.0))


def test_numbered_fingers_count_from_the_thumb():
    names = ["Bip01", "Bip01 Pelvis", "Bip01 Spine", "Bip01 Neck", "Bip01 Head"]
    parents = [-1, 0, 1, 2, 3]
    for side in "LR":
        before = 2
        for part in ("Clavicle", "UpperArm", "Forearm", "Hand"):
            names.append(f"Bip01 {side} {part}")
            parents.append(before)
            before = len(names) - 1
        hand = before
        for finger in range(5):
            before = hand
            for bone in ("", "1", "2"):
                names.append(f"Bip01 {side} Finger{finger}{bone}")
                parents.append(before)
                before = len(names) - 1
    joints = find_joints(Skeleton(tuple(names), tuple(parents), np.ones((len(names), 3)))).joints
    assert joints["LeftHandThumb1"] == "Bip01 L Finger0" and joints["LeftHandThumb2"] == "Bip01 L Finger01"
    assert joints["RightHandPinky3"] == "Bip01 R Finger42"


# ---------------------------------------------------------------- mapping files

GIBBERISH = {n: f"b{i:02d}" for i, n in enumerate(canonical().names)}


def folder_with(tmp_path: Path, names: dict[str, str], rename=str) -> Path:
    source = tmp_path / "in"
    source.mkdir()
    for name, number in names.items():
        write_bvh(foreign(made(number).motion, rot.identity(59), name=rename), source / name)
    return source


def test_unknown_names_need_a_mapping_and_work_with_one(tmp_path):
    source = folder_with(tmp_path, {"a.bvh": "3123"}, lambda n: GIBBERISH[n])
    with pytest.raises(UserError) as caught:
        import_clip(source / "a.bvh")
    assert caught.value.code == "unknown_skeleton"
    clip = import_clip(source / "a.bvh", Options(GIBBERISH))
    assert hand_error(clip, made("3123").motion)[1] < 2.0


def test_a_mapping_file_names_gestures_texts_and_licence(tmp_path):
    source = folder_with(tmp_path, {"take 07.bvh": "3123", "take 08.bvh": "2021", "bad.bvh": "3123"})
    mapping = tmp_path / "map.yaml"
    mapping.write_text(
        "licence: CC-BY-4.0\nsource: our own studio\nname: studio\nexclude: ['bad*']\ngestures:\n"
        "- {label: BIG WAVE, id: '4711', files: ['take 07*'], stroke: 1.0, meanings: [hello],\n"
        "   examples: ['*Hello* there.']}\n"
        "- {label: Hands shrug, files: take 08.bvh}\n"
    )
    report = import_folder(source, tmp_path / "out", mapping)
    library = open_library(tmp_path / "out")
    assert library.info["name"] == "studio" and library.info["licence"] == "CC-BY-4.0"
    wave = library.gesture("4711")
    assert (wave.label, wave.meanings, wave.examples[0].word) == ("BIG WAVE", ("hello",), "Hello")
    assert report.used[-1]["stroke_in_file"] == pytest.approx(1.0, abs=0.01)
    assert library.gesture("2021").label == "Hands shrug"  # the id of the list, found by the label
    assert report.left_out == [("bad.bvh", "left out by the mapping file")]


def test_a_table_may_hold_the_gestures(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("x1.bvh", "x2.bvh"):
        (tmp_path / "in" / name).touch()
    (tmp_path / "t.csv").write_text("file,id,label,meanings\nx1.bvh,31,BELLY RUB,hungry; tasty\nx2.bvh,,NEW ONE,\n")
    (tmp_path / "m.json").write_text(json.dumps({"table": "t.csv"}))
    work = plan(tmp_path / "in", read_mapping(tmp_path / "m.json"))
    assert [(g.id, g.label, g.meanings) for g in work.gestures] == [
        ("0031", "BELLY RUB", ("hungry", "tasty")),
        ("9000", "NEW ONE", ()),
    ]


def test_without_a_list_names_make_the_gestures(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("Thumb_Up-2.bvh", "thumb_up-3.BVH", "my_dance 1.bvh", "my_dance.bvh"):
        (tmp_path / "in" / name).touch()
    gestures = plan(tmp_path / "in", ImportMapping()).gestures
    assert [(g.id, g.label, [t.path.name for t in g.takes]) for g in gestures] == [
        ("3232", "THUMB UP", ["Thumb_Up-2.bvh", "thumb_up-3.BVH"]),
        ("9000", "my dance", ["my_dance 1.bvh", "my_dance.bvh"]),
    ]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("joints: [1]", "joints"),
        ("frames: 3", "no field 'frames'"),
        ("rest: sitting", "rest must be"),
        ("fps: fast", "fps"),
        ("gestures: [{id: '1'}]", "label"),
        ("gestures: [{label: A, id: 0031}]", "quotes"),
        ("gestures: [{label: A, id: '31'}]", "four digits"),
        ("gestures: [{label: A, stroke: soon}]", "stroke"),
        ("gestures: {a: b}", "must be a list"),
        ("- a", "fields"),
        ("a: [", "neither JSON nor YAML"),
    ],
)
def test_mistakes_in_a_mapping_file_are_named(text, word, tmp_path):
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        read_mapping(tmp_path / "m.yaml")
    assert word in caught.value.message and caught.value.hint


def test_a_mapping_to_joints_that_are_not_there_is_said_per_file(tmp_path):
    source = folder_with(tmp_path, {"a.bvh": "3123"})
    with pytest.raises(UserError, match="no bone called nothing"):
        import_clip(source / "a.bvh", Options({"Hips": "nothing"}))
