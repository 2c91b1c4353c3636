"""A contact sheet of a performance: what the character does, moment by moment, with what is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from backend.outputs.captions import Captions
from sg_blender_addon.core.files import replacing
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.timeline import Segment, Word
from SG_dataset.drawing.figure import FigureRenderer

CELL = (240, 270)
CAPTION = 44
COLUMNS = 6
MOST = 48
_PAPER, _CARD, _INK, _FAINT, _LABEL = (45, 46, 50), (238, 240, 242), (25, 28, 32), (120, 126, 134), (190, 75, 20)


def moments(seconds: float, segments: tuple[Segment, ...]) -> list[float]:
    """Times worth a picture: every gesture's stroke, the rest evenly spread; a multiple of the columns."""
    strokes = [s.stroke for s in segments if 0.0 <= s.stroke < seconds]
    wanted = int(np.clip(np.ceil(max(seconds, 2 * len(strokes)) / COLUMNS) * COLUMNS, COLUMNS, MOST))
    if len(strokes) > wanted:
        strokes = [strokes[round(i)] for i in np.linspace(0, len(strokes) - 1, wanted)]
    even = [(i + 0.5) * seconds / (wanted * 4) for i in range(wanted * 4)]
    chosen = list(strokes)
    # Fill up with the candidates that lie farthest from what is already there.
    while len(chosen) < wanted and even:
        farthest = max(even, key=lambda t: min((abs(t - c) for c in chosen), default=seconds - t))
        even.remove(farthest)
        chosen.append(farthest)
    return sorted(chosen)


def draw_sheet(motion: Motion, words: tuple[Word, ...], segments: tuple[Segment, ...]) -> npt.NDArray[np.uint8]:
    """The sheet as uint8 (height, width, 3)."""
    times = moments(motion.seconds, segments)
    renderer = FigureRenderer(motion.at(times), CELL, "front", supersample=2)
    captions = Captions(words, segments, around=1)
    rows = -(-len(times) // COLUMNS)
    gap, height = 6, CELL[1] + CAPTION
    page = Image.new("RGB", (COLUMNS * (CELL[0] + gap) + gap, rows * (height + gap) + gap), _PAPER)
    draw = ImageDraw.Draw(page)
    font, small = ImageFont.load_default(15), ImageFont.load_default(13)
    for i, time in enumerate(times):
        x, y = gap + i % COLUMNS * (CELL[0] + gap), gap + i // COLUMNS * (height + gap)
        page.paste(Image.fromarray(renderer.frame(i)), (x, y))
        draw.rectangle((x, y + CELL[1], x + CELL[0] - 1, y + height - 1), fill=_CARD)
        draw.text((x + 8, y + CELL[1] + 3), f"{int(time // 60)}:{time % 60:04.1f}", fill=_FAINT, font=small)
        left = x + 58
        for text, spoken in captions.phrase(time):
            if left + draw.textlength(text, font=font) > x + CELL[0] - 4:
                break
            draw.text((left, y + CELL[1] + 2), text, fill=_INK if spoken else _FAINT, font=font)
            left += int(draw.textlength(text + " ", font=font))
        gesture = captions.gesture(time)
        if gesture is not None:
            draw.text((x + 8, y + CELL[1] + 23), gesture.label, fill=_LABEL, font=small)
    return np.asarray(page)


def write_sheet(path: Path, motion: Motion, words: tuple[Word, ...], segments: tuple[Segment, ...]) -> None:
    with replacing(path) as temporary:
        Image.fromarray(draw_sheet(motion, words, segments)).save(temporary, "PNG")
