#!/usr/bin/env python3
"""Alignment end to end, from two .npy files to the signed permutation: `regauge align --statistic correlation` (or whitened) beside NumPy and SciPy, in one run.

    python3 bench/peers/align_numpy.py build/bench/regauge [--d 4096] [--rows 16384] [--threads 2] [--rounds 3] [--isa avx2] [--whitened]

The planted pair is rows of noise, permuted, signed and disturbed; --whitened adds 32 directions that all channels share, and NumPy whitens both sides with
(G + I)^(-1/2) by `eigh`, in single precision as all it does here. Both sides must find all of the gauge. Both run in turn, `rounds` times. The ratio is that
of CPU time (of all threads), which a busy machine disturbs less than the clock; the clock is printed too.
"""
import argparse
import os

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("command", help="the regauge program")
parser.add_argument("--d", type=int, default=4096)
parser.add_argument("--rows", type=int, default=16384)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--isa", help="REGAUGE_ISA: limits regauge to an instruction set")
parser.add_argument("--whitened", action="store_true", help="whitened correlation on both sides")
arguments = parser.parse_args()
for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = str(arguments.threads)  # read when NumPy loads

import json
import platform
import resource
import statistics
import subprocess
import tempfile
import time

import numpy as np
import scipy
from scipy.optimize import linear_sum_assignment


def standardised(rows):
    rows = rows - rows.mean(0)
    return rows / np.sqrt((rows * rows).sum(0))


def whitener(rows):
    values, vectors = np.linalg.eigh(rows.T @ rows)
    return (vectors / np.sqrt(values + 1)) @ vectors.T


def align(source, target):
    x, y = standardised(np.load(source)), standardised(np.load(target))
    r = y.T @ x
    if arguments.whitened:
        r = whitener(y) @ r @ whitener(x)
    _, perm = linear_sum_assignment(np.abs(r), maximize=True)
    return perm, np.sign(r[np.arange(len(perm)), perm])


def timed(work, who):
    before, began = resource.getrusage(who), time.perf_counter()
    answer = work()
    after = resource.getrusage(who)
    return answer, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - began


with tempfile.TemporaryDirectory() as folder:
    generator = np.random.default_rng(1)
    perm, sign = generator.permutation(arguments.d), generator.choice([-1.0, 1.0], arguments.d).astype(np.float32)
    x = generator.standard_normal((arguments.rows, arguments.d), dtype=np.float32)
    if arguments.whitened:
        x += generator.standard_normal((arguments.rows, 32), dtype=np.float32) @ generator.standard_normal((32, arguments.d), dtype=np.float32) / 2
    y = np.ascontiguousarray(sign * x[:, perm]) + 0.5 * generator.standard_normal(x.shape, dtype=np.float32)
    source, target, out = (os.path.join(folder, name) for name in ("source.npy", "target.npy", "gauge.json"))
    np.save(source, x)
    np.save(target, y)
    del x, y
    command = [arguments.command, "align", source, target, "-o", out, "--force", "--quiet", "--statistic", "whitened" if arguments.whitened else "correlation", "--threads", str(arguments.threads)]
    environment = dict(os.environ, **({"REGAUGE_ISA": arguments.isa} if arguments.isa else {}))
    ours, theirs = [], []
    for _ in range(arguments.rounds):
        _, *times = timed(lambda: subprocess.run(command, env=environment, check=True), resource.RUSAGE_CHILDREN)
        ours.append(times)
        with open(out) as file:
            gauge = json.load(file)
        assert gauge["perm"] == perm.tolist() and gauge["sign"] == sign.astype(int).tolist(), "regauge finds the planted gauge"
        (found, signs), *times = timed(lambda: align(source, target), resource.RUSAGE_SELF)
        theirs.append(times)
        assert (found == perm).all() and (signs == sign).all(), "NumPy finds the planted gauge"
    version = subprocess.run([arguments.command, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    print(f"{platform.processor() or platform.machine()}, {version}, NumPy {np.__version__}, SciPy {scipy.__version__}, threads {arguments.threads}{', limited to ' + arguments.isa if arguments.isa else ''}{', whitened' if arguments.whitened else ''}\n")
    print("| d | rows | | NumPy + SciPy, s | regauge, s | ratio |\n| --- | --- | --- | --- | --- | --- |")
    for k, what in enumerate(("CPU", "clock")):
        a, b = (statistics.median(times[k] for times in side) for side in (ours, theirs))
        print(f"| {arguments.d} | {arguments.rows} | {what} | {b:.2f} | {a:.2f} | {b / a:.1f} |")
