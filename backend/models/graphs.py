"""CUDA graphs: a fixed sequence of small kernels sent to the GPU in one go."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor, Tensor, Tensor], Tensor]


class Graphed:
    """Calls a function of (past (B, 2, p), audio (B, ., width), numbers (B, n, 2)), as a graph where (p, n) is `shape`.

    Other shapes (the first window and the last one) are computed the ordinary way. Only for CUDA tensors.
    """

    def __init__(self, function: Function, shape: tuple[int, int]) -> None:
        self.function, self.shape = function, shape
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: list[Tensor] = []
        self.output: Tensor | None = None

    def __call__(self, *arguments: Tensor) -> Tensor:
        if (arguments[0].shape[2], arguments[2].shape[1]) != self.shape:
            return self.function(*arguments)
        if self.graph is None:
            self._capture(arguments)
        for target, source in zip(self.inputs, arguments, strict=True):
            target.copy_(source)
        assert self.graph is not None and self.output is not None
        self.graph.replay()
        return self.output.clone()

    def _capture(self, arguments: tuple[Tensor, ...]) -> None:
        self.inputs = [a.clone() for a in arguments]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # once outside: libraries set themselves up on first use
            self.function(*self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = self.function(*self.inputs)
