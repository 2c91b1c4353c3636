"""The whole way, with the real library and recorded speech; only the weights are tiny."""

from __future__ import annotations

import io
import itertools
import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.analysis import find_words, load, read_script, trimmed
from backend.gestures.place import LATEST
from backend.pipeline import generate
from backend.resources import Resources
from backend.speech.audio import Audio
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.manner import PRESETS
from sg_blender_addon.core.performance import Performance
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.protocol import GenerateSettings
from sg_blender_addon.core.timeline import Segment
from sg_blender_addon.core.wire import motion_arrays, motion_from, pack, unpack
from tests.backend.conftest import ROOT, Serving

SPEECH = ROOT / "demo" / "speech.flac"
SCRIPT = (ROOT / "demo" / "speech.txt").read_text("utf-8")


@pytest.fixture(scope="module")
def resources() -> Resources:
    return Resources("cpu")


@pytest.fixture(scope="module")
def settings(tiny_weights: Path) -> GenerateSettings:
    return GenerateSettings(weights=str(tiny_weights), script=SCRIPT, density=1.0, seed=3, fps=30.0)


@pytest.fixture(scope="module")
def performance(resources: Resources, settings: GenerateSettings) -> Performance:
    return generate(SPEECH, settings, resources)


def test_words_and_gestures_stand_on_the_timeline(performance: Performance) -> None:
    assert len(performance.words) == len(SCRIPT.split())
    assert len(performance.segments) >= 2
    for segment in performance.segments:
        word = performance.words[segment.word_index]
        assert segment.word == word.text and abs(segment.stroke - word.start) <= LATEST + 1e-6
        assert 0 <= segment.start <= segment.stroke <= segment.end <= performance.audio_info["seconds"]
        assert segment.label and segment.blend in ("motion", "codes")
    for a, b in itertools.pairwise(performance.segments):
        assert a.stroke < b.stroke


def test_merged_differs_from_rhythm_only_in_gestures(performance: Performance) -> None:
    rhythm, merged = performance.rhythm, performance.merged
    assert len(rhythm) == len(merged) == round(performance.audio_info["seconds"] * 30) and rhythm.fps == 30.0
    turned = rot.angle(rot.mul(rot.inverse(rhythm.rotations), merged.rotations)).max(axis=1)
    times = np.arange(len(rhythm)) / 30
    inside = np.zeros(len(times), dtype=bool)
    for s in performance.segments:
        inside |= (times >= s.start - 0.3) & (times <= s.end + 0.3)
        stroke = int(s.stroke * 30)
        assert turned[stroke] > 0.1
    assert turned[~inside].max(initial=0.0) < 1e-3


def test_report_is_the_contract(performance: Performance) -> None:
    report = json.loads(json.dumps(performance.report()))
    assert set(report) == {"audio", "words", "segments", "timing", "warnings"}
    assert set(report["words"][0]) == {"text", "start", "end"}
    first = report["segments"][0]
    assert {"gesture_id", "label", "variant", "word", "word_index", "start", "stroke", "end", "confidence",
            "alternatives"} <= set(first)  # fmt: skip
    assert set(first["alternatives"][0]) == {"gesture_id", "label", "confidence"}
    assert report["timing"]["total_s"] > 0
    written = io.BytesIO()
    performance.write(written)
    meta, arrays = unpack(written)
    assert motion_from("merged", meta, arrays).rotations.shape == performance.merged.rotations.shape


def test_locked_segments_survive_regeneration(
    performance: Performance, resources: Resources, settings: GenerateSettings
) -> None:
    kept = replace(performance.segments[0], locked=True)
    again = generate(SPEECH, replace(settings, seed=99, locked=(kept,)), resources)
    (same,) = [s for s in again.segments if s.locked]
    assert same == kept
    broken = replace(kept, gesture_id="none")
    with pytest.raises(UserError, match="no variant"):
        generate(SPEECH, replace(settings, locked=(broken,)), resources)


def test_a_manner_in_the_script_is_the_manner(resources: Resources) -> None:
    """The starter moves otherwise; the directed script moves as the setting would."""
    plain = GenerateSettings(script=SCRIPT, seed=3, fps=30.0)
    chosen = generate(SPEECH, replace(plain, manner=PRESETS["lively"]), resources)
    directed = generate(SPEECH, replace(plain, script=f"[manner: lively] {SCRIPT}"), resources)
    assert np.array_equal(directed.merged.rotations, chosen.merged.rotations) and directed.segments == chosen.segments
    ordinary = generate(SPEECH, plain, resources)
    assert not np.array_equal(ordinary.rhythm.rotations, chosen.rhythm.rotations)
    assert not any("one manner" in w for w in chosen.warnings)


def test_weights_without_a_manner_say_so(resources: Resources, settings: GenerateSettings) -> None:
    asked = generate(SPEECH, replace(settings, manner=PRESETS["calm"]), resources)
    assert any("move in one manner only" in w for w in asked.warnings)


def test_silence_gives_an_idle_that_can_be_repeated(resources: Resources) -> None:
    idle = generate(Audio.from_samples(np.zeros(20 * 16000, np.float32), 16000), GenerateSettings(), resources).merged
    hips = idle.root_positions
    assert np.ptp(hips[:, 0]) > 2.0, "somebody who stands for twenty seconds changes the leg"
    assert np.linalg.norm(hips[-1] - hips[0]) < 1.0
    turned = np.degrees(rot.angle(rot.mul(rot.inverse(idle.rotations[0]), idle.rotations[-1])))
    assert np.median(turned) < 0.5 and turned.max() < 6.0


