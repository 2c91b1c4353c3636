"""Ask a language model which gestures fit, through any OpenAI-compatible server (vLLM, llama.cpp, Ollama, a provider).

One request per sentence, several at a time, each with the sentences around it. The answer is JSON: word numbers,
gesture ids, confidences. It is never trusted: a schema with the library's ids as an enumeration asks for the right
form, servers that refuse a schema are asked again with less, and everything that comes back is checked
(`llm_answers.py`).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from backend.gestures.llm_answers import Answer, answer_schema, parse
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.progress import Progress
from SG_dataset.library import Library
from SG_dataset.records import Gesture

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 45.0
WORKERS = 8
RETRIES = 2
BACKOFF_SECONDS = 0.5
# So many sentences may fail before the server is given up.
PATIENCE = 3
MAX_ANSWER_BYTES = 1_000_000
MAX_PER_SENTENCE = 6
# What servers understand, best first: vLLM and providers take json_schema, llama.cpp's server json_object with schema.
FORMS = ("json_schema", "json_object", "plain")
# Wrong key, no access, no such address or model: the next sentence would hear the same.
HOPELESS = frozenset({401, 403, 404})
# Too much at once, or nobody behind the proxy: says nothing about the request.
BUSY = frozenset({429, 502, 503, 504})
# How servers say that the prompt does not fit: with one of these statuses, or, older llama.cpp, with 500 and its words.
UNFIT = frozenset({400, 413, 422})
TOO_LONG = re.compile(
    r"context.{0,3}(?:length|size|window)|too long|longer than the maximum|maximum.{0,30}token|token.{0,30}limit",
    re.IGNORECASE,
)
TOO_LONG_500 = re.compile(
    r"exceed_context_size|exceeds the available context size|context size has been exceeded", re.IGNORECASE
)

INSTRUCTION = """You choose gestures for a speaker. Below is the list of gestures that the speaker can make, each
with its id. For the numbered words of one sentence, say which words deserve a gesture that shows their
meaning, and which gesture. Choose only where a person would really make that gesture; most words get none;
at most {most} in a sentence. The gesture goes on the one word that carries its meaning.
Answer with JSON only, in this form, without explanation:
{{"gestures": [{{"word": 3, "id": "0123", "confidence": 0.8, "alternatives": ["0456"]}}]}}
If nothing fits, answer {{"gestures": []}}.

Gestures:
{gestures}"""


@dataclass
class _Server:
    """Where to ask, and what has been learned about how to ask there."""

    url: str
    model: str
    key: str
    timeout: float
    form: int = 0
    brief: bool = False
    failures: int = 0
    session: requests.Session = field(default_factory=requests.Session)

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


class _Refused(Exception):  # noqa: N818 - carries what the server said; handled here
    """The server answered with an error status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.text = status, text

    @property
    def too_long(self) -> bool:
        """It says that the prompt does not fit its context."""
        said = TOO_LONG if self.status in UNFIT else TOO_LONG_500 if self.status == 500 else None
        return said is not None and said.search(self.text) is not None


def ask(
    sentences: Sequence[Sequence[str]],
    library: Library,
    url: str,
    model: str = "",
    key: str = "",
    *,
    per_sentence: int = 2,
    seed: int = 0,
    timeout: float = ANSWER_SECONDS,
    progress: Progress | None = None,
) -> tuple[list[list[Answer]], list[str]]:
    """Checked answers per sentence, and warnings. Raises `UserError` only for a URL that cannot be one.

    `timeout`: seconds for one answer. A server that is not there or fails again and again is given up with a warning;
    the sentences answered until then count.
    """
    server = _Server(base_url(url), model, key, timeout)
    if urlsplit(server.url).hostname in {"localhost", "127.0.0.1", "::1"}:
        server.session.trust_env = False
    try:
        server.model = model or _first_model(server)
    except (requests.RequestException, _Refused, ValueError) as error:
        return [[] for _ in sentences], [_gone(server, error)]
    asker = _Asker(server, library, sentences, min(max(per_sentence, 1), MAX_PER_SENTENCE), seed)
    return asker.run(progress)


