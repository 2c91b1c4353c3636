"""What fast mode changes, against exact mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from backend.models.codec import FAST_STRIDE, decode_standardised
from backend.models.generate import CONTEXT, Engine, _Run, generate_many
from backend.models.layout import to_motion
from backend.models.sampling import reference_ranks
from backend.models.threads import FreeThreads
from backend.models.weights import Weights
from sg_blender_addon.core.motion import Motion

_HANDS = ("LeftHand", "RightHand")


def compare(weights: Weights, features: npt.NDArray[np.float32], seed: int = 0) -> dict[str, Any]:
    """Measures on one clip of raw features (T, width), both modes drawing the same ranks.

    level0_decisions   share of level-0 choices that differ when both have the same past (each choice by itself)
    fine_codes         share of level 1..3 codes that differ, given the same level 0
    joint_error_cm     mean distance of joints between the motions of those codes
    free               both modes on their own: share of codes that differ, and of each mode's motion the mean jerk of
                       the hands (m/s^3) and their mean speed (m/s)
    """
    ranks = reference_ranks(seed, len(features) - 1)
    exact = generate_many(weights, [features], [seed], exact=True, ranks=[ranks])[0]
    fast = generate_many(weights, [features], [seed], exact=False, ranks=[ranks])[0]
    given = _fine(weights, features, exact[:, 0])
    motions = {"exact": _motion(weights, exact, 1), "fast": _motion(weights, fast, FAST_STRIDE)}
    return {
        "tokens": len(features),
        "level0_decisions": _level0(weights, features, exact[:, 0], ranks),
        "fine_codes": float(np.mean(given[:, 1:] != exact[:, 1:])),
        "joint_error_cm": _joint_error(motions["exact"], _motion(weights, given, FAST_STRIDE)),
        "free": {"codes": float(np.mean(fast != exact)), **{k: _character(m) for k, m in motions.items()}},
    }


def _motion(weights: Weights, codes: npt.NDArray[np.int64], stride: int) -> Motion:
    vectors = decode_standardised(weights.tokenizer, codes, smoothing="latent", stride=stride)
    return to_motion(weights.body_scaler.restore(vectors))


def _fine(weights: Weights, features: npt.NDArray[np.float32], level0: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Fast mode's levels 1..3 on a given level 0."""
    run = _Run(Engine.of(weights, exact=False), None, FreeThreads())
    with torch.inference_mode():
        codes = torch.from_numpy(level0).to(weights.device)
        return run.fine(weights.prepare_audio(features), codes, 0, 1)


def _level0(
    weights: Weights, features: npt.NDArray[np.float32], codes: npt.NDArray[np.int64], ranks: npt.NDArray[np.int64]
) -> float:
    """Share of choices that fast mode's level 0 makes otherwise on exact mode's past."""
    from backend.models.generate import SHIFT
    from backend.models.sampling import pick_rank

    engine = Engine.of(weights, exact=False).level0
    audio = torch.from_numpy(weights.prepare_audio(features)).to(engine.device)
    past, drawn = (torch.from_numpy(a).to(engine.device) for a in (codes, ranks))
    differ, start = 0, 0
    with torch.inference_mode():
        for known in range(1, len(features)):
            if known - start > CONTEXT:
                start = known - SHIFT
            heard = engine.audio(audio[None, start + 1 : known + 1])
            logits = engine.append(engine.cache(1), heard, past[None, :, start:known])
            for part in range(2):
                choice = pick_rank(logits[part], drawn[known - 1 : known, part])
                differ += int(choice[0] != past[part, known])
    return differ / max(1, 2 * (len(features) - 1))


def _joint_error(a: Motion, b: Motion) -> float:
    return float(np.linalg.norm(a.forward_kinematics()[0] - b.forward_kinematics()[0], axis=-1).mean())


def _character(motion: Motion) -> dict[str, float]:
    hands = motion.forward_kinematics()[0][:, [motion.skeleton.index(name) for name in _HANDS]] / 100
    speed = np.linalg.norm(np.diff(hands, axis=0), axis=-1) * motion.fps
    jerk = np.linalg.norm(np.diff(hands, 3, axis=0), axis=-1) * motion.fps**3
    return {"jerk": float(jerk.mean()), "speed": float(speed.mean())}
