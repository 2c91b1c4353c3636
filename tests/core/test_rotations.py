"""Every quaternion function against scipy's, an independent implementation, or against its own definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sg_blender_addon.core import rotations as rot

scipy_rotation = pytest.importorskip("scipy.spatial.transform").Rotation


@pytest.fixture
def quaternions() -> np.ndarray:
    return rot.normalize(np.random.default_rng(1).standard_normal((500, 4)))


def same(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-9) -> bool:
    """Equal as rotations: q and -q are one."""
    return bool(np.allclose(np.abs(np.sum(a * b, axis=-1)), 1.0, atol=tolerance))


def test_matrix_agrees_with_scipy_both_ways(quaternions: np.ndarray) -> None:
    expected = scipy_rotation.from_quat(rot.to_xyzw(quaternions)).as_matrix()
    np.testing.assert_allclose(rot.to_matrix(quaternions), expected, atol=1e-12)
    assert same(rot.from_matrix(expected), quaternions)


def test_product_and_rotation_agree_with_scipy(quaternions: np.ndarray) -> None:
    a, b = quaternions[:250], quaternions[250:]
    sa, sb = (scipy_rotation.from_quat(rot.to_xyzw(q)) for q in (a, b))
    assert same(rot.from_xyzw((sa * sb).as_quat()), rot.mul(a, b))
    v = np.random.default_rng(2).standard_normal((250, 3))
    np.testing.assert_allclose(rot.rotate(a, v), sa.apply(v), atol=1e-12)
    assert same(rot.mul(a, rot.inverse(a)), rot.identity(250))


@pytest.mark.parametrize("order", ["".join(p) for p in itertools.permutations("XYZ")])
def test_euler_agrees_with_scipy_for_every_order(quaternions: np.ndarray, order: str) -> None:
    angles = rot.to_euler(quaternions, order)
    np.testing.assert_allclose(angles, scipy_rotation.from_quat(rot.to_xyzw(quaternions)).as_euler(order), atol=1e-9)
    assert same(rot.from_euler(angles, order), quaternions)


@pytest.mark.parametrize("order", ["XYZ", "ZXY", "ZYX"])
@pytest.mark.parametrize("middle", [np.pi / 2, -np.pi / 2])
def test_euler_survives_gimbal_lock(order: str, middle: float) -> None:
    q = rot.from_euler([0.7, middle, -0.4], order)
    assert same(rot.from_euler(rot.to_euler(q, order), order), q, 1e-7)


def test_euler_refuses_a_repeated_axis() -> None:
    with pytest.raises(ValueError, match="three different"):
        rot.to_euler(rot.IDENTITY, "ZXZ")


def test_logarithm_is_half_the_rotation_vector_and_inverts(quaternions: np.ndarray) -> None:
    vector = scipy_rotation.from_quat(rot.to_xyzw(quaternions)).as_rotvec()
    np.testing.assert_allclose(rot.to_rotation_vector(quaternions), vector, atol=1e-9)
    positive = np.where(quaternions[:, :1] < 0, -quaternions, quaternions)
    np.testing.assert_allclose(rot.to_half_log(positive), vector / 2, atol=1e-9)
    np.testing.assert_allclose(rot.from_half_log(rot.to_half_log(quaternions)), quaternions, atol=1e-12)
    np.testing.assert_allclose(rot.from_half_log(np.zeros(3)), rot.IDENTITY)


def test_between_takes_a_to_b_even_when_they_oppose() -> None:
    rng = np.random.default_rng(3)
    a, b = rot.normalize(rng.standard_normal((100, 3))), rot.normalize(rng.standard_normal((100, 3)))
    np.testing.assert_allclose(rot.rotate(rot.between(a, b), a), b, atol=1e-9)
    np.testing.assert_allclose(rot.rotate(rot.between(a, -a), a), -a, atol=1e-9)
    np.testing.assert_allclose(rot.between(a, a), rot.identity(100), atol=1e-9)


def test_slerp_hits_both_ends_and_the_middle(quaternions: np.ndarray) -> None:
    a, b = quaternions[:250], quaternions[250:]
    assert same(rot.slerp(a, b, 0.0), a)
    assert same(rot.slerp(a, b, 1.0), b)
    middle = rot.slerp(a, b, 0.5)
    np.testing.assert_allclose(
        rot.angle(rot.mul(rot.inverse(a), middle)), rot.angle(rot.mul(rot.inverse(middle), b)), atol=1e-6
    )


def test_continuous_flips_signs_only(quaternions: np.ndarray) -> None:
    flipped = quaternions.copy()
    flipped[::3] *= -1
    smooth = rot.continuous(flipped)
    assert same(smooth, quaternions)
    assert (np.sum(smooth[1:] * smooth[:-1], axis=-1) >= 0).all()


def test_swing_and_twist_compose_and_lie_where_they_should(quaternions: np.ndarray) -> None:
    axis = np.array([1.0, 0.0, 0.0])
    swing, twist = rot.swing_twist(quaternions, axis)
    assert same(rot.mul(swing, twist), quaternions)
    np.testing.assert_allclose(twist[:, 2:], 0.0, atol=1e-12)
    np.testing.assert_allclose(swing[:, 1], 0.0, atol=1e-9)


def test_dot_and_length_keep_the_last_axis() -> None:
    a, b = np.random.default_rng(3).normal(size=(2, 5, 4, 3))
    np.testing.assert_allclose(rot.dot(a, b)[..., 0], (a * b).sum(-1))
    np.testing.assert_allclose(rot.length(a), np.linalg.norm(a, axis=-1, keepdims=True))
