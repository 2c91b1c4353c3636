from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sg_blender_addon.client.connection import BackendChoice, Connection
from sg_blender_addon.client.process import ServeCommand

SMALL_SERVER = Path(__file__).parent / "small_server"


@pytest.fixture
def serve(tmp_path: Path) -> ServeCommand:
    """The command that starts the small server, with a log folder of its own."""
    return ServeCommand(Path(sys.executable), SMALL_SERVER, tmp_path / "logs")


@pytest.fixture
def choice(serve: ServeCommand) -> BackendChoice:
    return BackendChoice(serve=serve)


@pytest.fixture
def connection() -> Iterator[Connection]:
    opened = Connection()
    yield opened
    opened.stop()
