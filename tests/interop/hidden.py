"""Heads and neurons against transformers and SciPy: models of nine families, every freedom scrambled in NumPy.

The scrambled copy must compute the same logits (transformers), `align --hidden` must find the scramble, the assignment of
neurons must be SciPy's on the same costs, and the moved checkpoint must be the scrambled one to 1e-5.
"""
import json
import pathlib
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from scipy.optimize import linear_sum_assignment
from transformers import AutoConfig, AutoModelForCausalLM

from common import check, finish, regauge, transport

D, LAYERS, NEURONS, HEADS, GROUPS, WIDTH = 96, 2, 40, 6, 2, 8
SIGNS_ONLY = ("qwen3", "gemma3_text", "olmo2")  # norms on queries and keys leave of a turn its sign
SIZES = dict(hidden_size=D, num_hidden_layers=LAYERS, intermediate_size=NEURONS, num_attention_heads=HEADS,
             num_key_value_heads=GROUPS, head_dim=WIDTH, vocab_size=160, pad_token_id=0, max_position_embeddings=64)


def model_of(family, seed, **more):
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, **{**SIZES, **more})
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.copy_(p + 0.1 * torch.randn_like(p))  # gains and biases, all different
            else:
                p.copy_(0.3 * torch.randn_like(p))
    return model


FUSED = {"self_attn.qkv_proj": [("self_attn.q_proj", HEADS * WIDTH), ("self_attn.k_proj", GROUPS * WIDTH), ("self_attn.v_proj", GROUPS * WIDTH)],
         "mlp.gate_up_proj": [("mlp.gate_proj", NEURONS), ("mlp.up_proj", NEURONS)]}


def split(weights):
    """Phi-3's fused projections as separate ones."""
    out = {}
    for name, value in weights.items():
        fused = next((f for f in FUSED if f in name), None)
        if fused is None:
            out[name] = value
            continue
        first = 0
        for part, rows in FUSED[fused]:
            out[name.replace(fused, part)] = value[first:first + rows]
            first += rows
    return out


def fuse(weights, like):
    """Back into the tensors that `like` has."""
    out = {}
    for name in like:
        fused = next((f for f in FUSED if f in name), None)
        out[name] = weights[name] if fused is None else np.concatenate([weights[name.replace(fused, part)] for part, _ in FUSED[fused]])
    return out


