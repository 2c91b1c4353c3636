"""What a failed child process of the set-up means to the person who pressed the button: one sentence, what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import UserError

AGAIN = "press 'Set up backend' again: it goes on where it stopped"
DETAIL_LINES = 40

_SIGNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("disk_full", (
        "No space left on device", "WinError 112", "Errno 28]", "not enough space on the disk", "Disk quota exceeded",
    )),
    ("package_changed", ("DO NOT MATCH THE HASHES",)),
    ("proxy", ("ProxyError", "Cannot connect to proxy", "Tunnel connection failed", "Proxy Authentication Required")),
    ("certificate", ("CERTIFICATE_VERIFY_FAILED", "SSLCertVerificationError")),
    ("no_network", (
        "NewConnectionError", "ConnectionError", "Temporary failure", "timed out", "getaddrinfo failed",
        "IncompleteRead",
        "Connection broken", "Connection aborted", "Connection reset", "RemoteDisconnected", "Max retries exceeded",
        "incomplete-download", "NameResolutionError", "dns error", "error sending request",
    )),
    ("folder_unwritable", ("Read-only file system",)),
    ("file_held", ("PermissionError", "Permission denied", "WinError 5]", "WinError 32", "Access is denied")),
    ("no_package", ("No matching distribution found", "not a supported wheel")),
)  # fmt: skip
"""What the lines of a failed pip (or uv) have in them, the surest signs first."""


def kind_of(text: str) -> str:
    """The code of the first kind of failure whose signs a program's output has, `pip_failed` if it has none."""
    return next((kind for kind, signs in _SIGNS if any(sign in text for sign in signs)), "pip_failed")


def failure(lines: Sequence[str], log_path: Path, folder: Path) -> UserError:
    """What a failed run means to the person who pressed the button."""
    text = "\n".join(lines)
    kind = kind_of(text)
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = (errors[-1] if errors else (lines[-1] if lines else "it said nothing"))[:300]
    missing = re.search(r"No matching distribution found for (\S+)", text)
    error = {
        "disk_full": disk_full(folder),
        "package_changed": UserError(
            "A package that came is not the one that was asked for; it was not installed.",
            f"A proxy or a mirror may have changed it. Try another network and {AGAIN}.",
            "package_changed",
        ),
        "proxy": UserError(
            "The proxy does not let the packages through.",
            f"Check the proxy in HTTPS_PROXY or in pip's configuration, restart Blender and {AGAIN}.",
            "proxy",
        ),
        "certificate": UserError(
            "The package index's certificate is not trusted.",
            f"A firewall may put its own in between: name it in PIP_CERT, restart Blender and {AGAIN}.",
            "certificate",
        ),
        "no_network": UserError(
            "There is no connection to the package index.", f"Check the internet connection and {AGAIN}.", "no_network"
        ),
        "folder_unwritable": unwritable(folder, "read-only file system"),
        "file_held": UserError(
            "A file of the backend is held by another program, or may not be written.",
            f"Close other Blenders, keep virus scanners out of {folder} and {AGAIN}.",
            "file_held",
        ),
        "no_package": UserError(
            f"There is no {missing[1] if missing else 'package'} for this machine where packages are looked for.",
            "A mirror or folder of wheels may lack it: ask who keeps it, or use the public index.",
            "no_package",
        ),
    }.get(kind) or UserError(
        f"The backend's packages could not be installed: {reason}", f"The log is at {log_path}", "pip_failed"
    )
    error.details = "\n".join(lines[-DETAIL_LINES:])
    return error


def unwritable(folder: Path, reason: str) -> UserError:
    """A folder that takes no files."""
    return UserError(
        f"The folder for the backend cannot be written: {reason}.",
        f"Allow yourself to write to {folder} and {AGAIN}.",
        "folder_unwritable",
    )


def disk_full(folder: Path) -> UserError:
    """No room for what is being written."""
    return UserError("The disk is full.", f"Make room on the disk of {folder} and {AGAIN}.", "disk_full")
