"""The command's verdicts on synthetic pairs, 200 of each kind, and its recovery beside float64 Pearson with SciPy.

usage: trials.py REGAUGE [SEED [TRIALS]]
"""
import sys
import tempfile
from collections import Counter

import numpy as np
from scipy.optimize import linear_sum_assignment

from calibrate import synthetic
from common import Command, share

UNRELATED = ("gauss", "shuffled", "independent")
KINDS = UNRELATED + ("true", "few", "t3", "bos", "dup")


def pair(kind, rng):
    """(x, y, truth or None). true: drifted by noise; few: 64 to 256 rows of it; t3: heavy tails; bos: some rows 200 times
    larger; dup: a tenth of the channels twice."""
    x, y, truth = synthetic(kind if kind in UNRELATED else "true", rng)
    n, d = x.shape
    if kind == "few":
        n = int(rng.choice([64, 96, 128, 192, 256]))
        return x[:n], y[:n], truth
    if kind == "t3":
        x = rng.standard_t(3, (n, d))
        y = x + rng.choice([0.05, 0.2, 0.5]) * rng.standard_t(3, (n, d))
        return x, y[:, truth[0]] * truth[1], truth
    if kind == "bos":
        rows, bos = rng.choice(n, max(1, n // 64), False), rng.randn(d) * 200
        x[rows] = bos + rng.randn(len(rows), d)
        y[rows] = (bos + rng.randn(len(rows), d))[:, truth[0]] * truth[1]
    if kind == "dup":
        twice = rng.choice(d, 2 * max(1, d // 10), False)
        first, second = np.split(twice, 2)
        plain = (y * truth[1])[:, np.argsort(truth[0])]
        x[:, second], plain[:, second] = x[:, first], plain[:, first]
        y = plain[:, truth[0]] * truth[1]
    return x, y, truth


def pearson(x, y):
    x, y = ((a - a.mean(0)) / (a.std(0) + 1e-12) for a in (x, y))
    c = y.T @ x / len(x)
    target, source = linear_sum_assignment(-np.abs(c))
    return source, np.sign(c[target, source])


if __name__ == "__main__":
    seed, trials = (int(a) for a in (sys.argv[2:] + ["1", "200"][len(sys.argv) - 2:]))
    with tempfile.TemporaryDirectory() as folder:
        command = Command(sys.argv[1], folder)
        for kind in KINDS:
            rng = np.random.RandomState(seed)
            verdicts, rows = [], []
            for _ in range(trials):
                x, y, truth = pair(kind, rng)
                summary, perm, sign = command.align(x, y)
                verdicts.append(summary["verdict"])
                rows.append((summary["estimate"], *((share(perm, sign, truth), share(*pearson(x, y), truth)) if truth else (0, 0))))
            estimate, right, plain = np.array(rows).T
            line = f"{kind}: {dict(Counter(verdicts))}, largest estimate {estimate.max():.2f}"
            if kind not in UNRELATED:
                good = right >= 0.95
                line += (f"; right {100 * right.mean():.1f} %, Pearson {100 * plain.mean():.1f} %; of {good.sum()} at least 95 % right: "
                         f"{dict(Counter(v for v, g in zip(verdicts, good) if g))}, estimate within five points {100 * np.mean(np.abs(estimate - right)[good] < 0.05):.0f} %"
                         f"; mean estimate {100 * estimate.mean():.1f} %")
            print(line, flush=True)
