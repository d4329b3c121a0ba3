"""Move steering vectors, SAEs, adapters and checkpoints between transformers whose residual-stream coordinates differ by
a signed permutation.

    import regauge
    gauge = regauge.align("source/evidence.safetensors", "target/evidence.safetensors")
    moved = gauge.apply(vector)  # moved[i] = sign[i] * vector[perm[i]]
"""

from ._api import (
    EvidenceInput,
    FileInput,
    GaugeInput,
    Moved,
    activations,
    align,
    audit,
    ceiling,
    compare,
    compose,
    inspect,
    invert,
    merge,
    steer,
    trace,
    transport,
    verify,
)
from ._error import Error
from ._gauge import Agreement, Gauge, TracedGauge
from ._hidden import Hidden, HiddenAgreement, HiddenLayer, UnitScores
from ._job import Report
from ._map import Maps, fit_map
from ._native import error_codes, version

__version__ = version

__all__ = [
    "Agreement", "Error", "EvidenceInput", "FileInput", "Gauge", "GaugeInput", "Hidden", "HiddenAgreement", "HiddenLayer",
    "Maps", "Moved", "Report", "TracedGauge", "UnitScores", "activations", "align", "audit", "ceiling", "compare", "compose",
    "error_codes", "fit_map", "inspect", "invert", "merge", "steer", "trace", "transport", "verify", "version",
]  # fmt: skip
