"""Records from JSON (or YAML): a dataclass built from plain data by its type hints, or one sentence that says why not.

What a field may hold beyond its type stands in its annotation:

    fps: Annotated[float, Range(1, 240)] = 60.0
    blend: Annotated[str, OneOf("auto", "motion")] = "auto"
    script: Annotated[str, Length(2_000_000)] = ""

It reads bool, int, float, str, None, unions of them, `Any` (plain data), tuples, lists, mappings with text as keys, and
dataclasses of all that. A whole number is taken for a float, and a float without a fraction for a whole number: JSON
has one kind of number. Everything has a limit: numbers are finite, texts and lists no longer than LONGEST unless their
field says so, and nothing is nested deeper than DEEPEST.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import UserError

T = TypeVar("T")
LONGEST = 100_000
DEEPEST = 32


@dataclass(frozen=True)
class Range:
    """A number's limits, both included."""

    low: float
    high: float

    def objection(self, value: Any) -> str:
        return "" if self.low <= value <= self.high else f"must lie between {self.low:.12g} and {self.high:.12g}"


@dataclass(frozen=True)
class Length:
    """The most characters of a text, or entries of a list or mapping."""

    most: int

    def objection(self, value: Any) -> str:
        return "" if len(value) <= self.most else f"must not be longer than {self.most}"


@dataclass(frozen=True, init=False)
class OneOf:
    """The values there are."""

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        object.__setattr__(self, "values", values)

    def objection(self, value: Any) -> str:
        return "" if value in self.values else f"must be one of {', '.join(map(str, self.values))}"


Limit = Range | Length | OneOf


Path = tuple[str, ...]
"""The way to a value: ".body", ".widths", "[2]"."""


class _Wrong(Exception):  # noqa: N818 - travels to `Reader` only, which says it
    def __init__(self, path: Path, why: str) -> None:
        super().__init__(path, why)
        self.path, self.why = "".join(path).removeprefix("."), why


@dataclass(frozen=True)
class Reader:
    """Reads one sort of record and words what is wrong: "{part} 'body.width' is missing.", "{whole} must be ...".

    unknown_hint: what to do about a field that does not exist, where it is something else than `hint`.
    own: classes that are made by a function of their own, which raises KeyError, TypeError, ValueError, AttributeError
    or OverflowError for what it cannot use.
    """

    whole: str
    part: str
    hint: str
    code: str
    unknown_hint: str = ""
    own: Mapping[type, Callable[[Any], Any]] = field(default_factory=dict)

    def read(self, kind: type[T], data: Any) -> T:
        """`kind` from plain data. UserError names the field that is wrong, by its path, and what is wrong."""
        try:
            made: T = _record(kind, data, (), self)
        except _Wrong as wrong:
            raise self.refuse(wrong.path, wrong.why) from wrong
        return made

    def check(self, record: Any) -> None:
        """Hold a record that was made by hand to the limits of its fields; for `__post_init__`."""
        for name, hint in _hints(record.__class__).items():
            limits = _parted(hint)[1]
            value = getattr(record, name)
            if value is not None:
                try:
                    _limit(limits, value, (name,))
                except _Wrong as wrong:
                    raise self.refuse(wrong.path, wrong.why) from wrong

    def refuse(self, path: str, why: str) -> UserError:
        named = f"{self.part} {path!r}" if path else self.whole
        hint = self.unknown_hint if why == _UNKNOWN and self.unknown_hint else self.hint
        return UserError(f"{named} {why}.", hint, self.code)


_UNKNOWN = "is unknown"


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {f.name: hints[f.name] for f in fields(kind) if f.init}


def _parted(hint: Any) -> tuple[Any, tuple[Limit, ...]]:
    """A hint without its limits, and those. A union's limits may stand on one of its kinds."""
    if get_origin(hint) is Annotated:
        kind, *extras = get_args(hint)
        return kind, tuple(e for e in extras if isinstance(e, Limit))
    if get_origin(hint) in (Union, types.UnionType):
        limits = tuple(limit for part in get_args(hint) for limit in _parted(part)[1])
        return hint, limits
    return hint, ()


