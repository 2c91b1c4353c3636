"""Linear layers in the form that a processor is quickest with.

float32   the reference's arithmetic. On x86 the weights are laid out for oneDNN once: 1.7 times faster than the plain
          call at 39 rows, four times at 3 (measured on an EPYC 9004).
bfloat16  on processors and GPUs that multiply it natively.
int8      weights per output column, activations per row: on processors with VNNI. A quarter of the memory traffic,
          which is what a token costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Precision = Literal["float32", "bfloat16", "int8"]
Linear = Callable[[Tensor], Tensor]
_TINY = 1e-12


def _cpu_flag(name: str) -> bool:
    """A feature of the processor as PyTorch sees it (these questions have no public name yet)."""
    ask = getattr(torch.cpu, name, None)
    return bool(ask()) if ask is not None else False


def _works(pack: Callable[[Tensor, Tensor | None], Linear]) -> bool:
    """Try a layer once: builds of PyTorch differ in what they contain."""
    try:
        out = pack(torch.eye(16), None)(torch.ones(3, 16))
        return out.shape == (3, 16) and bool(torch.allclose(out, torch.ones(3, 16), atol=0.02))
    except (RuntimeError, NotImplementedError, AttributeError):
        return False


def multiplies_bf16(device: torch.device) -> bool:
    """Whether products of bfloat16 are quicker than of float32: others emulate them, many times slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    flags = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(map(_cpu_flag, flags)) and _works(_bfloat16)


def best_precision(device: torch.device) -> Precision:
    """The fastest arithmetic for fast mode on this device."""
    if device.type == "cpu" and _cpu_flag("_is_vnni_supported") and _works(_int8):
        return "int8"
    return "bfloat16" if multiplies_bf16(device) else "float32"


def pack_linear(weight: Tensor, bias: Tensor | None, precision: Precision) -> Linear:
    """A function from float32 (..., in) to float32 (..., out). weight (out, in) is copied where the layout changes."""
    if precision == "int8":
        return _int8(weight, bias)
    if precision == "bfloat16":
        return _bfloat16(weight, bias)
    if weight.device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        try:
            return _onednn(weight, bias)
        except (RuntimeError, NotImplementedError, AttributeError):
            pass
    return _plain(weight, bias)


def _plain(weight: Tensor, bias: Tensor | None) -> Linear:
    weight = weight.float().clone()
    bias = None if bias is None else bias.float().clone()
    return lambda x: F.linear(x, weight, bias)


def _onednn(weight: Tensor, bias: Tensor | None) -> Linear:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.float().contiguous())
    bias = None if bias is None else bias.float().clone()
    run = torch.ops.mkldnn._linear_pointwise

    def linear(x: Tensor) -> Tensor:
        out: Tensor = run(x, packed, bias, "none", [], "")
        return out

    linear(torch.zeros(2, weight.shape[1]))
    return linear


def _bfloat16(weight: Tensor, bias: Tensor | None) -> Linear:
    weight = weight.to(torch.bfloat16)
    bias = None if bias is None else bias.to(torch.bfloat16)
    if weight.device.type != "cpu":
        return lambda x: F.linear(x.to(torch.bfloat16), weight, bias).float()
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
    run = torch.ops.mkldnn._linear_pointwise

    def linear(x: Tensor) -> Tensor:
        out: Tensor = run(x.to(torch.bfloat16), packed, bias, "none", [], "")
        return out.float()

    return linear


def _int8(weight: Tensor, bias: Tensor | None) -> Linear:
    weight = weight.float()
    scale = weight.abs().amax(1).clamp_min(_TINY) / 127
    zeros = torch.zeros(len(weight), dtype=torch.int32)
    quantised = (weight / scale[:, None]).round_().to(torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(quantised, None)
    bias = None if bias is None else bias.float().clone()
    run = torch.ops.onednn.qlinear_pointwise

    def linear(x: Tensor) -> Tensor:
        # Rows are brought to -127..127 each by its own largest number (and shifted, the operator wants unsigned): each
        # keeps its precision and does not depend on what is computed beside it.
        size = x.abs().amax(-1, keepdim=True).clamp_min(_TINY)
        rows = (x * (127 / size) + 128).round_().to(torch.uint8)
        out: Tensor = run(rows, 1 / 127, 128, packed, scale, zeros, None, 1.0, 0, torch.float32, "none", [], "")
        out = out * size
        return out if bias is None else out.add_(bias)

    return linear
