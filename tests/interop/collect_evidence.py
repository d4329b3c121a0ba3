"""examples/collect_evidence.py on tiny random models: the rows are transformers' own hidden states, the gains what the norms multiply with, and two bundles of
one model in different coordinates give `regauge align` the planted gauge."""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file

from common import ROOT, check, finish, random_gauge, regauge, transport, write_gauge

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()
D, LAYERS = 48, 3
SIZES = dict(vocab_size=96, hidden_size=D, intermediate_size=80, num_hidden_layers=LAYERS, num_attention_heads=4, num_key_value_heads=2, head_dim=12, pad_token_id=0)
NORMS = {"llama": {"attn": "input_layernorm", "mlp": "post_attention_layernorm"}, "olmo2": {"post_attn": "post_attention_layernorm", "post_mlp": "post_feedforward_layernorm"},
         "gemma2": {"attn": "input_layernorm", "post_attn": "post_attention_layernorm", "mlp": "pre_feedforward_layernorm", "post_mlp": "post_feedforward_layernorm"}}
NORMS["qwen3"] = NORMS["llama"]


def collect(model, tokens, out, *more):
    return subprocess.run([sys.executable, ROOT / "examples" / "collect_evidence.py", model, "--tokens", tokens, "-o", out, *map(str, more)], capture_output=True, text=True)


def models():
    torch.manual_seed(0)
    yield "llama", transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES)), 0
    yield "qwen3", transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**SIZES)), 0
    yield "gemma2", transformers.Gemma2ForCausalLM(transformers.Gemma2Config(**SIZES)), 1
    yield "olmo2", transformers.Olmo2ForCausalLM(transformers.Olmo2Config(**{k: v for k, v in SIZES.items() if k != "head_dim"})), 0


def main():
    ids = torch.randint(3, 96, (32, 32))
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        np.save(work / "tokens.npy", ids.numpy())
        for family, model, offset in models():
            with torch.no_grad():
                for name, parameter in model.named_parameters():  # generic gains, and weights large enough to matter
                    parameter.add_(torch.randn_like(parameter) * (0.2 if "norm" in name else 0.05))
            a, b = work / family, work / f"{family}-moved"
            model.eval().save_pretrained(a)
            gauge = random_gauge(D, 3)
            truth = write_gauge(gauge, work / "truth.json")
            transport(a, truth, b)

            done = collect(a, work / "tokens.npy", work / "a.safetensors", "--places", *range(LAYERS + 1), "--batch", 5)
            check(f"{family}: collected", done.returncode == 0, (done.stderr or done.stdout).strip().splitlines()[-1])
            bundle = load_file(work / "a.safetensors")
            with torch.no_grad():
                states = model(ids, output_hidden_states=True).hidden_states
            gap = max(np.abs(bundle[f"activations/resid.{l}"] - states[l].numpy()).max() for l in range(LAYERS))
            check(f"{family}: rows are the hidden states", gap < 1e-5, f"{gap:.1e}")
            final = states[-1].numpy()  # transformers gives the last one after the norm
            x = bundle[f"activations/resid.{LAYERS}"]
            normed = x / np.sqrt((x ** 2).mean(-1, keepdims=True) + 1e-6) * bundle["gains/final"]
            check(f"{family}: the last place and the final gain", np.abs(normed - final).max() < 1e-3, f"{np.abs(normed - final).max():.1e}")
            modules = dict(model.named_modules())
            gaps = []
            for key in bundle:
                role, _, layer = key.removeprefix("gains/").partition(".")
                if key.startswith("gains/") and layer:
                    gaps.append(np.abs(bundle[key] - modules[f"model.layers.{layer}.{NORMS[family][role]}"].weight.detach().numpy() - offset).max())
            check(f"{family}: gains are what the norms multiply with", len(gaps) == LAYERS * len(NORMS[family]) and max(gaps) < 1e-4, f"{len(gaps)}, {max(gaps):.1e}")

            done = collect(b, work / "a.safetensors", work / "b.safetensors", "--places", *range(LAYERS + 1))
            check(f"{family}: the other side, on the first's tokens", done.returncode == 0, done.stderr.strip()[-200:] if done.returncode else "")
            status, text = regauge("align", work / "a.safetensors", work / "b.safetensors", "-o", work / "gauge.json", "--force")
            status = status or regauge("compare", work / "gauge.json", truth, "--quiet")[0]
            check(f"{family}: align finds the planted gauge", status == 0, text.strip().splitlines()[0])

        done = collect(a, work / "tokens.npy", work / "c.safetensors", "--places", 9)
        check("a place that is not there is refused, and nothing is left", done.returncode != 0 and "this model has 0" in done.stderr and not list(work.glob("c.*")), done.stderr.strip())
    finish()


main()
