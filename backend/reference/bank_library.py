"""The reference's gesture bank as a gesture library: its codes decoded, brought in as any folder of BVH is.

An entry is the middle of a gesture, without a way from and to rest; the import adds those, finds the stroke, and takes
the texts that choose a gesture from our inventory, whose ids are the bank's.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from backend.models.weights import Weights
from backend.motion.rhythm import decode
from backend.reference.bank import load_bank
from sg_blender_addon.core.bvh import write_bvh
from sg_blender_addon.core.progress import Progress
from SG_dataset.importing.report import ImportReport
from SG_dataset.importing.run import SEG_LICENCE, import_folder
from SG_dataset.open import open_library

FOLDER = "gestures"  # in the weights folder, beside the bank


def write_bank_library(folder: Path, progress: Progress | None = None) -> ImportReport:
    """Decode the bank of a weights folder into the library `folder`/gestures; returns what became of each entry.

    UserError where not one of its entries can be used.
    """
    bank, weights = load_bank(folder), Weights.load(folder)
    labels = {gesture.id: gesture.label for gesture in open_library("starter").gestures.values()}
    ids = sorted({gesture_id for gesture_id, _ in bank})
    mapping = {
        "name": "gesture bank",
        "licence": SEG_LICENCE,
        "source": "the gesture bank of the reference's release, decoded",
        "gestures": [{"id": i, "label": labels.get(i, f"GESTURE {i}"), "files": [f"{i}-*"]} for i in ids],
    }
    with tempfile.TemporaryDirectory(prefix="bank-") as place:
        (Path(place) / "bvh").mkdir()
        for (gesture_id, number), codes in bank.items():
            write_bvh(decode(weights, codes), Path(place) / "bvh" / f"{gesture_id}-{number}.bvh")
        (Path(place) / "bank.json").write_text(json.dumps(mapping), "utf-8")
        return import_folder(Path(place) / "bvh", folder / FOLDER, Path(place) / "bank.json", progress, workers=0)
