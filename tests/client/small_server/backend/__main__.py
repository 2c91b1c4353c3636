"""A small real HTTP server that speaks docs/protocol.md, for the cases a healthy backend never shows on request.

It is started exactly as the backend is (`python -m backend serve --port 0 --token-stdin`), dies at stdin EOF, and makes
a simple wave on the canonical skeleton. It has a preview of one of its two gestures. What the script says steers it:
`crash`, `slow`, `fail`, `nonsense`, `garbage`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

import numpy as np

from sg_blender_addon.core import rotations, wire
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical

SECONDS = 3.0
WORDS = [("Hello,", 0.2, 0.6), ("this", 0.7, 0.9), ("is", 0.9, 1.1), ("good.", 1.2, 1.8)]
SLOW_S = 20.0
PHASES = {"stroke_start": 0.1, "stroke": 0.25, "stroke_end": 0.5, "retraction": 0.6}
GESTURES = [
    {
        "id": "0002",
        "label": "HAND RING",
        "description": "A ring.",
        "meanings": ["perfect", "okay"],
        "examples": [{"text": "That is good enough.", "word": "good"}],
        "picture": "ring1",
        "variants": [{"number": 1, "hand": "right", "seconds": 1.2, "phases": PHASES}],
    },
    {
        "id": "0001",
        "label": "THUMB UP",
        "description": "A thumb.",
        "meanings": ["good", "well done"],
        "examples": [{"text": "Good for you!", "word": "Good"}, {"text": "A good day.", "word": "good"}],
        "picture": "thumb1",
        "variants": [{"number": n, "hand": "right", "seconds": 1.0, "phases": PHASES} for n in (1, 2)],
    },
]

PREVIEW = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAFElEQVR4nGM8UaHBAANMDEgANwcAR/QBcCY7mNgAAAAASUVORK5CYII="
)

audio: set[str] = set()
jobs: dict[str, dict] = {}
token = ""


def wave(fps: float, lift: float) -> Motion:
    """The right arm swings; `lift` raises it between 1.0 and 2.0 s."""
    skeleton = canonical()
    frames = round(SECONDS * fps) + 1
    seconds = np.arange(frames) / fps
    angle = 0.3 * np.sin(2 * np.pi * seconds) + lift * np.clip(1 - np.abs(seconds - 1.5) / 0.5, 0, 1)
    turns = np.tile([1.0, 0, 0, 0], (frames, len(skeleton), 1))
    turns[:, skeleton.index("RightArm")] = rotations.from_axis_angle(np.array([0.0, 0, 1]), angle)
    root = np.tile(skeleton.offsets[0], (frames, 1))
    return Motion(fps, skeleton, root, turns)


def result(job: dict) -> bytes:
    fps = float(job["settings"].get("fps", 60.0))
    rhythm, merged = wave(fps, 0.0), wave(fps, 1.0)
    meta = {
        "fps": fps,
        "skeleton": rhythm.skeleton.to_json(),
        "words": [{"text": t, "start": a, "end": b} for t, a, b in WORDS],
        "segments": job["settings"].get("locked") or [segment(job["settings"])],
        "warnings": [],
        "audio": {"seconds": SECONDS},
    }
    return wire.pack(meta, {**wire.motion_arrays("rhythm", rhythm), **wire.motion_arrays("merged", merged)})


def segment(settings: dict) -> dict:
    return {
        "gesture_id": "0001",
        "label": "THUMB UP",
        "variant": 1,
        "word": "good.",
        "word_index": 3,
        "start": 1.0,
        "stroke": 1.25,
        "end": 2.0,
        "confidence": 0.9,
        "alternatives": [{"gesture_id": "0002", "label": "HAND RING", "confidence": 0.5}],
    }


def blend(body: bytes) -> bytes:
    """The rhythm with the right arm raised around every stroke. Weights "odd" find every gesture fit for codes."""
    meta, arrays = wire.unpack(body)
    auto = "codes" if meta.get("weights") == "odd" else "motion"
    blends = [auto if given["blend"] == "auto" else given["blend"] for given in meta["segments"]]
    rhythm = wire.motion_from("rhythm", meta, arrays)
    seconds, turns = np.arange(len(rhythm)) / rhythm.fps, rhythm.rotations.astype(float)
    arm = rhythm.skeleton.index("RightArm")
    for given in meta["segments"]:
        lift = np.clip(1 - np.abs(seconds - given["stroke"]) / 0.4, 0, 1)
        turns[:, arm] = rotations.mul(turns[:, arm], rotations.from_axis_angle(np.array([0.0, 0, 1]), lift))
    merged = Motion(rhythm.fps, rhythm.skeleton, rhythm.root_positions, turns)
    answer = {"fps": rhythm.fps, "skeleton": rhythm.skeleton.to_json(), "blends": blends}
    return wire.pack(answer, wire.motion_arrays("merged", merged))


def work(job: dict) -> None:
    script = job["settings"].get("script", "")
    steps = 5 if "slow" not in script else int(SLOW_S * 10)
    for step in range(steps):
        if job["state"] == "cancelled":
            return
        job.update(state="running", stage="generating", fraction=step / steps, eta_s=(steps - step) * 0.1)
        time.sleep(0.02 if "slow" not in script else 0.1)
        if "crash" in script and step == 1:
            os._exit(3)
    if "fail" in script:
        job["error"] = {"code": "too_quiet", "message": "The voice is silent.", "hint": "Choose another strip."}
    job.update(state="failed" if "fail" in script else "done", fraction=1.0)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        if not self.allowed():
            return
        if parts == ["v1", "health"]:
            self.json({"version": "0.0-small", "api_version": 1})
        elif parts == ["v1", "gestures"]:
            self.json({"gestures": GESTURES})
        elif parts == ["v1", "gestures", "0002", "preview"]:
            self.raw(PREVIEW, "image/png")
        elif parts[:2] == ["v1", "jobs"] and parts[2] in jobs:
            self.job(jobs[parts[2]], wants_result=len(parts) == 4)
        else:
            self.json({"code": "not_found", "message": "There is nothing here.", "hint": ""}, 404)

    def do_PUT(self) -> None:
        body = self.body()
        if not self.allowed():
            return
        digest = self.path.rsplit("/", 1)[-1]
        if hashlib.sha256(body).hexdigest() != digest:
            self.json({"code": "bad_digest", "message": "The upload is damaged.", "hint": "Send it again."}, 400)
            return
        audio.add(digest)
        self.json({"sha256": digest})

    def do_POST(self) -> None:
        body = self.body()
        if not self.allowed():
            return
        if self.path == "/v1/blend":
            self.raw(blend(body), "application/x-npz")
            return
        data = json.loads(body)
        if data["audio"] not in audio:
            self.json({"code": "unknown_audio", "message": "The audio is not here.", "hint": "Upload it."}, 404)
            return
        job = {"id": f"job{len(jobs)}", "state": "queued", "stage": "", "fraction": 0.0, "eta_s": None, "error": None}
        job["settings"] = data["settings"]
        jobs[job["id"]] = job
        threading.Thread(target=work, args=(job,), daemon=True).start()
        self.job(job)

    def do_DELETE(self) -> None:
        if self.allowed():
            job = jobs[self.path.rsplit("/", 1)[-1]]
            job["state"] = "cancelled"
            self.job(job)

    def allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {token}":
            return True
        self.json({"code": "unauthorized", "message": "The token is wrong.", "hint": ""}, 401)
        return False

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def job(self, job: dict, wants_result: bool = False) -> None:
        script = job["settings"].get("script", "")
        if wants_result:
            self.raw(b"garbage" if "garbage" in script else result(job), "application/octet-stream")
        elif "nonsense" in script and job["state"] != "queued":
            self.raw(b"<html>hello</html>", "text/html")
        else:
            self.json({key: value for key, value in job.items() if key != "settings"})

    def json(self, data: object, status: int = 200) -> None:
        self.raw(json.dumps(data).encode(), "application/json", status)

    def raw(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        print(format % arguments, file=sys.stderr, flush=True)


def serve() -> None:
    global token
    token = sys.stdin.readline().strip()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("a line that is not JSON", flush=True)
    print(json.dumps({"event": "ready", "port": server.server_port, "version": "0.0-small"}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    if "doctor" in sys.argv:
        print(json.dumps({"ok": True, "checks": []}))
    elif (Path.cwd() / "die_at_start").exists():
        sys.exit("no module named torch")
    else:
        serve()
