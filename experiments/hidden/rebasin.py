"""Weight matching of Git Re-Basin (arXiv 2209.04836, algorithm 1), our own reading of the paper: coordinate descent over
permutations of the residual stream, of each layer's neurons, of its key-value heads and of the query heads of each. It has
no signs, scales or turns."""

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment

from scramble import Layer, Planted, moved


def best(score):
    return linear_sum_assignment(score, maximize=True)[1]


def heads_of(sizes, target, source, at):
    """Key-value heads and query heads: the best order within every pair of groups, and then of groups."""
    each, width = sizes.heads // sizes.groups, sizes.width

    def products(name, count):
        a, b = (v[f"{at}self_attn.{name}_proj.weight"] for v in (target, source))
        if name == "o":
            a, b = a.T, b.T
        return a.reshape(count, -1) @ b.reshape(count, -1).T

    score = products("k", sizes.groups) + products("v", sizes.groups)
    inner = (products("q", sizes.heads) + products("o", sizes.heads)).reshape(sizes.groups, each, sizes.groups, each)
    within = {}
    for g in range(sizes.groups):
        for h in range(sizes.groups):
            within[g, h] = best(inner[g, :, h])
            score[g, h] += inner[g, np.arange(each), h, within[g, h]].sum()
    kv = best(score)
    return kv, np.concatenate([h * each + within[g, h] for g, h in enumerate(kv)])


def weight_matching(sizes, target, source):
    """The source's weights with their units in the order that gives the largest sum of products with the target's."""
    eye = np.broadcast_to(np.eye(sizes.width), (sizes.groups, sizes.width, sizes.width))

    def layer(neurons, kv, heads):
        return Layer(neurons, np.ones(sizes.neurons), kv, heads, eye, eye)

    unmoved = layer(np.arange(sizes.neurons), np.arange(sizes.groups), np.arange(sizes.heads))
    now = Planted(np.arange(sizes.d), np.ones(sizes.d, int), [unmoved] * sizes.layers)
    last = -np.inf
    while True:
        w = moved(sizes, source, dataclasses.replace(now, perm=np.arange(sizes.d)))
        score = np.zeros((sizes.d, sizes.d))
        for name, value in w.items():
            a = target[name].astype(np.float64)
            if value.ndim == 1:
                score += np.outer(a, value)
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                score += a @ value.T
            else:
                score += a.T @ value
        now = dataclasses.replace(now, perm=best(score))
        w = moved(sizes, source, dataclasses.replace(now, layers=[unmoved] * sizes.layers))
        layers = []
        for l in range(sizes.layers):
            at = f"model.layers.{l}."
            a, b = ({x: v[f"{at}mlp.{x}_proj.weight"] for x in ("gate", "up", "down")} for v in (target, w))
            neurons = best(a["gate"] @ b["gate"].T + a["up"] @ b["up"].T + a["down"].T @ b["down"])
            layers.append(layer(neurons, *heads_of(sizes, target, w, at)))
        now = dataclasses.replace(now, layers=layers)
        result = moved(sizes, source, now)
        reached = sum((target[name] * value).sum() for name, value in result.items())
        if reached <= last * (1 + 1e-9):
            return result
        last = reached
