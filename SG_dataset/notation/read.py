"""The gesture notation: reads and checks the YAML files under `SG_dataset/gestures/`.

The language is described in `docs/notation.md`. Files are written for a right-handed speaker; left-handed variants are
mirrored by the compiler. Every mistake in a file becomes a `UserError` that names the file and the place.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sg_blender_addon.core.errors import UserError
from SG_dataset.notation.landmarks import HAND_POINTS, LANDMARKS, TIP_POINTS, zone_place
from SG_dataset.notation.records import Cycle, Example, GestureSpec, HandKey, Key, VariantSpec
from SG_dataset.notation.shapes import shape_names

Record = dict[str, Any]

FOLDER = Path(__file__).parents[1] / "gestures"
PHASES = ("prepare", "stroke", "hold", "retract")
HANDS = ("right", "left")
# directions as the left hand sees them: out (own side) is +X
DIRECTIONS = {
    "out": (1, 0, 0),
    "in": (-1, 0, 0),
    "up": (0, 1, 0),
    "down": (0, -1, 0),
    "forward": (0, 0, 1),
    "back": (0, 0, -1),
}
HAND_FIELDS = {
    "use",
    "zone",
    "at",
    "touch",
    "with",
    "move",
    "gap",
    "palm",
    "fingers",
    "shape",
    "elbow",
    "shoulder",
    "path",
    "cycle",
    "roll",
}
CYCLE_FIELDS = {"times", "style", "move", "circle", "grow", "wave", "flap", "twist", "shape", "decay"}
BODY_FIELDS: dict[str, tuple[str, ...]] = {
    "head": ("nod", "turn", "tilt"),
    "torso": ("lean", "turn", "tilt"),
    "shoulders": ("raise", "forward"),
    "hips": ("shift", "push", "drop", "turn"),
    "feet": ("right", "left"),
}
CYCLE_STYLES = ("shake", "tap")
GAZES = ("", "hand", "right hand", "left hand", "listener", "up", "down", "left", "right")
PHASE_FIELDS = {*PHASES, *HANDS, *BODY_FIELDS, "accent", "stop", "gaze"}
TAG_VALUES = {
    "kind": ("emblem", "iconic", "deictic", "metaphoric", "beat"),
    "hands": ("one", "two", "none"),
    "valence": ("positive", "neutral", "negative"),
    "formality": ("casual", "neutral", "formal"),
}
LEAST_EXAMPLES = 12
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def fail(where: str, problem: str, hint: str = "See docs/notation.md.") -> UserError:
    return UserError(f"{where}: {problem}", hint, "bad_notation")


# ---------------------------------------------------------------- words and numbers


def vector(text: Any, where: str, unit: float = 1.0) -> tuple[float, float, float]:
    """ "up 3 forward 2" (a word without a number counts `unit`) to (out, up, forward)."""
    total = np.zeros(3)
    tokens = re.findall(r"[A-Za-z_]+|-?\d+(?:\.\d+)?|\S", str(text))
    i = 0
    while i < len(tokens):
        word = tokens[i]
        if word in {"+", ",", "and"}:
            i += 1
            continue
        if word not in DIRECTIONS:
            raise fail(where, f"{word!r} in {text!r} is not a direction.", f"Directions: {', '.join(DIRECTIONS)}.")
        size = unit
        if i + 1 < len(tokens) and re.fullmatch(r"-?\d+(?:\.\d+)?", tokens[i + 1]):
            size = float(tokens[i + 1])
            i += 1
        total += size * np.array(DIRECTIONS[word], float)
        i += 1
    return (float(total[0]), float(total[1]), float(total[2]))


def number(value: Any, where: str) -> float:
    """A number, or "left 10" / "right 10" (right is positive)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = re.fullmatch(r"\s*(left|right|up|down|forward|back)?\s*(-?\d+(?:\.\d+)?)\s*", str(value))
    if not match:
        raise fail(where, f"{value!r} is not a number.")
    sign = -1.0 if match[1] in {"left", "up", "back"} else 1.0
    return sign * float(match[2])


def _known(record: Mapping[str, Any], allowed: set[str], where: str) -> None:
    for name in record:
        if name not in allowed:
            raise fail(where, f"there is no field {name!r}.", f"Fields here: {', '.join(sorted(allowed))}.")


def _shape(name: Any, where: str) -> str:
    if str(name) not in shape_names():
        raise fail(where, f"there is no hand shape {str(name)!r}.", f"Shapes: {', '.join(shape_names())}.")
    return str(name)


# ---------------------------------------------------------------- hands


def _point(name: Any, where: str) -> str:
    if name not in HAND_POINTS and name not in TIP_POINTS:
        raise fail(where, f"the hand has no point {name!r}.", f"Points: {', '.join([*HAND_POINTS, *TIP_POINTS])}.")
    return str(name)


