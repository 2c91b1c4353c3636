"""`python -m backend bench`: how fast each stage is, and how much memory it takes.

Each line is measured in a process of its own (so that its peak memory is its own). The line "naive" is the same work in
the plainest order, measured in the same run on the same machine: what the other lines are to be compared with.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.progress import Progress

if TYPE_CHECKING:
    from backend.models.weights import Weights
    from backend.speech.audio import Audio

SIZES = ("starter", "reference")
MODES = ("naive", "exact", "fast")
SECONDS = (10.0, 60.0, 600.0)
NAIVE_LIMIT = 60.0  # seconds of speech: beyond, the naive order takes many minutes and gigabytes
STAGES = ("load", "features", "level 0", "levels 1-3", "decode")
_COLUMNS = ("size", "mode", "speech", "tokens", *STAGES, "tokens/s", "RTF", "CPU s", "peak MB", "x naive", "in CPU s")

Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `bench`."""
    parser.add_argument("-o", "--output", metavar="DIR", help="also write bench.json and bench.png there")
    parser.add_argument("--seconds", type=float, action="append", metavar="S", help="lengths (default 10 60 600)")
    parser.add_argument("--size", choices=SIZES, action="append", help="sizes (default both)")
    parser.add_argument("--mode", choices=MODES, action="append", help="schedules (default all)")
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda")
    parser.add_argument("--compare", metavar="WEIGHTS", help="measure instead what fast mode changes")
    parser.add_argument("--audio", metavar="FILE", help="speech for --compare (default: synthetic)")


def main(arguments: argparse.Namespace) -> int:
    """Run the benchmarks that the arguments ask for; prints a table and perhaps writes files."""
    device = _device(getattr(arguments, "device", "auto"))
    if getattr(arguments, "compare", None):
        print(json.dumps(_compare(arguments.compare, device, getattr(arguments, "audio", None)), indent=1))
        return 0
    seconds = sorted(arguments.seconds or SECONDS)
    if any(not 1 <= s <= 7200 for s in seconds):
        raise UserError("Lengths must lie between 1 and 7200 seconds.", code="bad_settings")
    rows: list[Row] = []
    with _weights_of(arguments.size or SIZES) as folders:
        print(_header(), flush=True)
        for size, folder in folders.items():
            for length in seconds:
                for mode in getattr(arguments, "mode", None) or MODES:
                    if mode == "naive" and (length > NAIVE_LIMIT or device != "cpu"):
                        continue
                    row = _measured({"folder": str(folder), "mode": mode, "seconds": length, "device": device})
                    row = {"size": size, "mode": mode, "seconds": length, **row}
                    row |= _against_naive([*rows, row], row)
                    rows.append(row)
                    print(_line(row), flush=True)
    if arguments.output:
        _write(Path(arguments.output), rows, device)
    return 0


def _device(wanted: str) -> str:
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("There is no CUDA GPU that PyTorch can use here.", "Leave --device out.", "no_gpu")
    return wanted


@contextmanager
def _weights_of(sizes: Sequence[str]) -> Iterator[dict[str, Path]]:
    """A folder of weights per size; random ones where there are none (speed does not depend on values)."""
    from backend.models.description import STARTER

    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        folders = {}
        for size in dict.fromkeys(sizes):
            folders[size] = Path(place) / size
            if size == "starter" and (STARTER / "weights.json").exists():
                folders[size] = STARTER
            else:
                _random_weights(size, folders[size])
        yield folders


def _random_weights(size: str, folder: Path) -> None:
    import torch

    from backend.models import config as c
    from backend.models.layout import WIDTH
    from backend.models.scaler import Scaler
    from backend.models.weights import Weights, WeightsInfo, build, expected_shapes, fill

    if size == "reference":
        fine = [c.FineConfig(i) for i in (1, 2, 3)]
        configs: dict[str, Any] = {"tokenizer": c.reference_tokenizer(), "level0": c.Level0Config()}
    else:
        fine = [c.small_fine(i) for i in (1, 2, 3)]
        configs = {"tokenizer": c.small_tokenizer(), "level0": c.small_level0()}
    configs |= {f"fine{f.level}": f for f in fine}
    torch.manual_seed(0)
    models = {}
    for name, config in configs.items():
        shapes = expected_shapes(config)
        state = {key: torch.randn(shape).mul_(1.0 if key.endswith(".k") else 0.02) for key, shape in shapes.items()}
        models[name] = fill(build(config), state)
    body = Scaler.body(np.zeros(WIDTH), np.ones(WIDTH))
    audio = Scaler.audio(np.zeros(c.AUDIO_FEATURES), np.ones(c.AUDIO_FEATURES))
    Weights(configs, body, audio, WeightsInfo(f"random, {size} size", (0, 0), "none"), models=models).save(folder)


