"""SmolLM2-135M scrambled, then tuned: the neurons and heads that are found, against the steps.

    python experiments/hidden/smollm2.py [--regauge build/native/regauge] [--data build/experiments-hidden]

Run B begins at the base moved by a planted gauge (`scramble.py`: channels, neurons and heads in another order, signs, scales,
RoPE turns, value/output matrices) and is tuned on prose; `align --hidden` gets the base and B. Needs what
../real/requirements.txt and ../real/requirements-model.txt name. Prints a table.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np
import scipy.optimize
import torch
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "real"))

import smollm  # noqa: E402
from forks import TOKENS_A_STEP  # noqa: E402
from run import gauge_right, right  # noqa: E402
from scramble import Sizes, moved, scrambled  # noqa: E402

SIZES = Sizes(d=576, layers=30, neurons=1536, heads=9, groups=3, width=64)
RUNS = {5e-4: (0, 10, 28, 100), 4e-3: (10, 30)}  # light and ruinous, as in ../real


def by_scipy(base, weights, planted):
    """Share of neurons that SciPy's assignment finds where the residual gauge is known: cosines of gate, up and down, summed."""

    def rows(weights, name, perm, sign):
        value = weights[name].double().numpy()
        value = value.T if "down" in name else value
        value = value[:, perm] * sign
        return value / np.linalg.norm(value, axis=1, keepdims=True)

    found, same = [], (np.arange(SIZES.d), np.ones(SIZES.d))
    for l, layer in enumerate(planted.layers):
        names = [f"model.layers.{l}.mlp.{kind}_proj.weight" for kind in ("gate", "up", "down")]
        gate, up, down = (rows(weights, name, *same) @ rows(base, name, planted.perm, planted.sign).T for name in names)
        found.append(right(scipy.optimize.linear_sum_assignment(-(gate + abs(up) + abs(down)))[1], layer.neurons))
    return np.mean(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regauge", type=pathlib.Path, default=HERE.parents[1] / "build/native/regauge")
    parser.add_argument("--data", type=pathlib.Path, default=HERE.parents[1] / "build/experiments-hidden")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    base = smollm.make_base(options.data / "base")
    weights = load_file(base / "model.safetensors")
    planted, _ = scrambled(SIZES, np.random.default_rng(1), everything=True)
    start = moved(SIZES, {name: value.double().numpy() for name, value in weights.items()}, planted)
    copy, gauge = options.data / "tuned", options.data / "gauge.json"
    copy.mkdir(exist_ok=True)
    (copy / "config.json").write_bytes((base / "config.json").read_bytes())
    print("| lr | steps | loss | residual | neurons | SciPy, residual known | heads | sure neurons: right |\n| --- |" + " --- |" * 7)
    for rate, wanted in RUNS.items():
        model = smollm.load(base)
        model.load_state_dict({name: torch.tensor(value).float() for name, value in start.items()}, strict=False)
        tokenizer = smollm.transformers.AutoTokenizer.from_pretrained(base)
        batches = smollm.Text(tokenizer).sequences("prose", max(wanted), TOKENS_A_STEP, seed=1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
        for step in range(max(wanted) + 1):
            loss = model(input_ids=batches[max(step - 1, 0)][None], labels=batches[max(step - 1, 0)][None]).loss
            if step > 0:
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
            if step not in wanted:
                continue
            tuned = {name: value.detach().contiguous() for name, value in model.state_dict().items() if name in weights}
            save_file(tuned, copy / "model.safetensors", metadata={"format": "pt"})
            words = ["align", base, copy, "--hidden", "-o", gauge, "--force", "--quiet"]
            subprocess.run([options.regauge, *words], check=True, stdout=subprocess.DEVNULL)
            found = json.loads(gauge.read_text())
            layers = found["hidden"]["layers"]
            pairs = list(zip(layers, planted.layers))
            sure = [n == m for f, t in pairs for c, n, m in zip(f["confidence"]["neurons"], f["neurons"], t.neurons) if c > 0.9]
            cells = [gauge_right(found, planted), np.mean([right(f["neurons"], t.neurons) for f, t in pairs])]
            cells += [by_scipy(weights, tuned, planted), np.mean([right(f["heads"], t.heads) for f, t in pairs])]
            sure_cell = f"{len(sure) / SIZES.layers / SIZES.neurons:.1%}: {np.mean(sure):.2%}" if sure else "none is sure"
            print(f"| {rate:g} | {step} | {loss.item():.2f} | " + " | ".join(f"{cell:.2%}" for cell in cells) + f" | {sure_cell} |", flush=True)


if __name__ == "__main__":
    main()
