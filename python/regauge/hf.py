"""With Hugging Face: evidence from a transformers model, a moved vector added while it runs, an SAE moved in memory.

    import regauge.hf
    gauge = regauge.align(regauge.hf.evidence(a, tokenizer, texts), regauge.hf.evidence(b, tokenizer, texts))
    with regauge.hf.steering(b, gauge.apply(vector), site="resid.12"):
        b.generate(...)

Needs torch; evidence and steering take any transformers model whose layers are one list with a norm after it.
"""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any, Iterator, Mapping, Optional, Sequence

import numpy as np
import torch

from ._api import GaugeInput, _arrays_like, _gauge, transport
from ._arrays import is_array, is_torch, numbers, raw, tensor_of, whole_numbers
from ._error import refusal
from ._job import listed

__all__ = ["evidence", "move_sae", "steering"]

# Norms by role, as `regauge activations` names them. Where a block has norms after its parts (Gemma 2, OLMo 2),
# post_attention_layernorm is one of those; elsewhere it stands before the MLP.
_NORMS = {
    "input_layernorm": "attn",
    "ln_1": "attn",
    "post_attention_layernorm": "mlp",
    "ln_2": "mlp",
    "pre_feedforward_layernorm": "mlp",
    "post_feedforward_layernorm": "post_mlp",
}
_FINAL_NORMS = ("norm", "final_layernorm", "ln_f", "final_layer_norm")


def _decoder(model: Any) -> tuple[Any, Any, int]:
    """The list of layers, the norm after them, and d. Raises Error(unsupported): no such model."""
    advice = 'collect activations with hooks of your own and give them to align as {"resid.0": rows, ...}'
    if not isinstance(model, torch.nn.Module) or not hasattr(getattr(model, "config", None), "get_text_config"):
        raise refusal("unsupported", type(model).__name__, f"is no model of transformers; {advice}")
    config = model.config.get_text_config()
    for module in model.modules():
        for layers in module.children():
            if isinstance(layers, torch.nn.ModuleList) and len(layers) == config.num_hidden_layers:
                for name in _FINAL_NORMS:
                    if hasattr(module, name):
                        return layers, getattr(module, name), config.hidden_size
    raise refusal(
        "unsupported",
        type(model).__name__,
        f"has no list of {config.num_hidden_layers} layers with a norm after it; {advice}",
    )


def _gain(norm: Any, d: int) -> torch.Tensor:
    """What a norm multiplies with: an RMSNorm's is measured (Gemma stores the gain less one)."""
    if isinstance(norm, torch.nn.LayerNorm):
        return norm.weight.detach().float().cpu()
    ones = torch.ones(1, d, dtype=norm.weight.dtype, device=norm.weight.device)
    with torch.no_grad():
        return norm(ones)[0].float().cpu()


def _gains(layers: Any, final: Any, d: int) -> dict[str, torch.Tensor]:
    norms = {}
    for number, layer in enumerate(layers):
        after = hasattr(layer, "post_feedforward_layernorm")
        for name, role in _NORMS.items():
            if hasattr(layer, name):
                role = "post_attn" if after and name == "post_attention_layernorm" else role
                norms[f"{role}.{number}"] = getattr(layer, name)
    norms["final"] = final
    return {name: _gain(norm, d) for name, norm in norms.items() if getattr(norm, "weight", None) is not None}


def _place(site: str, layers: int) -> int:
    places = [f"resid.{place}" for place in range(layers + 1)]
    if site not in places:
        raise refusal("usage", "site", f"is {site!r}; this model has resid.0 (the embedding) to resid.{layers}")
    return places.index(site)


