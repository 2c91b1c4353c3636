"""The guide's table: assembled motion and weights on recordings that no training hears, beside people.

`measured.json` keeps every column that was ever put into the guide, so that old weights stay beside new ones; the
guide's table between `BEGIN` and `END` is made from it and from the anchors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from backend.analysis import trimmed
from backend.measure import table
from backend.measure.column import Piece, measure
from backend.measure.speech import Speech
from backend.models.layout import to_motion
from backend.pipeline import generate
from backend.resources import Resources
from backend.speech.audio import Audio, load_audio
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.manner import Manner
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.protocol import GenerateSettings
from training.assembly import Stock
from training.clips import SpeechClip
from training.motion_folder import load_folders
from training.prepare import PrepareConfig, make_clip, stock_of

MEASURED = Path(__file__).with_name("measured.json")
GUIDE = Path(__file__).parents[1] / "docs" / "training.md"
BEGIN, END = "<!-- made by `python -m training table` -->", "<!-- end -->"
SEED = 0


def columns(
    recordings: Sequence[Path],
    motion: Sequence[str],
    weights: Sequence[tuple[str, str]],
    pieces: Sequence[float] = (),
) -> Iterator[tuple[str, str]]:
    """Measure and keep a column for each recording: of motion assembled from the folders `motion`, and of each (name,
    folder) of weights. pieces: seconds; the weights are then measured again on each recording in pieces of that
    length. Yields the columns' names and what they are."""
    stock = stock_of(load_folders(motion), PrepareConfig()) if motion else None
    resources = Resources()
    for path in recordings:
        audio = load_audio(path)
        speech, minutes = Speech.of(audio), f"{audio.seconds / 60:.1f} minutes of {path.stem}"
        made: dict[str, tuple[list[Piece], str]] = {}
        if stock:
            made[f"assembled, {path.stem}"] = [Piece(assembled(audio, stock, SEED), speech)], minutes
        for name, folder in weights:
            whole = [Piece(generated(audio, folder, SEED, resources), speech)]
            made[f"{name}, {path.stem}"] = whole, f"{minutes}, weights {name}"
            for seconds in pieces:
                parts = list(generated_in_pieces(audio, folder, SEED, resources, seconds))
                made[f"{name} in {seconds:g} s, {path.stem}"] = parts, f"{minutes} in pieces, weights {name}"
        for name, (parts, about) in made.items():
            table.keep(name, measure(parts), about, MEASURED)
            yield name, about


def assembled(audio: Audio, stock: Stock, seed: int) -> Motion:
    """Motion of an ordinary speaker by the rules that make the training set, from the sound alone."""
    samples = audio.samples
    return to_motion(make_clip(SpeechClip(samples, samples, ()), stock, seed, Manner()).vectors)


def generated(audio: Audio, weights: str, seed: int, resources: Resources) -> Motion:
    """What the backend makes of a recording without semantic gestures."""
    settings = GenerateSettings(retriever="off", weights=weights, seed=seed)
    return generate(audio, settings, resources).merged


def generated_in_pieces(audio: Audio, weights: str, seed: int, resources: Resources, seconds: float) -> Iterator[Piece]:
    """The same of a recording cut into pieces, each generated as if it were all there is."""
    for number in range(int(audio.seconds // seconds)):
        settings = GenerateSettings(
            retriever="off", weights=weights, seed=seed + number,
            audio_start=number * seconds, audio_end=(number + 1) * seconds,
        )  # fmt: skip
        yield Piece(generate(audio, settings, resources).merged, Speech.of(trimmed(audio, settings)))


def markdown() -> str:
    """The guide's table: a name's recordings share a column, "/" between them."""
    measured = table.kept(MEASURED)
    names = list(dict.fromkeys(full.rpartition(", ")[0] for full in measured))
    return table.markdown(
        {name: _together(measured, name) for name in names} | {name: (rows,) for name, rows in table.kept().items()}
    )


def _together(measured: dict[str, table.Rows], name: str) -> tuple[table.Rows, ...]:
    return tuple(rows for full, rows in measured.items() if full.rpartition(", ")[0] == name)


def write(guide: Path = GUIDE) -> None:
    """Put the table into the guide, in the place of the last one."""
    old = guide.read_text("utf-8")
    before, found, rest = old.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise UserError(f"{guide.name} has no place for the table.", f"Put {BEGIN} and {END} into it.", "bad_manifest")
    guide.write_text(f"{before}{BEGIN}\n\n{markdown()}\n\n{END}{after}", "utf-8")