def base_url(url: str) -> str:
    """The API's root: "http://host:8000" -> "http://host:8000/v1". Raises `UserError` for anything but http(s)."""
    text = url.strip().rstrip("/").removesuffix("/chat/completions")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise UserError(
            f"{url!r} is not the address of a language model server.",
            "Enter something like http://127.0.0.1:8000/v1.",
            "llm_url",
        )
    return text if re.search(r"/v\d+\w*$|/openai$", parts.path) else f"{text}/v1"


class _Asker:
    """All sentences of one job."""

    def __init__(
        self, server: _Server, library: Library, sentences: Sequence[Sequence[str]], most: int, seed: int
    ) -> None:
        self.server, self.sentences, self.most, self.seed = server, sentences, most, seed
        self.ids = sorted(library.gestures)
        self.known = frozenset(self.ids)
        gestures = [library.gestures[i] for i in self.ids]
        self.full = "\n".join(map(_described, gestures))
        self.short = "\n".join(f"{g.id} {g.label}" for g in gestures)
        self.unusable = 0
        self.last_error: Exception | None = None

    def run(self, progress: Progress | None) -> tuple[list[list[Answer]], list[str]]:
        answers: list[list[Answer]] = [[] for _ in self.sentences]
        pool = ThreadPoolExecutor(WORKERS)
        try:
            # The first alone: it finds the form that the server takes, and fills its prefix cache for the others.
            numbers = list(range(len(self.sentences)))
            for group in (numbers[:1], numbers[1:]):
                pending: dict[Future[list[Answer]], int] = {pool.submit(self.one, i): i for i in group}
                while pending:
                    done, _ = wait(pending, timeout=0.2, return_when="FIRST_COMPLETED")
                    for future in done:
                        answers[pending.pop(future)] = future.result()
                    if progress is not None:
                        share = 1.0 - (len(pending) + (len(numbers) - 1 if group == numbers[:1] else 0)) / len(numbers)
                        progress.stage("Choosing gestures", max(share, 0.0))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return answers, self._warnings()

    def _warnings(self) -> list[str]:
        warnings = []
        if self.last_error is not None:
            warnings.append(_gone(self.server, self.last_error))
        if self.unusable:
            warnings.append(
                f"The language model's answers to {self.unusable} of {len(self.sentences)} sentences could not be "
                "used; those sentences have no gestures by meaning."
            )
        return warnings

    def one(self, number: int) -> list[Answer]:
        """Answers for one sentence; [] on any failure, which is remembered."""
        if self.server.failures >= PATIENCE:
            return []
        try:
            text = self._asked(number)
        except (requests.RequestException, _Refused, ValueError) as error:
            # A refused connection will not be accepted for the next sentence either.
            hopeless = isinstance(error, requests.ConnectionError) or getattr(error, "status", 0) in HOPELESS
            self.server.failures += PATIENCE if hopeless else 1
            self.last_error = error
            return []
        self.server.failures = 0
        answers, usable = parse(text, len(self.sentences[number]), self.known)
        self.unusable += not usable
        return answers[: self.most]

    def _asked(self, number: int) -> str:
        """The model's text, in the best form that the server takes."""
        while True:
            form, brief = self.server.form, self.server.brief
            try:
                return _post(self.server, self._request(number, FORMS[form], brief))
            except _Refused as error:
                if error.status in HOPELESS | BUSY or (brief and error.too_long):
                    raise
                if error.too_long:
                    self.server.brief = True
                elif form + 1 < len(FORMS):
                    self.server.form = max(self.server.form, form + 1)
                else:
                    raise

    def _request(self, number: int, form: str, brief: bool) -> dict[str, Any]:
        words = self.sentences[number]
        gestures = self.short if brief else self.full
        body: dict[str, Any] = {
            "model": self.server.model,
            "messages": [
                {"role": "system", "content": INSTRUCTION.format(most=self.most, gestures=gestures)},
                {"role": "user", "content": self._question(number)},
            ],
            "temperature": 0.0,
            "seed": self.seed,
            "max_tokens": 64 + 80 * self.most,
        }
        schema = answer_schema(self.ids, len(words), self.most)
        if form == "json_schema":
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "gestures", "strict": True, "schema": schema},
            }
        elif form == "json_object":
            body["response_format"] = {"type": "json_object", "schema": schema}
        return body

    def _question(self, number: int) -> str:
        around = self.sentences
        before = " ".join(around[number - 1]) if number > 0 else ""
        after = " ".join(around[number + 1]) if number + 1 < len(around) else ""
        numbered = " ".join(f"{i}:{word}" for i, word in enumerate(around[number]))
        lines = [f"Before: {before}" if before else "", f"After: {after}" if after else "", f"Sentence: {numbered}"]
        return "\n".join(line for line in lines if line)


