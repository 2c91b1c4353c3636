"""The words that were said, as the user has them: plain text, SubRip (.srt) or WebVTT (.vtt).

Whatever is wrong with such a file, its words are worth keeping: broken times are dropped one by one and the cue's text
stays. A `str` is always the text itself and a `Path` always a file, so that no text from elsewhere can name a file.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, replace
from pathlib import Path

from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.manner import Manner
from sg_blender_addon.core.protocol import MAX_SCRIPT_CHARACTERS

SUFFIXES = (".txt", ".srt", ".vtt")
MAX_CUE_SECONDS = 120.0


@dataclass(frozen=True)
class Cue:
    """A stretch of text; `start` and `end` in seconds where the file says so and they make sense, else None."""

    text: str
    start: float | None = None
    end: float | None = None

    @property
    def words(self) -> list[str]:
        return split_words(self.text)


@dataclass(frozen=True)
class Script:
    cues: tuple[Cue, ...]
    warnings: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return " ".join(c.text for c in self.cues)

    @property
    def words(self) -> list[str]:
        return [word for cue in self.cues for word in cue.words]

    @property
    def timed(self) -> bool:
        """Every cue has its time."""
        return bool(self.cues) and all(c.start is not None for c in self.cues)


def read_script(source: str | Path, kind: str = "") -> Script:
    """Read a file (`Path`) or a text (`str`). `kind` is txt, srt or vtt; "" decides by suffix and content.

    Raises `UserError` for a file that is missing, too large or not text, and for one without a word in it.
    """
    text, suffix = read_script_file(source) if isinstance(source, Path) else (source, "")
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    kind = kind or suffix
    if text.startswith("WEBVTT") or "-->" in text:
        kind = kind if kind in {"srt", "vtt"} else "srt"
    script = _read_cues(text) if kind in {"srt", "vtt"} else Script((Cue(_tidy(text)),))
    _, notes = named_manner(text)
    script = replace(script, warnings=(*script.warnings, *notes))
    if not script.words:
        raise UserError("The script holds no words.", "Write what is said in the recording into it.", "script_empty")
    return script


def named_manner(text: str) -> tuple[Manner | None, tuple[str, ...]]:
    """The manner that a script's text asks for, if any, `[manner: calm, width=1.2]` as `Manner.parse` reads it, and
    warnings: the first one counts, and one that cannot be read is said and left out."""
    found = _MANNER.findall(text)
    if not found:
        return None, ()
    try:
        manner = Manner.parse(found[0])
    except UserError as error:
        return None, (f"The script's [manner: {found[0]}] is not used. {error}",)
    return manner, () if len(found) == 1 else ("The script names several manners; the first one is used throughout.",)


def read_script_file(path: str | Path) -> tuple[str, str]:
    """Text and kind of a script file; UserError where it is none or cannot be read."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        hint = f"Give a file that ends in {', '.join(SUFFIXES)}."
        raise UserError(f"{path.name} is not a script.", hint, "bad_script")
    try:
        if path.stat().st_size > MAX_SCRIPT_CHARACTERS:
            raise UserError(f"The script {path} is too large.", "Give the words of one recording.", "script_too_large")
        return decode(path.read_bytes()), path.suffix.lower()[1:]
    except OSError as error:
        raise UserError(
            f"The script {path} could not be read: {error.strerror}.", "Check its path.", "script_not_found"
        ) from error


