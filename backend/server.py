"""The HTTP server: routes of docs/protocol.md, on loopback, behind a bearer token.

Handlers only look things up or hand work to `jobs`; whatever takes more than milliseconds runs in a thread. Everything
that comes in is limited in size and answered in JSON, errors too: {code, message, hint}.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.jobs import Jobs, unexpected
from backend.resources import Resources
from sg_blender_addon.core import error_codes
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.files import move
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.protocol import API_VERSION, GenerateSettings
from sg_blender_addon.core.storage import Bytes, mapped, pieces
from sg_blender_addon.core.timeline import Segment
from sg_blender_addon.core.wire import motion_arrays, motion_from, unpack, write

logger = logging.getLogger(__name__)

MAX_JSON = 8 * 2**20
MAX_SEGMENTS = 10_000
KEPT_AUDIO = 16
WIRE = "application/x-npz"
TOKEN_VARIABLE = "SG_TOKEN"  # noqa: S105 - the name of an environment variable
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")


def problem(error: UserError) -> JSONResponse:
    """An error as the protocol says it."""
    return JSONResponse(error.to_json(), error_codes.status(error.code))


class Guard:
    """Lets a request in only with a known Host and the token. A browser's page must not steer a local server."""

    def __init__(self, app: ASGIApp, token: str, hosts: tuple[str, ...]) -> None:
        self._app, self._token, self._hosts = app, token.encode(), hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refuse(dict(scope["headers"]))
        await (problem(refused)(scope, receive, send) if refused else self._app(scope, receive, send))

    def _refuse(self, headers: dict[bytes, bytes]) -> UserError | None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if self._hosts and name not in self._hosts:
            return UserError("This server does not answer to that name.", "Use the address it printed.", "bad_host")
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token):
            return UserError("The token is missing or wrong.", "Use the token of this server.", "unauthorized")
        return None


class AudioStore:
    """Uploaded recordings in a private folder, by the SHA-256 of their bytes; the oldest give way."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sg-audio-"))

    def path(self, digest: str) -> Path:
        """Raises UserError for what has not been uploaded."""
        path = self.folder / digest
        if not _SHA256.fullmatch(digest) or not path.is_file():
            raise UserError("This recording has not been uploaded.", "Upload it, then start the job.", "unknown_audio")
        os.utime(path)
        return path

    def keep(self, temporary: Path, digest: str) -> None:
        move(temporary, self.folder / digest)
        stored = [p for p in self.folder.iterdir() if _SHA256.fullmatch(p.name)]
        stored.sort(key=lambda p: p.stat().st_mtime)
        for old in stored[:-KEPT_AUDIO]:
            old.unlink(missing_ok=True)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Service:
    """What the routes share."""

    resources: Resources
    max_upload: int
    jobs: Jobs = field(default_factory=Jobs)
    audio: AudioStore = field(default_factory=AudioStore)

    def close(self) -> None:
        self.jobs.close()
        self.audio.close()


Handler = Callable[[Request], Awaitable[Response]]


def guarded(handler: Handler) -> Handler:
    """Turn every failure of a handler into the protocol's JSON."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except UserError as error:
            return problem(error)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            if isinstance(error, HTTPException):
                raise
            logger.exception("%s %s", request.method, request.url.path)
            return problem(unexpected(error))

    return handle


def service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


async def read_body(request: Request, limit: int) -> IO[bytes]:
    """The whole body; UserError as soon as it exceeds `limit` bytes, whatever its header claims."""
    body, size = tempfile.SpooledTemporaryFile(MAX_JSON), 0  # noqa: SIM115 - whoever reads it closes it
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise UserError(f"The request is larger than {limit // 2**20} MB.", "Send less.", "too_large")
            await run_in_threadpool(body.write, chunk)
    except BaseException:
        body.close()
        raise
    body.seek(0)
    return cast(IO[bytes], body)


async def read_json(request: Request) -> dict[str, Any]:
    try:
        with await read_body(request, MAX_JSON) as body:
            data = json.load(body)
    except ValueError as error:
        raise UserError("The request is not JSON.", "See docs/protocol.md.", "bad_request") from error
    if not isinstance(data, dict):
        raise UserError("The request must be a JSON object.", "See docs/protocol.md.", "bad_request")
    return data


async def health(request: Request) -> Response:
    from backend import __version__

    return JSONResponse({"status": "ok", "api": API_VERSION, "version": __version__, "pid": os.getpid()})


