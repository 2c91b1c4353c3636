"""The packages' public faces, and the example that the guide shows."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.backend.conftest import ROOT

FACES = ("backend", "SG_dataset", "training", "sg_blender_addon.core", "sg_blender_addon.client")


@pytest.mark.parametrize("name", FACES)
def test_every_name_of_a_face_is_there(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__doc__ and package.__all__ == sorted(package.__all__)
    for public in package.__all__:
        assert getattr(package, public).__module__.startswith(("sg_blender_addon", "SG_dataset", "backend", "training"))
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = package.nothing_of_ours


def test_a_face_is_cheap_to_look_at() -> None:
    imports = "import sys, backend, SG_dataset, training"
    heavy = "print(sorted({'torch', 'librosa', 'yaml', 'PIL'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{imports}; {heavy}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_guides_example_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "studio.md").read_text("utf-8")
    (example,) = re.findall(r"^## From Python\n```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    soundfile.write(tmp_path / "speech.wav", *soundfile.read(ROOT / "tests" / "data" / "speech" / "words.flac"))
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{example}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\(\d+, 59, 4\)", done.stdout) and (tmp_path / "motion.bvh").stat().st_size > 10_000
