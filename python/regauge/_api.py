"""The calls. Each is the command of the same name, on this program's arrays as well as on files."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any, Literal, Mapping, NamedTuple, Optional, Sequence, Union

import numpy as np

from . import _native
from ._arrays import from_bytes, is_array, raw
from ._error import refusal
from ._gauge import Agreement, Gauge, Group, TracedGauge
from ._inputs import Inputs, Path
from ._job import Files, Progress, Report, listed, output, report, run, words

Statistic = Literal["auto", "correlation", "whitened"]
#: What quantised weights can be written as.
Floats = Literal["bf16", "f16", "f32"]
#: A path (file or folder); one file's contents as bytes; contents by name (a folder); an array; arrays by name.
FileInput = Union[Path, bytes, Mapping[str, Any], Any]
#: A FileInput; rows [.., d]; rows by site; or {"activations", "gains", "token_ids", "attention_mask"}.
EvidenceInput = Union[FileInput, Mapping[str, Any]]
#: A Gauge, the path of a gauge file, its text, or its object.
GaugeInput = Union[Gauge, Path, Mapping[str, Any]]


class Moved(NamedTuple):
    """A moved object."""

    plan: Report  # kind, description, d, tensors, unknown: how each tensor moved
    files: Files  # bytes by name inside the folder, a single file as ""; empty where they were written to `out`
    arrays: Optional[dict[Any, Any]] = None  # where arrays by name were given: the moved ones

    def __repr__(self) -> str:
        arrays = {name: f"{one.dtype} {list(one.shape)}" for name, one in (self.arrays or {}).items()}
        said = f", arrays={{{', '.join(f'{name!r}: {text}' for name, text in arrays.items())}}}" if arrays else ""
        return f"<Moved {self.plan.get('kind', '')}, files={self.files!r}{said}>"


def _gauge(value: GaugeInput) -> Gauge:
    if isinstance(value, Gauge):
        return value
    if isinstance(value, Mapping):
        return Gauge.from_json(value)
    if isinstance(value, (str, os.PathLike)):
        return Gauge.from_json(value) if str(value).lstrip().startswith("{") else Gauge.load(value)
    advice = "; maps.transport(object) moves an object by maps" if type(value).__name__ == "Maps" else ""
    sentence = f"expected a Gauge, or the path of a gauge file, and found {type(value).__name__}{advice}"
    raise refusal("usage", "gauge", sentence)


def _gauge_file(inputs: Inputs, value: GaugeInput, role: str = "gauge") -> str:
    return inputs.text(_gauge(value).to_json(), role)


def align(
    source: EvidenceInput,
    target: EvidenceInput,
    *,
    group: Optional[Group] = None,
    statistic: Optional[Statistic] = None,
    sites: Union[str, Sequence[str]] = (),
    rows: Optional[int] = None,
    skip_first: Optional[int] = None,
    gains: Optional[tuple[EvidenceInput, EvidenceInput]] = None,
    hidden: bool = False,
    threads: Optional[int] = None,
    progress: Progress = None,
) -> Gauge:
    """The gauge from the source's coordinates to the target's, from evidence on both sides.

    source, target: evidence files, checkpoint folders, or arrays: rows [n, d] or [sequences, tokens, d] of the residual
    stream on the same tokens, by site (``{"resid.4": x}``) or alone. Rows are paired by position. Arrays in C order
    (NumPy, PyTorch, DLPack; float16, bfloat16, float32, float64) are read where they are.

    group: "signed" (RMSNorm; default), "permutation" (the baseline without signs) or "layernorm". statistic: "auto",
    "correlation" or "whitened". sites: default, all that both sides have. rows: only the first of each site.
    skip_first: leave out the first rows of each sequence (BOS). gains: more RMSNorm gains, of the source and of the
    target: [d] arrays, alone or by norm, or evidence that has them. The answer does not depend on threads.

    hidden: match MLP neurons and attention heads of every layer, too: source and target are checkpoints of one
    architecture (folders with config.json and safetensors). The answer's ``hidden`` has them, and its ``hidden.report``
    says how much of the target's weights the source explains.

    progress: called with (stage, done, total), or True for tqdm's bar. Ctrl-C stops the work. A gauge whose verdict is
    "unrelated" is an answer, not an error. Raises Error: missingFile, malformed, dimensionMismatch, rowsMismatch,
    tokensDiffer, notFinite, usage, tooLarge, ...
    """
    more = [] if gains is None else listed(gains, "gains")
    if gains is not None and len(more) != 2:
        raise refusal("usage", "gains", "expected two: of the source, and of the target")
    inputs = Inputs(source, target, *more)
    places = [inputs.evidence(source, "source"), inputs.evidence(target, "target")]
    options = words(
        group=group, statistic=statistic, site=listed(sites, "sites"), rows=rows, skip_first=skip_first, threads=threads
    )
    if more:
        gains_of = partial(inputs.evidence, group="gains")
        options += ["--gains", gains_of(more[0], "source gains"), gains_of(more[1], "target gains")]
    options += ["--hidden", "--json"] if hidden else ["--quiet"]
    to, memory = output()
    answer = run("align", [*options, *to], places, inputs, progress, memory)
    text = answer.files[""].decode()
    return Gauge._found(text, report(answer)["hidden"]) if hidden else Gauge.from_json(text)


def trace(
    checkpoints: Sequence[EvidenceInput],
    *,
    group: Optional[Group] = None,
    statistic: Optional[Statistic] = None,
    sites: Union[str, Sequence[str]] = (),
    rows: Optional[int] = None,
    skip_first: Optional[int] = None,
    threads: Optional[int] = None,
    progress: Progress = None,
) -> TracedGauge:
    """The gauge from the first of a run's checkpoints to the last, through those between; any of them may be skipped.

    checkpoints: evidence as align takes it, in the order of training. The gauge's ``trace`` says how it went.
    """
    every = listed(checkpoints, "checkpoints")
    inputs = Inputs(*every)
    places = [inputs.evidence(one, f"checkpoint {k}") for k, one in enumerate(every, 1)]
    options = words(
        group=group,
        statistic=statistic,
        site=listed(sites, "sites"),
        rows=rows,
        skip_first=skip_first,
        threads=threads,
        json=True,
    )
    to, memory = output()
    answer = run("trace", [*options, *to], places, inputs, progress, memory)
    return TracedGauge(Gauge.from_json(answer.files[""].decode()), report(answer))


def transport(
    object: FileInput,
    gauge: GaugeInput,
    *,
    out: Optional[Path] = None,
    kind: Optional[str] = None,
    site: Optional[str] = None,
    copy_unknown: bool = False,
    dequantize: Optional[Floats] = None,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress = None,
) -> Any:
    """Moves an object in source coordinates into the target's.

    object: a path (a vector, an SAE, an adapter, optimizer state, a checkpoint), the bytes of a file, files by name, one
    array [.., d], or arrays by name (a state dict). out: where it goes, in the object's own format. Arrays are written
    as safetensors; one array alone as .npy, where ``out`` ends so.

    Without ``out`` one array comes back as an array. Anything else comes back as Moved: its plan says how each tensor
    moved, and where no ``out`` was given its ``files`` are the moved bytes, and its ``arrays``, where arrays by name
    were given, the moved arrays by the names of the moved file, of the same library (element types: those of the
    object, or of dequantize).

    A gauge with a hidden part (``align(a, b, hidden=True)``) moves the heads and neurons of checkpoints, adapters and
    optimizer state as well, and objects that live on them. site: the hook that such an object lives on, where it does not
    say so itself ("blocks.3.mlp.hook_post").

    kind: what it is, where its content does not tell. copy_unknown: copy tensors that no recipe names. dequantize: write
    quantised weights (GGUF blocks, FP8) as these floats. force: overwrite ``out``; use a gauge whose verdict is
    "unrelated". dry_run: only the plan.
    Raises Error: unknownTensor, ambiguous, dimensionMismatch, unrelated, undeterminedSign, outputExists, ...
    """
    moving = _gauge(gauge)
    alone = is_array(object)
    plainly = out is None and site is None and dequantize is None and not dry_run
    if alone and plainly and kind in (None, "vector", "activations"):
        if moving.verdict == "unrelated" and not force:
            raise refusal("unrelated", "gauge", "its verdict is unrelated; force=True uses it anyhow")
        return moving.apply(object)
    inputs = Inputs(object, out)
    place = inputs.file(object, "object", out)
    options = words(
        gauge=_gauge_file(inputs, moving),
        site=site,
        kind=kind,
        unknown="copy" if copy_unknown else None,
        dequantize=dequantize,
        force=force,
        dry_run=dry_run,
        json=True,
    )
    to, memory = ([], "") if dry_run else output(out)
    answer = run("transport", [*options, *to], [place], inputs, progress, memory)
    return _handed_back(object, answer)


def _handed_back(object: FileInput, answer: _native.Answer) -> Any:
    """What a job that moves an object answers: an array for an array, and else Moved."""
    file = answer.files.get("") if len(answer.files) == 1 else None
    if file is not None and is_array(object):
        (moved,) = _arrays_like({"vector": object}, file).values()
        return moved
    arrays = None
    if file is not None and isinstance(object, Mapping) and all(is_array(one) for one in object.values()):
        arrays = _arrays_like(object, file)
    return Moved(report(answer), Files(answer.files), arrays)


def _arrays_like(originals: Mapping[Any, Any], file: bytes) -> dict[Any, Any]:
    """The tensors of a moved safetensors file in the originals' libraries, by the originals' keys.

    A moved tensor may have another element type than its original, and another name (of another layer).
    """
    writable = bytearray(file)  # arrays that a caller may change
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:start])
    keys = {str(key): key for key in originals}
    other = next(iter(originals.values()))  # whose library a tensor without an original is of
    moved = {}
    header.pop("__metadata__", None)
    for name in [*(name for name in keys if name in header), *(name for name in header if name not in keys)]:
        entry = header[name]
        begin, end = entry["data_offsets"]
        array = from_bytes(memoryview(writable)[start + begin : start + end], entry["dtype"], tuple(entry["shape"]))
        key = keys.get(name, name)
        moved[key] = raw(originals.get(key, other), name).like(array, entry["dtype"])
    return moved


def inspect(object: FileInput, *, kind: Optional[str] = None) -> Report:
    """What an object is, and how each of its tensors would move: kind, description, d, tensors, unknown."""
    inputs = Inputs(object)
    return report(run("inspect", words(kind=kind, json=True), [inputs.file(object, "object")], inputs))


def merge(
    a: FileInput,
    b: FileInput,
    *,
    gauge: GaugeInput,
    out: Optional[Path] = None,
    weight: Optional[float] = None,
    base: Optional[FileInput] = None,
    base_gauge: Optional[GaugeInput] = None,
    force: bool = False,
    progress: Progress = None,
) -> Report:
    """The weighted average of two checkpoints of one base, B moved into A's coordinates.

    (1 - weight) A + weight B, or with a base A + weight (B - BASE). gauge: from B's coordinates to A's; base_gauge: from
    the base's to A's. Heads and MLP neurons are averaged by position, but for gauges with a hidden part, which move them,
    too. Without ``out`` the report's ``files`` are the merged bytes by name.
    """
    inputs = Inputs(a, b, base, out)
    places = [inputs.file(a, "A"), inputs.file(b, "B")]
    options = words(
        gauge=_gauge_file(inputs, gauge),
        weight=weight,
        base=None if base is None else inputs.file(base, "base"),
        base_gauge=None if base_gauge is None else _gauge_file(inputs, base_gauge, "base gauge"),
        force=force,
        json=True,
    )
    to, memory = output(out)
    answer = run("merge", [*options, *to], places, inputs, progress, memory)
    return Report(report(answer), files=Files(answer.files))


def audit(
    object: FileInput,
    *,
    gauge: Optional[GaugeInput] = None,
    k: Optional[int] = None,
    gauges: Optional[int] = None,
    seed: Optional[int] = None,
    d: Optional[int] = None,
    kind: Optional[str] = None,
    progress: Progress = None,
) -> Report:
    """How far a claim about channel numbers survives random gauges, moved and not moved.

    object: a vector [d], rows of vectors [n, d], or a list of channels (a file). The report's ``statement`` is a sentence
    for a paper.
    """
    inputs = Inputs(object)
    place = inputs.file(object, "object")
    options = words(
        gauge=None if gauge is None else _gauge_file(inputs, gauge),
        k=k,
        gauges=gauges,
        seed=seed,
        d=d,
        kind=kind,
        json=True,
    )
    return report(run("audit", options, [place], inputs, progress))


def verify(
    model: FileInput,
    moved: FileInput,
    tokens: Any,
    *,
    sequences: Optional[int] = None,
    tolerance: Optional[float] = None,
    progress: Progress = None,
) -> Report:
    """Do two checkpoints compute the same function? Small models: weights are held in float32.

    tokens: ids [tokens] or [sequences, tokens], an array, a list or a file. The report has same_function,
    max_logit_difference, max_kl, mean_kl, top_agreement, positions and tolerance.
    """
    inputs = Inputs(model, moved, tokens)
    places = [inputs.file(model, "model"), inputs.file(moved, "moved")]
    options = words(tokens=inputs.tokens(tokens, "tokens"), sequences=sequences, tolerance=tolerance, json=True)
    return report(run("verify", options, places, inputs, progress))


def activations(model: FileInput, tokens: Any, *, out: Optional[Path] = None, progress: Progress = None) -> Any:
    """Activation evidence of a small model: the bytes of a safetensors file, or nothing where ``out`` says where it goes.

    It holds ``activations/resid.<place>`` [tokens, d] float32 of every place, the norms' gains and the token ids; align
    takes it as it is.
    """
    inputs = Inputs(model, tokens, out)
    options = words(tokens=inputs.tokens(tokens, "tokens"), quiet=True)
    place = inputs.file(model, "model")
    to, memory = output(out)
    answer = run("activations", [*options, *to], [place], inputs, progress, memory)
    return answer.files[""] if out is None else None


def steer(
    source: FileInput,
    target: FileInput,
    *,
    vector: Any,
    site: str,
    gauge: GaugeInput,
    prompt: Any,
    row: Optional[int] = None,
    strength: Optional[float] = None,
    promoted: Optional[int] = None,
    length: Optional[int] = None,
    temperature: Optional[float] = None,
    seed: Optional[int] = None,
    progress: Progress = None,
) -> Report:
    """One prompt in both models, with the vector and without: in the target moved by the gauge, moved by its permutation
    alone, and not moved.

    vector: [d], an array, a list or a file; site: "resid.0" is the embedding, "resid.l" what layer l - 1 puts out; prompt:
    token ids [tokens], an array, a list or a file. The report has site, strength, positions, promoted and arms.
    """
    inputs = Inputs(source, target, vector, prompt)
    places = [inputs.file(source, "source"), inputs.file(target, "target")]
    options = words(
        vector=inputs.vector(vector, "vector"),
        site=site,
        gauge=_gauge_file(inputs, gauge),
        tokens=inputs.tokens(prompt, "prompt"),
        row=row,
        strength=strength,
        promoted=promoted,
        length=length,
        temperature=temperature,
        seed=seed,
        json=True,
    )
    return report(run("steer", options, places, inputs, progress))


def ceiling(
    *,
    d: Optional[int] = None,
    rows: Optional[int] = None,
    noise: Optional[float] = None,
    steps: Optional[int] = None,
    seed: Optional[int] = None,
    threads: Optional[int] = None,
    progress: Progress = None,
) -> Report:
    """What matching without signs can reach at most, and what matching with signs does: simulated."""
    options = words(d=d, rows=rows, noise=noise, steps=steps, seed=seed, threads=threads, json=True)
    return report(run("ceiling", options, [], Inputs(), progress))


def compose(*gauges: GaugeInput) -> Gauge:
    """The gauges of a chain of models one after the other, the first one first.

    Raises Error: dimensionMismatch; usage where their evidence says that they are in the wrong order, or twice the same.
    """
    if not gauges:
        raise refusal("usage", "gauges", "expected at least one gauge")
    first, *rest = (_gauge(one) for one in gauges)
    for one in rest:
        first = first._composed(one)
    return first


def invert(gauge: GaugeInput) -> Gauge:
    """From the target back to the source."""
    return _gauge(gauge).inverse()


def compare(gauge: GaugeInput, reference: GaugeInput) -> Agreement:
    """How far two gauges agree, as fractions of d; where both have hidden parts, those too (``.hidden``)."""
    return _gauge(gauge).compare(_gauge(reference))
