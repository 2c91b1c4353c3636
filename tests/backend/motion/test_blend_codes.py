"""Blending in the domain of codes, with a real (random) tokenizer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.gestures.place import place
from backend.models.weights import Weights
from backend.motion import blend_codes
from backend.motion.blend import blend, placement
from backend.motion.blend_codes import BORDER, CodeCache
from backend.motion.rhythm import decode
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.timeline import Segment
from tests.backend.toys import choice, gesture, library, small_library, swaying, words
from tests.backend.toys import variant as new_variant

LIBRARY = small_library()


@pytest.fixture(scope="module")
def weights(tiny_weights: Path) -> Weights:
    return Weights.load(tiny_weights)


@pytest.fixture
def cache(tmp_path: Path) -> CodeCache:
    return CodeCache(tmp_path / "codes")


@pytest.fixture
def tokens(weights: Weights) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 32, (2, 4, 60))


def segments(*onsets: float, how: str = "codes") -> list[Segment]:
    found, _ = place([choice(i) for i in range(len(onsets))], words(*onsets), LIBRARY, 8.0)
    return [replace(s, blend=how) for s in found]


def test_only_gestures_and_their_borders_change(weights: Weights, tokens: np.ndarray, cache: CodeCache) -> None:
    given = segments(2.0, 5.0)
    merged, spans = blend_codes.lay_over(weights, tokens, given, LIBRARY, 8.0, cache)
    assert len(spans) == 2 and all(a < b for a, b in spans)
    touched = np.zeros(60, dtype=bool)
    for first, last in spans:
        touched[max(0, first - BORDER) : last + BORDER] = True
    assert np.array_equal(merged[:, :, ~touched], tokens[:, :, ~touched])
    assert (merged[:, :, touched] != tokens[:, :, touched]).any()
    assert merged.min() >= 0 and merged.max() < 32


def test_borders_mix_each_part_with_its_own_side(weights: Weights, tokens: np.ndarray) -> None:
    """Latents next to the gesture lie between the rhythm's and the gesture's nearest token, in body and in hands."""
    clip = np.random.default_rng(1).integers(0, 32, (2, 4, 5))
    merged = tokens.copy()
    blend_codes._mix_borders(weights, merged, clip, (20, 25))
    with torch.inference_mode():
        for part, model in enumerate(weights.tokenizer.parts):
            for places, edge in ((range(17, 20), clip[part][:, :1]), (range(25, 28), clip[part][:, -1:])):
                shares = np.array([0.3, 0.5, 0.7]) if places.start < 20 else np.array([0.7, 0.5, 0.3])
                before = model.bottleneck.decode(torch.from_numpy(tokens[part][:, list(places)]))
                wanted = model.bottleneck.decode(torch.from_numpy(edge))
                mix = torch.from_numpy(shares)[:, None] * wanted + torch.from_numpy(1 - shares)[:, None] * before
                expected = model.bottleneck.encode(mix.float())
                assert np.array_equal(expected.numpy(), merged[part][:, list(places)])


def test_gestures_at_the_ends_of_the_sequence(weights: Weights, tokens: np.ndarray, cache: CodeCache) -> None:
    given = segments(0.05, 7.8)
    merged, spans = blend_codes.lay_over(weights, tokens, given, LIBRARY, 8.0, cache)
    assert spans[0][0] == 0 and spans[-1][1] <= 60
    assert blend_codes.lay_over(weights, tokens[:, :, :3], given[:1], LIBRARY, 0.4, cache)[0].shape == (2, 4, 3)
    assert merged.shape == tokens.shape


def test_codes_are_cached_by_content(weights: Weights, cache: CodeCache, monkeypatch: pytest.MonkeyPatch) -> None:
    (segment,) = segments(2.0)
    variant = LIBRARY.gestures["0031"].variants[segment.variant - 1]
    placed = placement(segment, variant, 8.0)
    span = blend_codes.token_span(placed, 60)
    first = blend_codes.encode_clip(weights, variant, placed, span, cache)
    monkeypatch.setattr(blend_codes, "encode_motion", None)  # not called again
    assert np.array_equal(blend_codes.encode_clip(weights, variant, placed, span, cache), first)
    fresh = CodeCache(cache._folder)
    assert np.array_equal(blend_codes.encode_clip(weights, variant, placed, span, fresh), first)
    (other,) = library(gesture("0031", "THUMB UP", new_variant(lift=0.7))).gestures["0031"].variants
    with pytest.raises(TypeError):  # another motion is another key
        blend_codes.encode_clip(weights, other, placed, span, fresh)


def test_a_broken_cache_only_costs_time(weights: Weights, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = CodeCache(tmp_path / "file")
    variant = LIBRARY.gestures["0031"].variants[0]
    assert blend_codes.reconstruction_error(weights, variant, cache) > 0


def test_auto_decides_by_what_the_tokenizer_does_to_the_hands(weights: Weights, cache: CodeCache) -> None:
    given = segments(2.0, 5.0, how="motion")
    error = blend_codes.reconstruction_error(weights, LIBRARY.gestures["0031"].variants[0], cache)
    assert error > blend_codes.GOOD_ENOUGH  # random weights are no good
    assert {s.blend for s in blend_codes.choose(weights, given, LIBRARY, "auto", cache)} == {"motion"}
    assert {s.blend for s in blend_codes.choose(weights, given, LIBRARY, "codes", cache)} == {"codes"}
    locked = [replace(s, locked=True, blend="codes") for s in given]
    assert blend_codes.choose(weights, locked, LIBRARY, "motion", cache) == locked
    undecided = [replace(s, locked=True, blend="auto") for s in given]
    assert {s.blend for s in blend_codes.choose(weights, undecided, LIBRARY, "codes", cache)} == {"motion"}


def test_decoded_gesture_is_mixed_into_the_upper_body(weights: Weights, tokens: np.ndarray, cache: CodeCache) -> None:
    rhythm = swaying(8.0)
    given = segments(3.0)
    decoded = blend_codes.decoded_motion(weights, tokens, given, LIBRARY, 8.0, cache)
    assert decoded is not None and len(decoded) == len(rhythm)
    merged = blend(rhythm, given, LIBRARY, decoded=decoded)
    changed = rot.angle(rot.mul(rot.inverse(rhythm.rotations), merged.rotations))
    times = np.arange(len(rhythm)) / 60
    assert changed[(times < given[0].start - 0.3) | (times > given[0].end + 0.3)].max() < 1e-6
    stroke = int(given[0].stroke * 60)
    arm = rhythm.skeleton.index("RightForeArm")
    same = rot.angle(rot.mul(rot.inverse(decoded.rotations[stroke, arm]), merged.rotations[stroke, arm]))
    assert same < 1e-3 and changed[stroke, arm] > 0.05
    for name in ("Hips", "RightUpLeg", "LeftFoot", "LeftForeArm"):
        assert changed[:, rhythm.skeleton.index(name)].max() < 1e-6
    assert blend_codes.decoded_motion(weights, tokens, segments(3.0, how="motion"), LIBRARY, 8.0, cache) is None


def test_tokens_of_a_motion_cover_it(weights: Weights) -> None:
    tokens = blend_codes.codes_of(weights, swaying(1.0, 24.0))
    assert tokens.shape == (2, 4, 8) and len(decode(weights, tokens)) == 64
