"""The performance as a film: a solid figure with captions, H.264 with the sound, or an animated GIF."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from backend.outputs.captions import Captions
from backend.speech.audio import Audio
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.files import replacing
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.storage import blocks
from sg_blender_addon.core.timeline import Segment, Word
from SG_dataset.drawing.figure import FigureRenderer

Picture = npt.NDArray[np.uint8]
SIZE = (480, 540)  # even numbers: H.264 halves the colour planes
CAPTION = 60
FPS = 30.0
GIF_SIZE = (300, 340)
GIF_FPS = 12.5  # hundredths of a second per frame must be whole
LONGEST_GIF = 90.0
BLOCK_SECONDS = 30.0
SOUND_RATE = 48000
SOUND_SECONDS = 10.0  # resampled at once
_INK, _SPOKEN, _LABEL, _PAPER = (90, 96, 104), (20, 24, 28), (190, 75, 20), (238, 240, 242)


def frames(
    motion: Motion,
    words: tuple[Word, ...],
    segments: tuple[Segment, ...],
    fps: float,
    size: tuple[int, int],
    caption: int,
    progress: Progress | None = None,
) -> Iterator[Picture]:
    """Pictures (height, width, 3) of the motion at `fps`, with a strip of `caption` pixels of text below."""
    count = max(1, round(motion.seconds * fps))
    captions = Captions(words, segments)
    fonts = ImageFont.load_default(max(10, caption // 3)), ImageFont.load_default(max(9, caption // 4))
    body = (size[0], size[1] - caption)
    # One camera for the whole film, from poses all over it.
    sample = motion.at(np.linspace(0.0, motion.seconds, min(count, 200)))
    camera = FigureRenderer(sample, body, "front").body_camera(True)
    for part in blocks(count, motion.rotations, size=round(BLOCK_SECONDS * fps)):
        times = np.arange(part.start, part.stop) / fps
        renderer = FigureRenderer(motion.at(times), body, "front", camera=camera)
        for i, time in enumerate(times):
            if progress is not None:
                progress.stage("Drawing", (part.start + i) / count)
            yield np.concatenate([renderer.frame(i), _caption(captions, float(time), size[0], caption, *fonts)])


def _caption(captions: Captions, time: float, width: int, height: int, large: Any, small: Any) -> Picture:
    page = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(page)
    phrase = captions.phrase(time)
    x = (width - draw.textlength(" ".join(text for text, _ in phrase), font=large)) / 2
    for text, spoken in phrase:
        draw.text((x, height * 0.08), text, fill=_SPOKEN if spoken else _INK, font=large,
                  stroke_width=0.4 if spoken else 0)  # fmt: skip
        x += draw.textlength(text + " ", font=large)
    gesture = captions.gesture(time)
    if gesture is not None:
        label = gesture.label + (f" · {gesture.word.strip('.,;:!?')}" if gesture.word else "")
        draw.text(((width - draw.textlength(label, font=small)) / 2, height * 0.56), label, fill=_LABEL, font=small)
    return np.asarray(page)


def write_mp4(
    path: Path,
    motion: Motion,
    words: tuple[Word, ...],
    segments: tuple[Segment, ...],
    audio: Audio,
    progress: Progress | None = None,
) -> None:
    """A film with sound."""
    import av

    pictures = frames(motion, words, segments, FPS, SIZE, CAPTION, progress)
    try:
        with replacing(path) as temporary, av.open(str(temporary), "w", options={"movflags": "faststart"}) as film:
            codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
            picture: Any = film.add_stream(codec, rate=Fraction(FPS).limit_denominator(1000))
            picture.width, picture.height, picture.pix_fmt = SIZE[0], SIZE[1], "yuv420p"
            if codec == "libx264":
                picture.options = {"preset": "veryfast", "crf": "21"}
            else:
                picture.bit_rate = 2_000_000
            sound: Any = film.add_stream("aac", rate=SOUND_RATE, layout="mono", bit_rate=128_000)
            size = sound.codec_context.frame_size or 1024
            voice = _frames(_sound(audio, motion.seconds), size)
            for i, image in enumerate(pictures):
                film.mux(picture.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
                # Sound and picture are written side by side, so that players need not seek.
                first, last = (round(k / FPS * SOUND_RATE) // size for k in (i, i + 1))
                for frame in islice(voice, last - first):
                    film.mux(sound.encode(frame))
            for frame in voice:
                film.mux(sound.encode(frame))
            film.mux(sound.encode(None))
            film.mux(picture.encode(None))
    except av.FFmpegError as error:
        raise UserError(f"The film {path} could not be written: {error}.", "Try another place or format.",
                        "cannot_write") from error  # fmt: skip


def _sound(audio: Audio, seconds: float) -> Iterator[npt.NDArray[np.float32]]:
    """The sound at SOUND_RATE, some seconds at a time."""
    import soxr

    stream = soxr.ResampleStream(audio.rate, SOUND_RATE, 1, dtype="float32", quality="HQ")
    end = min(seconds, audio.seconds)
    for start in np.arange(0.0, end, SOUND_SECONDS).tolist():
        piece = audio.clip(start, min(start + SOUND_SECONDS, end))
        yield np.clip(stream.resample_chunk(piece, last=start + SOUND_SECONDS >= end), -1.0, 1.0)


def _frames(sound: Iterator[npt.NDArray[np.float32]], size: int) -> Iterator[Any]:
    """The sound in the codec's frames of `size` samples; silence fills the last one."""
    import av

    left, first = np.zeros(0, np.float32), 0
    for piece in chain(sound, [np.zeros(size - 1, np.float32)]):
        left = np.concatenate([left, piece])
        for start in range(0, len(left) - size + 1, size):
            frame = av.AudioFrame.from_ndarray(left[None, start : start + size], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, first, Fraction(1, SOUND_RATE)
            yield frame
            first += size
        left = left[len(left) // size * size :]


def write_gif(
    path: Path,
    motion: Motion,
    words: tuple[Word, ...],
    segments: tuple[Segment, ...],
    progress: Progress | None = None,
) -> None:
    """An animated GIF that loops; UserError for more than LONGEST_GIF seconds, which nobody could open."""
    if motion.seconds > LONGEST_GIF:
        raise UserError(
            f"A GIF of {motion.seconds:.0f} s would be too large to open.", "Write an .mp4 instead.", "too_long_for_gif"
        )
    palette: Image.Image | None = None
    pages: list[Image.Image] = []
    for picture in frames(motion, words, segments, GIF_FPS, GIF_SIZE, 40, progress):
        image = Image.fromarray(picture)
        if palette is None:
            palette = image.quantize(128)
        pages.append(image.quantize(palette=palette, dither=Image.Dither.NONE))
    with replacing(path) as temporary:
        pages[0].save(temporary, "GIF", save_all=True, append_images=pages[1:], duration=round(1000 / GIF_FPS), loop=0)
