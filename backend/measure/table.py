"""Columns beside each other: what was measured, and the people it is compared with.

`anchors.json` holds aggregated numbers only, with where they are from and under which licence: {name: {"about": text,
"rows": {row: number}}}. No row can be turned back into motion.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = dict[str, float]  # what a row is called, and its number
ANCHORS = Path(__file__).with_name("anchors.json")


def kept(path: Path = ANCHORS) -> dict[str, Rows]:
    """The columns of a file by name; none where there is no file."""
    if not path.is_file():
        return {}
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return {name: {k: float(v) for k, v in entry["rows"].items()} for name, entry in data.items()}


def keep(name: str, rows: Rows, about: str, path: Path = ANCHORS) -> None:
    """Write a column into the file, in the place of an older one of that name."""
    data: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    numbers = {k: float(f"{v:.6g}") for k, v in rows.items() if math.isfinite(v)}
    data[name] = {"about": about, "rows": numbers}
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


def text(columns: Mapping[str, Rows]) -> str:
    """The table for a terminal; a dash where a row does not apply."""
    names = list(dict.fromkeys(row for column in columns.values() for row in column))
    wide = max(map(len, names)) + 2
    lines = [" " * wide + "".join(f"{name[:14]:>15}" for name in columns)]
    lines += [f"{row:{wide}}" + "".join(f"{_number(c.get(row)):>15}" for c in columns.values()) for row in names]
    return "\n".join(lines)


def markdown(columns: Mapping[str, Sequence[Rows]]) -> str:
    """The table for a guide; several rows of numbers in a column stand beside each other, "/" between them."""
    names = list(dict.fromkeys(row for parts in columns.values() for rows in parts for row in rows))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        cells = (" / ".join(_number(rows.get(name)) for rows in parts) for parts in columns.values())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{round(value, 3) + 0.0:.3g}"
