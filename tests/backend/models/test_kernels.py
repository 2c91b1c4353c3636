"""Packed layers compute what the plain layer computes."""

import pytest
import torch

from backend.models.kernels import _works, best_precision, pack_linear


@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-5), ("bfloat16", 0.02), ("int8", 0.02)])
@pytest.mark.parametrize("shape", [(3, 96), (2, 45, 96), (1, 1, 96)])
def test_layers(precision, error, shape):
    torch.manual_seed(0)
    if precision == "int8" and best_precision(torch.device("cpu")) != "int8":
        pytest.skip("without VNNI sums in int8 overflow, and fast mode does not use them")
    weight, bias = torch.randn(130, 96), torch.randn(130)
    if precision != "float32" and not _works(lambda w, b: pack_linear(w, b, precision)):
        pytest.skip(f"this processor or build does not have {precision}")
    x = torch.randn(shape)
    expected = torch.nn.functional.linear(x, weight, bias)
    found = pack_linear(weight, bias, precision)(x)
    assert found.shape == expected.shape and found.dtype == torch.float32
    assert (found - expected).abs().max() < error * expected.abs().max()
    without = pack_linear(weight, None, precision)(x)
    assert (without - (expected - bias)).abs().max() < error * expected.abs().max()


def test_a_row_in_int8_does_not_depend_on_its_neighbours():
    torch.manual_seed(0)
    if not _works(lambda w, b: pack_linear(w, b, "int8")):
        pytest.skip("this processor or build does not have int8")
    layer = pack_linear(torch.randn(64, 96), torch.randn(64), "int8")
    row = torch.randn(1, 96)
    crowd = torch.cat([row, 1000 * torch.randn(20, 96), torch.zeros(1, 96)])
    assert torch.equal(layer(crowd)[:1], layer(row))


def test_a_precision_is_found():
    assert best_precision(torch.device("cpu")) in ("float32", "bfloat16", "int8")
