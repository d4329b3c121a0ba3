"""ELECTRA with embeddings as wide as its layers and narrower ones, with each of its heads: moved by a permutation, it computes the same logits; signs are refused."""
import pathlib
import tempfile

import torch
import transformers

from common import check, finish, random_gauge, regauge, transport, write_gauge

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
D = 64
HEADS = ("MaskedLM", "PreTraining", "SequenceClassification", "QuestionAnswering", "TokenClassification")


def check_head(head, embedding, work):
    kind = getattr(transformers, f"ElectraFor{head}")
    torch.manual_seed(0)
    model = kind(transformers.ElectraConfig(vocab_size=101, embedding_size=embedding, hidden_size=D, num_hidden_layers=2, num_attention_heads=4, intermediate_size=112)).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # gains and biases that are all ones or zeros would hide a wrong rule
            parameter.add_(0.25 * torch.randn_like(parameter))
    model.save_pretrained(work / "model")
    transport(work / "model", write_gauge(random_gauge(D, 3, False), work / "gauge.json"), work / "moved")
    tokens = torch.randint(5, 90, (2, 24))
    with torch.no_grad():
        before, after = (kind.from_pretrained(work / name).double().eval()(tokens)[0] for name in ("model", "moved"))
    change = ((before - after).norm() / before.norm()).item()
    status, text = regauge("transport", work / "model", "--gauge", write_gauge(random_gauge(D, 3), work / "signed.json"), "-o", work / "signed")
    check(f"{head}, embeddings of {embedding}", change < 1e-9 and status == 2 and "--group permutation" in text, f"logits change by {change:.0e}")


def main():
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    for embedding in (D // 2, D):
        for head in HEADS:
            with tempfile.TemporaryDirectory() as work:
                check_head(head, embedding, pathlib.Path(work))
    finish()


main()
