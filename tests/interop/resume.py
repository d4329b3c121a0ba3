"""AdamW resumed in other coordinates: a model and its optimizer state, both moved, train on as if nothing had happened; state moved without signs does not."""
import pathlib
import tempfile

import torch
import transformers

from common import check, finish, random_gauge, transport, write_gauge

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()
D, STEPS = 64, 5


def optimizer_of(model):
    return torch.optim.AdamW(model.named_parameters(), lr=3e-3, weight_decay=0.1)  # named: the state says which parameter is which


def train(model, optimizer, tokens):
    for batch in tokens:
        optimizer.zero_grad()
        model(batch, labels=batch).loss.backward()
        optimizer.step()
    with torch.no_grad():
        return model(tokens[0]).logits


def main():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(vocab_size=96, hidden_size=D, intermediate_size=112, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, pad_token_id=0)
    model = transformers.LlamaForCausalLM(config)
    optimizer = optimizer_of(model)
    before, after = torch.randint(3, 96, (20, 4, 16)), torch.randint(3, 96, (STEPS, 4, 16))
    train(model, optimizer, before)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        model.save_pretrained(work / "a")
        torch.save(optimizer.state_dict(), work / "a" / "optimizer.pt")
        gauge = random_gauge(D, 1)
        transport(work / "a", write_gauge(gauge, work / "g.json"), work / "b")
        unsigned = write_gauge({**gauge, "sign": [1] * D}, work / "p.json")
        transport(work / "a" / "optimizer.pt", unsigned, work / "unsigned.pt")
        expected = train(model, optimizer, after)
        for what, state, right in (("moved state", work / "b" / "optimizer.pt", True), ("state moved by the permutation alone", work / "unsigned.pt", False),
                                   ("state not moved", work / "a" / "optimizer.pt", False)):
            other = transformers.LlamaForCausalLM.from_pretrained(work / "b")
            resumed = optimizer_of(other)
            resumed.load_state_dict(torch.load(state))
            difference = (train(other, resumed, after) - expected).abs().max().item()
            check(f"{what}: the trajectory {'goes on' if right else 'visibly breaks'}", (difference < 1e-3) == right, f"logits differ by {difference:.1e} after {STEPS} steps")
    finish()


main()
