"""Whisper's weights by name, for faster-whisper. Each name is one version, and its file is compared with its checksum.

The versions are commits of the repositories with converted weights (MIT) in which faster-whisper itself looks names up.
openai-whisper checks what it downloads itself; the packaged tiny.en is checked by pip, see locks/.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from sg_blender_addon.core.errors import UserError

WEIGHTS = "model.bin"


class Version(NamedTuple):
    """A commit, and the SHA-256 of its `model.bin`."""

    commit: str
    sha256: str


VERSIONS = {
    "tiny": Version(
        "d90ca5fe260221311c53c58e660288d3deb8d356", "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1"
    ),
    "tiny.en": Version(
        "0d3d19a32d3338f10357c0889762bd8d64bbdeba", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
    ),
    "base": Version(
        "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66", "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
    ),
    "base.en": Version(
        "3d3d5dee26484f91867d81cb899cfcf72b96be6c", "2a166925539a16005f14ff328359f9b9adb9dc4fb631bb3b227526862e93e2ef"
    ),
    "small": Version(
        "536b0662742c02347bc0e980a01041f333bce120", "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671"
    ),
    "small.en": Version(
        "d1d751a5f8271d482d14ca55d9e2deeebbae577f", "62b2a45b05ee59acb4a5341b33ee35e041395d378d418a18acfe4c9e768ee37a"
    ),
    "medium": Version(
        "08e178d48790749d25932bbc082711ddcfdfbc4f", "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae"
    ),
    "medium.en": Version(
        "a29b04bd15381511a9af671baec01072039215e3", "11b220779aea4c6f3ce9d2549c8a95ea869ed84066864b999531ef53e594fe5b"
    ),
    "large-v3": Version(
        "edaa852ec7e145841d8ffdb056a99866b5f0a478", "69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1"
    ),
    "large-v3-turbo": Version(
        "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf", "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da"
    ),
}
SAME = {"large": "large-v3", "turbo": "large-v3-turbo"}


def fetch(name: str) -> Path:
    """The folder with the weights of that name, downloaded unless they are in the hub's cache.

    UserError where the name is not known or the file is not what it should be; what the download raises passes through.
    """
    name = SAME.get(name, name)
    if name not in VERSIONS:
        raise UserError(
            f"There are no speech recognition weights called {name!r}.",
            f"Choose {', '.join(VERSIONS)}, or give a folder with weights.",
            "recogniser_missing",
        )
    from faster_whisper.utils import download_model

    version = VERSIONS[name]
    folder = Path(download_model(name, revision=version.commit))
    with (folder / WEIGHTS).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != version.sha256:
        raise UserError(
            f"The speech recognition weights {name!r} were damaged or changed on their way here.",
            f"Delete {folder} to have them downloaded again, or give a folder with weights.",
            "bad_weights",
        )
    return folder
