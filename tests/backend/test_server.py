"""The HTTP server, asked over HTTP."""

from __future__ import annotations

import hashlib
import io
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from backend.gestures.place import place
from sg_blender_addon.core.protocol import API_VERSION
from sg_blender_addon.core.wire import motion_arrays, motion_from, pack, unpack
from SG_dataset.build import PREVIEW_SIZE
from SG_dataset.library import write_library
from SG_dataset.open import open_library
from SG_dataset.records import NewGesture, NewVariant
from tests.backend.conftest import ROOT, Serving, start_server
from tests.backend.toys import swaying


def run_job(server: Serving, speech: bytes, **settings: object) -> dict[str, object]:
    digest = server.upload(speech)
    answer = server.client.post("/v1/jobs", json={"audio": digest, "settings": settings})
    assert answer.status_code == 202, answer.text
    return server.wait(answer.json()["id"])


def test_ready_line_and_health(server: Serving) -> None:
    assert server.ready["event"] == "ready" and server.ready["port"] > 0 and "token" not in server.ready
    health = server.client.get("/v1/health").json()
    assert health["status"] == "ok" and health["api"] == API_VERSION and health["pid"] == server.process.pid


def test_a_job_from_upload_to_result(server: Serving, speech: Path, tiny_weights: Path) -> None:
    status = run_job(server, speech.read_bytes(), weights=str(tiny_weights), retriever="off", fps=30.0, seed=5)
    assert status["state"] == "done" and status["fraction"] == 1.0 and status["error"] is None
    answer = server.client.get(f"/v1/jobs/{status['id']}/result")
    meta, arrays = unpack(answer.content)
    assert meta["fps"] == 30.0 and meta["words"] == [] and meta["segments"] == [] and meta["timing"]["total_s"] > 0
    assert meta["audio"]["seconds"] == pytest.approx(4.0)
    assert arrays["merged_rotations"].shape == (120, 59, 4) and arrays["rhythm_root"].dtype == np.float32
    motion_from("merged", meta, arrays)
    same = run_job(server, speech.read_bytes(), weights=str(tiny_weights), retriever="off", fps=30.0, seed=5)
    again = unpack(server.client.get(f"/v1/jobs/{same['id']}/result").content)[1]
    assert np.array_equal(again["merged_rotations"], arrays["merged_rotations"])  # the seed decides
    other = run_job(server, speech.read_bytes(), weights=str(tiny_weights), retriever="off", fps=30.0, seed=6)
    changed = unpack(server.client.get(f"/v1/jobs/{other['id']}/result").content)[1]
    assert not np.array_equal(changed["merged_rotations"], arrays["merged_rotations"])


def test_progress_estimate_and_cancel(server: Serving, speech: Path, tiny_weights: Path) -> None:
    import soundfile

    from tests.backend.conftest import speechlike

    buffer = io.BytesIO()
    soundfile.write(buffer, speechlike(240.0, 8000), 8000, format="WAV", subtype="PCM_U8")
    digest = server.upload(buffer.getvalue())
    settings = {"weights": str(tiny_weights), "retriever": "off"}
    job = server.client.post("/v1/jobs", json={"audio": digest, "settings": settings}).json()
    seen: list[tuple[float, str]] = []
    while len({stage for _, stage in seen}) < 3:
        status = server.client.get(f"/v1/jobs/{job['id']}").json()
        assert status["state"] in ("queued", "running"), status
        if status["stage"]:
            seen.append((status["fraction"], status["stage"]))
        time.sleep(0.02)
    assert [f for f, _ in seen] == sorted(f for f, _ in seen)
    assert server.client.get(f"/v1/jobs/{job['id']}/result").status_code == 409
    began = time.monotonic()
    assert server.client.delete(f"/v1/jobs/{job['id']}").status_code == 200
    assert server.wait(job["id"])["state"] == "cancelled"
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("authorization", "host", "status", "code"),
    [
        (None, None, 401, "unauthorized"),
        ("Bearer wrong", None, 401, "unauthorized"),
        ("Basic a-token-for-tests-only", None, 401, "unauthorized"),
        ("Bearer a-token-for-tests-only", "evil.example", 403, "bad_host"),
        ("Bearer a-token-for-tests-only", "127.0.0.1.evil.example:80", 403, "bad_host"),
        ("Bearer a-token-for-tests-only", "localhost:1", 200, None),
    ],
)
def test_token_and_host(
    server: Serving, authorization: str | None, host: str | None, status: int, code: str | None
) -> None:
    headers = {k: v for k, v in (("Authorization", authorization), ("Host", host)) if v}
    for path in ("/v1/health", "/v1/gestures"):
        answer = httpx.get(server.url + path, headers=headers)
        if code is None and path == "/v1/gestures":
            continue
        assert answer.status_code == status
        if code:
            assert set(answer.json()) == {"code", "message", "hint"} and answer.json()["code"] == code