def scramble(weights, rng, signs_only, count=NEURONS):
    """A copy in other coordinates, and what was done, as a gauge file has it."""
    w = split({k: v.astype(np.float64) for k, v in weights.items()})
    perm, sign = rng.permutation(D), rng.choice([-1, 1], D)
    layers = []
    for l in range(LAYERS):
        at = f"model.layers.{l}."
        neurons, scale = rng.permutation(count), rng.choice([-1, 1], count) * rng.uniform(0.5, 2, count)
        w[at + "mlp.gate_proj.weight"] = w[at + "mlp.gate_proj.weight"][neurons]
        w[at + "mlp.up_proj.weight"] = w[at + "mlp.up_proj.weight"][neurons] * scale[:, None]
        w[at + "mlp.down_proj.weight"] = w[at + "mlp.down_proj.weight"][:, neurons] / scale
        each, half = HEADS // GROUPS, WIDTH // 2
        kv = rng.permutation(GROUPS)
        heads = np.concatenate([g * each + rng.permutation(each) for g in kv])

        def rows(name, order, matrices, per):
            for part in (".weight", ".bias"):
                key = at + "self_attn." + name + part
                if key in w:
                    blocks = w[key].reshape(len(order), WIDTH, -1)[order]
                    w[key] = np.concatenate([matrices[h // per] @ blocks[h] for h in range(len(order))]).reshape(w[key].shape)

        turns, values = [], []
        for _ in range(GROUPS):
            z = rng.choice([-1.0, 1.0], half) + 0j if signs_only else rng.uniform(0.5, 2, half) * np.exp(2j * np.pi * rng.uniform(size=half))
            a, b = np.diag(z.real), np.diag(z.imag)
            turns.append(np.block([[a, -b], [b, a]]))
            values.append(rng.normal(size=(WIDTH, WIDTH)) * 0.3 + np.eye(WIDTH))
        rows("k_proj", kv, turns, 1)
        rows("q_proj", heads, [np.linalg.inv(t).T for t in turns], each)
        rows("v_proj", kv, values, 1)
        out = w[at + "self_attn.o_proj.weight"].reshape(D, HEADS, WIDTH)[:, heads]
        w[at + "self_attn.o_proj.weight"] = np.stack([out[:, h] @ np.linalg.inv(values[h // each]) for h in range(HEADS)], 1).reshape(D, -1)
        for name, order in (("q_norm", heads), ("k_norm", kv)):
            key = at + f"self_attn.{name}.weight"
            if key in w and w[key].size != WIDTH:  # OLMo 2: gains for all heads together
                w[key] = w[key].reshape(-1, WIDTH)[order].reshape(-1)
        layers.append({"neurons": neurons.tolist(), "neuron_sign": np.sign(scale).astype(int).tolist(), "kv_heads": kv.tolist(), "heads": heads.tolist()})
    for name in w:
        if w[name].ndim == 1:
            if w[name].shape == (D,) and "bias" not in name and "self_attn" not in name:
                w[name] = w[name][perm]
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            w[name] = w[name][perm] * sign[:, None]
        else:
            w[name] = w[name][:, perm] * sign
    w = {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in fuse(w, weights).items()}
    return w, perm, sign, layers


def cosine(a, b):
    return (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T


def by_scipy(source, target, perm, sign, layer):
    source, target = split(source), split(target)
    at = f"model.layers.{layer}.mlp."
    moved = lambda name: source[at + name][:, perm] * sign
    down = (source[at + "down_proj.weight"][perm] * sign[:, None]).T
    score = cosine(target[at + "gate_proj.weight"], moved("gate_proj.weight"))
    score += np.abs(cosine(target[at + "up_proj.weight"], moved("up_proj.weight")) + cosine(target[at + "down_proj.weight"].T, down))
    return linear_sum_assignment(score, maximize=True)[1].tolist()


def write(folder, model, weights):
    model.config.save_pretrained(folder)
    save_file(weights, str(folder / "model.safetensors"), {"format": "pt"})


def logits(folder, tokens):
    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()(tokens).logits.numpy()


def main():
    root = pathlib.Path(tempfile.mkdtemp())
    tokens = torch.randint(0, 160, (2, 20), generator=torch.Generator().manual_seed(1))
    for number, family in enumerate(["llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "olmo2", "phi3"]):
        a, b, moved, gauge = (root / f"{family}-{part}" for part in ("a", "b", "moved", "gauge.json"))
        model = model_of(family, number)
        model.save_pretrained(a)
        weights = load_file(a / "model.safetensors")
        scrambled, perm, sign, truth = scramble(weights, np.random.default_rng(number), family in SIGNS_ONLY)
        write(b, model, scrambled)
        check(f"{family}: the scrambled copy computes the same", np.abs(logits(a, tokens) - logits(b, tokens)).max() < 1e-3)

        status, text = regauge("align", a, b, "--hidden", "-o", gauge)
        check(f"{family}: aligned", status == 0, "" if status == 0 else text.strip())
        if status != 0:
            continue
        found = json.loads(gauge.read_text())
        check(f"{family}: residual gauge", found["perm"] == perm.tolist() and found["sign"] == sign.tolist())
        for key in ("neurons", "neuron_sign", "kv_heads", "heads"):
            check(f"{family}: {key}", all(f[key] == t[key] for f, t in zip(found["hidden"]["layers"], truth)))
        check(f"{family}: neurons as SciPy assigns them",
              all(f["neurons"] == by_scipy(weights, scrambled, perm, sign, l) for l, f in enumerate(found["hidden"]["layers"])))
        transport(a, gauge, moved)
        after = load_file(moved / "model.safetensors")
        off = max(np.abs(after[k] - scrambled[k]).max() / np.abs(scrambled[k]).max() for k in scrambled)
        check(f"{family}: moved to the scrambled copy", off < 1e-5, f"{off:.1e}")
        off = np.abs(logits(moved, tokens) - logits(a, tokens)).max()
        check(f"{family}: the moved checkpoint computes the same", off < 1e-3, f"{off:.1e}")

    # Matched neurons mend the residual gauge: embeddings drowned in noise (four times their spread), layers hardly.
    rng = np.random.default_rng(8)
    a, b, gauge = root / "clean", root / "noisy", root / "noisy.json"
    model = model_of("llama", 3, intermediate_size=256, num_hidden_layers=LAYERS)
    model.save_pretrained(a)
    weights = load_file(a / "model.safetensors")
    noisy = {}
    for name, v in weights.items():
        spread = 1 if v.ndim == 1 else v.std() * (4 if "embed" in name or "lm_head" in name else 0.3)
        noisy[name] = (v + spread * rng.normal(size=v.shape)).astype(np.float32)
    scrambled, perm, sign, _ = scramble(noisy, rng, False, 256)
    write(b, model, scrambled)
    status, text = regauge("align", a, b, "--hidden", "-o", gauge, "--json", "--quiet")
    hidden = json.loads(text)["hidden"]
    check("matched neurons: the measure does not fall", hidden["measure"] >= hidden["start"], f"{hidden['start']:.3f} to {hidden['measure']:.3f}")

    # Of two independent models the assignment is SciPy's, too, and nothing is sure.
    a, b, gauge = root / "x", root / "y", root / "xy.json"
    models = [model_of("llama", 100), model_of("llama", 101)]
    for folder, model in zip((a, b), models):
        model.save_pretrained(folder)
    regauge("align", a, b, "--hidden", "-o", gauge)
    found = json.loads(gauge.read_text())
    perm, sign = np.array(found["perm"]), np.array(found["sign"])
    wx, wy = (load_file(f / "model.safetensors") for f in (a, b))
    for l, layer in enumerate(found["hidden"]["layers"]):
        if (sign != 0).all():
            check(f"independent: layer {l} as SciPy assigns it", layer["neurons"] == by_scipy(wx, wy, perm, sign, l))
        check(f"independent: layer {l} has no sure neurons", max(layer["confidence"]["neurons"]) < 0.5)
    finish()


main()
