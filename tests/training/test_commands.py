"""The commands, end to end, at a size that takes seconds: folders in, a weights folder out that generates motion."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.ndimage import gaussian_filter1d

from backend.models.audio_input import AudioInput
from backend.models.codec import decode_codes
from backend.models.weights import Weights
from backend.motion import rhythm
from backend.speech import features, prosody
from backend.speech.audio import Audio
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.manner import PRESETS, Manner
from sg_blender_addon.core.progress import Progress
from training.__main__ import main
from training.config import load_recipe
from training.loop import Trainer, load_checkpoint

from . import synthetic

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "training" / "runs"


def recipe_file(folder, **changes):
    how = {"steps": 4, "batch": 4, "warmup": 1, "checkpoint_every": 2}
    recipe = {
        "name": "tiny",
        "licence": "CC0-1.0",
        "work": str(folder / "work"),
        "out": str(folder / "weights"),
        "prepare": {"minutes": 0.9, "silence": 0.1, "validation": 0.3, "seed": 3},
        "tokenizer": {
            "body_width": 16, "hands_width": 16, "body_layers": 1, "hands_layers": 1, "codes": 16,
            "level_dropout": 0.5, "optimisation": how,
        },
        "generator": {"width": 16, "heads": 2, "layers": 1, "codes": 16, "optimisation": {**how, "average": 0.9}},
        "fine": {"width": 16, "heads": 2, "layers": 1, "codes": 16, "optimisation": how},
        "sampling": {"temperature": 0.7, "top_k": 5, "top_p": 0.9, "frame_sigma": 1.5, "lookahead": 2,
                     "audio_input": {"clip": 6.0, "columns": [[0, 53]]}},
        **changes,
    }  # fmt: skip
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory, motion_folder, speech_folder):
    """Everything in one command."""
    folder = tmp_path_factory.mktemp("run")
    config = recipe_file(folder)
    command = ["starter", "--config", str(config), "--motion", str(motion_folder), "--speech", str(speech_folder)]
    assert main(command) == 0
    return folder, config


def test_one_command_makes_weights_that_generate(made):
    folder, _ = made
    weights = Weights.load(folder / "weights")
    assert weights.info.name == "tiny" and weights.info.licence == "CC0-1.0"
    assert "assembled co-speech" in weights.info.notes
    assert (weights.info.temperature, weights.info.top_k, weights.info.top_p, weights.info.frame_sigma) == (
        0.7,
        5,
        0.9,
        1.5,
    )
    assert weights.info.audio_input == AudioInput(6.0, ((0, 53),))
    rows = features.extract(Audio.from_samples(synthetic.bursts(np.arange(0.3, 3, 0.3), 3.2), synthetic.RATE))
    codes = rhythm.sample_codes(weights, rows, rhythm.Sampling(seed=1), Progress())
    assert codes.shape == (2, 4, len(rows))
    motion = rhythm.decode(weights, codes)
    assert len(motion) == 8 * len(rows) and np.isfinite(motion.rotations).all()


def test_weights_bring_their_own_smoothing(made):
    weights = Weights.load(made[0] / "weights")
    codes = np.random.default_rng(0).integers(0, 16, (2, 4, 24))
    rough, smooth = (decode_codes(weights, codes, smoothing=how) for how in ("none", None))
    wanted = gaussian_filter1d(weights.body_scaler.standardise(rough), 1.5, axis=0, mode="nearest")
    assert np.allclose(weights.body_scaler.standardise(smooth), wanted, atol=1e-3)


def test_recipe_and_log_lie_beside_the_checkpoint(made):
    folder, _ = made
    for stage in ("tokenizer", "level0", "fine1", "fine2", "fine3"):
        recipe = json.loads((folder / "work" / stage / "recipe.json").read_text())
        assert recipe["name"] == "tiny" and recipe["generator"]["width"] == 16
        assert load_checkpoint(folder / "work" / stage)["state"]["step"] == 4


def test_evaluation_measures_everything(made):
    folder, _ = made
    result = json.loads((folder / "work" / "evaluation.json").read_text())
    assert set(result["reconstruction"]) == {"recommended", "none", "latent", "frames"}
    assert all(1 <= p <= 16 for levels in result["perplexity"].values() for p in levels)
    assert set(result["likelihood"]) == {"level0", "fine1", "fine2", "fine3"}
    assert set(result["motion"]) == {"generated", "finished", "assembled"}
    assert result["motion"]["assembled"]["feet slide cm/s"] < 1.0  # a small step now and then
    assert result["motion"]["generated"]["wrist cm/s p50"] >= 0
    assert "hands timing z" in result["motion"]["assembled"]
    assert (folder / "work" / "evaluation.png").stat().st_size > 1000


def test_set_is_aligned_and_describes_itself(made):
    folder, _ = made
    about = json.loads((folder / "work" / "set" / "set.json").read_text())
    vectors = np.load(folder / "work" / "set" / "vectors.npy")
    audio = np.load(folder / "work" / "set" / "audio.npy")
    assert len(vectors) == 8 * len(audio) == 8 * sum(c["tokens"] for c in about["clips"])
    assert vectors.shape[1] == 219 and audio.shape[1] == 437 and np.all(audio[:, 436] == 0)
    assert about["made_of"]["clips"] == 4 and about["made_of"]["left_out"] == [] and about["made_of"]["utterances"] == 3


def test_a_recipe_can_hear_prosody(tmp_path, motion_folder, speech_folder):
    """Voice, words, posture and manner in place of the reference's features, guidance, hips over the legs."""
    sampling = {
        "guidance_body": 2.0,
        "guidance_hands": 1.5,
        "root": "legs",
        "restore_amplitude": True,
        "audio_input": {"features": "prosody", "clip": 6.0},
    }
    how = {"steps": 2, "batch": 4, "warmup": 1, "checkpoint_every": 2}
    generator = {
        "width": 16,
        "heads": 2,
        "layers": 1,
        "codes": 16,
        "voice_dropout": 0.2,
        "words_dropout": 0.3,
        "optimisation": how,
    }
    tokenizer = {
        "body_width": 16,
        "hands_width": 16,
        "body_layers": 1,
        "hands_layers": 1,
        "codes": 16,
        "places": 2.0,
        "optimisation": how,
    }
    config = recipe_file(tmp_path, sampling=sampling, generator=generator, fine=generator, tokenizer=tokenizer)
    assert (
        main(["starter", "--config", str(config), "--motion", str(motion_folder), "--speech", str(speech_folder)]) == 0
    )
    weights = Weights.load(tmp_path / "weights")
    info = weights.info
    assert (info.guidance_body, info.guidance_hands, info.root) == (2.0, 1.5, "legs") and len(info.rests) > 3
    assert {"Hips", "Spine2", "Head"} < set(info.gains) and all(1.0 <= gain <= 4.0 for gain in info.gains.values())
    audio = Audio.from_samples(synthetic.bursts(np.arange(0.3, 3, 0.3), 3.2), synthetic.RATE)
    heard = prosody.extract(audio)
    told = rhythm.conditions(weights, heard, Manner(), 0)
    assert told.shape == (len(heard), info.audio_input.width) and np.array_equal(told[:, : prosody.COLUMNS], heard)
    calm, lively = (
        rhythm.sample_codes(weights, heard, rhythm.Sampling(1, manner=PRESETS[m]), Progress())
        for m in ("calm", "lively")
    )
    assert calm.shape == (2, 4, len(heard)) and not np.array_equal(calm, lively)


