"""Maps between models that no gauge relates: ``y = M x + b``, and the way back ``x = N y + c``."""

from __future__ import annotations

import json
import os
from typing import Any, Literal, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from ._api import _IN_MEMORY, EvidenceInput, FileInput, Moved
from ._arrays import from_bytes
from ._error import refusal
from ._inputs import Inputs, Path
from ._job import Progress, Report, report, run, words

Family = Literal["auto", "identity", "gauge", "orthogonal", "affine"]
#: (source site, target site), or one name for both.
SitePair = Union[str, Tuple[str, str]]


class Maps:
    """The maps between two models, one a pair of sites, as `regauge map` writes them."""

    def __init__(self, file: bytes, report: Report) -> None:
        self.file = file  #: the map file (safetensors)
        self.report = report  #: as `regauge map --json`: the best map's family, r2, ..., and all under "pairs"

    @property
    def helps(self) -> bool:
        """Whether the best map explains more of the target than its mean does, by more than the rows can tell."""
        return self.report["helps"]

    def save(self, path: Path, *, force: bool = False) -> None:
        """Writes the map file, whole or not at all. Raises Error: outputExists, writeFailed."""
        name = os.fspath(path)
        if os.path.lexists(name) and not force:
            raise refusal("outputExists", name, "exists already; force=True overwrites it, or choose another name")
        staged = f"{name}.regauge-{os.getpid()}"
        try:
            with open(staged, "wb") as out:
                out.write(self.file)
            os.replace(staged, name)
        except OSError as error:
            if os.path.exists(staged):
                os.remove(staged)
            raise refusal("writeFailed", name, f"cannot be written: {error.strerror}; nothing was written") from None

    def matrices(self, site: Optional[SitePair] = None) -> dict[str, np.ndarray]:
        """forward [target, source], forward_bias, backward [source, target] and backward_bias of one pair of sites.

        site: which of several pairs; not needed where there is one.
        """
        names = [f"{one['source_site']}={one['target_site']}" for one in self.report["pairs"]]
        wanted = site if site is None or isinstance(site, str) else "=".join(site)
        if wanted is not None and "=" not in wanted:
            wanted = f"{wanted}={wanted}"
        if wanted is None and len(names) == 1:
            wanted = names[0]
        if wanted not in names:
            raise refusal("usage", "site", f"expected one of {', '.join(names)}, and found {wanted}")
        start = 8 + int.from_bytes(self.file[:8], "little")
        header: Mapping[str, Any] = json.loads(self.file[8:start])
        found = {}
        for name in ("forward", "forward_bias", "backward", "backward_bias"):
            entry = header.get(f"{wanted}/{name}") or header[name]
            begin, end = entry["data_offsets"]
            content = memoryview(self.file)[start + begin : start + end]
            found[name] = from_bytes(content, entry["dtype"], tuple(entry["shape"]))
        return found

    def apply(self, x: Any, site: Optional[SitePair] = None) -> np.ndarray:
        """M x + b of activations [.., source width]."""
        found = self.matrices(site)
        return np.asarray(x) @ found["forward"].T + found["forward_bias"]

    def apply_back(self, y: Any, site: Optional[SitePair] = None) -> np.ndarray:
        """N y + c of activations [.., target width]."""
        found = self.matrices(site)
        return np.asarray(y) @ found["backward"].T + found["backward_bias"]

    def transport(
        self,
        object: FileInput,
        *,
        out: Optional[Path] = None,
        site: Optional[SitePair] = None,
        kind: Optional[str] = None,
        keep_strength: bool = False,
        force: bool = False,
        progress: Progress = None,
    ) -> Moved:
        """Moves directions, probes, SAEs and what else has a meaning under a map.

        object, out, kind and what comes back: as ``regauge.transport``. site: the pair to move by, where the object
        does not say. keep_strength: scale directions to what they were in the streams' own standard deviations. force:
        overwrite ``out``; use a map that does not help.
        Raises Error: usage, unknownTensor, dimensionMismatch, outputExists, ...
        """
        inputs = Inputs(object, out)
        place = inputs.file(object, "object")
        path = _IN_MEMORY if out is None else os.fspath(out)
        options = words(
            map=inputs.file(self.file, "map"),
            site=site if site is None or isinstance(site, str) else "=".join(site),
            kind=kind,
            keep_strength=keep_strength,
            force=force,
            json=True,
            output=path,
        )
        answer = run("transport", options, [place], inputs, progress, _IN_MEMORY if out is None else "")
        return Moved(report(answer), dict(answer.files))


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
    pairs = [one if isinstance(one, str) else "=".join(one) for one in sites]
    options = words(
        family=family, site=pairs, ridge=ridge, rows=rows, skip_first=skip_first, threads=threads, json=True
    )
    answer = run("map", [*options, f"--output={_IN_MEMORY}"], places, inputs, progress, _IN_MEMORY)
    return Maps(bytes(answer.files[""]), report(answer))
