"""The trace table, with the command: chains of checkpoints of train.py from the end of one fork over their base to the end of the other.

usage: traces.py REGAUGE DATA [FAMILY,FORK,SPACING,SITES ...]    SITES: embed, last, all
"""
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from common import Command, share

END = 1500
CHAINS = """s0,0,250,all s0,0,500,all s0,0,250,embed s0,50,250,embed s0,0,100,last s0,50,100,last s0,50,250,last s0,200,250,last
s1,0,250,all s1,0,50,last s1,0,100,last s1,50,100,last s1,50,250,last s2,0,250,all s2,0,100,last s2,0,250,last s2,100,100,last
m128,0,250,all m128,0,500,embed m128,0,750,embed m128,50,100,last m128,50,250,last m128,0,100,last m128,0,250,last""".split()


def chain(data, family, fork, spacing):
    down = [f"fork{fork}a/step{step:05d}" for step in range(END, fork, -spacing)]
    up = [f"fork{fork}b/step{step:05d}" for step in reversed(range(END, fork, -spacing))]
    return [Path(data) / family / f"{name}.npz" for name in down + [f"base/step{fork:05d}"] + up]


def bundles(paths, sites, folder):
    out = []
    for k, path in enumerate(paths):
        arrays = np.load(path)
        activations = sorted(name for name in arrays.files if name.startswith("act."))
        keep = {"embed": ["embed"], "last": activations[-1:], "all": ["embed", *activations]}[sites]
        out.append(Path(folder) / f"{k:03d}.safetensors")
        save_file({f"activations/{name}": np.ascontiguousarray(arrays[name], np.float32) for name in keep}, out[-1])
    return out


def composed(answers):
    perm, sign = answers[0]
    for p, s in answers[1:]:
        perm, sign = perm[p], s * sign[p]
    return perm, sign


if __name__ == "__main__":
    print("| family, fork, spacing, sites | ends plain | ends | plain hop by hop | hop by hop | via base | trace | estimate |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for spec in sys.argv[3:] or CHAINS:
        family, fork, spacing, sites = spec.split(",")
        paths = chain(sys.argv[2], family, int(fork), int(spacing))
        if not all(path.exists() for path in paths):
            print(f"| {spec}: no such checkpoints |")
            continue
        with tempfile.TemporaryDirectory() as folder:
            files, command = bundles(paths, sites, folder), Command(sys.argv[1], folder)
            answer = lambda *a: command.run("align", *a)[1:]
            middle, plain = files[len(files) // 2], ("--statistic", "correlation")
            summary, perm, sign = command.run("trace", *files)
            truth = np.arange(len(perm)), np.ones(len(perm), int)
            columns = [answer(files[0], files[-1], *plain), answer(files[0], files[-1]),
                       composed([answer(a, b, *plain) for a, b in zip(files, files[1:])]),
                       composed([answer(a, b) for a, b in zip(files, files[1:])]),
                       composed([answer(files[0], middle), answer(middle, files[-1])]), (perm, sign)]
            print(f"| {spec} | " + " | ".join(f"{100 * share(*c, truth):.0f}" for c in columns) + f" | {100 * summary['estimate']:.0f} |", flush=True)
