"""How a gesture's phases stretch: the one place that says what may be compressed, by how much, and in what order.

A gesture is preparation, stroke, hold, retraction (Kendon; McNeill). The stroke carries the meaning and keeps its
speed as long as anything else can give; a hold gives first, then retraction and preparation, which people hurry
through all the time. `Segment` says only start, stroke and end, so this is also what an animator's stretched strip
plays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.easing import minimum_jerk
from SG_dataset.phases import Phases

LEAST_PREPARATION = 0.5  # of its natural length
LEAST_HOLD = 0.2
LEAST_RETRACTION = 0.5
SHORTEST_RAMP = 0.25  # s that arms need to get anywhere, even where a clip starts in its stroke
LONGEST_EXTRA_HOLD = 1.0  # s that a stretched gesture holds longer before everything slows down
_GAP = 1e-3


@dataclass(frozen=True)
class Lengths:
    """A variant's phases as durations in seconds: preparation, rise to the stroke instant, fall, hold, retraction."""

    preparation: float
    rise: float
    fall: float
    hold: float
    retraction: float

    @classmethod
    def of(cls, phases: Phases, seconds: float) -> Lengths:
        stroke_start = max(phases.stroke_start, 0.0)
        return cls(
            max(stroke_start, SHORTEST_RAMP),
            max(phases.stroke - stroke_start, 0.0),
            max(phases.stroke_end - phases.stroke, 0.0),
            max(phases.retraction - phases.stroke_end, 0.0),
            max(seconds - phases.retraction, SHORTEST_RAMP),
        )

    @property
    def before(self) -> float:
        return self.preparation + self.rise

    @property
    def after(self) -> float:
        return self.fall + self.hold + self.retraction

    @property
    def least_before(self) -> float:
        return max(LEAST_PREPARATION * self.preparation, SHORTEST_RAMP) + self.rise

    @property
    def least_after(self) -> float:
        return self.least_until_retraction + max(LEAST_RETRACTION * self.retraction, SHORTEST_RAMP)

    @property
    def least_until_retraction(self) -> float:
        """From the stroke to the earliest moment at which the next gesture may take over."""
        return self.fall + LEAST_HOLD * self.hold

    def fitted(self, before: float, after: float) -> Lengths:
        """The phases stretched or squeezed to `before` seconds up to the stroke and `after` seconds from it."""
        preparation, rise = before - self.rise, self.rise
        least = self.least_before - self.rise
        if preparation < least or preparation > 2 * self.preparation:
            bound = least if preparation < least else 2 * self.preparation
            scale = max(before, _GAP) / (bound + self.rise)
            preparation, rise = bound * scale, self.rise * scale
        return Lengths(preparation, rise, *self._fitted_after(after))

    def _fitted_after(self, after: float) -> tuple[float, float, float]:
        change = after - self.after
        if change >= 0:
            hold = self.hold + min(change, LONGEST_EXTRA_HOLD)
            retraction = self.retraction
        else:
            hold = max(self.hold + change, LEAST_HOLD * self.hold)
            retraction = max(after - self.fall - hold, self.least_after - self.least_until_retraction)
        scale = max(after, _GAP) / (self.fall + hold + retraction)
        return self.fall * scale, hold * scale, retraction * scale


@dataclass(frozen=True)
class Placement:
    """Where the phases of a placed gesture fall on the timeline (seconds), and what of the clip they play."""

    start: float
    stroke_start: float
    stroke: float
    stroke_end: float
    retraction: float
    end: float
    source: tuple[float, float, float, float, float, float]

    @classmethod
    def of(
        cls, phases: Phases, seconds: float, start: float, stroke: float, end: float, last: float = np.inf
    ) -> Placement:
        """`last` is the timeline's end. A gesture that touches an end of the timeline is cut there, not squeezed:
        the character is already moving when the shot begins, or still holding when it ends."""
        natural = Lengths.of(phases, seconds)
        before, after = stroke - start, end - stroke
        if start <= _GAP:
            before = max(before, natural.least_before)
        if end >= last - _GAP:
            after = max(after, natural.least_after)
        fit = natural.fitted(before, after)
        return cls(
            stroke - fit.rise - fit.preparation,
            stroke - fit.rise,
            stroke,
            stroke + fit.fall,
            stroke + fit.fall + fit.hold,
            stroke + fit.fall + fit.hold + fit.retraction,
            (0.0, max(phases.stroke_start, 0.0), phases.stroke, phases.stroke_end, phases.retraction, seconds),
        )

    def source_times(self, times: Floats) -> Floats:
        """Seconds of the clip (N,) to show at timeline `times` (N,): smooth and never backwards."""
        here = [self.start, self.stroke_start, self.stroke, self.stroke_end, self.retraction, self.end]
        knots = [(here[0], self.source[0])]
        for place, value in zip(here[1:], self.source[1:], strict=True):
            if place > knots[-1][0] + _GAP:
                knots.append((place, max(value, knots[-1][1])))
        x, y = np.array(knots).T
        if len(x) < 2:
            return np.full(len(times), self.source[0])
        curve = PchipInterpolator(x, y, extrapolate=False)
        result: Floats = curve(np.clip(times, x[0], x[-1]))
        return result

    def weight(self, times: Floats) -> Floats:
        """Share (N,) of the gesture in the pose: minimum-jerk up in the preparation, 1 from stroke to hold's end,
        minimum-jerk down in the retraction."""
        up = (times - self.start) / max(self.stroke_start - self.start, _GAP)
        down = (self.end - times) / max(self.end - self.retraction, _GAP)
        return minimum_jerk(up) * minimum_jerk(down)

    def lead(self, times: Floats) -> Floats:
        """Timeline times (N,) shifted so that a half-blended arm aims for where the gesture is going.

        Clips rise from hanging arms; mixing that with arms that are already up would dip first. So the preparation
        is entered half-way and met at its end with matching speed; the retraction mirrors it.
        """
        span = max(self.stroke_start - self.start, _GAP)
        up = np.clip((times - self.start) / span, 0.0, 1.0)
        shifted = np.where(times < self.stroke_start, self.start + span * (1 + up * up) / 2, times)
        span = max(self.end - self.retraction, _GAP)
        down = np.clip((self.end - times) / span, 0.0, 1.0)
        return np.where(times > self.retraction, self.end - span * (1 + down * down) / 2, shifted)
