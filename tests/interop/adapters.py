"""SAEs saved by sae_lens, adapters saved by peft and control vectors written by gguf: moved, they load in the real package and compute the same.

SAE(moved activations) = moved SAE(activations) to 1e-5; a base model with its adapter gives the same logits when both are moved.
"""
import pathlib
import tempfile

import gguf
import numpy as np
import peft
import torch
import transformers
from sae_lens import SAE, StandardSAE, StandardSAEConfig, TopKSAE, TopKSAEConfig, JumpReLUSAE, JumpReLUSAEConfig, GatedSAE, GatedSAEConfig
from sae_lens.saes.transcoder import JumpReLUTranscoder, JumpReLUTranscoderConfig, SkipTranscoder, SkipTranscoderConfig, Transcoder, TranscoderConfig

from common import check, finish, inverse, random_gauge, same_bytes, transport, write_gauge

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
D = 64


def moved(x, gauge):
    return x[..., torch.tensor(gauge["perm"])] * torch.tensor(gauge["sign"], dtype=x.dtype)


def saes():
    plain = dict(d_in=D, d_sae=160, dtype="float32", device="cpu")
    for normalize in ("none", "constant_norm_rescale"):
        yield f"standard, {normalize}", StandardSAE(StandardSAEConfig(**plain, normalize_activations=normalize))
        yield f"topk, {normalize}", TopKSAE(TopKSAEConfig(**plain, k=16, normalize_activations=normalize))
        yield f"jumprelu, {normalize}", JumpReLUSAE(JumpReLUSAEConfig(**plain, normalize_activations=normalize))
        yield f"gated, {normalize}", GatedSAE(GatedSAEConfig(**plain, normalize_activations=normalize))
    yield "topk, rescaled by decoder norm", TopKSAE(TopKSAEConfig(**plain, k=16, rescale_acts_by_decoder_norm=True))
    yield "layer_norm", StandardSAE(StandardSAEConfig(**plain, normalize_activations="layer_norm"))
    yield "transcoder", Transcoder(TranscoderConfig(**plain, d_out=D, apply_b_dec_to_input=False))
    yield "skip_transcoder", SkipTranscoder(SkipTranscoderConfig(**plain, d_out=D, apply_b_dec_to_input=False))
    yield "jumprelu_transcoder", JumpReLUTranscoder(JumpReLUTranscoderConfig(**plain, d_out=D, apply_b_dec_to_input=False))


def check_saes(work, gauge, paths):
    x = torch.randn(50, D)
    for what, sae in saes():
        with torch.no_grad():
            for p in sae.parameters():
                p.copy_(torch.randn_like(p).abs() * 0.05 if "threshold" in what else torch.randn_like(p) * 0.2)
            if hasattr(sae, "threshold"):
                sae.threshold.abs_()
        sae.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
        a, b, c = (work / f"{n}-{what.replace(', ', '-').replace(' ', '-')}" for n in "abc")
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


def check_adapters(work, gauge, paths):
    config = dict(vocab_size=96, hidden_size=D, intermediate_size=112, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, pad_token_id=0)
    tokens = torch.randint(3, 96, (2, 24))
    every = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    cases = {
        "lora": dict(target_modules=every), "dora": dict(target_modules=every, use_dora=True), "rslora": dict(target_modules=["q_proj", "o_proj"], use_rslora=True),
        "lora with bias": dict(target_modules=every, lora_bias=True), "lora on embeddings": dict(target_modules=["embed_tokens", "q_proj", "lm_head"]),
        "dora on embeddings": dict(target_modules=["embed_tokens", "o_proj"], use_dora=True), "modules to save": dict(target_modules=["o_proj"], modules_to_save=["lm_head", "embed_tokens"]),
    }
    for what, options in cases.items():
        base = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config, mlp_bias=True, attention_bias=True)).eval()
        with torch.no_grad():
            for p in base.parameters():
                p.add_(0.2 * torch.randn_like(p))
        folder = work / what.replace(" ", "-")
        base.save_pretrained(folder / "base")
        transport(folder / "base", paths[0], folder / "base2")
        model = peft.get_peft_model(base, peft.LoraConfig(r=4, task_type="CAUSAL_LM", **options)).eval()
        with torch.no_grad():
            for name, p in model.named_parameters():
                if "lora_" in name or "modules_to_save" in name:
                    p.add_(0.1 * torch.randn_like(p))
            expected = model(tokens).logits
        model.save_pretrained(folder / "adapter", save_embedding_layers=False)
        transport(folder / "adapter", paths[0], folder / "adapter2")
        transport(folder / "adapter2", paths[1], folder / "adapter3")
        load = transformers.LlamaForCausalLM.from_pretrained
        with torch.no_grad():
            other = peft.PeftModel.from_pretrained(load(folder / "base2"), folder / "adapter2").eval()
            difference = (other(tokens).logits - expected).abs().max().item()
            plain = (load(folder / "base2").eval()(tokens).logits - expected).abs().max().item()
            left = peft.PeftModel.from_pretrained(load(folder / "base2"), folder / "adapter").eval()
            unmoved = (left(tokens).logits - expected).abs().max().item()
        check(f"peft {what}", difference < 1e-4 and plain > 1e-2, f"max logit difference {difference:.1e} (without the adapter {plain:.2f}, adapter not moved {unmoved:.2f})")
        check(f"peft {what}: back byte for byte", same_bytes(folder / "adapter", folder / "adapter3"))


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


def main():
    torch.manual_seed(0)
    gauge = random_gauge(D, 1)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        paths = write_gauge(gauge, work / "g.json"), write_gauge(inverse(gauge), work / "gi.json")
        for part in (check_saes, check_adapters, check_control_vector):
            try:
                part(work, gauge, paths)
            except Exception as error:  # one package's trouble must not hide the others'
                check(part.__name__, False, f"{type(error).__name__}: {str(error)[:400]}")
    finish()


main()
