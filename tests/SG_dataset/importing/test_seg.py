"""A folder in the data set's exact layout becomes a library without a word of hand-work."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import re
import shutil
import sys
import threading
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.cli import main
from SG_dataset.compiler.compile import Compiled, compile_variant
from SG_dataset.importing.clip import LARGEST, Clip, Options, import_clip
from SG_dataset.importing.joints import find_joints
from SG_dataset.importing.mapping import ImportMapping
from SG_dataset.importing.pool import Job, convert_all
from SG_dataset.importing.report import ImportReport, _gathered
from SG_dataset.importing.run import import_folder
from SG_dataset.importing.sources import normal, plan, seg_labels
from SG_dataset.notation.read import gesture_files, read_gesture
from SG_dataset.open import open_library


def _load(name: str):
    """The generator beside this file (tests are collected without packages)."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


seg = _load("seg_files")
IDS = {"wave": "3123", "tap": "0112", "knock": "1101", "shrug": "2021", "clap": "1332", "shake": "2022"}


@cache
def made(gesture: str, variant: int = 1) -> Compiled:
    path = next(p for p in gesture_files() if p.name.startswith(IDS[gesture]))
    spec = read_gesture(path)
    return compile_variant(spec, spec.variants[variant - 1])


def write(gesture: str, folder: Path, name: str, anchor: str = "shoulders", variant: int = 1) -> Path:
    path = folder / name
    seg.write_file(seg.seg_motion(made(gesture, variant).motion, anchor), path)
    return path


def overlap(clip, source: Motion) -> tuple[Motion, Motion]:
    """Imported and original motion at the same instants, from the stroke's start to the end of the hold."""
    times = np.arange(clip.phases.stroke_start, clip.phases.retraction, 1 / 60)
    return clip.motion.at(times), source.at(times + clip.start)


def degrees_between(a: np.ndarray, b: np.ndarray) -> float:
    cosine = np.sum(rot.normalize(a) * rot.normalize(b), axis=-1)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).max())


# ---------------------------------------------------------------- the list and the names


def layout(folder: Path, variants: int = 2) -> Path:
    """The folder with its workbook and empty files for all 208 gestures."""
    (folder / "bvh").mkdir(parents=True)
    labels = dict(reversed(seg_labels().items()))
    seg.write_list(folder / "SeG_list.xlsx", labels)
    for number, label in labels.items():
        for n in range(1, variants + 1):
            (folder / "bvh" / seg.file_name(number, label, n)).touch()
    return folder


def test_the_made_skeleton_is_the_data_sets():
    assert len(seg.SKELETON) == 51 and len(seg.SKELETON.end_parents) == 13
    assert len(seg_labels()) == 208


def test_every_listed_gesture_finds_its_files(tmp_path):
    work = plan(layout(tmp_path / "SeG"), ImportMapping())
    assert {g.id for g in work.gestures} == set(seg_labels())
    assert not work.unmatched and not work.without_files
    for g in work.gestures:
        assert normal(g.label) == normal(seg_labels()[g.id])
        assert "[" not in g.label
        assert all(normal(t.path.stem).startswith(normal(g.label)) for t in g.takes)
        assert [t.number for t in g.takes] == ([0] if g.id == "3131" else [1, 2])


def test_ids_keep_their_leading_zeros_where_the_workbook_lost_them(tmp_path):
    ids = [g.id for g in plan(layout(tmp_path / "SeG", 1), ImportMapping()).gestures]
    assert "0000" in ids and "0031" in ids and all(len(i) == 4 for i in ids)


def test_the_bvh_folder_alone_finds_the_list_beside_it(tmp_path):
    folder = layout(tmp_path / "SeG", 1)
    assert plan(folder / "bvh", ImportMapping()).list_file == folder / "SeG_list.xlsx"


