"""The weights folder's JSON, read without torch: what the weights are, before any model is built."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from backend.models.audio_input import AudioInput
from backend.models.config import FPS, FRAMES_PER_TOKEN
from sg_blender_addon.core.errors import UserError

FORMAT = 1
DESCRIPTION = "weights.json"
STARTER = Path(__file__).resolve().parents[1] / "weights" / "starter"


def bad_weights(message: str, hint: str = "Get or make the weights again.") -> UserError:
    return UserError(message, hint, "bad_weights")


def folder_of(where: str | Path) -> Path:
    """ "starter" is the folder that comes with the project."""
    return STARTER if str(where) == "starter" else Path(where)


def read_description(where: Path) -> tuple[dict[str, Any], str]:
    """A weights folder's description and its sha256. Raises UserError for anything missing or not ours."""
    path = where / DESCRIPTION
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"There are no weights in {where} ({DESCRIPTION} cannot be read).",
            "Give the folder that the training or import-reference wrote, or leave the option out for the starter.",
            "no_weights",
        ) from error
    try:
        description = json.loads(data)
    except ValueError as error:
        raise bad_weights(f"The weights' description {path} is not valid JSON.") from error
    if not isinstance(description, dict) or not isinstance(description.get("models"), dict):
        raise bad_weights(f"The weights' description {path} does not describe any models.")
    if description.get("format") != FORMAT:
        found = description.get("format")
        raise bad_weights(f"The weights in {where} have format {found!r}; this version reads format {FORMAT}.")
    if description.get("fps") != FPS or description.get("frames_per_token") != FRAMES_PER_TOKEN:
        raise bad_weights(f"The weights in {where} were made for another frame rate than {FPS}.")
    return description, hashlib.sha256(data).hexdigest()


def audio_input_of(description: dict[str, Any]) -> AudioInput:
    """What the generators hear. Weights that say nothing hear everything, as the reference's do."""
    try:
        return AudioInput.from_json(description["audio_input"]) if "audio_input" in description else AudioInput()
    except ValueError as error:
        raise bad_weights(f"The weights' description has an audio_input that cannot be read ({error}).") from error
