"""The tree in docs/architecture.md, a line a file, from the files' own first sentences:  python packaging/draw_tree.py

A test compares the page with the files, so a new file is told by its own docstring or not at all.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("sg_blender_addon", "SG_dataset", "backend", "training")
BEGIN, END = "<!-- tree: made by packaging/draw_tree.py -->\n```\n", "```\n<!-- end of the tree -->\n"
NAMES, WIDTH = 34, 120  # characters


def first_sentence(path: Path) -> str:
    """Of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".")


def rows(folder: Path, depth: int = 0) -> Iterator[str]:
    """A folder's line, then its files', then its rooms'."""
    indent = "  " * depth
    yield _row(f"{indent}{folder.name}/", first_sentence(folder / "__init__.py"))
    entries = sorted(folder.iterdir(), key=lambda p: p.name)
    for path in entries:
        if path.suffix == ".py" and path.name != "__init__.py":
            yield _row(f"{indent}  {path.name}", first_sentence(path))
    for path in entries:
        if path.is_dir() and (path / "__init__.py").is_file():
            yield from rows(path, depth + 1)


def _row(name: str, what: str) -> str:
    """A sentence that is too long for the line is told up to where it begins to explain itself."""
    for mark in (": ", "; ", ", "):
        if NAMES + len(what) > WIDTH:
            what = what.split(mark, maxsplit=1)[0]
    return f"{name:<{NAMES}}{what}".rstrip()


def tree() -> str:
    """The whole tree as it belongs into the page."""
    return BEGIN + "\n".join(row for package in PACKAGES for row in rows(ROOT / package)) + "\n" + END


def with_tree(page: str) -> str:
    """The page with its tree as the files are now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + tree() + after


if __name__ == "__main__":
    PAGE.write_text(with_tree(PAGE.read_text("utf-8")), "utf-8")