def test_texts_come_from_the_list(tmp_path):
    gesture = next(g for g in plan(layout(tmp_path / "SeG", 1), ImportMapping()).gestures if g.id == "3232")
    assert gesture.meanings == ("meaning of thumb up", "another one")
    assert [(e.text, e.word) for e in gesture.examples] == [
        ("A sentence for thumb here.", "thumb"),
        ("Another sentence.", ""),
    ]
    assert gesture.source == "somebody"


def test_a_misspelt_name_is_guessed_only_when_nobody_else_has_that_gesture(tmp_path):
    folder = layout(tmp_path / "SeG", 1)
    (folder / "bvh" / "HEART_CLASP-1.bvh").rename(folder / "bvh" / "HAERT_CLASP-1.bvh")
    (folder / "bvh" / "THUMB_UPP-1.bvh").touch()
    work = plan(folder, ImportMapping())
    assert next(g for g in work.gestures if g.id == "3201").takes[0].note == "its name was taken for HEART CLASP"
    assert [p.name for p, _ in work.unmatched] == ["THUMB_UPP-1.bvh"]


def test_all_fifty_one_joints_are_known():
    found = find_joints(seg.SKELETON)
    assert len(found.joints) == 49  # toes have no joint of ours
    assert dict(found.joints) == seg.PLAYS


# ---------------------------------------------------------------- motion


@pytest.mark.parametrize("gesture", ["wave", "knock", "shrug"])
def test_limbs_and_palms_keep_their_directions(gesture, tmp_path):
    source = seg.seg_motion(made(gesture).motion, "")
    seg.write_file(source, tmp_path / "a.bvh")
    clip = import_clip(tmp_path / "a.bvh")
    ours, theirs = overlap(clip, source)
    a, b = ours.forward_kinematics()[0], theirs.forward_kinematics()[0]
    sk = canonical()

    def pair(start: str, end: str) -> tuple[np.ndarray, np.ndarray]:
        names = (seg.PLAYS[start], seg.PLAYS[end])
        i, j = (seg.SKELETON.index(n) for n in names)
        return a[:, sk.index(end)] - a[:, sk.index(start)], b[:, j] - b[:, i]

    side = "Right"
    for start, end in (
        ("Arm", "ForeArm"),
        ("ForeArm", "Hand"),
        ("HandIndex1", "HandIndex2"),
        ("HandMiddle2", "HandMiddle3"),
        ("HandThumb1", "HandThumb2"),
    ):
        assert degrees_between(*pair(side + start, side + end)) < 3.0, (start, end)
    for mine, other in zip(
        palm(a, sk, {n: n for n in sk.names}, side), palm(b, seg.SKELETON, seg.PLAYS, side), strict=True
    ):
        assert degrees_between(mine, other) < 3.0


def palm(places: np.ndarray, skeleton, names: dict[str, str], side: str) -> tuple[np.ndarray, np.ndarray]:
    """Direction of a hand to its knuckles, and its palm's normal, from places alone."""
    at = {f: places[:, skeleton.index(names[f"{side}Hand{f}"])] for f in ("", "Index1", "Middle1", "Ring1", "Pinky1")}
    along = np.mean([at[f] for f in at if f], axis=0) - at[""]
    return along, np.cross(along, at["Index1"] - at["Pinky1"])


@pytest.mark.parametrize("gesture", list(IDS))
def test_strokes_are_found_within_a_tenth_of_a_second(gesture, tmp_path):
    clip = import_clip(write(gesture, tmp_path, "a.bvh", "head" if gesture == "tap" else "shoulders"))
    truth, found = made(gesture).phases, clip.phases
    for phase in ("stroke_start", "stroke", "stroke_end", "retraction"):
        assert getattr(found, phase) + clip.start == pytest.approx(getattr(truth, phase), abs=0.1), phase
    assert clip.hand == {"shrug": "both", "clap": "both", "shake": "none"}.get(gesture, "right")


