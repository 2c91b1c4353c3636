"""Reading checkpoints and scalers of the reference without running anything that is in them.

Both are pickles, and a pickle can call any function it names. Here it can name only what these files hold (tensors,
ordered dicts, configuration trees, numpy arrays, a StandardScaler), and each of those names stands for a class of ours
that only stores what it is given. scikit-learn, easydict and joblib are not needed.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sg_blender_addon.core.errors import UserError

_PICKLE_LIMIT = 64 * 2**20  # bytes of structure, apart from the tensors
_SCALER_LIMIT = 8 * 2**20
_STORAGES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip


_HINT = "Download it again, and check that it is the file this option asks for."


def broken(path: Path, what: str, hint: str = _HINT) -> UserError:
    return UserError(f"{path.name}: {what}.", hint, "bad_reference_file")


class _Forbidden(Exception):  # noqa: N818 - never leaves this module
    """A pickle asked for something these files never hold."""


class Tree(dict[Any, Any]):
    """Stands for easydict.EasyDict: a dict; the attributes that are pickled beside it repeat its entries."""

    def __setstate__(self, state: Any) -> None:
        """Nothing to keep."""


class _Stored:
    """One storage of a checkpoint: where it lies and what it holds."""

    def __init__(self, dtype: torch.dtype, key: str, count: int) -> None:
        self.dtype, self.key, self.count = dtype, key, count


class StoredTensor:
    """A tensor of a checkpoint, not read yet."""

    def __init__(self, storage: _Stored, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor:
    numbers = [offset, *shape, *stride]
    if not isinstance(storage, _Stored) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise _Forbidden("a tensor without proper sizes")
    if len(shape) != len(stride):
        raise _Forbidden("a tensor without proper sizes")
    last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    if 0 not in shape and last >= storage.count:
        raise _Forbidden("a tensor larger than its storage")
    return StoredTensor(storage, offset, tuple(shape), tuple(stride))


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


_CHECKPOINT_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("easydict", "EasyDict"): Tree,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): dtype for name, dtype in _STORAGES.items()},
}


class _CheckpointUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _CHECKPOINT_NAMES[module, name]
        except KeyError:
            raise _Forbidden(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage" or not isinstance(pid[1], torch.dtype):
            raise _Forbidden("an unknown kind of storage")
        if not isinstance(pid[2], str) or not isinstance(pid[4], int) or pid[4] < 0:
            raise _Forbidden("an unknown kind of storage")
        return _Stored(pid[1], pid[2], pid[4])


def _guarded(path: Path, load: Callable[[], Any]) -> Any:
    """Run an unpickler on hostile input: whatever goes wrong becomes one sentence."""
    try:
        return load()
    except _Forbidden as error:
        raise broken(
            path,
            f"it asks for {error}, which a file of the reference never holds, so it was not loaded",
            "Do not use this file: it may have been made to run a program on your machine.",
        ) from error
    except UserError:
        raise
    except RecursionError as error:
        raise broken(path, "it is nested too deeply to be a file of the reference") from error
    except Exception as error:
        raise broken(path, f"it is damaged or not a pickle ({type(error).__name__}: {error})") from error


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint saved with `torch.save`, without the `module.` prefix; UserError otherwise."""
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise broken(path, "it is damaged, cut short, or not a checkpoint saved by PyTorch 1.6 or later")
            with zipfile.ZipFile(file) as archive:
                return _read_archive(path, archive)
    except zipfile.BadZipFile as error:
        raise broken(path, f"it is damaged ({error})") from error
    except OSError as error:
        raise broken(path, f"it cannot be read ({error.strerror or error})", "Check the path.") from error


def _read_archive(path: Path, archive: zipfile.ZipFile) -> dict[str, Tensor]:
    entries = {info.filename: info for info in archive.infolist()}
    roots = [name[: -len("data.pkl")] for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise broken(path, "it is a zip archive but not a PyTorch checkpoint")
    root = roots[0]
    if entries[root + "data.pkl"].file_size > _PICKLE_LIMIT:
        raise broken(path, "its structure is far too large for a checkpoint of the reference")
    order = entries.get(root + "byteorder")
    if order is not None and archive.read(order) != b"little":
        raise broken(path, "it was saved on a machine with another byte order")
    structure = archive.read(root + "data.pkl")
    data = _guarded(path, lambda: _CheckpointUnpickler(io.BytesIO(structure)).load())
    model = data.get("model") if isinstance(data, dict) else None
    if not isinstance(model, dict) or not model:
        raise broken(path, "it holds no model")
    return {_name(path, key): _tensor(path, archive, entries, root, key, value) for key, value in model.items()}


def _name(path: Path, key: Any) -> str:
    if not isinstance(key, str):
        raise broken(path, "its model has an entry without a name")
    return key.removeprefix("module.")


def _tensor(
    path: Path, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], root: str, key: str, value: Any
) -> Tensor:
    if not isinstance(value, StoredTensor):
        raise broken(path, f"{key} is not a tensor")
    info = entries.get(f"{root}data/{value.storage.key}")
    size = value.storage.count * value.storage.dtype.itemsize
    if info is None or info.file_size != size or info.compress_type != zipfile.ZIP_STORED:
        raise broken(path, f"the numbers of {key} are missing or cut short")
    numbers = torch.frombuffer(bytearray(archive.read(info)), dtype=value.storage.dtype) if size else torch.empty(0)
    return numbers.as_strided(value.shape, value.stride, value.offset).clone()


