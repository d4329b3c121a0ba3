"""GGUF architectures: what a family's checkpoint moves by, its tensors under llama.cpp's names move by as well, bit for bit.

    architectures.py [FAMILY ...]      default: every family of TWINS; needs gguf and transformers beside the command

Names are those that the gguf package's table gives for the checkpoint's own, experts stacked, fused halves parted and weights stored [in, out] turned as the converter does. Moving must commute
with that, by a signed gauge where the checkpoint takes one. What the package names and regauge has no row for, and architectures that are refused, are listed.
"""
import importlib.metadata
import json
import pathlib
import re
import sys
import tempfile

import gguf
import numpy as np
import torch
from gguf.constants import MODEL_ARCH, MODEL_ARCH_NAMES, MODEL_TENSORS, TENSOR_NAMES
from gguf.tensor_mapping import get_tensor_name_map
from safetensors.torch import load_file
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import families
from common import ROOT, check, finish, random_gauge, regauge, write_gauge

# model_type -> general.architecture, as the converter registers them.
TWINS = dict(pair.split(":") for pair in """llama:llama mistral:llama mixtral:llama qwen2:qwen2 qwen2_moe:qwen2moe qwen3:qwen3 qwen3_moe:qwen3moe gemma:gemma gemma2:gemma2 gemma3_text:gemma3
gemma3n_text:gemma3n gemma4_text:gemma4 olmo2:olmo2 olmo3:olmo2 phi3:phi3 gpt_oss:gpt-oss glm4:glm4 glm:chatglm smollm3:smollm3 granite:granite exaone4:exaone4 exaone_moe:exaone-moe apertus:apertus
seed_oss:seed_oss deepseek_v2:deepseek2 deepseek_v3:deepseek2 qwen3_5:qwen35 qwen3_5_moe:qwen35moe qwen3_next:qwen3next qwen3_vl:qwen3vl qwen3_vl_moe:qwen3vlmoe qwen2_vl:qwen2vl llama4:llama4
ministral3:mistral3 mistral4:mistral4 glm4_moe:glm4moe glm4_moe_lite:deepseek2 glm_moe_dsa:glm-dsa minimax_m2:minimax-m2 olmoe:olmoe granitemoe:granitemoe granitemoeshared:granitemoe
granitemoehybrid:granitehybrid lfm2:lfm2 lfm2_moe:lfm2moe falcon_h1:falcon-h1 mamba:mamba mamba2:mamba2 falcon_mamba:mamba jamba:jamba bamba:granitehybrid nemotron_h:nemotron_h_moe ernie4_5:ernie4_5
ernie4_5_moe:ernie4_5-moe hunyuan_v1_dense:hunyuan-dense hunyuan_v1_moe:hunyuan-moe arcee:arcee t5:t5 umt5:t5 eurobert:eurobert minicpm3:minicpm3 bitnet:bitnet dots1:dots1 mimo_v2_flash:mimo2
step3p7:step35 afmoe:afmoe kimi_linear:kimi-linear gpt2:gpt2 gpt_neox:gptneox cohere:command-r cohere2:cohere2 olmo:olmo phi:phi2 phimoe:phimoe starcoder2:starcoder2 stablelm:stablelm
nemotron:nemotron bloom:bloom mpt:mpt gptj:gptj gpt_bigcode:starcoder falcon:falcon bert:bert roberta:bert xlm-roberta:bert distilbert:bert modernbert:modern-bert dbrx:dbrx jais2:jais2""".split())
ARCHITECTURES = {name: key for key, name in MODEL_ARCH_NAMES.items()}
TURNED = {"gpt2": ("c_attn.weight", "c_proj.weight", "c_fc.weight"), "gpt_oss": ("experts.gate_up_proj", "experts.down_proj"), "llama4": ("experts.gate_up_proj", "experts.down_proj")}
D, EXPERTS = 64, 4


def names_of(architecture, layers):
    table = get_tensor_name_map(ARCHITECTURES[architecture], layers)

    def named(name):
        for own in (name, name.replace("model.language_model.", "model."), name.replace("model.language_model.", ""), name.removeprefix("model."), re.sub(r"^(roberta|distilbert|bert)\.", "", name)):
            own = own.replace(".dt_bias", ".dt_proj.bias").replace("e_score_correction_bias", "e_score_correction.bias").replace("_proj_bias", "_proj.bias")
            own += ".bias" if own.endswith(".expert_bias") else ""
            for ending in (".weight", ".bias", ""):
                found = table.get_name(own.removesuffix(ending)) if own.endswith(ending) else None
                if found:  # parameters of their own get an ending, but for those of state spaces
                    return found + (ending or ("" if found.endswith(("ssm_a", "ssm_d")) else ".weight"))
        return None
    return named


