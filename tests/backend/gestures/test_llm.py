"""The client against a real HTTP server that answers as servers do, well and badly."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.gestures import llm
from backend.gestures.llm import ask, base_url
from backend.gestures.llm_answers import parse
from backend.gestures.retrieve import choose
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.progress import Progress
from tests.backend.gestures.inventory import small_inventory, spoken

LIBRARY = small_inventory()
KNOWN = frozenset(LIBRARY.gestures)
SENTENCES = [["I", "am", "so", "hungry."], ["Hello", "everybody."], ["Stop", "it."]]
Reply = tuple[int, Any]
GOOD = {"gestures": [{"word": 0, "id": "3123", "confidence": 0.9, "alternatives": ["3300"]}]}


class Server:
    """Answers chat completions with what `reply(body)` returns: (status, JSON, text or None to hang up)."""

    def __init__(self, reply: Callable[[dict[str, Any]], Reply]) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.busy = self.busiest = 0
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.answer(200, {"data": [{"id": "the-model"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    outer.requests.append(body)
                    outer.headers.append(dict(self.headers))
                    outer.busy += 1
                    outer.busiest = max(outer.busiest, outer.busy)
                status, value = reply(body)
                with lock:
                    outer.busy -= 1
                self.answer(status, value)

            def answer(self, status: int, value: Any) -> None:
                if value is None:
                    self.close_connection = True
                    return
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[dict[str, Any]], Reply]], Server]]:
    servers: list[Server] = []

    def start(reply: Callable[[dict[str, Any]], Reply]) -> Server:
        servers.append(Server(reply))
        return servers[-1]

    yield start
    for server in servers:
        server.server.shutdown()
        server.server.server_close()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm, "BACKOFF_SECONDS", 0.02)


def said(value: Any) -> Reply:
    text = value if isinstance(value, str) else json.dumps(value)
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}


def test_a_good_server(serve: Any) -> None:
    server = serve(lambda _: said(GOOD))
    answers, warnings = ask(SENTENCES, LIBRARY, server.url, key="secret", per_sentence=2, seed=7)
    assert warnings == [] and len(server.requests) == 3
    assert [(a.word, a.ids, a.confidence) for a in answers[1]] == [(0, ("3123", "3300"), 0.9)]
    body = next(r for r in server.requests if "Hello" in r["messages"][1]["content"].split("Sentence:")[1])
    assert body["model"] == "the-model" and body["seed"] == 7 and body["temperature"] == 0.0
    item = body["response_format"]["json_schema"]["schema"]["properties"]["gestures"]["items"]["properties"]
    assert item["id"]["enum"] == sorted(KNOWN) and "0031" in item["id"]["enum"]
    assert item["word"]["maximum"] == 1
    assert "0031 BELLY RUB: hungry" in body["messages"][0]["content"]
    assert body["messages"][1]["content"] == (
        "Before: I am so hungry.\nAfter: Stop it.\nSentence: 0:Hello 1:everybody."
    )
    assert server.headers[0]["Authorization"] == "Bearer secret"


def test_choices_from_a_server(serve: Any) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        hungry = "3:hungry." in body["messages"][1]["content"].split("Sentence:")[1]
        return said(
            {"gestures": [{"word": 3, "id": "0031", "confidence": 0.8, "alternatives": ["3310"]}] if hungry else []}
        )

    server = serve(reply)
    words = spoken("I am so hungry. Hello everybody. Stop it.")
    choices, warnings = choose(words, LIBRARY, "openai", llm_url=server.url, llm_model="any")
    assert warnings == []
    (choice,) = choices
    assert (choice.word_index, choice.gesture_id) == (3, "0031")
    assert choice.confidence == pytest.approx(0.8, abs=0.05)
    assert [(a.gesture_id, a.label) for a in choice.alternatives] == [("3310", "PALMS APART")]


def test_several_sentences_at_once(serve: Any) -> None:
    def reply(_: dict[str, Any]) -> Reply:
        time.sleep(0.15)
        return said(GOOD)

    server = serve(reply)
    answers, _ = ask([["Hi"]] * 17, LIBRARY, server.url)
    assert all(answers) and server.busiest >= 4


@pytest.mark.parametrize("accepted", ["json_object", "plain"])
def test_servers_that_refuse_a_schema_are_asked_with_less(serve: Any, accepted: str) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        kind = body.get("response_format", {}).get("type", "plain")
        return said(GOOD) if kind == accepted else (500, {"error": "cannot do " + kind})

    server = serve(reply)
    answers, warnings = ask(SENTENCES, LIBRARY, server.url)
    assert warnings == [] and all(answers)
    # The form is found once, with the first sentence.
    assert len(server.requests) == len(SENTENCES) + (1 if accepted == "json_object" else 2)


def test_a_short_context_gets_the_short_list(serve: Any) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        if "hungry;" in body["messages"][0]["content"]:
            return 400, {"message": "This model's maximum context length is 2048 tokens"}
        return said(GOOD)

    server = serve(reply)
    answers, warnings = ask(SENTENCES, LIBRARY, server.url)
    assert warnings == [] and all(answers)
    assert server.requests[-1]["response_format"]["type"] == "json_schema"


def test_a_context_too_short_even_for_the_short_list_is_named(serve: Any) -> None:
    server = serve(lambda _: (400, {"message": "This model's maximum context length is 512 tokens"}))
    answers, warnings = ask(SENTENCES, LIBRARY, server.url)
    assert not any(answers) and "context is too short for the list of gestures" in warnings[0]
    # Another form of the answer would not make the prompt shorter.
    assert {r["response_format"]["type"] for r in server.requests} == {"json_schema"}


VLLM = "The decoder prompt (length 4500) is longer than the maximum model length of 2048."
LLAMA = "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it"


@pytest.mark.parametrize(
    ("status", "text", "too_long"),
    [
        (400, VLLM, True),
        (400, "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens", True),
        (400, "Requested tokens (2285) exceed context window of 2048", True),
        (400, json.dumps({"error": {"message": "Please reduce it.", "code": "context_length_exceeded"}}), True),
        (400, json.dumps({"error": {"code": 400, "message": LLAMA, "type": "exceed_context_size_error"}}), True),
        (500, json.dumps({"error": {"code": 500, "message": LLAMA, "type": "exceed_context_size_error"}}), True),
        (500, json.dumps({"error": {"message": "Context size has been exceeded.", "type": "server_error"}}), True),
        (413, "The prompt is too long.", True),
        (422, "Input validation error: the maximum number of tokens is 4096", True),
        (400, "response_format is not supported in this context", False),
        (429, "Rate limit reached for gpt-4o: on tokens per min (TPM): Limit 30000, Used 29000", False),
        (429, "The token rate limit of this context window is reached", False),
        (500, "context canceled", False),
        (500, "context deadline exceeded", False),
        (503, "maximum number of tokens in flight, context too long in the queue", False),
    ],
)
def test_what_servers_say_of_prompts_that_do_not_fit(status: int, text: str, too_long: bool) -> None:
    assert llm._Refused(status, text).too_long is too_long


@pytest.mark.parametrize(
    ("status", "text"), [(429, "tokens per min (TPM): Limit 30000"), (500, "context deadline exceeded")]
)
def test_other_troubles_are_not_taken_for_a_short_context(serve: Any, status: int, text: str) -> None:
    server = serve(lambda _: (status, {"error": text}))
    answers, (warning,) = ask(SENTENCES, LIBRARY, server.url)
    assert not any(answers) and f"HTTP status {status}" in warning
    assert all("hungry;" in r["messages"][0]["content"] for r in server.requests)
    forms = {r.get("response_format", {}).get("type") for r in server.requests}
    assert status != 429 or forms == {"json_schema"}


@pytest.mark.parametrize("status", [429, 503])
def test_busy_servers_are_asked_again(serve: Any, status: int) -> None:
    tries: dict[str, int] = {}

    def reply(body: dict[str, Any]) -> Reply:
        question = body["messages"][1]["content"]
        tries[question] = tries.get(question, 0) + 1
        return said(GOOD) if tries[question] > 1 else (status, {"error": "busy"})

    server = serve(reply)
    answers, warnings = ask(SENTENCES, LIBRARY, server.url)
    assert warnings == [] and all(answers) and set(tries.values()) == {2}


@pytest.mark.parametrize(
    ("status", "value"),
    [
        said("I think a wave would be lovely here!"),
        said('{"gestures": [{"word": 99, "id": "3123"}]}'),
        said('{"gestures": [{"word": 0, "id": "9999"}]}'),
        said(""),
        said("null"),
        (200, {"choices": []}),
        (200, {"choices": [{"message": {"content": None}}]}),
        (200, [1, 2, 3]),
        (200, b"\xff\xfe not json"),
        (200, b""),
    ],
)
def test_nonsense_leaves_the_sentences_without_gestures(serve: Any, status: int, value: Any) -> None:
    server = serve(lambda _: (status, value))
    words = spoken("I am so hungry. Hello everybody. Stop it.")
    choices, warnings = choose(words, LIBRARY, "openai", llm_url=server.url, llm_model="any")
    assert choices == []
    (warning,) = warnings
    assert warning.startswith("The language model's answers to 3 of 3 sentences could not be used;")


@pytest.mark.parametrize(
    ("status", "says"), [(401, "valid key"), (404, "does not know"), (500, "HTTP status 500"), (302, "HTTP status 302")]
)
def test_errors_are_named(serve: Any, status: int, says: str) -> None:
    server = serve(lambda _: (status, {"error": "no"}))
    answers, warnings = ask(SENTENCES, LIBRARY, server.url, "any", "topsecret")
    assert answers == [[], [], []]
    assert len(warnings) == 1 and says in warnings[0] and "topsecret" not in warnings[0]
    # What cannot get better is not asked again.
    assert len(server.requests) == 1 or status not in llm.HOPELESS


def test_hanging_up(serve: Any) -> None:
    server = serve(lambda _: (200, None))
    answers, warnings = ask(SENTENCES, LIBRARY, server.url, "any")
    assert answers == [[], [], []] and "nothing answers there" in warnings[0]


def test_slow_servers_are_given_up(serve: Any) -> None:
    def reply(_: dict[str, Any]) -> Reply:
        time.sleep(1.0)
        return said(GOOD)

    server = serve(reply)
    began = time.monotonic()
    answers, warnings = ask([["Hi"]] * 40, LIBRARY, server.url, "any", timeout=0.2)
    assert time.monotonic() - began < 5.0
    assert not any(answers) and "took longer than 0.2 s" in warnings[0]


def test_servers_that_drip_are_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def drip() -> None:
            while True:
                try:
                    peer, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(peer,), daemon=True).start()

        def one(peer: socket.socket) -> None:
            with peer:
                try:
                    peer.recv(65536)
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                    for _ in range(200):
                        peer.sendall(b" ")
                        time.sleep(0.05)
                except OSError:
                    pass

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        answers, warnings = ask([["Hi"]], LIBRARY, f"http://127.0.0.1:{port}", "any", timeout=0.5)
        assert time.monotonic() - began < 4.0
    assert answers == [[]] and "took longer" in warnings[0]


def test_an_endless_answer_is_cut(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm, "MAX_ANSWER_BYTES", 10_000)
    server = serve(lambda _: (200, b" " * 20_000))
    answers, warnings = ask([["Hi"]], LIBRARY, server.url, "any")
    assert answers == [[]] and "too long" in warnings[0]


@pytest.mark.parametrize("model", ["", "any"])
def test_nobody_there(model: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    words = spoken("Hello everybody.")
    choices, warnings = choose(words, LIBRARY, "openai", llm_url=f"http://127.0.0.1:{port}", llm_model=model)
    assert choices == [] and len(warnings) == 1 and "nothing answers there" in warnings[0]


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x/y", "http://", "file:///etc/passwd", "http://x:999999"])
def test_urls_that_cannot_be_one(url: str) -> None:
    with pytest.raises(UserError) as caught:
        base_url(url)
    assert caught.value.code == "llm_url"
    choices, warnings = choose(spoken("Hello."), LIBRARY, "openai", llm_url=url)
    assert choices == [] and "not the address" in warnings[0]


def test_urls_as_people_write_them() -> None:
    for url in ("http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/", " http://h:1/v1/chat/completions "):
        assert base_url(url) == "http://h:1/v1"
    assert base_url("https://h/api/openai") == "https://h/api/openai"


def test_cancel(serve: Any) -> None:
    def reply(_: dict[str, Any]) -> Reply:
        time.sleep(0.3)
        return said(GOOD)

    server = serve(reply)
    stop = threading.Event()
    threading.Timer(0.4, stop.set).start()
    with pytest.raises(Cancelled):
        ask([["Hi"]] * 60, LIBRARY, server.url, progress=Progress(None, stop))


@pytest.mark.parametrize(
    "text",
    [
        "In the U.S. inflation is 3.5 percent. Stop!",  # abbreviation and decimal: still two sentences
        "What?! In the U.S.? 3.5. Stop!",
        "Energy-conservation and low-carbon living matter. Stop!",
        "Energy -conservation and low - carbon living matter. Stop!",  # as recognisers may split them
        "Stop! ",
        "今天天气很好。我们走吧。 Stop!",
    ],
)
def test_answers_reach_their_word_whatever_the_text(serve: Any, text: str) -> None:
    """The reference counts words and sentences in a second text, the model's, and loses its place."""

    def reply(body: dict[str, Any]) -> Reply:
        asked = body["messages"][1]["content"].split("Sentence:")[1]
        at = next((w.split(":")[0] for w in asked.split() if w.endswith(":Stop!")), None)
        return said({"gestures": [] if at is None else [{"word": int(at), "id": "2300", "confidence": 0.9}]})

    words = spoken(text)
    choices, warnings = choose(words, LIBRARY, "openai", llm_url=serve(reply).url, llm_model="any")
    assert warnings == []
    assert [(words[c.word_index].text, c.gesture_id) for c in choices] == [("Stop!", "2300")]


