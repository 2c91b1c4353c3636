"""The command line: generate, batch, measure, serve, doctor, import-reference, bench.

Exit codes: 0 done; 1 the command could not be carried out (one sentence and a hint on stderr, nothing half-written);
2 the command line itself was wrong; 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from backend import outputs
from sg_blender_addon.core.errors import Cancelled, UserError
from sg_blender_addon.core.manner import NAMED, Manner
from sg_blender_addon.core.progress import Progress
from sg_blender_addon.core.protocol import BLENDS, ENGINES, RETRIEVERS, GenerateSettings
from SG_dataset.terminal import interruptible, progress_bar

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
KEY_VARIABLE = "SG_LLM_KEY"


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="python -m backend",
        description="Turns recorded speech into full-body gesture.",
        epilog="Exit codes: 0 done, 1 failed (the reason is on stderr), 2 wrong command line, 130 interrupted.",
    )
    top.add_argument("-v", "--verbose", action="store_true", help="log what happens to stderr")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _generate_parser(commands)
    _batch_parser(commands)
    _measure_parser(commands)
    _serve_parser(commands)
    doctor = commands.add_parser("doctor", help="check that everything is there and works")
    doctor.add_argument("--json", action="store_true", help="print the result as JSON")
    doctor.set_defaults(run=_doctor)
    _import_parser(commands)
    _bench_parser(commands)
    return top


def add_generation_options(command: argparse.ArgumentParser) -> None:
    """Options that `generate` and `batch` share: the fields of GenerateSettings."""
    default = GenerateSettings()
    add = command.add_argument
    add("--language", default=default.language, help="of the speech (default %(default)s; '' detects it)")
    add("--retriever", choices=RETRIEVERS, default=default.retriever, help="who chooses semantic gestures")
    add("--llm-url", default="", metavar="URL", help="OpenAI-compatible server for --retriever openai")
    add("--llm-model", default="", metavar="NAME", help=f"its model (a key is read from ${KEY_VARIABLE})")
    add("--weights", default=default.weights, metavar="starter|DIR", help="model weights (default %(default)s)")
    add("--library", default=default.library, metavar="starter|DIR", help="gesture library (default %(default)s)")
    add("--seed", type=int, default=default.seed, metavar="N", help="another seed, another performance")
    add("--fps", type=float, default=default.fps, metavar="N", help="frames per second of the result (default 60)")
    add("--intensity", type=float, default=default.intensity, metavar="X", help="size of movements, 0..2 (default 1.0)")
    add("--density", type=float, default=default.density, metavar="X", help="how many semantic gestures, 0..1")
    add("--manner", default="", metavar="STYLE", help=f"how the speaker moves: {', '.join(NAMED)}, or numbers "
        "(liveliness, width, hand, formality, speed), or both: 'calm,width=1.2'")  # fmt: skip
    add("--blend", choices=BLENDS, default=default.blend, help="how gestures are laid over the rhythm (default auto)")
    add("--exact", action="store_true", help="the reference's own schedule and sampling; slower")
    add("--temperature", type=float, metavar="X", help="of sampling (default: what the weights recommend)")
    add("--top-k", type=int, metavar="N", help="sample among the N likeliest codes")
    add("--top-p", type=float, metavar="X", help="sample among the likeliest codes that make up this probability")
    add("--engine", choices=ENGINES, default=default.engine, help="speech recogniser")
    add("--whisper-model", default="", metavar="NAME|DIR", help="its weights (default: the packaged tiny.en)")
    add("--device", default="auto", metavar="auto|cpu|cuda", help="where the models run (default auto)")


def _generate_parser(commands: Any) -> None:
    command = commands.add_parser(
        "generate", help="one recording", description="Generate a performance from one recording."
    )
    command.add_argument("speech", metavar="SPEECH", help="audio or video file with speech in it")
    command.add_argument("-o", "--output", action="append", required=True, metavar="OUT.{bvh,npz,mp4,gif,png}",
                         help="what to write; may be given several times (.png is a contact sheet)")  # fmt: skip
    command.add_argument("--script", metavar="FILE.{txt,srt,vtt}", help="what is said, if known")
    command.add_argument("--rhythm", metavar="RHYTHM.bvh", help="also write the motion without semantic gestures")
    command.add_argument("--timeline", metavar="TIMELINE.png", help="also draw waveform, words and gestures")
    command.add_argument("--report", metavar="REPORT.json", help="also write words, gestures, times and warnings")
    add_generation_options(command)
    command.set_defaults(run=_generate)


def _batch_parser(commands: Any) -> None:
    command = commands.add_parser(
        "batch", help="many recordings", description="Generate all lines of a CSV table (see docs/studio.md)."
    )
    command.add_argument("manifest", metavar="MANIFEST.csv", help="columns: speech, and optionally name, script, ...")
    command.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the results")
    command.add_argument("--format", action="append", choices=[s[1:] for s in outputs.SUFFIXES], metavar="FORMAT",
                         help="bvh, npz, mp4, gif or png; may be given several times (default bvh)")  # fmt: skip
    command.add_argument("--workers", type=int, default=0, metavar="N",
                         help="processes for features (default: cores; 1: only this one)")  # fmt: skip
    command.add_argument("--again", action="store_true", help="do finished lines again")
    add_generation_options(command)
    command.set_defaults(run=_batch)


def _measure_parser(commands: Any) -> None:
    from backend.measure.cli import add_arguments, run

    command = commands.add_parser(
        "measure",
        help="how alive a motion is",
        description="Measure a motion beside real people: how much moves, whether it keeps time with its speech, "
        "whether feet slide or hands enter the body (see docs/training.md).",
    )
    add_arguments(command)
    command.set_defaults(run=run)


def _serve_parser(commands: Any) -> None:
    command = commands.add_parser(
        "serve", help="HTTP server", description="Serve the add-on and other clients (see docs/protocol.md)."
    )
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    command.add_argument("--port", type=int, default=0, metavar="N", help="0 takes a free one (default)")
    command.add_argument("--token-stdin", action="store_true",
                         help="read the token from the first line of stdin and exit when stdin closes")  # fmt: skip
    command.add_argument("--max-upload-mb", type=int, default=2048, metavar="N", help="largest accepted upload")
    command.add_argument("--device", default="auto", metavar="auto|cpu|cuda", help="where the models run")
    command.add_argument("--preload", action="store_true", help="load the starter weights before the first job")
    command.set_defaults(run=_serve)


def _import_parser(commands: Any) -> None:
    command = commands.add_parser(
        "import-reference",
        help="convert the authors' checkpoints",
        description="Convert the Semantic Gesticulator authors' files into one weights folder, without running any "
        "code that they may contain.",
    )
    for name in ("rqvae", "gpt0", "gpt1", "gpt2", "gpt3", "body-scaler", "audio-scaler"):
        command.add_argument(f"--{name}", required=True, metavar="F")
    command.add_argument("--bank", metavar="F", help="their gesture bank (npz)")
    command.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write")
    command.set_defaults(run=_import_reference)


def _bench_parser(commands: Any) -> None:
    from backend.bench.bench import add_arguments as add_bench_arguments

    command = commands.add_parser("bench", help="measure speed and memory")
    add_bench_arguments(command)
    command.set_defaults(run=_bench)


def settings_of(arguments: argparse.Namespace, script: str = "", script_kind: str = "txt") -> GenerateSettings:
    """GenerateSettings of the parsed options; UserError for values out of range."""
    names = (
        "language", "retriever", "llm_url", "llm_model", "weights", "library", "seed", "fps", "intensity", "density",
        "blend", "exact", "temperature", "top_k", "top_p", "engine", "whisper_model",
    )  # fmt: skip
    values = {name: getattr(arguments, name) for name in names}
    values["manner"] = Manner.parse(arguments.manner)
    return GenerateSettings(**values, llm_key=os.environ.get(KEY_VARIABLE, ""), script=script, script_kind=script_kind)


def _generate(arguments: argparse.Namespace) -> int:
    targets = [outputs.check(path) for path in arguments.output]
    extras = [
        outputs.check(path, suffixes)
        for path, suffixes in (
            (arguments.rhythm, (".bvh",)), (arguments.timeline, (".png",)), (arguments.report, (".json",)),
        )
        if path
    ]  # fmt: skip
    from backend.speech.script import read_script_file

    script, kind = read_script_file(arguments.script) if arguments.script else ("", "txt")
    settings = settings_of(arguments, script, kind)
    from backend.analysis import load
    from backend.pipeline import generate
    from backend.resources import Resources

    with interruptible() as cancel, progress_bar(cancel) as progress:
        resources = Resources(arguments.device)
        weights_share = 0.8 if any(p.suffix.lower() in (".mp4", ".gif") for p in targets) else 0.95
        audio = load(arguments.speech, progress.span(0.0, 0.03, "Reading the recording"))
        performance = generate(audio, settings, resources, progress.span(0.03, weights_share))
        for number, path in enumerate(targets):
            share = (1.0 - weights_share) / len(targets)
            begin = weights_share + number * share
            outputs.write(path, performance, audio, progress.span(begin, begin + share, f"Writing {path.suffix[1:]}"))
        write_extras(arguments, performance, audio, resources, settings, progress)
    for path in [*targets, *extras]:
        print(path)
    _summary(performance)
    return OK


def write_extras(
    arguments: argparse.Namespace,
    performance: Any,
    audio: Any,
    resources: Any,
    settings: GenerateSettings,
    progress: Progress,
) -> None:
    """The rhythm alone, the timeline and the report, where asked for."""
    if arguments.rhythm:
        outputs.write_motion(arguments.rhythm, performance.rhythm, progress)
    if arguments.timeline:
        from backend.motion.blend import placements
        from backend.outputs.timeline import write_timeline

        placed = (
            placements(performance.segments, resources.library(settings.library), audio.seconds)
            if performance.segments
            else []
        )
        write_timeline(Path(arguments.timeline), audio.speech, audio.rate, performance.words, performance.segments,
                       placed, Path(arguments.speech).stem)  # fmt: skip
    if arguments.report:
        outputs.write_report(arguments.report, performance)


def _summary(performance: Any) -> None:
    timing = performance.timing
    for warning in performance.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(
        f"{performance.audio_info['seconds']:.1f} s of speech, {len(performance.words)} words, "
        f"{len(performance.segments)} semantic gestures, in {timing['total_s']:.1f} s "
        f"(real-time factor {timing['real_time_factor']:.2f})"
    )


def _batch(arguments: argparse.Namespace) -> int:
    from backend.batch import run_batch

    with interruptible() as cancel, progress_bar(cancel) as progress:
        return run_batch(arguments, settings_of(arguments), progress)


def _serve(arguments: argparse.Namespace) -> int:
    from backend.server import serve

    return serve(arguments)


def _doctor(arguments: argparse.Namespace) -> int:
    from backend import __version__
    from backend.doctor import examine, healthy, print_findings

    findings = examine()
    ok = healthy(findings)
    if arguments.json:
        print(json.dumps({"ok": ok, "version": __version__, "checks": [f.to_json() for f in findings]}, indent=1))
    else:
        print_findings(findings)
    return OK if ok else FAILED


def _import_reference(arguments: argparse.Namespace) -> int:
    from backend.reference.import_checkpoints import import_reference

    names = ("rqvae", "gpt0", "gpt1", "gpt2", "gpt3", "body_scaler", "audio_scaler", "bank")
    paths = {name: getattr(arguments, name) for name in names if getattr(arguments, name)}
    with interruptible() as cancel, progress_bar(cancel) as progress:
        info = import_reference(paths, arguments.output, progress)
    print(f"{arguments.output}: {info.name}. Use it with --weights {arguments.output}")
    if "bank" in paths:
        _import_bank(Path(arguments.output))
    return OK


def _import_bank(folder: Path) -> None:
    """Make the bank usable as a gesture library. The weights are good without it, so a failure is said and no more."""
    from backend.reference.bank_library import FOLDER, write_bank_library

    try:
        with interruptible() as cancel, progress_bar(cancel) as progress:
            report = write_bank_library(folder, progress)
    except UserError as error:
        print(f"The gesture bank could not be made into a library: {error}", file=sys.stderr)
        return
    made = report.to_json()
    print(f"{folder / FOLDER}: {made['gestures']} gestures, {made['variants']} variants. "
          f"Use them with --library {folder / FOLDER}, or {folder / FOLDER}+starter to lay them over ours")  # fmt: skip


def _bench(arguments: argparse.Namespace) -> int:
    from backend.bench.bench import main as measure

    return measure(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code and never lets an exception out that a user could cause."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.WARNING, stream=sys.stderr,
                        format="%(levelname)s %(name)s: %(message)s")  # fmt: skip
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except UserError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return FAILED
    except (Cancelled, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    except MemoryError:
        print("error: The computer ran out of memory.\nhint: Use a shorter recording.", file=sys.stderr)
        return FAILED