def converted(tensors, family, architecture):
    """{name in GGUF: array} and the names that the package's table does not have."""
    named, found, stacks, left = names_of(architecture, 16), {}, {}, []
    for name, value in tensors.items():
        if any(name.endswith(ending) for ending in TURNED.get(family, ())):
            value = np.swapaxes(value, -1, -2)
        if family == "dbrx" and ".experts.mlp." in name:
            value = value.reshape(-1, value.shape[0] // EXPERTS, value.shape[1])
            value = np.swapaxes(value, 1, 2) if name.endswith("w2") else value
        if name.endswith("e_score_correction_bias"):
            value = value.reshape(-1)
        expert = re.search(r"\.(?:experts|altup_projections|altup_unembed_projections)\.(\d+)\.", name)
        own = name.replace(f".{expert[1]}.", ".", 1) if expert and "altup" in name else name.replace(expert[0], ".experts.") if expert else name
        target = named(own)
        fused = next((ending for ending in ("gate_up_proj", "gate_up_proj_bias", "input_linear.weight") if own.endswith(ending)), None)
        if target is None and fused:
            kind = "exps" if "experts" in own or "block_sparse_moe" in own else "shexp"
            layer = re.search(r"layers\.(\d+)\.", own)[1]
            halves = zip(("gate", "up"), np.split(value, 2, axis=-1 if fused.endswith("bias") else -2))
            parts = [(f"blk.{layer}.ffn_{half}_{kind}.{'bias' if fused.endswith('bias') else 'weight'}", part) for half, part in halves]
        else:
            parts = [(target, value)]
        for target, value in parts:
            if target is None:
                left.append(name)
            elif expert:
                stacks.setdefault(target, {})[int(expert[1])] = value
            else:
                found[target] = value
    found.update({target: np.stack([values[e] for e in sorted(values)]) for target, values in stacks.items()})
    return {target: np.ascontiguousarray(value) for target, value in found.items()}, left


def write(path, architecture, tensors, d):
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_embedding_length(d)
    for name, value in tensors.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()


def read(path):
    return {t.name: t.data for t in gguf.GGUFReader(path).tensors}


def arrays(folder):
    return {name: value.float().numpy() for file in sorted(folder.glob("*.safetensors")) for name, value in load_file(file).items()}


def check_family(family, architecture, work):
    what = f"{family} as {architecture}"
    families.save(families.configuration(CONFIG_MAPPING[family], D, False, family), families.class_of(family, ""), work / "model")
    status = 2
    for signs in (True, False):
        gauge = write_gauge(random_gauge(D, 3, signs), work / "gauge.json")
        status, text = regauge("transport", work / "model", "--gauge", gauge, "-o", work / "moved", "--force")
        tensors, left = converted(arrays(work / "model"), family, architecture)
        write(work / "model.gguf", architecture, tensors, D)
        same, said = regauge("transport", work / "model.gguf", "--gauge", gauge, "-o", work / "moved.gguf", "--force")
        if status != 0 and same != 0:
            continue  # both take a permutation alone
        if status != same:
            return check(what, False, f"{'signs' if signs else 'permutation'}: checkpoint {status} {text[-150:].strip()}; GGUF {same} {said[-250:].strip()}")
        expected, got = converted(arrays(work / "moved"), family, architecture)[0], read(work / "moved.gguf")
        # A classifier's own space goes along in checkpoints and stays in GGUF, where its first layer has one name for all.
        wrong = [name for name, value in expected.items() if not name.startswith("cls.") and not np.array_equal(value, got[name])]
        return check(f"{what}: {len(expected)} tensors, by {'signs' if signs else 'a permutation'}", not wrong, ", ".join(wrong[:6]) or (f"without {len(left)}: {left[0]}" if left else ""))
    return check(what, False, "neither moved")


def listed():
    """What the package names and the table has no row for, and the architectures that are refused."""
    table = next(one for one in json.loads((ROOT / "core/recipes/models/gguf.json").read_text()) if one["kind"] == "gguf-model")
    known, rows = table["known"]["general.architecture"], {re.sub(r"\.(weight|bias)$", "", row["name"]) for row in table["tensors"]}
    rows = [re.compile(re.escape(row).replace(r"\{l\}", r"\d+").replace(r"\{any\}", ".*").replace(r"\{word\}", r"[^.]+") + "$") for row in rows]
    for architecture in (name for name in known if name in ARCHITECTURES):
        names = [TENSOR_NAMES[tensor].format(bid=0, xid=0) for tensor in MODEL_TENSORS[ARCHITECTURES[architecture]]]
        without = [name for name in names if not any(row.match(name) for row in rows)]
        if without:
            print(f"{architecture}: no row for {' '.join(without)}")
    print("refused:", " ".join(name for name in ARCHITECTURES if name not in known))


def main(names):
    print(f"gguf {importlib.metadata.version('gguf')}, transformers {families.transformers.__version__}, torch {torch.__version__}")
    for family in names or TWINS:
        with tempfile.TemporaryDirectory() as work:
            try:
                check_family(family, TWINS[family], pathlib.Path(work))
            except Exception as error:  # noqa: BLE001 - one that is not built must not hide the others
                check(f"{family}", False, f"{type(error).__name__}: {str(error)[:200]}")
    listed()
    finish()


main(sys.argv[1:])
