"""`python -m SG_dataset import SEG_DIR -o DIR [--mapping F]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sg_blender_addon.core.errors import Cancelled
from SG_dataset.terminal import interruptible, progress_bar

CANCELLED = 130  # what shells expect of a command ended by Ctrl-C


def add_import(commands: Any) -> None:
    """Add the command to an argparse sub-parser group."""
    p = commands.add_parser("import", help="make a library of a SeG download or any folder of BVH files")
    p.add_argument("source", metavar="SEG_DIR", help="the folder as it was downloaded, or any folder of BVH files")
    p.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the new library")
    p.add_argument("--mapping", metavar="F", help="JSON or YAML: joints, labels, texts, licence (docs/own-library.md)")
    p.add_argument("--jobs", type=int, default=0, metavar="N", help="processes (default: what the machine has)")
    p.add_argument("--quiet", action="store_true", help="no progress bar")
    p.set_defaults(run=run_import)


def run_import(args: argparse.Namespace) -> int:
    """Import; 0 when something could be used, 130 when it was cancelled. UserError otherwise."""
    from SG_dataset.importing.run import import_folder

    mapping = Path(args.mapping) if args.mapping else None
    try:
        with interruptible() as cancel, progress_bar(cancel, args.quiet) as progress:
            report = import_folder(Path(args.source), Path(args.output), mapping, progress, max(args.jobs, 0))
    except (Cancelled, KeyboardInterrupt):
        sys.stderr.write("Cancelled. Nothing was written.\n")
        return CANCELLED
    sys.stdout.write(report.text() + "\n")
    sys.stdout.write(f"Use it with --library {args.output}, or over ours with --library {args.output}+starter.\n")
    return 0
