"""How long Blender's window is held up: run with `-m bench -s`; nothing about time is asserted."""

from __future__ import annotations

import time

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from sg_blender_addon.bl import compat, job_runner, nla, rigs, strips  # noqa: E402 - only with bpy
from sg_blender_addon.bl.demo import character as demo_character  # noqa: E402
from sg_blender_addon.bl.performance import push_undo  # noqa: E402
from sg_blender_addon.bl.steps import Running  # noqa: E402
from tests.bl import rig_scenes  # noqa: E402
from tests.core.motions import performance, segment  # noqa: E402


def timed(work) -> tuple[float, float]:
    """Milliseconds of this thread's processor and of the clock."""
    cpu, clock = time.thread_time(), time.perf_counter()
    work()
    return 1e3 * (time.thread_time() - cpu), 1e3 * (time.perf_counter() - clock)


def ticks(steps) -> list[tuple[float, float]]:
    """As Blender's timer would make them."""
    running, spent = Running(steps), []
    while not hasattr(running, "result"):
        spent.append(timed(lambda: running.advance(job_runner.BUDGET_S)))
        if running.job is not None:
            running.job.wait()
    return spent


@pytest.mark.bench
@pytest.mark.parametrize("seconds", [60.0, 600.0])
def test_a_performance_comes_in(seconds):
    scene = rig_scenes.fresh(60)
    character = demo_character.build(scene=scene)
    gestures = tuple(
        segment(f"G{i}", f"w{i}", i, t, t + 0.6, t + 1.5) for i, t in enumerate(np.arange(1, seconds - 3, 4.0).tolist())
    )
    take, bone_map = performance(seconds, gestures), rigs.detect_bones(character)
    push_undo("before")
    print(
        f"\n{bpy.app.version_string}: {len(bone_map.joints)} bones, {seconds:.0f} s, {len(gestures)} gestures; "
        "processor ms (by the clock)"
    )
    for which in ("new", "again"):
        find = nla.finder(scene, character, bone_map)
        spent = ticks(nla.apply_steps(find, take, frame_start=1.0, source="voice"))
        played = timed(bpy.context.view_layer.update)
        undo = timed(lambda: push_undo("after"))
        print(
            f"{which}: {len(spent)} ticks, longest {max(c for c, _ in spent):.0f} ({max(w for _, w in spent):.0f}), "
            f"last {spent[-1][0]:.0f} ({spent[-1][1]:.0f}), together {sum(c for c, _ in spent):.0f}; "
            f"Blender's own copy {played[0]:.0f} ({played[1]:.0f}), undo step {undo[0]:.0f} ({undo[1]:.0f})"
        )
    rhythm = strips.our_strips(character)[0].strip.action
    assert sum(len(c.keyframe_points) for c in compat.fcurves(rhythm)) == (60 * seconds + 1) * (4 * 59 + 3)