def test_a_range_gets_gestures_only_there(resources: Resources, settings: GenerateSettings) -> None:
    ranged = generate(SPEECH, replace(settings, range_start=5.0, range_end=12.0), resources)
    assert ranged.segments and all(5.0 <= ranged.words[s.word_index].start < 12.0 for s in ranged.segments)


STAGES = (
    "Reading the recording", "Finding the words", "Listening to the rhythm", "Generating motion", "Choosing gestures",
    "Building the motion", "Blending gestures",
)  # fmt: skip


@pytest.mark.parametrize("when", STAGES)
def test_cancel_within_any_stage(settings: GenerateSettings, when: str) -> None:
    """Not only between stages: over an hour of speech each of them takes a minute."""
    stop = threading.Event()
    seen: list[str] = []

    def listen(stage: str, fraction: float) -> None:
        seen.append(stage)
        if stage == when:
            stop.set()

    with pytest.raises(Cancelled):
        generate(SPEECH, settings, Resources("cpu"), Progress(listen, stop))
    assert seen[-1] == when and seen.count(when) == 1


def test_every_stage_says_how_far_it_is(settings: GenerateSettings) -> None:
    said: dict[str, list[float]] = {}
    progress = Progress(lambda stage, fraction: said.setdefault(stage, []).append(fraction))
    generate(SPEECH, settings, Resources("cpu"), progress)
    assert [stage for stage in said if stage in STAGES] == list(STAGES)
    everything = [fraction for stage in said for fraction in said[stage]]
    assert everything == sorted(everything) and everything[-1] == 1.0


def test_trims_and_speed_are_trimmed(settings: GenerateSettings) -> None:
    audio = load(SPEECH)
    part = trimmed(audio, replace(settings, audio_start=2.0, audio_end=6.0))
    assert part.seconds == pytest.approx(4.0) and len(part.speech) == 64000 and part.sha256 == audio.sha256
    fast = trimmed(audio, replace(settings, audio_start=2.0, audio_end=6.0, speed=2.0))
    assert fast.seconds == pytest.approx(2.0) and len(fast.speech) == pytest.approx(32000, abs=2)
    with pytest.raises(UserError, match="empty"):
        trimmed(audio, replace(settings, audio_start=500.0))
    subtitles = "1\n00:00:04,000 --> 00:00:06,000\nHello everyone\n"
    given = read_script(replace(settings, script=subtitles, script_kind="srt", audio_start=2.0, speed=2.0))
    assert (given.cues[0].start, given.cues[0].end) == (1.0, 2.0)


def test_words_of_a_trimmed_strip_start_at_its_start(settings: GenerateSettings) -> None:
    audio = load(SPEECH)
    whole, _ = find_words(audio, settings, Progress())
    cut = whole[9].start - 0.1
    rest = replace(settings, audio_start=cut, script=" ".join(w.text for w in whole[9:]))
    heard, _ = find_words(trimmed(audio, rest), rest, Progress())
    late = [b.start + cut - a.start for a, b in zip(whole[9:], heard, strict=True)]
    assert np.median(np.abs(late)) < 0.03


def test_gestures_and_blend_over_http(server: Serving, performance: Performance) -> None:
    gestures = server.client.get("/v1/gestures").json()["gestures"]
    assert len(gestures) >= 24 and all(len(g["id"]) == 4 for g in gestures)
    found = server.client.get("/v1/gestures", params={"q": "hello goodbye waving"}).json()["gestures"]
    assert "WAVE" in " ".join(g["label"] for g in found[:3])
    first = gestures[0]
    answer = server.client.get(f"/v1/gestures/{first['id']}/{first['variants'][0]['number']}")
    meta, arrays = unpack(answer.content)
    assert arrays["rotations"].shape[1:] == (59, 4) and meta["label"] == first["label"]
    assert set(meta["phases"]) == {"stroke_start", "stroke", "stroke_end", "retraction"}
    for query in ({}, {"variant": 1}):
        picture = server.client.get(f"/v1/gestures/{first['id']}/preview", params=query)
        assert picture.headers["content-type"] == "image/png" and picture.content.startswith(b"\x89PNG")
    for path in ("/v1/gestures/9999/1", f"/v1/gestures/{first['id']}/99", f"/v1/gestures/{first['id']}/x"):
        assert server.client.get(path).json()["code"] == "unknown_gesture"

    moved = [replace(s, start=s.start + 0.5, stroke=s.stroke + 0.5, end=s.end + 0.5) for s in performance.segments[:1]]
    rhythm = performance.rhythm
    meta = {"fps": rhythm.fps, "skeleton": rhythm.skeleton.to_json(), "segments": [s.to_json() for s in moved]}
    answer = server.client.post("/v1/blend", content=pack(meta, motion_arrays("rhythm", rhythm)))
    assert answer.status_code == 200, answer.text
    merged = motion_from("merged", *unpack(answer.content))
    turned = rot.angle(rot.mul(rot.inverse(rhythm.rotations), merged.rotations)).max(axis=1)
    at = [int(t * rhythm.fps) for t in (moved[0].start - 0.1, moved[0].stroke, moved[0].end + 0.2)]
    assert turned[at[1]] > 0.1 and turned[max(at[0], 0)] < 0.01 and turned[min(at[2], len(turned) - 1)] < 0.01
    unknown = Segment("9999", "X", 1, "", -1, 1.0, 1.5, 2.0, 1.0)
    bad = server.client.post(
        "/v1/blend", content=pack({**meta, "segments": [unknown.to_json()]}, motion_arrays("rhythm", rhythm))
    )
    assert bad.status_code == 404 and bad.json()["code"] == "unknown_gesture"
