"""Plain correlation's estimates (`--group permutation`, `--statistic correlation`) on synthetic pairs.

python plain.py REGAUGE [SEED] [TRIALS]: pairs of eight widths, TRIALS (24) of each of six kinds: independent rows; the
same tokens of two vocabularies; shared content; right ones with common directions and noise; with four channels in ten
replaced; with half of the channels twice. Prints what was called aligned. docs/confidence.md has the table.
"""

import collections
import json
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import save_file

UNRELATED = ("independent", "vocabularies", "shared")
KINDS = (*UNRELATED, "right", "replaced", "twice")


def rows_of(random, kind, d):
    """x, y [rows, d] and the permutation, or None where there is none."""
    rows = int(random.choice([d, 2 * d, 4 * d, 32 * d]))
    if kind == "independent":
        return random.standard_normal((rows, d)), random.standard_normal((rows, d)), None
    if kind == "vocabularies":
        size = int(random.choice([50, 100, 300]))
        tokens = random.integers(0, size, 8 * rows)
        return random.standard_normal((size, d))[tokens], random.standard_normal((size, d))[tokens], None
    if kind == "shared":
        features = int(random.choice([2, d // 4 + 1, d]))
        content = random.standard_normal((8 * rows, features)) * np.exp(-2 * np.arange(features) / features)
        return content @ random.standard_normal((features, d)), content @ random.standard_normal((features, d)), None
    perm = random.permutation(d)
    directions = max(1, d // int(random.choice([2, 4, 16])))
    common, noise = random.choice([0, 0.5, 1, 2, 4]), random.choice([0.05, 0.3, 1, 2, 4])
    x = random.standard_normal((rows, directions)) @ random.standard_normal((directions, d)) / np.sqrt(directions)
    x = common * x + random.standard_normal((rows, d))
    if kind == "twice":
        x[:, d // 2 : d // 2 * 2] = x[:, : d // 2]
    y = x[:, perm] + noise * random.standard_normal((rows, d))
    if kind == "replaced":
        chosen = random.random(d) < 0.4
        y[:, chosen] = random.standard_normal((rows, chosen.sum()))
    return (x if kind == "twice" else x + noise * random.standard_normal((rows, d))), y, perm


def main():
    regauge = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    trials = int(sys.argv[3]) if len(sys.argv) > 3 else 24
    with tempfile.TemporaryDirectory() as folder:
        x_file, y_file, gauge_file = (f"{folder}/{name}" for name in ("x.safetensors", "y.safetensors", "gauge.json"))
        for d in (1, 2, 4, 8, 16, 32, 64, 128):
            found = collections.defaultdict(list)
            for kind in KINDS:
                for trial in range(trials if d < 128 else max(trials // 4, 1)):
                    random = np.random.default_rng([d, KINDS.index(kind), trial, seed])
                    x, y, perm = rows_of(random, kind, d)
                    sign = random.choice([-1, 1], d) if trial % 2 == 0 else np.ones(d, int)
                    how = ("--statistic", "correlation") if trial % 2 == 0 else ("--group", "permutation")
                    save_file({"activations/s": x.astype("f4")}, x_file)
                    save_file({"activations/s": (sign * y).astype("f4")}, y_file)
                    call = [regauge, "align", x_file, y_file, "-o", gauge_file, "--force", "--json", *how]
                    said = json.loads(subprocess.run(call, capture_output=True, text=True).stdout)
                    with open(gauge_file) as file:
                        gauge = json.load(file)
                    right = 0.0
                    if perm is not None:
                        right = np.mean((np.array(gauge["perm"]) == perm) & (np.array(gauge["sign"]) == sign))
                    of = "unrelated" if perm is None else "right" if right >= 0.95 else "others"
                    found[of].append((said["verdict"], said["estimate"], right))
            print(f"d = {d}")
            for of, pairs in found.items():
                aligned = [one for one in pairs if one[0] == "aligned"]
                wrong = sum(one[2] < 0.85 for one in aligned)
                most = max(one[1] for one in pairs)
                print(f"  {of}: {len(pairs)}, aligned {len(aligned)}, of these below 85 % right {wrong}, largest estimate {most:.2f}")


if __name__ == "__main__":
    main()