@pytest.mark.parametrize(
    "number", ["0113", "0232", "1102", "1232", "3210"], ids=["wipe then flick", "zip", "brush", "spiral", "kiss"]
)
def test_the_first_beat_is_found_where_a_stroke_goes_on_or_ends_in_a_flick(number, tmp_path):
    spec = read_gesture(next(p for p in gesture_files() if p.name.startswith(number)))
    source = compile_variant(spec, spec.variants[0])
    seg.write_file(seg.seg_motion(source.motion, "head" if number < "1000" else "shoulders"), tmp_path / "a.bvh")
    clip = import_clip(tmp_path / "a.bvh")
    assert clip.phases.stroke + clip.start == pytest.approx(source.phases.stroke, abs=0.25)
    assert clip.phases.stroke_start + clip.start == pytest.approx(source.phases.stroke_start, abs=0.1)


def test_a_foot_that_slides_without_being_lifted_stands(tmp_path):
    source = seg.seg_motion(made("wave").motion)
    drift = 3.5 * np.sin(np.linspace(0, 6, len(source)))[:, None] * np.array([1.0, 0.0, 0.6])
    seg.write_file(Motion(60.0, seg.SKELETON, source.root_positions + drift, source.rotations), tmp_path / "a.bvh")
    motion = import_clip(tmp_path / "a.bvh").motion
    ankles = motion.forward_kinematics()[0][:, [canonical().index(s + "Foot") for s in ("Left", "Right")]]
    assert np.ptp(ankles, axis=0).max() < 0.3
    assert np.ptp(motion.root_positions[:, 0]) > 5.0  # the hips sway over them


def test_feet_stand_on_the_floor_and_both_ends_rest(tmp_path):
    clip = import_clip(write("wave", tmp_path, "a.bvh"))
    places = clip.motion.forward_kinematics()[0]
    rest = canonical().rest_positions()
    for side in ("Left", "Right"):
        foot = canonical().index(side + "Foot")
        assert np.abs(places[:, foot, 1] - rest[foot, 1]).max() < 0.2
        assert np.ptp(places[:, foot], axis=0).max() < 0.2
    assert clip.motion.fps == 60
    assert np.allclose(clip.motion.rotations[0], clip.motion.rotations[-1], atol=1e-6)
    hips = clip.motion.root_positions[:, 1]
    assert np.abs(hips - rest[0, 1]).max() < 3.0  # our leg length, not the actor's


def test_clapping_hands_meet_and_a_tapping_finger_reaches_the_forehead_on_our_body(tmp_path):
    sk = canonical()
    right, left, head = (sk.index(n) for n in ("RightHand", "LeftHand", "Head"))
    for gesture, anchor, a, b, least in (("clap", "shoulders", right, left, 16.0), ("tap", "head", right, head, 30.0)):
        source = made(gesture).motion
        clip = import_clip(write(gesture, tmp_path, "a.bvh", anchor))
        got, wanted = (m.forward_kinematics()[0] for m in overlap(clip, source))
        apart = np.linalg.norm(wanted[:, a] - wanted[:, b], axis=-1)
        near = apart < max(least, apart.min() + 1)
        error = np.linalg.norm((got[:, a] - got[:, b]) - (wanted[:, a] - wanted[:, b]), axis=-1)
        assert error[near].max() < 3.0


def test_without_fingers_it_is_used_and_said(tmp_path):
    motion = seg.seg_motion(made("wave").motion)
    keep = [i for i, n in enumerate(motion.skeleton.names) if "Finger" not in n]
    new = {old: i for i, old in enumerate(keep)}
    skeleton = type(motion.skeleton)(
        tuple(motion.skeleton.names[i] for i in keep),
        tuple(new.get(motion.skeleton.parents[i], -1) for i in keep),
        motion.skeleton.offsets[keep],
    )
    seg.write_file(Motion(60.0, skeleton, motion.root_positions, motion.rotations[:, keep]), tmp_path / "a.bvh")
    clip = import_clip(tmp_path / "a.bvh")
    assert "no fingers: hands stay relaxed" in clip.notes and clip.hand == "right"


