"""Train small Llama-style models from scratch, fork them, and keep the evidence of every checkpoint.

Why: regauge's statistics, confidence and trace are judged on checkpoints whose true gauge is known.  Two runs forked
from one base share coordinates (true gauge: identity), so any planted signed permutation is the truth; two runs from
different seeds share none.  Nothing is downloaded: the text is what the machine has (Python's standard library and
manual pages), so the numbers move a little from machine to machine; the seeds fix everything else.

Model: RMSNorm, RoPE (half-split), SwiGLU, tied embeddings, AdamW (0.9, 0.95), linear warm-up and cosine decay to a tenth.

A run is `<family>/<name>`, one `.npz` a checkpoint, `step00050.npz`, with
  embed [V, d]                     token rows
  act.<l> [1024, d]                residual stream after l layers on the same 1024 tokens (act.0 is the embedding's)
  gain.attn.<l>, gain.mlp.<l>, gain.final   [d]
  q|k|v|gate|up.<l> [rows, d], o|down.<l> [d, columns]    (float16; everything else float32)

usage: train.py OUT FAMILY...      families are listed in FAMILIES below
"""
import gzip
import os
import re
import sys
import time
import collections
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)

VOCAB, CONTEXT, BATCH, ROWS = 512, 64, 16, 1024

# family: width, layers, peak lr, steps, seed, [(fork step, run names)].  Run names end in the half of the text they see.
FAMILIES = {
    # The rate against the size of the initial weights (0.02 times `init`) decides how far coordinates drift.
    "m128": dict(d=128, layers=4, lr=2e-3, init=0.3, steps=1500, seed=0, forks=[(0, "ab"), (50, "ab"), (200, "ab")]),
    "s0": dict(d=64, layers=2, lr=5e-3, init=0.3, steps=1500, seed=10, forks=[(0, "ab"), (50, "ab"), (200, "ab")]),
    "s1": dict(d=64, layers=2, lr=1e-2, init=1.0, steps=1500, seed=11, forks=[(0, "ab"), (50, "ab"), (200, "ab")]),
    "s2": dict(d=64, layers=2, lr=3e-3, init=0.3, steps=1500, seed=12, forks=[(0, "ab"), (100, "ab"), (400, "ab")]),
    "h128": dict(d=128, layers=2, lr=4e-3, init=0.5, steps=1000, seed=2, forks=[(0, "ab"), (100, "ab")]),
    "x128": dict(d=128, layers=4, lr=2e-3, init=0.3, steps=1500, seed=1, forks=[(0, "a")]),
}


def saved_steps(last):
    return sorted({0, 10, *range(25, 501, 25), *range(550, last + 1, 50)})


# ---------------------------------------------------------------------------------------------- text and tokens

def corpus(limit=6_000_000):
    """Documents of plain text, in a fixed order."""
    documents = []
    for root in ("/usr/lib/python3.11", "/usr/lib/python3"):
        for path in sorted(Path(root).rglob("*.py"))[:4000]:
            documents.append(path.read_text("utf8", "ignore"))
    for path in sorted(Path("/usr/share/man").glob("man[1-8]/*.gz")):
        try:
            text = gzip.open(path, "rt", encoding="utf8", errors="ignore").read()
        except OSError:
            continue
        text = re.sub(r"\\f[A-Z]|\\&|^[.'].?(\\\"|[A-Za-z]{1,2}) ?", "", text, flags=re.M).replace("\\-", "-")
        documents.append(text)
    order = np.random.RandomState(7).permutation(len(documents))
    kept, size = [], 0
    for i in order:
        text = documents[i][:20000]
        if len(text) < 500:
            continue
        kept.append(text)
        size += len(text)
        if size > limit:
            break
    return kept


def train_bpe(text, vocab):
    """Byte pairs merged within words, most frequent first; ties by the pair itself."""
    words = collections.Counter(re.findall(r"\s?\w+|\s+|[^\w\s]+", text))
    words = {w: (list(w.encode()), c) for w, c in words.items()}
    merges = {}
    for token in range(256, vocab):
        pairs = collections.Counter()
        for symbols, count in words.values():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += count
        best = max(pairs.items(), key=lambda item: (item[1], item[0]))[0]
        merges[best] = token
        for symbols, _ in words.values():
            merge(symbols, best, token)
    return merges


def merge(symbols, pair, token):
    i = 0
    while i < len(symbols) - 1:
        if symbols[i] == pair[0] and symbols[i + 1] == pair[1]:
            symbols[i:i + 2] = [token]
        i += 1


def encode(text, merges, cache):
    out = []
    for word in re.findall(r"\s?\w+|\s+|[^\w\s]+", text):
        if word not in cache:
            symbols = list(word.encode())
            for pair, token in merges.items():
                if len(symbols) == 1:
                    break
                merge(symbols, pair, token)
            cache[word] = symbols
        out += cache[word]
    return out


def tokens(out):
    """Two halves of the text and a fixed evaluation batch, cached beside the data."""
    path = Path(out) / "tokens.npz"
    if not path.exists():
        documents = corpus()
        merges, cache = train_bpe("".join(documents[:60]), VOCAB), {}
        halves = ([], [])
        for i, text in enumerate(documents[60:]):
            halves[i % 2].extend(encode(text, merges, cache))
        evaluation = encode("".join(documents[:60]), merges, cache)
        np.savez(path, a=np.array(halves[0], np.int16), b=np.array(halves[1], np.int16), eval=np.array(evaluation, np.int16))
    data = np.load(path)
    return {name: torch.from_numpy(data[name].astype(np.int64)) for name in ("a", "b", "eval")}


# ---------------------------------------------------------------------------------------------- the model

