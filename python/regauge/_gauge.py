"""Gauges: elements of the signed permutation group B_d, and how sure their matching is."""

from __future__ import annotations

import copy
import json
import operator
import os
from typing import Any, Literal, Mapping, NamedTuple, Optional, Sequence, TypeVar, Union

import numpy as np

from . import _native
from ._arrays import empty, is_array, numbers, raw
from ._error import in_python, refusal
from ._hidden import Hidden, HiddenAgreement
from ._inputs import path_of, text_of
from ._job import Report
from ._picture import html
from ._write import write_whole

Array = TypeVar("Array")
Group = Literal["signed", "permutation", "layernorm"]
Verdict = Literal["aligned", "partial", "unrelated"]


def _required(value: Gauge) -> Gauge:
    if not isinstance(value, Gauge):
        raise refusal("usage", "gauge", f"expected a Gauge, and found {type(value).__name__}")
    return value


class _Shares(NamedTuple):
    permutation: float  # perm[i] equal
    sign: float  # sign[i] equal, whatever perm[i] is
    both: float  # both equal


class Agreement(_Shares):
    """How far two gauges agree, as fractions of d: (permutation, sign, both)."""

    #: Of heads and neurons; None where not both gauges have a hidden part.
    hidden: Optional[HiddenAgreement] = None


