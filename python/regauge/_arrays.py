"""Arrays of NumPy, PyTorch and whatever speaks DLPack, as plain bytes: nothing is copied where elements lie in C order."""

from __future__ import annotations

import sys
from typing import Any, Callable, NamedTuple

import numpy as np

from ._error import refusal

# Element types by the names that safetensors gives them, from those of NumPy, ml_dtypes and PyTorch.
_DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
}
_NAMES = {short: long for long, short in _DTYPES.items()}
# What NumPy itself does not know travels as integers of the same width.
_CARRIERS = {"BF16": np.uint16, "F8_E4M3": np.uint8, "F8_E5M2": np.uint8}


class Raw(NamedTuple):
    """An array's elements, in C order."""

    array: np.ndarray  # of a type that NumPy itself knows; shares the original's memory where that is in C order
    dtype: str  # "F32", "BF16", ...
    like: Callable[[np.ndarray, str], Any]  # an array of this or another element type in the original's library

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape


def is_array(value: object) -> bool:
    return isinstance(value, np.ndarray) or any(
        hasattr(value, name) for name in ("__dlpack__", "__array_interface__", "__array__")
    )


def raw(value: Any, where: str) -> Raw:
    """``value`` as bytes. Raises Error(wrongDtype) for element types that no file has."""
    if is_torch(value):
        try:
            return _raw_torch(value, where)
        except (NotImplementedError, RuntimeError, TypeError) as error:  # sparse, nested, of no memory ("meta"), ...
            why = str(error).partition("\n")[0]
            raise refusal("wrongDtype", where, f"is a tensor whose elements cannot be had: {why}") from None
    array = value if isinstance(value, np.ndarray) else _as_numpy(value)
    if np.ma.is_masked(array):
        raise refusal("wrongDtype", where, "is a masked array; fill what is masked, or leave those rows out")
    dtype = _DTYPES.get(array.dtype.name)
    if dtype is None:
        raise refusal("wrongDtype", where, f"has elements of type {array.dtype}; expected floats (or whole numbers)")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    array = np.asarray(array, order="C")
    if dtype in _CARRIERS:
        array = array.view(_CARRIERS[dtype])
    return Raw(array, dtype, lambda other, kind: _typed(other, kind, where))


def _typed(array: np.ndarray, dtype: str, where: str) -> np.ndarray:
    """The array in the element type that its carrier stands for. Raises Error(unsupported) where NumPy has none."""
    if dtype not in _CARRIERS:
        return array
    try:
        import ml_dtypes
    except ImportError:
        sentence = f"is of type {_NAMES[dtype]}, which NumPy knows with the package ml_dtypes; install it"
        raise refusal("unsupported", where, sentence) from None
    return array.view(getattr(ml_dtypes, _NAMES[dtype]))


def numbers(values: Any, where: str, kinds: str = "iuf") -> np.ndarray:
    """A list of numbers, or of lists of them, as an array. Raises Error(malformed): not numbers, or not of one length.

    kinds: of NumPy's dtypes.
    """
    try:
        array = np.asarray(values)
    except (RuntimeError, TypeError, ValueError):  # of NumPy, or of a tensor in the list
        raise refusal("malformed", where, "holds lists of different lengths, or what is no number") from None
    if array.dtype.kind not in kinds:
        raise refusal("malformed", where, "expected numbers that float64 or int64 can hold")
    return array


def values(given: Any, where: str) -> np.ndarray:
    """The numbers of an array or of lists as NumPy calculates with them: bfloat16 as float32."""
    if not is_array(given):
        return numbers(given, where)
    array, dtype, _ = raw(given, where)
    if dtype == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    if dtype in _CARRIERS:
        raise refusal("wrongDtype", where, f"has elements of type {_NAMES[dtype]}; convert them to float32 first")
    return array


def whole_numbers(values: Any, where: str) -> np.ndarray:
    """Token ids or a mask, of an array or of lists, as int64. Raises Error(malformed) where one is no whole number."""
    if is_array(values):
        array, dtype, _ = raw(values, where)
        if dtype in _CARRIERS:
            raise refusal("wrongDtype", where, f"has elements of type {dtype}; expected whole numbers")
    else:
        array = numbers(values, where, "biuf")
    with np.errstate(invalid="ignore"):
        whole = array.astype(np.int64)
    if not np.array_equal(whole, array):
        wrong = array.flat[int(np.argmax((whole != array).ravel()))]
        raise refusal("malformed", where, f"expected whole numbers, and found {wrong}")
    return whole


def name_of(dtype: str) -> str:
    """NumPy's and PyTorch's name of an element type: "bfloat16" of "BF16"."""
    return _NAMES[dtype]


def empty(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array to fill, of the type that carries ``dtype``."""
    return np.empty(shape, _CARRIERS.get(dtype) or np.dtype(_NAMES[dtype]))


def from_bytes(buffer: Any, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of a file as an array that shares the buffer's memory."""
    if dtype not in _NAMES:
        raise refusal("wrongDtype", "", f"elements of type {dtype} are not known here")
    return np.frombuffer(buffer, _CARRIERS.get(dtype) or np.dtype(_NAMES[dtype])).reshape(shape)


def is_torch(value: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def tensor_of(array: np.ndarray, dtype: str) -> Any:
    """The array, or what it carries, as a PyTorch tensor that shares its memory."""
    import torch

    if dtype not in _CARRIERS:
        return torch.from_numpy(array)
    same_width = np.int16 if dtype == "BF16" else np.uint8  # older PyTorch has no uint16
    return torch.from_numpy(array.view(same_width)).view(getattr(torch, _NAMES[dtype]))


def _raw_torch(tensor: Any, where: str) -> Raw:
    import torch

    dtype = _DTYPES.get(str(tensor.dtype).removeprefix("torch."))
    if dtype is None:
        raise refusal("wrongDtype", where, f"has elements of type {tensor.dtype}; expected floats (or whole numbers)")
    here = tensor.detach().to("cpu").resolve_neg().contiguous()
    carrier = {"BF16": torch.int16, "F8_E4M3": torch.uint8, "F8_E5M2": torch.uint8}.get(dtype)
    array = (here if carrier is None else here.view(carrier)).numpy()
    if dtype in _CARRIERS:
        array = array.view(_CARRIERS[dtype])
    return Raw(array, dtype, lambda other, kind: tensor_of(other, kind).to(tensor.device))


def _as_numpy(value: Any) -> np.ndarray:
    if hasattr(value, "__dlpack__"):
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError, ValueError):
            pass  # bfloat16, or another device: the library's own conversion may still know how
    return np.asarray(value)
