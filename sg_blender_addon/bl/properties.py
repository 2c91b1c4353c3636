"""What belongs to a scene: `scene.gesticulator`, saved with the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import bpy

from . import compat, sound_strips
from .manner import MannerProperties
from .preferences import RETRIEVERS
from .rna import Rows, add_property, present

LANGUAGES = (
    ("AUTO", "Detect", "Let the speech model find out"),
    ("en", "English", ""),
    ("de", "German", ""),
    ("fr", "French", ""),
    ("es", "Spanish", ""),
    ("it", "Italian", ""),
    ("pt", "Portuguese", ""),
    ("nl", "Dutch", ""),
    ("pl", "Polish", ""),
    ("sv", "Swedish", ""),
    ("tr", "Turkish", ""),
    ("ru", "Russian", ""),
    ("ar", "Arabic", ""),
    ("hi", "Hindi", ""),
    ("zh", "Chinese", ""),
    ("ja", "Japanese", ""),
    ("ko", "Korean", ""),
)
BLENDS = (
    ("auto", "Automatic", "Per gesture: through the model where that does its hands no harm, else its exact motion"),
    ("motion", "Exact motion", "The recorded gesture joint by joint, with its transitions calculated"),
    ("codes", "Through the model", "As the published method: the model makes the transitions, and simplifies fingers"),
)

_jumping = True


@contextmanager
def no_jump() -> Iterator[None]:
    """While the list is filled, its active row changes without a click: the play head stays."""
    global _jumping  # noqa: PLW0603 - an update function gets no other hint of who changed the property
    _jumping = False
    try:
        yield
    finally:
        _jumping = True


def _is_armature(_settings: GesticulatorSettings, candidate: bpy.types.Object) -> bool:
    return candidate.type == "ARMATURE"


def _voice_names(settings: GesticulatorSettings, _context: bpy.types.Context, typed: str) -> Iterator[str]:
    names = (strip.name for strip in sound_strips.sound_strips(settings.id_data))
    return (name for name in names if typed.lower() in name.lower())


def _jump_to_word(settings: GesticulatorSettings, context: bpy.types.Context) -> None:
    """A click on a row of the list moves the play head to the word."""
    if _jumping and 0 <= settings.word_index < len(settings.words):
        present(context.scene).frame_set(round(settings.frame_of(settings.words[settings.word_index].start)))


class GesticulatorWord(bpy.types.PropertyGroup):
    """A spoken word; seconds from the beginning of the voice."""

    start: Annotated[float, bpy.props.FloatProperty(unit="TIME_ABSOLUTE")]
    end: Annotated[float, bpy.props.FloatProperty(unit="TIME_ABSOLUTE")]


class GesticulatorSettings(MannerProperties, bpy.types.PropertyGroup):
    character: Annotated[
        bpy.types.Object | None,
        bpy.props.PointerProperty(
            name="Character",
            type=bpy.types.Object,
            poll=_is_armature,
            description="Armature of the character that speaks",
        ),
    ]
    voice: Annotated[
        str,
        bpy.props.StringProperty(
            name="Voice",
            description="Sound strip of the sequencer that is spoken. Empty: the only one there is",
            search=_voice_names,
            search_options={"SUGGESTION"},
        ),
    ]
    script: Annotated[
        bpy.types.Text | None,
        bpy.props.PointerProperty(
            name="Script",
            type=bpy.types.Text,
            description="What is said, as plain text or subtitles (name ending in .srt or .vtt). "
            "Makes word times exact. Empty: the voice is transcribed",
        ),
    ]
    language: Annotated[
        str, bpy.props.EnumProperty(name="Language", items=LANGUAGES, default="en", description="Language spoken")
    ]
    intensity: Annotated[
        float,
        bpy.props.FloatProperty(
            name="Intensity",
            default=1.0,
            min=0.0,
            max=2.0,
            soft_max=1.5,
            subtype="FACTOR",
            description="How large the movements are. 1: as learned; 0: as good as still",
        ),
    ]
    density: Annotated[
        float,
        bpy.props.FloatProperty(
            name="Gesture density",
            default=0.5,
            min=0.0,
            max=1.0,
            subtype="FACTOR",
            description="How many words get a gesture that shows their meaning",
        ),
    ]
    seed: Annotated[
        int,
        bpy.props.IntProperty(
            name="Seed", default=0, min=0, description="The same seed gives the same performance again; try others"
        ),
    ]
    retriever: Annotated[
        str,
        bpy.props.EnumProperty(
            name="Gestures chosen by",
            items=(("DEFAULT", "As in the preferences", "What the add-on's preferences say"), *RETRIEVERS),
            default="DEFAULT",
        ),
    ]
    blend: Annotated[
        str,
        bpy.props.EnumProperty(
            name="Gestures blended",
            items=BLENDS,
            default="auto",
            description="How a gesture is laid over the movement that follows the rhythm",
        ),
    ]
    exact: Annotated[
        bool,
        bpy.props.BoolProperty(
            name="Exact mode", description="Slower: the schedule of the published method, without approximations"
        ),
    ]
    set_range: Annotated[
        bool,
        bpy.props.BoolProperty(
            name="Set frame range", default=True, description="Make the scene's frame range cover the voice"
        ),
    ]
    words: Annotated[Rows[GesticulatorWord], bpy.props.CollectionProperty(type=GesticulatorWord)]
    word_index: Annotated[int, bpy.props.IntProperty(update=_jump_to_word, options={"SKIP_SAVE"})]
    voice_frame: Annotated[
        float, bpy.props.FloatProperty(description="Scene frame of the last result's second 0", default=1.0)
    ]

    def frame_of(self, seconds: float) -> float:
        """Scene frame of a time of the last result."""
        return self.voice_frame + seconds * compat.scene_fps(self.id_data)


def settings(scene: bpy.types.Scene | None) -> GesticulatorSettings:
    """The settings of a context's scene."""
    return present(scene).gesticulator  # type: ignore[attr-defined]  # see register()


def register() -> None:
    add_property(bpy.types.Scene, "gesticulator", GesticulatorSettings)


def unregister() -> None:
    delattr(bpy.types.Scene, "gesticulator")


CLASSES: tuple[type, ...] = (GesticulatorWord, GesticulatorSettings)
