"""RESULTS.md of the maps' experiment."""

import statistics

from models import PROPERTIES

HEAD = """# Maps between models that share no coordinates

`python experiments/maps/run.py` wrote this. Llamas of two layers (`models.py`: 1500 steps on the text of
[the other experiments](../README.md), `tales.py`), trained from scratch from other seeds and at other
widths; maps by `regauge map` on 4096 paired rows of a text that nothing else here uses, objects moved
by `regauge transport --map`. {seeds} seed(s); the mean, and in brackets the smallest and the largest.

## Effect kept of a steering vector

Differences of means at the last byte of prompts, added with both signs at resid.2 where the prompt
ends; the effect is what they change in log-odds of the bytes that tell the two sides of a property:

- **capital**: a sentence begins or goes on after a space; capitals over small letters;
- **genre**: a request or a review; the first letters of the answers over those of the ratings;
- **sentiment**: "good" over "bad", in reviews without a clue;
- **refusal**: refusing over answering, in requests of kinds that were never trained on.

*known* is the share of unseen prompts whose side the models themselves tell (target; half is chance):
a vector of what a model does not know has no effect to keep. Models trained for 600 steps hardly knew
sentiment, so capital and genre were added, which depend on the last bytes and on the kind of text
alone; both were chosen before any map was looked at. The target's own vector is 100 %. *random*:
directions as long as the target's own, the mean size of their effect. *gauge*: the best signed
permutation, which for such pairs is no relation.
"""

SAE = """
## An SAE

Top-k (k = 16, four latents a channel) at resid.1, squared error over variance on rows of the target
that neither map nor SAE has seen.
"""

VECTOR_COLUMNS = ["own", "auto", "auto, strength kept", "affine", "orthogonal", "gauge", "random", "unmoved"]
TURNED_COLUMNS = ["unsteered", *(name for name in VECTOR_COLUMNS if name != "random")]
SAE_COLUMNS = ["at home", "trained there", "auto", "affine", "orthogonal", "gauge", "unmoved"]


def spread(values, scale=1.0, digits=0):
    values = [scale * value for value in values if value is not None]
    if not values:
        return "-"
    mean, low, high = (f"{value:.{digits}f}" for value in (statistics.mean(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low} to {high})"


def table(first, columns, rows):
    lines = ["| " + " | ".join([*first, *columns]) + " |", "|" + " --- |" * (len(first) + len(columns))]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def rungs(seeds, key):
    names = [one["vectors"][key]["family"] for one in seeds]
    return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))


def text(found, seeds):
    rows = []
    for kind, results in found.items():
        for what in PROPERTIES:
            cells = [spread([one["vectors"][what].get(name) for one in results], 100) for name in VECTOR_COLUMNS]
            nats = spread([one["vectors"][f"{what} own"] for one in results], 1, 1)
            r2 = spread([one["vectors"]["map auto"]["r2"] for one in results], 100)
            known = spread([one["vectors"][f"{what} known"] for one in results], 100)
            rows.append([kind, what, known, nats, rungs(results, "map auto"), r2, *cells])
    first = ["models", "vector", "known, %", "own effect, nats", "rung that `auto` took", "its R2, %"]
    result = HEAD.format(seeds=seeds) + "\n" + table(first, [f"{name}, %" for name in VECTOR_COLUMNS], rows)
    turned = []
    for kind, results in found.items():
        cells = [spread([one["vectors"]["turned"].get(name) for one in results], 100) for name in TURNED_COLUMNS]
        turned.append([kind, *cells])
    names = [f"{name}, %" for name in TURNED_COLUMNS]
    result += "\nHarmless requests of unseen kinds that begin to be refused with the whole vector added:\n\n"
    result += table(["models"], names, turned)
    rows = []
    for kind, results in found.items():
        r2 = spread([one["sae"]["r2 auto"] for one in results], 100)
        rows.append([kind, r2, *(spread([one["sae"].get(name) for one in results], 1, 3) for name in SAE_COLUMNS)])
    return result + SAE + "\n" + table(["models", "R2 of `auto`, %"], SAE_COLUMNS, rows)
