from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sg_blender_addon.client.api import Api, checked_url, is_loopback
from sg_blender_addon.client.connection import BackendChoice, Connection
from sg_blender_addon.core import wire
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical


@pytest.fixture
def api(connection: Connection, choice: BackendChoice) -> Iterator[Api]:
    opened = connection.open(choice)
    yield opened
    opened.close()


def test_health(api: Api) -> None:
    assert api.health()["version"] == "0.0-small"


def test_the_same_file_and_bytes_have_one_digest(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(b"abc" * 1000)
    assert api.upload_audio(path) == api.upload_audio(path.read_bytes())


def test_a_file_that_is_gone(api: Api, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read") as caught:
        api.upload_audio(tmp_path / "gone.wav")
    assert caught.value.code == "audio_unreadable"


def test_the_servers_own_error_is_passed_on(api: Api) -> None:
    with pytest.raises(UserError, match="The audio is not here") as caught:
        api.submit("0" * 64, {})
    assert (caught.value.code, caught.value.hint) == ("unknown_audio", "Upload it.")


def test_a_wrong_token(api: Api) -> None:
    with pytest.raises(UserError, match="refused the token") as caught:
        Api(api.url, "wrong").health()
    assert caught.value.code == "unauthorized"


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(UserError, match="cannot be reached") as caught:
            Api(f"http://127.0.0.1:{port}", "t").health()
    assert caught.value.code == "backend_unreachable"


def test_something_else_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        import threading

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(UserError, match="not a gesture backend"):
            Api(f"http://127.0.0.1:{server.getsockname()[1]}", "t").health()
        thread.join()


def test_a_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sg_blender_addon.client.api.READ_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        api = Api(f"http://127.0.0.1:{server.getsockname()[1]}", "t")
        with pytest.raises(UserError, match="in time") as caught:
            api._send("GET", "/v1/health", read_timeout=0.2)
    assert caught.value.code == "backend_timeout"


@pytest.mark.parametrize("url", ["", "   ", "http://", "ftp://x", "http://[", "http://host:99999"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UserError, match="not the address"):
        checked_url(url)


def test_addresses_are_tidied() -> None:
    assert checked_url(" 127.0.0.1:8765/ ") == "http://127.0.0.1:8765"


def test_loopback() -> None:
    assert is_loopback("http://localhost:1/")
    assert is_loopback("http://[::1]:8/v1")
    assert not is_loopback("http://127.0.0.1.evil.example/")


def test_a_proxy_never_sees_loopback_calls(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert Api(api.url, api._session.headers["Authorization"].removeprefix("Bearer ")).health()


@pytest.mark.parametrize(("function", "said"), [("write", "cannot be written"), ("unpack", "cannot be kept")])
def test_a_full_disk_is_one_sentence(api: Api, monkeypatch: pytest.MonkeyPatch, function: str, said: str) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    rest = Motion.rest(canonical(), 31, 30.0)
    meta = {"fps": rest.fps, "skeleton": rest.skeleton.to_json(), "segments": []}
    monkeypatch.setattr(wire, function, full)
    with pytest.raises(UserError, match=said) as caught:
        api.blend(meta, wire.motion_arrays("rhythm", rest))
    assert caught.value.code == "disk"
