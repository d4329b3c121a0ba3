"""SAEs saved by sae_lens, adapters saved by peft and control vectors written by gguf: moved, they load in the real package and compute the same.

SAE(moved activations) = moved SAE(activations) to 1e-5; a base model with its adapter gives the same logits when both are moved.
"""
import json
import pathlib
import shutil
import tempfile

import gguf
import numpy as np
import peft
import torch
import transformers
import sae_lens
from safetensors.torch import load_file
from sae_lens import SAE, StandardSAE, StandardSAEConfig, TopKSAE, TopKSAEConfig, JumpReLUSAE, JumpReLUSAEConfig, GatedSAE, GatedSAEConfig
from sae_lens.saes.abstopk_sae import AbsTopKSAE, AbsTopKSAEConfig
from sae_lens.saes.matching_pursuit_sae import MatchingPursuitSAE, MatchingPursuitSAEConfig
from sae_lens.saes.temporal_sae import TemporalSAE, TemporalSAEConfig
from sae_lens.saes.transcoder import (JumpReLUSkipTranscoder, JumpReLUSkipTranscoderConfig, JumpReLUTranscoder, JumpReLUTranscoderConfig, SkipTranscoder, SkipTranscoderConfig,
                                      Transcoder, TranscoderConfig)

from common import check, finish, inverse, random_gauge, same_bytes, transport, write_gauge

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
D = 64


def moved(x, gauge):
    return x[..., torch.tensor(gauge["perm"])] * torch.tensor(gauge["sign"], dtype=x.dtype)


def saes():
    plain = dict(d_in=D, d_sae=160, dtype="float32", device="cpu")
    for options in ({}, dict(normalize_activations="constant_norm_rescale"), dict(apply_b_dec_to_input=False), dict(normalize_activations="expected_average_only_in")):
        what = "".join(f", {k} = {v}" for k, v in options.items())
        yield f"standard{what}", StandardSAE(StandardSAEConfig(**plain, **options))
        yield f"topk{what}", TopKSAE(TopKSAEConfig(**plain, k=16, **options))
        yield f"jumprelu{what}", JumpReLUSAE(JumpReLUSAEConfig(**plain, **options))
        yield f"gated{what}", GatedSAE(GatedSAEConfig(**plain, **options))
        yield f"abstopk{what}", AbsTopKSAE(AbsTopKSAEConfig(**plain, k=16, **options))
    yield "topk, rescaled by decoder norm", TopKSAE(TopKSAEConfig(**plain, k=16, rescale_acts_by_decoder_norm=True))
    yield "layer_norm", StandardSAE(StandardSAEConfig(**plain, normalize_activations="layer_norm"))
    yield "matching_pursuit", MatchingPursuitSAE(MatchingPursuitSAEConfig(**plain, residual_threshold=0.1, max_iterations=8))
    for tied in (True, False):
        yield f"temporal, tied_weights = {tied}", TemporalSAE(TemporalSAEConfig(**plain, n_heads=2, bottleneck_factor=16, kval_topk=12, tied_weights=tied))
    across = dict(**plain, d_out=D, apply_b_dec_to_input=False)
    yield "transcoder", Transcoder(TranscoderConfig(**across))
    yield "skip_transcoder", SkipTranscoder(SkipTranscoderConfig(**across))
    yield "jumprelu_transcoder", JumpReLUTranscoder(JumpReLUTranscoderConfig(**across))
    yield "jumprelu_skip_transcoder", JumpReLUSkipTranscoder(JumpReLUSkipTranscoderConfig(**across))


