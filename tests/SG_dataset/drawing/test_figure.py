"""The figure's pictures: size, stillness of the background, left and right told apart."""

import numpy as np
import pytest

from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical
from SG_dataset.drawing.closeup import hand_camera, spread_direction, thumb_direction
from SG_dataset.drawing.figure import FigureRenderer, render
from SG_dataset.drawing.mesh import BAND
from SG_dataset.drawing.sheet import ROWS, sheet


@pytest.fixture(scope="module")
def rest() -> Motion:
    return Motion.rest(canonical(), 3, 60.0)


def near(image: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    """Columns of pixels whose hue is close to a colour's."""
    c = np.array(colour) / np.linalg.norm(colour)
    f = image.astype(float) / np.maximum(np.linalg.norm(image.astype(float), axis=-1, keepdims=True), 1)
    return np.nonzero((f @ c) > 0.995)[1]


def test_left_band_is_on_the_right_of_a_front_picture(rest: Motion) -> None:
    image = render(rest, 0, (300, 300))
    assert image.shape == (300, 300, 3) and image.dtype == np.uint8
    assert near(image, BAND["Left"]).mean() > 200 and near(image, BAND["Right"]).mean() < 100


def test_the_figure_is_whole_and_its_surroundings_are_background(rest: Motion) -> None:
    image = FigureRenderer(rest, (200, 200)).frame(0)
    assert (image[:4].std(axis=1) < 3).all()
    assert image[60:190, 90:110].astype(int).min() < 90


def test_pictures_are_deterministic(rest: Motion) -> None:
    assert np.array_equal(render(rest, -1, (120, 120), "hand"), render(rest, -1, (120, 120), "hand"))


def test_sheet_has_a_cell_for_each_frame_and_view(rest: Motion) -> None:
    assert sheet(rest, [0, 1], cell=60).shape == (len(ROWS) * 63 + 3, 2 * 63 + 3, 3)


def test_one_close_up_looks_at_the_palm_and_the_other_at_the_thumbs_side(rest: Motion) -> None:
    renderer = FigureRenderer(rest, (60, 60), "hand", side="Right")
    spread = spread_direction(renderer, [0, 1])
    thumb = thumb_direction(renderer, [0, 1], spread)
    ways = [hand_camera(renderer, 0, direction).axes()[2] for direction in (spread, thumb)]
    hand = renderer.matrices[0, rest.skeleton.index("RightHand")]
    assert abs(ways[0] @ hand[:, 1]) > abs(ways[0] @ hand[:, 2])  # across the flat of the hand
    assert ways[1] @ hand[:, 2] > 0.8  # the thumb towards the camera
