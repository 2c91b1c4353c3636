"""What a language model may answer, as a schema, and what of an answer is believed.

Models drop leading zeros, repeat labels, count past the sentence, think aloud and invent gestures. What can be
understood is taken, the rest is dropped item by item; only numbers and ids of the library come out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_ALTERNATIVES = 4
DEFAULT_CONFIDENCE = 0.7


@dataclass(frozen=True)
class Answer:
    """A checked answer: `word` counts the sentence's words from 0, `ids` exist in the library, best first."""

    word: int
    ids: tuple[str, ...]
    confidence: float


def answer_schema(ids: Sequence[str], words: int, most: int) -> dict[str, Any]:
    """JSON schema of an answer for a sentence of `words` words."""
    gesture = {"type": "string", "enum": list(ids)}
    return {
        "type": "object",
        "properties": {
            "gestures": {
                "type": "array",
                "maxItems": most,
                "items": {
                    "type": "object",
                    "properties": {
                        "word": {"type": "integer", "minimum": 0, "maximum": max(words - 1, 0)},
                        "id": gesture,
                        "confidence": {"type": "number"},
                        "alternatives": {"type": "array", "items": gesture, "maxItems": MAX_ALTERNATIVES},
                    },
                    "required": ["word", "id", "confidence", "alternatives"],
                    "additionalProperties": False,
                },
            }
        },
        "required": ["gestures"],
        "additionalProperties": False,
    }


def parse(text: str, words: int, known: frozenset[str]) -> tuple[list[Answer], bool]:
    """Answers out of a model's text, best first, and whether the text was usable at all.

    Unknown ids, words out of range and anything of the wrong kind are dropped one by one; the text is unusable if it
    holds no such JSON, or items of which none survived.
    """
    items = _items(text)
    if items is None:
        return [], False
    best: dict[int, Answer] = {}
    for item in items[:100]:
        answer = _checked(item, words, known)
        if answer is not None and (answer.word not in best or best[answer.word].confidence < answer.confidence):
            best[answer.word] = answer
    return sorted(best.values(), key=lambda a: (-a.confidence, a.word)), bool(best) or not items


def _items(text: str) -> list[Any] | None:
    """The list of gestures in the first JSON value that has one; thinking aloud and code fences are passed over."""
    text = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL)
    decoder = json.JSONDecoder()
    for match in list(re.finditer(r"[{\[]", text))[:50]:
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and isinstance(value.get("gestures"), list):
            return list(value["gestures"])
        if isinstance(value, list) and all(isinstance(v, dict) for v in value):
            return value
    return None


def _checked(item: Any, words: int, known: frozenset[str]) -> Answer | None:
    if not isinstance(item, dict):
        return None
    word, first = _whole(item.get("word")), _identity(item.get("id"), known)
    if word is None or not 0 <= word < words or first is None:
        return None
    others = item.get("alternatives")
    more = [_identity(v, known) for v in others[:20]] if isinstance(others, list) else []
    ids = tuple(dict.fromkeys([first, *(m for m in more if m is not None)]))
    return Answer(word, ids[: MAX_ALTERNATIVES + 1], _confidence(item.get("confidence")))


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\d{1,4}", value.strip()):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _identity(value: Any, known: frozenset[str]) -> str | None:
    """A known id. Models drop leading zeros and repeat the label: "31", 31 and "0031 BELLY RUB" all mean "0031"."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    found = re.match(r"\s*(\w{1,32})", str(value)[:64])
    if found is None:
        return None
    text = found.group(1)
    return next((i for i in (text, text.zfill(4)) if i in known), None)


def _confidence(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return DEFAULT_CONFIDENCE
    return float(min(max(value / 100.0 if 1.0 < value <= 100.0 else value, 0.0), 1.0))
