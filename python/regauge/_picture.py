"""A gauge as a notebook shows it: the verdict in words, the signs, and the signed permutation as a picture."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ._gauge import Gauge

_CELLS = 64  # most rows and columns of the picture; wider gauges are summed into so many
_SIDE = 256  # of the picture, in pixels
_POSITIVE, _NEGATIVE, _UNKNOWN = "#2166ac", "#b2182b", "#999999"
_VERDICTS = {"aligned": "#1a7f37", "partial": "#9a6700", "unrelated": "#b2182b"}


def html(gauge: Gauge) -> str:
    known = gauge.d - gauge.undetermined
    judged = [
        ("estimated right", f"{100 * gauge.estimate:.1f} %"),
        ("halves agree", f"{100 * gauge.agreement:.1f} %"),
    ]
    facts = [
        *(judged if gauge.judged else []),
        ("signs", f"{known - gauge.sign_flips} positive, {gauge.sign_flips} negative"
                  + (f", {gauge.undetermined} undetermined" if gauge.undetermined else "")),
        ("from", gauge.source.get("name", "") or "-"),
        ("to", gauge.target.get("name", "") or "-"),
        ("statistic", f"{gauge.statistic}, {gauge.rows} rows"),
        ("fingerprint", gauge.fingerprint[:16]),
        *([] if gauge.hidden is None else [("heads and neurons", gauge.hidden._words())]),
    ]
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in facts
    )
    given = not gauge.judged and gauge.verdict == "aligned"  # by hand: nothing says how sure it is
    verdict, colour = ("given", _UNKNOWN) if given else (gauge.verdict, _VERDICTS[gauge.verdict])
    return (
        '<div style="display:flex;gap:1.5em;align-items:flex-start">'
        f'<div><b style="color:{colour}">{escape(verdict)}</b> gauge, d = {gauge.d}<table>{rows}</table></div>'
        f"{heat_map(gauge)}</div>"
    )


def heat_map(gauge: Gauge) -> str:
    """The signed permutation as SVG: target channels down, source channels across; blue +, red -; pale: less sure."""
    d, cells = gauge.d, max(1, min(gauge.d, _CELLS))
    row = np.arange(d, dtype=np.int64) * cells // max(d, 1)
    column = gauge.perm.astype(np.int64) * cells // max(d, 1)
    sure = gauge.confidence if len(gauge.confidence) else np.ones(d)
    shape = (cells, cells)
    count, signs, weight = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    np.add.at(count, (row, column), 1)
    np.add.at(signs, (row, column), gauge.sign)
    np.add.at(weight, (row, column), sure)
    most, side = max(count.max(initial=1), 1), _SIDE / cells
    rects = []
    for i, j in zip(*np.nonzero(count)):
        colour = _POSITIVE if signs[i, j] > 0 else _NEGATIVE if signs[i, j] < 0 else _UNKNOWN
        opacity = max(0.15, weight[i, j] / count[i, j]) * (0.35 + 0.65 * count[i, j] / most)
        rects.append(
            f'<rect x="{j * side:g}" y="{i * side:g}" width="{side:g}" height="{side:g}" '
            f'fill="{colour}" fill-opacity="{opacity:.2f}"/>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SIDE + 2}" height="{_SIDE + 20}" '
        f'viewBox="-1 -1 {_SIDE + 2} {_SIDE + 20}" role="img" '
        f'aria-label="signed permutation of {d} channels: target channels down, source channels across">'
        f'<rect width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#888"/>{"".join(rects)}'
        f'<text y="{_SIDE + 14}" font-size="11" font-family="sans-serif" fill="currentColor">'
        "source across, target down; blue +, red &#8722;</text></svg>"
    )
