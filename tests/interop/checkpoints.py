"""For each model family: a 2-layer random model saved by transformers, moved by a random gauge, computes the same logits; the wrong rule does not.

Also: moved back byte for byte, single and sharded, and the AdamW state of the Trainer's grouping is numbered as transformers numbers it.
"""
import copy
import json
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
LATENT = dict(SMALL, num_key_value_heads=4, moe_intermediate_size=32, n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=16, first_k_dense_replace=1)
T = transformers
FAMILIES = {
    "llama": lambda: T.LlamaConfig(**SMALL), "llama-tied-biased": lambda: T.LlamaConfig(**SMALL, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "mistral": lambda: T.MistralConfig(**SMALL), "granite": lambda: T.GraniteConfig(**SMALL), "smollm3": lambda: T.SmolLM3Config(**SMALL), "seed_oss": lambda: T.SeedOssConfig(**SMALL, **HEADS),
    "ministral": lambda: T.MinistralConfig(**SMALL, **HEADS), "exaone4": lambda: T.Exaone4Config(**SMALL),
    "qwen2": lambda: T.Qwen2Config(**SMALL), "qwen3": lambda: T.Qwen3Config(**SMALL, **HEADS),
    "gemma": lambda: T.GemmaConfig(**SMALL, **HEADS), "gemma2": lambda: T.Gemma2Config(**SMALL, **HEADS, query_pre_attn_scalar=16),
    "gemma3": lambda: T.Gemma3TextConfig(**SMALL, **HEADS, query_pre_attn_scalar=16),
    "olmo2": lambda: T.Olmo2Config(**SMALL), "olmo3": lambda: T.Olmo3Config(**SMALL), "phi3": lambda: T.Phi3Config(**SMALL),
    "glm4": lambda: T.Glm4Config(**SMALL, **HEADS),
    "mixtral": lambda: T.MixtralConfig(**SMALL, num_local_experts=4), "qwen3_moe": lambda: T.Qwen3MoeConfig(**SMALL, **HEADS, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=48),
    "qwen3_moe-some-dense": lambda: T.Qwen3MoeConfig(**SMALL, **HEADS, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=48, mlp_only_layers=[0]),
    "qwen2_moe": lambda: T.Qwen2MoeConfig(**SMALL, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=48, shared_expert_intermediate_size=48),
    "gpt_oss": lambda: T.GptOssConfig(**SMALL, **HEADS, num_local_experts=4, num_experts_per_tok=2),
    "deepseek_v3": lambda: T.DeepseekV3Config(**LATENT, n_group=1, topk_group=1, q_lora_rank=16), "deepseek_v2": lambda: T.DeepseekV2Config(**LATENT, q_lora_rank=None, n_group=1, topk_group=1),
    "apertus": lambda: T.ApertusConfig(**SMALL),
    "gpt2": lambda: T.GPT2Config(vocab_size=96, n_embd=64, n_layer=2, n_head=4, n_positions=64), "gpt_neox": lambda: T.GPTNeoXConfig(**{k: v for k, v in SMALL.items() if k != "num_key_value_heads"}),
}
MORE = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "olmo2", "phi3")  # tried with the other kind of head, in half precision and as pytorch_model.bin
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


def check_more(family, config, work, g, gauge):
    """Tied where the family unties and the other way round; bfloat16 and float16; pytorch_model.bin."""
    tied = not config.tie_word_embeddings
    config.tie_word_embeddings = tied
    fresh = lambda: build(copy.deepcopy(config))  # saving writes the dtype into the configuration
    model = fresh()
    model.save_pretrained(work / "tied")
    transport(work / "tied", g, work / "tied2")
    difference = (logits(work / "tied2") - logits(work / "tied")).abs().max().item()
    check(f"{family}: {'tied' if tied else 'untied'}", difference < 1e-4, f"max difference {difference:.1e}")
    full = load_file(work / "tied2" / "model.safetensors")
    for dtype in (torch.bfloat16, torch.float16):
        half = work / str(dtype)[6:]
        fresh().to(dtype).save_pretrained(half)
        transport(half, g, work / "half2")
        moved = load_file(work / "half2" / "model.safetensors")
        check(f"{family}: {half.name}", all(moved[n].dtype == dtype and torch.equal(moved[n], t.to(dtype)) for n, t in full.items()), "moved and rounded is rounded and moved")
    binary = work / "bin"
    binary.mkdir()
    torch.save(model.state_dict(), binary / "pytorch_model.bin")
    (binary / "config.json").write_text((work / "tied" / "config.json").read_text())
    transport(binary, g, work / "bin2")
    moved = torch.load(work / "bin2" / "pytorch_model.bin")
    shared = not tied or moved["lm_head.weight"].data_ptr() == moved["model.embed_tokens.weight"].data_ptr()
    check(f"{family}: pytorch_model.bin", all(torch.equal(moved[n], t) for n, t in full.items()) and shared, "tied weights still share their storage" if tied else "")


