"""Where ankles, wrists and head are, from motion vectors and differentiable: what the tokenizer is also asked to keep.

Rotations alone do not say what matters: a degree at the hip moves the foot by a centimetre and a half, a degree at the
wrist nothing. Positions are relative to the hips, so that the legs' angles carry the hips' path over standing feet
(`backend.motion.foot_planting.root_over_feet`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from backend.models.layout import JOINT_SLOTS
from backend.models.scaler import Scaler
from sg_blender_addon.core.joint_groups import SIDES
from sg_blender_addon.core.skeleton import canonical

ENDS = (*(f"{side}Foot" for side in SIDES), *(f"{side}Hand" for side in SIDES), "Head")


class EndPositions(nn.Module):
    """Standardised vectors (B, F, 219) to the positions (B, F, 5, 3) of ankles, wrists and head from the hips' joint,
    in the world's axes, in decimetres."""

    offsets: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, scaler: Scaler) -> None:
        super().__init__()
        skeleton = canonical()
        self.ends = tuple(skeleton.index(name) for name in ENDS)
        joints = {0}
        for end in self.ends:
            while end not in joints:
                joints.add(end)
                end = skeleton.parents[end]  # noqa: PLW2901 - up to the hips
        self.joints = tuple(sorted(joints))
        self.parents = {j: skeleton.parents[j] for j in self.joints}
        turned = sorted({self.parents[j] for j in self.joints if j})
        self.turned = tuple(turned)
        self.columns = [3 * JOINT_SLOTS[j] + k for j in turned for k in range(3)]
        scale = np.where(scaler.constant, 0.0, scaler.scale)[self.columns]
        self.register_buffer("mean", torch.tensor(scaler.mean[self.columns], dtype=torch.float32), persistent=False)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32), persistent=False)
        offsets = torch.tensor(np.asarray(skeleton.offsets) / 10, dtype=torch.float32)
        self.register_buffer("offsets", offsets, persistent=False)

    def forward(self, vectors: Tensor) -> Tensor:
        half = (vectors[..., self.columns] * self.scale + self.mean).reshape(*vectors.shape[:-1], -1, 3)
        turns = matrices(half)  # (B, F, turned, 3, 3)
        world = {self.turned[0]: turns[..., 0, :, :]}
        place = {0: torch.zeros_like(half[..., 0, :])}
        for j in self.joints[1:]:
            parent = self.parents[j]
            place[j] = place[parent] + (world[parent] @ self.offsets[j][:, None])[..., 0]
            if j in self.turned:
                world[j] = world[parent] @ turns[..., self.turned.index(j), :, :]
        return torch.stack([place[j] for j in self.ends], dim=-2)


def matrices(half_logs: Tensor) -> Tensor:
    """Half rotation vectors (..., 3) to matrices (..., 3, 3)."""
    # the square root's slope is infinite at 0: a floor far below any rotation keeps gradients finite
    angle = (half_logs.square().sum(-1, keepdim=True) + 1e-12).sqrt()
    v = half_logs * (angle.sin() / angle)
    w = angle.cos()
    x, y, z = v.unbind(-1)
    w = w[..., 0]
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).reshape(*half_logs.shape[:-1], 3, 3)
