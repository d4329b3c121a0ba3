"""Inputs of every kind under the paths by which a job knows them, as node/src/inputs.ts has them."""

from __future__ import annotations

import json
import os
from typing import Any, Iterable, Mapping, Sequence, Union

import numpy as np

from . import _native
from ._arrays import is_array, raw
from ._error import refusal

Path = Union[str, "os.PathLike[str]"]
Contents = Union[bytes, bytearray, memoryview]


def safetensors(tensors: Mapping[str, Any], where: str) -> list[Any]:
    """A safetensors file in pieces: the header, then the tensors' own memory."""
    header: dict[str, Any] = {}
    pieces: list[Any] = []
    end = 0
    for name, value in tensors.items():
        one = raw(value, f"{where}: {name}")
        begin, end = end, end + one.array.nbytes
        header[name] = {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": [begin, end]}
        pieces.append(one.array)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # spaces pad it, so that tensors are aligned
    return [len(text).to_bytes(8, "little") + text, *pieces]


def _is_contents(value: object) -> bool:
    return isinstance(value, (bytes, bytearray, memoryview))


def _is_evidence(value: Mapping[str, Any]) -> bool:
    return any(key in value and not _is_contents(value[key]) for key in ("activations", "gains"))


def _bundle(evidence: Mapping[str, Any], where: str) -> dict[str, Any]:
    unknown = set(evidence) - {"activations", "gains", "token_ids", "attention_mask"}
    if unknown:
        raise refusal(
            "usage",
            where,
            f"has {sorted(unknown)[0]!r}; evidence has activations, gains, token_ids and attention_mask",
        )
    tensors: dict[str, Any] = {}
    for group in ("activations", "gains"):
        given = evidence.get(group)
        if given is not None:
            named = given if isinstance(given, Mapping) else {group: given}
            tensors |= {f"{group}/{name}": value for name, value in named.items()}
    if evidence.get("token_ids") is not None:
        tensors["token_ids"] = np.asarray(_numbers(evidence["token_ids"]), np.int64)
    if evidence.get("attention_mask") is not None:
        tensors["attention_mask"] = np.asarray(_numbers(evidence["attention_mask"]), np.int64)
    return tensors


def _numbers(values: Any) -> Any:
    return raw(values, "token_ids").array if is_array(values) else values


class Inputs:
    """The inputs of one job."""

    def __init__(self, *every: Any) -> None:
        """every: all inputs of the job, so that names given to arrays do not hide paths."""
        self.mounts: list[_native.Mount] = []
        self._paths = {os.fspath(one) for one in every if isinstance(one, (str, os.PathLike))}

    def evidence(self, value: Any, role: str) -> str:
        """The path of one side's evidence; role is what it is called where it has no path."""
        if is_array(value):
            value = {"activations": value}
        elif isinstance(value, Mapping) and not _is_evidence(value) and all(is_array(one) for one in value.values()):
            value = {"activations": value}
        if isinstance(value, Mapping) and _is_evidence(value):
            return self._mount(self._fresh(role), safetensors(_bundle(value, role), role))
        return self.file(value, role)

    def file(self, value: Any, role: str) -> str:
        """The path of a file or folder: a path, one file's contents, contents or arrays by name, or one array."""
        if isinstance(value, (str, os.PathLike)):
            path = os.fspath(value)
            if not isinstance(path, str):
                raise refusal("usage", role, "expected a path of text, and found one of bytes")
            return path
        if _is_contents(value):
            return self._mount(self._fresh(role), [np.frombuffer(value, np.uint8)])
        if is_array(value):
            return self._mount(self._fresh(role), safetensors({"vector": value}, role))
        if isinstance(value, Mapping):
            if not value:
                raise refusal("usage", role, "is empty: nothing was given")
            if all(is_array(one) for one in value.values()):
                return self._mount(self._fresh(role), safetensors(value, role))
            folder = self._fresh(role)
            for name, contents in value.items():
                if isinstance(contents, Mapping) and contents and all(is_array(one) for one in contents.values()):
                    self._mount(f"{folder}/{name}", safetensors(contents, f"{role}: {name}"))
                elif _is_contents(contents):
                    self._mount(f"{folder}/{name}", [np.frombuffer(contents, np.uint8)])
                else:
                    raise refusal("usage", f"{role}: {name}", "expected bytes, or arrays by name")
            return folder
        raise refusal("usage", role, f"expected a path, bytes or arrays, and found {type(value).__name__}")

    def tokens(self, value: Any, role: str) -> str:
        """The path of token ids: an array, a list, a list of lists, or a file of them."""
        if is_array(value):
            return self._json(raw(value, role).array.tolist(), role)
        return self._json(value, role) if isinstance(value, (list, tuple)) else self.file(value, role)

    def vector(self, value: Any, role: str) -> str:
        """The path of a vector: an array, a list of numbers, or a file that transport knows."""
        if isinstance(value, (list, tuple)):
            value = np.asarray(value, np.float32)
        return self.file(value, role)

    def text(self, value: str, role: str) -> str:
        return self._mount(self._fresh(role), [value.encode()])

    def _json(self, value: Any, role: str) -> str:
        try:
            return self.text(json.dumps(value), role)
        except TypeError:
            raise refusal("usage", role, "expected whole numbers, or lists of them") from None

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
