"""Columns beside each other: what was measured, and the people it is compared with.

`anchors.json` holds aggregated numbers only, with where they are from and under which licence: {name: {"about": text,
"rows": {row: number}}}. No row can be turned back into motion.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .liveliness import Rows

ANCHORS = Path(__file__).with_name("anchors.json")
Columns = Mapping[str, Rows]


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


def text(columns: Columns) -> str:
    """The table for a terminal; a dash where a row does not apply."""
    names = _rows(columns)
    wide = max(map(len, names)) + 2
    lines = [" " * wide + "".join(f"{name[:14]:>15}" for name in columns)]
    lines += [f"{row:{wide}}" + "".join(f"{_number(c.get(row)):>15}" for c in columns.values()) for row in names]
    return "\n".join(lines)


def markdown(columns: Columns) -> str:
    """The table for a guide."""
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {row} | " + " | ".join(_number(c.get(row)) for c in columns.values()) + " |" for row in _rows(columns)
    ]
    return "\n".join(lines)


def _rows(columns: Columns) -> list[str]:
    return list(dict.fromkeys(row for column in columns.values() for row in column))


def _number(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.3g}"