async def put_audio(request: Request) -> Response:
    """Store an upload under its checksum, streaming to disk."""
    here, digest = service(request), request.path_params["sha256"]
    if not _SHA256.fullmatch(digest):
        raise UserError("The address must end in the SHA-256 of the file.", "See docs/protocol.md.", "bad_request")
    handle, name = tempfile.mkstemp(dir=here.audio.folder, prefix="upload-")
    temporary, checksum, size = Path(name), hashlib.sha256(), 0
    try:
        with os.fdopen(handle, "wb") as file:
            async for chunk in request.stream():
                size += len(chunk)
                if size > here.max_upload:
                    limit = here.max_upload // 2**20
                    raise UserError(f"The recording is larger than {limit} MB.", "Cut it into parts.", "too_large")
                checksum.update(chunk)
                await run_in_threadpool(file.write, chunk)
        if checksum.hexdigest() != digest:
            raise UserError("The upload arrived damaged.", "Send it again.", "bad_checksum")
        here.audio.keep(temporary, digest)
    finally:
        temporary.unlink(missing_ok=True)
    return JSONResponse({"sha256": digest, "bytes": size})


async def post_job(request: Request) -> Response:
    here, data = service(request), await read_json(request)
    unknown = set(data) - {"audio", "settings"}
    if unknown or not isinstance(data.get("audio"), str):
        raise UserError('A job needs "audio" and may have "settings".', "See docs/protocol.md.", "bad_request")
    settings = GenerateSettings.from_json(data.get("settings", {}))
    path = here.audio.path(data["audio"])

    def work(progress: Progress) -> Bytes:
        from backend.pipeline import generate

        performance = generate(path, settings, here.resources, progress)
        with tempfile.TemporaryFile(prefix="sg-result-") as file:
            performance.write(file)
            return mapped(file)

    return JSONResponse(here.jobs.submit(work).to_json(), 202)


async def get_job(request: Request) -> Response:
    return JSONResponse(service(request).jobs.get(request.path_params["id"]).snapshot.to_json())


async def delete_job(request: Request) -> Response:
    return JSONResponse(service(request).jobs.cancel(request.path_params["id"]).to_json())


async def get_result(request: Request) -> Response:
    job = service(request).jobs.get(request.path_params["id"])
    if job.snapshot.error is not None:
        raise job.snapshot.error
    if job.result is None:
        raise UserError(f"The job is {job.snapshot.state}; it has no result.", "Wait until it is done.", "not_done")
    return motions(job.result)


def motions(data: Bytes) -> Response:
    """An answer in the wire format, sent in pieces: hours of motion need not be in memory for it."""
    return StreamingResponse(pieces(data), media_type=WIRE, headers={"Content-Length": str(len(data))})


async def list_gestures(request: Request) -> Response:
    """All gestures, or with q= those that fit a text, best first."""
    from backend.http_gestures import search

    here, query = service(request), request.query_params.get("q", "")
    where = request.query_params.get("library", "starter")
    return JSONResponse({"gestures": await run_in_threadpool(search, here.resources.library(where), query)})


async def get_gesture(request: Request) -> Response:
    from backend.http_gestures import variant_wire

    here, params = service(request), request.path_params
    library = here.resources.library(request.query_params.get("library", "starter"))
    data = await run_in_threadpool(variant_wire, library, params["id"], _number(params["variant"]))
    return Response(data, media_type=WIRE)


async def get_preview(request: Request) -> Response:
    from backend.http_gestures import preview

    here = service(request)
    library = here.resources.library(request.query_params.get("library", "starter"))
    wanted = request.query_params.get("variant")
    variant = None if wanted is None else _number(wanted)
    picture = await run_in_threadpool(preview, library, request.path_params["id"], variant)
    return Response(picture, media_type="image/png")


def _number(text: str) -> int:
    if not text.isdigit() or len(text) > 6:
        raise UserError(f"{text[:20]!r} is not the number of a variant.", "Variants count from 1.", "unknown_gesture")
    return int(text)


async def post_blend(request: Request) -> Response:
    """Lay moved segments over a rhythm again; nothing is kept."""
    here = service(request)
    body = await read_body(request, here.max_upload)
    with body:
        return motions(await run_in_threadpool(blend_wire, body, here.resources, here.max_upload))


def blend_wire(body: IO[bytes], resources: Resources, limit: int) -> Bytes:
    """The body of POST /v1/blend to its answer."""
    from backend.motion import blend_codes
    from backend.motion.blend import blend

    meta, arrays = unpack(body, limit)
    rhythm = motion_from("rhythm", meta, arrays)
    given = meta.get("segments")
    try:
        if not isinstance(given, list) or len(given) > MAX_SEGMENTS:
            raise ValueError("segments")
        segments = [Segment.from_json(s) for s in given]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError("There is no list of segments to blend.", "See docs/protocol.md.", "bad_request") from error
    library = resources.library(str(meta.get("library", "starter")))
    decoded = None
    if any(s.blend != "motion" for s in segments):
        weights = resources.weights(str(meta.get("weights", "starter")))
        segments = [blend_codes.measured(weights, s, library, resources.codes) for s in segments]
    if any(s.blend == "codes" for s in segments):
        codes = blend_codes.codes_of(weights, rhythm)
        decoded = blend_codes.decoded_motion(weights, codes, segments, library, rhythm.seconds, resources.codes)
    merged = blend(rhythm, segments, library, decoded=decoded)
    with tempfile.TemporaryFile(prefix="sg-result-") as file:
        answer = {"fps": merged.fps, "skeleton": merged.skeleton.to_json(), "blends": [s.blend for s in segments]}
        write(file, answer, motion_arrays("merged", merged))
        return mapped(file)


