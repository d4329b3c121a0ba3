"""For each model family: a 2-layer random model saved by transformers, moved by a random gauge, computes the same logits; the wrong rule does not.

Also: moved back byte for byte, single and sharded, and the AdamW state of the Trainer's grouping is numbered as transformers numbers it.
"""
import pathlib
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

from common import check, finish, inverse, random_gauge, same_bytes, transport, write_gauge

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
SMALL = dict(vocab_size=96, hidden_size=64, intermediate_size=112, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
             pad_token_id=0, bos_token_id=1, eos_token_id=2)
HEADS = dict(head_dim=16)
T = transformers
FAMILIES = {
    "llama": lambda: T.LlamaConfig(**SMALL), "llama-tied-biased": lambda: T.LlamaConfig(**SMALL, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "mistral": lambda: T.MistralConfig(**SMALL), "granite": lambda: T.GraniteConfig(**SMALL),
    "qwen2": lambda: T.Qwen2Config(**SMALL), "qwen3": lambda: T.Qwen3Config(**SMALL, **HEADS),
    "gemma": lambda: T.GemmaConfig(**SMALL, **HEADS), "gemma2": lambda: T.Gemma2Config(**SMALL, **HEADS, query_pre_attn_scalar=16),
    "gemma3": lambda: T.Gemma3TextConfig(**SMALL, **HEADS, query_pre_attn_scalar=16),
    "olmo2": lambda: T.Olmo2Config(**SMALL), "olmo3": lambda: T.Olmo3Config(**SMALL), "phi3": lambda: T.Phi3Config(**SMALL),
    "glm4": lambda: T.Glm4Config(**SMALL, **HEADS),
    "mixtral": lambda: T.MixtralConfig(**SMALL, num_local_experts=4), "qwen3_moe": lambda: T.Qwen3MoeConfig(**SMALL, **HEADS, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=48),
    "qwen3_moe-some-dense": lambda: T.Qwen3MoeConfig(**SMALL, **HEADS, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=48, mlp_only_layers=[0]),
    "qwen2_moe": lambda: T.Qwen2MoeConfig(**SMALL, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=48, shared_expert_intermediate_size=48),
    "gpt_oss": lambda: T.GptOssConfig(**SMALL, **HEADS, num_local_experts=4, num_experts_per_tok=2),
    "gpt2": lambda: T.GPT2Config(vocab_size=96, n_embd=64, n_layer=2, n_head=4, n_positions=64), "gpt_neox": lambda: T.GPTNeoXConfig(**{k: v for k, v in SMALL.items() if k != "num_key_value_heads"}),
}
PERMUTATION_ONLY = {"gpt2", "gpt_neox"}


def build(config, seed=0):
    torch.manual_seed(seed)
    model = T.AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():  # gains and biases that are all ones or zeros would hide a wrong rule
            p.add_(0.3 * torch.randn_like(p))
    return model


def logits(folder):
    model = T.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = torch.randint(3, 96, (2, 24), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(tokens).logits.double()


def with_signs_on_gains(folder, gauge):
    """The classic mistake: gains negated along with the channels."""
    path = pathlib.Path(folder) / "model.safetensors"
    tensors = load_file(path)
    sign = torch.tensor(gauge["sign"], dtype=torch.float32)
    for name, t in tensors.items():
        if t.ndim == 1 and t.shape[0] == len(sign) and "norm" in name and not any(h in name for h in ("q_norm", "k_norm")):
            tensors[name] = t * sign
    save_file(tensors, path, metadata={"format": "pt"})


def trainer_order(model):
    """The Trainer's two groups, from transformers' own function."""
    from transformers.trainer_pt_utils import get_parameter_names
    patterns = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
    decay = set(get_parameter_names(model, [torch.nn.LayerNorm], patterns))
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    return [n for n, p in named if n in decay], [n for n, p in named if n not in decay], dict(named)


def check_optimizer(family, model, folder, gauge_path, gauge, out):
    decay, rest, named = trainer_order(model)
    optimizer = torch.optim.AdamW([{"params": [named[n] for n in decay], "weight_decay": 0.01}, {"params": [named[n] for n in rest], "weight_decay": 0.0}], lr=1e-3)
    tokens = torch.randint(3, 96, (2, 16))
    model(tokens, labels=tokens).loss.backward()
    optimizer.step()
    torch.save(optimizer.state_dict(), folder / "optimizer.pt")
    model.save_pretrained(folder)
    transport(folder, gauge_path, out)
    moved_state = torch.load(out / "optimizer.pt")["state"]
    before, after = load_file(folder / "model.safetensors"), load_file(out / "model.safetensors")
    sign, perm = torch.tensor(gauge["sign"], dtype=torch.float32), torch.tensor(gauge["perm"])
    wrong = []
    for number, name in enumerate(decay + rest):
        if name not in before:
            continue
        state = optimizer.state_dict()["state"][number]
        for key, signs in (("exp_avg", True), ("exp_avg_sq", False)):
            # As the weight moved, so must its moments: find the moved axis by moving the weight.
            for axes in ([], [0], [1], [2]):
                def move(t, s):
                    for a in axes:
                        t = t.index_select(a, perm)
                        if s:
                            shape = [1] * t.ndim
                            shape[a] = -1
                            t = t * sign.reshape(shape)
                    return t
                if any(a >= before[name].ndim or before[name].shape[a] != len(perm) for a in axes):
                    continue
                for gain in (False, True):
                    if torch.equal(move(before[name], not gain), after[name]):
                        if not torch.equal(move(state[key], signs and not gain), moved_state[number][key]):
                            wrong.append(f"{name}.{key}")
                        break
                else:
                    continue
                break
            else:
                wrong.append(name)
    check(f"{family}: optimizer state by number", not wrong, ", ".join(wrong[:3]))


def main():
    only = sys.argv[1:]
    for family, config in FAMILIES.items():
        if only and family not in only:
            continue
        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            try:
                model = build(config())
                model.save_pretrained(work / "a")
                gauge = random_gauge(64, 1, signs=family not in PERMUTATION_ONLY)
                g, back = write_gauge(gauge, work / "g.json"), write_gauge(inverse(gauge), work / "gi.json")
                expected = logits(work / "a")
                transport(work / "a", g, work / "b")
                difference = (logits(work / "b") - expected).abs().max().item()
                scale = expected.abs().max().item()
                check(f"{family}: logits", difference < 1e-4 * max(1, scale), f"max difference {difference:.1e}, logits up to {scale:.1f}")
                transport(work / "b", back, work / "c")
                check(f"{family}: back byte for byte", same_bytes(work / "a", work / "c"))
                model.save_pretrained(work / "s", max_shard_size="60KB")
                transport(work / "s", g, work / "t")
                check(f"{family}: sharded", (logits(work / "t") - expected).abs().max().item() < 1e-4 * max(1, scale), f"{len(list((work / 's').glob('*.safetensors')))} shards")
                if family in PERMUTATION_ONLY:
                    signed = write_gauge(random_gauge(64, 2), work / "signed.json")
                    try:
                        transport(work / "a", signed, work / "x")
                        check(f"{family}: signs refused", False)
                    except RuntimeError as error:
                        check(f"{family}: signs refused", "layernorm" in str(error))
                else:
                    with_signs_on_gains(work / "b", gauge)
                    wrong = (logits(work / "b") - expected).abs().max().item()
                    check(f"{family}: gains with signs visibly fail", wrong > 1e-2, f"{wrong:.2f}")
                if "moe" not in family and family not in ("mixtral", "gpt_oss", "gpt2", "gpt_neox"):
                    (work / "o").mkdir()
                    check_optimizer(family, model, work / "o", g, gauge, work / "p")
            except Exception as error:  # one family's trouble must not hide the others'
                check(family, False, f"{type(error).__name__}: {str(error)[:300]}")
    finish()


main()
