"""Every code that a `UserError` may carry: what it means, and the status with which the HTTP server answers it.

The one registry: the server's statuses, the table in docs/protocol.md and the tests read it. A code is part of the
protocol: scripts decide by it, so it may be added but is not renamed without a word in the changelog.
"""

from __future__ import annotations

from typing import NamedTuple


class ErrorCode(NamedTuple):
    """A code's HTTP status and its meaning, a phrase without a full stop."""

    status: int
    meaning: str


def _codes(status: int, meanings: dict[str, str]) -> dict[str, ErrorCode]:
    return {code: ErrorCode(status, meaning) for code, meaning in meanings.items()}


REQUESTS = {
    **_codes(
        400,
        {
            "bad_request": "the request is no JSON object of the stated form",
            "bad_settings": "a setting has a wrong name, type or value",
            "bad_checksum": "an upload's bytes do not have the SHA-256 of its address",
            "bad_motion_data": "a motion on the wire is damaged or of impossible size",
        },
    ),
    **_codes(401, {"unauthorized": "the token is missing or wrong"}),
    **_codes(403, {"bad_host": "the Host header names neither this machine nor an allowed host"}),
    **_codes(
        404,
        {
            "not_found": "there is no such route",
            "unknown_job": "there is no such job, or it was forgotten",
            "unknown_audio": "the recording has not been uploaded, or it was forgotten",
            "unknown_gesture": "the library has no such gesture or variant",
            "library_missing": "there is no gesture library at the place that was named",
            "no_preview": "the library has no picture of the gesture",
        },
    ),
    **_codes(405, {"method_not_allowed": "the route does not know this method"}),
    **_codes(409, {"not_done": "the job has no result yet"}),
    **_codes(413, {"too_large": "a request, a file or a list is over its limit"}),
    **_codes(429, {"busy": "as many jobs as may are waiting already"}),
    **_codes(500, {"internal": "a bug; the details belong into a report"}),
    **_codes(507, {"disk": "there is no room for temporary files"}),
}
"""What a request may be answered with at once."""

SPEECH = _codes(
    400,
    {
        "audio_not_found": "there is no such recording, or the strip's file is gone",
        "audio_unreadable": "the recording's format is not known or the file is no recording",
        "audio_unsupported": "the recording is of a kind that needs something that is not installed",
        "audio_broken": "the recording is damaged",
        "audio_no_track": "the film has no sound",
        "audio_empty": "the recording holds no samples",
        "audio_range": "the chosen part of the recording is empty",
        "audio_too_short": "the recording is too short for a movement",
        "audio_too_long": "the recording is longer than the limit",
        "bad_features": "the audio features are of a wrong shape or not finite",
        "bad_script": "the file is no script",
        "script_not_found": "the script cannot be read",
        "script_not_text": "the script is no text",
        "script_too_large": "the script is over its limit",
        "script_empty": "the script holds no words",
        "recogniser_missing": "the recogniser's model is not installed",
        "no_speech": "there are no recordings to prepare",
    },
)

GESTURES = _codes(
    400,
    {
        "library_broken": "the gesture library is damaged",
        "library_version": "the gesture library was built by another version",
        "not_learned": "the chooser has not been fitted to this library",
        "broken_embedder": "the text encoder's files are damaged",
        "llm_url": "the address of the language model is not usable",
        "no_llm": "no language model is named",
        "bad_notation": "a gesture file breaks the notation",
        "bad_list": "the inventory's spreadsheet cannot be read",
        "bad_mapping": "an import's mapping file or table is wrong",
        "unknown_skeleton": "a motion file's joints are not those of a person that we know",
        "bad_length": "a clip is too short or too long for a gesture",
        "no_movement": "nothing moves in a clip",
        "not_converted": "a clip could not be converted",
        "nothing_usable": "no clip of a folder could be used",
        "worker_lost": "a working process died",
    },
)

MODELS = _codes(
    400,
    {
        "no_weights": "there are no weights at the place that was named",
        "bad_weights": "the weights are damaged or of another version",
        "bad_reference_file": "a file of the reference's release is not what it should be",
        "no_gpu": "the GPU that was asked for is not there",
        "bench_failed": "a measurement failed",
        "memory": "the computer ran out of memory",
        "bad_recipe": "a training recipe is wrong",
        "no_data": "there is no prepared training data of the kind that is needed",
        "measuring_only": "a motion set is for measuring and must not be trained on",
        "no_checkpoint": "there is no checkpoint to go on from",
        "diverged": "the training diverged",
    },
)

