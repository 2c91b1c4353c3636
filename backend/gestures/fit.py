"""Fit the embedded retriever to our own library, so that nobody waits for it: `python -m backend.gestures.fit`.

Part of `make library`. The result lies in `backend/fitted/` (made, not kept in the repository) and travels in the zip.
"""

from __future__ import annotations

import sys

from backend.gestures.classifier import SHIPPED, GestureClassifier
from sg_blender_addon.core.errors import UserError
from SG_dataset.open import open_library


def main() -> int:
    before = set(SHIPPED.glob("*.npz"))
    try:
        GestureClassifier(open_library("starter"), keep_in=SHIPPED)
    except UserError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command prints
        return 1
    made = set(SHIPPED.glob("*.npz")) - before
    for stale in before if made else ():
        stale.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