def test_pictures_of_a_library_that_has_some(server: Serving, tmp_path: Path) -> None:
    ours = open_library().gesture("3123")
    variants = tuple(NewVariant(v.number, v.motion(), v.phases, v.hand) for v in ours.variants)
    texts = (ours.label, ours.description, ours.meanings, ours.examples, ours.tags, variants)
    new = [NewGesture("3123", *texts, b"a picture"), NewGesture("0001", *texts), NewGesture("0000", *texts[:-1], ())]
    write_library(new, tmp_path / "library.zip", {})

    def picture(gesture_id: str, **query: object) -> httpx.Response:
        return server.client.get(f"/v1/gestures/{gesture_id}/preview", params={"library": str(tmp_path), **query})

    listed = server.client.get("/v1/gestures", params={"library": str(tmp_path)}).json()["gestures"]
    assert [g["picture"] != "" for g in sorted(listed, key=lambda g: g["id"])] == [False, True, True]
    assert picture("3123").content == b"a picture"
    drawn = Image.open(io.BytesIO(picture("0001").content))
    assert drawn.size == (PREVIEW_SIZE, PREVIEW_SIZE) and len(drawn.getcolors() or ()) > 20
    moments = Image.open(io.BytesIO(picture("0001", variant=1).content))
    assert moments.width == 3 * moments.height
    assert (picture("0000").status_code, picture("0000").json()["code"]) == (404, "no_preview")
    assert picture("0001", variant=99).json()["code"] == "unknown_gesture"
    assert server.client.get("/v1/gestures/3123/preview").content == open_library().preview("3123")


def test_upload_is_limited_and_checked(server: Serving) -> None:
    wrong = server.client.put(f"/v1/audio/{'0' * 64}", content=b"not what it says")
    assert wrong.status_code == 400 and wrong.json()["code"] == "bad_checksum"
    assert server.client.put("/v1/audio/..%2F..%2Fetc", content=b"x").status_code in (400, 404)
    assert server.client.put("/v1/audio/xyz", content=b"x").json()["code"] == "bad_request"
    big = b"\0" * (9 * 2**20)
    answer = server.client.put(f"/v1/audio/{hashlib.sha256(big).hexdigest()}", content=big)
    assert answer.status_code == 413 and answer.json()["code"] == "too_large" and "8 MB" in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"audio": "0" * 64}, "unknown_audio"),
        ({"audio": "../../etc/passwd"}, "unknown_audio"),
        ({"settings": {}}, "bad_request"),
        ([], "bad_request"),
        ({"audio": "0" * 64, "settings": {"fps": "sixty"}}, "bad_settings"),
        ({"audio": "0" * 64, "settings": {"fps": 1e9}}, "bad_settings"),
        ({"audio": "0" * 64, "settings": {"magic": 1}}, "bad_settings"),
        ({"audio": "0" * 64, "settings": {"manner": "calm"}}, "bad_settings"),
        ({"audio": "0" * 64, "settings": {"manner": {"size": 1.0}}}, "bad_settings"),
        ({"audio": "0" * 64, "settings": {"manner": {"width": 9}}}, "bad_settings"),
        ({"audio": "0" * 64, "else": 1}, "bad_request"),
    ],
)
def test_bad_jobs_are_refused(server: Serving, body: object, code: str) -> None:
    answer = server.client.post("/v1/jobs", json=body)
    assert 400 <= answer.status_code < 500 and answer.json()["code"] == code
    assert answer.json()["message"].endswith(".") and answer.json()["hint"]


