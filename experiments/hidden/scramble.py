"""Planted gauges of a Llama's weights, in NumPy: residual stream, neurons, heads, RoPE turns and value/output matrices."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Sizes:
    d: int
    layers: int
    neurons: int
    heads: int
    groups: int
    width: int  # of a head


@dataclasses.dataclass(frozen=True)
class Layer:
    neurons: np.ndarray
    scale: np.ndarray  # of up, and down divided by it
    kv_heads: np.ndarray
    heads: np.ndarray
    turns: np.ndarray  # [groups, width, width] on keys, the inverse transposed on queries
    values: np.ndarray  # [groups, width, width] on values, the inverse after them


@dataclasses.dataclass(frozen=True)
class Planted:
    perm: np.ndarray
    sign: np.ndarray
    layers: list


def scrambled(sizes, rng, everything):
    """A random gauge, and the same one without its hidden part; without `everything`, order alone and no signs."""
    d, half = sizes.d, sizes.width // 2
    perm = rng.permutation(d)
    sign = rng.choice([-1, 1], d) if everything else np.ones(d, int)
    layers, none = [], []
    eye = np.broadcast_to(np.eye(sizes.width), (sizes.groups, sizes.width, sizes.width))
    for _ in range(sizes.layers):
        kv = rng.permutation(sizes.groups)
        each = sizes.heads // sizes.groups
        heads = np.concatenate([g * each + rng.permutation(each) for g in kv])
        neurons, scale, turns, values = rng.permutation(sizes.neurons), np.ones(sizes.neurons), eye, eye
        if everything:
            scale = rng.choice([-1, 1], sizes.neurons) * rng.uniform(0.5, 2, sizes.neurons)
            z = rng.uniform(0.5, 2, (sizes.groups, half)) * np.exp(2j * np.pi * rng.uniform(size=(sizes.groups, half)))
            turns = np.stack([np.block([[np.diag(w.real), -np.diag(w.imag)], [np.diag(w.imag), np.diag(w.real)]]) for w in z])
            values = eye + 0.3 * rng.normal(size=eye.shape)
        layers.append(Layer(neurons, scale, kv, heads, turns, values))
        none.append(
            Layer(np.arange(sizes.neurons), np.ones(sizes.neurons), np.arange(sizes.groups), np.arange(sizes.heads), eye, eye)
        )
    return Planted(perm, sign, layers), Planted(perm, sign, none)


def moved(sizes, weights, planted):
    """The weights in the planted gauge's coordinates; the function stays."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    each = sizes.heads // sizes.groups

    def rows(value, order, matrices, per):
        blocks = value.reshape(len(order), sizes.width, -1)[order]
        return np.concatenate([matrices[h // per] @ blocks[h] for h in range(len(order))])

    for l, layer in enumerate(planted.layers):
        at = f"model.layers.{l}."
        q, k, v, o = (f"{at}self_attn.{x}_proj.weight" for x in "qkvo")
        w[k] = rows(w[k], layer.kv_heads, layer.turns, 1)
        w[q] = rows(w[q], layer.heads, np.linalg.inv(layer.turns).transpose(0, 2, 1), each)
        w[v] = rows(w[v], layer.kv_heads, layer.values, 1)
        w[o] = rows(w[o].T, layer.heads, np.linalg.inv(layer.values).transpose(0, 2, 1), each).T
        gate, up, down = (f"{at}mlp.{x}_proj.weight" for x in ("gate", "up", "down"))
        w[gate] = w[gate][layer.neurons]
        w[up] = w[up][layer.neurons] * layer.scale[:, None]
        w[down] = w[down][:, layer.neurons] / layer.scale
    for name, value in w.items():
        if value.ndim == 1:
            w[name] = value[planted.perm]
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            w[name] = value[planted.perm] * planted.sign[:, None]
        else:
            w[name] = value[:, planted.perm] * planted.sign
    return w
