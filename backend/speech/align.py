"""Where each word of a given script lies in the recording.

English is force-aligned (`forced.py`): cue by cue where subtitles give times, at once where the recording is short, and
otherwise piece after piece: a stretch of text is aligned to a longer stretch of sound, the part that certainly fits is
kept, and the next piece begins behind it. Words that cannot be found take Whisper's times; where the script as a whole
does not fit the recording, Whisper's words are used instead and a warning says so. Other languages take Whisper's times
for the script's words throughout.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import pairwise

import numpy as np

from backend.speech import forced_alignment
from backend.speech.audio import Audio
from backend.speech.features import TOKEN_RATE, activity
from backend.speech.forced_alignment import LOST, RIGHT, Aligner, Placed
from backend.speech.script import Script
from backend.speech.sentences import is_english
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.timeline import Word

# Up to this long everything is aligned at once; beyond, the time it takes grows faster than the recording.
WHOLE_SECONDS = 75.0
PIECE_SECONDS = 40.0
CUE_PAD = 0.35
# Share of the script's words that Whisper must have heard too, for the script to be the recording's.
SAME_TEXT = 0.35
SHORTEST = 0.03
# Letters (and spaces) a second of the fastest intelligible speech; a script that needs more is another recording's.
FASTEST = 25.0

Transcriber = Callable[[], list[Word]]
Times = tuple[float, float]


@dataclass
class _Job:
    """The words to time, what is known of each, and what is needed on the way."""

    audio: Audio
    words: list[str]
    progress: Progress | None
    found: list[Placed | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.found = [None] * len(self.words)

    def report(self, fraction: float) -> None:
        if self.progress is not None:
            self.progress.stage("align", fraction)


def align(
    audio: Audio,
    script: Script,
    transcriber: Transcriber | None = None,
    language: str = "en",
    progress: Progress | None = None,
) -> tuple[list[Word], list[str]]:
    """Times for the script's words (as written), and warnings.

    `transcriber` gives Whisper's words when they are needed: it is called at most once, and may raise `UserError` where
    there is no recogniser. Words without any source of times are spread over the voiced parts of the recording.
    """
    warnings = list(script.warnings)
    job = _Job(audio, script.words, progress)
    job.report(0.0)
    if not activity(audio).any():
        return [], [*warnings, "No speech was found in the recording, so the script was not used."]
    if is_english(language):
        _force(job, script, warnings)
    _leave_out_the_rest(job, warnings)
    if _fits(job):
        return _finished(job, _heard(transcriber, warnings) if _needs_help(job) else []), warnings
    heard = _heard(transcriber, warnings)
    shares = _match(job.words, heard)
    if heard and is_english(language) and _share(job, shares) < SAME_TEXT:
        warnings.append("The script does not match the recording; the words heard in it were used instead.")
        return refine(audio, heard, language, progress), warnings
    if not heard and _too_fast(job):
        return [], [*warnings, "The script is far too long for the recording, so it was not used."]
    if not heard:
        warnings.append("The script could not be aligned to the recording; its words were spread over the speech.")
        return _spread(job), warnings
    if is_english(language):
        warnings.append("Much of the script could not be aligned exactly; the recogniser's times were used for it.")
    return _finished(job, heard), warnings


def refine(audio: Audio, words: list[Word], language: str = "en", progress: Progress | None = None) -> list[Word]:
    """The same words with better times where forced alignment finds them (English); Whisper's own where it does not."""
    if not words or not is_english(language) or (tool := _tool()) is None:
        return words
    job = _Job(audio, [w.text for w in words], progress)
    for first, last in _groups([(w.start, w.end) for w in words]):
        start, end = words[first].start - CUE_PAD, words[last - 1].end + CUE_PAD
        start = max(start, words[first - 1].end if first else 0.0)
        end = min(end, words[last].start if last < len(words) else audio.seconds)
        job.report(first / len(words))
        _place(job, tool, first, last, max(start, 0.0), end)
    for i, (word, placed) in enumerate(zip(words, job.found, strict=True)):
        if placed is None or (placed.score < RIGHT and abs(placed.start - word.start) > 0.4):
            job.found[i] = Placed(word.start, word.end, 0.0)
    return _finished(job, [])


# ----------------------------------------------------------------------------------------------------- forced pieces


def _tool() -> Aligner | None:
    try:
        return forced_alignment.aligner()
    except (ImportError, RuntimeError):
        return None


def _force(job: _Job, script: Script, warnings: list[str]) -> None:
    tool = _tool()
    if tool is None:
        warnings.append("pocketsphinx is not installed, so the script's words are timed less exactly.")
        return
    if script.timed and script.cues[0].start is not None and script.cues[0].start < job.audio.seconds:
        _by_cues(job, tool, script)
        if _fits(job):
            return
        warnings.append("The subtitles' times do not fit the recording; the words were timed by the sound.")
        job.found = [None] * len(job.words)
    if job.audio.seconds <= WHOLE_SECONDS:
        _place(job, tool, 0, len(job.words), 0.0, job.audio.seconds)
        if _fits(job):
            return
        job.found = [None] * len(job.words)
    _by_stretches(job, tool)