def test_nonsense_requests_are_answered_in_json(server: Serving) -> None:
    assert server.client.post("/v1/jobs", content=b"{").json()["code"] == "bad_request"
    assert server.client.get("/v1/nothing").json()["code"] == "not_found"
    assert server.client.patch("/v1/jobs").json()["code"] == "method_not_allowed"
    assert server.client.get("/v1/jobs/none").status_code == 404
    assert server.client.post("/v1/blend", content=b"garbage").json()["code"] == "bad_motion_data"
    huge = server.client.post("/v1/jobs", content=b" " * (9 * 2**20))
    assert huge.status_code == 413


@pytest.mark.parametrize("data", [b"", b"this is no sound at all" * 50, b"RIFF\x10\0\0\0WAVEfmt "])
def test_unusable_audio_fails_the_job_not_the_server(server: Serving, data: bytes, tiny_weights: Path) -> None:
    status = run_job(server, data, weights=str(tiny_weights), retriever="off")
    assert status["state"] == "failed"
    error = status["error"]
    assert isinstance(error, dict) and error["message"].endswith(".") and error["hint"]
    assert server.client.get(f"/v1/jobs/{status['id']}/result").json() == error
    assert server.client.get("/v1/health").status_code == 200


def test_missing_weights_fail_the_job(server: Serving, speech: Path, tmp_path: Path) -> None:
    status = run_job(server, speech.read_bytes(), weights=str(tmp_path / "none"), retriever="off")
    assert status["state"] == "failed" and status["error"]["code"] == "no_weights"  # type: ignore[index]


def test_port_in_use_is_one_sentence(server: Serving) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "backend", "serve", "--port", str(server.ready["port"])],
        capture_output=True, text=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert result.stderr.startswith("error: The server cannot listen on 127.0.0.1") and "hint:" in result.stderr
    assert result.stdout == ""


def test_the_server_dies_with_its_parent(tmp_path: Path) -> None:
    serving = start_server()
    assert serving.process.stdin is not None
    serving.process.stdin.close()
    assert serving.process.wait(20) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(serving.url + "/v1/health")


def test_a_killed_server_is_noticed_and_leaves_the_port(tmp_path: Path) -> None:
    serving = start_server()
    threading.Timer(0.2, serving.process.kill).start()
    with pytest.raises(httpx.HTTPError):
        for _ in range(200):
            serving.client.get("/v1/health")
            time.sleep(0.02)
    serving.process.wait(20)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", serving.ready["port"]))


def test_a_short_token_is_refused() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "backend", "serve", "--token-stdin"],
        input="short\n", capture_output=True, text=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert result.returncode == 1 and "hint:" in result.stderr


def test_blend_without_segments_returns_the_rhythm(server: Serving) -> None:
    rhythm = swaying(1.0, 30.0)
    assert place([], [], None, 1.0) == ([], [])  # type: ignore[arg-type]
    meta = {"fps": 30.0, "skeleton": rhythm.skeleton.to_json(), "segments": []}
    answer = server.client.post("/v1/blend", content=pack(meta, motion_arrays("rhythm", rhythm)))
    if answer.status_code == 200:
        merged = motion_from("merged", *unpack(answer.content))
        assert np.abs(merged.root_positions - rhythm.root_positions).max() < 1e-3
    for segments in (None, 3, [{"gesture_id": "0031"}], ["x"]):
        bad = server.client.post(
            "/v1/blend", content=pack({**meta, "segments": segments}, motion_arrays("rhythm", rhythm))
        )
        assert bad.status_code == 400 and bad.json()["code"] == "bad_request"


def test_blend_measures_what_is_left_to_it(server: Serving, tiny_weights: Path) -> None:
    rhythm = swaying(3.0, 30.0)
    gesture = {"gesture_id": "0031", "label": "?", "variant": 1, "start": 0.5, "stroke": 1.0, "end": 2.0}
    segments = [{**gesture, "blend": blend} for blend in ("auto", "codes", "motion")] + [gesture]
    meta = {"fps": 30.0, "skeleton": rhythm.skeleton.to_json(), "segments": segments, "weights": str(tiny_weights)}
    answer = server.client.post("/v1/blend", content=pack(meta, motion_arrays("rhythm", rhythm)))
    assert answer.status_code == 200, answer.text
    assert unpack(answer.content)[0]["blends"] == ["motion", "codes", "motion", "motion"]  # random weights are no good
    missing = {**meta, "weights": "/nowhere", "segments": segments[:1]}
    refused = server.client.post("/v1/blend", content=pack(missing, motion_arrays("rhythm", rhythm)))
    assert refused.json()["code"] == "no_weights"
