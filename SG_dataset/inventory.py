"""The inventory SG_list.xlsx in the column layout of the reference's list, written from the notation and read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException

from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.files import replacing
from SG_dataset.notation.records import GestureSpec

WORKBOOK = Path(__file__).parent / "SG_list.xlsx"
SHEET = "sg_list"
COLUMNS = ("Semantics-Aware Index", "Copyright Source", "Label", "Description", "Contextual Meaning", "Example")
NOTES = (
    "Gestures of this project's own library, written from SG_dataset/gestures. Licence: CC0-1.0.",
    "In an example the gestured word stands between asterisks. One example per line.",
)
SOURCE = "this project, CC0-1.0"
_WIDTHS = (12, 22, 34, 60, 40, 90)


@dataclass(frozen=True)
class Row:
    """A line of the list. The label is without its footnote mark."""

    id: str
    source: str
    label: str
    description: str
    meanings: str
    examples: str


def write_inventory(gestures: Sequence[GestureSpec], path: Path = WORKBOOK) -> None:
    """Write the workbook at once or not at all: two rows of notes, the header, one row per gesture."""
    book = Workbook()
    page = book.active
    assert page is not None
    page.title = SHEET
    for note in NOTES:
        page.append([note])
    page.append(list(COLUMNS))
    for g in gestures:
        examples = "\n".join(e.text.replace(e.word, f"*{e.word}*", 1) for e in g.examples)
        page.append([g.id, SOURCE, g.label, g.description, "; ".join(g.meanings), examples])
    for column, width in enumerate(_WIDTHS, start=1):
        page.cell(len(NOTES) + 1, column).font = Font(bold=True)
        page.column_dimensions[get_column_letter(column)].width = width
    for line in page.iter_rows(min_row=len(NOTES) + 2):
        line[0].number_format = "@"  # ids keep their leading zeros
        for cell in line:
            cell.alignment = Alignment(wrap_text=True, vertical="top")
    page.freeze_panes = f"A{len(NOTES) + 2}"
    with replacing(path) as temporary:
        book.save(temporary)


def read_inventory(path: Path = WORKBOOK) -> list[Row]:
    """Rows of a list in this layout, ours or the reference's; UserError if it is not one."""
    try:
        book = load_workbook(path, read_only=True, data_only=True)
        page = book[SHEET] if SHEET in book.sheetnames else book.worksheets[0]
        table = [[str(c) if c is not None else "" for c in row] for row in page.iter_rows(values_only=True)]
        book.close()
    except (OSError, KeyError, ValueError, IndexError, SyntaxError, BadZipFile, InvalidFileException) as problem:
        raise UserError(
            f"{path} cannot be read as a gesture list: {problem}.",
            "Get a whole .xlsx workbook, or take the file away: then the names of the motions decide.",
            "bad_list",
        ) from problem
    starts = [i for i, row in enumerate(table) if row and row[0].strip() == COLUMNS[0]]
    if not starts:
        raise UserError(f"{path} has no header row.", f"Its columns must be: {', '.join(COLUMNS)}.", "bad_list")
    return [_row(line) for line in table[starts[0] + 1 :] if line and line[0].strip()]


def _row(line: list[str]) -> Row:
    cells = (line + [""] * len(COLUMNS))[: len(COLUMNS)]
    number = cells[0].strip().split(".")[0].zfill(4)  # spreadsheets drop leading zeros
    return Row(number, cells[1].strip(), cells[2].split("[")[0].strip(), *(c.strip() for c in cells[3:]))
