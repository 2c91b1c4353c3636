"""Putting chosen gestures on the timeline.

The stroke belongs on the word's onset. Gestures that come too close are first let into each other (a preparation may
begin while the previous gesture retracts), then squeezed within natural limits (hold, retraction, preparation; see
`phases`), then moved by at most 100 ms; then the one before is given its shortest variant, with fewer repetitions;
where that is not enough the less confident one is dropped with a warning.
What the animator locked never moves.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.gestures.choice import Choice
from backend.gestures.phases import Lengths
from backend.speech.sentences import sentence_times
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.manner import ORDINARY, Manner
from sg_blender_addon.core.timeline import Segment, Word
from SG_dataset.library import Library
from SG_dataset.records import Gesture, Variant

LATEST = 0.1  # s that a stroke may be off its word
STEPS = (0.0, 0.03, -0.03, 0.06, -0.06, LATEST, -LATEST)
AFTER_SENTENCE = 0.5  # s that a hold may outlast its sentence
BEFORE_SENTENCE = 0.2  # s that a preparation may reach back into the sentence before


@dataclass(frozen=True)
class _Placed:
    """A gesture with its stroke fixed and its phases' natural lengths."""

    segment: Segment
    stroke: float
    lengths: Lengths

    @property
    def until_retraction(self) -> float:
        """From the stroke until the next gesture may take over; a locked gesture gives nothing."""
        lengths = self.lengths
        return lengths.fall + lengths.hold if self.segment.locked else lengths.least_until_retraction

    @property
    def before(self) -> float:
        """From the earliest moment this gesture needs the arms until its stroke."""
        return self.lengths.before if self.segment.locked else self.lengths.least_before


def find_variant(library: Library, gesture_id: str, number: int) -> Variant:
    """The variant of that number; UserError if the library has no such gesture or variant."""
    gesture = library.gestures.get(gesture_id)
    for variant in gesture.variants if gesture is not None else ():
        if variant.number == number:
            return variant
    raise UserError(
        f"The gesture library has no variant {number} of gesture {gesture_id}.",
        "Choose another gesture, or the library that this timeline was made with.",
        "unknown_gesture",
    )


def place(
    choices: Sequence[Choice],
    words: Sequence[Word],
    library: Library,
    seconds: float,
    *,
    seed: int = 0,
    locked: Sequence[Segment] = (),
    manner: Manner = ORDINARY,
) -> tuple[list[Segment], list[str]]:
    """Segments in order of time, and a warning for each choice that found no room.

    words: with times in seconds; seconds: the audio's length. `locked` segments are kept as they are and others
    make room for them. `manner` says how often a one-handed gesture is the right hand's, where there is room for it.
    """
    warnings: list[str] = []
    kept = [_fixed(s, library) for s in locked]
    used: dict[tuple[str, int], int] = {}
    for item in kept:
        _count(used, item.segment)
    for choice in sorted(choices, key=lambda c: (-c.confidence, c.word_index)):
        if not 0 <= choice.word_index < len(words):
            continue
        if any(item.segment.word_index == choice.word_index for item in kept):
            continue  # the word has its gesture: the animator's, or a more confident one
        gesture = library.gestures.get(choice.gesture_id)
        if gesture is None or not gesture.variants:
            text = words[choice.word_index].text
            warnings.append(f"Gesture {choice.gesture_id} is not in the library: {text!r} has none.")
            continue
        found = _fit(choice, gesture, words[choice.word_index], kept, seconds, seed, used, manner)
        if found is None:
            yielding = _make_room(kept, words[choice.word_index].start, library)
            found = _fit(choice, gesture, words[choice.word_index], yielding, seconds, seed, used, manner)
            kept = yielding if found else kept
        if found is None:
            warnings.append(
                f"{gesture.label} on {words[choice.word_index].text!r} at {words[choice.word_index].start:.1f} s was "
                "left out: its neighbours leave no room for it."
            )
            continue
        kept.append(found)
        kept.sort(key=lambda item: item.stroke)
        _count(used, found.segment)
    return _times(kept, words, seconds), warnings


def _fixed(segment: Segment, library: Library) -> _Placed:
    if not (
        np.isfinite([segment.start, segment.stroke, segment.end]).all()
        and segment.start <= segment.stroke <= segment.end
        and segment.end > segment.start
    ):
        raise UserError(
            f"The locked gesture {segment.label!r} has times that run backwards.", "Move or remove it.", "bad_settings"
        )
    variant = find_variant(library, segment.gesture_id, segment.variant)
    natural = Lengths.of(variant.phases, variant.seconds)
    lengths = natural.fitted(segment.stroke - segment.start, segment.end - segment.stroke)
    return _Placed(replace(segment, locked=True), segment.stroke, lengths)


def _count(used: dict[tuple[str, int], int], segment: Segment) -> None:
    key = (segment.gesture_id, segment.variant)
    used[key] = used.get(key, 0) + 1