def training_saes():
    plain = dict(d_in=D, d_sae=160, dtype="float32", device="cpu")
    for name, sae, config, more in (("standard", "StandardTrainingSAE", "StandardTrainingSAEConfig", {}), ("gated", "GatedTrainingSAE", "GatedTrainingSAEConfig", {}),
                                    ("topk", "TopKTrainingSAE", "TopKTrainingSAEConfig", dict(k=16)), ("jumprelu", "JumpReLUTrainingSAE", "JumpReLUTrainingSAEConfig", {}),
                                    ("batchtopk", "BatchTopKTrainingSAE", "BatchTopKTrainingSAEConfig", dict(k=16)),
                                    ("matryoshka_batchtopk", "MatryoshkaBatchTopKTrainingSAE", "MatryoshkaBatchTopKTrainingSAEConfig", dict(k=16, matryoshka_widths=[40, 160]))):
        yield name, getattr(sae_lens, sae)(getattr(sae_lens, config)(**plain, **more))


def randomise(sae):
    with torch.no_grad():
        for name, p in sae.named_parameters():
            p.copy_(torch.randn_like(p) * 0.2)
            if "threshold" in name:
                p.copy_(p.abs() * 0.5 + 0.01 if name == "threshold" else p - 3)
        for name, b in sae.named_buffers():
            if name == "topk_threshold":
                b.fill_(0.3)


def refusal(what, item, gauge, out, part):
    try:
        transport(item, gauge, out)
        check(f"{what}: refused", False)
    except RuntimeError as error:
        check(f"{what}: refused", part in str(error) and not pathlib.Path(out).exists(), str(error)[-160:])


def check_training_saes(work, gauge, paths):
    """Training checkpoints, and what sae_lens makes of them for inference (batchtopk and matryoshka become jumprelu)."""
    x = torch.randn(50, D)
    for what, sae in training_saes():
        randomise(sae)
        sae.cfg.metadata.hook_name = "blocks.1.hook_mlp_out"
        a, b, c, i, j = (work / f"train-{n}-{what}" for n in "abcij")
        sae.save_model(a)
        transport(a, paths[0], b), transport(b, paths[1], c)
        check(f"sae_lens training {what}: back byte for byte", same_bytes(a, c))
        moved_tensors, tensors = load_file(b / "sae_weights.safetensors"), load_file(a / "sae_weights.safetensors")
        perm, sign = torch.tensor(gauge["perm"]), torch.tensor(gauge["sign"]).float()
        rules = {"W_enc": lambda t: t[perm] * sign[:, None], "W_dec": lambda t: t[:, perm] * sign, "b_dec": lambda t: t[perm] * sign}
        check(f"sae_lens training {what}: every tensor by its rule", all(torch.equal(moved_tensors[n], rules.get(n, lambda t: t)(t)) for n, t in tensors.items()), ", ".join(tensors))
        sae.save_inference_model(i)
        transport(i, paths[0], j)
        with torch.no_grad():
            before, after = SAE.load_from_disk(i), SAE.load_from_disk(j)
            difference = (moved(before(x), gauge) - after(moved(x, gauge))).abs().max().item()
        check(f"sae_lens {what}, for inference", difference < 1e-4, f"{before.cfg.architecture()}, output {difference:.1e}")


