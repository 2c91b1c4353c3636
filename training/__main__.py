"""Commands of the training.

    python -m training starter --motion DIR ... --speech DIR ... -o DIR                everything, one after the other
    python -m training synthesise -o DIR [--piper VOICE.onnx]                          our sentences, spoken
    python -m training voices -o DIR                                                   two recordings to measure on
    python -m training table RECORDING ... [--motion DIR] [--weights DIR --name NAME]  the guide's table of motion
    python -m training prepare|tokenizer|generator|fine|export|evaluate --config training/runs/X.yaml [--resume]
    torchrun --nproc_per_node N -m training tokenizer --config ...                     several processes

Folders in the recipe can be given on the command line instead. Errors go to stderr in one sentence; exit code 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from sg_blender_addon.core.errors import UserError
from training import distributed, evaluate, export, fine, generator, prepare, speech, table, tokenizer, voices
from training.codes import encode_set, load_codes
from training.config import Recipe, load_recipe
from training.data import TrainingSet

STARTER = Path(__file__).parent / "runs" / "starter.yaml"
STAGES = ("prepare", "tokenizer", "generator", "fine", "export", "evaluate")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m training", description="Trains the motion tokenizer and the generators."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in (*STAGES, "starter"):
        command = commands.add_parser(name, help="all stages of a recipe" if name == "starter" else f"the stage {name}")
        command.add_argument(
            "--config", type=Path, default=STARTER if name == "starter" else None, required=name != "starter"
        )
        command.add_argument("--motion", action="append", help="folder with motion clips; may be given several times")
        command.add_argument("--speech", action="append", help="folder with speech; may be given several times")
        command.add_argument("--work", help="folder for the training set and checkpoints")
        command.add_argument("-o", "--out", help="folder for the weights")
        command.add_argument("--minutes", type=float, help="minutes of motion to assemble")
        command.add_argument("--level", type=int, choices=fine.LEVELS, action="append", help="fine: only these levels")
        command.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    synthesise = commands.add_parser("synthesise", help="speak our own sentences with flite (and piper)")
    synthesise.add_argument("-o", "--out", type=Path, required=True)
    synthesise.add_argument("--piper", type=Path, help="a piper voice (.onnx)")
    synthesise.add_argument("--sentences", type=Path, default=speech.SENTENCES)
    spoken = commands.add_parser("voices", help="make the two recordings that finished weights are measured on")
    spoken.add_argument("-o", "--out", type=Path, required=True)
    spoken.add_argument("--prompts", type=Path, default=voices.PROMPTS, help="where the telephone prompts (.g722) are")
    measured = commands.add_parser("table", help="measure assembled motion and weights, and write the guide's table")
    measured.add_argument("recordings", nargs="*", type=Path, metavar="RECORDING", help="without any, only the table")
    measured.add_argument(
        "--motion", action="append", default=[], help="folder with motion clips, for the assembled columns; several"
    )
    measured.add_argument("--weights", action="append", default=[], help="weights folder; may be given several times")
    measured.add_argument("--name", action="append", default=[], help="heading for each of the weights")
    measured.add_argument(
        "--pieces", type=float, action="append", default=[], metavar="SECONDS",
        help="measure the weights also on the recordings cut into pieces of this length; may be given several times",
    )  # fmt: skip
    measured.add_argument("--guide", type=Path, default=table.GUIDE)
    return top


def recipe_of(args: argparse.Namespace) -> Recipe:
    recipe = load_recipe(
        args.config,
        motion=tuple(args.motion) if args.motion else None,
        speech=tuple(args.speech) if args.speech else None,
        work=args.work,
        out=args.out,
    )
    if args.minutes is not None:
        from dataclasses import replace

        recipe = replace(recipe, prepare=replace(recipe.prepare, minutes=args.minutes))
    return recipe


def run_prepare(recipe: Recipe, args: argparse.Namespace, device: torch.device) -> None:
    if not recipe.motion or not recipe.speech:
        raise UserError("A motion folder and at least one speech folder are needed.", hint="--motion DIR --speech DIR")
    if args.resume and prepare.is_made(recipe.folder("set"), recipe.prepare, recipe.sampling.audio_input.features):
        print(f"{recipe.folder('set')} is kept.")
        return
    if distributed.is_main():
        made = prepare.prepare(
            recipe.motion, recipe.speech, recipe.folder("set"), recipe.prepare, print,
            recipe.sampling.audio_input.features,
        )  # fmt: skip
        print(f"{made['seconds'] / 60:.1f} minutes in {len(made['clips'])} clips -> {recipe.folder('set')}")
    distributed.barrier()


def run_tokenizer(recipe: Recipe, args: argparse.Namespace, device: torch.device) -> None:
    data = TrainingSet.load(recipe.folder("set"))
    model = tokenizer.train(recipe, data, device, resume=args.resume)
    if distributed.is_main():
        encode_set(model.to("cpu"), data, recipe.folder("codes"))
    distributed.barrier()


def run_generator(recipe: Recipe, args: argparse.Namespace, device: torch.device) -> None:
    data = TrainingSet.load(recipe.folder("set"))
    generator.train(recipe, data, load_codes(recipe.folder("codes"), len(data.audio)), device, resume=args.resume)


def run_fine(recipe: Recipe, args: argparse.Namespace, device: torch.device) -> None:
    data = TrainingSet.load(recipe.folder("set"))
    codes = load_codes(recipe.folder("codes"), len(data.audio))
    for level in args.level or fine.LEVELS:
        fine.train(recipe, level, data, codes, device, resume=args.resume)


def run_export(recipe: Recipe, args: argparse.Namespace, device: torch.device) -> None:
    if distributed.is_main():
        weights = export.export(recipe, TrainingSet.load(recipe.folder("set")))
        count = sum(export.parameters(weights).values()) / 1e6
        print(f"{count:.1f} M parameters, {export.size_on_disk(recipe.out) / 2**20:.1f} MiB -> {recipe.out}")


def run_evaluate(recipe: Recipe, args: argparse.Namespace, device: torch.device) -> None:
    if distributed.is_main():
        print(evaluate.report(evaluate.evaluate(recipe)))


def run_table(args: argparse.Namespace) -> int:
    names = args.name or [Path(folder).name for folder in args.weights]
    if len(names) != len(args.weights):
        raise UserError("Each of the weights needs a name.", hint="Give --name as often as --weights.")
    for name, about in table.columns(
        args.recordings, args.motion, list(zip(names, args.weights, strict=True)), args.pieces
    ):
        print(f"{name}: {about}")
    table.write(args.guide)
    print(args.guide)
    return 0


RUN: dict[str, Callable[[Recipe, argparse.Namespace, torch.device], None]] = {
    "prepare": run_prepare, "tokenizer": run_tokenizer, "generator": run_generator, "fine": run_fine,
    "export": run_export, "evaluate": run_evaluate,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    args: Any = parser().parse_args(arguments)
    torch.set_flush_denormal(True)
    try:
        if args.command == "synthesise":
            print(f"{speech.synthesise(args.out, args.sentences, args.piper)} recordings -> {args.out}")
            return 0
        if args.command == "voices":
            print("\n".join(str(path) for path in voices.make(args.out, args.prompts)))
            return 0
        if args.command == "table":
            return run_table(args)
        recipe = recipe_of(args)
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        with distributed.process_group() as device:
            for stage in STAGES if args.command == "starter" else (args.command,):
                RUN[stage](recipe, args, device)
    except UserError as error:
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; --resume goes on from the last checkpoint.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
