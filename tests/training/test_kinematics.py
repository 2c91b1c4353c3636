"""Differentiable forward kinematics: the same places as the motion's own, and gradients that are numbers."""

import numpy as np
import torch

from backend.models.layout import to_vectors
from backend.models.scaler import Scaler
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from training.kinematics import ENDS, EndPositions


def test_places_are_the_motions_own():
    rng, skeleton = np.random.default_rng(0), canonical()
    turns = rot.from_rotation_vector(0.5 * rng.standard_normal((12, len(skeleton), 3)))
    motion = Motion(60.0, skeleton, rng.standard_normal((12, 3)), turns)
    vectors = to_vectors(motion)
    scaler = Scaler.fit_body(vectors)
    found = EndPositions(scaler)(torch.from_numpy(scaler.standardise(vectors))[None])[0].numpy()
    positions, _ = motion.forward_kinematics()
    wanted = np.stack([positions[:, skeleton.index(name)] - positions[:, 0] for name in ENDS], axis=1)
    assert np.allclose(10 * found, wanted, atol=1e-2)


def test_a_pose_without_rotation_has_a_slope():
    scaler = Scaler.body(np.zeros(219), np.ones(219))
    vectors = torch.zeros(1, 2, 219, requires_grad=True)
    EndPositions(scaler)(vectors).square().sum().backward()
    assert torch.isfinite(vectors.grad).all() and vectors.grad.abs().max() > 0