def check_sae_configurations(work, gauge, paths):
    """Half precision, the two generations of cfg.json, and what must be refused."""
    x = torch.randn(50, D)
    for dtype in ("float16", "bfloat16"):
        sae = StandardSAE(StandardSAEConfig(d_in=D, d_sae=160, dtype=dtype, device="cpu"))
        randomise(sae)
        a, b, c = (work / f"{dtype}-{n}" for n in "abc")
        sae.save_model(a)
        transport(a, paths[0], b), transport(b, paths[1], c)
        before, after = load_file(a / "sae_weights.safetensors"), load_file(b / "sae_weights.safetensors")
        perm, sign = torch.tensor(gauge["perm"]), torch.tensor(gauge["sign"], dtype=before["W_dec"].dtype)
        check(f"sae_lens {dtype}", torch.equal(after["W_dec"], before["W_dec"][:, perm] * sign) and same_bytes(a, c), str(after["W_dec"].dtype))
    sae = StandardSAE(StandardSAEConfig(d_in=D, d_sae=160, dtype="float32", device="cpu"))
    randomise(sae)
    old = work / "old"
    sae.save_model(old)

    def with_config(name, config):
        folder = work / name
        shutil.copytree(old, folder, dirs_exist_ok=True)
        (folder / "cfg.json").write_text(json.dumps(config))
        return folder

    flat = dict(d_in=D, d_sae=160, dtype="torch.float32", device="cpu", model_name="gemma-2b", hook_point="blocks.5.hook_resid_post", hook_point_layer=5, hook_point_head_index=None,
                activation_fn_str="relu", normalize_activations=False, prepend_bos=True, context_size=128, dataset_path="x", finetuning_scaling_factor=False)
    for name, more in (("flat", {}), ("flat, normalised", dict(normalize_activations=True)), ("flat, hook_name", dict(hook_name="blocks.5.hook_mlp_out", hook_point=None)),
                       ("flat, topk", dict(activation_fn_str="topk", activation_fn_kwargs={"k": 16}))):
        a = with_config(name.replace(", ", "-"), {**flat, **more})
        b, c = work / f"{name}2", work / f"{name}3"
        transport(a, paths[0], b), transport(b, paths[1], c)
        with torch.no_grad():
            before, after = SAE.load_from_disk(a), SAE.load_from_disk(b)
            difference = (moved(before(x), gauge) - after(moved(x, gauge))).abs().max().item()
        check(f"sae_lens old cfg.json: {name}", difference < 1e-4 and same_bytes(a, c), f"output {difference:.1e}")
    out = work / "refused"
    refusal("attn.hook_z", with_config("z", {**flat, "hook_point": "blocks.5.attn.hook_z"}), paths[0], out, "head space")
    refusal("mlp.hook_post", with_config("p", {**flat, "hook_point": "blocks.5.mlp.hook_post"}), paths[0], out, "MLP hidden space")
    refusal("an SAE of a LayerNorm model, signs", with_config("gpt2", {**flat, "model_name": "gpt2-small"}), paths[0], out, "--group permutation")
    refusal("an architecture of tomorrow", with_config("new", {**flat, "architecture": "matching_pursuit"}), paths[0], out, "architecture = matching_pursuit")
    refusal("covariance whitening", with_config("w", {**flat, "normalize_activations": "covariance_whitening"}), paths[0], out, "covariance_whitening")
    (work / "alone").mkdir()
    shutil.copy(old / "sae_weights.safetensors", work / "alone" / "sae_weights.safetensors")
    refusal("an SAE without its cfg.json", work / "alone" / "sae_weights.safetensors", paths[0], out, "--kind saelens")


def check_saes(work, gauge, paths):
    x = torch.randn(5, 10, D)
    for what, sae in saes():
        randomise(sae)
        sae.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
        a, b, c = (work / f"{n}-{what.replace(', ', '-').replace(' ', '')}" for n in "abc")
        sae.save_model(a)
        if what == "layer_norm":
            try:
                transport(a, paths[0], b)
                check(f"sae_lens {what}: signs refused", False)
            except RuntimeError as error:
                check(f"sae_lens {what}: signs refused", "layer_norm" in str(error))
            gauge_, path = random_gauge(D, 3, signs=False), work / "perm.json"
            write_gauge(gauge_, path)
            transport(a, path, b)
        else:
            gauge_ = gauge
            transport(a, paths[0], b)
            transport(b, paths[1], c)
            check(f"sae_lens {what}: back byte for byte", same_bytes(a, c))
        with torch.no_grad():
            other = SAE.load_from_disk(b) if "transcoder" not in what else type(sae).load_from_disk(b)
            expected, found = moved(sae(x), gauge_), other(moved(x, gauge_))
            difference = (expected - found).abs().max().item()
            codes = (sae.encode(x) - other.encode(moved(x, gauge_))).abs().max().item()
        check(f"sae_lens {what}", difference < 1e-5 * max(1, expected.abs().max().item()) and codes < 1e-5, f"output {difference:.1e}, latents {codes:.1e}")


