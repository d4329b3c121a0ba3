"""Two runs of one small Llama from a common step, the second one scrambled: heads and neurons found, and models merged.

    python experiments/hidden/run.py [--regauge build/native/regauge] [--data build/experiments-hidden] [--seeds 3]

Needs torch, transformers, scipy and safetensors. Interrupted, it goes on where it was (delete --data to begin anew); writes
RESULTS.md beside itself.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "maps"))

import models  # noqa: E402
from rebasin import weight_matching  # noqa: E402
from scramble import Sizes, moved, scrambled  # noqa: E402

transformers.utils.logging.disable_progress_bar()

SIZES = Sizes(d=64, layers=3, neurons=192, heads=4, groups=2, width=16)
CONTEXT, RATE = models.CONTEXT, 3e-3
STEPS = 400  # of each run, the common ones among them
FORKS = (0, 50, 200)
HELD_OUT = 64  # windows that a loss is measured on
KINDS = {"order alone": False, "everything": True}


PREFACE = f"""# Heads and neurons of two runs

`python experiments/hidden/run.py` wrote this. Llamas of {SIZES.layers} layers (d = {SIZES.d}, {SIZES.neurons} neurons, {SIZES.heads} query heads of width
{SIZES.width} in {SIZES.groups} groups, tied embeddings), {STEPS} steps on the text of [the other experiments](../README.md); two runs of a
seed are one up to the common step and then read other text. The second is scrambled (`scramble.py`):
*order alone* permutes channels, neurons and heads; *everything* adds signs, scales of neurons, turns
and scales of RoPE planes and value/output matrices. {{seeds}} seed(s); the mean, and in brackets the
smallest and the largest.

Share that is right. *neurons correspond*: the residual gauge alone, of a copy whose neurons and heads
stay in their places. *sure*: neurons with a confidence above 0.9.

{{found}}

Loss in nats a byte on {HELD_OUT} held-out windows, of the mean of the first run and the scrambled one. *of
one*: the runs themselves. *planted*: the first run moved by the truth. *Git Re-Basin*: its weight
matching (arXiv 2209.04836, algorithm 1; our reading, `rebasin.py`), which has no signs, scales or turns.

{{merged}}"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regauge", type=pathlib.Path, default=HERE.parents[1] / "build/native/regauge")
    parser.add_argument("--data", type=pathlib.Path, default=HERE.parents[1] / "build/experiments-hidden")
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


def regauge(options, *words):
    done = subprocess.run([options.regauge, *map(str, words)], capture_output=True, text=True)
    if done.returncode > 1:
        raise SystemExit(f"regauge {' '.join(map(str, words))}: {done.stderr}")
    return done.stdout


def new_model(seed):
    torch.manual_seed(seed)
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=256, hidden_size=SIZES.d, intermediate_size=SIZES.neurons, num_hidden_layers=SIZES.layers,
            num_attention_heads=SIZES.heads, num_key_value_heads=SIZES.groups, head_dim=SIZES.width,
            max_position_embeddings=CONTEXT, tie_word_embeddings=True, bos_token_id=None, eos_token_id=None,
            pad_token_id=None,
        )
    )  # fmt: skip


def train(seed, fork, stream):
    """The text up to the fork is common, and then the stream's own."""
    model = new_model(seed)
    text = lambda step: f"{seed}/{stream if step >= fork else 'common'}/{step}"
    loss = models.learn(model, lambda step: models.windows(text(step), models.BATCH, CONTEXT + 1), STEPS, RATE)
    print(f"seed {seed}, fork {fork}, {stream}: loss {loss:.3f}", flush=True)
    return model


def run_folder(options, seed, fork, stream):
    return models.made(
        options.data / f"{seed}-{fork}-{stream}", lambda part: train(seed, fork, stream).save_pretrained(part)
    )


