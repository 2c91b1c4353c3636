"""Draw timeline.png from a recording and its report: `python -m demo.draw_timeline SPEECH REPORT.json OUT.png`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from backend.outputs.timeline import write_timeline
from backend.speech.audio import load_audio
from sg_blender_addon.core.timeline import Segment, Word


def main(speech: Path, report_path: Path, out: Path) -> None:
    report = json.loads(report_path.read_text("utf-8"))
    audio = load_audio(speech)
    words = [Word.from_json(word) for word in report["words"]]
    segments = [Segment.from_json(segment) for segment in report["segments"]]
    write_timeline(out, audio.samples, audio.rate, words, segments, title=speech.stem)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
