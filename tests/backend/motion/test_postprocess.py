"""After decoding: bounded root, planted feet, amplitude, calm in silence, length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from backend.motion import foot_planting, postprocess
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core import storage
from sg_blender_addon.core.joint_groups import LOWER_BODY
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from tests.backend.toys import swaying


def restless(seconds: float = 20.0, seed: int = 0, drift: float = 0.0) -> Motion:
    """Hips that wander, legs that do not follow: what an untrained decoder would give."""
    frames = round(seconds * 60)
    generator = np.random.default_rng(seed)

    def noise(width: float) -> np.ndarray:
        return gaussian_filter1d(generator.standard_normal((frames, 3)), width, axis=0) * np.sqrt(width)

    motion = Motion.rest(canonical(), frames, 60.0)
    rotations = motion.rotations.copy()
    for name in ("Hips", "RightUpLeg", "RightLeg", "RightFoot", "LeftUpLeg", "LeftLeg", "LeftFoot"):
        rotations[:, motion.skeleton.index(name)] = rot.from_rotation_vector(0.05 * noise(40))
    root = motion.root_positions + 2 * noise(60) + drift * np.arange(frames)[:, None] / 60
    return replace(motion, root_positions=root, rotations=rotations)


def test_feet_stand_still() -> None:
    motion = restless()
    planted = foot_planting.plant(motion)
    assert foot_planting.sliding(motion) > 3.0
    assert foot_planting.sliding(planted) < 0.3  # cm/s, mean while standing
    for leg in foot_planting.legs(planted.skeleton):
        ankle = foot_planting.chain(planted, leg)[2]
        for a, b in foot_planting.contacts(foot_planting.chain(motion, leg)[2], 8.3, 60.0):
            assert np.ptp(ankle[a + 1 : b - 1], axis=0).max() < 0.5  # one place per contact
        assert ankle[:, 1].min() > 7.0


def test_planting_keeps_everything_but_the_legs() -> None:
    motion = restless(5.0)
    planted = foot_planting.plant(motion)
    upper = [i for i, n in enumerate(motion.skeleton.names) if "Leg" not in n and "Foot" not in n]
    assert np.array_equal(planted.rotations[:, upper], motion.rotations[:, upper])
    assert np.array_equal(planted.root_positions[:, [0, 2]], motion.root_positions[:, [0, 2]])
    assert np.abs(np.diff(planted.root_positions[:, 1], 2)).max() < 0.05  # hips sink and rise without jerks


def test_standing_motion_is_left_nearly_alone() -> None:
    rest = Motion.rest(canonical(), 120, 60.0)
    planted = foot_planting.plant(rest)
    angle = rot.angle(rot.mul(rot.inverse(rest.rotations), planted.rotations))
    assert angle.max() < 0.1 and np.abs(planted.root_positions - rest.root_positions).max() < 0.2


def test_a_step_stays_a_step() -> None:
    motion = restless(6.0)
    leg = foot_planting.legs(motion.skeleton)[0]
    t = np.clip((np.arange(len(motion)) - 150) / 36, 0, 1)
    target = foot_planting.chain(motion, leg)[2].copy()
    target[:] = target[0] + np.outer(t * t * (3 - 2 * t), [0.0, 0.0, 20.0]) + np.outer(np.sin(np.pi * t) * 8, [0, 1, 0])
    stepping = motion.rotations.copy()
    stepping[:, [leg.hip, leg.knee, leg.foot]] = foot_planting.solve(
        motion, leg, target, foot_planting.chain(motion, leg)[4]
    )
    planted = foot_planting.plant(replace(motion, rotations=stepping))
    ankle = foot_planting.chain(planted, leg)[2]
    assert ankle[-1, 2] - ankle[0, 2] > 14 and ankle[150:186, 1].max() - ankle[0, 1] > 3


def test_inverse_kinematics_reaches_its_target() -> None:
    motion = restless(3.0, seed=4)
    for leg in foot_planting.legs(motion.skeleton):
        _, _, ankle, _, foot = foot_planting.chain(motion, leg)
        target = ankle + np.array([3.0, 4.0, -2.0])
        rotations = motion.rotations.copy()
        rotations[:, [leg.hip, leg.knee, leg.foot]] = foot_planting.solve(motion, leg, target, foot)
        moved = replace(motion, rotations=rotations)
        assert np.abs(foot_planting.chain(moved, leg)[2] - target).max() < 1e-6
        assert rot.angle(rot.mul(rot.inverse(foot_planting.chain(moved, leg)[4]), foot)).max() < 1e-6


def test_hips_are_where_the_legs_put_them() -> None:
    """A body that sways and bends its knees over standing feet: its path follows from the legs to a millimetre."""
    motion = standing_sway(20.0)
    path = foot_planting.root_over_feet(motion)
    away = path - motion.root_positions
    assert np.abs(away - away.mean(axis=0)).max() < 0.1 and motion.root_positions[:, 0].std() > 3
    blind = replace(motion, root_positions=np.zeros_like(motion.root_positions))
    assert np.array_equal(path, foot_planting.root_over_feet(blind)), "its own path is not read"


def standing_sway(seconds: float) -> Motion:
    """Hips that go from foot to foot, up and down; the legs are solved for feet that stand."""
    frames = round(seconds * 60)
    t = np.arange(frames) / 60
    motion = Motion.rest(canonical(), frames, 60.0)
    path = np.stack([5 * np.sin(0.9 * t), -2 + np.cos(1.3 * t), 2 * np.sin(0.5 * t)], axis=1)
    moved = replace(motion, root_positions=motion.root_positions + path)
    rotations = moved.rotations.copy()
    for leg in foot_planting.legs(motion.skeleton):
        _, _, ankle, _, foot = foot_planting.chain(motion, leg)
        rotations[:, [leg.hip, leg.knee, leg.foot]] = foot_planting.solve(moved, leg, ankle, foot)
    return replace(moved, rotations=rotations)


@pytest.mark.parametrize("root", ["legs", "displacement"])
def test_an_idle_can_be_repeated(root: str) -> None:
    motion = restless(20.0)
    looped = postprocess.finish(restless(20.0), 20.0, root=root, loop=True)
    arms = [j for j, name in enumerate(looped.skeleton.names) if name not in LOWER_BODY]
    assert np.abs(looped.rotations[-1, arms] - looped.rotations[0, arms]).max() < 1e-3
    assert np.abs(motion.root_positions[-1] - motion.root_positions[0]).max() > 2
    assert np.abs(looped.root_positions[-1] - looped.root_positions[0]).max() < 1.0
    speeds = np.linalg.norm(np.diff(looped.root_positions, axis=0), axis=1) * 60
    assert speeds[-120:].max() < 4 * np.median(speeds), "it goes back without haste"


def test_root_never_drifts_away() -> None:
    motion = restless(600.0, drift=3.0)  # 30 m in ten minutes
    root = postprocess.bound_root(motion.root_positions, motion.skeleton.offsets[0], 60.0)
    assert np.abs(root[:, [0, 2]] - root[0, [0, 2]]).max() <= postprocess.ROOT_REACH
    assert np.abs(root[:, 1] - root[0, 1]).max() <= postprocess.HEIGHT_REACH
    sway = np.zeros((600, 3))
    sway[:, 0] = 4 * np.sin(2 * np.pi * 0.3 * np.arange(600) / 60)
    kept = postprocess.bound_root(sway, np.zeros(3), 60.0)
    assert np.ptp(kept[:, 0]) > 0.85 * np.ptp(sway[:, 0])  # sway is not drift


@pytest.mark.parametrize("gain", [0.0, 0.5, 1.5])
def test_intensity_scales_the_upper_body_only(gain: float) -> None:
    motion = swaying(6.0)
    scaled = replace(motion, rotations=motion.rotations.copy())
    postprocess.scale_amplitude(scaled, np.full(len(motion), gain))
    lower = [motion.skeleton.index(n) for n in LOWER_BODY]
    assert np.array_equal(scaled.rotations[:, lower], motion.rotations[:, lower])
    arm = motion.skeleton.index("RightArm")

    def movement(m: Motion) -> float:
        return float(rot.angle(rot.mul(rot.inverse(m.rotations[:-1, arm]), m.rotations[1:, arm])).sum())

    ratio = movement(scaled) / movement(motion)
    assert (ratio < 1) == (gain < 1) and (ratio > 1) == (gain > 1)


def test_a_joints_own_gain_scales_it_and_hips_leave_the_thighs_where_they_are() -> None:
    motion = restless(10.0)
    scaled = replace(motion, rotations=motion.rotations.copy())
    postprocess.scale_amplitude(scaled, np.ones(600), own={"Hips": 2.0, "Head": 3.0, "LeftLeg": 5.0})
    names = motion.skeleton.names
    for name, gain in (("Hips", 2.0), ("Spine", 1.0), ("LeftLeg", 1.0)):
        j = [names.index(name)]
        mean, before = postprocess.deviations(motion.rotations[:, j], 60.0)
        after = rot.to_rotation_vector(rot.mul(rot.inverse(mean), scaled.rotations[:, j]))
        assert np.allclose(after, gain * before, atol=1e-6), name
    before, after = (m.forward_kinematics()[1][:, names.index("LeftUpLeg")] for m in (motion, scaled))
    assert np.degrees(rot.angle(rot.mul(rot.inverse(before), after))).max() < 0.01


def test_long_silence_is_calm_and_short_pauses_are_not() -> None:
    activity = np.ones(90)
    activity[22:25] = 0.0  # a breath
    activity[50:80] = 0.0  # a long pause
    gain = postprocess.calm_gain(activity, 720, 60.0)
    assert gain.shape == (720,)
    assert gain[170:210].min() > 0.9
    assert gain[460:580].max() < 0.4
    assert np.abs(np.diff(gain)).max() < 0.05
    assert postprocess.calm_gain(np.zeros(8), 60, 60.0).max() == pytest.approx(postprocess.CALM)
    assert postprocess.calm_gain(np.zeros(0), 10, 60.0).shape == (10,)


def test_a_long_motion_is_finished_in_blocks_as_if_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters, hemispheres and contacts must not show where a block ends."""
    activity = np.clip(np.sin(np.arange(200) / 9.0), 0.0, 1.0)

    def finished() -> Motion:
        return postprocess.finish(restless(20.0, seed=2), 20.0, intensity=1.3, activity=activity)

    at_once = finished()
    monkeypatch.setattr(storage, "BLOCK", 100)  # less than the filters' reach, and no whole number of them
    monkeypatch.setattr(storage, "LARGE", 0)  # everything in files
    in_blocks = finished()
    np.testing.assert_allclose(in_blocks.rotations, at_once.rotations, atol=1e-12)
    np.testing.assert_allclose(in_blocks.root_positions, at_once.root_positions, atol=1e-12)
    for fps in (24.0, 60.0):
        a, b = postprocess.resample(at_once, fps), at_once.resample(fps)
        np.testing.assert_allclose(a.rotations, b.rotations, atol=1e-6)


def test_a_foot_that_creeps_for_hours_is_set_down_again_and_again() -> None:
    ankle = np.zeros((300_000, 3))
    ankle[:, 0] = np.arange(300_000) / 10  # 6 cm/s
    spans = foot_planting.contacts(ankle, 8.0, 60.0)
    assert len(spans) > 1500 and all(
        ankle[b - 1, 0] - ankle[a, 0] <= foot_planting.LONGEST_DRIFT + 0.2 for a, b in spans
    )


def test_length_follows_the_audio() -> None:
    motion = swaying(2.0)
    assert len(postprocess.fit_length(motion, 1.01)) == 61
    longer = postprocess.fit_length(motion, 2.5)
    assert len(longer) == 150 and np.array_equal(longer.rotations[-1], motion.rotations[-1])
    assert len(postprocess.fit_length(motion, 0.001)) == 1
    finished = postprocess.finish(motion, 1.5, intensity=1.2)
    assert len(finished) == 90 and np.isfinite(finished.rotations).all()
