"""A package index on the loopback, with wheels built here, that can be slow, break off or go away."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from sg_blender_addon.client import platforms

PAGE = "text/html; charset=utf-8"


def wheel(name: str, version: str = "1.0", files: dict[str, bytes] | None = None, tag: str = "py3-none-any") -> bytes:
    """A wheel with a module of that name, or with the files given."""
    files = {f"{name}.py": f"VERSION = {version!r}\n".encode()} if files is None else dict(files)
    info = f"{name}-{version}.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: here\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"]).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, content in files.items():
            item = zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0))
            item.external_attr = 0o100755 << 16
            archive.writestr(item, content)
    return made.getvalue()


def pip_wheel() -> tuple[str, bytes]:
    """The pip that runs these tests, as a wheel: real, and new enough."""
    found = importlib.metadata.distribution("pip")
    paths = [path for path in found.files or () if path.parts[0] == "pip" and path.suffix != ".pyc"]
    files = {str(path): Path(str(found.locate_file(path))).read_bytes() for path in paths}
    return found.version, wheel("pip", found.version, files)


class Index:
    """Wheels by file name, what was asked for, and ways to misbehave."""

    def __init__(self) -> None:
        self.wheels: dict[str, bytes] = {}
        self.fetched: list[str] = []
        """File names in the order in which they were asked for."""
        self.broken: dict[str, int] = {}
        """How often a file's connection breaks off in the middle."""
        self.held: dict[str, threading.Event] = {}
        """Files that come half, and the rest when the event is set."""
        self.reached: dict[str, threading.Event] = {}
        """Set when half of a held file has gone out."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        self._server = server
        self.url = f"http://127.0.0.1:{server.server_port}/simple"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def add(self, name: str, version: str = "1.0", content: bytes | None = None, tag: str = "py3-none-any") -> str:
        """Offer a wheel; returns its line for a lock."""
        content = wheel(name, version, tag=tag) if content is None else content
        self.wheels[f"{name}-{version}-{tag}.whl"] = content
        return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(content).hexdigest()}\n    # via nobody\n"

    def hold(self, file: str) -> threading.Event:
        """Send only half of a file until `release`; returns what is set once half is out."""
        self.held[file], self.reached[file] = threading.Event(), threading.Event()
        return self.reached[file]

    def release(self) -> None:
        for event in self.held.values():
            event.set()
        self.held.clear()

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def _handler(index) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                name = unquote(self.path.rstrip("/").rsplit("/", 1)[-1])
                if name.endswith(".whl"):
                    self._file(name)
                    return
                files = [file for file in index.wheels if file.split("-")[0].replace("_", "-").lower() == name]
                links = "".join(f'<a href="/files/{file}">{file}</a>\n' for file in files)
                self._send(200 if files else 404, PAGE, f"<!DOCTYPE html><body>{links}</body>".encode())

            def _file(self, name: str) -> None:
                content = index.wheels[name]
                index.fetched.append(name)
                half = len(content) // 2
                held = index.held.get(name)
                if index.broken.get(name, 0) > 0:
                    index.broken[name] -= 1
                    self._head(200, "application/zip", len(content))
                    self.wfile.write(content[:half])
                    self.close_connection = True
                elif held is not None:
                    self._head(200, "application/zip", len(content))
                    self.wfile.write(content[:half])
                    self.wfile.flush()
                    index.reached[name].set()
                    held.wait(60)
                    with contextlib.suppress(OSError):
                        self.wfile.write(content[half:])
                else:
                    self._send(200, "application/zip", content)

            def _send(self, status: int, kind: str, content: bytes) -> None:
                self._head(status, kind, len(content))
                self.wfile.write(content)

            def _head(self, status: int, kind: str, length: int) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(length))
                # as the public index: a wheel never changes, a page may at any time
                self.send_header("Cache-Control", "max-age=365000000, immutable" if "zip" in kind else "no-store")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def write_root(folder: Path, lines: list[str], installer: str, doctor: str = "print('{\"ok\": true}')") -> Path:
    """An extension with those lines in its lock, torch among them, and a doctor that runs `doctor`."""
    (folder / "backend").mkdir(parents=True)
    (folder / "locks").mkdir()
    (folder / "backend" / "__main__.py").write_text(doctor)
    (folder / "locks" / "backend.txt").write_text("# what the backend needs\n" + "".join(lines))
    without = [line for line in lines if not line.startswith("torch==")]
    (folder / "locks" / "backend-without-torch.txt").write_text("".join(without))
    (folder / "locks" / "installer.txt").write_text(installer)
    write_sizes(folder, 100_000, 60_000)
    return folder


def write_sizes(root: Path, backend: int, without_torch: int) -> None:
    key = platforms.key()
    sizes = {"backend": {key: backend}, "backend-without-torch": {key: without_torch}}
    (root / "locks" / "sizes.json").write_text(json.dumps(sizes))


def pip_environment(url: str) -> dict[str, str]:
    """Variables with which pip knows the index at `url` and nothing else of this machine."""
    names = [name for name in os.environ if name.startswith(("PIP_", "UV_")) or name.lower().endswith("_proxy")]
    return (
        dict.fromkeys(names, "")
        | {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": url}
        | {
            "PIP_RETRIES": "1",
            "PIP_TRUSTED_HOST": "127.0.0.1",  # or pip keeps nothing in its cache that did not come by https
            "PIP_RESUME_RETRIES": "1",
        }
    )


def running() -> Iterator[tuple[int, str]]:
    """Numbers and command lines of this machine's processes."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(folder.name), (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
