"""What belongs to the machine and not to a scene: where the backend is, which models it uses."""

from __future__ import annotations

from typing import Annotated

import bpy

from ..client import environment, locks, pythons
from . import backend_settings, job_runner
from .reports import draw_operator, draw_text, panel_width
from .rna import Icon, present

STATE_TEXTS: dict[str, tuple[str, Icon]] = {
    environment.MISSING: ("No backend yet: press 'Set up backend' once", "INFO"),
    environment.INCOMPLETE: ("The set-up is not complete: press the button, it goes on where it stopped", "ERROR"),
    environment.OUTDATED: ("The add-on was updated: press the button to update the backend too", "INFO"),
    environment.READY: ("The backend is set up", "CHECKMARK"),
}

RETRIEVERS = (
    ("embedded", "Built in", "Choose gestures by the meaning of the words, on this machine, without any service"),
    ("openai", "Language model", "Ask a language model behind an OpenAI-compatible address (vLLM, llama.cpp, ...)"),
    ("off", "Off", "No semantic gestures: only the movement that follows the rhythm of speech"),
)


class GesticulatorPreferences(bpy.types.AddonPreferences):
    bl_idname = backend_settings.PACKAGE

    backend_mode: Annotated[
        str,
        bpy.props.EnumProperty(
            name="Backend",
            items=(
                ("OWN", "On this machine", "The add-on starts the backend when it is needed and ends it with Blender"),
                ("URL", "At an address", "Use a backend that somebody has started, here or on another machine"),
            ),
            default="OWN",
        ),
    ]
    python_path: Annotated[
        str,
        bpy.props.StringProperty(
            name="Own Python",
            description="Python of an environment that can run the backend. Empty: the one that was set up here",
            subtype="FILE_PATH",
        ),
    ]
    base_python: Annotated[
        str,
        bpy.props.StringProperty(
            name="Make it from",
            description=f"64-bit Python {pythons.versions_text(pythons.supported())} to make the environment from. "
            "Empty: Blender's own where it fits, else one that is installed, else one is fetched",
            subtype="FILE_PATH",
        ),
    ]
    small_torch: Annotated[
        bool,
        bpy.props.BoolProperty(
            name="Small PyTorch",
            description="Linux: PyTorch's CPU build instead of the usual one with NVIDIA's CUDA. It comes from "
            "PyTorch's own index, or from the place below",
        ),
    ]
    torch_source: Annotated[
        str,
        bpy.props.StringProperty(
            name="It comes from",
            description="Folder of wheels, or address of a package index, that has PyTorch's CPU build. Empty: "
            "PyTorch's own index",
        ),
    ]
    wheels_folder: Annotated[
        str,
        bpy.props.StringProperty(
            name="Folder of wheels",
            description="Install from this folder, without any network. Empty: from the package index",
            subtype="DIR_PATH",
        ),
    ]
    url: Annotated[str, bpy.props.StringProperty(name="Address", description="For example http://127.0.0.1:8765")]
    token: Annotated[
        str,
        bpy.props.StringProperty(
            name="Token", description="What 'python -m backend serve' printed when it started", subtype="PASSWORD"
        ),
    ]
    engine: Annotated[
        str,
        bpy.props.EnumProperty(
            name="Transcription",
            items=(
                ("faster-whisper", "faster-whisper", "Fast on a CPU"),
                ("openai-whisper", "openai-whisper", "The original implementation; has to be installed in addition"),
            ),
        ),
    ]
    whisper_model: Annotated[
        str,
        bpy.props.StringProperty(
            name="Speech model",
            description="Name of a Whisper model (tiny.en, base, small, ...) or its folder. Empty: the small one "
            "that is installed with the backend. Others are downloaded once",
        ),
    ]
    retriever: Annotated[
        str,
        bpy.props.EnumProperty(
            name="Gestures chosen by", items=RETRIEVERS, description="How words find their gestures in new scenes"
        ),
    ]
    llm_url: Annotated[
        str,
        bpy.props.StringProperty(
            name="Language model", description="OpenAI-compatible address, for example http://127.0.0.1:8000/v1"
        ),
    ]
    llm_model: Annotated[
        str, bpy.props.StringProperty(name="Its name", description="Name of the model that the address serves")
    ]
    llm_key: Annotated[
        str, bpy.props.StringProperty(name="Its key", description="API key, if it wants one", subtype="PASSWORD")
    ]
    weights: Annotated[
        str,
        bpy.props.StringProperty(
            name="Weights", description="Folder of model weights. Empty: the starter weights", subtype="DIR_PATH"
        ),
    ]
    library: Annotated[
        str,
        bpy.props.StringProperty(
            name="Gesture library",
            description="Folder of a gesture library of your own. With +starter behind it, ours supplies what yours "
            "lacks. Empty: ours alone",
            subtype="DIR_PATH",
        ),
    ]
    cache_folder: Annotated[
        str,
        bpy.props.StringProperty(
            name="Cache",
            description="Folder for downloaded speech models. Empty: where such models usually go",
            subtype="DIR_PATH",
        ),
    ]

    def draw(self, context: bpy.types.Context) -> None:
        layout = present(self.layout)
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(self, "backend_mode", expand=True)
        if self.backend_mode == "URL":
            layout.prop(self, "url")
            layout.prop(self, "token")
        else:
            self._draw_own(context, layout)
        self._draw_models(layout)

    def _draw_own(self, context: bpy.types.Context, layout: bpy.types.UILayout) -> None:
        width = panel_width(context)
        job = job_runner.state(context)
        if not self.python_path.strip():
            draw_text(layout, *_state_line(width))
            if job.running and job.kind == "setup":
                job_runner.draw_progress(layout, job)
            else:
                draw_text(layout, backend_settings.download_text(), width, icon="BLANK1")
                draw_operator(
                    layout,
                    context,
                    "gesticulator.setup_backend",
                    width,
                    lambda row: row.operator("gesticulator.remove_backend", text="", icon="TRASH"),
                    icon="IMPORT",
                )
            job_runner.draw_error(layout, job, width, only="setup")
            layout.prop(self, "wheels_folder")
            if locks.brings_cuda(backend_settings.ROOT) and not self.wheels_folder.strip():
                layout.prop(self, "small_torch")
                if self.small_torch:
                    layout.prop(self, "torch_source")
            layout.prop(self, "base_python")
        layout.prop(self, "python_path")

    def _draw_models(self, layout: bpy.types.UILayout) -> None:
        column = layout.column(heading="Models")
        column.prop(self, "engine")
        column.prop(self, "whisper_model")
        column.prop(self, "retriever")
        column.prop(self, "llm_url")
        column.prop(self, "llm_model")
        column.prop(self, "llm_key")
        column.prop(self, "weights")
        column.prop(self, "library")
        column.prop(self, "cache_folder")


def _state_line(width: int) -> tuple[str, int, Icon]:
    text, icon = STATE_TEXTS[environment.state(backend_settings.backend_folder(), backend_settings.ROOT)]
    return text, width, icon


CLASSES: tuple[type, ...] = (GesticulatorPreferences,)
