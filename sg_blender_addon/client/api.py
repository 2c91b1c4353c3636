"""HTTP calls to the backend; every way they can go wrong becomes one UserError.

The routes are those of docs/protocol.md. A call blocks, so it belongs into a job's worker thread.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import requests

from ..core import wire
from ..core.errors import UserError

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0
UPLOAD_TIMEOUT_S = 600.0
CHUNK = 1 << 20
MAX_RESULT_BYTES = 4 << 30
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Arrays = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class JobStatus:
    """One answer of `GET /v1/jobs/{id}`."""

    id: str
    state: str
    stage: str
    fraction: float
    eta_s: float | None
    error: UserError | None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> JobStatus:
        error = data.get("error")
        eta = data.get("eta_s")
        return cls(
            id=str(data["id"]),
            state=str(data["state"]),
            stage=str(data.get("stage") or ""),
            fraction=float(data.get("fraction") or 0.0),
            eta_s=None if eta is None else float(eta),
            error=_error_from(error) if isinstance(error, Mapping) else None,
        )


def is_loopback(url: str) -> bool:
    """True when a URL points at this machine, so that nothing leaves it."""
    return (urlsplit(url).hostname or "") in LOOPBACK


def checked_url(url: str) -> str:
    """A backend address as typed by a person, tidied; UserError when it cannot be one."""
    text = url.strip()
    if text and "://" not in text:
        text = "http://" + text
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise UserError(f"'{url}' is not the address of a backend.", "It looks like http://127.0.0.1:8765", "bad_url")
    return text.rstrip("/")


def file_sha256(path: Path) -> str:
    """Hex digest of a file, read in pieces; UserError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise UserError(
            f"The sound file cannot be read: {path.name} ({error.strerror or error})",
            "Check that the file is still where the strip says it is.",
            "audio_unreadable",
        ) from error
    return digest.hexdigest()


