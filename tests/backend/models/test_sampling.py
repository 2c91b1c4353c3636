"""Drawing codes."""

import numpy as np
import pytest
import torch

from backend.models.sampling import REFERENCE_PROBABILITIES, Sampling, pick, pick_rank, reference_ranks, uniforms
from sg_blender_addon.core.errors import UserError


def shares(logits, sampling, count=20000):
    u = torch.from_numpy(uniforms(0, count)[:, 0])
    drawn = pick(torch.tensor(logits).expand(count, -1), u, sampling)
    return np.bincount(drawn.numpy(), minlength=len(logits)) / count


LOGITS = [0.0, 2.0, 1.0, -3.0]


def test_codes_come_as_often_as_the_model_says():
    expected = torch.softmax(torch.tensor(LOGITS), 0).numpy()
    assert np.abs(shares(LOGITS, Sampling(1.0, 0, 1.0)) - expected).max() < 0.02


def test_temperature_sharpens_and_zero_takes_the_best():
    expected = torch.softmax(torch.tensor(LOGITS) / 0.5, 0).numpy()
    assert np.abs(shares(LOGITS, Sampling(0.5, 0, 1.0)) - expected).max() < 0.02
    assert shares(LOGITS, Sampling(0.0))[1] == 1


def test_top_k_and_top_p_leave_out_the_tail():
    assert np.count_nonzero(shares(LOGITS, Sampling(1.0, 2, 1.0))) == 2
    assert np.count_nonzero(shares(LOGITS, Sampling(1.0, 0, 0.5))) == 1  # the best alone has two thirds
    assert np.count_nonzero(shares(LOGITS, Sampling(1.0, 0, 0.8))) == 2


def test_the_largest_number_never_falls_off_the_end():
    u = torch.tensor([np.nextafter(np.float32(1), np.float32(0))])
    assert pick(torch.tensor([LOGITS]), u, Sampling(1.0, 0, 0.8)).item() == 2


def test_ranks_are_places_in_the_order_of_logits():
    logits = torch.tensor([[5.0, 9.0, 7.0, 1.0, 3.0, 0.0]]).expand(5, -1)
    assert pick_rank(logits, torch.arange(5)).tolist() == [1, 2, 0, 4, 3]


def test_reference_ranks_have_the_fixed_probabilities():
    ranks = reference_ranks(0, 50000)
    found = np.bincount(ranks.reshape(-1), minlength=5) / ranks.size
    assert np.abs(found - REFERENCE_PROBABILITIES).max() < 0.005


@pytest.mark.parametrize("settings", [(-0.1,), (11.0,), (1.0, -1), (1.0, 0, 0.0), (1.0, 0, 1.5), (float("nan"),)])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(UserError):
        Sampling(*settings)