def test_a_refusal_or_a_preamble_costs_only_its_own_sentence(serve: Any) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        asked = body["messages"][1]["content"].split("Sentence:")[1]
        if "hungry" in asked:
            return said("I'm sorry, but I cannot help with that request.")
        inner = json.dumps({"gestures": [{"word": 0, "id": "3123"}]})
        return said(f"Sure! Here are the gestures you asked for:\n{inner}" if "Hello" in asked else inner)

    answers, warnings = ask(SENTENCES, LIBRARY, serve(reply).url, "any")
    assert [len(a) for a in answers] == [0, 1, 1]
    assert len(warnings) == 1 and "answers to 1 of 3 sentences could not be used" in warnings[0]


# ------------------------------------------------------------------------------------------------------- validation


def test_ids_keep_their_leading_zeros() -> None:
    for value in ("0031", "31", 31, "0031 BELLY RUB", " 0031"):
        answers, usable = parse(json.dumps({"gestures": [{"word": 1, "id": value}]}), 4, KNOWN)
        assert usable and answers[0].ids == ("0031",)


def test_wrappings_are_passed_over() -> None:
    inner = '{"gestures": [{"word": "2", "id": "3300", "confidence": 85}]}'
    for text in (f"```json\n{inner}\n```", f"<think>{{maybe 9}}</think>{inner}", f"Sure! {inner} Hope it helps."):
        answers, usable = parse(text, 4, KNOWN)
        assert usable and (answers[0].word, answers[0].confidence) == (2, 0.85)