def _cycle(data: Any, where: str) -> Cycle:
    if not isinstance(data, dict):
        raise fail(where, "a cycle is a set of fields such as {times: 3, move: out 5}.")
    _known(data, CYCLE_FIELDS, where)
    style = str(data.get("style", "shake"))
    if style not in CYCLE_STYLES:
        raise fail(where, f"{style!r} is no style.", f"Styles: {', '.join(CYCLE_STYLES)}.")
    circle = None
    if "circle" in data:
        parts = str(data["circle"]).split(",")
        if len(parts) != 2:
            raise fail(where, 'a circle needs its two radii, such as "up 6, out 6".')
        circle = (vector(parts[0], where), vector(parts[1], where))
    wave, flap, twist, decay = (number(data.get(k, 0), where) for k in ("wave", "flap", "twist", "decay"))
    shape = _shape(data["shape"], where) if "shape" in data else ""
    times, move = number(data.get("times", 2), where), vector(data.get("move", ""), where)
    if not 0.5 <= times <= 20:
        raise fail(where, f"{times:g} is not a number of repetitions (0.5 to 20).")
    return Cycle(times, style, move, circle, bool(data.get("grow", False)), wave, flap, twist, shape, decay)


def _anchor(place: str, where: str) -> tuple[str, str, tuple[float, float, float]]:
    """ "chin down 2" to (landmark, "", offset); "other palm up 1" to ("other", "palm", offset)."""
    words = place.replace("+", " ").split()
    if words and words[0] == "other":
        if len(words) < 2:
            raise fail(where, 'say which point of the other hand: "other palm".')
        return "other", _point(words[1], where), vector(" ".join(words[2:]), where)
    if not words or words[0] not in LANDMARKS:
        raise fail(
            where, f"{place!r} does not begin with a landmark.", f"Landmarks: {', '.join(LANDMARKS)}; or 'other POINT'."
        )
    return words[0], "", vector(" ".join(words[1:]), where)


def _hand_key(state: Record, where: str) -> HandKey:
    """A merged set of fields to a key."""
    places = [k for k in ("zone", "at", "touch") if k in state]
    if len(places) != 1:
        raise fail(where, "a hand needs one of zone, at or touch.")
    kind = places[0]
    if kind == "zone":
        words = str(state["zone"]).replace(",", " ").split()
        zone, rest = " ".join(words[:3]), " ".join(words[3:])
        try:
            base = zone_place(zone)
        except UserError as problem:
            raise fail(where, problem.message, problem.hint) from problem
        shift = vector(rest, where)
        offset = (float(base[0] + shift[0]), float(base[1] + shift[1]), float(base[2] + shift[2]))
        anchor, other = "zone", ""
    else:
        anchor, other, offset = _anchor(str(state[kind]), where)
    for name in ("palm", "fingers"):
        if name not in state:
            raise fail(where, f"say where the {'palm faces' if name == 'palm' else 'fingers point'} ({name}: ...).")
    palm, fingers = vector(state["palm"], where), vector(state["fingers"], where)
    if np.linalg.norm(np.cross(palm, fingers)) < 0.05:
        raise fail(where, f"palm {state['palm']!r} and fingers {state['fingers']!r} cannot be the same direction.")
    path = str(state.get("path", "straight")).strip()
    arc = (0.0, 0.0, 0.0) if path == "straight" else vector(path.removeprefix("arc"), where, 6.0)
    touching = kind == "touch"
    return HandKey(
        anchor=anchor,
        other_point=other,
        offset=offset,
        move=vector(state.get("move", ""), where),
        point=_point(state.get("with", "centre"), where),
        touching=touching,
        gap=number(state.get("gap", 0.0), where),
        palm=palm,
        fingers=fingers,
        roll=number(state.get("roll", 0), where),
        shape=_shape(state.get("shape", "relaxed"), where),
        elbow=number(state.get("elbow", 0), where),
        shoulder=number(state.get("shoulder", 0), where),
        arc=arc,
        cycle=_cycle(state["cycle"], where) if "cycle" in state else None,
    )


def _merge_hand(state: Record | None, data: Any, shared: Mapping[str, Record], where: str) -> Record | None:
    """Fields said now over those said before; a new place drops the old one; paths and cycles do not carry on."""
    if data == "rest":
        return None
    if not isinstance(data, dict):
        raise fail(where, "a hand is a set of fields, or the word rest.")
    _known(data, HAND_FIELDS, where)
    data = dict(data)
    if "use" in data:
        name = str(data.pop("use"))
        if name not in shared:
            raise fail(where, f"there is no shared pose {name!r}.", f"Shared poses: {', '.join(shared)}.")
        state = {**(state or {})}
        data = {**shared[name], **data}
    merged = dict(state or {})
    for name in ("path", "cycle"):
        merged.pop(name, None)
    if any(k in data for k in ("zone", "at", "touch")):
        for name in ("zone", "at", "touch", "with", "gap", "move"):
            merged.pop(name, None)
    if "move" in data and "move" in merged:
        data["move"] = f"{merged['move']} {data['move']}"
    merged.update(data)
    return merged