EVERY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    "lora": lambda: peft.LoraConfig(r=4, target_modules=EVERY), "dora": lambda: peft.LoraConfig(r=4, target_modules=EVERY, use_dora=True),
    "rslora": lambda: peft.LoraConfig(r=4, target_modules=["q_proj", "o_proj"], use_rslora=True), "lora with bias": lambda: peft.LoraConfig(r=4, target_modules=EVERY, lora_bias=True),
    "lora and all biases": lambda: peft.LoraConfig(r=4, target_modules=["q_proj", "o_proj"], bias="all"), "lora and its biases": lambda: peft.LoraConfig(r=4, target_modules=["q_proj", "o_proj"], bias="lora_only"),
    "lora of another rank for some": lambda: peft.LoraConfig(r=4, target_modules=EVERY, rank_pattern={"o_proj": 8}),
    "lora on embeddings": lambda: peft.LoraConfig(r=4, target_modules=["embed_tokens", "q_proj", "lm_head"]), "dora on embeddings": lambda: peft.LoraConfig(r=4, target_modules=["embed_tokens", "o_proj"], use_dora=True),
    "modules to save": lambda: peft.LoraConfig(r=4, target_modules=["o_proj"], modules_to_save=["lm_head", "embed_tokens", "input_layernorm", "norm"]),
    "lora and trainable tokens": lambda: peft.LoraConfig(r=4, target_modules=["o_proj"], trainable_token_indices={"embed_tokens": [5, 9]}),
    "lora of parameters": lambda: peft.LoraConfig(r=4, target_modules=[], target_parameters=["q_proj.weight", "o_proj.weight"]),
    # How the factors begin: what is decomposed again from the base when the adapter is loaded must move with it.
    **{f"lora, begun by {how}": lambda how=how: peft.LoraConfig(r=4, target_modules=EVERY, init_lora_weights=how) for how in ("gaussian", "orthogonal", "pissa", "eva", "lora_ga")},
    "adalora": lambda: peft.AdaLoraConfig(target_modules=EVERY, total_step=10, tinit=1, tfinal=2), "loha": lambda: peft.LoHaConfig(r=4, target_modules=EVERY),
    "ia3": lambda: peft.IA3Config(target_modules=["k_proj", "o_proj", "up_proj", "down_proj"], feedforward_modules=["up_proj", "down_proj"]),
    "ln tuning": lambda: peft.LNTuningConfig(target_modules=["input_layernorm", "norm"]), "trainable tokens": lambda: peft.TrainableTokensConfig(target_modules=["embed_tokens"], token_indices=[5, 9]),
    "prompt tuning": lambda: peft.PromptTuningConfig(num_virtual_tokens=5), "p-tuning": lambda: peft.PromptEncoderConfig(num_virtual_tokens=5, encoder_hidden_size=32),
}
REFUSED = {
    "prefix tuning": (lambda: peft.PrefixTuningConfig(num_virtual_tokens=5), "head space"), "vera": (lambda: peft.VeraConfig(target_modules=["q_proj", "o_proj"]), "cannot be permuted"),
    "lokr": (lambda: peft.LoKrConfig(target_modules=["o_proj"]), "cannot be permuted"), "oft": (lambda: peft.OFTConfig(target_modules=["o_proj"]), "cannot be permuted"),
    "fourierft": (lambda: peft.FourierFTConfig(target_modules=["o_proj"], n_frequency=20), "cannot be permuted"),
}


def llama():
    config = dict(vocab_size=96, hidden_size=D, intermediate_size=112, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, pad_token_id=0)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**config, mlp_bias=True, attention_bias=True))


def gpt2():
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=96, n_embd=D, n_layer=2, n_head=4, n_positions=64))


