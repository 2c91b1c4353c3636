"""The benchmark measures real work; what it measures against gives the same codes."""

import argparse
import json
import types

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from backend.bench import bench
from backend.bench.compare import compare
from backend.bench.naive import naive
from backend.models.generate import generate_codes
from sg_blender_addon.core.errors import UserError

from ..models.formula import generator, values


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    place = tmp_path_factory.mktemp("bench") / "weights"
    small.save(place)
    return place


@pytest.mark.parametrize("tokens", [3, 15, 40])
def test_the_baseline_gives_the_codes_of_exact_mode(small, tokens):
    audio = values("speech", (tokens, 437))
    ranks = generator("ranks").integers(0, 5, (tokens - 1, 2))
    marks = []
    assert_array_equal(naive(small, audio, ranks, marks.append), generate_codes(small, audio, exact=True, ranks=ranks))
    assert marks == ["level 0", "levels 1-3", "decode"]


@pytest.mark.parametrize("mode", bench.MODES)
def test_one_measurement(folder, mode):
    row = bench._work({"folder": str(folder), "mode": mode, "seconds": 2, "device": "cpu"})
    assert row["tokens"] == 16 and set(row["times"]) == set(bench.STAGES)
    assert all(row["times"][stage] > 0 for stage in bench.STAGES)
    assert row["models_s"] > 0 and row["peak_mb"] > 50
    json.dumps(row)


def arguments(**given):
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return types.SimpleNamespace(**{**vars(parser.parse_args([])), **given})


def test_table_json_and_plot(folder, tmp_path, capsys, monkeypatch):
    """The whole command on the smallest weights; each measurement in its own process."""
    monkeypatch.setattr("backend.models.description.STARTER", folder)
    out = tmp_path / "out"
    given = arguments(size=["starter"], seconds=[1.0], mode=["naive", "fast"], output=str(out), device="cpu")
    assert bench.main(given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[2].startswith("| starter | naive | 1 s | 8 |")
    assert len({line.count("|") for line in lines}) == 1
    data = json.loads((out / "bench.json").read_text())
    assert data["machine"]["processor"] and data["rows"][0]["x_naive"] == 1.0
    assert data["rows"][1]["x_naive_cpu"] > 0
    assert (out / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_wrong_settings_are_refused():
    with pytest.raises(UserError):
        bench.main(arguments(seconds=[0.0], device="cpu"))
    with pytest.raises(UserError, match="failed"):
        bench._measured({"folder": "nowhere", "mode": "fast", "seconds": 1, "device": "cpu"})


def test_what_fast_mode_changes_is_measured(small):
    found = compare(small, values("speech", (40, 437)))
    assert found["tokens"] == 40
    for share in (found["level0_decisions"], found["fine_codes"], found["free"]["codes"]):
        assert 0 <= share <= 1
    assert np.isfinite(found["joint_error_cm"]) and found["free"]["exact"]["speed"] > 0


def test_exact_mode_compared_with_itself_shows_nothing(small, monkeypatch):
    """With fast mode's shortcuts taken away nothing differs: what is measured are the shortcuts."""
    from backend.bench import compare as module
    from backend.models import generate

    monkeypatch.setattr(generate, "best_precision", lambda device: "float32")
    monkeypatch.setattr(generate, "STRIDE", 1)
    monkeypatch.setattr(generate, "SHIFT", 13)
    monkeypatch.setattr(module, "FAST_STRIDE", 1)
    monkeypatch.setattr(small, "engines", {})
    found = compare(small, values("speech", (30, 437)))
    assert found["level0_decisions"] == found["fine_codes"] == found["free"]["codes"] == 0
    assert found["joint_error_cm"] < 1e-4 and found["free"]["exact"] == pytest.approx(found["free"]["fast"], rel=1e-3)
    small.engines.clear()
