"""The training loop shared by all models: schedule, checkpoints, resume, averaging, progress with an estimate."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from backend.models.kernels import multiplies_bf16
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.files import replacing
from training import distributed
from training.config import Optimisation, to_plain
from training.data import Sampler

Losses = dict[str, Tensor]
CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"


@dataclass
class State:
    """Where a run is. `elapsed` counts seconds of all sittings."""

    step: int = 0
    elapsed: float = 0.0


@dataclass(frozen=True)
class Moment:
    """The step about to be made, and how much of the run is done (0..1)."""

    step: int
    share: float


def rate_at(share: float, step: int, how: Optimisation) -> float:
    """Learning rate as a share of the peak; `share` of the run is done."""
    warm = min(1.0, (step + 1) / max(how.warmup, 1))
    if how.schedule == "steps":
        return warm * 0.4 ** sum(share >= m for m in how.milestones)
    if how.schedule != "cosine":
        raise UserError(f"There is no schedule {how.schedule!r}.", hint="cosine or steps", code="bad_recipe")
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))


def make_optimiser(model: nn.Module, how: Optimisation) -> torch.optim.AdamW:
    """AdamW; biases, norms, embeddings and position tables are not decayed."""
    decay, keep = list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in model.named_parameters():
        (decay if parameter.ndim >= 2 and "emb" not in name else keep).append(parameter)
    groups = [{"params": decay, "weight_decay": how.weight_decay}, {"params": keep, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=how.rate * math.sqrt(distributed.world_size()), betas=(0.9, 0.99))


class Trainer:
    """Runs `loss(model, moment)` to the end of the recipe.

    loss: returns named scalars; "loss" is minimised, the rest is shown and logged. extra: more state to keep (codebook
    sums). Log lines go to `log.jsonl`, the state to `checkpoint.pt` in `folder`, the recipe beside them. The state
    holds everything that the next step depends on, `sampler` and the generator of random numbers included: on one
    process a run that is cut anywhere and resumed ends with the same bits as one that is not (unless the recipe ends it
    by `minutes`), and each of several processes goes on with its own share.
    """

    def __init__(
        self, model: nn.Module, how: Optimisation, folder: Path, recipe: Any, seed: int, sampler: Sampler | None = None
    ) -> None:
        self.model, self.how, self.folder, self.sampler = model, how, folder, sampler
        self.wrapped = distributed.wrap(model)
        self.bf16 = how.bf16 and multiplies_bf16(next(model.parameters()).device)
        self.optimiser = make_optimiser(model, how)
        self.average = copy.deepcopy(model).requires_grad_(False) if how.average else None
        self.state = State()
        torch.manual_seed(seed + distributed.rank())
        folder.mkdir(parents=True, exist_ok=True)
        self.plain = to_plain(recipe)
        if distributed.is_main():
            (folder / "recipe.json").write_text(json.dumps(self.plain, indent=1), "utf-8")

    def run(
        self,
        loss: Callable[[nn.Module, Moment], Losses],
        extra: Callable[[], dict[str, Any]] = dict,
        restore: Callable[[dict[str, Any]], None] = lambda _: None,
        *,
        resume: bool = False,
    ) -> nn.Module:
        """Train; returns the model to keep (the running average if one is kept)."""
        if resume:
            self._resume(restore)
        self.model.train()
        bar = tqdm(total=100, desc=self.folder.name, disable=not distributed.is_main(), bar_format=_BAR)
        began = time.monotonic() - self.state.elapsed
        while (share := self._share()) < 1.0:
            losses = self._step(loss, share)
            self.state.elapsed = self._agreed(time.monotonic() - began)
            self.state.step += 1
            if self.state.step % 25 == 0 or self._share() >= 1.0:
                self._report(losses, bar)
            if self.state.step % self.how.checkpoint_every == 0:
                self._save(extra())
        bar.close()
        self._save(extra())
        return (self.average or self.model).eval()

    def _share(self) -> float:
        by_steps = self.state.step / self.how.steps
        return max(by_steps, self.state.elapsed / (60 * self.how.minutes)) if self.how.minutes else by_steps

    def _agreed(self, seconds: float) -> float:
        """All processes must stop at the same step."""
        return float(distributed.mean(torch.tensor(seconds, dtype=torch.float64))) if self.how.minutes else seconds

    def _step(self, loss: Callable[[nn.Module, Moment], Losses], share: float) -> Losses:
        peak = self.how.rate * math.sqrt(distributed.world_size())
        for group in self.optimiser.param_groups:
            group["lr"] = peak * rate_at(share, self.state.step, self.how)
        device = next(self.model.parameters()).device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.bf16), _attention(device):
            losses = loss(self.wrapped, Moment(self.state.step, share))
        if not bool(torch.isfinite(losses["loss"])):
            raise UserError(
                "The loss is no longer a number.", hint="Lower the learning rate in the recipe.", code="diverged"
            )
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(losses["loss"])
        nn.utils.clip_grad_norm_(self.model.parameters(), self.how.clip)
        self.optimiser.step()
        if self.average is not None:
            self._follow()
        return losses

    @torch.no_grad()
    def _follow(self) -> None:
        """The running average; short at first, so that the start is soon forgotten. Buffers are copied."""
        assert self.average is not None
        decay = min(self.how.average, (1 + self.state.step) / (10 + self.state.step))
        for kept, parameter in zip(self.average.parameters(), self.model.parameters(), strict=True):
            kept.lerp_(parameter, 1 - decay)
        for stored, buffer in zip(self.average.buffers(), self.model.buffers(), strict=True):
            stored.copy_(buffer)

    def _report(self, losses: Losses, bar: Any) -> None:
        values = {k: float(distributed.mean(v.detach().float())) for k, v in losses.items()}
        if not distributed.is_main():
            return
        bar.n = min(100.0, round(100 * self._share(), 1))
        bar.set_postfix({k: f"{v:.3g}" for k, v in values.items()} | {"step": self.state.step})
        row = {"step": self.state.step, "seconds": round(self.state.elapsed, 1), **values}
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _save(self, extra: dict[str, Any]) -> None:
        processes = distributed.gathered(self._own_state())
        if distributed.is_main():
            data = {
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "state": vars(self.state),
                "average": self.average.state_dict() if self.average is not None else None,
                "extra": extra,
                "recipe": self.plain,
                "processes": processes,
            }
            with replacing(self.folder / CHECKPOINT) as temporary:
                torch.save(data, temporary)
        distributed.barrier()

    def _resume(self, restore: Callable[[dict[str, Any]], None]) -> None:
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return
        data = load_checkpoint(self.folder)
        self.model.load_state_dict(data["model"])
        self.optimiser.load_state_dict(data["optimiser"])
        if self.average is not None and data["average"] is not None:
            self.average.load_state_dict(data["average"])
        self.state = State(**data["state"])
        restore(data["extra"])
        self._restore_own(data.get("processes", []))
        self._forget_log_after(self.state.step)

    def _own_state(self) -> dict[str, Any]:
        """What each process draws from: random numbers and windows."""
        cuda = next(self.model.parameters()).device.type == "cuda"
        return {
            "random": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if cuda else None,
            "sampler": self.sampler.state() if self.sampler else None,
        }

    def _restore_own(self, processes: list[dict[str, Any]]) -> None:
        """Of as many processes as there were; any other number of them draws anew."""
        if len(processes) != distributed.world_size():
            return
        own = processes[distributed.rank()]
        torch.set_rng_state(own["random"])
        if own["cuda"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(own["cuda"])
        if self.sampler is not None and own["sampler"] is not None:
            self.sampler.restore(own["sampler"])

    def _forget_log_after(self, step: int) -> None:
        """What was logged of steps that are made again."""
        path = self.folder / LOG
        if distributed.is_main() and path.is_file():
            kept = [line for line in path.read_text("utf-8").splitlines() if _step_of(line) <= step]
            with replacing(path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in kept), "utf-8")


def _step_of(line: str) -> float:
    """Of a line of the log; infinity for one that a killed run left unfinished."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _attention(device: str) -> AbstractContextManager[None]:
    """On a CPU the fused attention's backward pass takes twice as long as plain products for windows of 15 tokens."""
    context: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH) if device == "cpu" else nullcontext()
    return context


_BAR = "{desc}: {percentage:5.1f}%|{bar:20}| {elapsed}<{remaining} {postfix}"


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """A run's last state; tensors and plain data only."""
    try:
        data: dict[str, Any] = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError) as error:
        raise UserError(
            f"There is no finished run in {folder}.", hint="Run the stages in order.", code="no_checkpoint"
        ) from error
    return data


def kept_state(data: dict[str, Any]) -> dict[str, Tensor]:
    """The parameters that a checkpoint wants used."""
    state: dict[str, Tensor] = data["average"] or data["model"]
    return state