def _described(gesture: Gesture) -> str:
    meanings = "; ".join(list(gesture.meanings)[:3])
    return f"{gesture.id} {gesture.label}: {meanings}" if meanings else f"{gesture.id} {gesture.label}"


# ----------------------------------------------------------------------------------------------------------- the wire


def _first_model(server: _Server) -> str:
    response = server.session.get(
        f"{server.url}/models",
        headers=server.headers(),
        timeout=(CONNECT_SECONDS, server.timeout),
        allow_redirects=False,
        stream=True,
    )
    data = json.loads(_body(response, server.timeout))
    models = data.get("data") if isinstance(data, dict) else None
    if not isinstance(models, list) or not models or not isinstance(models[0], dict):
        raise ValueError("it lists no models")
    return str(models[0].get("id", ""))


def _post(server: _Server, body: dict[str, Any]) -> str:
    """The answer's text. Busy and failing servers are asked again after a pause."""
    for attempt in range(RETRIES + 1):
        try:
            response = server.session.post(
                f"{server.url}/chat/completions",
                json=body,
                headers=server.headers(),
                timeout=(CONNECT_SECONDS, server.timeout),
                allow_redirects=False,
                stream=True,
            )
            return _content(_body(response, server.timeout))
        except _Refused as error:
            if error.status not in BUSY or attempt == RETRIES:
                raise
        except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
            if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
                raise requests.ReadTimeout from error
            if attempt == RETRIES:
                raise requests.ConnectionError from error
        time.sleep(BACKOFF_SECONDS * 3**attempt)
    raise AssertionError("unreachable")


def _body(response: requests.Response, timeout: float) -> bytes:
    """The response's bytes, within limits of size and time (a server may send one byte a second for ever)."""
    until = time.monotonic() + timeout
    data = bytearray()
    with response:
        while chunk := response.raw.read1(65536, decode_content=True):
            data += chunk
            if len(data) > MAX_ANSWER_BYTES:
                raise ValueError("its answer is too long")
            if time.monotonic() > until:
                raise requests.ReadTimeout("its answer took too long")
    if response.status_code != 200:
        raise _Refused(response.status_code, bytes(data[:2000]).decode("utf-8", "replace"))
    return bytes(data)


def _content(data: bytes) -> str:
    """The message text of a chat completion; "" for anything else."""
    try:
        message = json.loads(data)["choices"][0]["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""


def _gone(server: _Server, error: Exception) -> str:
    host = urlsplit(server.url).netloc.rpartition("@")[2]
    if isinstance(error, _Refused):
        why = {401: "it wants a valid key", 403: "it wants a valid key", 404: "it does not know this address or model"}
        reason = why.get(error.status, f"it answered with HTTP status {error.status}")
        if error.too_long:
            reason = "its context is too short for the list of gestures"
    elif isinstance(error, requests.Timeout):
        reason = f"it took longer than {server.timeout:g} s"
    elif isinstance(error, requests.ConnectionError):
        reason = "nothing answers there"
    else:
        reason = (
            str(error) if isinstance(error, ValueError) and not isinstance(error, requests.RequestException) else "it"
        )
        reason = reason if reason.startswith("it") and len(reason) < 80 else "its answer could not be read"
    return (
        f"The language model at {host} could not be used: {reason}. "
        "Sentences without its answer have no gestures by meaning; check the server, its address, model and key."
    )