# ---------------------------------------------------------------- movement


def _keys(moves: Any, shared: Mapping[str, Record], where: str) -> tuple[Key, ...]:
    if not isinstance(moves, list) or not moves:
        raise fail(where, "move must be a list of phases.")
    states: dict[str, Record | None] = {"right": None, "left": None}
    body: dict[str, float] = {}
    gaze = ""
    keys: list[Key] = []
    for i, entry in enumerate(moves):
        here = f"{where}, phase {i + 1}"
        phase, seconds = _phase(entry, here)
        for side in HANDS:
            if side in entry:
                states[side] = _merge_hand(states[side], entry[side], shared, f"{here}, {side}")
            elif states[side]:
                states[side] = _merge_hand(states[side], {}, shared, here)
        if phase == "retract":
            states, body, gaze = {"right": None, "left": None}, {}, ""
        hands = {s: _hand_key(d, f"{here}, {s}") if d else HandKey(rest=True) for s, d in states.items()}
        cycles: dict[str, tuple[Cycle, Mapping[str, float]]] = {}
        for part, fields in BODY_FIELDS.items():
            if part in entry:
                values, cycle = _body_part(part, fields, entry[part], f"{here}, {part}")
                body = {**body, **values}
                if cycle:
                    cycles[part] = cycle
        gaze = str(entry.get("gaze", gaze))
        if gaze not in GAZES:
            raise fail(here, f"nobody can gaze {gaze!r}.", f"Gazes: {', '.join(GAZES[1:])}.")
        accent = number(entry["accent"], here) if "accent" in entry else None
        keys.append(Key(phase, seconds, hands, dict(body), cycles, accent, bool(entry.get("stop", False)), gaze))
    if not any(k.phase == "stroke" for k in keys):
        raise fail(where, "there is no stroke.")
    if keys[-1].phase != "retract":
        keys.append(Key("retract", 0.85, {s: HandKey(rest=True) for s in HANDS}, {}))
    return tuple(keys)


def _phase(entry: Any, where: str) -> tuple[str, float]:
    if not isinstance(entry, dict):
        raise fail(where, "a phase is a set of fields that begins with its kind, such as `stroke: 0.3`.")
    _known(entry, PHASE_FIELDS, where)
    kinds = [p for p in PHASES if p in entry]
    if len(kinds) != 1:
        raise fail(where, f"name one of {', '.join(PHASES)} with its seconds.")
    seconds = number(entry[kinds[0]], where)
    if not 0.05 <= seconds <= 6:
        raise fail(where, f"{seconds} s is not a length for a phase (0.05 to 6).")
    return kinds[0], seconds


def _body_part(
    part: str, fields: tuple[str, ...], data: Any, where: str
) -> tuple[dict[str, float], tuple[Cycle, Mapping[str, float]] | None]:
    if not isinstance(data, dict):
        raise fail(where, f"write {part}: {{{fields[0]}: 10}}.")
    _known(data, {*fields, "cycle"}, where)
    values = {f"{part}.{k}": number(v, where) for k, v in data.items() if k != "cycle"}
    if "cycle" not in data:
        return values, None
    cycle = dict(data["cycle"])
    sizes = {f"{part}.{k}": number(cycle.pop(k), where) for k in fields if k in cycle}
    return values, (_cycle({k: v for k, v in cycle.items() if k != "phase"}, where), sizes)


# ---------------------------------------------------------------- files


def _example(sentence: Any, where: str) -> Example:
    marks = re.findall(r"\*([^*]+)\*", str(sentence))
    if len(marks) != 1:
        raise fail(where, f"mark one word of {str(sentence)!r} with asterisks.", 'For example "*Hello* everyone."')
    return Example(str(sentence).replace("*", ""), marks[0])