def _fit(
    choice: Choice,
    gesture: Gesture,
    word: Word,
    kept: Sequence[_Placed],
    seconds: float,
    seed: int,
    used: Mapping[tuple[str, int], int],
    manner: Manner,
) -> _Placed | None:
    """The best variant at the stroke time nearest to the word's onset that leaves its neighbours in peace."""
    # The seed of a word is its own, so that an edit elsewhere does not change every variant of the timeline.
    chance = np.random.default_rng([seed, choice.word_index, zlib.crc32(choice.gesture_id.encode())])
    luck = {variant.number: float(chance.uniform(0.0, 0.3)) for variant in gesture.variants}
    hand = "right" if chance.random() < (1.0 + manner.hand) / 2.0 else "left"
    choosy = gesture.tags.get("hands") == "one"  # of a two-handed gesture this is no more than its mirror image
    longest = max(Lengths.of(variant.phases, variant.seconds).fall for variant in gesture.variants)
    for step in STEPS:
        stroke = word.start + step
        if not 0.0 <= stroke < seconds:
            continue
        scored = []
        for variant in gesture.variants:
            lengths = Lengths.of(variant.phases, variant.seconds)
            squeeze = _squeeze(lengths, stroke, kept)
            if squeeze is not None:
                repeats = 0.5 * used.get((choice.gesture_id, variant.number), 0)
                # where there is room, a stroke's repetitions make it easier to read
                hurry = 0.3 * (1.0 - lengths.fall / max(longest, 1e-6))
                cost = squeeze + repeats + hurry + luck[variant.number]
                scored.append((choosy and variant.hand != hand, cost, variant.number, variant))
        if scored:
            variant = min(scored, key=lambda item: item[:3])[3]
            segment = Segment(
                choice.gesture_id, gesture.label, variant.number, word.text, choice.word_index,
                stroke, stroke, stroke, choice.confidence, choice.alternatives,
            )  # fmt: skip
            return _Placed(segment, stroke, Lengths.of(variant.phases, variant.seconds))
    return None


def _make_room(kept: list[_Placed], onset: float, library: Library) -> list[_Placed]:
    """The same gestures, but the one before a word in the variant after which the next may soonest take over."""
    before = max((k for k in kept if k.stroke <= onset), key=lambda k: k.stroke, default=None)
    if before is None or before.segment.locked:
        return kept
    others = [k for k in kept if k is not before]
    shortest = before
    for variant in library.gestures[before.segment.gesture_id].variants:
        lengths = Lengths.of(variant.phases, variant.seconds)
        sooner = lengths.least_until_retraction < shortest.until_retraction
        if sooner and _squeeze(lengths, before.stroke, others) is not None:
            shortest = _Placed(replace(before.segment, variant=variant.number), before.stroke, lengths)
    return sorted([*others, shortest], key=lambda k: k.stroke)


def _squeeze(lengths: Lengths, stroke: float, kept: Sequence[_Placed]) -> float | None:
    """Seconds by which phases would have to give at this stroke time; None where they cannot."""
    before = max((k for k in kept if k.stroke <= stroke), key=lambda k: k.stroke, default=None)
    after = min((k for k in kept if k.stroke > stroke), key=lambda k: k.stroke, default=None)
    total = 0.0
    if before is not None:
        least = before.until_retraction + lengths.least_before
        if stroke - before.stroke < least:
            return None
        total += max(0.0, before.lengths.fall + before.lengths.hold + lengths.before - (stroke - before.stroke))
    if after is not None:
        least = lengths.least_until_retraction + after.before
        if after.stroke - stroke < least:
            return None
        total += max(0.0, lengths.fall + lengths.hold + after.lengths.before - (after.stroke - stroke))
    return total


def _times(kept: Sequence[_Placed], words: Sequence[Word], seconds: float) -> list[Segment]:
    """Starts and ends: natural lengths, given way to sentence bounds and neighbours."""
    bounds = sentence_times(words)
    sentence_ends = [end for _, end in bounds]
    starts, holds_end, ends = [], [], []
    for item in kept:
        lengths, stroke = item.lengths, item.stroke
        start, hold_end = stroke - lengths.before, stroke + lengths.fall + lengths.hold
        if not item.segment.locked and 0 <= item.segment.word_index < len(bounds):
            begin, finish = bounds[item.segment.word_index]
            sooner = bisect_right(sentence_ends, begin) - 1
            if sooner >= 0:
                start = min(max(start, sentence_ends[sooner] - BEFORE_SENTENCE), stroke - lengths.least_before)
            hold_end = max(min(hold_end, finish + AFTER_SENTENCE), stroke + lengths.least_until_retraction)
        starts.append(start)
        holds_end.append(hold_end)
    for i in range(len(kept) - 1):
        here, following = kept[i], kept[i + 1]
        if starts[i + 1] < holds_end[i]:
            # The hold gives first, then the preparation: both stay within their limits because `_squeeze` said so.
            if not here.segment.locked:
                holds_end[i] = max(here.stroke + here.lengths.least_until_retraction, min(holds_end[i], starts[i + 1]))
            if not following.segment.locked:
                starts[i + 1] = max(starts[i + 1], min(holds_end[i], following.stroke - following.lengths.least_before))
    for i, item in enumerate(kept):
        end = holds_end[i] + item.lengths.retraction
        if i + 1 < len(kept):
            # Under the next gesture's stroke nothing of this one is to be seen.
            nearest = max(
                kept[i + 1].stroke - kept[i + 1].lengths.rise,
                holds_end[i] + item.lengths.least_after - item.lengths.least_until_retraction,
            )
            end = min(end, nearest)
        ends.append(end)
    return [
        item.segment if item.segment.locked else replace(item.segment, start=max(0.0, start), end=min(end, seconds))
        for item, start, end in zip(kept, starts, ends, strict=True)
    ]
