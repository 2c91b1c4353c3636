"""Rows about how much moves and how: turning of pelvis, chest, head, clavicles, arms and fingers, sway, and the hands.

Medians (p50) and ninetieth percentiles (p90) over a motion. Raised: the wrist less than `RAISED` below its shoulder.
Still: slower than `STILL`. Hands are measured relative to the hips.
"""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks, welch

from backend.measure.body import FPS, SMOOTH, Body, hands, leftward, speed, spin
from backend.measure.table import Rows
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.runs import runs

STILL, RAISED, MOVING = 8.0, 38.0, 25.0  # cm/s, cm, cm/s
SHORTEST_STILL, SHORTEST_REST = 0.3, 4.0  # s
TREMBLE = 0.3  # s: a shorter movement does not end a rest
SAME_POSE = 12.0  # cm of both hands' places together: nearer poses are one
SHIVER = 3.0  # Hz: people's trunks hardly turn faster to and fro


def liveliness(body: Body) -> Rows:
    """All rows that need nothing but the motion."""
    return _turning(body) | _trunk(body) | _hands(body) | _shiver(body)


def _turning(body: Body) -> Rows:
    t = body.turn
    turning = {
        "pelvis": spin(t["pelvis"]),
        "chest/pelvis": spin(t["pelvis"].inv() * t["chest"]),
        "head/chest": spin(t["chest"].inv() * t["head"]),
    }
    pairs = {
        "clavicles": ("chest", "clavicle{}"),
        "upper arms": ("clavicle{}", "arm{}"),
        "wrists": ("fore{}", "hand{}"),
    }
    for label, (low, high) in pairs.items():
        turning[label] = np.concatenate([spin(t[low.format(s)].inv() * t[high.format(s)]) for s in "LR"])
    turning["fingers"] = np.mean([spin(f) for f in body.fingers], axis=0) if body.fingers else np.zeros(2)
    rows = Rows()
    for label, values in turning.items():
        rows |= {f"{label} deg/s p50": float(np.median(values)), f"{label} deg/s p90": float(np.quantile(values, 0.9))}
    return rows


def _trunk(body: Body) -> Rows:
    pelvis, chest = body.turn["pelvis"], body.turn["pelvis"].inv() * body.turn["chest"]
    hips, sway = speed(body.at["pelvis"]), body.at["pelvis"] @ leftward(body)
    away = np.degrees((pelvis * pelvis.mean().inv()).as_rotvec())
    off = np.degrees((chest.mean().inv() * chest).magnitude())
    return {
        "hips cm/s p50": np.median(hips),
        "hips cm/s p90": np.quantile(hips, 0.9),
        "hips sway cm sd": sway.std(),
        "pelvis yaw deg sd": away[:, 1].std(),
        "pelvis tilt deg sd": float(np.hypot(away[:, 0].std(), away[:, 2].std())),
        "chest off mean deg p50": np.median(off),
        "chest off mean deg p90": np.quantile(off, 0.9),
    }


def _hands(body: Body) -> Rows:
    paths = hands(body)
    v = np.stack([speed(p) for p in paths])
    jerk = np.linalg.norm(np.diff(gaussian_filter1d(paths, SMOOTH * FPS, axis=1), 3, axis=1), axis=2) * FPS**3 / 100
    f, power = welch(paths - paths.mean(axis=1, keepdims=True), FPS, nperseg=min(240, paths.shape[1]), axis=1)
    power = power.sum(axis=(0, 2))
    up = np.stack([body.at[f"arm{s}"][:, 1] - body.at[f"hand{s}"][:, 1] < RAISED for s in "LR"])
    moving, still = v > MOVING, v < STILL
    calm = np.asarray(still.all(axis=0))
    any_moves = max(moving.any(axis=0).sum(), 1)
    peaks = find_peaks(v.max(axis=0), height=MOVING, prominence=15, distance=8)[0]
    stills = poses(paths, runs(calm, FPS, SHORTEST_STILL))
    rests = poses(paths, runs(calm, FPS, SHORTEST_REST, TREMBLE))
    rows = {
        "wrist cm/s p50": np.median(v),
        "wrist cm/s p90": np.quantile(v, 0.9),
        "wrist jerk m/s3": jerk.mean(),
        "wrist power 0.5-2 Hz": power[(f >= 0.5) & (f < 2)].sum() / max(power.sum(), 1e-9),
        "left-right speed corr": np.corrcoef(v[0], v[1])[0, 1] if v.std(axis=1).min() > 1e-9 else np.nan,
        "hand up share": up.any(axis=0).mean(),
        "hold share": (up & still).any(axis=0).mean(),
        "rest share": (~up & still).all(axis=0).mean(),
        "stills per min": len(stills) / (body.seconds / 60),
        "distinct still poses": different(stills),
        "rest poses held 4 s": different(rests),
        "strokes per min": len(peaks) / (body.seconds / 60),
        "only left moves share": (moving[0] & ~moving[1]).sum() / any_moves,
        "only right moves share": (moving[1] & ~moving[0]).sum() / any_moves,
    }
    return rows | {f"hand {axis} cm sd": paths[..., k].std(axis=1).mean() for k, axis in enumerate("xyz")}


def poses(paths: Floats, when: list[tuple[int, int]]) -> Floats:
    """Mean hand positions (N, 6) over frame ranges."""
    return np.array([paths[:, a:b].mean(axis=1).ravel() for a, b in when]).reshape(-1, 6)


def different(still: Floats) -> float:
    """How many of the poses (N, 6) differ by more than `SAME_POSE`."""
    return float(len(still) if len(still) < 2 else fcluster(linkage(still, "complete"), SAME_POSE, "distance").max())


def _shiver(body: Body) -> Rows:
    """Share of the turning velocity's power that lies above `SHIVER`."""
    rows = Rows()
    for part in ("pelvis", "chest", "head"):
        turn = body.turn[part]
        velocity = np.degrees((turn[:-1].inv() * turn[1:]).as_rotvec()) * FPS
        f, power = welch(velocity, FPS, nperseg=min(240, len(velocity)), axis=0)
        rows[f"{part} power over 3 Hz"] = power[f > SHIVER].sum() / max(power.sum(), 1e-9)
    return rows