FILES = _codes(
    400,
    {
        "file_not_found": "a file or folder that was named is not there or cannot be read",
        "cannot_write": "a file cannot be written where it was asked for",
        "unknown_format": "the ending of a file's name names no format that we write",
        "too_long_for_gif": "the performance is too long for a GIF",
        "bad_manifest": "a table, report or page is not of the form that is needed",
        "bad_bvh": "a BVH file is damaged",
        "several_roots": "a BVH file holds more than one skeleton",
        "no_motion": "a folder holds no motion that can be used",
        "missing_package": "a Python package that is needed is not installed",
    },
)

BACKEND = _codes(
    400,
    {
        "backend_missing": "no backend is set up",
        "backend_broken": "the backend's environment does not work",
        "backend_start": "the backend did not start",
        "backend_crashed": "the backend died while it worked",
        "backend_failed": "the backend answered with an error or with nonsense",
        "backend_timeout": "the backend did not answer in time",
        "backend_unreachable": "no backend answers at this address",
        "not_a_backend": "something else answers at this address",
        "bad_url": "the backend's address is not one",
        "bad_token": "the token that the server was given is not usable",
        "port_in_use": "the server's port is taken",
        "offline": "Blender's online access is off and the work would need it",
        "extension_broken": "the extension's own files are damaged",
        "bad_python": "the Python that was named cannot be used",
        "no_venv": "no virtual environment could be made",
        "environment_in_use": "the backend's environment is in use",
        "folder_unwritable": "the set-up's folder cannot be written",
        "disk_full": "there is no room for the set-up",
        "no_network": "the package index cannot be reached",
        "proxy": "a proxy does not let the set-up through",
        "certificate": "the package index's certificate is not trusted",
        "package_changed": "a package that was downloaded has a wrong checksum",
        "no_package": "the package index, or folder of wheels, lacks a package",
        "no_wheels": "the folder of wheels is not there",
        "no_torch": "PyTorch does not exist for this kind of computer",
        "no_small_torch": "PyTorch's CPU build was not found",
        "file_held": "another program holds a file of the set-up",
        "long_path": "paths would get too long for Windows",
        "setup_elsewhere": "another Blender is setting up the backend",
        "pip_failed": "the installer failed",
        "timeout": "a step of the set-up took too long",
        "cancelled": "the user cancelled the work",
    },
)

SCENE = _codes(
    400,
    {
        "no_character": "no character is chosen",
        "not_armature": "the chosen object is no armature",
        "linked_armature": "the armature is linked from another file",
        "control_rig": "the armature's bones are driven by a control rig",
        "no_mappable_bones": "too few bones could be read as a person's",
        "no_strip": "the sound strip is not there or not chosen",
        "strip_empty": "the sound strip plays nothing",
        "strip_changed": "the sound strip was changed during the work",
        "no_mixdown": "this Blender cannot write the strip's sound",
        "fps_changed": "the scene's frame rate was changed",
        "target_gone": "something that the work was for was removed meanwhile",
        "target_changed": "something that the work was for was changed meanwhile",
        "no_performance": "the character has no performance of ours",
        "take_missing": "the recorded result of a performance is gone",
        "take_differs": "a performance was made for another voice",
        "no_gesture": "no gesture is chosen",
        "not_our_strip": "the strip is none of ours",
        "no_word": "the gesture has no word to go to",
        "word_taken": "the word has a gesture already",
        "no_room": "another strip lies there",
        "no_change": "there is nothing to blend again",
        "no_range": "no range of frames is chosen",
        "no_list": "the list of gestures has not arrived yet",
        "one_variant": "the gesture has no other variant",
        "motion_too_short": "the motion is too short to be used",
        "segment_outside": "a gesture does not lie within the performance",
    },
)

GENERAL = _codes(400, {"error": "no code of its own"})

SECTIONS: dict[str, dict[str, ErrorCode]] = {
    "Requests": REQUESTS,
    "Speech and scripts": SPEECH,
    "Gestures and libraries": GESTURES,
    "Models and training": MODELS,
    "Files": FILES,
    "The backend and its set-up": BACKEND,
    "Blender's scene": SCENE,
    "Anything else": GENERAL,
}

CODES: dict[str, ErrorCode] = {code: entry for section in SECTIONS.values() for code, entry in section.items()}


def status(code: str) -> int:
    """The HTTP status for a code; 400 for one that is not ours (a language model's server may have its own)."""
    return CODES[code].status if code in CODES else 400