async def not_found(request: Request, error: Exception) -> Response:
    return problem(UserError(f"There is nothing at {request.url.path}.", "See docs/protocol.md.", "not_found"))


async def wrong_method(request: Request, error: Exception) -> Response:
    return problem(UserError(f"{request.method} is not possible here.", "See docs/protocol.md.", "method_not_allowed"))


def application(shared: Service, token: str, hosts: tuple[str, ...] = _LOCAL_NAMES) -> ASGIApp:
    """The ASGI application."""
    routes = [
        Route("/v1/health", guarded(health)),
        Route("/v1/audio/{sha256}", guarded(put_audio), methods=["PUT"]),
        Route("/v1/jobs", guarded(post_job), methods=["POST"]),
        Route("/v1/jobs/{id}", guarded(get_job), methods=["GET"]),
        Route("/v1/jobs/{id}", guarded(delete_job), methods=["DELETE"]),
        Route("/v1/jobs/{id}/result", guarded(get_result)),
        Route("/v1/gestures", guarded(list_gestures)),
        Route("/v1/gestures/{id}/preview", guarded(get_preview)),
        Route("/v1/gestures/{id}/{variant}", guarded(get_gesture)),
        Route("/v1/blend", guarded(post_blend), methods=["POST"]),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        yield
        await run_in_threadpool(shared.close)

    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: not_found, 405: wrong_method})
    app.state.service = shared
    return Guard(app, token, hosts)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; UserError where the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":  # elsewhere the option would let two servers share a port
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(128)
    except (OSError, OverflowError) as error:
        found.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"The server cannot listen on {host} port {port}: {reason}.",
            "Another program may be using it: leave --port out to get a free one.",
            "port_in_use",
        ) from error
    return found


def _token(from_stdin: bool) -> str:
    if from_stdin:
        token = sys.stdin.readline().strip()
        if len(token) < 16:
            raise UserError("No token of 16 characters or more came on stdin.", "Write one line with it.", "bad_token")
        return token
    return os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(24)


def _exit_at_eof(server: uvicorn.Server) -> None:
    """Ask the server to stop when stdin closes: then the program that started us is gone."""

    def watch() -> None:
        while sys.stdin.readline():
            pass
        server.should_exit = True

    threading.Thread(target=watch, name="stdin", daemon=True).start()


class _ReadyServer(uvicorn.Server):
    """Prints the ready line once requests are answered."""

    def __init__(self, config: uvicorn.Config, ready: dict[str, Any]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            sys.stdout.write(json.dumps(self._ready) + "\n")
            sys.stdout.flush()


def serve(arguments: argparse.Namespace) -> int:
    """`serve` of the command line: returns when stopped."""
    from backend import __version__

    bound = listen(arguments.host, arguments.port)
    token = _token(arguments.token_stdin)
    address = bound.getsockname()
    shared = Service(Resources(arguments.device), arguments.max_upload_mb * 2**20)
    if arguments.preload:
        threading.Thread(target=_preload, args=(shared.resources,), daemon=True).start()
    local = arguments.host in ("127.0.0.1", "localhost", "::1")
    # On other addresses names are the administrator's business: the token is what protects.
    app = application(shared, token, _LOCAL_NAMES if local else ())
    ready: dict[str, Any] = {"event": "ready", "host": address[0], "port": address[1], "pid": os.getpid(),
                             "api": API_VERSION, "version": __version__}  # fmt: skip
    if not arguments.token_stdin:
        ready["token"] = token
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3,
                            server_header=False, h11_max_incomplete_event_size=65536)  # fmt: skip
    server = _ReadyServer(config, ready)
    if arguments.token_stdin:
        _exit_at_eof(server)
    try:
        asyncio.run(server.serve(sockets=[bound]))
    except KeyboardInterrupt:
        logger.info("stopped by the keyboard")
    finally:
        shared.close()
    # A job in the middle of a matrix product must not keep the process of a dead Blender alive.
    sys.stdout.flush()
    os._exit(0)


def _preload(resources: Resources) -> None:
    try:
        resources.weights("starter")
        resources.library("starter")
    except UserError as error:
        logger.warning("%s", error)
