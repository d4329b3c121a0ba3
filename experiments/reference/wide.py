"""The command's verdicts and estimates on synthetic pairs as wide as real models, with SmolLM2's statistics.

usage: wide.py REGAUGE [--widths 576 2048 4096] [--rows 64 256 1024] [--kinds hard ruinous independent shuffled] [--pairs 1] [--seed 1]

A table row for each pair of width and rows. Spectrum, correlation of two hard fine-tunes in each direction, the massive
channel and BOS are those of SmolLM2-135M (d = 576) at resid.15, learning rate 4e-3, step 6 (experiments/real).
"""
import argparse
import resource
import tempfile

import numpy as np

from common import Command, share
from trials import pearson

# Of the covariance of 976 rows that are not massive: relative rank, eigenvalue over the mean, correlation of the runs there
RANK = np.array([0, 0.0017, 0.0052, 0.0156, 0.0503, 0.099, 0.2, 0.4, 0.6, 0.8, 1])
EIGENVALUE = np.array([280, 93, 26, 3.6, 1.2, 0.60, 0.21, 0.046, 0.013, 0.0035, 0.00044])
CORRELATION = np.array([0.22, 0.21, 0.21, 0.24, 0.35, 0.34, 0.11, 0.03, 0.02, 0.02, 0.01])
BOS_EVERY, BOS_NORM = 128, 176  # rows; medians of the other rows' norms, nearly all of it in the massive channel
# Drifts: the correlations to this power. 1: as measured, the most ruinous that is measured there
KINDS = {"light": 0.1, "hard": 0.3, "harder": 0.5, "ruinous": 1.0, "independent": None, "shuffled": 0.3}


def walsh(x):
    """Every row's Walsh-Hadamard transform, orthonormal; a power of two channels."""
    n, d = x.shape
    width = 1
    while width < d:
        blocks = x.reshape(n, -1, 2, width)
        x = np.stack((blocks[:, :, 0] + blocks[:, :, 1], blocks[:, :, 0] - blocks[:, :, 1]), 2).reshape(n, d)
        width *= 2
    return x / np.float32(np.sqrt(d))


def rotation(d, rng):
    """A random orthogonal map of rows: the same one every time that it is called."""
    if d & (d - 1):
        basis = np.linalg.qr(rng.randn(d, d))[0].astype(np.float32)
        return lambda x: x @ basis
    signs, order = rng.choice(np.float32([-1, 1]), (3, d)), rng.permutation(d)
    return lambda x: walsh(walsh(x * signs[0])[:, order] * signs[1]) * signs[2]


def pair(kind, d, n, rng):
    """(x, y, truth or None)"""
    rank = np.arange(d) / (d - 1)
    deviation = np.float32(np.sqrt(np.exp(np.interp(rank, RANK, np.log(EIGENVALUE)))))
    power = KINDS[kind]
    shared = np.float32(np.zeros(d) if power is None else np.interp(rank, RANK, CORRELATION) ** power)
    factors = rng.standard_normal((n, d)).astype(np.float32)
    others = shared * factors + np.sqrt(1 - shared**2) * rng.standard_normal((n, d)).astype(np.float32)
    turn, massive, bos = rotation(d, rng), rng.randint(d), np.arange(0, n, BOS_EVERY)
    sides = []
    for z in (factors * deviation, others * deviation):
        first, z = z[:, 0].copy(), z.copy()
        z[:, 0] = 0
        z = turn(z)
        z[:, massive] += first  # the first direction is one channel
        z[bos, massive] += BOS_NORM * np.median(np.linalg.norm(z, axis=1))
        sides.append(z)
    perm, sign = rng.permutation(d), rng.choice([-1, 1], d)
    x, y = sides[0], sides[1][:, perm] * np.float32(sign)
    if kind == "shuffled":
        y = y[rng.permutation(n)]
    return x, y, (perm, sign) if kind in ("light", "hard", "harder", "ruinous") else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("regauge")
    parser.add_argument("--widths", type=int, nargs="+", default=[576, 2048, 4096])
    parser.add_argument("--rows", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-plain", action="store_true", help="no Pearson with SciPy: an assignment of thousands is slow")
    options = parser.parse_args()
    print("| d | rows | pair | seed | right, % | Pearson, % | says, % | verdict | of channels above 0.9: right, % | seconds of one processor |")
    print("|" + " --- |" * 10)
    with tempfile.TemporaryDirectory() as folder:
        command = Command(options.regauge, folder)
        for d in options.widths:
            for n in options.rows:
                for kind in options.kinds:
                    for seed in range(options.seed, options.seed + options.pairs):
                        report(command, kind, d, n, seed, not options.no_plain)


def processor():
    """Seconds of processor time that the commands have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report(command, kind, d, n, seed, with_plain):
    x, y, truth = pair(kind, d, n, np.random.RandomState(seed * 1000003 + d * 101 + n))
    begun = processor()
    summary, perm, sign = command.align(x, y, "--threads", "1")
    took = processor() - begun
    right, plain, sure = "", "", ""
    if truth:
        good, above = (perm == truth[0]) & (sign == truth[1]), np.array(command.gauge["confidence"]) > 0.9
        right, sure = f"{100 * good.mean():.1f}", f"{100 * good[above].mean():.1f} of {above.sum()}" if above.any() else "none"
        plain = f"{100 * share(*pearson(x, y), truth):.1f}" if with_plain else ""
    print(f"| {d} | {n} | {kind} | {seed} | {right} | {plain} | {100 * summary['estimate']:.1f} | {summary['verdict']} | {sure} | {took:.0f} |", flush=True)


if __name__ == "__main__":
    main()