def _at_least_one(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise refusal("usage", where, f"is {value!r}; expected a whole number of at least 1")
    return int(value)


def _sequences(values: Any, where: str) -> list[np.ndarray]:
    """Whole numbers by sequence: [sequences, tokens], lists of different lengths, or one sequence alone."""
    if not is_array(values) and any(hasattr(one, "__len__") for one in values):
        rows = [whole_numbers(one, where) for one in values]
    else:
        whole = whole_numbers(values, where)
        rows = list(whole) if whole.ndim == 2 else [whole]
    if any(row.ndim != 1 for row in rows):
        raise refusal("shapeMismatch", where, "expected whole numbers [sequences, tokens]")
    return rows


def _padded(rows: Sequence[np.ndarray]) -> torch.Tensor:
    """[sequences, tokens], padded with 0 on the right: a causal model's real tokens do not see it."""
    padded = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for row, one in zip(padded, rows):
        row[: len(one)] = torch.from_numpy(one)
    return padded


def _items(texts: Any) -> Any:
    """Texts as a list; token ids in an array stay one. Raises Error(usage): neither, or none."""
    if is_array(texts):
        holds_texts = not is_torch(texts) and np.asarray(texts).dtype.kind in "OTU"
        return np.ravel(texts).tolist() if holds_texts else texts
    every = listed(texts, "texts")
    if not every:
        raise refusal("usage", "texts", "is empty")
    return every


def _tokens(tokenizer: Any, texts: Any, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and their mask, [sequences, tokens]. Raises Error: usage, malformed, shapeMismatch."""
    masks = None
    if isinstance(texts, Mapping):  # a tokenizer's answer
        if texts.get("input_ids") is None:
            raise refusal("usage", "texts", "has no input_ids; expected texts, token ids, or what a tokenizer answers")
        masks, texts = texts.get("attention_mask"), texts["input_ids"]
    given = _items(texts)
    if not is_array(given) and any(isinstance(one, str) for one in given):
        if not all(isinstance(one, str) for one in given):
            raise refusal("usage", "texts", "holds texts and what is none")
        if tokenizer is None:
            raise refusal("usage", "tokenizer", "texts need one; without it give token ids [sequences, tokens]")
        given = [one[:length] for one in tokenizer(given)["input_ids"]]
    rows = _sequences(given, "texts")
    if not any(map(len, rows)):
        raise refusal("usage", "texts", "hold no token")
    masked = [np.ones_like(row) for row in rows] if masks is None else _sequences(_items(masks), "attention_mask")
    if [len(row) for row in rows] != [len(row) for row in masked]:
        raise refusal("shapeMismatch", "attention_mask", "expected one number a token")
    return _padded(rows), _padded(masked)


def evidence(
    model: Any,
    tokenizer: Any = None,
    texts: Any = (),
    *,
    sites: Optional[Sequence[str]] = None,
    length: int = 128,
    batch: int = 4,
) -> dict[str, Any]:
    """Evidence of a transformers model, as align takes it: run it on the same texts with both models.

    texts: one text or several (each cut at ``length`` tokens); token ids [sequences, tokens], of different lengths too;
    or what a tokenizer answered (input_ids and attention_mask). batch: sequences at a time. sites: default, every place
    of the residual stream: "resid.0" is the embedding, "resid.l" what layer l - 1 puts out.

    The dict has activations by site [sequences, tokens, d] (float32), gains by norm [d], token_ids and attention_mask
    [sequences, tokens]. A few times d tokens are plenty. Raises Error: usage, malformed, shapeMismatch, unsupported.
    """
    layers, final, d = _decoder(model)
    names = [f"resid.{place}" for place in range(len(layers) + 1)] if sites is None else listed(sites, "sites")
    places = [_place(site, len(layers)) for site in names]
    batch = _at_least_one(batch, "batch")
    ids, mask = _tokens(tokenizer, texts, _at_least_one(length, "length"))
    vocabulary = model.get_input_embeddings().num_embeddings
    for token in (int(ids.min()), int(ids.max())):
        if not 0 <= token < vocabulary:
            raise refusal("usage", "texts", f"token {token} is beyond the model's vocabulary of {vocabulary}")
    rows = {place: torch.empty(*ids.shape, d) for place in places}
    first = 0

    def keep(place: int) -> Any:
        # The residual stream is what a layer reads: taken before it, it is the same whatever the layer returns.
        def hook(_: Any, arguments: Any, named: Any) -> None:
            x = arguments[0] if arguments else named["hidden_states"]
            rows[place][first : first + len(x)] = x.detach().float().cpu()

        return hook

    hooks = [
        (layers[place] if place < len(layers) else final).register_forward_pre_hook(keep(place), with_kwargs=True)
        for place in rows
    ]
    device = model.get_input_embeddings().weight.device
    training = [(module, module.training) for module in model.modules()]  # parts of it may be frozen
    model.eval()
    try:
        with torch.inference_mode():
            for first in range(0, len(ids), batch):
                part = slice(first, first + batch)
                model(input_ids=ids[part].to(device), attention_mask=mask[part].to(device), use_cache=False)
    finally:
        for module, was in training:
            module.training = was
        for hook in hooks:
            hook.remove()
    return {
        "activations": {name: rows[place] for name, place in zip(names, places)},
        "gains": _gains(layers, final, d),
        "token_ids": ids,
        "attention_mask": mask,
    }


def _vector(vector: Any) -> torch.Tensor:
    """A vector of any library, or a list of numbers, as a tensor. Raises Error: wrongDtype, malformed."""
    if is_torch(vector):
        return vector.detach()
    one = raw(vector if is_array(vector) else numbers(vector, "vector"), "vector")
    return tensor_of(one.array.copy(), one.dtype)


@contextlib.contextmanager
def steering(
    model: Any,
    vector: Any,
    site: str,
    *,
    strength: float = 1.0,
    gauge: Optional[GaugeInput] = None,
) -> Iterator[Any]:
    """While it is open, ``strength * vector`` is added to the residual stream of every token at ``site``.

    vector: [d]; with a gauge it is in source coordinates, and moved first. "resid.0" is the embedding, "resid.l" what
    layer l - 1 puts out (before the final norm for the last).
    """
    layers, final, d = _decoder(model)
    place = _place(site, len(layers))
    if gauge is not None:
        vector = _gauge(gauge).apply(vector)
    given = _vector(vector)
    added = strength * (given.float() if given.element_size() < 4 else given)
    if tuple(added.shape) != (d,):
        raise refusal("dimensionMismatch", "vector", f"has the shape {list(added.shape)}, and the model needs [{d}]")

    def add(_: Any, arguments: Any, named: Any) -> Any:
        if arguments:
            x, *rest = arguments
            return (x + added.to(x.device, x.dtype), *rest), named
        x = named["hidden_states"]
        return arguments, {**named, "hidden_states": x + added.to(x.device, x.dtype)}

    module = layers[place] if place < len(layers) else final
    hook = module.register_forward_pre_hook(add, with_kwargs=True)
    try:
        yield model
    finally:
        hook.remove()


def move_sae(sae: Any, gauge: GaugeInput, *, force: bool = False) -> Any:
    """An SAELens SAE (or transcoder) of the source's residual stream in the target's coordinates; the original is not
    changed.

    sae: what ``SAE.from_pretrained`` or ``SAE.load_from_disk`` gives, or its state dict. It is moved as its files would
    be. force: with a gauge whose verdict is "unrelated".
    Raises Error: unknownTensor, unsupported, dimensionMismatch, unrelated, undeterminedSign.
    """
    state = dict(sae) if isinstance(sae, Mapping) else dict(sae.state_dict()) if hasattr(sae, "state_dict") else {}
    if any(len(getattr(state.get(name), "shape", ())) != 2 for name in ("W_enc", "W_dec")):
        raise refusal("unsupported", type(sae).__name__, "has no matrices W_enc and W_dec; expected an SAE of SAELens")
    d, latents = state["W_enc"].shape
    config = {"d_in": d, "d_sae": latents}
    if not isinstance(sae, Mapping):
        config = {**sae.cfg.to_dict(), **config}
    weights = "sae_weights.safetensors"
    files = {"cfg.json": json.dumps(config, default=str).encode(), weights: state}
    moved = _arrays_like(state, transport(files, gauge, kind="saelens", force=force).files[weights])
    if isinstance(sae, Mapping):
        return moved
    result = copy.deepcopy(sae)
    result.load_state_dict(moved)
    return result
