"""Every tuner and every way to begin of PEFT: the adapter is moved and computes the same on the moved base, or is refused with the reason.

    peft_kinds.py [NAME ...]      default: all of KINDS; prints a table

WRONG (other logits without a word) fails the script.
"""
import json
import pathlib
import sys
import tempfile
import warnings

import peft
import torch
import transformers
from peft import LoraConfig
from peft.tuners.lora import config as lora

from common import inverse, random_gauge, regauge, same_bytes, write_gauge

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
D = 64
EVERY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SQUARE = ["q_proj", "o_proj"]
TOLERANCE = 1e-3  # of the logits, float32: a singular value decomposition at every load


def begun(how, **more):
    return lambda: LoraConfig(r=4, target_modules=EVERY, init_lora_weights=how, **more)


def fused(parameters):
    return lambda: LoraConfig(r=2, target_modules=["q_proj", "o_proj"], target_parameters=parameters)


# name -> (model, configuration). The model is one of MODELS.
KINDS = {
    **{f"LORA, begun by {how}": ("llama", begun(how)) for how in (True, False, "gaussian", "orthogonal", "pissa", "pissa_niter_4", "eva", "corda", "lora_ga", "mica", "olora")},
    "LORA, begun by loftq": ("llama", begun("loftq", loftq_config=peft.LoftQConfig(loftq_bits=4))),
    "LORA, DoRA": ("llama", begun(True, use_dora=True)), "LORA, rank-stabilised": ("llama", begun(True, use_rslora=True)), "LORA, lora_bias": ("llama", begun(True, lora_bias=True)),
    "LORA, bias all": ("llama", begun(True, bias="all")), "LORA, rank and alpha patterns": ("llama", begun(True, rank_pattern={"o_proj": 8}, alpha_pattern={"q_proj": 3})),
    "LORA, activated (aLoRA)": ("llama", begun(True, alora_invocation_tokens=[7, 8])), "LORA, QALoRA": ("llama", begun(True, use_qalora=True, qalora_group_size=16)),
    "LORA, BD-LoRA": ("llama", begun(True, use_bdlora=lora.BdLoraConfig(target_modules_bd_a=["q_proj"], target_modules_bd_b=["o_proj"], nblocks=2, match_strict=False))),
    "LORA, VeLoRA": ("llama", begun(True, velora_config=lora.VeloraConfig())), "LORA, MonteCLoRA": ("llama", begun(True, monteclora_config=lora.MontecloraConfig())),
    "LORA, KaSA": ("llama", begun(True, kasa_config=lora.KasaConfig())), "LORA, layers replicated": ("llama", begun(True, layer_replication=[(0, 2), (1, 2)])),
    "LORA, weights tied": ("tied", lambda: LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True)),
    "LORA, target modules tied": ("tied", lambda: LoraConfig(r=4, target_modules=["q_proj", "embed_tokens", "lm_head"], ensure_weight_tying=True)),
    "LORA on embeddings": ("llama", lambda: LoraConfig(r=4, target_modules=["embed_tokens", "q_proj", "lm_head"])),
    "LORA on embeddings, DoRA": ("llama", lambda: LoraConfig(r=4, target_modules=["embed_tokens", "o_proj"], use_dora=True)),
    "LORA on embeddings, begun by mica": ("llama", lambda: LoraConfig(r=4, target_modules=["embed_tokens", "o_proj"], init_lora_weights="mica")),
    "LORA, modules to save": ("llama", lambda: LoraConfig(r=4, target_modules=["o_proj"], modules_to_save=["lm_head", "embed_tokens", "norm"])),
    "LORA, token indices": ("llama", lambda: LoraConfig(r=4, target_modules=["o_proj"], trainable_token_indices={"embed_tokens": [5, 9]})),
    "LORA of parameters": ("llama", lambda: LoraConfig(r=4, target_modules=[], target_parameters=["q_proj.weight", "o_proj.weight"])),
    "LORA of fused experts, mixtral": ("mixtral", fused(["experts.gate_up_proj", "experts.down_proj"])),
    "LORA of fused experts, qwen3_moe": ("qwen3_moe", fused(["experts.gate_up_proj", "experts.down_proj"])),
    "LORA of one fused expert parameter, mixtral": ("mixtral", fused(["experts.down_proj"])),
    "LORA of fused experts, gpt_oss": ("gpt_oss", fused(["experts.gate_up_proj", "experts.down_proj"])),
    "LORA of fused experts, llama4": ("llama4_text", fused(["experts.gate_up_proj", "experts.down_proj"])),
    "LORA of fused experts, olmoe": ("olmoe", fused(["experts.gate_up_proj", "experts.down_proj"])),
    "LORA of the router, mixtral": ("mixtral", fused(["gate.weight"])),
    "LORA of Conv1D parameters": ("gpt2", lambda: LoraConfig(r=4, target_modules=[], target_parameters=["attn.c_proj.weight", "c_attn.weight", "mlp.c_proj.weight"])),
    "LORA of c_attn (Conv1D)": ("gpt2", lambda: LoraConfig(r=4, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
    "LORA of Conv1D, pissa": ("gpt2", lambda: LoraConfig(r=4, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, init_lora_weights="pissa")),
    "LORA of Conv1D, DoRA": ("gpt2", lambda: LoraConfig(r=4, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, use_dora=True)),
    "ADALORA": ("llama", lambda: peft.AdaLoraConfig(target_modules=EVERY, total_step=10, tinit=1, tfinal=2)),
    "LOHA": ("llama", lambda: peft.LoHaConfig(r=4, target_modules=EVERY)), "LOHA, rank dropout scale": ("llama", lambda: peft.LoHaConfig(r=4, target_modules=EVERY, use_effective_conv2d=True)),
    "LOKR": ("llama", lambda: peft.LoKrConfig(target_modules=SQUARE)), "LOKR, decompose both": ("llama", lambda: peft.LoKrConfig(target_modules=SQUARE, decompose_both=True)),
    "IA3": ("llama", lambda: peft.IA3Config(target_modules=["k_proj", "o_proj", "up_proj", "down_proj"], feedforward_modules=["up_proj", "down_proj"])),
    "LN_TUNING": ("llama", lambda: peft.LNTuningConfig(target_modules=["input_layernorm", "norm"])),
    "TRAINABLE_TOKENS": ("llama", lambda: peft.TrainableTokensConfig(target_modules=["embed_tokens"], token_indices=[5, 9])),
    "PROMPT_TUNING": ("llama", lambda: peft.PromptTuningConfig(num_virtual_tokens=5)), "P_TUNING": ("llama", lambda: peft.PromptEncoderConfig(num_virtual_tokens=5, encoder_hidden_size=32)),
    "P_TUNING, LSTM": ("llama", lambda: peft.PromptEncoderConfig(num_virtual_tokens=5, encoder_hidden_size=32, encoder_reparameterization_type="LSTM")),
    "MULTITASK_PROMPT_TUNING": ("llama", lambda: peft.MultitaskPromptTuningConfig(num_virtual_tokens=5, num_tasks=2, num_ranks=2)),
    "PREFIX_TUNING": ("llama", lambda: peft.PrefixTuningConfig(num_virtual_tokens=5)),
    "PREFIX_TUNING, projection": ("llama", lambda: peft.PrefixTuningConfig(num_virtual_tokens=5, prefix_projection=True, encoder_hidden_size=32)),
    "CARTRIDGE": ("llama", lambda: peft.CartridgeConfig(num_virtual_tokens=5)), "ADAPTION_PROMPT": ("llama", lambda: peft.AdaptionPromptConfig(adapter_len=4, adapter_layers=2)),
    "CPT": ("llama", lambda: peft.CPTConfig(task_type="CAUSAL_LM", cpt_token_ids=[1, 2, 3, 4], cpt_mask=[1, 1, 1, 1], cpt_tokens_type_mask=[1, 2, 3, 4])),
    "ADAMSS": ("llama", lambda: peft.AdamssConfig(target_modules=SQUARE)), "BEFT": ("llama", lambda: peft.BeftConfig(target_modules=["v_proj"])),
    "BOFT": ("llama", lambda: peft.BOFTConfig(target_modules=SQUARE, boft_block_size=8)), "C3A": ("llama", lambda: peft.C3AConfig(target_modules=SQUARE, block_size=16)),
    "DEFT": ("llama", lambda: peft.DeftConfig(target_modules=SQUARE, r=4)), "DELORA": ("llama", lambda: peft.DeloraConfig(target_modules=SQUARE, r=4)),
    "FOURIERFT": ("llama", lambda: peft.FourierFTConfig(target_modules=SQUARE, n_frequency=20)), "FROD": ("llama", lambda: peft.FrodConfig(target_modules=SQUARE)),
    "GLORA": ("llama", lambda: peft.GloraConfig(target_modules=SQUARE, r=4)), "GRALORA": ("llama", lambda: peft.GraloraConfig(target_modules=SQUARE, r=4)),
    "HIRA": ("llama", lambda: peft.HiraConfig(target_modules=SQUARE, r=4)), "HRA": ("llama", lambda: peft.HRAConfig(target_modules=SQUARE)),
    "LILY": ("llama", lambda: peft.LilyConfig(target_modules=SQUARE, r=4)), "MISS": ("llama", lambda: peft.MissConfig(target_modules=SQUARE, r=4)),
    "OFT": ("llama", lambda: peft.OFTConfig(target_modules=SQUARE)), "OSF": ("llama", lambda: peft.OSFConfig(target_modules=SQUARE)),
    "PEANUT": ("llama", lambda: peft.PeanutConfig(target_modules=SQUARE, r=4)), "POLY": ("llama", lambda: peft.PolyConfig(target_modules=SQUARE, r=4)),
    "PSOFT": ("llama", lambda: peft.PsoftConfig(target_modules=SQUARE, r=4)), "PVERA": ("llama", lambda: peft.PveraConfig(target_modules=SQUARE)),
    "RANDLORA": ("llama", lambda: peft.RandLoraConfig(target_modules=SQUARE, r=4)), "ROAD": ("llama", lambda: peft.RoadConfig(target_modules=SQUARE)),
    "SHADOW": ("llama", lambda: peft.ShadowConfig(r=4)), "SHIRA": ("llama", lambda: peft.ShiraConfig(target_modules=SQUARE, r=4, random_seed=1)),
    "SUPERTUNING": ("llama", lambda: peft.SupertuningConfig(target_modules=SQUARE)), "TINYLORA": ("llama", lambda: peft.TinyLoraConfig(target_modules=SQUARE)),
    "UNILORA": ("llama", lambda: peft.UniLoraConfig(target_modules=SQUARE, theta_d_length=64)), "VBLORA": ("llama", lambda: peft.VBLoRAConfig(target_modules=SQUARE, vector_length=16, num_vectors=32)),
    "VERA": ("llama", lambda: peft.VeraConfig(target_modules=SQUARE)), "WAVEFT": ("llama", lambda: peft.WaveFTConfig(target_modules=SQUARE, n_frequency=20)),
}
SMALL = dict(vocab_size=96, hidden_size=D, intermediate_size=112, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, pad_token_id=0)
EXPERTS = dict(SMALL, intermediate_size=D, num_experts_per_tok=2)  # square: only the position tells the axes apart
MODELS = {
    "llama": lambda: transformers.LlamaConfig(**SMALL, mlp_bias=True, attention_bias=True), "tied": lambda: transformers.LlamaConfig(**SMALL, tie_word_embeddings=True),
    "mixtral": lambda: transformers.MixtralConfig(**EXPERTS, num_local_experts=4, head_dim=16), "qwen3_moe": lambda: transformers.Qwen3MoeConfig(**EXPERTS, moe_intermediate_size=32, num_experts=4, head_dim=16),
    "gpt_oss": lambda: transformers.GptOssConfig(**EXPERTS, num_local_experts=4, head_dim=16), "olmoe": lambda: transformers.OlmoeConfig(**EXPERTS, num_experts=4),
    "llama4_text": lambda: transformers.Llama4TextConfig(**EXPERTS, intermediate_size_mlp=72, num_local_experts=4, head_dim=16),
    "gpt2": lambda: transformers.GPT2Config(vocab_size=96, n_embd=D, n_layer=2, n_head=4, n_positions=64),
}
PERMUTATION_ONLY = ("gpt2",)


def shaken(parameters, size):
    with torch.no_grad():
        for p in parameters:
            p.add_(size * torch.randn_like(p))


def prepared(base, options):
    """CorDA looks at activations, when an adapter is loaded, too."""
    if getattr(options, "init_lora_weights", None) == "corda":
        from peft.tuners.lora.corda import preprocess_corda
        options.corda_config = lora.CordaConfig(corda_method="kpm")
        tokens = torch.randint(5, 90, (1, 256), generator=torch.Generator().manual_seed(3))
        preprocess_corda(base, options, run_model=lambda: base(tokens))
    return base


def adapted(base, options):
    prepared(base, options)
    if getattr(options, "init_lora_weights", None) == "lora_ga":
        from peft.tuners.lora.loraga import preprocess_loraga
        options.lora_ga_config = lora.LoraGAConfig()
        tokens = torch.randint(5, 90, (8, 32))
        preprocess_loraga(base, options, train_step=lambda: base(tokens, labels=tokens).loss.backward())
        base.zero_grad()
    return peft.get_peft_model(base, options)


def logits(model, tokens):
    multitask = getattr(getattr(model, "active_peft_config", None), "peft_type", None) == peft.PeftType.MULTITASK_PROMPT_TUNING
    with torch.no_grad():
        return model.eval()(tokens, **({"task_ids": torch.tensor([0, 1])} if multitask else {})).logits[:, -tokens.shape[1]:].double()


def tried(model_name, options, work, gauge):
    torch.manual_seed(0)
    tokens = torch.randint(5, 12, (2, 24))
    tokens[:, 3:5] = torch.tensor([7, 8])  # what wakes an activated LoRA
    g, back = write_gauge(gauge, work / "g.json"), write_gauge(inverse(gauge), work / "gi.json")
    base = transformers.AutoModelForCausalLM.from_config(MODELS[model_name]()).float().eval()
    shaken(base.parameters(), 0.2)
    (work / "moved").mkdir()
    base.save_pretrained(work / model_name)  # the folder's name says which family the adapter is of
    load = type(base).from_pretrained
    status, text = regauge("transport", work / model_name, "--gauge", g, "-o", work / "moved" / model_name)
    if status != 0:
        return "base refused", text.strip().splitlines()[-1]
    options.task_type, options.inference_mode = "CAUSAL_LM", False
    model = adapted(load(work / model_name), options)
    shaken((p for p in model.parameters() if p.requires_grad), 0.1)
    model.save_pretrained(work / "a")
    status, text = regauge("transport", work / "a", "--gauge", g, "-o", work / "b")
    expected = logits(peft.PeftModel.from_pretrained(prepared(load(work / model_name), options), work / "a"), tokens) if status == 0 else logits(model, tokens)
    if status != 0:
        reason = text.strip().splitlines()[-1].split("/a: ", 1)[-1]
        return ("refused", reason + merged(model, expected, tokens, work, g) if "merge" in reason.lower() else reason)
    scale = expected.abs().max()
    found = logits(peft.PeftModel.from_pretrained(prepared(load(work / "moved" / model_name), options), work / "b"), tokens)
    change = ((found - expected).abs().max() / scale).item()
    plain = ((logits(load(work / "moved" / model_name), tokens) - expected).abs().max() / scale).item()
    status, text = regauge("transport", work / "b", "--gauge", back, "-o", work / "c")
    if status != 0 or not same_bytes(work / "a", work / "c"):
        return "WRONG", "not back byte for byte: " + text.strip()
    if plain < 10 * TOLERANCE:
        return "not built", "the adapter does nothing"
    return ("moved" if change < TOLERANCE else "WRONG"), f"logits change by {change:.0e} (by {plain:.2f} without the adapter)"


def merged(model, expected, tokens, work, gauge):
    """What the refusal advises: the adapter merged into its model, and that moved."""
    try:
        whole = model.merge_and_unload()
    except Exception as error:  # noqa: BLE001 - then the advice is wrong
        return f" [cannot be merged: {type(error).__name__}]"
    whole.save_pretrained(work / "merged")
    status, text = regauge("transport", work / "merged", "--gauge", gauge, "-o", work / "merged2")
    if status != 0:
        return " [merged: " + text.strip().splitlines()[-1] + "]"
    change = ((logits(type(whole).from_pretrained(work / "merged2"), tokens) - expected).abs().max() / expected.abs().max()).item()
    return f" [merged and moved: logits change by {change:.0e}]"


def main(names):
    print(f"peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}\n\n| kind | outcome | |\n| --- | --- | --- |", flush=True)
    outcomes = {}
    for name in names or KINDS:
        model, options = KINDS[name]
        with tempfile.TemporaryDirectory() as work:
            try:
                outcome, detail = tried(model, options(), pathlib.Path(work), random_gauge(D, 1, signs=model not in PERMUTATION_ONLY))
            except Exception as error:  # noqa: BLE001 - one kind's trouble must not hide the others'
                outcome, detail = "not built", f"{type(error).__name__}: {str(error)[:160]}"
        outcomes.setdefault(outcome, []).append(name)
        advice = detail[detail.rindex(" ["):] if detail.endswith("]") else ""
        print(f"| {name} | {outcome}{advice} | {detail.removesuffix(advice)[:240]} |", flush=True)
    known = {k.split(",")[0].split(" ")[0] for k in KINDS}
    missing = [k.value for k in peft.PeftType if k.value not in known]
    print("\n" + json.dumps({k: len(v) for k, v in outcomes.items()}), "never tried:", missing)
    sys.exit(1 if "WRONG" in outcomes else 0)


main(sys.argv[1:])
