"""The hidden part of a gauge: what a transformer leaves free beside its residual stream, heads and MLP neurons."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

import numpy as np

from . import _native
from ._error import refusal
from ._job import Report


class HiddenAgreement(NamedTuple):
    """How far two hidden gauges agree, as shares of all layers' units."""

    neurons: float  # place and sign
    heads: float  # query heads
    kv_heads: float


class UnitScores(NamedTuple):
    """How sure each unit of one kind is, by the target's places; [n] float64 each, empty where nobody judged."""

    score: np.ndarray  # similarity of the matched pair, -1 .. 1
    margin: np.ndarray  # how far it stands above the best alternative
    confidence: np.ndarray  # probability that it is matched right; below one half it is undetermined


class HiddenLayer(NamedTuple):
    """One layer: target = H(source), the source's unit at the target's place i. Arrays are read-only.

    ::

        gate[i]  =                gate[neurons[i]]
        up[i]    = scale[i] *     up[neurons[i]]         scale = neuron_sign * neuron_scale
        down[i]  =                down[neurons[i]] / scale[i]
        key[g]   = Z[g] @         key[kv_heads[g]]       Z: turn and scale of each RoPE plane, free_keys on the rest
        query[h] = inv(Z[g]).T @  query[heads[h]]        g = h // (H / G)
        value[g] = value[g] @     value[kv_heads[g]]
        output[h] =               output[heads[h]] @ inv(value[g])
    """

    neurons: np.ndarray  # [N] uint32
    neuron_sign: np.ndarray  # [N] int8, +1 or -1
    neuron_scale: Optional[np.ndarray]  # [N] float32, > 0; None: nothing is scaled
    kv_heads: np.ndarray  # [G] uint32
    heads: np.ndarray  # [H] uint32; heads stay with their key-value groups
    turn: Optional[np.ndarray]  # [G, pairs] complex64, by which keys are multiplied; None: nothing is turned
    free_keys: Optional[np.ndarray]  # [G, free, free] float32, of the channels that RoPE does not turn; None: identity
    value: Optional[np.ndarray]  # [G, head_dim, head_dim] float32; None: identity
    neuron_scores: UnitScores
    head_scores: UnitScores


class Hidden:
    """Heads and neurons of every layer of a pair of models. Made by ``align(a, b, hidden=True)``, kept by gauge files."""

    __slots__ = ("_gauge", "_native", "_layers", "report")

    #: What align found out beside the gauge, as ``regauge align --hidden --json`` has it under "hidden": neurons_sure and
    #: heads_sure (shares), explained (the share of the target's squared weights that the source's, moved, explain), the
    #: same by layer under layers, identity_channels and identity_neurons (agreeing, of, log10_chance: how likely an
    #: independent model would stand in so many of the identity's places). None where the gauge was read from a file,
    #: inverted or composed.
    report: Optional[Report]

    def __init__(self, gauge: _native.Gauge, report: Optional[Report] = None) -> None:
        """Made by Gauge.hidden."""
        assert gauge.hidden is not None
        self._gauge = gauge
        self._native = gauge.hidden
        self._layers: Optional[tuple[HiddenLayer, ...]] = None
        self.report = report

    @property
    def shape(self) -> Report:
        """layers, neurons (N, of one MLP), heads (H), kv_heads (G), head_dim, rope_pairs."""
        return Report(zip(("layers", "neurons", "heads", "kv_heads", "head_dim", "rope_pairs"), self._native.shape))

    @property
    def layers(self) -> list[HiddenLayer]:
        """One HiddenLayer each."""
        if self._layers is None:
            self._layers = tuple(self._layer(l) for l in range(self._native.shape[0]))
        return list(self._layers)

    def _layer(self, l: int) -> HiddenLayer:
        one = self._native.layer(l)
        _, _, _, groups, width, pairs = self._native.shape
        free = width - 2 * pairs

        def shaped(values: np.ndarray, *shape: int) -> Optional[np.ndarray]:
            return values.reshape(shape) if len(values) else None

        return HiddenLayer(
            one.neurons,
            one.neuron_sign,
            shaped(one.neuron_scale, -1),
            one.kv_heads,
            one.heads,
            shaped(one.turn.view(np.complex64), groups, pairs),
            shaped(one.free_keys, groups, free, free),
            shaped(one.value, groups, width, width),
            UnitScores(one.neuron_score, one.neuron_margin, one.neuron_confidence),
            UnitScores(one.head_score, one.head_margin, one.head_confidence),
        )

    @property
    def neurons(self) -> np.ndarray:
        """[layers, N] uint32: the source's neuron at each place of the target."""
        return np.stack([layer.neurons for layer in self.layers])

    @property
    def heads(self) -> np.ndarray:
        """[layers, H] uint32: the source's query head at each place of the target."""
        return np.stack([layer.heads for layer in self.layers])

    @property
    def kv_heads(self) -> np.ndarray:
        """[layers, G] uint32: the source's key-value head at each place of the target."""
        return np.stack([layer.kv_heads for layer in self.layers])

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal of every layer's lists: the same everywhere."""
        return self._native.fingerprint

    @property
    def is_identity(self) -> bool:
        return self._native.is_identity

    def compare(self, other: Hidden) -> HiddenAgreement:
        """How far it agrees with another. Raises Error: dimensionMismatch, usage (not a Hidden)."""
        if not isinstance(other, Hidden):
            raise refusal("usage", "other", f"expected a Hidden, as gauge.hidden is, and found {type(other).__name__}")
        return HiddenAgreement(*self._native.compare(other._native))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hidden):
            return NotImplemented
        return self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __reduce__(self) -> Any:
        return (_of_text, (self._gauge.to_json(), self.report))

    def _words(self) -> str:
        """Sizes, whether it is the identity, and the beginning of its fingerprint: what repr and notebooks show."""
        shape = self.shape
        return (
            f"{shape.layers} layers of {shape.neurons} neurons and {shape.heads} heads in {shape.kv_heads} "
            f"groups{', all in their places' if self.is_identity else ''}, fingerprint {self.fingerprint[:12]}"
        )

    def __repr__(self) -> str:
        return f"<Hidden {self._words()}>"


def _of_text(text: str, report: Optional[Report]) -> Hidden:
    """From the text of a gauge file with a hidden part."""
    return Hidden(_native.Gauge.parse(text, "gauge"), report)