def check_adapter(what, build, options, folder, gauge_paths):
    tokens = torch.randint(5, 12, (2, 24))
    base = build().eval()
    with torch.no_grad():
        for p in base.parameters():
            p.add_(0.2 * torch.randn_like(p))
    base.save_pretrained(folder / "base")
    transport(folder / "base", gauge_paths[0], folder / "base2")
    load = type(base).from_pretrained
    options.task_type, options.inference_mode = "CAUSAL_LM", False
    model = peft.get_peft_model(load(folder / "base"), options).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.requires_grad:
                p.add_(0.1 * torch.randn_like(p))
    model.save_pretrained(folder / "adapter")
    transport(folder / "adapter", gauge_paths[0], folder / "adapter2")
    transport(folder / "adapter2", gauge_paths[1], folder / "adapter3")
    with torch.no_grad():
        expected = peft.PeftModel.from_pretrained(load(folder / "base"), folder / "adapter").eval()(tokens).logits
        found = peft.PeftModel.from_pretrained(load(folder / "base2"), folder / "adapter2").eval()(tokens).logits
        difference = (found - expected).abs().max().item()
        # A prompt makes the logits longer: the last tokens' are compared.
        plain = (load(folder / "base2").eval()(tokens).logits - expected[:, -24:]).abs().max().item()
        left = (peft.PeftModel.from_pretrained(load(folder / "base2"), folder / "adapter").eval()(tokens).logits - expected).abs().max().item()
    limit = 1e-3 if "pissa" in what else 1e-4  # a singular value decomposition in float32 at every load
    check(f"peft {what}", difference < limit and plain > 1e-3, f"max logit difference {difference:.1e} (without the adapter {plain:.2f}, adapter not moved {left:.2f})")
    check(f"peft {what}: back byte for byte", same_bytes(folder / "adapter", folder / "adapter3"))


def check_adapters(work, gauge, paths):
    for what, options in CASES.items():
        check_adapter(what, llama, options(), work / what.replace(" ", "-"), paths)
    for what, (options, part) in REFUSED.items():
        options = options()
        options.task_type = "CAUSAL_LM"
        peft.get_peft_model(llama(), options).save_pretrained(work / what)
        refusal(f"peft {what}", work / what, paths[0], work / "refused", part)


def check_layernorm_adapters(work, gauge, paths):
    permutation = random_gauge(D, 3, signs=False)
    g, back = write_gauge(permutation, work / "p.json"), write_gauge(inverse(permutation), work / "pi.json")
    for what, options in {"gpt2 lora": peft.LoraConfig(r=4, target_modules=["c_attn", "c_proj", "c_fc"]), "gpt2 lora on embeddings": peft.LoraConfig(r=4, target_modules=["wte", "c_proj"])}.items():
        folder = work / what.replace(" ", "-")
        check_adapter(what, gpt2, options, folder, (g, back))
        refusal(f"peft {what}, signs", folder / "adapter", paths[0], work / "refused", "--group permutation")


def check_control_vector(work, gauge, paths):
    path = work / "vector.gguf"
    writer = gguf.GGUFWriter(path, "controlvector")
    writer.add_string("controlvector.model_hint", "llama")
    writer.add_uint32("controlvector.layer_count", 3)
    directions = {f"direction.{l}": np.random.default_rng(l).normal(size=D).astype(np.float32) for l in (1, 2, 5)}
    for name, vector in directions.items():
        writer.add_tensor(name, vector)
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()
    transport(path, paths[0], work / "moved.gguf")
    read = {t.name: t.data for t in gguf.GGUFReader(work / "moved.gguf").tensors}
    exact = all(np.array_equal(read[n], v[gauge["perm"]] * np.array(gauge["sign"], np.float32)) for n, v in directions.items())
    check("gguf control vector", exact and read.keys() == directions.keys())
    transport(work / "moved.gguf", paths[1], work / "back.gguf")
    check("gguf control vector: back byte for byte", same_bytes(path, work / "back.gguf"))