@pytest.mark.parametrize(("stage", "where"), [("tokenizer", "tokenizer"), ("generator", "level0"), ("fine", "fine2")])
def test_a_cut_run_ends_with_the_same_bits(made, tmp_path, monkeypatch, stage, where):
    """Killed between two checkpoints and resumed, a stage equals the run that was not cut."""
    folder, config = made
    ends = {}
    for name in ("whole", "cut"):
        recipe = yaml.safe_load(config.read_text())
        recipe["work"] = str(tmp_path / name)
        recipe[stage]["optimisation"] |= {"steps": 7, "checkpoint_every": 3}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe))
        for source in ("set", "codes"):
            shutil.copytree(folder / "work" / source, tmp_path / name / source)
        command = [stage, "--config", str(path), *(["--level", "2"] if stage == "fine" else [])]
        if name == "cut":
            with monkeypatch.context() as patch:
                step = Trainer._step
                patch.setattr(Trainer, "_step", lambda self, loss, share, step=step: _until(4, self, loss, share, step))
                assert main(command) == 130
            assert load_checkpoint(tmp_path / name / where)["state"]["step"] == 3
        assert main([*command, "--resume"]) == 0
        ends[name] = load_checkpoint(tmp_path / name / where), (tmp_path / name / where / "log.jsonl").read_text()
    (whole, whole_log), (cut, cut_log) = ends["whole"], ends["cut"]
    assert whole["state"]["step"] == cut["state"]["step"] == 7
    for kept in ("model", "average"):
        if whole[kept] is not None:
            assert all(torch.equal(whole[kept][key], cut[kept][key]) for key in whole[kept]), kept
    own, again = whole["processes"][0], cut["processes"][0]
    assert torch.equal(own["random"], again["random"]) and torch.equal(
        own["sampler"]["queue"], again["sampler"]["queue"]
    )
    rows = [[json.loads(line) | {"seconds": 0} for line in log.splitlines()] for log in (whole_log, cut_log)]
    assert rows[0] == rows[1] and rows[0][-1]["step"] == 7


