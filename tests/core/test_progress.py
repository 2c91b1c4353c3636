"""One number that only grows, through parts of parts; and the way to stop."""

from __future__ import annotations

import threading

import pytest

from sg_blender_addon.core.errors import Cancelled
from sg_blender_addon.core.progress import Progress


def test_parts_fill_their_share_of_the_whole() -> None:
    seen: list[tuple[str, float]] = []
    whole = Progress(lambda name, share: seen.append((name, share)))
    first, second = whole.span(0.0, 0.5), whole.span(0.5, 1.0, "second half")
    first.stage("reading", 0.5)
    second.span(0.0, 0.5).stage("inner", 1.0)
    second.stage("inner", 0.1)  # never backwards
    whole.stage("done", 7.0)
    assert seen == [("reading", 0.25), ("second half", 0.75), ("second half", 0.75), ("done", 1.0)]


def test_cancelling_reaches_every_part() -> None:
    stop = threading.Event()
    whole = Progress(cancel=stop)
    part = whole.span(0.0, 0.5).span(0.0, 0.5)
    part.stage("works", 0.5)
    part.cancel()
    assert stop.is_set() and whole.cancelled is stop
    for progress in (whole, part):
        with pytest.raises(Cancelled):
            progress.check()
        with pytest.raises(Cancelled):
            progress.stage("no more")