def check_binary_shards(work):
    """pytorch_model.bin in shards with its index, as transformers wrote it before safetensors."""
    model = build(T.LlamaConfig(**SMALL))
    model.save_pretrained(work / "a")
    expected = logits(work / "a")
    state, folder = model.state_dict(), work / "s"
    folder.mkdir()
    names = list(state)
    shards = {f"pytorch_model-0000{k + 1}-of-00002.bin": names[k::2] for k in range(2)}
    for file, part in shards.items():
        torch.save({n: state[n].clone() for n in part}, folder / file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": {n: f for f, part in shards.items() for n in part}}))
    (folder / "config.json").write_text((work / "a" / "config.json").read_text())
    gauge = random_gauge(64, 1)
    transport(folder, write_gauge(gauge, work / "g.json"), work / "t"), transport(work / "t", write_gauge(inverse(gauge), work / "gi.json"), work / "u")
    fresh = T.AutoModelForCausalLM.from_config(T.LlamaConfig(**SMALL)).eval()
    fresh.load_state_dict({n: t for f in shards for n, t in torch.load(work / "t" / f).items()})
    tokens = torch.randint(3, 96, (2, 24), generator=torch.Generator().manual_seed(1))
    difference = (fresh(tokens).logits.double() - expected).abs().max().item()
    check("pytorch_model.bin in shards", difference < 1e-4 and same_bytes(folder, work / "u"), f"max difference {difference:.1e}")


def check_vision(work):
    """Gemma 3 with its vision tower: logits with an image."""
    text = dict(T.Gemma3TextConfig(**{**SMALL, "vocab_size": 300}, **HEADS, query_pre_attn_scalar=16, sliding_window=32).to_dict())
    vision = dict(hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=56, patch_size=14)
    config = T.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=290, boi_token_index=291, eoi_token_index=292)
    torch.manual_seed(0)
    model = T.Gemma3ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    model.save_pretrained(work / "a")
    gauge = random_gauge(64, 1)
    g, back = write_gauge(gauge, work / "g.json"), write_gauge(inverse(gauge), work / "gi.json")
    transport(work / "a", g, work / "b"), transport(work / "b", back, work / "c")
    tokens = torch.tensor([[2, 5, 291, 290, 290, 290, 290, 292, 7, 8, 9]])
    inputs = dict(input_ids=tokens, pixel_values=torch.randn(1, 3, 56, 56), token_type_ids=(tokens == 290).long())
    run = lambda folder: T.Gemma3ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()(**inputs).logits.detach()
    expected = run(work / "a")
    blind = dict(inputs, pixel_values=torch.randn(1, 3, 56, 56))
    visible = (T.Gemma3ForConditionalGeneration.from_pretrained(work / "a", dtype=torch.float32).eval()(**blind).logits - expected).abs().max().item()
    difference = (run(work / "b") - expected).abs().max().item()
    check("gemma3 with vision: logits", difference < 1e-4 and visible > 1e-2, f"max difference {difference:.1e}; another image changes them by {visible:.2f}")
    check("gemma3 with vision: back byte for byte", same_bytes(work / "a", work / "c"))


def check_refused(work):
    """Families that signs, or any gauge, would break: refused, with nothing left behind."""
    gauge = write_gauge(random_gauge(64, 1), work / "g.json")
    small = {k: v for k, v in SMALL.items() if k != "max_position_embeddings"}
    for family, config in {"ctrl": lambda: T.CTRLConfig(vocab_size=96, n_embd=64, dff=112, n_layer=2, n_head=4), "stablelm": lambda: T.StableLmConfig(**small),
                           "opt": lambda: T.OPTConfig(vocab_size=96, hidden_size=64, ffn_dim=112, num_hidden_layers=2, num_attention_heads=4, word_embed_proj_dim=64)}.items():
        try:
            build(config()).save_pretrained(work / family)
            transport(work / family, gauge, work / "refused")
            check(f"{family}: refused", False)
        except RuntimeError as error:
            check(f"{family}: refused", not (work / "refused").exists(), str(error).split(": ", 2)[-1][:120])


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
                if family in MORE:
                    check_more(family, config(), work, g, gauge)
                if "moe" not in family and family not in ("mixtral", "gpt_oss", "gpt2", "gpt_neox", "deepseek_v2", "deepseek_v3", "apertus"):
                    (work / "o").mkdir()
                    check_optimizer(family, model, work / "o", g, gauge, work / "p")
            except Exception as error:  # one family's trouble must not hide the others'
                check(family, False, f"{type(error).__name__}: {str(error)[:300]}")
    for extra in (check_binary_shards, check_vision, check_refused):
        if only and extra.__name__[6:] not in only:
            continue
        with tempfile.TemporaryDirectory() as work:
            try:
                extra(pathlib.Path(work))
            except Exception as error:
                check(extra.__name__, False, f"{type(error).__name__}: {str(error)[:300]}")
    finish()


main()
