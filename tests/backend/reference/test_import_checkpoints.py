"""Importing the authors' files: right ones, damaged ones, malicious ones."""

import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from backend.models.generate import generate_codes
from backend.models.weights import Weights, build
from backend.reference.bank import load_bank
from backend.reference.import_checkpoints import FILES, import_reference
from backend.reference.unpickle import read_checkpoint, read_scaler
from sg_blender_addon.core.errors import UserError

from ..models.formula import generator, values
from ..models.small import CODES, SMALL

NAMES = {"rqvae": "tokenizer", "gpt0": "level0", "gpt1": "fine1", "gpt2": "fine2", "gpt3": "fine3"}


@pytest.fixture
def their_modules(monkeypatch):
    """Modules with the names of easydict and scikit-learn, to pickle with; `hide` makes importing them fail."""
    easydict = types.ModuleType("easydict")

    class EasyDict(dict):
        def __init__(self, entries=()):
            super().__init__()
            for key, value in dict(entries).items():
                value = EasyDict(value) if isinstance(value, dict) else value
                self[key] = value
                setattr(self, key, value)

    class StandardScaler:
        def __init__(self, **fields):
            self.__dict__.update(fields)

        def __getstate__(self):
            return {**self.__dict__, "_sklearn_version": "1.5.1"}

    EasyDict.__module__, EasyDict.__qualname__ = "easydict", "EasyDict"
    StandardScaler.__module__, StandardScaler.__qualname__ = "sklearn.preprocessing._data", "StandardScaler"
    easydict.EasyDict = EasyDict
    data = types.ModuleType("sklearn.preprocessing._data")
    data.StandardScaler = StandardScaler
    modules = {
        "easydict": easydict,
        "sklearn": types.ModuleType("sklearn"),
        "sklearn.preprocessing": types.ModuleType("sklearn.preprocessing"),
        "sklearn.preprocessing._data": data,
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)

    def hide():
        for name in modules:
            monkeypatch.setitem(sys.modules, name, None)

    return types.SimpleNamespace(EasyDict=EasyDict, StandardScaler=StandardScaler, hide=hide)


def full_state(small, name):
    """All tensors, the derived ones too, as a checkpoint has them."""
    return OrderedDict(("module." + key, tensor) for key, tensor in small.model(name).state_dict().items())


def save_checkpoint(path, state, their, extra=None):
    config = their.EasyDict({"structure": {"joint_num": 74, "layers": [3, 2], "lr": 1e-4}, "data": {"dir": "x"}})
    optimizer = {"state": {0: {"step": torch.tensor(7.0), "exp_avg": torch.zeros(5)}}, "param_groups": [{"lr": 0.1}]}
    rest = {"optimizer": optimizer, "config": config, "epoch": 200, "updates": 5, **(extra or {})}
    torch.save({"model": state, **rest}, path)


def save_scaler(path, width, their, dump=joblib.dump):
    mean = values(f"mean {width}", (width,)).astype(float)
    scale = np.exp(values(f"scale {width}", (width,))).astype(float)
    scaler = their.StandardScaler(
        with_mean=True, copy=True, n_features_in_=width, n_samples_seen_=np.int64(1234), mean_=mean, var_=scale**2,
        scale_=scale,
    )  # fmt: skip
    with path.open("wb") as file:
        dump(scaler, file)
    return mean, scale


@pytest.fixture
def files(tmp_path, small, their_modules):
    """Paths of all files, as the authors would have saved models of these sizes, under other names than theirs."""
    paths = {}
    for option, name in NAMES.items():
        paths[option] = tmp_path / f"my {option}.pth"
        save_checkpoint(paths[option], full_state(small, name), their_modules)
    for option, width in (("body_scaler", 219), ("audio_scaler", 437)):
        paths[option] = tmp_path / f"{option}.sav"
        save_scaler(paths[option], width, their_modules)
    paths["bank"] = tmp_path / "bank file.npz"
    keys = ("0031-1", "0031-2", "2223-1")
    bank = {f"rebuild_{key}_chr00": generator(key).integers(0, CODES, (2, 4, 1, 7)) for key in keys}
    np.savez(paths["bank"], **bank)
    return paths


