"""Between `Motion` and the models' vectors of 219 floats per frame.

73 slots of 3: slots 0..71 are the canonical skeleton's joints and end sites depth first, each HALF its local rotation
vector (axis * angle / 2, the logarithm of the unit quaternion); end sites stay 0. Slot 72 is the root's displacement
since the previous frame in cm. Quaternions w x y z; Y up.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.models.config import FPS
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical

SLOTS = 73
WIDTH = 3 * SLOTS
ROOT_SLOT = 72
END_SLOTS = (4, 8, 15, 23, 28, 33, 38, 43, 51, 56, 61, 66, 71)
JOINT_SLOTS = tuple(s for s in range(ROOT_SLOT) if s not in END_SLOTS)
BODY_SLOTS = (*range(4), *range(5, 8), *range(9, 15), *range(16, 20), *range(44, 48), ROOT_SLOT)
HANDS_SLOTS = tuple(s for s in JOINT_SLOTS if s not in BODY_SLOTS)


def _columns(slots: tuple[int, ...]) -> npt.NDArray[np.int64]:
    return (3 * np.array(slots)[:, None] + np.arange(3)).reshape(-1)


JOINT_COLUMNS = _columns(JOINT_SLOTS)  # 177, in the canonical skeleton's order
BODY_COLUMNS = _columns(BODY_SLOTS)  # 66
HANDS_COLUMNS = _columns(HANDS_SLOTS)  # 114
ROOT_COLUMNS = _columns((ROOT_SLOT,))


def to_vectors(motion: Motion, near: npt.ArrayLike = rot.IDENTITY) -> npt.NDArray[np.float32]:
    """Canonical motion (F frames at 60 fps) to (F, 219) raw vectors; ValueError for another skeleton or rate.

    near (4,) or (J, 4): quaternions whose hemisphere the first frame is put on.
    """
    if not motion.skeleton.same_as(canonical()):
        raise ValueError("only motion on the canonical skeleton can become vectors: retarget it first")
    if motion.fps != FPS:
        raise ValueError(f"vectors are made at {FPS} frames/s: resample the motion first")
    vectors = np.zeros((len(motion), WIDTH), dtype=np.float32)
    if len(motion) == 0:
        return vectors
    quaternions = np.asarray(motion.rotations, dtype=float)
    # start on the near hemisphere, then follow: a clip's vectors never jump and start out small
    away = np.sum(quaternions[:1] * near, axis=-1, keepdims=True) < 0
    quaternions = np.concatenate([np.where(away, -quaternions[:1], quaternions[:1]), quaternions[1:]])
    half_logs = rot.to_half_log(rot.normalize(rot.continuous(quaternions)))
    vectors[:, JOINT_COLUMNS] = half_logs.reshape(len(motion), -1)
    vectors[1:, ROOT_COLUMNS] = np.diff(motion.root_positions, axis=0)
    return vectors


def to_motion(vectors: npt.ArrayLike, start_position: npt.ArrayLike | None = None) -> Motion:
    """(F, 219) raw vectors to canonical motion at 60 fps.

    start_position: where the root stands in the first frame, cm; by default the rest pose's place, so that the hips are
    at the height of a standing person and not on the floor.
    """
    vectors = np.asarray(vectors, dtype=float)
    if vectors.ndim != 2 or vectors.shape[1] != WIDTH:
        raise ValueError(f"motion vectors must be (frames, {WIDTH}), not {vectors.shape}")
    skeleton = canonical()
    start = np.asarray(skeleton.offsets[0] if start_position is None else start_position, dtype=float)
    steps = vectors[:, ROOT_COLUMNS].copy()
    steps[:1] = 0.0
    rotations = rot.from_half_log(vectors[:, JOINT_COLUMNS].reshape(len(vectors), len(skeleton), 3))
    return Motion(float(FPS), skeleton, start + np.cumsum(steps, axis=0), rotations)
