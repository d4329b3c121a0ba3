"""Small Llamas (transformers) that learn the tales, their residual streams, vectors and SAEs, in torch."""

import json
import math
import string

import torch
import transformers
from safetensors.torch import load_file, save_file

import tales

CONTEXT, LAYERS = 64, 2
STEPS, BATCH, WARMUP, RATE = 1500, 12, 50, 5e-3
PROPERTIES = ("capital", "genre", "sentiment", "refusal")
VECTOR_PLACE, SAE_PLACE = LAYERS, 1  # resid.2 and resid.1, as in ../objects.hpp
SAE_STEPS, SAE_WINDOWS, SAE_KEPT = 1500, 512, 16


def tokens(texts):
    return torch.tensor([list(text.encode()) for text in texts])


def windows(stream, count, length=CONTEXT):
    return tokens([tales.window(f"{stream}/{k}", length) for k in range(count)])


def made(path, make):
    """What is there stays: an interrupted run goes on where it was."""
    if not path.exists():
        part = path.with_name("part." + path.name)
        make(part)
        part.rename(path)
    return path


def loss_of(model, batch):
    """Nats a token; of the last one nothing is predicted."""
    logits = model(batch[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def learn(model, batch_at, steps, rate):
    """AdamW, cosine to a tenth, on the batch of each step; the last one's loss."""
    gains = [value for name, value in model.named_parameters() if "norm" in name]
    matrices = [value for name, value in model.named_parameters() if "norm" not in name]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95))
    for step in range(steps):
        shape = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / WARMUP) * shape
        loss = loss_of(model, batch_at(step))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return loss.item()


def train(width, seed, folder):
    """Text and weights depend on width and seed."""
    torch.manual_seed(1000 * width + seed)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=256, hidden_size=width, intermediate_size=width * 5 // 2, num_hidden_layers=LAYERS,
            num_attention_heads=width // 16, max_position_embeddings=CONTEXT, tie_word_embeddings=True,
            bos_token_id=None, eos_token_id=None, pad_token_id=None,
        )
    )  # fmt: skip
    loss = learn(model, lambda step: windows(f"{width}/{seed}/{step}", BATCH, CONTEXT + 1), STEPS, RATE)
    model.save_pretrained(folder)
    print(f"d = {width}, seed {seed}: loss {loss:.3f}", flush=True)


def load(folder):
    return transformers.LlamaForCausalLM.from_pretrained(folder).eval()


@torch.no_grad()
def residuals(model, ids):
    """Place 0 is the embedding, place l what layer l - 1 put out, before the final norm; [sequences, tokens, d] each."""
    places = [None] * (LAYERS + 1)

    def keep(place):
        def hook(_, __, output):
            places[place] = output[0] if isinstance(output, tuple) else output

        return hook

    modules = [model.model.embed_tokens, *model.model.layers]
    hooks = [module.register_forward_hook(keep(place)) for place, module in enumerate(modules)]
    model(ids)
    for hook in hooks:
        hook.remove()
    return places


def evidence(model, file):
    ids = windows("evidence", 64)  # 4096 rows, the same for every model
    rows = {f"activations/resid.{k}": x.flatten(0, 1).contiguous() for k, x in enumerate(residuals(model, ids))}
    save_file(rows | {"token_ids": ids}, file)


def rows_at(model, place, stream, count):
    return torch.cat([residuals(model, ids)[place].flatten(0, 1) for ids in windows(stream, count).split(16)])


def padded(prompts):
    """Filled up with spaces, which causal attention keeps from what comes before; and where each one ends."""
    longest = max(map(len, prompts))
    return tokens([text.ljust(longest) for text in prompts]), torch.tensor([len(text) - 1 for text in prompts])


@torch.no_grad()
def last_logits(model, prompts, vector=None):
    """At the last byte of each prompt, with the vector added there to the last residual place."""
    ids, ends = padded(prompts)
    rows = torch.arange(len(prompts))

    def add(_, __, output):
        stream = output[0] if isinstance(output, tuple) else output
        stream[rows, ends] += vector

    hook = model.model.layers[VECTOR_PLACE - 1].register_forward_hook(add) if vector is not None else None
    logits = model(ids).logits[rows, ends]
    if hook:
        hook.remove()
    return logits


def mean_at_end(model, prompts):
    ids, ends = padded(prompts)
    return residuals(model, ids)[VECTOR_PLACE][torch.arange(len(prompts)), ends].mean(0)


