"""The registry of error codes against the source that raises them and the page that lists them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sg_blender_addon.core.error_codes import CODES, SECTIONS, status

ROOT = Path(__file__).parents[2]
PACKAGES = ("sg_blender_addon", "SG_dataset", "backend", "training")
CODE_ARGUMENT = 2  # of UserError(message, hint, code)


def raised_codes() -> Iterator[tuple[str, str]]:
    """Where a code stands, and the code: the third argument, or `code=`, of everything called ...Error."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if name.endswith("Error"):
                    given = node.args[CODE_ARGUMENT:] + [k.value for k in node.keywords if k.arg == "code"]
                    for value in given[:1]:
                        for choice in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
                            if isinstance(choice, ast.Constant) and re.fullmatch("[a-z_]+", str(choice.value)):
                                yield f"{path.relative_to(ROOT)}:{node.lineno}", choice.value


def test_every_code_that_is_raised_is_registered_and_none_is_left_over() -> None:
    raised = list(raised_codes())
    assert len(raised) > 200
    assert [(where, code) for where, code in raised if code not in CODES] == []
    assert sorted(set(CODES) - {code for _, code in raised} - {"error"}) == []


def test_a_code_stands_in_one_section_only() -> None:
    assert sum(len(section) for section in SECTIONS.values()) == len(CODES)
    meanings = [entry.meaning for entry in CODES.values()]
    assert len(set(meanings)) == len(meanings) and not any(m.endswith(".") for m in meanings)


@pytest.mark.parametrize(("code", "expected"), [("unknown_job", 404), ("bad_bvh", 400), ("of_somebody_else", 400)])
def test_statuses(code: str, expected: int) -> None:
    assert status(code) == expected


def test_the_protocol_page_lists_the_registry() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \| ([^|]+) \|$", page, flags=re.MULTILINE)
    assert [(code, int(number), text) for code, number, text in rows] == [
        (code, entry.status, entry.meaning) for code, entry in CODES.items()
    ]