def test_bad_items_are_dropped_one_by_one() -> None:
    items = [
        {"word": 0, "id": "3300", "confidence": 0.4},
        {"word": 0, "id": "3201", "confidence": 0.6, "alternatives": ["nope", 7, None, "3201", "3300"]},
        {"word": True, "id": "3300"},
        {"word": -1, "id": "3300"},
        {"word": 1.5, "id": "3300"},
        {"word": 1, "id": None},
        {"word": 1},
        "0031",
        None,
        {"word": 2, "id": "0031", "confidence": "high"},
        {"word": 3, "id": "0031", "confidence": float("nan")},
    ]
    answers, usable = parse(json.dumps({"gestures": items}), 4, KNOWN)
    assert usable
    assert {a.word: a.ids for a in answers} == {0: ("3201", "3300"), 2: ("0031",), 3: ("0031",)}


def test_an_empty_list_is_an_answer() -> None:
    assert parse('{"gestures": []}', 4, KNOWN) == ([], True)
    assert parse("[" * 100_000, 4, KNOWN) == ([], False)


@given(st.text(max_size=200) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(json.dumps))
def test_any_text_is_survived(text: str) -> None:
    answers, _ = parse(text, 3, KNOWN)
    assert all(0 <= a.word < 3 and set(a.ids) <= KNOWN for a in answers)