def _place(job: _Job, tool: Aligner, first: int, last: int, start: float, end: float) -> bool:
    """Align words first..last within start..end seconds; False (and nothing kept) where they do not fit the sound."""
    placed = tool.place(job.audio.clip(start, end), job.words[first:last])
    if placed is None or _mean(placed) < RIGHT:
        return False
    for i, word in enumerate(placed, first):
        job.found[i] = None if word is None else Placed(word.start + start, word.end + start, word.score)
    return True


def _mean(placed: list[Placed | None]) -> float:
    """Mean score weighted by length: a swallowed "of the" scores badly in the best of alignments."""
    there = [p for p in placed if p is not None]
    weights = [max(p.end - p.start, 0.01) for p in there]
    return float(np.average([p.score for p in there], weights=weights)) if there else -np.inf


def _by_cues(job: _Job, tool: Aligner, script: Script) -> None:
    counts = np.cumsum([0] + [len(c.words) for c in script.cues])
    spans = [(c.start or 0.0, c.end or 0.0) for c in script.cues]
    for first, last in _groups(spans):
        start, end = max(0.0, spans[first][0] - CUE_PAD), spans[last - 1][1] + CUE_PAD
        if not _place(job, tool, int(counts[first]), int(counts[last]), start, end):
            for i in range(first, last):
                begin, finish = max(0.0, spans[i][0] - 3 * CUE_PAD), spans[i][1] + 3 * CUE_PAD
                _place(job, tool, int(counts[i]), int(counts[i + 1]), begin, finish)
        job.report(last / len(spans))


def _groups(spans: list[Times]) -> list[tuple[int, int]]:
    """(first, last) index ranges of about `PIECE_SECONDS` / 2, cut at the widest gaps."""
    groups: list[tuple[int, int]] = []
    first = 0
    for i in range(1, len(spans) + 1):
        done = i == len(spans)
        length = spans[i - 1][1] - spans[first][0]
        gap = 0.0 if done else spans[i][0] - spans[i - 1][1]
        if done or gap > 1.0 or (length > PIECE_SECONDS / 4 and gap > 0.15) or length > PIECE_SECONDS:
            groups.append((first, i))
            first = i
    return groups


def _by_stretches(job: _Job, tool: Aligner) -> None:
    """Walk through a long recording: see the module's text. Stops where nothing fits; the rest stays unplaced."""
    voice = np.concatenate([[0.0], np.cumsum(activity(job.audio))])
    letters = np.concatenate([[0], np.cumsum([len(w) + 1 for w in job.words])])
    at, word = 0.0, 0
    while word < len(job.words):
        left = job.audio.seconds - at
        voiced = max(voice[-1] - voice[min(int(at * TOKEN_RATE), len(voice) - 1)], 1.0) / TOKEN_RATE
        rate = min((letters[-1] - letters[word]) / voiced, FASTEST)
        if left <= WHOLE_SECONDS and _place(job, tool, word, len(job.words), at, job.audio.seconds):
            return
        for share in (0.75, 0.55, 0.95):
            job.report(word / len(job.words))
            last = int(np.searchsorted(letters, letters[word] + rate * min(PIECE_SECONDS, left) * share))
            last = min(max(last, word + 3), len(job.words))
            kept = _fitting(tool, job, word, last, at)
            if kept:
                break
        else:
            return
        word += len(kept)
        at = kept[-1].end


def _fitting(tool: Aligner, job: _Job, word: int, last: int, at: float) -> list[Placed]:
    """Align words word..last to a stretch that is likely longer; keep those that fit, up to a pause or full stop."""
    placed = tool.place(job.audio.clip(at, at + PIECE_SECONDS), job.words[word:last])
    if placed is None:
        return []
    solid: list[Placed] = []
    for p in placed:
        # A lone mark takes no time: it stands where the word before it ends.
        solid.append(p if p is not None else Placed(*(2 * (solid[-1].end if solid else 0.0,)), RIGHT))
    # The words at the end are stretched over sound that is not theirs, unless text or recording end here.
    ends = last == len(job.words) or at + PIECE_SECONDS >= job.audio.seconds
    limit = len(solid) if ends else max(1, int(len(solid) * 0.75))
    best = 0
    for i in range(limit):
        if _mean(placed[max(0, i - 7) : i + 1]) < RIGHT:
            break
        pause = i + 1 < len(solid) and solid[i + 1].start - solid[i].end >= 0.08
        stop = job.words[word + i].endswith((".", "!", "?", ","))
        if pause or stop or (i == limit - 1 and (ends or best == 0)):
            best = i + 1
    kept = [Placed(p.start + at, p.end + at, p.score) for p in solid[:best]]
    job.found[word : word + best] = kept
    return kept


