"""Every model family of transformers: a tiny random model is moved, computes the same logits, and comes back byte for byte, or is refused with a reason.

    families.py [FAMILY ...]      default: FAMILIES below; "name@image" loads the model with its vision tower
    families.py --write           all of them, and the table in core/recipes/README.md is what was found

Each family is tried with shapes that are square (d = heads x head width) and with a d that no other axis has, by a signed gauge and by a permutation, where signs are refused also by a
permutation with one sign for all channels. A family moved with other logits is WRONG, and the script fails.
"""
import json
import pathlib
import shutil
import signal
import sys
import tempfile
import warnings

import torch
import transformers
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from common import ROOT, inverse, random_gauge, regauge, same_bytes, write_gauge

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
transformers.modeling_outputs.MoeCausalLMOutputWithPast.image_outputs = None  # transformers 5.24 asks Llama 4's text output for it, which has none
VOCABULARY, OTHER_STREAM = 101, 32
SECONDS = 900  # a family that takes longer counts as not built
TOLERANCE = 1e-4  # relative, float32 weights run in float64 where the model can
TOLERANCES = {"dory": 1e-3}  # its norms run in float32 whatever is asked for: by itself a float32 run differs from a float64 one by 4e-4
FAMILIES = """llama mistral ministral mixtral qwen2 qwen2_moe qwen3 qwen3_moe gemma gemma2 gemma3_text olmo2 olmo3 phi3 gpt_oss glm4 smollm3 granite exaone4 apertus seed_oss deepseek_v2
deepseek_v3 qwen3_5 qwen3_5@image qwen3_5_moe qwen3_5_moe@image qwen3_next qwen3_vl qwen3_vl_moe qwen2_vl qwen2_5_vl gemma3@image gemma4_text gemma4@image gemma3n_text gemma3n@image vaultgemma llama4 llama4@image ministral3 mistral3
mistral4 phi4_multimodal glm glm4_moe glm4_moe_lite glm4v glm_moe_dsa deepseek_v32 deepseek_v4 kimi_k25 minimax minimax_m2 olmoe flex_olmo olmo_hybrid smolvlm granitemoe granitemoeshared
granitemoehybrid granite_swa lfm2 lfm2_moe lfm3 falcon_h1 mamba mamba2 falcon_mamba jamba bamba nemotron_h exaone exaone_moe ernie4_5 ernie4_5_moe hunyuan_v1_dense hunyuan_v1_moe hy_v3
hy_v4 arcee internlm3 nanochat helium diffllama mimo_v2_flash step3p7 solar_open afmoe laguna kolibri1 sarvam_moe iquestcoder hyperclovax t5 mt5 umt5 t5gemma eurobert recurrent_gemma
minicpm3 bitnet xlstm zamba2 kimi_linear qwen4_exp_text gpt2 gpt_neox cohere cohere2 cohere2_moe olmo phi phimoe starcoder2 stablelm nemotron opt bloom mpt gptj gpt_neo gpt_bigcode falcon
persimmon codegen biogpt bart mbart pegasus blenderbot blenderbot-small plbart rwkv modernbert bert roberta xlm-roberta distilbert electra xglm m2m_100 ctrl cwm dots1 mellum granitemoe_swa gemma4_unified_text
minimax_m3_vl_text lara_mini youtu axk1 axk2 sarvam_mla inkling_text doge muse_glimmer apertus1p5_text bailing_hybrid longcat_flash zamba zaya jetmoe hrm_text dory jais2 deberta
deberta-v2 mistral_large4 glm5_next mllama@image t5gemma2 dbrx""".split()

# Sizes that a family needs beside the general ones; None leaves the configuration's own.
LATENT = dict(num_key_value_heads=4, head_dim=None)
INDEXED = dict(LATENT, index_n_heads=2, index_head_dim=16, index_topk=8)

# Relative positions as the published models have them: DeBERTa v2 normalises their table and shares keys with the words, and has a convolution beside its first layer.
DEBERTAS = {"deberta": dict(position_biased_input=False), "deberta-v2": dict(position_biased_input=False, norm_rel_ebd="layer_norm", share_att_key=True, position_buckets=16, conv_kernel_size=3, conv_act="tanh")}