def _record(kind: Any, data: Any, path: Path, reader: Reader) -> Any:
    if not isinstance(data, dict):
        raise _Wrong(path, "must be an object with named fields")
    hints = _hints(kind)
    for name in data:
        if name not in hints:
            raise _Wrong(_joined(path, name), _UNKNOWN)
    needed = (f.name for f in fields(kind) if f.init and f.default is MISSING and f.default_factory is MISSING)
    for name in needed:
        if name not in data:
            raise _Wrong(_joined(path, name), "is missing")
    values = {name: _value(hints[name], value, _joined(path, name), reader) for name, value in data.items()}
    try:
        return kind(**values)
    except ValueError as error:  # what the record itself does not allow
        raise _Wrong(path, f"is wrong: {error}") from error


def _joined(path: Path, name: Any) -> Path:
    return (*path, f".{str(name)[:100]}")


def _value(hint: Any, value: Any, path: Path, reader: Reader) -> Any:
    if len(path) > DEEPEST:
        raise _Wrong(path, "is nested too deeply")
    kind, limits = _parted(hint)
    made = _converted(kind, value, path, reader)
    if made is not None:
        _limit(limits, made, path)
    return made


def _limit(limits: tuple[Limit, ...], value: Any, path: Path) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise _Wrong(path, "must be a finite number")
    if isinstance(value, str | tuple | list | dict) and not any(isinstance(limit, Length) for limit in limits):
        limits = (*limits, Length(LONGEST))
    for limit in limits:
        objection = limit.objection(value)
        if objection:
            raise _Wrong(path, objection)


def _converted(kind: Any, value: Any, path: Path, reader: Reader) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _of_union(inner, value, path, reader)
    if kind in reader.own:
        try:
            return reader.own[kind](value)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise _Wrong(path, f"is not a usable {kind.__name__.lower()}") from error
    if is_dataclass(kind):
        return _record(kind, value, path, reader)
    if kind is Any:
        return _plain(value, path, reader)
    if origin in (tuple, list, Sequence) and isinstance(value, list | tuple):
        return _list(origin, inner, value, path, reader)
    if origin in (dict, Mapping) and isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _value(inner[1], entry, _joined(path, key), reader) for key, entry in value.items()}
    if _is_number(value) and kind in (int, float):
        return _number(kind, value, path)
    if kind in (bool, str) and type(value) is kind:
        return value
    if kind in (None, types.NoneType) and value is None:
        return None
    raise _Wrong(path, f"has a wrong value: {_shown(value)} instead of {_named(kind)}")


def _of_union(kinds: tuple[Any, ...], value: Any, path: Path, reader: Reader) -> Any:
    """The first kind that fits; what the last one objects to otherwise, None left out."""
    if value is None and types.NoneType in kinds:
        return None
    rest = [kind for kind in kinds if kind is not types.NoneType]
    for kind in rest[:-1]:
        try:
            return _value(kind, value, path, reader)
        except _Wrong:
            continue
    return _value(rest[-1], value, path, reader)


def _list(origin: Any, inner: tuple[Any, ...], value: Sequence[Any], path: Path, reader: Reader) -> Any:
    if origin is tuple and inner[-1] is not Ellipsis:
        if len(value) != len(inner):
            raise _Wrong(path, f"must have {len(inner)} entries, not {len(value)}")
        kinds = inner
    else:
        kinds = inner[:1] * len(value)
    made = [_value(k, entry, (*path, f"[{i}]"), reader) for i, (k, entry) in enumerate(zip(kinds, value, strict=True))]
    return made if origin is list else tuple(made)


def _plain(value: Any, path: Path, reader: Reader) -> Any:
    """Data of any shape, still within the limits."""
    if isinstance(value, dict):
        return _converted(dict[str, Any], value, path, reader)
    if isinstance(value, list | tuple):
        return _converted(list[Any], value, path, reader)
    if isinstance(value, bool | int | float | str | None):
        return _value(type(value), value, path, reader)
    raise _Wrong(path, f"has a wrong value: {_shown(value)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(kind: type, value: float, path: Path) -> float:
    try:
        if not math.isfinite(value):
            raise _Wrong(path, "must be a finite number")
    except OverflowError as error:  # a whole number of more than 308 digits
        raise _Wrong(path, "is too large a number") from error
    made: float = kind(value)
    if made != value and kind is int:
        raise _Wrong(path, f"must be a whole number, not {value:g}")
    return made


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."


def _named(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    if kind in names:
        return names[kind]
    origin = get_origin(kind)
    return (
        "a list" if origin in (tuple, list, Sequence) else "named entries" if origin in (dict, Mapping) else str(kind)
    )
