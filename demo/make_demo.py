"""Make the demo: a voice strip in headless Blender becomes a talking character.

Runs under Blender's Python (the bpy wheel); `make demo` calls it. The speech goes through the add-on's own Generate
operator to a real backend process, the result is baked on a character built by code, and the shot is rendered.

    python demo/make_demo.py --backend-python .venv/bin/python [--speech your.wav] [--out build/demo]
"""

from __future__ import annotations

import argparse
import atexit
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
USER = Path(tempfile.mkdtemp(prefix="gesticulator-demo-"))
os.environ["BLENDER_USER_RESOURCES"] = str(USER)  # nobody's own Blender settings are touched
atexit.register(shutil.rmtree, USER, ignore_errors=True)

import bpy  # noqa: E402, I001 - after the environment is set; it brings addon_utils along
import addon_utils  # noqa: E402
import numpy as np  # noqa: E402

PACKAGE = "bl_ext.dev.semantic_gesticulator"
FPS = 25
SIZE = (576, 576)  # a whole figure with its arms spread is about as wide as high
MARGIN = 0.03  # of the figure's height, around everything it ever reaches
MOST_LOOKS = 150  # frames that are looked at to find that out
SCRIPTS = (".txt", ".srt", ".vtt")


def main() -> int:
    arguments = parse()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    addon = enable(arguments.backend_python.absolute())
    speech = Path(shutil.copy(arguments.speech, out / f"speech{arguments.speech.suffix.lower()}"))
    scene = build_scene(addon, speech, find_script(arguments.speech))
    started = time.perf_counter()
    try:
        bpy.ops.gesticulator.generate()
        print(f"Generated in {time.perf_counter() - started:.1f} s (loading the models included).")
        bpy.ops.gesticulator.export(filepath=str(out / "demo.bvh"))
    except RuntimeError as error:  # how Blender hands an operator's report to a script
        print(str(error).removeprefix("Error: ").strip(), file=sys.stderr)
        return 1
    write_report(addon, out)
    frame_whole_figure(scene, scene.gesticulator.character)
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "demo.blend"), relative_remap=True, compress=True)
    draw_timeline(arguments.backend_python.absolute(), speech, out)
    if not arguments.no_video:
        render(scene, out / "demo.mp4")
    addon_utils.disable(PACKAGE)  # ends the backend and removes our timers
    print_results(out)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the demo: speech becomes a talking character in Blender.")
    parser.add_argument("--speech", type=Path, default=ROOT / "demo" / "speech.flac", help="any recording")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "demo")
    parser.add_argument("--backend-python", type=Path, default=ROOT / ".venv" / "bin" / "python")
    parser.add_argument("--no-video", action="store_true", help="skip the rendering, which takes longest")
    arguments = parser.parse_args()
    if not arguments.speech.is_file():
        parser.error(f"there is no file {arguments.speech}: check the path after SPEECH=")
    return arguments


def enable(backend_python: Path) -> str:
    """Enable this checkout as an extension; returns the package of the add-on's modules."""
    folder = USER / "extensions_dev"
    folder.mkdir()
    (folder / "semantic_gesticulator").symlink_to(ROOT, target_is_directory=True)
    repos = bpy.context.preferences.extensions.repos
    repos.new(name="Dev", module="dev", custom_directory=str(folder), source="USER")
    addon_utils.enable(PACKAGE, default_set=True)
    bpy.context.preferences.addons[PACKAGE].preferences.python_path = str(backend_python)
    return f"{PACKAGE}.sg_blender_addon"


def find_script(speech: Path) -> Path | None:
    """A text of the same name beside the recording is what is said in it."""
    return next((speech.with_suffix(s) for s in SCRIPTS if speech.with_suffix(s).is_file()), None)


def build_scene(addon: str, speech: Path, script: Path | None) -> bpy.types.Scene:
    demo_character = __import__(f"{addon}.bl.demo.character", fromlist=["build"])
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    bpy.context.preferences.filepaths.save_version = 0  # no demo.blend1 beside it
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = FPS, 1.0
    character = demo_character.build(scene=scene)
    demo_character.setup_stage(scene, *SIZE)
    editor = scene.sequence_editor_create()
    strips = getattr(editor, "strips", None) or editor.sequences
    strip = strips.new_sound(name="Voice", filepath=str(speech), channel=1, frame_start=1)
    settings = scene.gesticulator
    settings.character, settings.voice = character, strip.name
    settings.density = 0.7  # a demo shows what there is
    if script is not None:
        text = bpy.data.texts.new(script.name)
        text.write(script.read_text("utf-8-sig"))
        settings.script = text
    return scene


def frame_whole_figure(scene: bpy.types.Scene, character: bpy.types.Object) -> None:
    """Move the camera, its direction kept, so that the whole figure is in the picture throughout the performance."""
    reach = np.array([bounds for frame in looked_at(scene) for bounds in figure_bounds(scene, character, frame)])
    low, high = reach.min(axis=0), reach.max(axis=0)
    edge = MARGIN * (high[2] - low[2])
    corners = itertools.product(*zip(low - edge, high + edge, strict=True))
    flat = [float(value) for corner in corners for value in corner]
    place, _scale = scene.camera.camera_fit_coords(bpy.context.evaluated_depsgraph_get(), flat)
    scene.camera.location = place
    scene.frame_set(scene.frame_start)


