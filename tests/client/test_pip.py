"""pip's lines, and what its failures mean: the sentences of a real pip where one can be had."""

from __future__ import annotations

import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sg_blender_addon.client import failures
from sg_blender_addon.client.job import Control
from sg_blender_addon.client.pip import Downloading, Pip, Unpacking, tree_bytes, unpacked_bytes
from sg_blender_addon.core.errors import UserError

from .wheelhouse import Index, pip_environment, wheel


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    offered = Index()
    for name, value in pip_environment(offered.url).items():
        monkeypatch.setenv(name, value)
    yield offered
    offered.close()


@pytest.fixture
def pip(tmp_path: Path) -> Pip:
    return Pip(Path(sys.executable), tmp_path, tmp_path / "log")


def fetch(pip: Pip, *names: str) -> None:
    pip(["download", "--no-deps", "--no-cache-dir", "--dest", str(pip.folder / "wheels"), *names], Control())


def refused(pip: Pip, *names: str) -> UserError:
    with pytest.raises(UserError) as caught:
        fetch(pip, *names)
    assert caught.value.details, "what pip said is for the bug report"
    assert caught.value.hint
    return caught.value


def test_bytes_of_a_real_download(index: Index, pip: Pip, tmp_path: Path) -> None:
    content = wheel("large", files={"large.bin": bytes(3_000_000)})
    index.add("large", content=content)
    seen = Downloading()
    sizes: list[int] = []

    def take(line: str) -> None:
        seen.feed(line)
        sizes.append(seen.bytes)

    command = ["download", "--no-deps", "--progress-bar=raw", "--cache-dir", str(tmp_path / "cache"), "--dest"]
    pip([*command, str(tmp_path / "one"), "large"], Control(), take)
    assert (seen.package, sizes[-1]) == ("large", len(content))
    assert sizes == sorted(sizes)
    assert sizes[0] == 0
    again = Downloading()
    pip([*command, str(tmp_path / "two"), "large"], Control(), again.feed)
    assert again.bytes == pytest.approx(len(content), rel=0.05), "out of the cache, and its size is rounded"
    assert index.fetched == ["large-1.0-py3-none-any.whl"]
    assert "Progress" not in (tmp_path / "log").read_text()


def test_metadata_does_not_count_and_a_retry_is_told() -> None:
    seen = Downloading()
    for line in (
        "Collecting torch==2.13.0 (from -r group.txt (line 1))",
        "  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl.metadata (30 kB)",
        "Progress 30000 of 30000",
        "Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (190.0 MB)",
        "Progress 0 of 191000000",
        "Progress 95000000 of 191000000",
    ):
        seen.feed(line)
    assert (seen.package, seen.bytes) == ("torch", 95_000_000)
    seen.feed("WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'")
    assert seen.retrying
    seen.feed("Progress 96000000 of 191000000")
    assert not seen.retrying
    seen.feed("Using cached huggingface_hub-1.0-py3-none-any.whl (2.5 MB)")
    assert (seen.package, seen.bytes) == ("huggingface-hub", 193_500_000)


def test_what_a_wheel_becomes_and_how_far_it_is(tmp_path: Path) -> None:
    content = wheel("alpha", files={"alpha.py": b"x" * 5000})
    (tmp_path / "alpha-1.0-py3-none-any.whl").write_bytes(content)
    whole = unpacked_bytes(tmp_path / "alpha-1.0-py3-none-any.whl")
    assert whole > 5000
    site = tmp_path / "site"
    (site / "pip" / "__pycache__").mkdir(parents=True)
    (site / "pip" / "a.py").write_bytes(b"1" * 100)
    (site / "pip" / "__pycache__" / "a.pyc").write_bytes(b"1" * 100)
    assert tree_bytes(site) == 100
    seen = Unpacking(site, tmp_path)
    seen.feed("Processing ./alpha-1.0-py3-none-any.whl (from -r backend.txt (line 2))")
    assert (seen.total, seen.bytes) == (whole, 0)
    seen.feed("Installing collected packages: alpha")
    (site / "alpha.py").write_bytes(b"x" * 5000)
    assert seen.bytes == 5000
    assert unpacked_bytes(tmp_path / "nothing.whl") == 0


def test_nobody_answers(index: Index, pip: Pip) -> None:
    index.add("alpha")
    index.close()
    assert refused(pip, "alpha").code == "no_network"


class _Refusing(socketserver.StreamRequestHandler):
    """A proxy that lets nobody through."""

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")


def test_a_proxy_that_refuses(index: Index, pip: Pip, monkeypatch: pytest.MonkeyPatch) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refusing) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.server_address[1]}")
        monkeypatch.setenv("PIP_INDEX_URL", "https://index.invalid/simple")
        error = refused(pip, "alpha")
        proxy.shutdown()
    assert error.code == "proxy"
    assert "HTTPS_PROXY" in error.hint


def test_a_package_that_nobody_has(index: Index, pip: Pip) -> None:
    error = refused(pip, "alpha==7")
    assert error.code == "no_package"
    assert error.message == "There is no alpha==7 for this machine where packages are looked for."


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk_full"),
        ("OSError: [WinError 112] There is not enough space on the disk", "disk_full"),
        ("PermissionError: [WinError 32] The process cannot access the file because it is being used", "file_held"),
        ("ERROR: Could not install packages due to an OSError: [Errno 30] Read-only file system", "folder_unwritable"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", "certificate"),
        ("socket.gaierror: [Errno 11001] getaddrinfo failed", "no_network"),
        ("ERROR: something new", "pip_failed"),
    ],
)
def test_what_lines_mean(line: str, code: str, tmp_path: Path) -> None:
    error = failures.failure(["Collecting torch", line], tmp_path / "log", tmp_path)
    assert error.code == code
    assert error.message.endswith(".") or code == "pip_failed"
    assert line in error.details