class Gauge:
    """y = Q x with ``y[i] = sign[i] * x[perm[i]]``: x in source coordinates, y in target coordinates, perm 0-based.

    ::

        source   x[0]   x[1]   x[2]        perm = [2, 0, 1]     y[0] = +x[2]
                                           sign = [+, -, +]     y[1] = -x[0]
        target   y[0]   y[1]   y[2]                             y[2] = +x[1]

    A Gauge that exists is valid: perm is a permutation of 0 .. d-1, every sign is +1, -1 or 0 (undetermined). Gauges do
    not change: operations return new ones, and the arrays are read-only. ``hidden`` says where heads and MLP neurons
    went, where that was asked for.
    """

    __slots__ = ("_native", "_file", "_hidden")

    def __init__(
        self, perm: Sequence[int], sign: Sequence[int], *, group: Group = "signed", verdict: Verdict = "aligned"
    ) -> None:
        """perm: [d] whole numbers; sign: [d] of +1, -1 or 0. Raises Error(invalidGauge), naming the first wrong entry."""
        lists = {"perm": np.asarray(perm).tolist(), "sign": np.asarray(sign).tolist()}
        for name, values in lists.items():
            if not isinstance(values, list):
                raise refusal("invalidGauge", name, f"expected a list of whole numbers, and found {values!r}")
        said = {"d": len(lists["perm"]), "group": group, **lists, "verdict": verdict}
        self._adopt(Gauge.from_json({"format": "regauge-gauge", "version": 1, **said})._native)

    def _adopt(self, native: _native.Gauge) -> None:
        self._native = native
        self._file: Optional[Report] = None
        self._hidden: Optional[Hidden] = None

    @classmethod
    def _of(cls, native: _native.Gauge) -> Gauge:
        gauge = Gauge.__new__(Gauge)
        gauge._adopt(native)
        return gauge

    @classmethod
    def _found(cls, text: str, report: Report) -> Gauge:
        """From a gauge file with a hidden part, and what was found out about that."""
        gauge = Gauge.from_json(text)
        gauge._hidden = Hidden(gauge._native, report)
        return gauge

    @classmethod
    def identity(cls, d: int) -> Gauge:
        """The gauge that moves nothing."""
        width = operator.index(d)
        if width < 0:
            raise refusal("invalidGauge", "gauge", f"d is {d}; it must be a whole number")
        return Gauge(range(width), [1] * width)

    @classmethod
    def from_json(cls, text: Union[str, Mapping[str, Any]], where: str = "gauge") -> Gauge:
        """From a gauge file's text, or its parsed object. Only format, version, d, group, perm and sign are required.

        ``where`` names the file in messages. Raises Error: malformed, unsupported (a later version), invalidGauge (also
        when the fingerprint disagrees).
        """
        if not isinstance(text, str):
            try:
                text = json.dumps(text)
            except (RecursionError, TypeError, ValueError) as error:
                raise refusal("malformed", where, f"expected JSON's text or its object: {error}") from None
        with in_python("gauge", where):
            return Gauge._of(_native.Gauge.parse(text_of(text, where), where))

    @classmethod
    def load(cls, path: Union[str, "os.PathLike[str]"]) -> Gauge:
        """From a gauge file. Raises Error: missingFile, and those of from_json."""
        name = path_of(path, "path")
        with in_python("gauge", name):
            return Gauge._of(_native.Gauge.load(name))

    def save(self, path: Union[str, "os.PathLike[str]"], *, force: bool = False) -> None:
        """Writes the gauge file, whole or not at all; the command reads it. Raises Error: outputExists, writeFailed."""
        write_whole(path, self.to_json().encode(), force=force)

    def to_json(self) -> str:
        """The gauge file's text: the bytes that the command writes."""
        return self._native.to_json()

    def to_dict(self) -> Report:
        """The gauge file's object; its keys are attributes as well. It is the caller's own."""
        return copy.deepcopy(self._said())

    def _said(self) -> Report:
        """The gauge file's object, not to be changed."""
        if self._file is None:
            self._file = json.loads(self.to_json(), object_hook=Report)
        return self._file

    # --- what it is

    @property
    def d(self) -> int:
        """The width of the residual stream."""
        return self._native.d

    @property
    def perm(self) -> np.ndarray:
        """[d] uint32: the source channel that each target channel comes from."""
        return self._native.perm

    @property
    def sign(self) -> np.ndarray:
        """[d] int8: +1, -1 or 0 (undetermined), per target channel."""
        return self._native.sign

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of perm as u32 little-endian followed by sign as i8: the same everywhere."""
        return self._native.fingerprint

    @property
    def group(self) -> Group:
        return self._said()["group"]

    @property
    def is_identity(self) -> bool:
        return self._said()["summary"]["identity"]

    @property
    def sign_flips(self) -> int:
        """Channels with sign -1."""
        return self._said()["summary"]["sign_flips"]

    @property
    def undetermined(self) -> int:
        """Channels with sign 0."""
        return self._said()["summary"]["undetermined"]

    @property
    def hidden(self) -> Optional[Hidden]:
        """Where heads and MLP neurons went: layers, neurons, heads, fingerprint, and of an alignment its report. None where
        the gauge is of the residual stream alone (``align(a, b, hidden=True)`` matches the rest)."""
        if self._hidden is None and self._native.hidden is not None:
            self._hidden = Hidden(self._native)
        return self._hidden

    # --- how sure it is

    @property
    def verdict(self) -> Verdict:
        """aligned: at least 90 % of the channels are estimated right; partial; unrelated: no basis is shared."""
        return self._said().get("verdict", "aligned")

    @property
    def judged(self) -> bool:
        """Whether it was matched: false of one made by hand, whose verdict, estimate and agreement say nothing."""
        return "estimate" in self._said()["summary"]

    @property
    def estimate(self) -> float:
        """Estimated share of right channels, 0 .. 1; 1 where nothing was judged."""
        return self._said()["summary"].get("estimate", 1.0)

    @property
    def agreement(self) -> float:
        """Of the answers of two halves of the rows, 0 .. 1; 1 where nothing was judged."""
        return self._said()["summary"].get("agreement", 1.0)

    @property
    def score(self) -> np.ndarray:
        """[d] float64: similarity of the matched pair, per target channel; empty where nothing was measured."""
        return self._native.score

    @property
    def margin(self) -> np.ndarray:
        """[d] float64: how far the pair stands above the best alternative; empty where nothing was measured."""
        return self._native.margin

    @property
    def confidence(self) -> np.ndarray:
        """[d] float64: probability that the channel is matched right; empty where nothing was measured."""
        return self._native.confidence

    @property
    def summary(self) -> Report:
        """mean_score, sign_flips, undetermined, identity; where it was judged, estimate and agreement."""
        return copy.deepcopy(self._said()["summary"])

    @property
    def source(self) -> Report:
        """name, sha256."""
        return copy.deepcopy(self._said()["source"])

    @property
    def target(self) -> Report:
        """name, sha256."""
        return copy.deepcopy(self._said()["target"])

    @property
    def statistic(self) -> str:
        """ "correlation", "whitened", "gains", "composed", "none", ..."""
        return self._said()["method"]["statistic"]

    @property
    def rows(self) -> int:
        """Paired rows that were used."""
        return self._said()["method"]["rows"]

    @property
    def sites(self) -> list[Report]:
        """What each site said on its own: name, statistic, rows, set_aside, mean_score, agreement, estimate, weight."""
        return copy.deepcopy(self._said()["method"]["sites"])

    # --- what it does

    def apply(self, x: Array, axis: int = -1) -> Array:
        """``y[i] = sign[i] * x[perm[i]]`` along one axis; y has x's shape and element type.

        x: [.., d, ..] floats (float16, bfloat16, float32, float64, float8) of NumPy or PyTorch, as which y comes back;
        of any other library that speaks DLPack, whose y is NumPy's; or a list of d numbers. Of the residual stream. Only
        sign bits change: ``g.inverse().apply(g.apply(x))`` is x to the byte. A
        tensor is moved detached from its graph. Raises Error: dimensionMismatch, undeterminedSign, wrongDtype.
        """
        return self._move(x, axis, "odd")

    def apply_even(self, x: Array, axis: int = -1) -> Array:
        """``y[i] = x[perm[i]]`` along one axis: RMSNorm gains and second moments, which take no sign."""
        return self._move(x, axis, "even")

    def _move(self, x: Any, axis: int, action: str) -> Any:
        if isinstance(x, (list, tuple)):
            return self._move(numbers(x, "array").astype(np.float64), axis, action).tolist()
        if not is_array(x):
            raise refusal("usage", "array", f"expected an array or a list of numbers, and found {type(x).__name__}")
        one = raw(x, "array")
        axes, axis = len(one.shape), operator.index(axis)
        if not -axes <= axis < axes:
            raise refusal("usage", "array", f"has {axes} axes, and axis is {axis}")
        out = empty(one.dtype, one.shape)
        self._native.move(action, one.array, out, one.dtype, one.shape, axis % axes)
        return one.like(out, one.dtype)

    def apply_to_indices(self, channels: Sequence[int]) -> list[int]:
        """Where channels of the source are in the target: ``j -> perm^-1[j]``."""
        named, every = numbers(channels, "channels"), np.arange(self.d)
        if named.ndim != 1:
            raise refusal("usage", "channels", f"expected a list of channels, and found {channels!r}")
        wrong = named[~np.isin(named, every)]
        if len(wrong):
            raise refusal("dimensionMismatch", "channels", f"{wrong[0]} is not a channel of a gauge with d = {self.d}")
        place = np.empty(self.d, np.int64)
        place[self.perm] = every
        return place[named.astype(np.int64)].tolist()

    def inverse(self) -> Gauge:
        """Q^-1: from the target back to the source."""
        return Gauge._of(self._native.inverse())

    def then(self, following: Gauge) -> Gauge:
        """First this, then ``following``; as sure as the weaker of them. Raises Error: dimensionMismatch, usage (only one
        has a hidden part)."""
        with in_python("gauge"):
            return Gauge._of(self._native.then(_required(following)._native))

    def _composed(self, following: Gauge) -> Gauge:
        with in_python("gauge"):
            return Gauge._of(self._native.compose(_required(following)._native))

    def compare(self, other: Gauge) -> Agreement:
        """How far it agrees with another. Raises Error(dimensionMismatch)."""
        agreement = Agreement(*self._native.compare(_required(other)._native))
        if self.hidden is not None and other.hidden is not None:
            agreement.hidden = self.hidden.compare(other.hidden)
        return agreement

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Gauge):
            return NotImplemented
        return self.fingerprint == other.fingerprint and self.hidden == other.hidden

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __reduce__(self) -> Any:
        if self._hidden is not None and self._hidden.report is not None:
            return (Gauge._found, (self.to_json(), self._hidden.report))
        return (Gauge.from_json, (self.to_json(),))

    def __repr__(self) -> str:
        judged = f"{self.verdict}, {100 * self.estimate:.1f} % estimated right, " if self.judged else ""
        return (
            f"<{type(self).__name__} d={self.d} {judged}{self.sign_flips} sign flips, "
            f"fingerprint {self.fingerprint[:12]}{', with heads and neurons' if self.hidden is not None else ''}>"
        )

    def _repr_html_(self) -> str:
        return html(self)


class TracedGauge(Gauge):
    """A gauge that was traced along checkpoints, and how."""

    __slots__ = ("trace",)

    #: path, hops (from, to, estimate, agreement, verdict, on_path, cycle), weakest, direct, hop_by_hop, cycle_agreement
    trace: Report

    def __init__(self, gauge: Gauge, trace: Report) -> None:
        self._adopt(gauge._native)
        self.trace = trace

    def __reduce__(self) -> Any:
        return (TracedGauge, (Gauge.from_json(self.to_json()), self.trace))
