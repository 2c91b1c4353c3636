"""What is said and done at a moment: the text under pictures."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from sg_blender_addon.core.timeline import Segment, Word


class Captions:
    """Looks up phrases and gestures by time (s)."""

    def __init__(self, words: Sequence[Word], segments: Sequence[Segment], around: int = 3) -> None:
        self._words, self._segments, self._around = words, sorted(segments, key=lambda s: s.start), around
        self._starts = [w.start for w in words]
        self._segment_starts = [s.start for s in self._segments]

    def word(self, time: float) -> int:
        """Index of the word being said, or the last one said; -1 before the first."""
        return bisect_right(self._starts, time) - 1

    def phrase(self, time: float) -> list[tuple[str, bool]]:
        """Words around `time`, each with whether it is being said."""
        here = self.word(time)
        if here < 0 or time > self._words[here].end + 1.5:
            return []
        # Lines change only when they are used up, so that a reader's eye can rest on them.
        size = 2 * self._around + 1
        first = here // size * size
        speaking = time <= self._words[here].end
        return [(w.text, speaking and first + i == here) for i, w in enumerate(self._words[first : first + size])]

    def gesture(self, time: float) -> Segment | None:
        """The gesture that is in its strokes at `time`: the latest one begun and not over."""
        for segment in reversed(self._segments[: bisect_right(self._segment_starts, time)]):
            if time <= segment.end:
                return segment
            if time - segment.start > 30.0:
                return None
        return None
