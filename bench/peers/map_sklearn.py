"""An affine map both ways, its penalty chosen on held-out halves, beside scikit-learn's Ridge with the same penalties.

    python bench/peers/map_sklearn.py build/bench/regauge [--d 4096] [--rows 16384] [--threads 2] [--dtype float64]

Both read the same .npy files and do the same: look for the penalty in the same steps (core/src/maps/ladder.cpp), each tried on one half of the rows and judged on the
other, both ways round, then fit all rows with the best. regauge sums exactly and solves in float64; `--dtype float32` lets scikit-learn calculate in half
the precision and time. The largest errors of both maps are printed, too. Seconds are of the wall and of the processor; the latter is what to look at on a machine that is shared.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("regauge")
parser.add_argument("--d", type=int, default=4096)
parser.add_argument("--rows", type=int, default=16384)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--dtype", choices=("float32", "float64"), default="float64", help="what scikit-learn calculates in")
parser.add_argument("--child", nargs=3)
options = parser.parse_args()
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = str(options.threads)

import numpy as np  # after the threads are set
from safetensors.numpy import load_file

SMALLEST, LARGEST = -12, 6  # powers of 4


def sklearn_map(x, y):
    """The penalised map from x to y, and the powers that were tried."""
    from sklearn.linear_model import Ridge
    half = np.arange(len(x)) // 32 % 2 == 0
    known = {}

    def error_of(power):
        if power not in known:
            known[power] = 0.0
            for fit, judge in ((half, ~half), (~half, half)):
                alpha = 4.0 ** power * x[fit].var() * fit.sum()
                known[power] += ((y[judge] - Ridge(alpha=alpha, solver="cholesky").fit(x[fit], y[fit]).predict(x[judge])) ** 2).sum()
        return known[power]

    best = (LARGEST + SMALLEST) // 2
    for step in (3, 1):
        for direction in (-step, step):
            while SMALLEST <= best + direction <= LARGEST and error_of(best + direction) < error_of(best):
                best += direction
    alpha = 4.0**best * x.var(axis=0, dtype=np.float64).mean() * len(x)
    return Ridge(alpha=alpha, solver="cholesky").fit(x, y).coef_, list(known)


def timed(command):
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.time() - wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, out


if options.child:
    x, y = (np.load(path).astype(options.dtype) for path in options.child[:2])
    there, powers = sklearn_map(x, y)
    back, powers_back = sklearn_map(y, x)
    np.save(options.child[2], there)
    print(powers, powers_back)
    sys.exit()

with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    random = np.random.default_rng(0)
    x = random.standard_normal((options.rows, options.d), dtype=np.float32)
    y = x @ random.standard_normal((options.d, options.d), dtype=np.float32) / np.sqrt(np.float32(options.d)) + 0.3 * random.standard_normal(x.shape, dtype=np.float32)
    np.save(folder / "x.npy", x), np.save(folder / "y.npy", y)
    words = ["--family", "affine", "--json", "--threads", str(options.threads), "-o", folder / "map.safetensors"]
    ours = timed([options.regauge, "map", folder / "x.npy", folder / "y.npy", *words])
    same = ["--threads", str(options.threads), "--dtype", options.dtype]
    peer = timed([sys.executable, __file__, options.regauge, *same, "--child", folder / "x.npy", folder / "y.npy", folder / "coef.npy"])
    said = json.loads(ours[2])
    x = x - x.mean(axis=0, dtype=np.float64)  # float64 from here on
    y = y - y.mean(axis=0, dtype=np.float64)
    truth = np.linalg.solve(x.T @ x + said["ridge"] * np.eye(options.d), x.T @ y).T
    maps = {"regauge": load_file(folder / "map.safetensors")["forward"], "scikit-learn": np.load(folder / "coef.npy")}
    print(f"d = {options.d}, {options.rows} rows, {options.threads} threads, {options.dtype}, R2 {said['r2']:.4f}, penalties tried: powers of 4, {peer[2].strip()}")
    print("| | wall, s | processor, s | map's largest error |\n| --- | --- | --- | --- |")
    for what, (wall, cpu, _) in (("scikit-learn", peer), ("regauge", ours)):
        print(f"| {what} | {wall:.1f} | {cpu:.1f} | {np.abs(maps[what] - truth).max():.1e} |")
    print(f"| ratio | {peer[0] / ours[0]:.1f} | {peer[1] / ours[1]:.1f} | |")
