"""Inputs of every kind under the paths by which a job knows them, as node/src/inputs.ts has them."""

from __future__ import annotations

import io
import json
import os
from functools import partial
from typing import Any, Callable, Iterable, Mapping, Optional, Sequence, Union

import numpy as np

from . import _native
from ._arrays import is_array, name_of, numbers, raw, whole_numbers
from ._error import refusal

Path = Union[str, "os.PathLike[str]"]
Contents = Union[bytes, bytearray, memoryview]


def path_of(value: Any, where: str) -> str:
    """A path as the core takes it. Raises Error(usage): not text, empty, or letters that no UTF-8 has."""
    try:
        path = os.fspath(value)
    except TypeError:
        raise refusal("usage", where, f"expected a path, and found {type(value).__name__}") from None
    if not isinstance(path, str):
        raise refusal("usage", where, "expected a path of text, and found one of bytes")
    if not path:
        raise refusal("usage", where, "is an empty path")
    return text_of(path, where)


def text_of(text: str, where: str) -> str:
    """The text. Raises Error(usage) where it holds what is no Unicode, as Python has it of names that are not UTF-8."""
    if text.isascii():  # at once, of a gauge of many megabytes too
        return text
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise refusal("usage", where, f"holds {ascii(text[error.start])}, which is no Unicode") from None
    return text


def _by_name(values: Mapping[Any, Any], where: str, full: Callable[[str], str] = str) -> dict[str, Any]:
    """The values by names of text: a layer's number is one, too. full: the name by which a file has one."""
    named = {text_of(full(str(key)), where): value for key, value in values.items()}
    if len(named) < len(values):
        raise refusal("usage", where, "has two of one name")
    return named


