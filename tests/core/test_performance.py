"""A performance goes over the wire and comes back the same."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sg_blender_addon.core import wire
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.performance import Performance
from sg_blender_addon.core.timeline import Word
from tests.core.motions import performance


def unpacked(given: Performance) -> tuple[dict[str, Any], dict[str, Any]]:
    file = io.BytesIO()
    given.write(file)
    return wire.unpack(file.getvalue())


def test_there_and_back() -> None:
    audio, timing = {"seconds": 8.0, "sha256": "00"}, {"total_s": 1.25}
    words = (Word("Great,", 1.5, 1.9),)
    given = replace(performance(), words=words, audio_info=audio, timing=timing, warnings=("Quiet.",))
    again = Performance.from_wire(*unpacked(given))
    assert again.report() == given.report()
    assert again.report()["audio"] == audio and again.warnings == ("Quiet.",) and again.timing == timing
    for ours, theirs in ((again.rhythm, given.rhythm), (again.merged, given.merged)):
        assert ours.fps == theirs.fps
        np.testing.assert_allclose(ours.rotations, theirs.rotations, atol=1e-6)
        np.testing.assert_allclose(ours.root_positions, theirs.root_positions, atol=1e-4)


@pytest.mark.parametrize(
    "broken",
    [
        {"words": 3},
        {"words": [{"text": "no times"}]},
        {"segments": [{}]},
        {"timing": {"total_s": "long"}},
        {"timing": [1.0]},
        {"audio": 7},
        {"warnings": 1},
        {"fps": "fast"},
    ],
)
def test_what_is_no_performance_is_refused(broken: dict[str, Any]) -> None:
    meta, arrays = unpacked(performance())
    with pytest.raises(UserError) as refused:
        Performance.from_wire({**meta, **broken}, arrays)
    assert refused.value.code == "bad_motion_data"