def convert(folder, path, architecture, dtype):
    """What convert_hf_to_gguf.py does with a dense model: names by gguf's own map, the rows of Llama's q and k re-ordered for RoPE, Gemma's gains as 1 + w."""
    config = json.loads((folder / "config.json").read_text())
    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, architecture.upper()), config["num_hidden_layers"])
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_embedding_length(config["hidden_size"]), writer.add_block_count(config["num_hidden_layers"]), writer.add_token_list([f"t{i}" for i in range(config["vocab_size"])])
    for name, tensor in load_file(folder / "model.safetensors").items():
        if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
            heads = config["num_attention_heads"] if "q_proj" in name else config["num_key_value_heads"]
            tensor = tensor.reshape(heads, 2, -1, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)
        if architecture.startswith("gemma") and "norm" in name:
            tensor = tensor + 1
        plain = tensor.ndim == 1 or dtype == "F32"
        array = tensor.float().numpy() if plain or dtype == "BF16" else tensor.half().numpy()
        if not plain and dtype == "BF16":
            array = gguf.quants.quantize(array, gguf.GGMLQuantizationType.BF16)
            writer.add_tensor(names.get_name(name, (".weight", ".bias")), array, raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(names.get_name(name, (".weight", ".bias")), array)
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()


def check_gguf_model(work, gauge, paths):
    """Converted and then moved is moved and then converted."""
    small = dict(vocab_size=96, hidden_size=D, intermediate_size=112, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, pad_token_id=0)
    T = transformers
    for architecture, dtype, config in (("llama", "F16", T.LlamaConfig(**small)), ("llama", "BF16", T.LlamaConfig(**small)), ("qwen2", "F32", T.Qwen2Config(**small)), ("qwen3", "F16", T.Qwen3Config(**small, head_dim=16)),
                                        ("gemma2", "F32", T.Gemma2Config(**small, head_dim=16)), ("gemma3", "F16", T.Gemma3TextConfig(**small, head_dim=16)), ("olmo2", "F16", T.Olmo2Config(**small)),
                                        ("phi3", "F16", T.Phi3Config(**small))):
        what = f"gguf model {architecture} {dtype}"
        folder = work / what.replace(" ", "-")
        model = T.AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.3 * torch.randn_like(p))
        model.save_pretrained(folder / "hf")
        transport(folder / "hf", paths[0], folder / "hf2")
        convert(folder / "hf", folder / "a.gguf", architecture, dtype), convert(folder / "hf2", folder / "expected.gguf", architecture, dtype)
        transport(folder / "a.gguf", paths[0], folder / "b.gguf"), transport(folder / "b.gguf", paths[1], folder / "c.gguf")
        tensors = lambda name: {t.name: (t.tensor_type, t.data.tobytes()) for t in gguf.GGUFReader(folder / name).tensors}
        found, expected = tensors("b.gguf"), tensors("expected.gguf")
        check(what, found == expected and found != tensors("a.gguf"), f"{len(found)} tensors")
        check(f"{what}: back byte for byte", same_bytes(folder / "a.gguf", folder / "c.gguf"))
    writer = gguf.GGUFWriter(work / "q.gguf", "llama")
    writer.add_embedding_length(D)
    for name in ("token_embd.weight", "blk.0.attn_output.weight"):
        writer.add_tensor(name, gguf.quants.quantize(np.ones((D, D), np.float32), gguf.GGMLQuantizationType.Q8_0), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("output_norm.weight", np.ones(D, np.float32))
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()
    refusal("gguf model Q8_0", work / "q.gguf", paths[0], work / "refused", "--dequantize bf16")


def main():
    torch.manual_seed(0)
    gauge = random_gauge(D, 1)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        paths = write_gauge(gauge, work / "g.json"), write_gauge(inverse(gauge), work / "gi.json")
        for part in (check_saes, check_training_saes, check_sae_configurations, check_adapters, check_layernorm_adapters, check_control_vector, check_gguf_model):
            try:
                part(work, gauge, paths)
            except Exception as error:  # one package's trouble must not hide the others'
                check(part.__name__, False, f"{type(error).__name__}: {str(error)[:400]}")
    finish()


main()
