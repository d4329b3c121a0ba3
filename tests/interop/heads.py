"""Heads of encoders and encoder-decoders: moved by a permutation, and by one with one sign for all channels, a model computes the same; single signs are refused.

Where a head's function is not odd and what follows reads it in the stream's place, the one sign is refused as well. ELECTRA also with embeddings narrower than its layers, DeBERTa with both
heads of its language model and a convolution.
"""
import pathlib
import tempfile

import torch
import transformers

from common import check, finish, random_gauge, regauge, transport, write_gauge

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
D = 64
SIZES = dict(vocab_size=101, hidden_size=D, num_hidden_layers=2, num_attention_heads=4, intermediate_size=112)
DISENTANGLED = dict(SIZES, position_biased_input=False, relative_attention=True, max_relative_positions=32, pos_att_type=["c2p", "p2c"], pooler_hidden_size=D)
DEBERTA2 = dict(DISENTANGLED, norm_rel_ebd="layer_norm", share_att_key=True, position_buckets=16)
LIMITS = {"Deberta": 1e-5}  # its norms run in float32
LAYERS = dict(encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=112, decoder_ffn_dim=112, eos_token_id=2)
ALL = ("SequenceClassification", "TokenClassification", "QuestionAnswering", "MaskedLM")
# What refuses even one sign for all channels: a part of the reason, by (class, configuration).
POOLER = "what its pooler writes passes through GELU (unless pooler_hidden_act says otherwise)"
CASES = [
    *(("Electra", head, dict(SIZES, embedding_size=e), None) for e in (D // 2, D) for head in (*ALL, "PreTraining")),
    *(("Bert", head, SIZES, None) for head in (*ALL, "PreTraining")), *(("Roberta", head, SIZES, None) for head in ALL), *(("ModernBert", head, dict(SIZES, pad_token_id=0), None) for head in ALL),
    *(("DistilBert", head, dict(vocab_size=101, dim=D, n_layers=2, n_heads=4, hidden_dim=112), "pre_classifier writes passes through ReLU" if head == ALL[0] else None) for head in ALL),
    *((kind, head, sizes, POOLER if head == ALL[0] else None) for kind, sizes in (("Deberta", DISENTANGLED), ("DebertaV2", DEBERTA2)) for head in ALL),
    *((kind, "MaskedLM", dict(sizes, legacy=False), None) for kind, sizes in (("Deberta", DISENTANGLED), ("DebertaV2", DEBERTA2))),
    ("DebertaV2", "MaskedLM", dict(DEBERTA2, conv_kernel_size=3, conv_act="gelu"), "convolution beside its first layer"), ("DebertaV2", "MaskedLM", dict(DEBERTA2, conv_kernel_size=3, conv_act="tanh"), None),
    ("DebertaV2", "MaskedLM", dict(DEBERTA2, conv_act="gelu"), None),  # said and not there
    *(("Bart", head, dict(LAYERS, vocab_size=101, d_model=D, max_position_embeddings=64), None) for head in (*ALL[::2], "ConditionalGeneration", "CausalLM")),
]


def model_of(name, head, options):
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}For{head}")(getattr(transformers, f"{name}Config")(num_labels=2 if head == "QuestionAnswering" else 3, **options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # gains and biases that are all ones or zeros would hide a wrong rule
            parameter.add_(0.25 * torch.randn_like(parameter))
    return model


def change(kind, work):
    tokens = torch.randint(5, 90, (2, 24), generator=torch.Generator().manual_seed(1))
    tokens[:, -1] = 2  # BART's classifier reads the end of the text
    with torch.no_grad():
        before, after = (kind.from_pretrained(work / name).double().eval()(tokens)[0] for name in ("model", "moved"))
    return ((before - after).norm() / before.norm()).item()


def check_head(name, head, options, unsigned, work):
    model = model_of(name, head, options)
    model.save_pretrained(work / "model")
    permutation = random_gauge(D, 3, signs=False)
    gauges = {"permutation": permutation, "one sign": {**permutation, "group": "layernorm", "sign": [-1] * D}}
    what = f"{name}For{head}" + "".join(f", {k} {options[k]}" for k in ("embedding_size", "legacy", "conv_kernel_size", "conv_act") if k in options)
    for label, gauge in gauges.items():
        at = write_gauge(gauge, work / "gauge.json")
        if unsigned and label == "one sign":
            status, text = regauge("transport", work / "model", "--gauge", at, "-o", work / "refused")
            check(f"{what}: {label} is refused", status == 2 and unsigned in text and "not even one for all channels" in text and "--group permutation" in text, text.strip()[-100:])
            continue
        transport(work / "model", at, work / "moved")
        changed = change(type(model), work)
        check(f"{what}: {label}", changed < LIMITS.get(name, 1e-9), f"logits change by {changed:.0e}")
    status, text = regauge("transport", work / "model", "--gauge", write_gauge(random_gauge(D, 3), work / "signed.json"), "-o", work / "signed")
    check(f"{what}: signs are refused", status == 2 and "--group permutation" in text, text.strip()[-60:])


def main():
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    for name, head, options, unsigned in CASES:
        with tempfile.TemporaryDirectory() as work:
            check_head(name, head, options, unsigned, pathlib.Path(work))
    finish()


main()
