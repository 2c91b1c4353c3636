"""The gesture library's command line.

python -m SG_dataset list [--json] | search "TEXT" [--top N] [--json] | show ID [--json]
                     | preview ID|all -o SHEET.png [--library DIR] | build [-o DIR] | check [ID|FILE|DIR ...]
                     | import SEG_DIR -o DIR [--mapping F] | inventory [-o FILE.xlsx]
                     | gallery [ID ...] -o DIR [--blind SEED]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image as PillowImage

from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.files import replacing
from SG_dataset.importing.command import add_import
from SG_dataset.notation.read import FOLDER, gesture_files, read_gesture
from SG_dataset.terminal import interruptible, progress_bar

if TYPE_CHECKING:
    from SG_dataset.compiler.compile import Compiled


def find_files(names: Sequence[str]) -> list[Path]:
    """Gesture files for ids, labels' beginnings of file names, or paths; all of them if none is named."""
    if not names:
        return gesture_files(FOLDER)
    found = []
    for name in names:
        path = Path(name)
        matches = [path] if path.suffix == ".yaml" else sorted(FOLDER.glob(f"{name}*.yaml"))
        if not matches:
            raise UserError(
                f"There is no gesture file for {name!r}.",
                f"Files are in {FOLDER.name}/, named ID_label.yaml.",
                "unknown_gesture",
            )
        found += matches
    return found


def save_image(image: PillowImage.Image, path: Path) -> None:
    """Write a picture at once or not at all."""
    try:
        with replacing(path) as temporary:
            image.save(temporary)
    except ValueError as problem:
        raise UserError(f"{path} cannot be written: {problem}.", "Choose a .png name.", "unknown_format") from problem


@dataclass(frozen=True)
class Drawable:
    """A gesture whose variants can be drawn; their motions are made or read when asked for."""

    id: str
    label: str
    variants: Mapping[int, Callable[[], Compiled]]

    def sheet(self, number: int, cell: int) -> PillowImage.Image:
        """The contact sheet of a variant."""
        from SG_dataset.drawing.sheet import sheet

        made = self.variants[number]()
        title = f"{self.id} {self.label} · variant {number}"
        return PillowImage.fromarray(sheet(made.motion, phases=made.phases, cell=cell, title=title))

    def numbers(self, wanted: int = 0) -> list[int]:
        """The variant that is wanted, or all."""
        if wanted and wanted not in self.variants:
            has = ", ".join(map(str, self.variants))
            raise UserError(f"{self.id} has no variant {wanted}.", f"It has {has}.", "unknown_gesture")
        return [wanted] if wanted else list(self.variants)


def drawables(name: str, library: str) -> Iterator[Drawable]:
    """The gestures that `name` ("all", an id, a file) means, in a library, or without one in the gesture files."""
    from SG_dataset.compiler.compile import Compiled, compile_variant

    if library:
        from SG_dataset.open import open_library
        from SG_dataset.records import Variant

        def read(v: Variant) -> Compiled:
            return Compiled(v.motion(), v.phases, v.hand, ())

        loaded = open_library(library)
        for gesture in loaded.gestures.values() if name == "all" else [loaded.gesture(name)]:
            yield Drawable(gesture.id, gesture.label, {v.number: partial(read, v) for v in gesture.variants})
        return
    for path in find_files([] if name == "all" else [name]):
        spec = read_gesture(path)
        yield Drawable(spec.id, spec.label, {v.number: partial(compile_variant, spec, v) for v in spec.variants})


def preview(args: argparse.Namespace) -> None:
    out, chosen = Path(args.output), drawables(args.gesture, args.library)
    if args.gesture != "all":
        save_image(_stack([g.sheet(n, args.cell) for g in chosen for n in g.numbers(args.variant)]), out)
    elif out.suffix:
        save_image(_overview(list(chosen)), out)
    else:
        out.mkdir(parents=True, exist_ok=True)
        for g in chosen:
            save_image(g.sheet(g.numbers(args.variant)[0], args.cell), out / f"{g.id}.png")


def _stack(images: list[PillowImage.Image]) -> PillowImage.Image:
    page = PillowImage.new("RGB", (max(i.width for i in images), sum(i.height for i in images)))
    y = 0
    for image in images:
        page.paste(image, (0, y))
        y += image.height
    return page