def _leave_out_the_rest(job: _Job, warnings: list[str]) -> None:
    """Where the script's beginning was found up to the end of the speech, what follows was never said: cut it off."""
    count = next((i for i, p in enumerate(job.found) if p is None), len(job.found))
    last = job.found[count - 1] if 3 <= count < len(job.found) else None
    if last is None or any(job.found[count:]):
        return
    spoken_until = float(np.flatnonzero(activity(job.audio)).max() + 1) / TOKEN_RATE
    if last.end > spoken_until - 0.7 and _mean(job.found[:count]) > RIGHT:
        left = len(job.words) - count
        warnings.append(f"The recording ends before the script does: its last {left} words were left out.")
        job.words, job.found = job.words[:count], job.found[:count]


def _too_fast(job: _Job) -> bool:
    return sum(len(w) + 1 for w in job.words) > FASTEST * (1.0 + float(activity(job.audio).sum()) / TOKEN_RATE)


def _fits(job: _Job) -> bool:
    count = sum(p is not None for p in job.found)
    return count >= 0.8 * len(job.found) > 0 and _mean(job.found) > RIGHT


def _needs_help(job: _Job) -> bool:
    """True where enough words are lost that asking Whisper pays; a few are held well enough by their neighbours."""
    lost = sum(p is None or p.score < LOST for p in job.found)
    return lost > max(1, 0.04 * len(job.found))


# --------------------------------------------------------------------------------------------------- Whisper's times


def _heard(transcriber: Transcriber | None, warnings: list[str]) -> list[Word]:
    if transcriber is None:
        return []
    try:
        return transcriber()
    except UserError as error:
        warnings.append(f"{error.message} {error.hint}".strip())
        return []


def _plain(word: str) -> str:
    folded = unicodedata.normalize("NFKD", word.lower())
    return re.sub(r"[^\w]", "", "".join(c for c in folded if not unicodedata.combining(c)))


def _match(words: list[str], heard: list[Word]) -> dict[int, Word]:
    """Which heard word each script word is, for those that are alike and in order."""
    a, b = [_plain(w) for w in words], [_plain(w.text) for w in heard]
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    pairs: dict[int, Word] = {}
    for tag, i0, i1, j0, j1 in matcher.get_opcodes():
        alike = tag == "equal" or (tag == "replace" and i1 - i0 == j1 - j0 <= 3)
        pairs.update({i0 + k: heard[j0 + k] for k in range(i1 - i0)} if alike else {})
    return pairs


def _share(job: _Job, pairs: dict[int, Word]) -> float:
    same = sum(_plain(job.words[i]) == _plain(w.text) for i, w in pairs.items())
    return same / max(len(job.words), 1)


def _finished(job: _Job, heard: list[Word]) -> list[Word]:
    """The words with times: found, else heard, else between their neighbours; rising and inside the recording."""
    pairs = _match(job.words, heard)
    times: list[Times | None] = []
    for i, placed in enumerate(job.found):
        heard_word = pairs.get(i)
        if heard_word is not None and (placed is None or placed.score < LOST):
            times.append((heard_word.start, heard_word.end))
        else:
            times.append(None if placed is None else (placed.start, placed.end))
    return _rising(job, _between(job, times))


def _between(job: _Job, times: list[Times | None]) -> list[Times]:
    """Fill runs of None evenly by letters between the words around them."""
    out: list[Times] = []
    i = 0
    while i < len(times):
        known = times[i]
        if known is not None:
            out.append(known)
            i += 1
            continue
        j = next((k for k in range(i, len(times)) if times[k] is not None), len(times))
        after = times[j] if j < len(times) else None
        begin = out[-1][1] if out else 0.0
        weights = np.array([len(w) + 1 for w in job.words[i:j]], float)
        end = after[0] if after is not None else min(job.audio.seconds, begin + 0.08 * float(weights.sum()))
        marks = begin + max(end - begin, 0.0) * np.concatenate([[0.0], np.cumsum(weights)]) / weights.sum()
        out += [(float(a), float(b)) for a, b in pairwise(marks)]
        i = j
    return out


def _rising(job: _Job, times: list[Times]) -> list[Word]:
    words: list[Word] = []
    floor = 0.0
    top = math.floor(job.audio.seconds * 1000) / 1000
    for text, (raw_start, raw_end) in zip(job.words, times, strict=True):
        start = min(max(raw_start, floor), max(top - SHORTEST, 0.0))
        end = min(max(raw_end, start + SHORTEST), top)
        words.append(Word(text, round(start, 3), round(max(start, end), 3)))
        floor = start
    return words


def _spread(job: _Job) -> list[Word]:
    """The words over the voiced rows of the recording, each with time by its letters."""
    voice = np.concatenate([[0.0], np.cumsum(activity(job.audio) + 1e-6)])
    marks = np.concatenate([[0.0], np.cumsum([len(w) + 1 for w in job.words])]).astype(float)
    rows = np.interp(marks / marks[-1] * voice[-1], voice, np.arange(len(voice))) / TOKEN_RATE
    return _rising(job, [(float(a), float(b)) for a, b in pairwise(rows)])