class Api:
    """Calls to one backend, with its bearer token."""

    def __init__(self, url: str, token: str) -> None:
        self.url = checked_url(url)
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token.strip()}"
        # a proxy from the environment must not see what stays on this machine
        self._session.trust_env = not is_loopback(self.url)

    def close(self) -> None:
        self._session.close()

    def health(self) -> dict[str, Any]:
        return self._json("GET", "/v1/health")

    def upload_audio(self, audio: Path | bytes) -> str:
        """Send a sound file as it is; returns its digest, by which jobs name it."""
        if isinstance(audio, bytes):
            digest = hashlib.sha256(audio).hexdigest()
            self._request("PUT", f"/v1/audio/{digest}", data=audio, read_timeout=UPLOAD_TIMEOUT_S)
            return digest
        digest = file_sha256(audio)
        with audio.open("rb") as file:
            self._request("PUT", f"/v1/audio/{digest}", data=file, read_timeout=UPLOAD_TIMEOUT_S)
        return digest

    def submit(self, audio: str, settings: Mapping[str, Any]) -> JobStatus:
        return self._status("POST", "/v1/jobs", {"audio": audio, "settings": dict(settings)})

    def status(self, job: str) -> JobStatus:
        return self._status("GET", f"/v1/jobs/{quote(job)}")

    def cancel(self, job: str) -> None:
        self._request("DELETE", f"/v1/jobs/{quote(job)}")

    def result(self, job: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """(meta, arrays) of a finished job: REPORT.json with fps and skeleton, and the motions."""
        return self._wire("GET", f"/v1/jobs/{quote(job)}/result")

    def gestures(self, query: str = "", library: str = "starter") -> list[dict[str, Any]]:
        """The library's gestures: all of them by label, or those that fit the query, best first."""
        data = self._json("GET", "/v1/gestures", params={"q": query, "library": library})
        found = data.get("gestures")
        return [dict(item) for item in found] if isinstance(found, Sequence) else []

    def preview(self, gesture_id: str, library: str = "starter") -> bytes:
        """A PNG preview of a gesture."""
        return self._request("GET", f"/v1/gestures/{quote(gesture_id)}/preview", params={"library": library})

    def blend(self, meta: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], dict[str, Any]]:
        """(meta, arrays) of the merged motion for a rhythm motion and the segments an animator arranged."""
        with _on_disk("The motion cannot be written down to be sent"), tempfile.TemporaryFile() as body:
            wire.write(body, meta, arrays)
            body.seek(0)
            return self._wire("POST", "/v1/blend", data=body)

    def _status(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> JobStatus:
        data = self._json(method, path, body=body)
        try:
            return JobStatus.from_json(data)
        except (KeyError, TypeError, ValueError) as error:
            raise self._not_a_backend() from error

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        answer = self._send(method, path, json=body, **options)
        data = _json_of(answer)
        if not isinstance(data, dict):
            raise self._not_a_backend()
        return data

    def _wire(self, method: str, path: str, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """An answer with motions, by way of a file: an hour of them is too much to hold twice."""
        with _on_disk("The backend's answer cannot be kept"), tempfile.TemporaryFile() as file:
            for chunk in self._chunks(method, path, **options):
                file.write(chunk)
            return wire.unpack(file)

    def _request(self, method: str, path: str, **options: Any) -> bytes:
        return b"".join(self._chunks(method, path, **options))

    def _chunks(self, method: str, path: str, **options: Any) -> Iterator[bytes]:
        answer = self._send(method, path, stream=True, **options)
        try:
            yield from _limited(answer.iter_content(CHUNK))
        except requests.RequestException as error:
            raise self._unreachable(error) from error

    def _send(self, method: str, path: str, read_timeout: float = READ_TIMEOUT_S, **options: Any) -> requests.Response:
        """One request; any status but 2xx raises."""
        try:
            answer = self._session.request(
                method, self.url + path, timeout=(CONNECT_TIMEOUT_S, read_timeout), allow_redirects=False, **options
            )
        except requests.Timeout as error:
            raise UserError(
                f"The backend at {self.url} did not answer in time.",
                "It may be busy or overloaded: try again, or restart it from the add-on's preferences.",
                "backend_timeout",
            ) from error
        except (requests.RequestException, OSError) as error:
            raise self._unreachable(error) from error
        if not 200 <= answer.status_code < 300:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: requests.Response) -> UserError:
        data = _json_of(answer)
        body = data.get("error", data) if isinstance(data, dict) else None
        if answer.status_code == 401:
            return UserError(
                "The backend refused the token.",
                "Copy the token that 'python -m backend serve' printed into the add-on's preferences.",
                "unauthorized",
            )
        if isinstance(body, Mapping) and body.get("message"):
            return _error_from(body)
        if answer.status_code < 500:
            return self._not_a_backend()
        return UserError(
            f"The backend failed with status {answer.status_code}.", "Its log says more.", "backend_failed"
        )

    def _unreachable(self, error: Exception) -> UserError:
        lost = UserError(
            f"The backend at {self.url} cannot be reached.",
            "Check that it is running and that address and token in the add-on's preferences are right.",
            "backend_unreachable",
        )
        lost.__cause__ = error
        return lost

    def _not_a_backend(self) -> UserError:
        return UserError(
            f"What answers at {self.url} is not a gesture backend of this version.",
            "Check the address in the add-on's preferences, and that add-on and backend have the same version.",
            "not_a_backend",
        )


@contextmanager
def _on_disk(what: str) -> Iterator[None]:
    """A disk that refuses, full above all, is one sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{what}: {error.strerror or error}.", "Make room on the disk.", "disk") from error


def _json_of(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except (ValueError, requests.RequestException):
        return None


def _error_from(body: Mapping[str, Any]) -> UserError:
    return UserError(str(body.get("message", "")), str(body.get("hint", "")), str(body.get("code", "backend_failed")))


def _limited(chunks: Iterator[bytes]) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > MAX_RESULT_BYTES:
            raise UserError("The backend's answer is too large.", "Generate a shorter range.", "too_large")
        yield chunk
