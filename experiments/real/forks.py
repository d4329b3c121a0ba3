"""Forks of the base under hard fine-tuning, and the evidence that they leave.

Run A begins at the base and sees code; run B begins at the base moved by a planted gauge and sees prose.
The gauge from A to B is the planted one.
"""

import json
import pathlib
import sys
import time

import numpy as np
import torch
from safetensors.numpy import save_file

import smollm

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples"))
from collect_evidence import decoder_of, gains_of  # noqa: E402

TOKENS_A_STEP = 64
PLACES = (0, 5, 10, 15, 20, 25, 30)  # of 30 layers: 0 is the embedding, 30 what the last layer puts out
PROMPTS = {
    "": (8, 128),
    "_short": (256, 4),
}  # prompts x tokens of the two evidence files of a checkpoint: 1024 rows each


def rate_name(rate):
    """5e-4, as in file names."""
    mantissa, exponent = f"{rate:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def evidence_path(data, seed, rate, step, side, prompts=""):
    return data / f"s{seed}_lr{rate_name(rate)}_step{step}{prompts}_{side}.safetensors"


@torch.no_grad()
def save_evidence(model, ids, path):
    """Activations (float16), gains and token ids; under its name when whole."""
    layers, final, d = decoder_of(model)
    tensors = {f"gains/{name}": gain for name, gain in gains_of(layers, final, d).items()}
    kept = {}
    hooks = []
    for place in PLACES:
        module = layers[place] if place < len(layers) else final

        def keep(_, given, named, place=place):
            x = given[0] if given else named["hidden_states"]
            kept.setdefault(place, []).append(x.numpy().astype(np.float16))

        hooks.append(module.register_forward_pre_hook(keep, with_kwargs=True))
    batch = max(1, 256 // ids.shape[1])
    for begin in range(0, len(ids), batch):
        model.model(input_ids=ids[begin : begin + batch], use_cache=False)
    for hook in hooks:
        hook.remove()
    tensors |= {f"activations/resid.{place}": np.concatenate(rows) for place, rows in kept.items()}
    tensors["token_ids"] = ids.numpy()
    part = path.with_suffix(".part")
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, part)
    part.rename(path)


def train(data, text, seed, rate, steps, side, gauge, keep_model):
    """One run. Leaves evidence at `steps` and, if wanted, the last checkpoint; what is whole is not made again."""
    folder = data / f"s{seed}_lr{rate_name(rate)}_{side}"
    wanted = [evidence_path(data, seed, rate, step, side, prompts) for step in steps for prompts in PROMPTS]
    if all(path.exists() for path in wanted) and (not keep_model or (folder / "model.safetensors").exists()):
        return
    begin = time.process_time()
    model = smollm.load(data / "base")
    if side == "b":
        gauge.move_model(model)
    batches = text.sequences("code" if side == "a" else "prose", max(steps), TOKENS_A_STEP, seed)
    evidence = {prompts: text.evidence(*shape) for prompts, shape in PROMPTS.items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    for step in range(max(steps) + 1):
        if step > 0:
            ids = batches[step - 1 : step]
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        if step in steps:
            for prompts, ids in evidence.items():
                save_evidence(model, ids, evidence_path(data, seed, rate, step, side, prompts))
            said = f", loss {loss.item():.2f}" if step else ""
            print(
                f"s{seed} lr {rate_name(rate)} {side}: step {step}{said}, {time.process_time() - begin:.0f} s CPU",
                flush=True,
            )
    if keep_model:
        model.save_pretrained(folder)
        text.tokenizer.save_pretrained(folder)


def make_truth(data, seed, d):
    gauge = smollm.Gauge.planted(d, seed)
    (data / f"s{seed}_truth.json").write_text(json.dumps(gauge.record()))
    return gauge


def make_unrelated(data, text):
    """The base and a random initialisation, on the same tokens."""
    folders = {"a": data / "base", "b": smollm.make_random(data / "base", data / "random", seed=1)}
    for side, folder in folders.items():
        for prompts, shape in PROMPTS.items():
            path = data / f"unrelated{prompts}_{side}.safetensors"
            if not path.exists():
                save_evidence(smollm.load(folder), text.evidence(*shape), path)
