"""The demo's film shows the whole figure, whatever it does."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from sg_blender_addon.bl.demo import character as demo_character  # noqa: E402
from tests.bl import rig_scenes  # noqa: E402

ROOT = Path(__file__).parents[3]


@pytest.fixture
def make_demo(monkeypatch):
    monkeypatch.setenv("BLENDER_USER_RESOURCES", "")  # which the module sets for itself
    spec = importlib.util.spec_from_file_location("make_demo", ROOT / "demo" / "make_demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_screen(scene, character, frame):
    """(n, 2): where the figure's points are in the picture, 0 to 1."""
    scene.frame_set(frame)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    (body,) = (child for child in character.children if child.type == "MESH")
    shaped, camera = body.evaluated_get(depsgraph), scene.camera
    points = np.empty(3 * len(shaped.data.vertices), np.float32)
    shaped.data.vertices.foreach_get("co", points)
    points = np.c_[points.reshape(-1, 3), np.ones(len(points) // 3)]
    size = {"x": scene.render.resolution_x, "y": scene.render.resolution_y}
    seen = camera.calc_matrix_camera(depsgraph, **size) @ camera.matrix_world.inverted() @ shaped.matrix_world
    clip = points @ np.array(seen).T
    return clip[:, :2] / clip[:, 3:] / 2 + 0.5


@pytest.mark.parametrize("size", [(576, 576), (768, 432)])
def test_the_camera_takes_in_everything_that_moves(make_demo, size):
    scene = rig_scenes.fresh()
    character = demo_character.build(scene=scene)
    demo_character.setup_stage(scene, *size)
    scene.frame_start, scene.frame_end = 1, 40
    for frame, away in ((1, 0.0), (20, 1.5), (40, 0.0)):  # a step to the side and back
        character.location.x = away
        character.keyframe_insert("location", frame=frame)
    before = on_screen(scene, character, 20)
    assert before.min() < 0.0 or before.max() > 1.0, "out of the picture, or this shows nothing"
    make_demo.frame_whole_figure(scene, character)
    seen = np.concatenate([on_screen(scene, character, frame) for frame in range(1, 41, 3)])
    assert seen.min() > 0.0
    assert seen.max() < 1.0
    assert np.ptp(seen, axis=0).max() > 0.6, "not from far away either"


def test_a_long_performance_is_looked_at_from_end_to_end(make_demo):
    scene = rig_scenes.fresh()
    scene.frame_start, scene.frame_end = 5, 10_000
    frames = make_demo.looked_at(scene)
    assert frames[0] == 5
    assert frames[-1] == 10_000
    assert len(frames) <= make_demo.MOST_LOOKS + 2


def test_what_blender_says_while_it_renders_is_shown_after_a_failure_only(make_demo, capfd):
    with make_demo.quiet():
        make_demo.os.write(1, b"Fra:1\n")
        make_demo.os.write(2, b"EGL Error\n")
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ValueError), make_demo.quiet():
        make_demo.os.write(2, b"no camera\n")
        raise ValueError
    assert "no camera" in capfd.readouterr().err