def _overview(gestures: Sequence[Drawable], cell: int = 200, columns: int = 8) -> PillowImage.Image:
    """One picture of every gesture's stroke with its label."""
    from PIL import ImageDraw, ImageFont

    from SG_dataset.drawing.sheet import preview as draw_preview

    rows = -(-len(gestures) // columns)
    page = PillowImage.new("RGB", (columns * cell, rows * (cell + 18)), (40, 40, 44))
    font, draw = ImageFont.load_default(11), ImageDraw.Draw(page)
    for i, gesture in enumerate(gestures):
        made = gesture.variants[gesture.numbers()[0]]()
        x, y = i % columns * cell, i // columns * (cell + 18)
        page.paste(PillowImage.fromarray(draw_preview(made.motion, made.phases, cell)), (x, y + 18))
        draw.text((x + 4, y + 2), f"{gesture.id} {gesture.label}"[:32], fill=(255, 255, 255), font=font)
    return page


def list_gestures(args: argparse.Namespace) -> None:
    from SG_dataset.open import open_library

    gestures = list(open_library(args.library).gestures.values())
    if args.json:
        print(json.dumps([g.to_json() for g in gestures], ensure_ascii=False, indent=1))
        return
    for g in gestures:
        print(f"{g.id}  {g.label:<44} {len(g.variants)}  {', '.join(g.meanings)}")


def show(args: argparse.Namespace) -> None:
    from SG_dataset.open import open_library

    gesture = open_library(args.library).gesture(args.gesture)
    if args.json:
        print(json.dumps(gesture.to_json(), ensure_ascii=False, indent=1))
        return
    print(f"{gesture.id} {gesture.label}\n\n{gesture.description}\n\nMeanings: {', '.join(gesture.meanings)}")
    print("Tags: " + ", ".join(f"{k} {v}" for k, v in gesture.tags.items()))
    for v in gesture.variants:
        print(f"Variant {v.number}: {v.hand} hand, {v.seconds:.2f} s, stroke at {v.phases.stroke:.2f} s")
    print("\n".join(["Examples:", *(f"  {e.text}  [{e.word}]" for e in gesture.examples)]))


def search(args: argparse.Namespace) -> None:
    from SG_dataset.open import open_library

    found = open_library(args.library).search(args.text, args.top)
    if args.json:
        print(json.dumps([{"id": g.id, "label": g.label, "score": round(s, 4)} for g, s in found], ensure_ascii=False))
        return
    for gesture, score in found:
        print(f"{score:6.2f}  {gesture.id}  {gesture.label:<44} {', '.join(gesture.meanings)}")


def build(args: argparse.Namespace) -> None:
    from SG_dataset.build import build as build_library
    from SG_dataset.build import size_report
    from SG_dataset.library import BUILT

    folder = Path(args.output) if args.output else BUILT
    with interruptible() as cancel, progress_bar(cancel) as progress:
        path = build_library(folder, progress=progress)
    print(size_report(path))


def check(args: argparse.Namespace) -> int:
    from SG_dataset.checks import check_files, check_library
    from SG_dataset.library import FILE

    names = list(args.gestures)
    folder = Path(names[0]) if len(names) == 1 else None
    if folder is not None and ((folder.is_dir() and (folder / FILE).is_file()) or folder.suffix == ".zip"):
        report = check_library(folder)
    else:
        report = check_files(FOLDER.glob("*.yaml") if folder is not None and folder == FOLDER else find_files(names))
    print(report.text(verbose=args.verbose))
    return 0 if report.passed else 1


def inventory(args: argparse.Namespace) -> None:
    from SG_dataset.inventory import WORKBOOK, write_inventory
    from SG_dataset.notation.read import read_gestures

    path = Path(args.output) if args.output else WORKBOOK
    write_inventory(list(read_gestures()), path)
    print(path)


def gallery(args: argparse.Namespace) -> None:
    from SG_dataset.drawing.gallery import blind_set, write_gallery

    specs = [read_gesture(p) for p in find_files(args.gestures)]
    if args.blind is not None:
        blind_set(specs, Path(args.output), args.blind)
    else:
        with interruptible() as cancel, progress_bar(cancel) as progress:
            page = write_gallery(specs, Path(args.output), progress)
        print(page)


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="python -m SG_dataset", description="The gesture library.")
    commands = top.add_subparsers(dest="command", required=True)
    where = argparse.ArgumentParser(add_help=False)
    shown = "starter, a folder with a built library, or DIR+starter: yours over ours"
    where.add_argument("--library", default="starter", help=shown)
    where.add_argument("--json", action="store_true", help="print JSON")
    commands.add_parser("list", parents=[where], help="all gestures").set_defaults(run=list_gestures)
    p = commands.add_parser("search", parents=[where], help="gestures for a text, best first")
    p.add_argument("text")
    p.add_argument("--top", type=int, default=10)
    p.set_defaults(run=search)
    p = commands.add_parser("show", parents=[where], help="one gesture with its texts and variants")
    p.add_argument("gesture", metavar="ID")
    p.set_defaults(run=show)
    p = commands.add_parser("preview", help="draw contact sheets from the gesture files, or from a library")
    p.add_argument("gesture", metavar="ID|all")
    p.add_argument("-o", "--output", required=True, help="a .png; with `all` also a folder for one sheet each")
    p.add_argument("--variant", type=int, default=0, help="only this variant")
    p.add_argument("--library", default="", help="draw what this library holds: a folder, DIR+starter or starter")
    p.add_argument("--cell", type=int, default=300, help="pixels of one picture")
    p.set_defaults(run=preview)
    p = commands.add_parser("build", help="compile all gesture files into the library")
    p.add_argument("-o", "--output", help="folder (default: SG_dataset/built)")
    p.set_defaults(run=build)
    p = commands.add_parser("check", help="check gesture files, or a built library's folder")
    p.add_argument("gestures", nargs="*", metavar="ID|FILE|DIR")
    p.add_argument("-v", "--verbose", action="store_true", help="print every measurement")
    p.set_defaults(run=check)
    p = commands.add_parser("gallery", help="write a searchable page of all gestures, or a set for naming blind")
    p.add_argument("gestures", nargs="*", metavar="ID")
    p.add_argument("-o", "--output", required=True, help="folder")
    p.add_argument("--blind", type=int, metavar="SEED", help="shuffled sheets and key.json instead")
    p.set_defaults(run=gallery)
    p = commands.add_parser("inventory", help="write SG_list.xlsx from the gesture files")
    p.add_argument("-o", "--output")
    p.set_defaults(run=inventory)
    add_import(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 on success, 1 where a check failed, 2 on an error."""
    args = parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except UserError as problem:
        print(f"error: {problem.message}", file=sys.stderr)
        if problem.hint:
            print(f"  {problem.hint}", file=sys.stderr)
        return 2