# ---------------------------------------------------------------------------------------------------------- scalers


class _DType:
    """Stands for numpy.dtype; only plain numbers."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or code.lstrip("<>=|") not in ("f8", "f4", "i8", "i4", "u8", "u4", "b1"):
            raise _Forbidden(f"an array of {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


def _plain_array(dtype: Any, shape: Any, data: Any) -> npt.NDArray[Any]:
    if not isinstance(dtype, _DType) or not isinstance(data, bytes) or not isinstance(shape, tuple):
        raise _Forbidden("an array of objects")
    return np.frombuffer(data, dtype.dtype).reshape(shape).copy()


class _Array:
    """Stands for numpy.ndarray as plain pickles rebuild it."""

    values: npt.NDArray[Any]

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.values = _plain_array(dtype, shape[::-1] if fortran else shape, data)
        if fortran:
            self.values = self.values.T


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _scalar(dtype: Any, data: Any = b"") -> Any:
    return _plain_array(dtype, (1,), data)[0]


class _Fields:
    """Stands for a class whose attributes are all we want."""

    fields: dict[str, Any]

    def __init__(self) -> None:
        self.fields = {}

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise _Forbidden("an object in an unknown form")
        self.fields = state


class _JoblibArray(_Fields):
    """Stands for joblib's wrapper: the array's bytes follow it in the stream."""

    def read(self, file: BinaryIO) -> npt.NDArray[Any]:
        shape, dtype = self.fields.get("shape"), self.fields.get("dtype")
        if not isinstance(shape, tuple) or not isinstance(dtype, _DType) or not all(isinstance(n, int) for n in shape):
            raise _Forbidden("an array of objects")
        if self.fields.get("numpy_array_alignment_bytes") is not None:
            file.read(int.from_bytes(file.read(1), "little"))
        size = int(np.prod(shape, dtype=np.int64)) * dtype.dtype.itemsize
        if not 0 <= size <= _SCALER_LIMIT:
            raise _Forbidden("an array of absurd size")
        data = file.read(size)
        if len(data) != size:
            raise EOFError("the file ends inside an array")
        values = np.frombuffer(data, dtype.dtype).copy()
        return values.reshape(shape[::-1]).T if self.fields.get("order") == "F" else values.reshape(shape)


class _StandardScaler(_Fields):
    pass


_SCALER_NAMES: dict[tuple[str, str], Any] = {
    ("sklearn.preprocessing._data", "StandardScaler"): _StandardScaler,
    ("sklearn.preprocessing.data", "StandardScaler"): _StandardScaler,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _JoblibArray,
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _Array,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
}


# the unpickler written in Python, because joblib's arrays lie in the stream between two instructions
_PythonUnpickler: Any = pickle._Unpickler


class _ScalerUnpickler(_PythonUnpickler):  # type: ignore[misc]
    dispatch: ClassVar[dict[int, Any]] = dict(_PythonUnpickler.dispatch)

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.file = file

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _SCALER_NAMES[module, name]
        except KeyError:
            raise _Forbidden(f"{module}.{name}") from None

    def load_build(self) -> None:
        super().load_build()
        if isinstance(self.stack[-1], _JoblibArray):
            self.stack[-1] = self.stack[-1].read(self.file)

    dispatch[pickle.BUILD[0]] = load_build


def _column(path: Path, fields: dict[str, Any], name: str) -> npt.NDArray[np.float64]:
    values = fields.get(name)
    if isinstance(values, _Array):
        values = values.values
    if not isinstance(values, np.ndarray) or values.ndim != 1 or not np.all(np.isfinite(values.astype(np.float64))):
        raise broken(path, f"its {name} is missing or not a row of finite numbers")
    return values.astype(np.float64)


def read_scaler(path: Path, width: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """mean and scale of a pickled StandardScaler of `width` columns (joblib or plain pickle); UserError otherwise."""
    try:
        if path.stat().st_size > _SCALER_LIMIT:
            raise broken(path, "it is far too large for a scaler")
        data = path.read_bytes()
    except OSError as error:
        raise broken(path, f"it cannot be read ({error.strerror or error})", "Check the path.") from error
    scaler = _guarded(path, lambda: _ScalerUnpickler(io.BytesIO(data)).load())
    if not isinstance(scaler, _StandardScaler):
        raise broken(path, "it is not a StandardScaler of scikit-learn")
    mean, scale = (_column(path, scaler.fields, name) for name in ("mean_", "scale_"))
    if len(mean) != width or len(scale) != width:
        hint = "Did you exchange the body scaler (219 columns) and the audio scaler (437)?"
        raise broken(path, f"it scales {len(mean)} columns; {width} are needed", hint)
    if np.any(scale <= 0):
        raise broken(path, "one of its scales is not positive")
    return mean, scale