def decode(data: bytes) -> str:
    """Text of a script file: UTF-8, UTF-16 with a mark, or Windows-1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\x00" in data:
        raise UserError("The script is not a text file.", "Give plain text, .srt or .vtt.", "script_not_text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


# --------------------------------------------------------------------------------------------------------- subtitles

_TIME = r"(?:(\d{1,3}):)?(\d{1,3}):(\d{1,3})(?:[.,:](\d{1,3}))?"
_ARROW = re.compile(rf"^\s*{_TIME}\s*-+>\s*{_TIME}")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>|<[\d:.,]{4,16}>|\{\\[^{}\n]{0,200}\}")
_NOT_SPOKEN = re.compile(r"\[[^\[\]\n]{0,80}\]|♪[^♪\n]{0,300}♪?|\([A-Z][A-Z \-]{2,60}\)")
_MANNER = re.compile(r"\[\s*manner\s*:\s*([^\[\]\n]{1,60}?)\s*\]", re.IGNORECASE)
_SPEAKER = re.compile(r"^\s*(?:-\s+|>>\s*)?(?:[A-Z][A-Z0-9 .'\-]{1,30}:\s+)?")


def _read_cues(text: str) -> Script:
    cues: list[Cue] = []
    broken = 0
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.split("\n") if line.strip()]
        at = next((i for i, line in enumerate(lines) if "-->" in line), None)
        if at is None:
            if not lines or re.match(r"WEBVTT|NOTE\b|STYLE\b|REGION\b", lines[0]):
                continue
            # No time line at all: the words are still words, the counter above them is not.
            lines = lines[1:] if lines[0].strip().isdigit() and len(lines) > 1 else lines
            at = -1
        spoken = _tidy(" ".join(_SPEAKER.sub("", line) for line in lines[at + 1 :] if "-->" not in line))
        if not split_words(spoken):
            continue
        start, end = _times(lines[at]) if at >= 0 else (None, None)
        broken += start is None
        cues.append(Cue(spoken, start, end))
    return _ordered(cues, broken)


def _times(line: str) -> tuple[float | None, float | None]:
    """Seconds of a time line; (None, None) where it cannot be read or makes no sense."""
    match = _ARROW.match(line)
    if match is None:
        return None, None
    hours, minutes, seconds, fraction = match.group(1, 2, 3, 4)
    start = _seconds(hours, minutes, seconds, fraction)
    end = _seconds(*match.group(5, 6, 7, 8))
    return (start, end) if start < end <= start + MAX_CUE_SECONDS else (None, None)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    return 3600.0 * int(hours or 0) + 60.0 * int(minutes) + int(seconds) + (float(f"0.{fraction}") if fraction else 0.0)


def _ordered(cues: list[Cue], broken: int) -> Script:
    """Drop times that run backwards: the order of the text is what was said."""
    kept: list[Cue] = []
    floor = 0.0
    for cue in cues:
        backwards = cue.start is not None and cue.start < floor - 0.5
        kept.append(Cue(cue.text) if backwards else cue)
        broken += backwards
        floor = floor if backwards or cue.start is None else cue.start
    note = (f"{broken} of {len(kept)} subtitle times are broken; their words were kept and timed by the sound.",)
    return Script(tuple(kept), note if broken else ())


def _tidy(text: str) -> str:
    """The text without tags, notes of sounds and odd characters, in single spaces."""
    text = html.unescape(_TAG.sub("", text))
    text = _NOT_SPOKEN.sub(" ", text)
    text = "".join(c if c.isprintable() or c.isspace() else " " for c in text)
    return " ".join(text.split())


_BETWEEN = re.compile(r"(?<=\w)(—|–|--+|…|\.{2,})(?=\w)")


def split_words(text: str) -> list[str]:
    """Words with their punctuation. A dash or dots between two words belong to the first, lone marks to a neighbour.

    Texts without spaces (Chinese, Japanese) are split into characters, since nothing else tells their words apart here.
    """
    words: list[str] = []
    lead = ""
    for token in _BETWEEN.sub(r"\1 ", text).split():
        if not any(c.isalnum() for c in token):
            if words:
                words[-1] += token
            else:
                lead += token
            continue
        words += [lead + token, *[]] if not _spaceless(token) else _characters(lead + token)
        lead = ""
    return words


def _spaceless(token: str) -> bool:
    return (
        len(token) > 1 and sum("\u3040" <= c <= "\u9fff" or "\u0e00" <= c <= "\u0eff" for c in token) > len(token) / 2
    )


def _characters(token: str) -> list[str]:
    return [part for part in re.findall(r"[A-Za-z0-9]+\W*|\w\W*", token) if part]