def prompts(what, test):
    """Prompts of both sides of a property, to make its vector of or to test it with; and the letters that tell them."""
    draw = "test" if test else "v"
    if what == "sentiment":
        sides = (tales.reviews(mood, 96, f"{draw}{mark}") for mood, mark in ((tales.POSITIVE, "+"), (tales.NEGATIVE, "-")))
        return *sides, "g", "b"
    if what == "refusal":
        return tales.requests(True, not test), tales.requests(False, not test), "I", "S"
    if what == "genre":  # a request or a review
        asked = tales.requests(True, not test) + tales.requests(False, not test)
        return asked, [text for mood in range(3) for text in tales.reviews(mood, 32, f"{draw}{mood}")], "IS", "gb"
    upper, lower = tales.after_spaces(True, 96, f"{draw}upper"), tales.after_spaces(False, 96, f"{draw}lower")
    return upper, lower, string.ascii_uppercase, string.ascii_lowercase


def vector_of(model, what):
    """Difference of means at the last byte of the prompts."""
    yes, no, _, _ = prompts(what, False)
    return mean_at_end(model, yes) - mean_at_end(model, no)


def odds(model, texts, yes, no, vector=None):
    """Log-odds of one set of bytes over another at the end of each text."""
    logits = last_logits(model, texts, vector)
    return torch.logsumexp(logits[:, list(yes.encode())], -1) - torch.logsumexp(logits[:, list(no.encode())], -1)


def known(model, what):
    """The share of test prompts of both sides whose side the model itself tells by its odds, the sides in equal parts."""
    one, other, yes, no = prompts(what, True)
    right = [(odds(model, one, yes, no) > 0), (odds(model, other, yes, no) < 0)]
    return sum(side.float().mean().item() for side in right) / 2


def effect_of(model, what, vector):
    """Half of what the sign of half the vector changes in log-odds: on reviews without a clue, or on both sides."""
    one, other, yes, no = prompts(what, True)
    texts = tales.reviews(tales.NEUTRAL, 128, "neutral") if what == "sentiment" else one + other
    return ((odds(model, texts, yes, no, vector / 2) - odds(model, texts, yes, no, -vector / 2)) / 2).mean().item()


def turned(model, vector):
    """The share of harmless requests of unseen kinds that begin to be refused with the whole vector added."""
    return (last_logits(model, tales.requests(False, False), vector).argmax(-1) == ord("I")).float().mean().item()


def reconstruct(sae, x):
    latents = torch.relu((x - sae["b_dec"]) @ sae["W_enc"] + sae["b_enc"])
    values, places = latents.topk(SAE_KEPT, -1)
    return torch.zeros_like(latents).scatter(-1, places, values) @ sae["W_dec"] + sae["b_dec"]


def nmse(folder, x):
    """sum |x - SAE(x)|^2 / sum |x - mean|^2."""
    sae = load_file(folder / "sae_weights.safetensors")
    return ((x - reconstruct(sae, x)).pow(2).sum() / (x - x.mean(0)).pow(2).sum()).item()


def train_sae(rows, seed, folder):
    """Top-k, four latents a channel, decoder rows of unit length; SAELens' layout."""
    torch.manual_seed(seed)
    size = rows.var(0).sum().sqrt()
    x = rows / size
    decoder = torch.nn.functional.normalize(torch.randn(4 * x.shape[1], x.shape[1]), dim=-1)
    sae = {"W_enc": decoder.T.clone(), "W_dec": decoder, "b_enc": torch.zeros(len(decoder)), "b_dec": x.mean(0)}
    for value in sae.values():
        value.requires_grad_()
    optimizer = torch.optim.Adam(sae.values(), lr=2e-3)
    for step in range(SAE_STEPS):
        if step == SAE_STEPS * 2 // 3:
            optimizer.param_groups[0]["lr"] = 4e-4
        batch = x[torch.randint(len(x), (512,))]
        loss = (batch - reconstruct(sae, batch)).pow(2).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            sae["W_dec"] /= sae["W_dec"].norm(dim=-1, keepdim=True)
    sae = {name: value.detach() * (size if name.startswith("b_") else 1) for name, value in sae.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in sae.items()}, folder / "sae_weights.safetensors")
    config = {
        "architecture": "topk", "d_in": x.shape[1], "d_sae": len(decoder), "k": SAE_KEPT, "dtype": "float32",
        "device": "cpu", "apply_b_dec_to_input": True, "normalize_activations": "none",
        "metadata": {"hook_name": f"blocks.{SAE_PLACE - 1}.hook_resid_post"},
    }  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(config, indent=1) + "\n")
