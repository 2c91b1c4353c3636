"""Trunk, head and leg curves of a variant: what the file says, plus the part the body takes in any gesture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sg_blender_addon.core.arrays import Floats
from SG_dataset.compiler import timing
from SG_dataset.notation.landmarks import LANDMARKS
from SG_dataset.notation.records import Cycle, HandKey, Key

CHANNELS = {
    "head.nod": ("head_nod",),
    "head.turn": ("head_turn",),
    "head.tilt": ("head_tilt",),
    "torso.lean": ("lean",),
    "torso.turn": ("turn",),
    "torso.tilt": ("tilt",),
    "shoulders.raise": ("raise_Left", "raise_Right"),
    "shoulders.forward": ("protract_Left", "protract_Right"),
    "hips.shift": ("shift",),
    "hips.push": ("push",),
    "hips.drop": ("drop",),
    "hips.turn": ("hip_turn",),
    "feet.right": ("toe_Right",),
    "feet.left": ("toe_Left",),
}
TORSO_LEAD, HEAD_LAG = 0.05, 0.03  # seconds: the trunk moves before the hand, the head after it
GAZES = {
    "": (0.0, 0.0),
    "listener": (0.0, 0.0),
    "down": (13.0, 0.0),
    "up": (-12.0, 0.0),
    "right": (0.0, 20.0),
    "left": (0.0, -20.0),
}
NEUTRAL = np.array([20.0, 112.0, 28.0])  # where a hand asks nothing of the trunk (out, up, forward)


def nominal_place(hand: HandKey) -> Floats:
    """Roughly where a key puts the hand (out, up, forward) on the upright body; the neutral place at rest."""
    if hand.rest:
        return NEUTRAL
    base = (
        np.zeros(3)
        if hand.anchor == "zone"
        else np.array(LANDMARKS[hand.anchor].place)
        if hand.anchor in LANDMARKS
        else np.array([0.0, 125.0, 25.0])
    )
    return np.asarray(base + np.array(hand.offset) + np.array(hand.move))


def participation(key: Key) -> dict[str, float]:
    """What trunk and head do by themselves: turn and lean towards what the hands do, look along, dip on the stroke."""
    result = {"turn": 0.0, "lean": 0.0, "tilt": 0.0, "head_nod": 0.0, "head_turn": 0.0, "head_tilt": 0.0, "shift": 0.0}
    for side, sign in (("right", 1.0), ("left", -1.0)):
        hand = key.hands[side]
        if hand.rest:
            continue
        out, up, forward = nominal_place(hand) - NEUTRAL
        result["turn"] += sign * 0.09 * out + sign * -0.05 * max(forward, 0.0)
        result["lean"] += 0.05 * forward - 0.012 * max(up - 20.0, 0.0)
        result["tilt"] -= sign * 0.035 * max(up, 0.0)
        result["head_turn"] += sign * 0.05 * out
        result["head_tilt"] += sign * 0.012 * max(up, 0.0)
        result["shift"] += sign * 0.3
    if key.phase == "stroke":
        result["head_nod"] += 2.4
    return result


def gaze_angles(key: Key) -> tuple[float, float]:
    """Head nod and turn (degrees) that the gaze asks for."""
    if key.gaze in {"hand", "right hand", "left hand"}:
        side = "left" if key.gaze == "left hand" or key.hands["right"].rest else "right"
        out, up, forward = nominal_place(key.hands[side])
        sideways = np.degrees(np.arctan2(out, max(forward, 8.0) + 12.0)) * (1 if side == "right" else -1)
        down = np.degrees(np.arctan2(168.0 - up, max(forward, 8.0) + 12.0))
        return float(np.clip(0.32 * down, -18, 20)), float(np.clip(0.5 * sideways, -32, 32))
    return GAZES.get(key.gaze, (0.0, 0.0))


def key_values(keys: Sequence[Key], scale: float) -> dict[str, Floats]:
    """Channel values (K,) at the keys."""
    values: dict[str, Floats] = {}

    def add(name: str, k: int, value: float) -> None:
        values.setdefault(name, np.zeros(len(keys)))[k] += value

    for k, key in enumerate(keys):
        for name, value in key.body.items():
            for channel in CHANNELS[name]:
                add(channel, k, value)
        for name, value in participation(key).items():
            add(name, k, scale * value)
        nod, turn = gaze_angles(key)
        add("head_nod", k, nod)
        add("head_turn", k, turn)
        for side, name in (("right", "Right"), ("left", "Left")):
            add("raise_" + name, k, key.hands[side].shoulder)
    return values


def curves(keys: Sequence[Key], key_times: Floats, time: Floats, scale: float, size: float) -> dict[str, Floats]:
    """Channel curves (F,) over the frames' times (F,) for keys at key_times (K,)."""
    values = key_values(keys, scale)
    names = list(values)
    table = np.stack([values[n] for n in names], 1)
    flow = np.full(len(keys), timing.FLOW)
    trunk = timing.interpolate(time + TORSO_LEAD, key_times, table, flow)
    head = timing.interpolate(time - HEAD_LAG, key_times, table, flow)
    result = {n: (head if n.startswith("head") else trunk)[:, i] for i, n in enumerate(names)}
    for k, key in enumerate(keys):
        for cycle, sizes in key.body_cycles.values():
            _add_cycle(result, cycle, sizes, (time - key_times[k - 1]) / (key_times[k] - key_times[k - 1]), size)
    return result


def _add_cycle(result: dict[str, Floats], cycle: Cycle, sizes: Mapping[str, float], x: Floats, size: float) -> None:
    inside = (x > 0) & (x < 1)
    wave = (
        timing.tap(x, cycle.times, cycle.decay) if cycle.style == "tap" else timing.shake(x, cycle.times, cycle.decay)
    )
    quarter = timing.shake(np.clip(x + 0.25 / max(cycle.times, 1), 0, 1), cycle.times, cycle.decay)
    circling = cycle.circle is not None
    for i, (name, amount) in enumerate(sizes.items()):
        curve = quarter if circling and i == 1 else wave
        for channel in CHANNELS[name]:
            result[channel] = result.get(channel, np.zeros_like(x)) + np.where(inside, amount * size * curve, 0.0)
