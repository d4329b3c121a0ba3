#!/usr/bin/env python3
"""regauge's correlation sums beside NumPy's float32 product of standardised rows, at the same sizes, in one run.

    python3 bench/peers/correlation_numpy.py build/bench/regauge_bench [--rounds 3] [--threads 1]

Both sides run in turn, `rounds` times; the table has medians of CPU time (of all threads), which a busy machine disturbs less than the clock.
"""
import argparse
import os

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("bench", help="the regauge_bench program")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--threads", type=int, default=1, choices=[1, 2])
arguments = parser.parse_args()
for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = str(arguments.threads)  # read when NumPy loads

import json
import platform
import statistics
import subprocess
import time

import numpy as np


def bench(title):
    command = [arguments.bench, f"--benchmark_filter=^{title}", "--benchmark_format=json", "--benchmark_min_time=0.2"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out)["benchmarks"][0]["cpu_time"]


def correlate(x, y):
    x = x - x.mean(0)
    y = y - y.mean(0)
    x /= np.sqrt((x * x).sum(0))
    y /= np.sqrt((y * y).sum(0))
    return y.T @ x


print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, threads {arguments.threads}")
print("| d | rows | NumPy f32, ms | regauge, ms | ratio |\n| --- | --- | --- | --- | --- |", flush=True)
for d, n in ((256, 16384), (1024, 16384), (4096, 4096)):
    generator = np.random.default_rng(1)
    x, y = (generator.uniform(-1, 1, (n, d)).astype(np.float32) for _ in range(2))
    ours, theirs = [], []
    for _ in range(arguments.rounds):
        ours.append(bench(f"correlate/{d}x{n}/threads:{arguments.threads}"))
        start = time.process_time()
        correlate(x, y)
        theirs.append(1000 * (time.process_time() - start))
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"| {d} | {n} | {b:.1f} | {a:.1f} | {b / a:.1f} |", flush=True)
