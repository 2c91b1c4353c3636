"""How far strips reach, and how they fade."""

from __future__ import annotations

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.strip_plan import plan_spans, segment_motion
from tests.core.motions import SEGMENTS, performance, segment


def test_a_lone_gesture_keeps_its_times_and_fades_before_and_after_its_stroke() -> None:
    take = performance()
    first = plan_spans(take.rhythm, take.merged, take.segments)[0]
    assert first.segment == SEGMENTS[0]
    assert (first.start, first.end) == pytest.approx((1.0, 2.4), abs=0.02)
    assert 0.08 <= first.blend_in <= 0.6
    assert first.start + first.blend_in <= 1.6 <= first.end - first.blend_out


def test_a_transition_beyond_the_segment_is_taken_in() -> None:
    take = performance()
    narrow = segment("THUMB UP", "great", 1, 1.25, 1.6, 2.1)
    span = plan_spans(take.rhythm, take.merged, [narrow])[0]
    assert (span.start, span.end) == pytest.approx((1.0, 2.4), abs=0.08)


def test_close_neighbours_overlap_until_the_second_is_in() -> None:
    joined = (segment("A", "a", 0, 1.0, 1.6, 2.4), segment("B", "b", 1, 2.2, 2.8, 3.6))
    take = performance(segments=joined)
    a, b = plan_spans(take.rhythm, take.merged, take.segments)
    assert a.end - a.blend_out >= b.start + b.blend_in - 1e-9
    assert a.end <= b.end


def test_a_third_one_ends_the_first_once_its_stroke_is_over() -> None:
    three = (
        segment("A", "a", 0, 1.0, 1.6, 2.9),
        segment("B", "b", 1, 1.9, 2.3, 3.6),
        segment("C", "c", 2, 2.4, 3.0, 3.9),
    )
    take = performance(segments=three)
    a, b, c = plan_spans(take.rhythm, take.merged, take.segments)
    assert 1.6 < a.end <= c.start
    assert a.end - a.blend_out >= b.start + b.blend_in - 1e-9
    assert b.end >= 3.6
    assert c.end >= 3.9


def test_a_third_one_comes_on_top_where_the_first_has_not_made_its_stroke() -> None:
    three = (
        segment("A", "a", 0, 1.0, 2.6, 2.9),
        segment("B", "b", 1, 1.4, 2.3, 3.0),
        segment("C", "c", 2, 2.0, 2.5, 3.9),
    )
    take = performance(segments=three)
    a, b, c = plan_spans(take.rhythm, take.merged, take.segments)
    assert min(a.end, b.end) > c.start


@pytest.mark.parametrize("seed", range(8))
def test_crowded_gestures_keep_their_strokes_and_their_blends(seed: int) -> None:
    rng = np.random.default_rng(seed)
    strokes = 1.0 + np.cumsum(rng.uniform(0.4, 0.9, 8))
    crowd = [
        segment(f"G{i}", "x", i, t - rng.uniform(0.3, 0.7), t, t + rng.uniform(0.3, 1.2))
        for i, t in enumerate(strokes.tolist())
    ]
    take = performance(10.0, segments=tuple(crowd))
    spans = plan_spans(take.rhythm, take.merged, crowd)
    assert [s.segment for s in spans] == crowd
    for span in spans:
        assert span.start <= span.segment.stroke <= span.end
        assert min(span.blend_in, span.blend_out) > 0
        assert span.blend_in + span.blend_out <= span.seconds + 1e-9


def test_far_neighbours_do_not() -> None:
    take = performance()
    a, b, _ = plan_spans(take.rhythm, take.merged, take.segments)
    assert a.end < b.start


@pytest.mark.parametrize("times", [(-0.5, 0.1, 0.6), (7.5, 7.9, 9.0), (3.0, 3.0, 3.1), (3.0, 3.02, 3.04)])
def test_segments_at_the_edges_stay_inside(times: tuple[float, float, float]) -> None:
    one = segment("EDGE", "x", 0, *times)
    take = performance()
    for span in plan_spans(take.rhythm, take.merged, [one]):
        assert 0 <= span.start < span.end <= 8.0
        assert span.blend_in + span.blend_out < span.seconds + 1e-9


def test_segments_outside_are_left_out() -> None:
    take = performance()
    outside = [
        segment("LATE", "x", 0, 9.0, 9.5, 10.0),
        segment("EARLY", "x", 0, -2.0, -1.5, -1.0),
        segment("BACKWARDS", "x", 0, 3.0, 2.5, 2.0),
    ]
    assert plan_spans(take.rhythm, take.merged, outside) == []


def test_a_gesture_that_walks_away_is_brought_back_to_the_path() -> None:
    take = performance()
    frames = len(take.merged)
    away = take.merged.root_positions + np.clip((np.arange(frames) / 60 - 1.0) * 5, 0, 30)[:, None] * [1.0, 0, 0]
    merged = Motion(60.0, take.merged.skeleton, away, take.merged.rotations)
    span = plan_spans(take.rhythm, merged, take.segments)[1]
    times = np.linspace(span.start, span.end, 20)
    fixed = segment_motion(take.rhythm, merged, span, times)
    ends = take.rhythm.at([span.start, span.end]).root_positions
    assert np.abs(fixed.root_positions[[0, -1]] - ends).max() < 1e-6
    assert np.allclose(np.abs(np.sum(fixed.rotations * merged.at(times).rotations, axis=-1)), 1.0)
    assert rot.angle(fixed.rotations).max() > 0.5


def test_motions_of_different_length_are_refused() -> None:
    take = performance()
    with pytest.raises(ValueError, match="same length"):
        plan_spans(take.rhythm, take.merged.slice(0, 10), take.segments)