def _measured(task: dict[str, Any]) -> Row:
    """Run one measurement in a process of its own."""
    command = [sys.executable, "-m", "backend.bench.bench", json.dumps(task)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise UserError(f"A measurement failed ({reason[0]}).", "Try it with a shorter --seconds.", "bench_failed")
    row: Row = json.loads(done.stdout.strip().splitlines()[-1])
    return row


class _Clock(Progress):
    """Times stages; generation reports to it, to see where level 0 ends.

    Beside the time that passed it takes the processor's, which with one thread hardly depends on what else is running.
    """

    def __init__(self) -> None:
        super().__init__()
        self.times: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self._last = time.perf_counter(), time.process_time()

    def mark(self, stage: str) -> None:
        now = time.perf_counter(), time.process_time()
        self.times[stage] = self.times.get(stage, 0.0) + now[0] - self._last[0]
        self.cpu[stage] = self.cpu.get(stage, 0.0) + now[1] - self._last[1]
        self._last = now

    def stage(self, name: str, fraction: float = 0.0) -> None:
        from backend.models.generate import LEVEL0_SHARE

        if name == "generate":
            self.mark("level 0" if fraction <= LEVEL0_SHARE + 1e-9 else "levels 1-3")


def _work(task: dict[str, Any]) -> Row:
    """One measurement, in this process."""
    import torch

    from backend.bench.naive import naive
    from backend.models.codec import decode_codes, pieces
    from backend.models.generate import Engine, generate_codes
    from backend.models.sampling import reference_ranks
    from backend.models.weights import Weights
    from backend.motion.rhythm import BLOCK

    exact, length = task["mode"] != "fast", float(task["seconds"])
    clock = _Clock()
    weights = Weights.load(task["folder"], device=task["device"])
    engine = Engine.of(weights, exact) if task["mode"] != "naive" else None
    _ = weights.tokenizer
    if engine is None:
        _ = weights.level0, weights.fine
    else:
        _ = engine.level0, None if engine.lean else engine.fine
        del _  # a lean engine lets go of level 0 only if nobody else holds it
    clock.mark("load")
    _heard(weights, _synthetic(2.0))  # the first call compiles
    audio = _synthetic(length)
    clock.mark("synthesis")
    rows = _heard(weights, audio)
    clock.mark("features")
    if engine is None:
        naive(weights, rows, reference_ranks(0, len(rows) - 1), clock.mark)
    else:
        codes = generate_codes(weights, rows, seed=0, exact=exact, progress=clock)
        if task["device"] == "cuda":
            torch.cuda.synchronize()
        clock.mark("levels 1-3")
        for _, _, first, last in pieces(codes.shape[2], BLOCK):  # as `stages.generate` does
            decode_codes(weights, codes[:, :, first:last], exact=exact)
        clock.mark("decode")
    times = {stage: clock.times.get(stage, 0.0) for stage in STAGES}
    cpu = {stage: clock.cpu.get(stage, 0.0) for stage in STAGES}
    models = sum(times[stage] for stage in ("level 0", "levels 1-3", "decode"))
    return {
        "tokens": len(rows),
        "times": times,
        "cpu": cpu,
        "cpu_s": sum(cpu.values()) - cpu["load"],
        "models_s": models,
        "tokens_per_s": len(rows) / models,
        "rtf": (models + times["features"]) / length,
        "peak_mb": _peak_mb(),
        "gpu_peak_mb": torch.cuda.max_memory_allocated() / 2**20 if task["device"] == "cuda" else None,
        "precision": engine.precision if engine is not None else "float32",
        "threads": torch.get_num_threads(),
    }


def _synthetic(seconds: float) -> Any:
    """Something with the rhythm of speech: a buzzing voice in syllables with pauses, and a little noise.

    Beyond a minute it repeats, so that making it takes less memory than what is measured.
    """
    from backend.speech.audio import Audio

    random = np.random.default_rng(0)
    t = np.arange(int(min(seconds, 60.0) * 3840)) / 3840
    syllables = np.clip(np.sin(2 * np.pi * 4 * t + np.sin(t)), 0, 1) * (np.sin(2 * np.pi * t / 5) > -0.7)
    pitch = 2 * np.pi * 120 * t + 3 * np.sin(2 * np.pi * 0.4 * t)
    voice = sum((np.sin(k * pitch) / k for k in range(1, 9)), np.zeros_like(t))
    low: npt.NDArray[np.float32] = (0.1 * syllables * voice + 0.002 * random.standard_normal(len(t))).astype(np.float32)
    speech = np.interp(np.arange(int(min(seconds, 60.0) * 16000)) / 16000, t, low).astype(np.float16)
    low, speech = np.resize(low, int(seconds * 3840)), np.resize(speech, int(seconds * 16000))
    return Audio(low, speech, seconds, "", 3840, 1)


def _peak_mb() -> float | None:
    """Largest resident size of this process so far; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's memory at the time of the fork too
        lines = [line for line in status.read_text("ascii").splitlines() if line.startswith("VmHWM")]
        if lines:
            return int(lines[0].split()[1]) / 2**10
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _against_naive(rows: list[Row], row: Row) -> Row:
    """How many times faster than the naive order, features included: by the clock and in processor time."""
    for other in rows:
        if other["mode"] == "naive" and (other["size"], other["seconds"]) == (row["size"], row["seconds"]):
            return {"x_naive": other["rtf"] / row["rtf"], "x_naive_cpu": other["cpu_s"] / row["cpu_s"]}
    return {"x_naive": None, "x_naive_cpu": None}


def _header() -> str:
    return "| " + " | ".join(_COLUMNS) + " |\n|" + "---|" * len(_COLUMNS)


def _line(row: Row) -> str:
    def number(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    cells = [row["size"], row["mode"], f"{row['seconds']:g} s", str(row["tokens"])]
    cells += [number(row["times"][stage], 2) for stage in STAGES]
    cells += [number(row["tokens_per_s"], 0), number(row["rtf"], 3), number(row["cpu_s"], 1), number(row["peak_mb"], 0)]
    cells += [number(row["x_naive"], 1), number(row["x_naive_cpu"], 1)]
    return "| " + " | ".join(cells) + " |"


def machine(device: str = "cpu") -> dict[str, Any]:
    """What was measured on, by the name of its processor."""
    import torch

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text("utf-8").splitlines() if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    return {
        "processor": name,
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _write(folder: Path, rows: list[Row], device: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = {"machine": machine(device), "rows": rows}
    (folder / "bench.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    _plot(folder / "bench.png", rows)


def _plot(path: Path, rows: list[Row]) -> None:
    """Time against length, both on logarithmic axes; the dashed line is real time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    colours = {"naive": "tab:red", "exact": "tab:blue", "fast": "tab:green"}
    for size in dict.fromkeys(row["size"] for row in rows):
        for mode in MODES:
            points = [(r["seconds"], r["rtf"] * r["seconds"]) for r in rows if (r["size"], r["mode"]) == (size, mode)]
            if points:
                style = "o-" if size == "reference" else "s--"
                axes.plot(*zip(*points, strict=True), style, color=colours[mode], label=f"{size}, {mode}")
    lengths = sorted({row["seconds"] for row in rows})
    axes.plot(lengths, lengths, "k:", label="real time")
    axes.set(xscale="log", yscale="log", xlabel="speech (s)", ylabel="features and models (s)")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path)


def _compare(folder: str, device: str, audio_file: str | None) -> dict[str, Any]:
    from backend.bench.compare import compare
    from backend.models.weights import Weights
    from backend.speech.audio import load_audio

    audio = load_audio(audio_file) if audio_file else _synthetic(60.0)
    weights = Weights.load(folder, device=device)
    return compare(weights, _heard(weights, audio))


def _heard(weights: Weights, audio: Audio) -> npt.NDArray[np.float32]:
    """Rows (T, n) as an ordinary speaker's generators are told them, without words."""
    from backend.analysis import extract_features
    from backend.motion.rhythm import conditions
    from sg_blender_addon.core.manner import Manner

    return conditions(weights, extract_features(audio, (), weights.info.audio_input), Manner(), 0)


if __name__ == "__main__":
    print(json.dumps(_work(json.loads(sys.argv[1]))))