def looked_at(scene: bpy.types.Scene) -> list[int]:
    """All frames of a short performance, evenly spaced ones of a long one."""
    step = 1 + (scene.frame_end - scene.frame_start) // MOST_LOOKS
    return [*range(scene.frame_start, scene.frame_end, step), scene.frame_end]


def figure_bounds(scene: bpy.types.Scene, character: bpy.types.Object, frame: int) -> np.ndarray:
    """(2, 3): the lowest and highest world coordinates of the character's meshes as they are deformed at a frame."""
    scene.frame_set(frame)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    points = []
    for body in (child for child in character.children if child.type == "MESH"):
        shaped = body.evaluated_get(depsgraph)
        local = np.empty(3 * len(shaped.data.vertices), np.float32)
        shaped.data.vertices.foreach_get("co", local)
        matrix = np.array(shaped.matrix_world)
        points.append(local.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
    every = np.concatenate(points)
    return np.stack([every.min(axis=0), every.max(axis=0)])


def write_report(addon: str, out: Path) -> None:
    """REPORT.json of the take, as the backend answered it."""
    modules = {name: __import__(f"{addon}.{name}", fromlist=["x"]) for name in ("bl.takes", "core.wire")}
    newest = max(modules["bl.takes"].path_of("x").parent.glob("*.npz"), key=lambda path: path.stat().st_mtime)
    meta, _ = modules["core.wire"].unpack(newest.read_bytes())
    (out / "report.json").write_text(json.dumps(meta["report"], indent=1), "utf-8")
    (out / "demo.json").unlink(missing_ok=True)  # the export's own notes say less


def draw_timeline(python: Path, speech: Path, out: Path) -> None:
    command = [python, "-m", "demo.draw_timeline", speech, out / "report.json", out / "timeline.png"]
    subprocess.run(command, check=True, cwd=ROOT)


def render(scene: bpy.types.Scene, path: Path) -> None:
    settings = scene.render
    settings.filepath = str(path)
    # without a graphics card each frame would take seconds; these two settings cost most and show least in a film
    scene.display.render_aa, scene.display.shading.show_shadows = "FXAA", False
    if hasattr(settings.image_settings, "media_type"):  # from 5.0
        settings.image_settings.media_type = "VIDEO"
    settings.image_settings.file_format = "FFMPEG"
    ffmpeg = settings.ffmpeg
    ffmpeg.format, ffmpeg.codec, ffmpeg.constant_rate_factor = "MPEG4", "H264", "MEDIUM"
    ffmpeg.audio_codec, ffmpeg.audio_bitrate = "AAC", 160
    total = scene.frame_end - scene.frame_start + 1
    progress = Bar("Rendering", total)

    def step(*_: object) -> None:
        progress.advance()

    bpy.app.handlers.render_write.append(step)
    try:
        with quiet():
            bpy.ops.render.render(animation=True)
    finally:
        bpy.app.handlers.render_write.remove(step)  # left behind it would hang some Blenders at exit
        progress.close()


class Bar:
    """A progress line on stderr with an estimate; in a log, one line at the end."""

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total, self.done, self.started = name, total, 0, time.perf_counter()
        self.stream = os.fdopen(os.dup(2), "w")

    def advance(self) -> None:
        self.done += 1
        spent = time.perf_counter() - self.started
        if self.stream.isatty():
            left = spent / self.done * (self.total - self.done)
            self.stream.write(f"\r{self.name} {self.done}/{self.total}, {left:.0f} s left ")
            self.stream.flush()

    def close(self) -> None:
        self.stream.write(f"\r{self.name} {self.done} frames: {time.perf_counter() - self.started:.0f} s\n")
        self.stream.close()


class quiet:  # noqa: N801 - reads as a statement
    """Blender prints a line for each frame and for each version of OpenGL that it tries in vain, past Python's streams:
    turn their descriptors away for a while. After a failure stderr is shown.
    """

    def __enter__(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._kept = os.dup(1), os.dup(2)
        self._errors = tempfile.TemporaryFile()
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        os.dup2(self._errors.fileno(), 2)

    def __exit__(self, kind: object, *_: object) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, kept in enumerate(self._kept, 1):
            os.dup2(kept, number)
            os.close(kept)
        with self._errors as errors:
            if kind is not None:
                errors.seek(0)
                sys.stderr.write(errors.read().decode("utf-8", "replace"))


def print_results(out: Path) -> None:
    notes = {
        "demo.blend": "open it in Blender 4.5 or later and press Play; the gestures are strips in the NLA editor",
        "demo.mp4": "the rendered shot, with sound",
        "timeline.png": "waveform, words and gestures",
        "report.json": "the same as data, with timing",
        "demo.bvh": "the motion for other programs",
    }
    print("\nOpen:")
    for name, what in notes.items():
        if (out / name).exists():
            print(f"  {os.path.relpath(out / name)}  – {what}")


if __name__ == "__main__":
    sys.exit(main())