def refused(paths, out, *words):
    with pytest.raises(UserError) as caught:
        import_reference(paths, out)
    assert not (out / "weights.json").exists()
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in caught.value.message
    return caught.value


def test_files_of_the_reference_become_weights(files, tmp_path, small, their_modules):
    their_modules.hide()
    seen = []
    progress = types.SimpleNamespace(stage=lambda name, fraction: seen.append(fraction), check=lambda: None)
    info = import_reference(files, tmp_path / "out", progress)
    weights = Weights.load(tmp_path / "out", verify=True)
    assert weights.info == info and weights.info.start_tokens == (128, 258)
    assert weights.configs == SMALL
    assert seen[-1] == 1.0 and seen == sorted(seen)
    assert_allclose(weights.body_scaler.mean, values("mean 219", (219,)).astype(float))
    assert weights.audio_scaler.mean[436] == 0 and weights.audio_scaler.constant.sum() == 1
    audio = values("speech", (20, 437))
    # the same codes as the models the files were made of, with the imported scaler in front
    scaled = weights.audio_scaler.standardise(audio)
    expected = generate_codes(small, scaled, exact=True, seed=1)
    assert_array_equal(generate_codes(weights, audio, exact=True, seed=1), expected)


def test_the_bank_keeps_its_zeros(files, tmp_path):
    import_reference(files, tmp_path / "out")
    bank = load_bank(tmp_path / "out")
    assert sorted(bank) == [("0031", 1), ("0031", 2), ("2223", 1)]
    assert_array_equal(bank["0031", 2], generator("0031-2").integers(0, CODES, (2, 4, 1, 7))[:, :, 0])
    assert load_bank(tmp_path) == {}


def test_plain_pickles_of_scalers_are_read_too(tmp_path, their_modules):
    mean, scale = save_scaler(tmp_path / "s.sav", 219, their_modules, pickle.dump)
    their_modules.hide()
    for ours, theirs in zip(read_scaler(tmp_path / "s.sav", 219), (mean, scale), strict=True):
        assert_array_equal(ours, theirs)


def test_views_and_other_types_are_read(tmp_path):
    base = torch.arange(24.0)
    state = OrderedDict(a=base[4:16].reshape(3, 4).t(), b=base[:2].half(), c=torch.tensor(3), d=torch.zeros(0, 3))
    torch.save({"model": state}, tmp_path / "x.pt")
    found = read_checkpoint(tmp_path / "x.pt")
    for name, tensor in state.items():
        assert torch.equal(found[name], tensor)


class Evil:
    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return os.mkdir, (self.flag,)


@pytest.mark.parametrize("option", ["rqvae", "gpt2", "body_scaler"])
def test_code_in_a_pickle_never_runs(files, tmp_path, option, small, their_modules):
    executed = tmp_path / "executed"
    flag = str(executed)
    if option == "body_scaler":
        files[option].write_bytes(pickle.dumps(Evil(flag)))
    else:
        save_checkpoint(files[option], full_state(small, NAMES[option]), their_modules, {"extra": Evil(flag)})
    refused(files, tmp_path / "out", files[option].name, "mkdir", "never holds")
    assert not executed.exists()


@pytest.mark.parametrize("module_name", [("builtins", "eval"), ("torch", "load"), ("numpy", "load"), ("os", "system")])
def test_nothing_else_can_be_named(tmp_path, module_name):
    module, name = module_name
    for protocol in (b"c" + f"{module}\n{name}\n".encode(), b"\x8c" + bytes([len(module)]) + module.encode()
                     + b"\x8c" + bytes([len(name)]) + name.encode() + b"\x93"):  # fmt: skip
        data = b"\x80\x04" + protocol + b"."
        (tmp_path / "s.sav").write_bytes(data)
        with pytest.raises(UserError, match="never holds"):
            read_scaler(tmp_path / "s.sav", 219)
        with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
            archive.writestr("x/data.pkl", data)
        with pytest.raises(UserError, match="never holds"):
            read_checkpoint(tmp_path / "x.pt")