def write(folder, like, weights):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_bytes((like / "config.json").read_bytes())
    save_file({name: np.ascontiguousarray(v, np.float32) for name, v in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    return folder


@torch.no_grad()
def loss(folder):
    return models.loss_of(models.load(folder), models.windows("held out", HELD_OUT, CONTEXT + 1)).item()


def mean_of(options, name, like, one, other):
    merged = {key: (one[key].astype(np.float64) + other[key]) / 2 for key in one}
    return loss(write(options.data / "work" / name, like, merged))


def right(found, truth):
    return float(np.mean(np.array(found) == np.array(truth)))


def gauge_right(gauge, planted):
    return float(np.mean((np.array(gauge["perm"]) == planted.perm) & (np.array(gauge["sign"]) == planted.sign)))


def pair(options, seed, fork, everything):
    """The second run, moved by a planted gauge; what is found, and what merging it into the first costs."""
    a, b = (run_folder(options, seed, fork, stream) for stream in ("left", "right"))
    own, other = (load_file(folder / "model.safetensors") for folder in (a, b))
    planted, residual_only = scrambled(SIZES, np.random.default_rng(1000 * seed + fork), everything)
    work = options.data / "work"
    copy = write(work / "copy", b, moved(SIZES, other, planted))
    plain_copy = write(work / "plain-copy", b, moved(SIZES, other, residual_only))
    gauge = work / "gauge.json"

    # A's coordinates to the copy's: what the planted gauge is.
    regauge(options, "align", a, plain_copy, "-o", gauge, "--force")
    out = {"residual, neurons correspond": gauge_right(json.loads(gauge.read_text()), planted)}
    regauge(options, "align", a, copy, "-o", gauge, "--force")
    out["residual, align alone"] = gauge_right(json.loads(gauge.read_text()), planted)
    regauge(options, "align", a, copy, "--hidden", "-o", gauge, "--force")
    found = json.loads(gauge.read_text())
    out["residual, --hidden"] = gauge_right(found, planted)
    layers = found["hidden"]["layers"]
    out["neurons"] = statistics.mean(right(f["neurons"], t.neurons) for f, t in zip(layers, planted.layers))
    out["heads"] = statistics.mean(right(f["heads"], t.heads) for f, t in zip(layers, planted.layers))
    sure = [(c > 0.9, n == m) for f, t in zip(layers, planted.layers)
            for c, n, m in zip(f["confidence"]["neurons"], f["neurons"], t.neurons)]  # fmt: skip
    out["sure neurons right"] = float(np.mean([ok for certain, ok in sure if certain])) if any(c for c, _ in sure) else None

    # Merges in the copy's coordinates, A moved into them.
    target = load_file(copy / "model.safetensors")
    out["loss, of one"] = (loss(a) + loss(b)) / 2
    out["loss, planted"] = mean_of(options, "m1", b, moved(SIZES, own, planted), target)
    regauge(options, "merge", copy, a, "--gauge", gauge, "-o", work / "merged", "--force")
    out["loss, --hidden"] = loss(work / "merged")
    without = {key: value for key, value in found.items() if key != "hidden"}
    (work / "residual.json").write_text(json.dumps(without))
    regauge(options, "merge", copy, a, "--gauge", work / "residual.json", "-o", work / "merged", "--force")
    out["loss, residual alone"] = loss(work / "merged")
    out["loss, Git Re-Basin"] = mean_of(options, "m2", b, weight_matching(SIZES, target, own), target)
    out["loss, as they are"] = mean_of(options, "m3", b, own, target)
    return out


def table(results, names, form):
    lines = ["| scrambled, common steps | " + " | ".join(name.removeprefix("loss, ") for name in names) + " |"]
    lines.append("| --- |" + " --- |" * len(names))
    for (kind, fork), seeds in results.items():
        cells = []
        for name in names:
            values = [seed[name] for seed in seeds if seed[name] is not None]
            spread = f" ({form(min(values))} to {form(max(values))})" if len(set(values)) > 1 else ""
            cells.append(form(statistics.mean(values)) + spread if values else "none is sure")
        lines.append(f"| {kind}, {fork} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    options = arguments()
    torch.set_num_threads(1)
    options.data.mkdir(parents=True, exist_ok=True)
    results = {
        (kind, fork): [pair(options, seed, fork, everything) for seed in range(options.seeds)]
        for kind, everything in KINDS.items()
        for fork in FORKS
    }
    columns = list(next(iter(results.values()))[0])
    losses = [name for name in columns if name.startswith("loss")]
    found = table(results, [name for name in columns if name not in losses], lambda x: f"{100 * x:.1f} %")
    merged = table(results, losses, lambda x: f"{x:.3f}")
    (HERE / "RESULTS.md").write_text(PREFACE.format(seeds=options.seeds, found=found, merged=merged) + "\n")


if __name__ == "__main__":
    main()
