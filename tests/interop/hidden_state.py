"""Optimizer state along hidden axes, against torch: what AdamW keeps in A, moved, is what it keeps in the scrambled copy B.

B is A in other coordinates (places of neurons and heads, and where said signs, scales, turns and matrices), so B's gradients are
autograd's own, and a step of AdamW in B gives the state that A's must move to. The checkpoint's folder moves whole.
"""
import json
import pathlib
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM

from common import check, finish, regauge

torch.set_num_threads(1)
D, LAYERS, NEURONS, HEADS, GROUPS, WIDTH = 48, 2, 20, 4, 2, 8
EACH, HALF = HEADS // GROUPS, WIDTH // 2


def random_model(family, seed):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(
        family, hidden_size=D, num_hidden_layers=LAYERS, intermediate_size=NEURONS, num_attention_heads=HEADS, num_key_value_heads=GROUPS,
        head_dim=WIDTH, vocab_size=64, pad_token_id=0, tie_word_embeddings=False, attn_implementation="eager")).float()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_((p if p.ndim == 1 else 0) + 0.2 * torch.randn_like(p))
    return model


def gauge_of(rng, scales, turns):
    perm, sign = rng.permutation(D).tolist(), rng.choice([-1, 1], D).tolist()
    layers = []
    for _ in range(LAYERS):
        kv = rng.permutation(GROUPS)
        layer = {"neurons": rng.permutation(NEURONS).tolist(), "neuron_sign": rng.choice([-1, 1], NEURONS).tolist(), "kv_heads": kv.tolist(),
                 "heads": np.concatenate([g * EACH + rng.permutation(EACH) for g in kv]).tolist()}
        if scales:
            layer["neuron_scale"] = rng.choice([0.5, 1.5, 2.0], NEURONS).tolist()
        if turns:
            layer["turn"] = rng.uniform(0.5, 1.5, 2 * GROUPS * HALF).astype(np.float32).tolist()
            layer["value"] = (0.3 * rng.normal(size=(GROUPS, WIDTH, WIDTH)) + np.eye(WIDTH)).astype(np.float32).reshape(-1).tolist()
        layers.append(layer)
    return {"format": "regauge-gauge", "version": 1, "d": D, "group": "signed", "perm": perm, "sign": sign,
            "hidden": {"version": 1, "head_dim": WIDTH, "rope_pairs": HALF, "layers": layers}}