class Model(torch.nn.Module):
    def __init__(self, d, layers, seed, init=1.0, heads=4):
        super().__init__()
        torch.manual_seed(seed)
        self.d, self.layers, self.heads = d, layers, heads
        hidden = int(d * 8 / 3) // 16 * 16
        shapes = {"embed": (VOCAB, d)}
        for l in range(layers):
            shapes |= {f"{n}.{l}": (d, d) for n in "qkvo"}
            shapes |= {f"gate.{l}": (hidden, d), f"up.{l}": (hidden, d), f"down.{l}": (d, hidden)}
        self.p = torch.nn.ParameterDict()
        for name, shape in shapes.items():
            scale = 0.02 / (2 * layers) ** 0.5 if name[0] == "o" or name.startswith("down") else 0.02
            self.p[name.replace(".", "_")] = torch.nn.Parameter(torch.randn(shape) * scale * init * (128 / d) ** 0.5)
        for l in range(layers):
            self.p[f"gain_attn_{l}"] = torch.nn.Parameter(torch.ones(d))
            self.p[f"gain_mlp_{l}"] = torch.nn.Parameter(torch.ones(d))
        self.p["gain_final"] = torch.nn.Parameter(torch.ones(d))
        h = d // heads
        angle = torch.arange(CONTEXT)[:, None] / 10000 ** (torch.arange(0, h, 2) / h)[None]
        self.cos, self.sin = torch.cos(angle), torch.sin(angle)

    def rope(self, x):
        a, b = x.chunk(2, -1)
        return torch.cat([a * self.cos - b * self.sin, b * self.cos + a * self.sin], -1)

    def forward(self, ids, keep=None):
        p, shape = self.p, (*ids.shape, self.heads, self.d // self.heads)
        norm = lambda x, g: F.rms_norm(x, (self.d,), g, 1e-5)
        x = p["embed"][ids]
        if keep is not None:
            keep.append(x)
        for l in range(self.layers):
            u = norm(x, p[f"gain_attn_{l}"])
            q, k, v = (F.linear(u, p[f"{n}_{l}"]).view(shape).transpose(1, 2) for n in "qkv")
            a = F.scaled_dot_product_attention(self.rope(q), self.rope(k), v, is_causal=True)
            x = x + F.linear(a.transpose(1, 2).reshape(x.shape), p[f"o_{l}"])
            u = norm(x, p[f"gain_mlp_{l}"])
            x = x + F.linear(F.silu(F.linear(u, p[f"gate_{l}"])) * F.linear(u, p[f"up_{l}"]), p[f"down_{l}"])
            if keep is not None:
                keep.append(x)
        return F.linear(norm(x, p["gain_final"]), p["embed"])


class Run:
    def __init__(self, family):
        self.model = Model(family["d"], family["layers"], family["seed"], family["init"])
        gains = [v for n, v in self.model.p.items() if n.startswith("gain")]
        rest = [v for n, v in self.model.p.items() if not n.startswith("gain")]
        self.opt = torch.optim.AdamW([dict(params=rest, weight_decay=0.1), dict(params=gains, weight_decay=0.0)],
                                     lr=family["lr"], betas=(0.9, 0.95), fused=True)
        self.family, self.step = family, 0

    def train_to(self, step, data, rng, out, evaluation):
        """Train on `data`, saving the steps of saved_steps on the way (the starting step is the base's own)."""
        keep = set(saved_steps(self.family["steps"]))
        loss = None
        while self.step < step:
            f = self.family
            t = self.step / f["steps"]
            rate = f["lr"] * min(1, (self.step + 1) / 50) * (0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * t)))
            for group in self.opt.param_groups:
                group["lr"] = rate
            start = torch.from_numpy(rng.randint(0, len(data) - CONTEXT - 1, BATCH))
            ids = data[start[:, None] + torch.arange(CONTEXT + 1)]
            loss = F.cross_entropy(self.model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
            self.opt.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.opt.step()
            self.step += 1
            if self.step in keep:
                self.save(out, evaluation)
        return loss.item() if loss is not None else float("nan")

    @torch.no_grad()
    def save(self, out, evaluation):
        out.mkdir(parents=True, exist_ok=True)
        activations = []
        self.model(evaluation[:ROWS].view(-1, CONTEXT), activations)
        arrays = {f"act.{l}": x.reshape(ROWS, -1).numpy() for l, x in enumerate(activations)}
        for name, value in self.model.p.items():
            small = not (name.startswith("gain") or name == "embed")
            arrays[name.replace("_", ".")] = value.numpy().astype(np.float16 if small else np.float32)
        np.savez(out / f"step{self.step:05d}.npz", **arrays)


def train_family(out, name, data):
    family, root = FAMILIES[name], Path(out) / name
    started = time.time()
    for fork, halves in family["forks"]:
        for half in halves:
            run = Run(family)
            both = torch.cat([data["a"], data["b"]])
            if fork == 0:
                run.save(root / "base", data["eval"])
            run.train_to(fork, both, np.random.RandomState(family["seed"]), root / "base", data["eval"])
            rng = np.random.RandomState(1000 * family["seed"] + 10 * fork + ord(half))
            loss = run.train_to(family["steps"], data[half], rng, root / f"fork{fork}{half}", data["eval"])
            print(f"{name}/fork{fork}{half}: loss {loss:.3f}, {time.time() - started:.0f} s", flush=True)


if __name__ == "__main__":
    out = sys.argv[1]
    Path(out).mkdir(parents=True, exist_ok=True)
    data = tokens(out)
    print({k: len(v) for k, v in data.items()}, flush=True)
    for name in sys.argv[2:]:
        train_family(out, name, data)