def safetensors(tensors: Mapping[str, Any], where: str) -> list[Any]:
    """A safetensors file in pieces: the header, then the tensors' own memory."""
    header: dict[str, Any] = {}
    pieces: list[Any] = []
    end = 0
    for name, value in _by_name(tensors, where).items():
        one = raw(value, f"{where}: {name}")
        begin, end = end, end + one.array.nbytes
        header[name] = {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": [begin, end]}
        pieces.append(one.array)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # spaces pad it, so that tensors are aligned
    return [len(text).to_bytes(8, "little") + text, *pieces]


def npy(value: Any, where: str) -> list[Any]:
    """A .npy file in pieces: the header, then the array's own memory. Raises Error(wrongDtype): no type of NumPy's."""
    array, dtype, _ = raw(value, where)
    if array.dtype.name != name_of(dtype):
        raise refusal(
            "wrongDtype",
            where,
            f"has elements of type {name_of(dtype)}, which a .npy file cannot hold; let out end in .safetensors",
        )
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    return [header.getvalue(), array]


def _is_contents(value: object) -> bool:
    return isinstance(value, (bytes, bytearray, memoryview))


def _bytes(contents: Contents) -> np.ndarray:
    view = memoryview(contents)
    return np.frombuffer(view if view.c_contiguous else view.tobytes(), np.uint8)


def _is_evidence(value: Mapping[str, Any]) -> bool:
    return any(key in value and not _is_contents(value[key]) for key in ("activations", "gains"))


_GROUPS = ("activations", "gains")
_WHOLE = ("token_ids", "attention_mask")


def _in_group(group: str, name: str) -> str:
    """A tensor's name in an evidence file: its own, where it was read from one."""
    return name if name in _WHOLE or name.startswith(tuple(f"{one}/" for one in _GROUPS)) else f"{group}/{name}"


def _bundle(evidence: Mapping[str, Any], where: str) -> dict[str, Any]:
    unknown = set(evidence) - {*_GROUPS, *_WHOLE}
    if unknown:
        raise refusal(
            "usage",
            where,
            f"has {sorted(unknown)[0]!r}; evidence has activations, gains, token_ids and attention_mask",
        )
    tensors: dict[str, Any] = {}
    for group in _GROUPS:
        given = evidence.get(group)
        if given is not None:
            named = given if isinstance(given, Mapping) else {group: given}
            tensors |= _by_name(named, f"{where}: {group}", f"{group}/{{}}".format)
    return tensors | {name: evidence[name] for name in _WHOLE if evidence.get(name) is not None}


def _evidence_file(tensors: Mapping[str, Any], where: str) -> list[Any]:
    whole = {name: whole_numbers(tensors[name], f"{where}: {name}") for name in _WHOLE if name in tensors}
    return safetensors({**tensors, **whole}, where)


class Inputs:
    """The inputs of one job."""

    def __init__(self, *every: Any) -> None:
        """every: all inputs of the job, so that names given to arrays do not hide paths."""
        self.mounts: list[_native.Mount] = []
        paths = (os.fspath(one) for one in every if isinstance(one, (str, os.PathLike)))
        self._paths = {path for path in paths if isinstance(path, str)}

    def evidence(self, value: Any, role: str, group: str = "activations") -> str:
        """The path of one side's evidence; role is what it is called where it has no path.

        group: what arrays are whose names do not say so, "activations" or "gains".
        """
        if is_array(value):
            value = {group: value}
        if isinstance(value, Mapping) and _is_evidence(value):
            return self._mount(self._fresh(role), _evidence_file(_bundle(value, role), role))
        if isinstance(value, Mapping) and value and all(is_array(one) for one in value.values()):
            tensors = _by_name(value, role, partial(_in_group, group))
            return self._mount(self._fresh(role), _evidence_file(tensors, role))
        return self.file(value, role)

    def file(self, value: Any, role: str, out: Optional[Path] = None) -> str:
        """The path of a file or folder: a path, one file's contents, contents or arrays by name, or one array.

        out: where arrays go when they are moved, in the format that its name says.
        Raises Error: usage (several as .npy), wrongDtype (no type of .npy).
        """
        if isinstance(value, (str, os.PathLike)):
            return path_of(value, role)
        if _is_contents(value):
            return self._mount(self._fresh(role), [_bytes(value)])
        to_npy = out is not None and path_of(out, "out").endswith(".npy")
        if is_array(value):
            pieces = npy(value, role) if to_npy else safetensors({"vector": value}, role)
            return self._mount(self._fresh(role), pieces)
        if isinstance(value, Mapping):
            if not value:
                raise refusal("usage", role, "is empty: nothing was given")
            if all(is_array(one) for one in value.values()):
                if to_npy:
                    sentence = "a .npy file holds one array, without a name: let it end in .safetensors, or give one"
                    raise refusal("usage", "out", sentence)
                return self._mount(self._fresh(role), safetensors(value, role))
            folder = self._fresh(role)
            for name, contents in _by_name(value, role).items():
                if isinstance(contents, Mapping) and contents and all(is_array(one) for one in contents.values()):
                    self._mount(f"{folder}/{name}", safetensors(contents, f"{role}: {name}"))
                elif _is_contents(contents):
                    self._mount(f"{folder}/{name}", [_bytes(contents)])
                else:
                    raise refusal("usage", f"{role}: {name}", "expected bytes, or arrays by name")
            return folder
        raise refusal("usage", role, f"expected a path, bytes or arrays, and found {type(value).__name__}")

    def tokens(self, value: Any, role: str) -> str:
        """The path of token ids: an array, a list, a list of lists, or a file of them."""
        if not is_array(value) and not isinstance(value, (list, tuple)):
            return self.file(value, role)
        if is_array(value) or not any(hasattr(one, "__len__") for one in value):
            whole = whole_numbers(value, role).tolist()
        else:  # sequences, not all of one length
            whole = [whole_numbers(one, role).tolist() for one in value]
        return self.text(json.dumps(whole), role)

    def vector(self, value: Any, role: str) -> str:
        """The path of a vector: an array, a list of numbers, or a file that transport knows."""
        if isinstance(value, (list, tuple)):
            value = numbers(value, role).astype(np.float32)
        return self.file(value, role)

    def text(self, value: str, role: str) -> str:
        return self._mount(self._fresh(role), [value.encode()])

    def _fresh(self, name: str) -> str:
        taken: Iterable[str] = [*self._paths, *(mount.path for mount in self.mounts)]
        candidate, k = name, 2
        while any(
            one == candidate or one.startswith(f"{candidate}/") or candidate.startswith(f"{one}/") for one in taken
        ):
            candidate, k = f"{name}-{k}", k + 1
        return candidate

    def _mount(self, path: str, pieces: Sequence[Any]) -> str:
        self.mounts.append(_native.Mount(path, pieces))
        return path