def _until(last, trainer, loss, share, step):
    if trainer.state.step == last:
        raise KeyboardInterrupt
    return step(trainer, loss, share)


def test_resume_goes_on_where_it_stopped(made, tmp_path):
    folder, config = made
    recipe = yaml.safe_load(config.read_text())
    before = load_checkpoint(folder / "work" / "tokenizer")
    recipe["tokenizer"]["optimisation"]["steps"] = 6
    more = tmp_path / "more.yaml"
    more.write_text(yaml.safe_dump(recipe))
    assert main(["tokenizer", "--config", str(more), "--resume"]) == 0
    after = load_checkpoint(folder / "work" / "tokenizer")
    assert after["state"]["step"] == 6 and after["state"]["elapsed"] > before["state"]["elapsed"]
    assert after["optimiser"]["state"][0]["step"] == 6
    key = "vqvae_body.bottleneck.layers.0.k"
    assert not torch.equal(before["model"][key], after["model"][key])
    assert main(["tokenizer", "--config", str(more), "--resume"]) == 0  # nothing left to do
    assert load_checkpoint(folder / "work" / "tokenizer")["state"]["step"] == 6


def test_two_processes_keep_the_same_model(made, tmp_path):
    folder, config = made
    recipe = yaml.safe_load(config.read_text()) | {"work": str(tmp_path / "work")}
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "set").symlink_to(folder / "work" / "set")
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(recipe))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0"]
    command += ["--standalone", "-m", "training", "tokenizer", "--config", str(path)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    state = load_checkpoint(tmp_path / "work" / "tokenizer")
    assert state["state"]["step"] == 4 and (tmp_path / "work" / "codes" / "codes.npy").is_file()
    # both processes' windows count: a batch of 4 windows of 15 tokens in each
    won = state["extra"]["part0"]["0.counts"]
    assert torch.isfinite(won).all() and (won > 0).all()


def test_committed_recipes_can_be_read():
    for path in RUNS.glob("*.yaml"):
        recipe = load_recipe(path)
        assert recipe.name == path.stem
    assert load_recipe(RUNS / "starter.yaml").licence == "LGPL-3.0-or-later"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nme: x", "'nme' is unknown"),
        ("tokenizer: {body_width: wide}", "'tokenizer.body_width' has a wrong value: 'wide'"),
        ("tokenizer: 3", "'tokenizer' must be an object"),
        ("[", "not valid YAML"),
        ("sampling: {audio_input: {columns: [[5, 3]]}}", "'sampling.audio_input' is wrong"),
    ],
)
def test_wrong_recipes_are_explained(tmp_path, text, words):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        load_recipe(path)


def test_missing_things_are_explained(tmp_path, capsys):
    config = recipe_file(tmp_path)
    assert main(["prepare", "--config", str(config)]) == 1
    assert "motion folder" in capsys.readouterr().err
    assert main(["prepare", "--config", str(config), "--motion", str(tmp_path), "--speech", str(tmp_path / "no")]) == 1
    assert "holds no speech" in capsys.readouterr().err
    assert main(["tokenizer", "--config", str(config)]) == 1
    assert "no training set" in capsys.readouterr().err
    assert main(["generator", "--config", str(tmp_path / "none.yaml")]) == 1
    assert "cannot be read" in capsys.readouterr().err
