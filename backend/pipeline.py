"""The order of the stages: a recording becomes a performance.

Everything that is not the motion itself may fail without taking the motion along: without words or semantics the
character still talks with its body, and the report says what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.analysis import Prepared, prepare
from backend.gestures import place, retrieve
from backend.gestures.choice import Choice
from backend.motion import blend, blend_codes, postprocess, rhythm
from backend.resources import Resources
from backend.speech import features
from backend.speech.audio import Audio
from backend.timing import Stopwatch
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.manner import ORDINARY, Manner
from sg_blender_addon.core.performance import Performance
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.protocol import GenerateSettings
from sg_blender_addon.core.timeline import Segment, Word

DEFAULTS = GenerateSettings()


def find_segments(
    words: Sequence[Word], audio: Audio, settings: GenerateSettings, resources: Resources, progress: Progress
) -> tuple[list[Segment], list[str]]:
    """Semantic gestures on the words, and the locked ones."""
    wanted = settings.retriever != "off" and bool(words)
    if not wanted and not settings.locked:
        return [], []
    library = resources.library(settings.library)
    warnings: list[str] = []
    choices: list[Choice] = []
    if wanted:
        try:
            choices, warnings = retrieve.choose(
                words,
                library,
                method=settings.retriever,
                density=settings.density,
                manner=settings.manner,
                seed=settings.seed,
                language=settings.language,
                llm_url=settings.llm_url,
                llm_model=settings.llm_model,
                llm_key=settings.llm_key,
                progress=progress,
            )
        except UserError as error:
            warnings = [f"{error} The performance has no semantic gestures."]
    first = settings.range_start if settings.range_start is not None else -np.inf
    last = settings.range_end if settings.range_end is not None else np.inf
    choices = [c for c in choices if first <= words[c.word_index].start < last]
    segments, left_out = place.place(
        choices, words, library, audio.seconds, seed=settings.seed, locked=settings.locked, manner=settings.manner
    )
    return segments, [*warnings, *left_out]


def sampling_of(settings: GenerateSettings, manner: Manner) -> rhythm.Sampling:
    return rhythm.Sampling(settings.seed, settings.temperature, settings.top_k, settings.top_p, settings.exact, manner)


def finish(
    prepared: Prepared,
    codes: npt.NDArray[np.int64],
    settings: GenerateSettings,
    resources: Resources,
    progress: Progress,
) -> tuple[Performance, Stopwatch]:
    """Codes (2, 4, T) to the performance; the watch holds this part's stages."""
    settings = replace(settings, manner=prepared.manner)
    watch = Stopwatch()
    audio, weights = prepared.audio, resources.weights(settings.weights)
    with watch.stage("retrieve"):
        part = progress.span(0.0, 0.35)
        segments, notes = find_segments(prepared.words, audio, settings, resources, part)
    with watch.stage("decode"):
        beats = rhythm.synthesise(
            weights,
            codes,
            audio.seconds,
            features.activity(audio),
            intensity=settings.intensity,
            exact=settings.exact,
            progress=progress.span(0.35, 0.85, "Building the motion"),
        )
    with watch.stage("blend"):
        part = progress.span(0.85, 1.0, "Blending gestures")
        merged = beats
        if segments:
            library, cache = resources.library(settings.library), resources.codes
            segments = blend_codes.choose(weights, segments, library, settings.blend, cache, part.span(0.0, 0.4))
            decoded = blend_codes.decoded_motion(
                weights, codes, segments, library, audio.seconds, cache,
                exact=settings.exact, progress=part.span(0.4, 0.6),
            )  # fmt: skip
            merged = blend.blend(beats, segments, library, decoded=decoded, progress=part.span(0.6, 0.8))
        same = merged is beats
        beats = postprocess.resample(beats, settings.fps, part.span(0.8, 0.9))
        merged = beats if same else postprocess.resample(merged, settings.fps, part.span(0.9, 1.0))
    info = {
        "seconds": round(audio.seconds, 4),
        "sha256": audio.sha256,
        "rate": audio.source_rate,
        "channels": audio.channels,
    }
    if settings.manner != ORDINARY and weights.info.audio_input.features != "prosody":
        notes.append(f"The weights {weights.info.name} move in one manner only; the chosen one shapes the gestures.")
    warnings = tuple(dict.fromkeys((*prepared.warnings, *notes)))
    return Performance(beats, merged, prepared.words, tuple(segments), info, {}, warnings), watch


def generate(
    source: str | Path | bytes | Audio,
    settings: GenerateSettings = DEFAULTS,
    resources: Resources | None = None,
    progress: Progress | None = None,
) -> Performance:
    """Speech to a performance.

    source: a recording (a path, a file's bytes, or read by `load_audio`). resources: hand in the same for several
    recordings, so that weights and library are loaded once. Raises UserError for unusable audio, weights, library or
    settings, and Cancelled.
    """
    resources, progress = resources or Resources(), progress or Progress()
    watch = Stopwatch()
    with watch.stage("load"):
        weights = resources.weights(settings.weights)
    prepared = prepare(source, settings, resources, progress.span(0.0, 0.35))
    with watch.stage("generate"):
        part = progress.span(0.35, 0.7, "Generating motion")
        codes = rhythm.sample_codes(weights, prepared.features, sampling_of(settings, prepared.manner), part)
    performance, last = finish(prepared, codes, settings, resources, progress.span(0.7, 1.0))
    progress.stage("Done", 1.0)
    stages = {**prepared.timing, **watch.seconds, **last.seconds}
    return replace(performance, timing=watch.total(stages, prepared.audio.seconds))
