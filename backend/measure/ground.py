"""Rows about flesh and ground: hands in the body, feet that slide, and where the weight is.

A foot stands where `foot_planting` says that it does. The weight is over one foot while the hips are nearer to it than
a third of the way between the ankles; a shift is that for `STAY` or longer, come by or left by `TRAVEL`.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from backend.measure.body import FPS, Body, leftward
from backend.measure.table import Rows
from backend.motion.foot_planting import contacts
from sg_blender_addon.core.arrays import Floats
from sg_blender_addon.core.runs import runs

INSIDE = 1.0  # cm; SG_dataset.checks allows as much in a gesture
OVER = 2 / 3  # share of the weight that one foot bears
STAY = 2.0  # s
TRAVEL = 0.2  # share of the weight that a shift takes from one foot to the other
STEP = 4.0  # cm between two places of a foot


def ground(body: Body) -> Rows:
    """Rows that a skeleton without feet, or one of unknown flesh, has as not a number."""
    inside = body.depth if body.depth is not None else np.array([np.nan])
    rows = {
        "hands in body cm max": max(float(inside.max()), 0.0),
        "hands in body share": float((inside > INSIDE).mean()),
    }
    if body.depth is None:
        rows = dict.fromkeys(rows, np.nan)
    if "ankleL" not in body.at or "ankleR" not in body.at:
        return rows | dict.fromkeys(
            ("feet slide cm/s", "steps per min", "sway in shifts share", "shifts per min"), np.nan
        )
    return rows | _feet(body) | _shifts(body)


def _feet(body: Body) -> Rows:
    slides, steps = [np.zeros(1)], 0
    for side in "LR":
        ankle = body.at[f"ankle{side}"]
        spans = contacts(ankle, float(np.quantile(ankle[:, 1], 0.1)), FPS)
        slides += [np.linalg.norm(np.diff(ankle[a:b, ::2], axis=0), axis=1) * FPS for a, b in spans]
        places = np.array([np.median(ankle[a:b, ::2], axis=0) for a, b in spans]).reshape(-1, 2)
        steps += int((np.linalg.norm(np.diff(places, axis=0), axis=1) > STEP).sum())
    return {
        "feet slide cm/s": float(np.concatenate(slides).mean()),
        "steps per min": steps / (body.seconds / 60),
    }


def weight(body: Body) -> Floats:
    """Share (F,) of the weight that the left foot bears, as a body at rest would: from the hips' place alone."""
    left = leftward(body)
    hips, foot_l, foot_r = (body.at[part] @ left for part in ("pelvis", "ankleL", "ankleR"))
    apart = foot_l - foot_r
    return np.asarray((hips - foot_r) / np.where(np.abs(apart) < 1.0, np.nan, apart))


def _shifts(body: Body) -> Rows:
    """How much of the hips' sideways variance the stays over one foot explain: all of a step function, none of a sway
    that does not reach the feet."""
    stays = shifts(weight(body))
    sway = body.at["pelvis"] @ leftward(body)
    kept = sum((b - a) * (sway[a:b].mean() - sway.mean()) ** 2 for a, b in stays)
    return {
        "sway in shifts share": float(kept / max(((sway - sway.mean()) ** 2).sum(), 1e-9)),
        "shifts per min": len(stays) / (body.seconds / 60),
    }


def shifts(share: Floats) -> list[tuple[int, int]]:
    """Frame ranges in which the weight (F,) stays over one foot after, or before, it was elsewhere: hips that hover
    about the limit have none."""
    share = np.nan_to_num(share, nan=0.5)
    over = np.where(share > OVER, 1, np.where(share < 1 - OVER, -1, 0))
    stays = sorted(span for side in (1, -1) for span in runs(np.asarray(over == side), FPS, STAY))
    edges = [0, *(edge for span in stays for edge in span), len(share)]
    spans = [(a, b) for a, b in pairwise(edges) if b > a]
    level = dict(zip(spans, (share[a:b].mean() for a, b in spans), strict=True))
    came = {after: abs(level[after] - level[before]) for before, after in pairwise(spans)}
    left = {before: abs(level[after] - level[before]) for before, after in pairwise(spans)}
    return [span for span in stays if max(came.get(span, 0.0), left.get(span, 0.0)) > TRAVEL]
