"""The compiler's quick quaternions: the same as `core.rotations`, and worth having."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot
from SG_dataset.compiler import fast
from SG_dataset.compiler.compile import compile_variant
from SG_dataset.notation.read import read_gestures

PLAIN: dict[str, Any] = {
    "dot": lambda a, b: np.sum(a * b, axis=-1, keepdims=True),
    "length": lambda v: np.linalg.norm(v, axis=-1, keepdims=True),
    "normalize": rot.normalize,
    "inverse": rot.inverse,
    "mul": rot.mul,
    "matrix": rot.to_matrix,
    "rotate": rot.rotate,
    "cross": rot.cross,
    "from_axis_angle": rot.from_axis_angle,
    "from_rotation_vector": rot.from_rotation_vector,
    "to_rotation_vector": rot.to_rotation_vector,
    "from_matrix": rot.from_matrix,
    "slerp": rot.slerp,
}


def arguments(name: str, rows: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(rows)
    a, b = (rot.normalize(rng.normal(size=(rows, 4))) for _ in range(2))
    v, w = rng.normal(size=(2, rows, 3))
    given: dict[str, tuple[np.ndarray, ...]] = {
        "dot": (v, w), "length": (v,), "normalize": (v,), "inverse": (a,), "mul": (a, b), "matrix": (a,),
        "rotate": (a, v), "cross": (v, w), "from_axis_angle": (rot.normalize(v), w[:, 0]),
        "from_rotation_vector": (np.concatenate([v, 1e-9 * w, 0 * v]),), "to_rotation_vector": (a,),
        "from_matrix": (rot.to_matrix(a),), "slerp": (a, b, rng.uniform(size=rows)),
    }  # fmt: skip
    return given[name]


@pytest.mark.parametrize("rows", [1, 40, 4 * fast.SHORT])
@pytest.mark.parametrize("name", PLAIN)
def test_same_as_the_plain_functions(name: str, rows: int) -> None:
    given = arguments(name, rows)
    np.testing.assert_allclose(getattr(fast, name)(*given), PLAIN[name](*given), atol=1e-12)


def test_one_vector_by_many_turns_and_many_vectors_by_each_turn() -> None:
    (turns, vectors) = arguments("rotate", 40)
    np.testing.assert_allclose(fast.rotate(turns, vectors[0]), rot.rotate(turns, vectors[0]), atol=1e-12)
    many = np.broadcast_to(vectors, (40, 40, 3))
    np.testing.assert_allclose(fast.rotate(turns[:, None], many), rot.rotate(turns[:, None], many), atol=1e-12)


@pytest.mark.bench
def test_how_much_faster_a_gesture_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = list(read_gestures())[::12]

    def seconds() -> float:
        began = time.process_time()
        for spec in specs:
            for variant in spec.variants:
                compile_variant(spec, variant)
        return time.process_time() - began

    own = {name: getattr(fast, name) for name in PLAIN}
    seconds()  # fills the caches
    least = {"fast": np.inf, "plain": np.inf}
    for _ in range(4):
        for which, functions in (("fast", own), ("plain", PLAIN)):
            for name, function in functions.items():
                monkeypatch.setattr(fast, name, function)
            least[which] = min(least[which], seconds())
    print(f"compiling takes {least['plain'] / least['fast']:.2f} times as long with the plain functions")