def parse_gesture(data: Any, where: str, shared: Mapping[str, Record]) -> GestureSpec:
    """Check one file's content; UserError says what is wrong and where."""
    if not isinstance(data, dict):
        raise fail(where, "the file is not a set of fields.")
    required = {"id", "label", "description", "meanings", "examples", "tags", "move", "variants"}
    _known(data, required | {"participation", "similar"}, where)
    for name in sorted(required):
        if name not in data:
            raise fail(where, f"the field {name!r} is missing.")
    if not re.fullmatch(r"\d{4}", str(data["id"])) or not isinstance(data["id"], str):
        raise fail(where, 'the id must be four digits in quotes, such as "0031".')
    examples = tuple(_example(s, where) for s in data["examples"])
    if len({e.text for e in examples}) < LEAST_EXAMPLES:
        raise fail(where, f"there are {len(set(examples))} different examples; at least {LEAST_EXAMPLES} are needed.")
    for name, allowed in TAG_VALUES.items():
        if data["tags"].get(name) not in allowed:
            raise fail(where, f"tag {name!r} is {data['tags'].get(name)!r}.", f"Use one of {', '.join(allowed)}.")
    if not isinstance(data["variants"], list) or len(data["variants"]) < 2:
        raise fail(where, "at least two variants are needed.")
    variants = tuple(
        parse_variant(v, i + 1, data["move"], shared, f"{where}, variant {i + 1}")
        for i, v in enumerate(data["variants"])
    )
    return GestureSpec(
        data["id"],
        str(data["label"]),
        str(data["description"]).strip(),
        tuple(str(m) for m in data["meanings"]),
        examples,
        dict(data["tags"]),
        variants,
        number(data.get("participation", 1), where),
        {str(k): str(v) for k, v in (data.get("similar") or {}).items()},
    )


def parse_variant(data: Any, index: int, moves: Any, shared: Mapping[str, Record], where: str) -> VariantSpec:
    """A variant of the movement `moves`; UserError says what is wrong and where."""
    data = data or {}
    _known(data, {"hand", "size", "tempo", "times", "place", "elbow", "move", "change"}, where)
    hand = str(data.get("hand", "right"))
    if hand not in HANDS:
        raise fail(where, f"hand is right or left, not {hand!r}.")
    moves = copy.deepcopy(data.get("move", moves))
    for position, change in (data.get("change") or {}).items():
        if not isinstance(position, int) or not 1 <= position <= len(moves):
            raise fail(where, f"there is no phase {position} to change.")
        moves[position - 1] = _deep_merge(moves[position - 1], change)
    size, tempo = (number(data.get(k, 1.0), where) for k in ("size", "tempo"))
    if not (0.4 <= size <= 2 and 0.5 <= tempo <= 2):
        raise fail(where, "size must lie in 0.4..2 and tempo in 0.5..2.")
    return VariantSpec(
        index,
        hand,
        size,
        tempo,
        number(data.get("times", 0), where),
        vector(data.get("place", ""), where),
        number(data.get("elbow", 0), where),
        _keys(moves, shared, where),
    )


def _deep_merge(a: Any, b: Any) -> Any:
    if isinstance(a, dict) and isinstance(b, dict):
        merged = dict(a)
        if any(k in b for k in ("zone", "at", "touch")):
            for k in ("zone", "at", "touch", "with"):
                merged.pop(k, None)
        for k, v in b.items():
            merged[k] = _deep_merge(merged[k], v) if k in merged else v
        return merged
    return b


def load_yaml(path: Path) -> Any:
    """The content of a YAML file; UserError if it is missing or not YAML."""
    try:
        # libyaml is ten times faster and no less safe
        return yaml.load(path.read_text("utf-8"), Loader=_LOADER)  # noqa: S506
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(
            f"{path} cannot be read: {problem}.", "Check that the file exists.", "file_not_found"
        ) from problem
    except yaml.YAMLError as problem:
        line = " ".join(str(problem).split())
        raise UserError(
            f"{path.name} is not valid YAML: {line}.", "Check indentation and quotes.", "bad_notation"
        ) from problem


def shared_poses(folder: Path = FOLDER) -> dict[str, Record]:
    """Named hand poses of `_shared.yaml`."""
    path = folder / "_shared.yaml"
    return dict(load_yaml(path)["poses"]) if path.exists() else {}


def gesture_files(folder: Path = FOLDER) -> list[Path]:
    """The gesture files of a folder, in order of their names."""
    return sorted(p for p in folder.glob("*.yaml") if not p.name.startswith("_"))


def read_gesture(path: Path, shared: Mapping[str, Record] | None = None) -> GestureSpec:
    """Read one gesture file."""
    return parse_gesture(load_yaml(path), path.name, shared if shared is not None else shared_poses(path.parent))


def read_gestures(folder: Path = FOLDER) -> Iterator[GestureSpec]:
    """Read every gesture file of a folder; UserError if two have the same id."""
    shared, seen = shared_poses(folder), dict[str, str]()
    for path in gesture_files(folder):
        gesture = read_gesture(path, shared)
        if gesture.id in seen:
            raise fail(
                path.name, f"id {gesture.id} is also used by {seen[gesture.id]}.", "Give one of them its own id."
            )
        seen[gesture.id] = path.name
        yield gesture


def with_times(cycle: Cycle, extra: float) -> Cycle:
    """The cycle with more or fewer repetitions, at least one."""
    return replace(cycle, times=max(1.0, cycle.times + extra))
