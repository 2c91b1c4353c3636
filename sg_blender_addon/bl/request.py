"""What Generate works on and asks for, as plain values from when the button was pressed; its data found again later."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from ..client.generation import GenerateRequest
from ..core.errors import UserError
from ..core.protocol import GenerateSettings
from ..core.timeline import Segment
from . import backend_settings, compat, manner, mapping, properties, rigs, sound_strips
from .backend_settings import BackendPreferences
from .nla import Where
from .rna import present
from .sound_strips import Voice
from .steps import find_by_uid, gone

SCRIPT_KINDS = {".srt": "srt", ".vtt": "vtt"}


@dataclass(frozen=True)
class GenerateTarget:
    """Names and session ids instead of pointers: data may be renamed, undone or gone while a job runs."""

    scene: str
    scene_uid: int
    character: str
    character_uid: int
    sequencer_scene_uid: int
    voice: Voice
    fps: float

    def find_scene(self) -> bpy.types.Scene:
        return find_by_uid(bpy.data.scenes, self.scene_uid, f"The scene '{self.scene}'")

    def find_character(self) -> bpy.types.Object:
        return find_by_uid(bpy.data.objects, self.character_uid, f"The character '{self.character}'")

    def find(self) -> Where:
        """All of it as it is now; UserError when it is not what it was when the job began."""
        scene, character = self.find_scene(), self.find_character()
        if compat.scene_fps(scene) != self.fps:
            raise UserError(
                "The scene's frame rate was changed while gestures were being made.", "Generate again.", "fps_changed"
            )
        self.check_voice()
        return Where(scene, character, mapping.of(character))

    def check_voice(self) -> None:
        """UserError when the strip is not what it was when the job began."""
        scene = next((s for s in bpy.data.scenes if s.session_uid == self.sequencer_scene_uid), None)
        strip = sound_strips.find(scene, self.voice.strip) if scene else None
        if scene is None or strip is None:
            raise gone(f"The sound strip '{self.voice.strip}'")
        if not sound_strips.is_still(self.voice, scene, strip):
            raise UserError(
                f"The sound strip '{strip.name}' was changed while its gestures were being generated.",
                "Generate again.",
                "strip_changed",
            )


def read_target(context: bpy.types.Context) -> GenerateTarget:
    """What the current scene has to offer; UserError when character or voice cannot be used."""
    scene = present(context.scene)
    settings = properties.settings(scene)
    character = settings.character
    problem = rigs.can_be_baked(character)
    if character is None or (problem is not None and not _mapped_by_hand(problem, character)):
        raise present(problem)
    problem = rigs.can_be_baked(character, mapping.of(character))
    if problem is not None:
        raise problem
    editing = sound_strips.editing_scene(context)
    voice = sound_strips.read_voice(editing, sound_strips.chosen(editing, settings.voice))
    return GenerateTarget(
        scene=scene.name,
        scene_uid=scene.session_uid,
        character=character.name,
        character_uid=character.session_uid,
        sequencer_scene_uid=editing.session_uid,
        voice=voice,
        fps=compat.scene_fps(scene),
    )


def _mapped_by_hand(problem: UserError, character: bpy.types.Object) -> bool:
    """Whether the user has said which bones are which, where detection failed."""
    return problem.code in ("no_mappable_bones", "control_rig") and mapping.saved(character)


def build_request(
    context: bpy.types.Context,
    target: GenerateTarget,
    locked: tuple[Segment, ...] = (),
    time_range: tuple[float, float] | None = None,
) -> GenerateRequest:
    """What to ask the backend for this target. Raises UserError for settings that cannot be."""
    settings, preferences = properties.settings(context.scene), backend_settings.preferences()
    retriever = preferences.retriever if settings.retriever == "DEFAULT" else settings.retriever
    backend = backend_settings.backend_choice()
    _check_llm(retriever, preferences)
    script, kind = _script(settings.script)
    start, end = time_range or (None, None)
    wanted = GenerateSettings(
        seed=settings.seed,
        fps=target.fps,
        intensity=settings.intensity,
        density=settings.density,
        manner=manner.chosen(settings),
        language="" if settings.language == "AUTO" else settings.language,
        retriever=retriever,
        llm_url=preferences.llm_url.strip() if retriever == "openai" else "",
        llm_model=preferences.llm_model.strip() if retriever == "openai" else "",
        llm_key=preferences.llm_key.strip() if retriever == "openai" else "",
        engine=preferences.engine,
        whisper_model=preferences.whisper_model.strip(),
        weights=backend_settings.weights(),
        library=backend_settings.library(),
        script=script,
        script_kind=kind,
        blend=settings.blend,
        exact=settings.exact,
        audio_start=target.voice.audio_start,
        audio_end=target.voice.audio_end,
        speed=target.voice.speed,
        range_start=start,
        range_end=end,
        locked=locked,
    )
    return GenerateRequest(backend, target.voice.audio, wanted)


def _script(text: bpy.types.Text | None) -> tuple[str, str]:
    if text is None:
        return "", "txt"
    ending = text.name[-4:].lower()
    return text.as_string(), SCRIPT_KINDS.get(ending, "txt")


def _check_llm(retriever: str, settings: BackendPreferences) -> None:
    if retriever != "openai":
        return
    if not settings.llm_url.strip():
        raise UserError(
            "No language model's address is given.",
            "Enter it in the add-on's preferences, or choose gestures with 'Built in'.",
            "no_llm",
        )
    if not backend_settings.stays_here(settings.llm_url):
        backend_settings.require_online("The language model is on another machine")
