#!/usr/bin/env python3
"""regauge's assignment beside SciPy's linear_sum_assignment(maximize=True), on the same matrices, in one run.

    python3 bench/peers/assignment_scipy.py build/native/regauge_bench [--n 1024 2048] [--rounds 3] [--only bos noise]

Both sides run in turn, `rounds` times; the table has medians of the CPU time of one thread, which a busy machine disturbs less than the clock.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time

import numpy as np
import scipy
from scipy.optimize import linear_sum_assignment

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("bench", help="the regauge_bench program")
parser.add_argument("--n", type=int, nargs="+", default=[1024, 2048])
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--only", nargs="+", help="names of matrices; all where it is missing")
arguments = parser.parse_args()


def bench(pattern, folder):
    environment = dict(os.environ, REGAUGE_BENCH_MATRICES=folder)
    command = [arguments.bench, f"--benchmark_filter={pattern}", "--benchmark_format=json", "--benchmark_min_time=0.3"]
    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(out)["benchmarks"][0]["cpu_time"]


listing = subprocess.run([arguments.bench, "--benchmark_list_tests", "--benchmark_filter=^assign/"], check=True, capture_output=True, text=True)
titles = listing.stdout.split("\n")
print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}")
print("| n | scores | SciPy, ms | regauge, ms | ratio |\n| --- | --- | --- | --- | --- |", flush=True)
for title in filter(None, titles):
    _, name, size = title.split("/")
    n = int(size)
    if n not in arguments.n or (arguments.only and name not in arguments.only):
        continue
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            ours.append(bench(f"^{title}$", folder))
            score = np.fromfile(os.path.join(folder, f"{name}-{n}.i32"), dtype=np.int32).reshape(n, n).astype(np.float64)  # SciPy would convert it
            start = time.process_time()
            linear_sum_assignment(score, maximize=True)
            theirs.append(1000 * (time.process_time() - start))
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"| {n} | {name} | {b:.1f} | {a:.2f} | {b / a:.0f} |", flush=True)