# ---------------------------------------------------------------- whole imports


def break_files(folder: Path, whole: Path) -> dict[str, str]:
    """Broken files of every kind, with a word of what is to be said about each."""
    text = whole.read_text()
    lines = text.splitlines()
    frame = next(i for i, line in enumerate(lines) if line.startswith("Frame Time"))
    head = "\n".join(lines[: frame + 1])
    still = "\n".join([head, *[lines[frame + 1]] * (len(lines) - frame - 1)])
    second = text[text.index("ROOT") : text.index("MOTION")]
    broken = {
        "PALM_HALT-1": ("", "HIERARCHY"),
        "PALM_HALT-2": ("\n".join(lines[: frame + 40]), "it ends after"),
        "PALM_HALT-3": (text.replace("MOTION", second + "MOTION", 1), "more than one skeleton"),
        "PALM_HALT-4": (head + "\n" + "nan " * len(lines[frame + 1].split()) * (len(lines) - frame - 1), "not finite"),
        "PALM_HALT-5": (text.replace("Shoulder", "Foo").replace("Elbow", "Bar"), "upper arm"),
        "PALM_HALT-6": (still, "Nothing moves"),
        "PALM_HALT-7": (text[: text.index("MOTION") // 2], "HIERARCHY"),
    }
    for name, (content, _) in broken.items():
        (folder / f"{name}.bvh").write_text(content)
    (folder / "PALM_HALT-8.bvh").write_bytes(bytes(range(256)) * 50)
    return {f"bvh/{name}.bvh": word for name, (_, word) in broken.items()} | {"bvh/PALM_HALT-8.bvh": "HIERARCHY"}


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> tuple[Path, Path, dict[str, str]]:
    """A small download, imported by the command; source, library and what is broken."""
    folder = tmp_path_factory.mktemp("seg") / "SeG"
    (folder / "bvh").mkdir(parents=True)
    wanted = ("3123", "0112", "3131", "0000", "2300")
    seg.write_list(folder / "SeG_list.xlsx", {k: v for k, v in seg_labels().items() if k in wanted})
    (folder / "LICENSE").write_text("For research.")
    first = write("wave", folder / "bvh", "HAND_WAVE-1.bvh")
    write("wave", folder / "bvh", "HAND_WAVE-2.bvh", variant=2)
    write("tap", folder / "bvh", "FOREHEAD_FINGER-TAP-1.bvh", "head")
    write("knock", folder / "bvh", "FOREFINGER_RAISE.bvh")
    write("knock", folder / "bvh", "FOREFINGER_AND_MIDDLE_FINGERSMOKE-3.bvh")
    write("knock", folder / "bvh", "NOT_IN_THE_LIST-1.bvh")
    broken = break_files(folder / "bvh", first)
    target = folder.parent / "mine"
    assert main(["import", str(folder), "-o", str(target), "--quiet"]) == 0
    return folder, target, broken


def test_the_library_holds_what_could_be_used(imported):
    library = open_library(imported[1])
    assert {g.id: [v.number for v in g.variants] for g in library.gestures.values()} == {
        "0000": [1],  # its only file is the third: variants count from 1
        "0112": [1],
        "3123": [1, 2],
        "3131": [1],
    }
    assert [v.hand for v in library.gesture("3123").variants] == ["right", "left"]
    assert library.preview("3123").startswith(b"\x89PNG")
    assert "non-commercial" in library.info["licence"] and library.info["kind"] == "imported"
    assert library.gesture("3123").tags["source"] == "somebody"
    motion = library.gesture("3123").variants[0].motion()
    assert motion.fps == 60 and motion.skeleton.same_as(canonical())


def test_what_could_not_be_used_is_reported_with_the_reason(imported):
    report = json.loads((imported[1] / "import_report.json").read_text())
    why = {entry["file"]: entry["why"] for entry in report["left_out"]}
    for name, word in imported[2].items():
        assert word in why[name], name
    assert "no gesture of the list" in why["bvh/NOT_IN_THE_LIST-1.bvh"]
    assert set(why) == {*imported[2], "bvh/NOT_IN_THE_LIST-1.bvh"}
    assert report["listed_without_files"] == ["2300 PALM HALT"]
    assert report["variants"] == 5 and report["files"] == 5 + len(why)


def test_the_licence_comes_along(imported):
    assert (imported[1] / "source-LICENSE").read_text() == "For research."


def test_the_imported_library_passes_the_check(imported, capsys):
    assert main(["check", str(imported[1])]) == 0, capsys.readouterr().out


def test_its_motions_can_be_looked_at(imported, tmp_path, capsys):
    look = ["--library", str(imported[1]), "--cell", "60"]
    for name, out in (("3123", "wave.png"), ("all", "all.png"), ("all", "sheets")):
        assert main(["preview", name, "-o", str(tmp_path / out), *look]) == 0
    with Image.open(tmp_path / "wave.png") as two, Image.open(tmp_path / "sheets/3123.png") as one:
        assert two.height == 2 * one.height  # every variant, and the first alone
    assert {p.name for p in (tmp_path / "sheets").iterdir()} == {"0000.png", "0112.png", "3123.png", "3131.png"}
    assert main(["preview", "0000", "--variant", "3", "-o", str(tmp_path / "x.png"), *look]) == 2
    assert "no variant 3" in capsys.readouterr().err


def test_over_ours_the_users_gestures_go_first(imported):
    ours, both = open_library("starter"), open_library(f"{imported[1]}+starter")
    assert set(both.gestures) == set(ours.gestures) | {"0000", "0112", "3123", "3131"}
    assert both.gesture("3123").variants[0].source.parent == imported[1]


def test_layers_fall_through_gesture_by_gesture(imported, tmp_path):
    lower = tmp_path / "lower"
    import_folder(small(tmp_path), lower)
    above, below = open_library(imported[1]), open_library(lower)
    both = open_library([imported[1], lower])
    assert both.gesture("3123").variants == above.gesture("3123").variants
    assert both.gesture("1101").variants == below.gesture("1101").variants
    assert both.preview("3123") == above.preview("3123") and both.preview("1101") == below.preview("1101")
    assert len(both) == len(above) + 1


def test_the_same_folder_gives_the_same_library(imported, tmp_path):
    source = tmp_path / "SeG"
    (source / "bvh").mkdir(parents=True)
    for name in ("SeG_list.xlsx", "bvh/HAND_WAVE-1.bvh"):
        shutil.copyfile(imported[0] / name, source / name)
    digests = []
    for target in ("a", "b"):
        import_folder(source, tmp_path / target)
        digests.append([v.digest for v in open_library(tmp_path / target).gesture("3123").variants])
    assert digests[0] == digests[1]


def small(tmp_path: Path) -> Path:
    source = tmp_path / "in"
    source.mkdir()
    write("wave", source, "HAND_WAVE-1.bvh")
    write("knock", source, "FIST_KNOCK-1.bvh")
    return source


def test_cancelling_leaves_nothing_behind_and_keeps_the_old_library(tmp_path, capsys, monkeypatch):
    source, target = small(tmp_path), tmp_path / "out"

    def cancelling() -> Progress:
        stop = threading.Event()
        return Progress(lambda _, share: stop.set() if share == 0.5 else None, stop)

    with pytest.raises(Cancelled):
        import_folder(source, target, progress=cancelling())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]
    import_folder(source, target)
    before = (target / "library.zip").read_bytes()
    with pytest.raises(Cancelled):
        import_folder(source, target, progress=cancelling())
    assert (target / "library.zip").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def test_several_processes_give_the_same_in_the_same_order_and_end(tmp_path):
    source = small(tmp_path)
    (source / "HAND_WAVE-2.bvh").write_text("no motion")
    jobs = [Job(path, Options()) for path in sorted(source.iterdir())]
    alone, together = (list(convert_all(jobs, workers)) for workers in (1, 2))
    assert [type(r) for r in together] == [Clip, Clip, UserError]
    assert alone[2].to_json() == together[2].to_json()
    for a, b in zip(alone[:2], together[:2], strict=True):
        assert np.array_equal(a.motion.rotations, b.motion.rotations) and a.phases == b.phases
    unfinished = convert_all(jobs * 20, 2)
    next(unfinished)
    unfinished.close()
    assert not multiprocessing.active_children()


def test_what_to_do_about_unknown_skeletons_is_said_once(tmp_path, capsys):
    source = small(tmp_path)
    whole = (source / "HAND_WAVE-1.bvh").read_text()
    for number in (2, 3):
        (source / f"HAND_WAVE-{number}.bvh").write_text(re.sub(r"(ROOT|JOINT) (\w)\w*", r"\1 \2", whole))
    assert main(["import", str(source), "-o", str(tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr().out.count("mapping file (see docs/own-library.md)") == 1


def test_remarks_that_differ_in_numbers_share_a_line():
    report = ImportReport(Path("in"), Path("out"))
    report.remarks = [
        ("a", "jitter of 0.9 degrees removed"),
        ("b", "no fingers"),
        ("c", "jitter of 0.4 degrees removed"),
    ]
    assert "  jitter of 0.4 to 0.9 degrees removed (a and 1 more)\n  no fingers (b)\n" in report.text()


def test_progress_counts_every_file(tmp_path):
    seen = []
    import_folder(small(tmp_path), tmp_path / "out", progress=Progress(lambda _, share: seen.append(share)))
    assert seen == [0.0, 0.5, 1.0]


def test_bad_places_are_refused(tmp_path):
    source = small(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("precious")
    (tmp_path / "empty").mkdir()
    for folder, target, code in (
        (source, tmp_path / "other", "cannot_write"),
        (source, source, "cannot_write"),
        (tmp_path / "nowhere", tmp_path / "out", "file_not_found"),
        (tmp_path / "empty", tmp_path / "out", "no_motion"),
    ):
        with pytest.raises(UserError) as caught:
            import_folder(folder, target)
        assert caught.value.code == code
    assert (tmp_path / "other" / "thesis.txt").read_text() == "precious"


def test_nothing_usable_writes_nothing(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.bvh").write_text("no motion")
    assert main(["import", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--quiet"]) == 2
    assert "None of the 1 files could be used" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    source = small(tmp_path)
    closed = source / "more"
    closed.mkdir(0o000)
    if os.access(closed, os.R_OK):
        pytest.skip("this user may read everything")
    assert plan(source, ImportMapping()).unmatched == [(closed, "the folder cannot be read")]
    with pytest.raises(UserError, match="that can be read") as caught:
        plan(closed, ImportMapping())
    assert caught.value.code == "file_not_found"


def test_a_file_too_large_for_one_gesture_is_not_read(tmp_path):
    path = write("wave", tmp_path, "a.bvh")
    with path.open("r+b") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(UserError, match="larger than 200 MB"):
        import_clip(path)


def test_a_broken_list_is_said(tmp_path):
    source = small(tmp_path)
    (source / "SeG_list.xlsx").write_bytes(b"no workbook")
    with pytest.raises(UserError) as caught:
        import_folder(source, tmp_path / "out")
    assert caught.value.code == "bad_list"


def test_remarks_alike_but_for_numbers_are_one_line() -> None:
    remarks = [("a", "jitter of 1.5 degrees removed"), ("b", "jitter of 0.5 degrees removed"), ("c", "taken for G #"),
               ("d", "taken for G 5")]  # fmt: skip
    assert _gathered(remarks)[0] == "jitter of 0.5 to 1.5 degrees removed (a and 1 more)"
    assert sorted(_gathered(remarks)[1:]) == ["taken for G # (c)", "taken for G 5 (d)"]
