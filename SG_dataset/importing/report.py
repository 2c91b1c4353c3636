"""What became of every file of an import: for a person on the terminal, for machines in `import_report.json`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sg_blender_addon.core.errors import UserError

FILE = "import_report.json"
_SHOWN = 12
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass
class ImportReport:
    """used: one record per file that became a variant; left_out: file and reason; remarks: file and what to know;
    hints: what to do about files that were left out."""

    source: Path
    target: Path
    licence: str = ""
    used: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    remarks: list[tuple[str, str]] = field(default_factory=list)
    without_files: list[str] = field(default_factory=list)
    files: int = 0
    seconds: float = 0.0

    @property
    def gestures(self) -> int:
        return len({record["id"] for record in self.used})

    def leave_out(self, name: str, problem: UserError) -> None:
        """A file that cannot be used."""
        self.left_out.append((name, problem.message))
        if problem.hint and problem.hint not in self.hints:
            self.hints.append(problem.hint)

    def to_json(self) -> dict[str, Any]:
        return {
            "source": str(self.source),
            "licence": self.licence,
            "files": self.files,
            "gestures": self.gestures,
            "variants": len(self.used),
            "used": self.used,
            "left_out": [{"file": name, "why": why} for name, why in self.left_out],
            "remarks": [{"file": name, "what": what} for name, what in self.remarks],
            "listed_without_files": self.without_files,
            "seconds": round(self.seconds, 1),
        }

    def text(self) -> str:
        """The summary that is printed."""
        what = f"{self.gestures} gestures, {len(self.used)} variants from {self.files} files in {self.seconds:.0f} s"
        lines = [f"{self.target}: {what}."]
        if self.left_out:
            lines.append(f"{len(self.left_out)} files could not be used:")
            lines += _some([f"{name}: {why}" for name, why in self.left_out])
            lines += [f"What helps: {' '.join(self.hints)}"] if self.hints else []
        if self.without_files:
            lines.append(f"{len(self.without_files)} listed gestures have no usable file:")
            lines += _some(self.without_files)
        if self.remarks:
            lines.append("Remarks:")
            lines += _some(_gathered(self.remarks))
        lines.append(f"Licence: {self.licence}")
        lines.append(f"Every file's fate is in {self.target / FILE}.")
        return "\n".join(lines)


def _gathered(remarks: list[tuple[str, str]]) -> list[str]:
    """One line for all remarks that differ in their numbers alone, the most frequent first."""
    alike: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for name, what in remarks:
        alike.setdefault(tuple(_NUMBER.split(what)), []).append((name, what))
    lines = []
    for group in sorted(alike.values(), key=len, reverse=True):
        spans = [_span(numbers) for numbers in zip(*(_NUMBER.findall(what) for _, what in group), strict=True)]
        what = "".join(a + b for a, b in zip(_NUMBER.split(group[0][1]), [*spans, ""], strict=True))
        more = f" and {len(group) - 1} more" if len(group) > 1 else ""
        lines.append(f"{what} ({group[0][0]}{more})")
    return lines


def _span(numbers: tuple[str, ...]) -> str:
    low, high = min(numbers, key=float), max(numbers, key=float)
    return low if low == high else f"{low} to {high}"


def _some(lines: list[str]) -> list[str]:
    more = [f"  ... and {len(lines) - _SHOWN} more, see the report"] if len(lines) > _SHOWN else []
    return [f"  {line}" for line in lines[:_SHOWN]] + more