def moved_weights(weights, gauge):
    """By the definition of docs/hidden.md, in float64."""
    w, perm, sign = {k: v.astype(np.float64) for k, v in weights.items()}, gauge["perm"], np.array(gauge["sign"])
    for l, layer in enumerate(gauge["hidden"]["layers"]):
        at = f"model.layers.{l}."
        neurons, scale = layer["neurons"], np.array(layer["neuron_sign"]) * np.array(layer.get("neuron_scale", np.ones(NEURONS)))
        w[at + "mlp.gate_proj.weight"] = w[at + "mlp.gate_proj.weight"][neurons]
        w[at + "mlp.up_proj.weight"] = w[at + "mlp.up_proj.weight"][neurons] * scale[:, None]
        w[at + "mlp.down_proj.weight"] = w[at + "mlp.down_proj.weight"][:, neurons] / scale
        z = np.array(layer.get("turn", [1, 0] * (GROUPS * HALF))).reshape(GROUPS, HALF, 2)
        turns = [np.block([[np.diag(a[:, 0]), -np.diag(a[:, 1])], [np.diag(a[:, 1]), np.diag(a[:, 0])]]) for a in z]
        values = np.array(layer["value"]).reshape(GROUPS, WIDTH, WIDTH) if "value" in layer else [np.eye(WIDTH)] * GROUPS

        def rows(name, order, matrices, per):
            for key in (at + f"self_attn.{name}.weight", at + f"self_attn.{name}.bias"):
                if key in w:
                    blocks = w[key].reshape(len(order), WIDTH, -1)[order]
                    w[key] = np.concatenate([matrices[h // per] @ blocks[h] for h in range(len(order))]).reshape(w[key].shape)

        rows("k_proj", layer["kv_heads"], turns, 1)
        rows("q_proj", layer["heads"], [np.linalg.inv(t).T for t in turns], EACH)
        rows("v_proj", layer["kv_heads"], values, 1)
        out = w[at + "self_attn.o_proj.weight"].reshape(D, HEADS, WIDTH)[:, layer["heads"]]
        w[at + "self_attn.o_proj.weight"] = np.stack([out[:, h] @ np.linalg.inv(values[h // EACH]) for h in range(HEADS)], 1).reshape(D, -1)
    for name, v in w.items():
        if v.ndim == 1:
            w[name] = v[perm] if "norm" in name and v.size == D else v
        else:
            w[name] = v[perm] * sign[:, None] if name.endswith(("o_proj.weight", "down_proj.weight")) else v[:, perm] * sign
    return {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in w.items()}


def trained(folder, tokens, keep):
    """One step of AdamW; writes optimizer.pt beside the model as it was. keep: which of its state."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model(tokens, labels=tokens).loss.backward()
    optimizer.step()
    state = optimizer.state_dict()
    for one in state["state"].values():
        for key in set(one) - set(keep):
            del one[key]
    torch.save(state, folder / "optimizer.pt")
    return [name for name, _ in model.named_parameters()], state["state"]


def main():
    root = pathlib.Path(tempfile.mkdtemp())
    tokens = torch.randint(1, 64, (2, 12), generator=torch.Generator().manual_seed(1))
    adam, first = ("step", "exp_avg", "exp_avg_sq"), ("step", "exp_avg")
    number = 0
    for family in ("llama", "qwen2"):
        for what, scales, turns, keep in (("places and signs", False, False, adam), ("scales, too", True, False, adam), ("turns and matrices", True, True, first)):
            number += 1
            a, b, moved, file = (root / f"{number}-{part}" for part in ("a", "b", "moved", "gauge.json"))
            model = random_model(family, number)
            model.save_pretrained(a)
            gauge = gauge_of(np.random.default_rng(number), scales, turns)
            file.write_text(json.dumps(gauge))
            weights = moved_weights(load_file(a / "model.safetensors"), gauge)
            model.config.save_pretrained(b)
            save_file(weights, str(b / "model.safetensors"), {"format": "pt"})
            names, _ = trained(a, tokens, keep)
            _, wanted = trained(b, tokens, keep)
            status, text = regauge("transport", a, "--gauge", file, "-o", moved)
            check(f"{family}, {what}: moved", status == 0, text.strip()[-200:])
            if status != 0:
                continue
            after = load_file(moved / "model.safetensors")
            check(f"{family}, {what}: weights", max(np.abs(after[k] - weights[k]).max() for k in weights) < 1e-5)
            got = torch.load(moved / "optimizer.pt")["state"]
            off = {key: max((got[i][key] - wanted[i][key]).abs().max().item() / wanted[i][key].abs().max().item() for i in range(len(names)))
                   for key in keep if key != "step"}
            check(f"{family}, {what}: optimizer state", max(off.values()) < 1e-3, ", ".join(f"{k} {v:.1e}" for k, v in off.items()))
            record = safe_open(str(moved / "model.safetensors"), "np").metadata()
            check(f"{family}, {what}: the record names the hidden gauge", len(record.get("regauge.hidden", "")) == 64)
            _, text = regauge("transport", a, "--gauge", file, "--dry-run")
            check(f"{family}, {what}: the plan says so", "hidden axes move as well" in text and "neurons of layer 1" in text and "heads of layer 0" in text)
    torch.save({"state": {0: {"exp_avg_sq": torch.ones(HEADS * WIDTH, D)}},
                "param_groups": [{"params": [0], "param_names": ["model.layers.0.self_attn.q_proj.weight"]}]}, root / "square.pt")
    status, text = regauge("transport", root / "square.pt", "--gauge", file, "-o", root / "no.pt", "--kind", "optimizer")
    check("squares of mixed channels are refused by name", status != 0 and "q_proj.weight.exp_avg_sq" in text and "resume without" in text, text.strip()[-300:])
    finish()


main()
