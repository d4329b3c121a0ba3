"""Maps between models that no gauge relates: ``y = M x + b``, and the way back ``x = N y + c``."""

from __future__ import annotations

import json
from typing import Any, Literal, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from ._api import EvidenceInput, FileInput, Floats, _handed_back
from ._arrays import from_bytes, values
from ._error import refusal
from ._inputs import Inputs, Path, path_of
from ._job import Progress, Report, listed, output, report, run, words
from ._write import write_whole

Family = Literal["auto", "identity", "gauge", "orthogonal", "affine"]
#: (source site, target site), or one name for both.
SitePair = Union[str, Tuple[str, str]]


def _pair(site: SitePair, where: str = "site") -> str:
    """As the command's --site takes it. Raises Error(usage): neither a name nor a pair of them."""
    names = (site,) if isinstance(site, str) else site
    if not isinstance(names, (list, tuple)) or len(names) > 2 or not all(isinstance(name, str) for name in names):
        raise refusal("usage", where, f"expected a site's name, or a pair (source, target) of them, and found {site!r}")
    return "=".join(names)


def _affine(matrix: np.ndarray, bias: np.ndarray, x: Any) -> np.ndarray:
    rows = values(x, "activations")
    if rows.shape[-1:] != matrix.shape[1:]:
        raise refusal(
            "dimensionMismatch",
            "activations",
            f"have the shape {list(rows.shape)}; this side of the map has {matrix.shape[1]} channels",
        )
    return rows @ matrix.T + bias


class Maps:
    """The maps between two models, one a pair of sites, as `regauge map` writes them."""

    def __init__(self, file: bytes, report: Report) -> None:
        self.file = file  #: the map file (safetensors)
        self.report = report  #: as `regauge map --json`: the best map's family, r2, ..., and all under "pairs"
        self._start = 8 + int.from_bytes(file[:8], "little")
        self._header: Mapping[str, Any] = json.loads(file[8 : self._start])

    @classmethod
    def load(cls, path: Path) -> Maps:
        """From a map file, of ``save`` or of `regauge map`. Raises Error: missingFile, malformed, usage (a gauge's file)."""
        name = path_of(path, "path")
        found = report(run("show", words(json=True), [name], Inputs()))
        if "pairs" not in found:
            raise refusal("usage", name, "is not a map file; Gauge.load reads a gauge's")
        try:
            with open(name, "rb") as file:
                return cls(file.read(), found)
        except OSError as error:  # gone meanwhile, or a name of the hub's cache
            raise refusal("missingFile", name, f"cannot be read: {error.strerror}") from None

    @property
    def helps(self) -> bool:
        """Whether the best map explains more of the target than its mean does, by more than the rows can tell."""
        return self.report["helps"]

    def save(self, path: Path, *, force: bool = False) -> None:
        """Writes the map file, whole or not at all. Raises Error: outputExists, writeFailed."""
        write_whole(path, self.file, force=force)

    def matrices(self, site: Optional[SitePair] = None) -> dict[str, np.ndarray]:
        """forward [target, source], forward_bias, backward [source, target] and backward_bias of one pair of sites.

        site: which of several pairs, by both sites or by the source's; not needed where there is one.
        """
        sources = {f"{one['source_site']}={one['target_site']}": one["source_site"] for one in self.report["pairs"]}
        wanted = None if site is None else _pair(site)
        fitting = [name for name, source in sources.items() if wanted in (name, source, None)]
        if not fitting or (wanted is None and len(fitting) > 1):
            raise refusal("usage", "site", f"expected one of {', '.join(sources)}, and found {wanted}")
        pair = fitting[0]
        found = {}
        for name in ("forward", "forward_bias", "backward", "backward_bias"):
            entry = self._header.get(f"{pair}/{name}") or self._header[name]
            begin, end = entry["data_offsets"]
            content = memoryview(self.file)[self._start + begin : self._start + end]
            found[name] = from_bytes(content, entry["dtype"], tuple(entry["shape"]))
        return found

    def apply(self, x: Any, site: Optional[SitePair] = None) -> np.ndarray:
        """M x + b of activations [.., source width], of any library, as a NumPy array of floats."""
        found = self.matrices(site)
        return _affine(found["forward"], found["forward_bias"], x)

    def apply_back(self, y: Any, site: Optional[SitePair] = None) -> np.ndarray:
        """N y + c of activations [.., target width], of any library, as a NumPy array of floats."""
        found = self.matrices(site)
        return _affine(found["backward"], found["backward_bias"], y)

    def transport(
        self,
        object: FileInput,
        *,
        out: Optional[Path] = None,
        site: Optional[SitePair] = None,
        kind: Optional[str] = None,
        keep_strength: bool = False,
        copy_unknown: bool = False,
        dequantize: Optional[Floats] = None,
        force: bool = False,
        dry_run: bool = False,
        progress: Progress = None,
    ) -> Any:
        """Moves directions, probes, SAEs and what else has a meaning under a map.

        object, out, kind, copy_unknown, dequantize, dry_run and what comes back: as ``regauge.transport``. site: the
        pair to move by, where the object does not say. keep_strength: scale directions to what they were in the
        streams' own standard deviations. force: overwrite ``out``; use a map that does not help.
        Raises Error: usage, unknownTensor, dimensionMismatch, outputExists, ...
        """
        inputs = Inputs(object, out)
        place = inputs.file(object, "object", out)
        options = words(
            map=inputs.file(self.file, "map"),
            site=None if site is None else _pair(site),
            kind=kind,
            keep_strength=keep_strength,
            unknown="copy" if copy_unknown else None,
            dequantize=dequantize,
            force=force,
            dry_run=dry_run,
            json=True,
        )
        to, memory = ([], "") if dry_run else output(out)
        answer = run("transport", [*options, *to], [place], inputs, progress, memory)
        return _handed_back(object, answer)


def fit_map(
    source: EvidenceInput,
    target: EvidenceInput,
    *,
    family: Family = "auto",
    sites: Sequence[SitePair] = (),
    ridge: Optional[float] = None,
    rows: Optional[int] = None,
    skip_first: Optional[int] = None,
    threads: Optional[int] = None,
    progress: Progress = None,
) -> Maps:
    """Maps between sites of two models, whose widths may differ, from evidence on both sides (as ``align`` takes it).

    family: "auto" takes the lowest rung of identity, gauge, orthogonal and affine that held-out rows call no worse than
    the best. sites: pairs of source and target sites; default, for each source site the target site that knows most of
    it. ridge: the penalty of affine maps, as scikit-learn's alpha; default, from held-out rows. The answer does not
    depend on threads. A map that does not help is an answer, not an error.
    Raises Error: usage, rowsMismatch, tokensDiffer, notFinite, tooLarge, missingFile, malformed, ...
    """
    inputs = Inputs(source, target)
    places = [inputs.evidence(source, "source"), inputs.evidence(target, "target")]
    pairs = [_pair(one, "sites") for one in listed(sites, "sites")]
    options = words(
        family=family, site=pairs, ridge=ridge, rows=rows, skip_first=skip_first, threads=threads, json=True
    )
    to, memory = output()
    answer = run("map", [*options, *to], places, inputs, progress, memory)
    return Maps(bytes(answer.files[""]), report(answer))
