"""The timeline as a picture: waveform, words and gestures with their phases, in lines of a few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from backend.gestures.phases import Placement
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.files import replacing
from sg_blender_addon.core.storage import PIECE, blocks, release
from sg_blender_addon.core.timeline import Segment, Word

WIDTH = 1800
MARGIN = 70
LINE_SECONDS = 10.0
MOST_LINES = 60  # longer recordings get longer lines: the picture stays openable
_WAVE, _WORDS, _BARS, _GAP = 90, 40, 44, 26
LINE_HEIGHT = _WAVE + _WORDS + _BARS + _GAP
HEADER = 62
_PAPER, _BAND, _RULE = (250, 250, 248), (240, 241, 243), (214, 217, 221)
_INK, _FAINT, _SOUND = (32, 36, 42), (130, 136, 144), (104, 132, 168)
# One hue per gesture, from a palette that stays apart for colour-blind readers (Okabe and Ito).
_HUES = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (160, 120, 0), (86, 120, 200))


class _Line:
    """One line of the picture: a stretch of time and where it is drawn."""

    def __init__(self, index: int, start: float, seconds: float) -> None:
        self.start, self.end = start, start + seconds
        self.top = HEADER + index * LINE_HEIGHT
        self._scale = (WIDTH - 2 * MARGIN) / seconds

    def x(self, time: float) -> float:
        return MARGIN + (min(max(time, self.start), self.end) - self.start) * self._scale

    def shows(self, start: float, end: float) -> bool:
        return start < self.end and end > self.start


def draw_timeline(
    samples: Floats,
    rate: int,
    words: Sequence[Word],
    segments: Sequence[Segment],
    placements: Sequence[Placement | None] = (),
    title: str = "",
) -> Image.Image:
    """samples (n,) mono. `placements` gives the phases of each segment where they are known."""
    seconds = max(len(samples) / rate, 0.1)
    step = max(LINE_SECONDS, np.ceil(seconds / MOST_LINES / 5) * 5)
    # A last line of a second is stretched to what is there; a short clip fills its line.
    step = seconds if seconds < LINE_SECONDS else float(step)
    lines = [_Line(i, i * step, step) for i in range(max(1, int(np.ceil(seconds / step - 1e-9))))]
    page = Image.new("RGB", (WIDTH, HEADER + len(lines) * LINE_HEIGHT + 10), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, 14), title or "Timeline", fill=_INK, font=ImageFont.load_default(24))
    summary = f"{seconds:.1f} s   {len(words)} words   {len(segments)} gestures"
    small = ImageFont.load_default(15)
    draw.text((WIDTH - MARGIN - draw.textlength(summary, font=small), 22), summary, fill=_FAINT, font=small)
    peaks = (float(np.abs(samples[part]).max()) for part in blocks(len(samples), samples, size=PIECE))
    loudest = max(1e-4, *peaks)
    hues = {g: _HUES[i % len(_HUES)] for i, g in enumerate(dict.fromkeys(s.gesture_id for s in segments))}
    known = list(placements) + [None] * (len(segments) - len(placements))
    for line in lines:
        _ruler(draw, line, seconds)
        _waveform(draw, line, samples, rate, loudest)
        release(samples)
        _write_words(draw, line, words, segments, hues)
        for segment, placed in zip(segments, known, strict=True):
            if line.shows(segment.start, segment.end):
                _bar(draw, line, segment, placed, hues[segment.gesture_id])
    return page


def _ruler(draw: ImageDraw.ImageDraw, line: _Line, seconds: float) -> None:
    font = ImageFont.load_default(12)
    end = min(line.end, seconds)
    draw.rectangle((MARGIN, line.top, line.x(end), line.top + _WAVE), fill=_BAND)
    every = max(1, round((line.end - line.start) / 10))
    for tick in range(int(np.ceil(line.start)), int(end) + 1, every):
        draw.line((line.x(tick), line.top, line.x(tick), line.top + _WAVE + _WORDS + _BARS), fill=_RULE)
        draw.text((line.x(tick) + 3, line.top + 1), f"{tick // 60}:{tick % 60:02d}", fill=_FAINT, font=font)


def _waveform(draw: ImageDraw.ImageDraw, line: _Line, samples: Floats, rate: int, loudest: float) -> None:
    middle, half = line.top + _WAVE / 2 + 4, _WAVE / 2 - 10
    columns = np.arange(MARGIN, WIDTH - MARGIN + 1)
    times = line.start + (columns - MARGIN) / (WIDTH - 2 * MARGIN) * (line.end - line.start)
    edges = np.minimum((times * rate).astype(int), len(samples))
    for x, a, b in zip(columns[:-1], edges[:-1], edges[1:], strict=True):
        if b > a:
            piece = np.asarray(samples[a:b], dtype=np.float32) / loudest
            low, high = middle - half * float(piece.max()), middle - half * float(piece.min())
            draw.line((float(x), low, float(x), max(high, low + 1)), fill=_SOUND)


def _write_words(
    draw: ImageDraw.ImageDraw,
    line: _Line,
    words: Sequence[Word],
    segments: Sequence[Segment],
    hues: dict[str, tuple[int, int, int]],
) -> None:
    """Words at their onsets; those that carry a gesture in its colour; what does not fit is left out."""
    font = ImageFont.load_default(15)
    owner = {s.word_index: hues[s.gesture_id] for s in segments}
    y = line.top + _WAVE + 2
    shown = sorted((i for i, w in enumerate(words) if line.start <= w.start < line.end), key=lambda i: i not in owner)
    places: list[tuple[float, float, int]] = []
    for i in shown:
        x = line.x(words[i].start)
        width = draw.textlength(words[i].text, font=font)
        for row in (0, 1):
            if all(r != row or x > b + 4 or x + width < a - 4 for a, b, r in places):
                places.append((x, x + width, row))
                draw.text((x, y + 16 * row), words[i].text, fill=owner.get(i, _INK), font=font,
                          stroke_width=0.3 if i in owner else 0)  # fmt: skip
                if i in owner:
                    draw.line((x, line.top + 14, x, y), fill=owner[i], width=2)
                break


def _bar(
    draw: ImageDraw.ImageDraw, line: _Line, segment: Segment, placed: Placement | None, hue: tuple[int, int, int]
) -> None:
    """A gesture: pale preparation and retraction, full stroke and hold, a tick at the stroke, its name."""
    top, bottom = line.top + _WAVE + _WORDS + 4, line.top + _WAVE + _WORDS + _BARS - 16
    pale = tuple(round(0.35 * c + 0.65 * p) for c, p in zip(hue, _PAPER, strict=True))
    x0, x1 = line.x(segment.start), line.x(segment.end)
    draw.rounded_rectangle((x0, top, max(x1, x0 + 2), bottom), radius=5, fill=pale)
    first, last = (placed.stroke_start, placed.retraction) if placed else (segment.stroke, segment.stroke)
    if line.shows(first, last):
        draw.rectangle((line.x(first), top, line.x(min(last, segment.end)), bottom), fill=hue)
    if line.start <= segment.stroke < line.end:
        x = line.x(segment.stroke)
        draw.polygon(((x - 5, top - 6), (x + 5, top - 6), (x, top + 2)), fill=hue)
    if line.start <= segment.start < line.end or segment.start < line.start == 0.0:
        font = ImageFont.load_default(14)
        name = segment.label + ("  (locked)" if segment.locked else "")
        x = min(x0, WIDTH - MARGIN - draw.textlength(name, font=font))
        draw.text((x, bottom + 1), name, fill=hue, font=font, stroke_width=0.2)


def write_timeline(
    path: Path,
    samples: Floats,
    rate: int,
    words: Sequence[Word],
    segments: Sequence[Segment],
    placements: Sequence[Placement | None] = (),
    title: str = "",
) -> None:
    with replacing(path) as temporary:
        draw_timeline(samples, rate, words, segments, placements, title).save(temporary, "PNG")
