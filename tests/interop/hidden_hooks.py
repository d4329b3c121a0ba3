"""Objects inside layers against transformers: what a module reads or writes in the source, moved by a gauge that only
permutes and signs, is what it reads or writes in the scrambled copy, at every hook that hidden.json names for transformers.

llama, qwen2 (biases) and qwen3 (norms on queries and keys, whose planes may turn by -1 alone), scrambled in NumPy.
"""
import pathlib
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from common import check, finish, regauge, transport

D, LAYERS, NEURONS, HEADS, GROUPS, WIDTH = 96, 2, 40, 6, 2, 8
EACH = HEADS // GROUPS
SIZES = dict(hidden_size=D, num_hidden_layers=LAYERS, intermediate_size=NEURONS, num_attention_heads=HEADS,
             num_key_value_heads=GROUPS, head_dim=WIDTH, vocab_size=160, pad_token_id=0, max_position_embeddings=64)
HOOKS = ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj.input", "mlp.act_fn", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj.input"]


def scramble(weights, rng):
    """Places and signs alone: of channels, neurons, heads, and of RoPE's planes."""
    w = dict(weights)
    perm, sign = rng.permutation(D), rng.choice([-1, 1], D)
    for l in range(LAYERS):
        at = f"model.layers.{l}."
        neurons, up = rng.permutation(NEURONS), rng.choice([-1, 1], NEURONS)
        groups = rng.permutation(GROUPS)
        heads = np.concatenate([g * EACH + rng.permutation(EACH) for g in groups])
        planes = np.tile(rng.choice([-1, 1], (GROUPS, WIDTH // 2)), 2)  # by group: channels (k, k + pairs) alike
        w[at + "mlp.gate_proj.weight"] = w[at + "mlp.gate_proj.weight"][neurons]
        w[at + "mlp.up_proj.weight"] = w[at + "mlp.up_proj.weight"][neurons] * up[:, None]
        w[at + "mlp.down_proj.weight"] = w[at + "mlp.down_proj.weight"][:, neurons] * up
        for name, order, signs in (("q_proj", heads, np.repeat(planes, EACH, 0)), ("k_proj", groups, planes), ("v_proj", groups, np.ones((GROUPS, WIDTH)))):
            for part in (".weight", ".bias"):
                key = at + "self_attn." + name + part
                if key in w:
                    w[key] = (w[key].reshape(len(order), WIDTH, -1)[order] * signs[:, :, None]).reshape(w[key].shape)
        out = at + "self_attn.o_proj.weight"
        w[out] = w[out].reshape(D, HEADS, WIDTH)[:, heads].reshape(D, -1)
    for name, v in w.items():
        if v.ndim == 1:
            w[name] = v[perm] if v.shape == (D,) and "self_attn" not in name else v
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            w[name] = v[perm] * sign[:, None]
        else:
            w[name] = v[:, perm] * sign
    return {k: np.ascontiguousarray(v, np.float32) for k, v in w.items()}


def activations(folder, tokens):
    """What is at every hook, [tokens, width], by layer and hook."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    seen = {}
    for l, layer in enumerate(model.model.layers):
        for hook in HOOKS:
            module = layer.get_submodule(hook.removesuffix(".input"))
            if hook.endswith(".input"):
                module.register_forward_pre_hook(lambda _, args, key=(l, hook): seen.__setitem__(key, args[0][0].numpy()))
            else:
                module.register_forward_hook(lambda _, __, out, key=(l, hook): seen.__setitem__(key, out[0].numpy()))
    with torch.no_grad():
        model(tokens)
    return seen


def main():
    root = pathlib.Path(tempfile.mkdtemp())
    tokens = torch.randint(0, 160, (1, 20), generator=torch.Generator().manual_seed(1))
    for number, family in enumerate(["llama", "qwen2", "qwen3"]):
        torch.manual_seed(number)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SIZES)).float()
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(p + 0.1 * torch.randn_like(p) if p.ndim == 1 else 0.3 * torch.randn_like(p))
        a, b, gauge = (root / f"{family}-{part}" for part in ("a", "b", "gauge.json"))
        model.save_pretrained(a)
        model.config.save_pretrained(b)
        save_file(scramble(load_file(a / "model.safetensors"), np.random.default_rng(number)), str(b / "model.safetensors"), {"format": "pt"})
        status, text = regauge("align", a, b, "--hidden", "-o", gauge)
        check(f"{family}: aligned", status == 0, "" if status == 0 else text.strip())
        before, after = activations(a, tokens), activations(b, tokens)
        for (l, hook), x in before.items():
            save_file({"x": np.ascontiguousarray(x)}, str(root / "x.safetensors"))
            transport(root / "x.safetensors", gauge, root / "y.safetensors", "--site", f"model.layers.{l}.{hook}", "--kind", "vector")
            y, expected = load_file(root / "y.safetensors")["x"], after[l, hook]
            off = np.abs(y - expected).max() / np.abs(expected).max()
            check(f"{family}: layer {l}, {hook}", off < 1e-4, f"{off:.1e}")
    finish()


main()
