"""AdamW resumed in other coordinates with torch alone (resume.py does it with a transformers model): optimizer.pt is moved by the command, the parameters by
the definition, in float64, so that what is left is the order of summation."""
import pathlib
import tempfile

import torch
from torch import nn

from common import check, finish, random_gauge, transport, write_gauge

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
D, HIDDEN, VOCABULARY, BEFORE, AFTER = 32, 48, 50, 30, 50


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(1 + 0.1 * torch.randn(D))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.post_attention_layernorm = Norm()
        self.mlp = nn.ModuleDict({"gate_proj": nn.Linear(D, HIDDEN, bias=False), "up_proj": nn.Linear(D, HIDDEN, bias=False), "down_proj": nn.Linear(HIDDEN, D, bias=False)})

    def forward(self, x):
        h = self.post_attention_layernorm(x)
        return x + self.mlp["down_proj"](nn.functional.silu(self.mlp["gate_proj"](h)) * self.mlp["up_proj"](h))


class Model(nn.Module):
    """The parameters' names are Llama's, by which the command knows how their state moves."""
    def __init__(self):
        super().__init__()
        self.model = nn.ModuleDict({"embed_tokens": nn.Embedding(VOCABULARY, D), "layers": nn.ModuleList([Layer(), Layer()]), "norm": Norm()})
        self.lm_head = nn.Linear(D, VOCABULARY, bias=False)

    def forward(self, tokens):
        x = self.model["embed_tokens"](tokens)
        for layer in self.model["layers"]:
            x = layer(x)
        return self.lm_head(self.model["norm"](x))


def optimizer_of(model):
    return torch.optim.AdamW(model.named_parameters(), lr=3e-3, weight_decay=0.1)  # named: the state says which parameter is which


def train(model, optimizer, tokens):
    for batch in tokens:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch[:, 0]), batch[:, 1]).backward()
        optimizer.step()


def moved(name, tensor, gauge, signs=True):
    perm, sign = torch.tensor(gauge["perm"]), torch.tensor(gauge["sign"], dtype=torch.float64)
    if "norm" in name:
        return tensor[perm]
    if not signs:
        sign = torch.ones_like(sign)
    return tensor[perm] * sign[:, None] if "down_proj" in name else tensor[:, perm] * sign


def main():
    torch.manual_seed(0)
    model = Model()
    optimizer = optimizer_of(model)
    tokens = torch.randint(0, VOCABULARY, (BEFORE + AFTER, 16, 2))
    train(model, optimizer, tokens[:BEFORE])
    gauge = random_gauge(D, 1)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        torch.save(optimizer.state_dict(), work / "optimizer.pt")
        transport(work / "optimizer.pt", write_gauge(gauge, work / "g.json"), work / "signed.pt")
        transport(work / "optimizer.pt", write_gauge({**gauge, "sign": [1] * D}, work / "p.json"), work / "unsigned.pt")
        start = {name: moved(name, p.detach(), gauge) for name, p in model.named_parameters()}
        train(model, optimizer, tokens[BEFORE:])
        signed = torch.load(work / "signed.pt")
        stale = torch.load(work / "signed.pt")  # exp_avg moved, exp_avg_sq left where it was
        for key, state in torch.load(work / "optimizer.pt")["state"].items():
            stale["state"][key]["exp_avg_sq"] = state["exp_avg_sq"]
        for what, state, right in (("moved state", signed, True), ("state moved by the permutation alone", torch.load(work / "unsigned.pt"), False),
                                   ("exp_avg_sq left unpermuted", stale, False), ("state not moved", torch.load(work / "optimizer.pt"), False)):
            other = Model()
            other.load_state_dict(start)
            resumed = optimizer_of(other)
            resumed.load_state_dict(state)
            train(other, resumed, tokens[BEFORE:])
            gap = max((p - moved(name, q, gauge)).abs().max().item() for (name, p), (_, q) in zip(other.named_parameters(), model.named_parameters()))
            check(f"{what}: the trajectory {'goes on' if right else 'visibly breaks'}", gap <= 1e-9 if right else gap > 1e-3, f"parameters differ by {gap:.1e} after {AFTER} steps")
    finish()


main()