@pytest.mark.parametrize("option", FILES)
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
def test_truncated_files(files, tmp_path, option, keep):
    data = files[option].read_bytes()
    files[option].write_bytes(data[: int(len(data) * keep)])
    refused(files, tmp_path / "out", files[option].name)


@pytest.mark.parametrize("option", [*FILES, "bank"])
def test_files_of_noise(files, tmp_path, option):
    files[option].write_bytes(generator("noise").bytes(5000))
    refused(files, tmp_path / "out", files[option].name)


@pytest.mark.parametrize("option", FILES)
def test_absent_files(files, tmp_path, option):
    files[option].unlink()
    refused(files, tmp_path / "out", files[option].name, "cannot be read")
    files[option] = None
    refused(files, tmp_path / "out", "--" + option.replace("_", "-"))


@pytest.mark.parametrize("option", list(NAMES))
def test_a_missing_an_extra_a_misshapen_and_a_broken_tensor(files, tmp_path, small, their_modules, option):
    name = NAMES[option]
    state = full_state(small, name)
    key = next(k for k in state if k.endswith(("linear2.bias", "mlp.2.bias")))

    def attempt(changed, *words):
        save_checkpoint(files[option], changed, their_modules)
        refused(files, tmp_path / "out", files[option].name, *words)

    short = key.removeprefix("module.")
    attempt(OrderedDict((k, v) for k, v in state.items() if k != key), "lacks", short)
    first = next(iter(state))
    attempt(OrderedDict((k, v) for k, v in state.items() if k != first), "lacks")
    attempt(OrderedDict({**state, "module.more": torch.zeros(3)}), "'more'", "does not belong")
    attempt(OrderedDict({**state, key: state[key][:-1]}), short, "shape")
    attempt(OrderedDict({**state, key: torch.full_like(state[key], float("nan"))}), short, "finite")
    attempt(OrderedDict({**state, key: "text"}), short)


def test_exchanged_files(files, tmp_path):
    swapped = {**files, "gpt1": files["gpt2"], "gpt2": files["gpt1"]}
    refused(swapped, tmp_path / "out", "predicts level 2")
    refused({**files, "gpt0": files["rqvae"]}, tmp_path / "out", "lacks")
    swapped = {**files, "body_scaler": files["audio_scaler"], "audio_scaler": files["body_scaler"]}
    refused(swapped, tmp_path / "out", "437", "219", "exchange")
    refused({**files, "body_scaler": files["gpt1"]}, tmp_path / "out")
    refused({**files, "gpt1": files["bank"]}, tmp_path / "out")


def test_wrong_banks(files, tmp_path):
    good = generator("0031-1").integers(0, CODES, (2, 4, 1, 7))
    for entries, word in (
        ({"rebuild_31": good}, "names no gesture"),
        ({"rebuild_0031-1_chr00": good[:1]}, "shape"),
        ({"rebuild_0031-1_chr00": good + CODES}, "codes"),
        ({"rebuild_0031-1_chr00": good.astype(float)}, "shape"),
        ({"rebuild_0031-1_chr00": np.array([None])}, "bank"),
        ({}, "empty"),
    ):
        np.savez(files["bank"], **entries)
        refused(files, tmp_path / "out", files["bank"].name, word)


def test_an_unknown_mask_or_table_is_not_passed_over(files, tmp_path, small, their_modules):
    for option, ending in (("gpt0", ".mask"), ("rqvae", ".pe")):
        state = full_state(small, NAMES[option])
        key = next(k for k in state if k.endswith(ending))
        good = files[option].read_bytes()
        save_checkpoint(files[option], OrderedDict({**state, key: state[key] + 1}), their_modules)
        refused(files, tmp_path / "out", files[option].name)
        files[option].write_bytes(good)


def test_the_sizes_on_meta_are_the_sizes_of_modules():
    for config in SMALL.values():
        assert all(p.device.type == "meta" for p in build(config).parameters())
