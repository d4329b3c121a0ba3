"""Refit reference.CONFIDENCE on trained checkpoints (train.py's families; those of `make experiments`) and synthetic pairs;
print held-out calibration.  Answers beyond doubt have a curve of their own (reference.BEYOND_DOUBT) and take no part.

Each family is held out in turn.  usage: calibrate.py DATA build/experiments-data [--write core/src/match/calibration.hpp]
"""
import argparse
import os
import textwrap
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
from scipy.optimize import minimize

import reference as r

# How much each kind of pair counts as a whole
WEIGHT = {"same": 2500, "experiments": 2500, "independent": 300}   # and 100 each of the synthetic kinds


def synthetic(kind, rng):
    """A pair (x, y, truth or None): gauss, shuffled, independent (two linear images of the same features), or true."""
    d, n = int(rng.choice([16, 32, 64, 128])), int(rng.choice([64, 128, 256, 1024, 4096]))
    common, decay = int(rng.choice([0, 1, 3])), rng.choice([0, 2, 4])
    if kind == "gauss":
        return rng.randn(n, d), rng.randn(n, d), None
    if kind == "independent":
        q = int(rng.choice([max(4, d // 8), d // 2, 2 * d]))
        f = rng.randn(n, q) * np.linspace(2, 0.2, q)
        x, y = (f @ rng.randn(q, d) / np.sqrt(q) + 0.3 * rng.randn(n, d) for _ in "xy")
        shared = rng.randn(n, common) * 3
        return x + shared @ rng.randn(common, d), y + shared @ rng.randn(common, d), None
    weight = np.exp(-decay * np.arange(d) / d * np.log(10))
    x = rng.randn(n, d) @ (np.linalg.qr(rng.randn(d, d))[0] * np.sqrt(weight)[:, None])
    x = x + (rng.randn(n, common) * np.array([3, 2, 1.5])[:common]) @ rng.randn(common, d)
    y = x + rng.choice([0.05, 0.2, 0.5, 1.0]) * x.std(0) * rng.randn(n, d)
    perm, sign = rng.permutation(d), rng.choice([-1, 1], d)
    y = y[:, perm] * sign
    return (x, y[rng.permutation(n)], None) if kind == "shuffled" else (x, y, (perm, sign))


def case(x, y, truth, family, kind):
    found = r.align(x, y)
    perm, sign = found["perm"], found["sign"]
    right = (perm == truth[0]) & (sign == truth[1]) if truth else np.zeros(len(perm), bool)
    return dict(rows=found["features"], sure=found["sure"], right=right, share=right.mean(), family=family, kind=kind)


def trained(data, rng):
    identity = lambda d: (np.arange(d), np.ones(d, int))
    for family in ("s0", "s1", "s2", "m128"):
        root, pairs = Path(data) / family, []
        for a in sorted(root.glob("fork*a")):
            b = root / (a.name[:-1] + "b")
            pairs += [(a / f, b / f) for f in (f"step{s:05d}.npz" for s in (100, 200, 250, 300, 500, 1000, 1500))]
            pairs += [(a / f"step{s:05d}.npz", a / f"step{t:05d}.npz")
                      for s, t in ((50, 75), (50, 100), (100, 200), (200, 400), (150, 1500))]
        for p, q in pairs:
            if not (p.exists() and q.exists()):
                continue
            zx, zy = np.load(p), np.load(q)
            last = max(k for k in zx.files if k.startswith("act."))
            n = int(rng.choice([64, 128, 1024, 1024]))
            for sites in (["embed"], [last], ["embed", "act.1", last]):
                x, y = [zx[s][:n] for s in sites], [zy[s][:n] for s in sites]
                yield case(x, y, identity(x[0].shape[1]), family, "same")
    for one, other in (("s0", "s1"), ("s2", "s1"), ("m128", "x128")):
        for s in (100, 300, 1500):
            for t in (100, 300, 1500):
                p, q = (Path(data) / f / "fork0a" / f"step{n:05d}.npz" for f, n in ((one, s), (other, t)))
                if p.exists() and q.exists():
                    zx, zy = np.load(p), np.load(q)
                    for sites in (["embed"], ["embed", "act.1"]):
                        yield case([zx[k] for k in sites], [zy[k] for k in sites], None, one, "independent")


def coordinates(d, *numbers):
    """The gauge into which experiments/runs.cpp puts a checkpoint: splitmix64 seeded with (mixed run, step)."""
    def seed(*parts):
        z = 0
        for part in parts:
            z = r.RandomGauges.mix(z + part + 0x9e3779b97f4a7c15 & r.RandomGauges.BITS)
        return z

    return r.RandomGauges(seed(seed(*numbers[:3]), numbers[3])).next(d)


def experiments(folder, rng):
    from safetensors.numpy import load_file

    """Pairs of `make experiments`: along one run, over it, and across two runs of one base."""
    arrays = {}

    def read(seed, fork, half, step):
        base = step <= fork
        path = Path(folder) / f"seed{seed}" / ("base" if base else f"fork{fork}{half}") / f"step{step:05d}" / "evidence.safetensors"
        if path not in arrays and path.exists():
            tensors = load_file(path)
            x = [tensors[k].astype(np.float64) for k in sorted(tensors) if k.startswith("activations/")]
            x = [a.reshape(-1, a.shape[-1]) for a in x]
            arrays[path] = x, coordinates(x[0].shape[1], seed, 0 if base else fork, ord("-" if base else half), step)
        return arrays.get(path)

    for seed in range(5):
        for fork in (0, 50, 75, 100):
            steps = [fork] + [s for s in range(50, 1501, 50) if s > fork]
            pairs = [((h, a), (h, b)) for h in "ab" for a, b in zip(steps, steps[1:]) if a <= 200 or a % 500 == 0]
            pairs += [((h, b), (h, a)) for h in "ab" for a, b in zip(steps[:3], steps[1:])]
            pairs += [((h, a), (h, b)) for h in "ab" for a in (fork, 150, 300) for b in (250, 500, 1500) if fork <= a < b]
            pairs += [(("a", s), ("b", s)) for s in (100, 150, 250, 500, 1000, 1500) if s > fork]
            for one, other in pairs:
                p, q = read(seed, fork, *one), read(seed, fork, *other)
                if p is None or q is None:
                    continue
                (x, (px, sx)), (y, (py, sy)) = p, q
                back = np.argsort(px)
                truth = back[py], sy * sx[back[py]]
                n = int(rng.choice([128, 1024, 1024]))
                for sites in ((0,), (len(x) - 1,), range(len(x))):
                    if len(sites) > 1 or rng.rand() < 0.3:
                        yield case([x[k][:n] for k in sites], [y[k][:n] for k in sites], truth, f"e{seed}", "experiments")


def fit(cases, ridge=0.05):
    cases = [c for c in cases if not c["sure"]]
    of_kind = Counter(c["kind"] for c in cases)
    x = np.concatenate([c["rows"] for c in cases])
    y = np.concatenate([c["right"] for c in cases]).astype(float)
    w = np.concatenate([np.full(len(c["right"]), WEIGHT.get(c["kind"], 100) / of_kind[c["kind"]] / len(c["right"])) for c in cases])
    mean, sd = x.mean(0), x.std(0) + 1e-9
    mean[0], sd[0] = 0, 1
    x = (x - mean) / sd

    def loss(b):
        t = x @ b
        p = 1 / (1 + np.exp(-np.clip(t, -40, 40)))
        return (w * (np.logaddexp(0, t) - y * t)).sum() + ridge * b[1:] @ b[1:], x.T @ (w * (p - y)) + 2 * ridge * np.r_[0, b[1:]]

    b = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options=dict(maxiter=3000)).x
    coefficients = b / sd
    coefficients[0] = b[0] - (b[1:] * mean[1:] / sd[1:]).sum()
    return coefficients


# The coefficients in the order of reference.features, and what each is a change of log odds for.
COEFFICIENTS = {
    "constant": "log odds",
    "ofFused": "a spread of the channel's margin in the fused scores",
    "ofFitted": "a spread of its margin in the refinement's fit",
    "ofMeanCombined": "the logarithm of the mean margin in scores and fit together",
    "ofMeanFused": "a spread of the mean margin in the fused scores",
    "ofMeanFitted": "a spread of the mean margin in the refinement's fit",
    "ofAdvantage": "the logarithm of the largest advantage",
    "ofHalves": "a half that gives the same answer for the channel",
    "ofAgreement": "the agreement of the halves",
}


def header(values, data):
    """The text of core/src/match/calibration.hpp; `data`: what the values were fitted to."""
    code = [f"inline constexpr double {name} = {value:.4g};" for name, value in zip(COEFFICIENTS, values, strict=True)]
    width = max(map(len, code))
    lines = ["// Written by experiments/reference/calibrate.py --write; do not edit.", "//",
             "// The logistic model of a channel's confidence (confidence.cpp has its features, reference.py the same in NumPy).",
             "// Fitted to:", *(f"//   {line}" for line in textwrap.wrap(data, 110)), "#pragma once", "", "namespace regauge::calibration {", "",
             *(f"{line:{width}}  // {what}" for line, what in zip(code, COEFFICIENTS.values())), "",
             "}  // namespace regauge::calibration"]
    return "\n".join(lines) + "\n"


def described(cases, seed):
    """Names the data of a fit."""
    kinds = Counter(c["kind"] for c in cases)
    families = sorted({c["family"] for c in cases if not c["family"].startswith("syn")})
    return (f"{len(cases)} pairs drawn by calibrate.py (seed {seed}) and described by reference.py, "
            f"{sum(not c['sure'] for c in cases)} of them not beyond doubt: families {', '.join(families)} of train.py and "
            f"`make experiments` (e); by kind {', '.join(f'{kind} {count}' for kind, count in sorted(kinds.items()))}.")


SEED = 21

if __name__ == "__main__":
    from trials import pair     # which takes `synthetic` from here
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data"), parser.add_argument("experiments"), parser.add_argument("--write", metavar="HEADER")
    options = parser.parse_args()
    rng = np.random.RandomState(SEED)
    cases = list(trained(options.data, rng)) + list(experiments(options.experiments, rng))
    for kind in ("true", "few", "bos", "t3", "independent", "gauss", "shuffled"):
        for i in range(100):
            x, y, truth = pair(kind, rng)
            cases.append(case([x], [y], truth, f"syn{i % 2}", kind))
    estimate, share = [], []
    for family in sorted({c["family"] for c in cases}):
        b = fit([c for c in cases if c["family"] != family])
        for c in cases:
            if c["family"] == family:
                estimate.append((r.confidence(c["rows"], True) if c["sure"] else r.logistic(c["rows"] @ b)).mean())
                share.append((c["share"], c["kind"]))
    estimate, right = np.array(estimate), np.array([s for s, _ in share])
    null = np.array([k in ("gauss", "shuffled", "independent") for _, k in share])
    for lo, hi in ((0, .1), (.1, .35), (.35, .6), (.6, .9), (.9, .97), (.97, 1.01)):
        q = (estimate >= lo) & (estimate < hi)
        print(f"estimate {lo}..{hi}: {q.sum()} pairs, mean {estimate[q].mean():.3f}, right {right[q].mean():.3f}")
    print(f"unrelated pairs {null.sum()}: largest estimate {estimate[null].max():.2f};",
          f"pairs >= 95 % right {(right >= .95).sum()}: smallest {estimate[right >= .95].min():.2f},",
          f"{np.mean(np.abs(estimate - right)[right >= .95] < .05):.1%} of them estimated within five points, {np.mean(np.abs(estimate - right) < .05):.1%} of all")
    coefficients = fit(cases)
    print(np.array2string(coefficients, precision=3, separator=", "))
    if options.write:
        Path(options.write).write_text(header(coefficients, described(cases, SEED)))
