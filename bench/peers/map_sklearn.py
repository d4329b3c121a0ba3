"""An affine map both ways, its penalty chosen on held-out halves, beside scikit-learn's Ridge with the same penalties.

    python bench/peers/map_sklearn.py build/bench/regauge [--d 4096] [--rows 16384] [--threads 2]

Both read the same .npy files and do the same: for each penalty fit on one half of the rows and judge on the other, both ways round, then fit all rows with the best.
Seconds are of the wall and of the processor; the latter is what to look at on a machine that is shared.
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
parser.add_argument("--child", nargs=2)
options = parser.parse_args()
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = str(options.threads)

import numpy as np  # after the threads are set

POWERS = (-12, -9, -6, -3, 0)  # of 4: as many penalties as regauge tries on its way down, at most


def sklearn_map(x, y):
    from sklearn.linear_model import Ridge
    half = np.arange(len(x)) // 32 % 2 == 0
    found = []
    for a, b in ((x, y), (y, x)):
        errors = []
        for power in POWERS:
            error = 0.0
            for fit, judge in ((half, ~half), (~half, half)):
                alpha = 4.0 ** power * a[fit].var() * fit.sum()
                error += ((b[judge] - Ridge(alpha=alpha, solver="cholesky").fit(a[fit], b[fit]).predict(a[judge])) ** 2).sum()
            errors.append(error)
        alpha = 4.0 ** POWERS[int(np.argmin(errors))] * a.var() * len(a)
        found.append(Ridge(alpha=alpha, solver="cholesky").fit(a, b).coef_)
    return found


def timed(command):
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.time() - wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, out


if options.child:
    sklearn_map(*(np.load(path) for path in options.child))
    sys.exit()

with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    random = np.random.default_rng(0)
    x = random.standard_normal((options.rows, options.d), dtype=np.float32)
    y = x @ random.standard_normal((options.d, options.d), dtype=np.float32) / np.sqrt(np.float32(options.d)) + 0.3 * random.standard_normal(x.shape, dtype=np.float32)
    np.save(folder / "x.npy", x), np.save(folder / "y.npy", y)
    ours = timed([options.regauge, "map", folder / "x.npy", folder / "y.npy", "--family", "affine", "--json", "--threads", str(options.threads)])
    peer = timed([sys.executable, __file__, options.regauge, "--threads", str(options.threads), "--child", folder / "x.npy", folder / "y.npy"])
    print(f"d = {options.d}, {options.rows} rows, {options.threads} threads, R2 {json.loads(ours[2])['r2']:.4f}")
    print("| | wall, s | processor, s |\n| --- | --- | --- |")
    for what, (wall, cpu, _) in (("scikit-learn", peer), ("regauge", ours)):
        print(f"| {what} | {wall:.1f} | {cpu:.1f} |")
    print(f"| ratio | {peer[0] / ours[0]:.1f} | {peer[1] / ours[1]:.1f} |")
