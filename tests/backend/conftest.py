"""Real but tiny: weights of a few thousand parameters with random values, and a spoken recording."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
import soundfile

if TYPE_CHECKING:
    from backend.models.weights import Weights

ROOT = Path(__file__).resolve().parents[2]


def speechlike(seconds: float, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Bursts of voiced sound with pauses, (n,) float32: enough for the stages to hear rhythm in."""
    generator = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.4 * t)
    voice = sum(np.sin(2 * np.pi * k * np.cumsum(pitch) / rate) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * t) + 0.3, 0, 1) * (np.sin(2 * np.pi * 0.23 * t) > -0.6)
    sound = 0.1 * voice * syllables + 0.001 * generator.standard_normal(len(t))
    return sound.astype(np.float32)


@pytest.fixture(scope="session")
def small() -> Weights:
    """Weights of tiny models with the reference's structure."""
    from tests.backend.models import formula
    from tests.backend.models.small import SMALL

    return formula.weights(SMALL)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder that loads like any other; its motion is noise, its sizes are minimal."""
    import torch

    from backend.models.config import (
        AUDIO_FEATURES,
        FineConfig,
        Level0Config,
        PartConfig,
        TokenizerConfig,
    )  # fmt: skip
    from backend.models.generator import Fine, Level0
    from backend.models.layout import WIDTH
    from backend.models.scaler import Scaler
    from backend.models.tokenizer import Tokenizer
    from backend.models.weights import Weights, WeightsInfo

    torch.manual_seed(0)
    part = {"layers": 1, "width": 16, "feed_forward": 32, "heads": 2, "codes": 32}
    tokenizer = Tokenizer(TokenizerConfig(PartConfig(66, **part), PartConfig(114, **part)))
    level0 = Level0(Level0Config(width=16, heads=2, base_layers=1, head_layers=1, feed_forward=32, codes=32))
    fine = [Fine(FineConfig(n, width=16, heads=2, layers=1, feed_forward=32, codes=32)) for n in (1, 2, 3)]
    for model in (tokenizer, level0, *fine):
        model.eval()
        for name, tensor in model.state_dict().items():
            if name.endswith(".k"):  # codebooks are empty until training fills them
                tensor.copy_(torch.randn(tensor.shape))
    body = Scaler.body(np.zeros(WIDTH), np.full(WIDTH, 0.05))
    audio = Scaler.audio(np.zeros(AUDIO_FEATURES), np.ones(AUDIO_FEATURES))
    info = WeightsInfo("tiny random weights for tests", (0, 0), "CC0-1.0")
    folder = tmp_path_factory.mktemp("weights")
    Weights.of(tokenizer, level0, fine, body, audio, info).save(folder)
    return folder


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of voiced sound without words."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    soundfile.write(path, speechlike(4.0), 16000)
    return path


class Serving:
    """A real server process and a client that knows its token."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, Any], token: str) -> None:
        self.process, self.ready, self.token = process, ready, token
        self.url = f"http://127.0.0.1:{ready['port']}"
        self.client = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)

    def upload(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        answer = self.client.put(f"/v1/audio/{digest}", content=data)
        assert answer.status_code == 200, answer.text
        return digest

    def wait(self, job_id: str, seconds: float = 120.0) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.client.get(f"/v1/jobs/{job_id}").json()
            if status["state"] in ("done", "failed", "cancelled"):
                return dict(status)
            time.sleep(0.05)
        raise AssertionError(f"job {job_id} did not end: {status}")


def start_server(*options: str, token: str = "a-token-for-tests-only") -> Serving:
    process = subprocess.Popen(
        [sys.executable, "-m", "backend", "serve", "--token-stdin", "--device", "cpu", *options],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(token + "\n")
    process.stdin.flush()
    return Serving(process, json.loads(process.stdout.readline()), token)


@pytest.fixture(scope="session")
def server() -> Iterator[Serving]:
    serving = start_server("--max-upload-mb", "8")
    yield serving
    assert serving.process.stdin is not None
    serving.process.stdin.close()
    assert serving.process.wait(20) == 0
