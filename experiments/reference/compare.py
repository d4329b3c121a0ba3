"""The command beside reference.py on synthetic pairs: the same channels, verdicts and estimates?

usage: compare.py REGAUGE [SEED [PAIRS]]
"""
import os
import sys
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np

import reference
from common import Command, share
from trials import pair

KINDS = ("true", "few", "bos", "independent", "gauss")

if __name__ == "__main__":
    seed, pairs = (int(a) for a in (sys.argv[2:] + ["1", "100"][len(sys.argv) - 2:]))
    rng = np.random.RandomState(seed)
    same, verdicts, apart = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        command = Command(sys.argv[1], folder)
        for i in range(pairs):
            x, y, truth = pair(KINDS[i % len(KINDS)], rng)
            x, y = x.astype(np.float32), y.astype(np.float32)
            summary, perm, sign = command.align(x, y)
            wanted = reference.align([x], [y])
            if truth:   # where there is none, ties and near-ties may fall either way
                same.append(share(perm, sign, wanted["final"]))
            verdicts.append(summary["verdict"] == wanted["verdict"])
            apart.append(abs(summary["estimate"] - wanted["share"]))
    print(f"{np.mean(np.array(same) == 1):.1%} of {len(same)} related pairs have the same answer in every channel, mean {np.mean(same):.2%} of the channels;",
          f"{sum(verdicts)} of {pairs} the same verdict; estimates {np.mean(apart):.3f} apart on average, {max(apart):.2f} at most")
    sys.exit(0 if np.mean(same) > 0.99 and np.mean(verdicts) > 0.97 else 1)