def rope(sections):
    return {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections}}


def sizes_of(family, d, unique):
    heads = dict(num_attention_heads=2 if unique else 4, num_key_value_heads=2, head_dim=None)
    glm4v = dict(num_attention_heads=2, num_key_value_heads=2, head_dim=None,
                 rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5, "mrope_section": [3, 3, 3] if unique else [4, 2, 2]})
    gemma4 = dict(head_dim=24, num_key_value_heads=2, num_hidden_layers=4, layer_types=["sliding_attention", "full_attention"] * 2, hidden_size_per_layer_input=12, vocab_size_per_layer_input=VOCABULARY)
    mamba = dict(num_heads=4, head_dim=36 if unique else 32, expand=2)
    table = {
        "qwen2_vl.text_config": {**heads, **rope([6, 6, 6] if unique else [2, 3, 3])}, "qwen2_5_vl.text_config": {**heads, **rope([6, 6, 6] if unique else [2, 3, 3])}, "glm4v.text_config": glm4v,
        "mistral4": LATENT, "deepseek_v2": LATENT, "deepseek_v3": LATENT, "glm4_moe_lite": LATENT, "kimi_k25.text_config": LATENT, "kimi_linear": LATENT, "minicpm3": LATENT,
        "youtu": LATENT, "longcat_flash": dict(LATENT, zero_expert_num=2, head_dim=8), "axk1": LATENT, "axk2": INDEXED, "bailing_hybrid": LATENT, "sarvam_mla": LATENT,
        "mistral_large4.text_config": INDEXED, "mllama.text_config": dict(cross_attention_layers=[1], layer_types=None, num_hidden_layers=3), "dbrx": dict(attn_config={"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0}, ffn_config={"hidden_size": d, "ffn_hidden_size": 112, "moe_num_experts": 4, "moe_top_k": 2}),
        **{name: dict(relative_attention=True, max_relative_positions=32, pos_att_type=["c2p", "p2c"], **more) for name, more in DEBERTAS.items()}, "zaya": dict(num_experts_per_tok=1),
        "glm5_next.text_config": dict(INDEXED, head_dim=0, qk_rope_head_dim=0, linear_head_dim=8, linear_num_heads=4, index_kpool=2), "glm5_next.vision_config": dict(projection_intermediate_size=64, depth=2),
        "zamba": dict(num_key_value_heads=4, attention_hidden_size=2 * d, head_dim=d // 2, layers_block_type=["mamba", "hybrid", "mamba", "hybrid"], num_hidden_layers=4),
        "deepseek_v32": INDEXED, "glm_moe_dsa": INDEXED,
        "phi": dict(num_attention_heads=2, num_key_value_heads=2), "persimmon": dict(num_attention_heads=2, num_key_value_heads=2), "gptj": dict(rotary_dim=8), "codegen": dict(rotary_dim=8),
        "granitemoehybrid": dict(mamba_d_head=d // 2, layer_types=["mamba", "attention"]), "falcon": dict(head_dim=None, new_decoder_architecture=False, multi_query=True),
        "falcon_mamba": dict(intermediate_size=2 * d, expand=2), "mamba2": mamba, "xlstm": dict(v_head_dim=None), "recurrent_gemma": dict(num_hidden_layers=3),
        "jamba": dict(num_hidden_layers=4, attn_layer_period=2, attn_layer_offset=1, mamba_dt_rank=4), "bamba": dict(mamba_d_head=d // 2, attn_layer_indices=[1]),
        "lfm2": dict(layer_types=["conv", "full_attention"]), "lfm2_moe": dict(layer_types=["conv", "full_attention"], num_dense_layers=1),
        "gpt_neo": dict(attention_types=[[["global", "local"], 1]], num_layers=2, window_size=16), "helium": dict(head_dim=18 if unique else 16, num_key_value_heads=4),
        "zamba2": dict(num_hidden_layers=4, layers_block_type=["mamba", "hybrid", "mamba", "hybrid"], num_mem_blocks=1, mamba_headdim=d // 2, mamba_ngroups=1, n_mamba_heads=4),
        "gemma4_text": gemma4, "gemma4.text_config": gemma4, "qwen4_exp_text": dict(hc_count=4, hc_lowrank=10, ple_layer_ids=[], ple_embed_dim=None, ple_conv_kernel_size=4, ngram_vocab_size_base=60, make_ngram_vocab_size_divisible_by=4, heads_per_ngram=2,
                               split_ngram_parts=1, indexer_n_heads=2, indexer_kv_heads=1, indexer_head_dim=24, indexer_budget=8, indexer_compress_ratio=2,
                               layer_types=["linear_attention", "indexed_attention"], head_dim=24, num_hidden_layers=2),
        "deepseek_v4": dict(num_attention_heads=4, num_key_value_heads=1, o_groups=2, o_lora_rank=10, index_n_heads=2, index_head_dim=16, index_topk=4, hc_mult=4, head_dim=24),
    }
    return table.get(family, {})


OWN_LAYER_TYPES = ("falcon", "falcon_h1", "falcon_mamba", "mamba", "mamba2", "xlstm", "recurrent_gemma", "jamba", "bamba", "zamba2")


def general_sizes(d, unique):
    head = 24 if unique else d // 4
    width = {k: d for k in ("hidden_size", "d_model", "n_embd", "n_embed", "dim", "embedding_size", "word_embed_proj_dim")}
    inner = {k: 112 for k in ("intermediate_size", "ffn_dim", "n_inner", "d_ff", "ffn_hidden_size", "dense_intermediate_size", "feed_forward_size", "encoder_ffn_dim", "decoder_ffn_dim")}
    layers = {k: 2 for k in ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers")}
    heads = {k: 4 for k in ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads")}
    experts = {k: 4 for k in ("num_experts", "num_local_experts", "n_routed_experts", "num_routed_experts", "moe_num_experts")}
    chosen = {k: 2 for k in ("num_experts_per_tok", "moe_topk", "moe_k", "top_k")}
    positions = {k: 128 for k in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")}
    return dict(vocab_size=VOCABULARY, **width, **inner, **layers, **heads, **experts, **chosen, **positions, intermediate_size_mlp=104, num_key_value_heads=2, head_dim=head, d_kv=head,
                attention_head_dim=head, moe_intermediate_size=40, shared_expert_intermediate_size=36, n_shared_experts=1, num_shared_experts=1, moe_shared_expert_intermediate_size=36,
                kv_lora_rank=20, q_lora_rank=28, qk_rope_head_dim=8, qk_nope_head_dim=12, v_head_dim=14, n_group=1, topk_group=1, first_k_dense_replace=1, num_nextn_predict_layers=0,
                pad_token_id=0, bos_token_id=1, eos_token_id=2, sliding_window=16, query_pre_attn_scalar=16, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_d_state=8, mamba_num_heads=4,
                mamba_head_dim=8, ssm_state_size=8, state_size=8, mamba_n_groups=1, n_groups=1, mamba_expand=2, linear_num_value_heads=4, linear_num_key_heads=2, linear_key_head_dim=8,
                linear_value_head_dim=8, linear_conv_kernel_dim=4, hidden_size_per_layer_input=12, vocab_size_per_layer_input=VOCABULARY, laurel_rank=6, altup_num_inputs=2,
                num_kv_shared_layers=0, lru_width=80 if unique else d, attention_window_size=16, lora_rank=6, shared_intermediate_size=52, type_vocab_size=2, use_cache=False)


def configuration(kind, d, unique, family):
    """A small configuration of the class, with those of the general sizes that it has."""
    whole = kind()

    def has(key):
        try:
            return not isinstance(getattr(whole, key), (list, dict))
        except Exception:  # noqa: BLE001 - not there, or different in each layer
            return False

    values = {k: v for k, v in general_sizes(d, unique).items() if has(k)}
    for key in getattr(kind, "sub_configs", None) or {}:
        part = getattr(whole, key, None)
        if part is None:
            continue
        own = key in ("text_config", "decoder", "encoder", "llm_config", "thinker_config")
        try:
            values[key] = configuration(type(part), d if own else OTHER_STREAM, unique and own, f"{family}.{key}").to_dict()
        except Exception:  # noqa: BLE001 - a part that cannot be made small stays as it is
            values[key] = part.to_dict()
        if not own:  # what a tower ends in has the language model's width
            ends = ("hidden_size",) if family == "qwen2_vl" else ("out_hidden_size", "projection_dim")
            values[key].update({k: d for k in ends if k in values[key]})
            values[key].update({"embed_dim": OTHER_STREAM} if family == "qwen2_vl" else {})
    special = sizes_of(family, d, unique)
    values.update(special)
    values = {k: v for k, v in values.items() if v is not None or k not in special}
    if family not in OWN_LAYER_TYPES and "layer_types" not in values and getattr(whole, "layer_types", None):
        seen = list(dict.fromkeys(whole.layer_types))
        count = max(values.get("num_hidden_layers", 2), len(seen))
        values["num_hidden_layers"], values["layer_types"] = count, (seen * count)[:count]
    return kind(**values)


def class_of(family, image):
    if image:
        return transformers.AutoModelForImageTextToText
    for names, kind in ((modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES, "AutoModelForSeq2SeqLM"), (modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, "AutoModelForCausalLM"),
                        (modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, "AutoModelForImageTextToText"), (modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES, "AutoModelForMaskedLM")):
        if family in names:
            return getattr(transformers, kind)
    return transformers.AutoModel


def save(config, kind, folder):
    torch.manual_seed(0)
    model = kind.from_config(config).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():  # gains and biases that are all ones or zeros would hide a wrong rule
            if parameter.is_floating_point():
                parameter.copy_(torch.nan_to_num(parameter, nan=0.0, posinf=0, neginf=0).clamp(-3, 3) + 0.25 * torch.randn_like(parameter))
    model.save_pretrained(folder)


def logits(folder, kind):
    arguments = {"input_ids": torch.randint(5, 90, (2, 24), generator=torch.Generator().manual_seed(1))}
    if kind is transformers.AutoModelForSeq2SeqLM:
        arguments["decoder_input_ids"] = torch.randint(5, 90, (2, 9), generator=torch.Generator().manual_seed(2))
    for precision in (torch.float64, torch.float32):
        try:
            model = kind.from_pretrained(folder, dtype=precision).eval().to(precision)
            with torch.no_grad():
                out = model(**arguments)
            return (out.logits if hasattr(out, "logits") else out[0]).double()
        except Exception:  # noqa: BLE001 - some models run in one precision only
            if precision == torch.float32:
                raise


def moved(folder, kind, reference, gauge, scratch, tolerance):
    """('moved', change of the logits) or ('refused', why) or ('WRONG', what)."""
    there, back = scratch / "there", scratch / "back"
    for one in (there, back):
        shutil.rmtree(one, ignore_errors=True)
    status, text = regauge("transport", folder, "--gauge", write_gauge(gauge, scratch / "gauge.json"), "-o", there)
    if status != 0:
        return "refused", text.strip().splitlines()[-1].replace(f"{folder}: ", "")
    change = ((logits(there, kind) - reference).abs().max() / reference.abs().max()).item()
    status, text = regauge("transport", there, "--gauge", write_gauge(inverse(gauge), scratch / "inverse.json"), "-o", back)
    if status != 0 or not all(same_bytes(folder / f.name, back / f.name) for f in folder.glob("*.safetensors")):
        return "WRONG", "not back byte for byte: " + text.strip()
    return ("moved", change) if change < tolerance else ("WRONG", f"logits change by {change:.1e}")


def tried(family, scratch):
    name, _, image = family.partition("@")
    kind = class_of(name, image)
    found = {}
    for unique in (False, True):
        folder, d = scratch / "model", 72 if unique else 64
        shutil.rmtree(folder, ignore_errors=True)
        try:
            save(configuration(CONFIG_MAPPING[name], d, unique, name), kind, folder)
            reference = logits(folder, kind)
            if not torch.isfinite(reference).all():
                raise ValueError("logits are not finite")
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - the table says so
            found.setdefault("signed", ("not built", f"{type(error).__name__}: {str(error)[:120]}"))
            continue
        permutation = random_gauge(d, 3, signs=False)
        for label, gauge in (("signed", random_gauge(d, 3)), ("permutation", permutation), ("one sign", {**permutation, "group": "layernorm", "sign": [-1] * d})):
            if label == "one sign" and found.get("signed", ("",))[0] != "refused":
                continue  # signed gauges, of which it is one, have been tried
            result = moved(folder, kind, reference, gauge, scratch, TOLERANCES.get(name, TOLERANCE))
            before = found.get(label)
            if before is None or before[0] == "not built" or result[0] == "WRONG":
                found[label] = result
    return found


def outcome(found):
    signed, permutation = found.get("signed", ("not built", "")), found.get("permutation", ("", ""))
    wrong = [f"{label}: {detail}" for label, (result, detail) in found.items() if result == "WRONG"]
    if wrong:
        return "WRONG", wrong[0]
    if signed[0] == "moved":
        return "signed", f"{signed[1]:.0e}"
    if permutation[0] == "moved":
        return "permutation", f"{permutation[1]:.0e}"
    return signed


def write_table(counts, reasons, unbuilt, largest):
    """The table of core/recipes/README.md, between its first line and the one behind the last."""
    path = ROOT / "core" / "recipes" / "README.md"
    before, rest = path.read_text().split("What it said with transformers", 1)
    after = rest[rest.rindex("|\n") + 2:]
    rows = [(f"moved by signs and permutation ({len(counts.get('signed', []))})", counts.get("signed", [])), (f"LayerNorm: moved by a permutation, signs refused ({len(counts.get('permutation', []))})", counts.get("permutation", []))]
    rows += [(f"refused: {reason}", names) for reason, names in reasons.items()]
    rows += [(f"not built: {reason}", names) for reason, names in unbuilt.items()]
    table = "".join(f"| {what} | {', '.join(sorted(names))} |\n" for what, names in rows)
    path.write_text(f"{before}What it said with transformers {transformers.__version__} (torch {torch.__version__.split('+')[0]}), largest relative change of the logits {largest:.0e},\nWRONG {len(counts.get('WRONG', []))}:\n\n"
                    f"| result | families |\n| --- | --- |\n{table}{after}")


def main(names):
    write = "--write" in names
    names = [name for name in names if name != "--write"]
    if write and names:
        sys.exit("--write takes no names: the table is of all families")
    reasons, unbuilt, largest = {}, {}, 0.0
    print(f"transformers {transformers.__version__}, torch {torch.__version__}", flush=True)
    counts = {}
    with tempfile.TemporaryDirectory() as scratch:
        for family in names or FAMILIES:
            def late(*_):
                raise TimeoutError(f"not built within {SECONDS} s")
            signal.signal(signal.SIGALRM, late)
            signal.alarm(SECONDS)
            try:
                result, detail = outcome(tried(family, pathlib.Path(scratch)))
            except TimeoutError as error:
                result, detail = "not built", str(error)
            signal.alarm(0)
            counts.setdefault(result, []).append(family)
            if result in ("signed", "permutation"):
                largest = max(largest, float(detail))
            if result == "refused":
                reasons.setdefault(detail.split("model_type", 1)[-1].split(": ", 1)[-1].strip(), []).append(family)
            if result == "not built":
                unbuilt.setdefault(" ".join(str(detail).split())[:100], []).append(family)
            print(f"{family:24} {result:12} {str(detail)[:400]}", flush=True)
    print(json.dumps({k: len(v) for k, v in counts.items()}))
    if write:
        write_table(counts, reasons, unbuilt, largest)
    for result, families in counts.items():
        print(f"{result}: {' '.join(families)}")
    sys.exit(1 if "WRONG" in counts else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
