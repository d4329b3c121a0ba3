"""Heads and neurons: a tiny llama scrambled in NumPy is found, undone, merged; gauges keep their hidden part."""

import copy
import json
import pickle

import numpy as np
import pytest

import regauge
from regauge import Gauge

D, LAYERS, NEURONS, HEADS, GROUPS, WIDTH, VOCABULARY = 32, 2, 24, 4, 2, 8, 96
EACH, PAIRS = HEADS // GROUPS, WIDTH // 2
CONFIG = dict(model_type="llama", hidden_size=D, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
              num_key_value_heads=GROUPS, head_dim=WIDTH, intermediate_size=NEURONS, vocab_size=VOCABULARY,
              rms_norm_eps=1e-6, tie_word_embeddings=False)  # fmt: skip


def model(seed):
    """Weights of a random llama, float64."""
    random = np.random.default_rng(seed)
    weights = {"model.embed_tokens.weight": random.normal(size=(VOCABULARY, D)),
               "model.norm.weight": 1 + 0.1 * random.normal(size=D),
               "lm_head.weight": 0.2 * random.normal(size=(VOCABULARY, D))}  # fmt: skip
    for l in range(LAYERS):
        at = f"model.layers.{l}."
        for name, shape in {"self_attn.q_proj": (HEADS * WIDTH, D), "self_attn.k_proj": (GROUPS * WIDTH, D),
                            "self_attn.v_proj": (GROUPS * WIDTH, D), "self_attn.o_proj": (D, HEADS * WIDTH),
                            "mlp.gate_proj": (NEURONS, D), "mlp.up_proj": (NEURONS, D), "mlp.down_proj": (D, NEURONS)}.items():  # fmt: skip
            weights[f"{at}{name}.weight"] = 0.3 * random.normal(size=shape)
        for name in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{at}{name}.weight"] = 1 + 0.1 * random.normal(size=D)
    return weights


def scrambled(weights, seed, places_only=False):
    """A copy in other coordinates, and what was done: perm, sign, and each layer's neurons, signs, heads, groups."""
    random = np.random.default_rng(seed)
    w = dict(weights)
    perm, sign = random.permutation(D), random.choice([-1, 1], D)
    layers = []
    for l in range(LAYERS):
        at = f"model.layers.{l}."
        neurons, neuron_sign = random.permutation(NEURONS), random.choice([-1, 1], NEURONS)
        scale = neuron_sign * (1 if places_only else random.uniform(0.5, 2, NEURONS))
        groups = random.permutation(GROUPS)
        heads = np.concatenate([group * EACH + random.permutation(EACH) for group in groups])
        turns, values = [], []
        for _ in range(GROUPS):
            z = np.ones(PAIRS) if places_only else random.uniform(0.5, 2, PAIRS) * np.exp(2j * np.pi * random.uniform(size=PAIRS))
            a, b = np.diag(z.real), np.diag(z.imag)
            turns.append(np.block([[a, -b], [b, a]]))
            values.append(np.eye(WIDTH) + (0 if places_only else 0.3 * random.normal(size=(WIDTH, WIDTH))))

        def rows(name, order, matrices, per):
            blocks = w[f"{at}self_attn.{name}.weight"].reshape(len(order), WIDTH, D)[order]
            moved = [matrices[h // per] @ block for h, block in enumerate(blocks)]
            w[f"{at}self_attn.{name}.weight"] = np.concatenate(moved)

        w[at + "mlp.gate_proj.weight"] = w[at + "mlp.gate_proj.weight"][neurons]
        w[at + "mlp.up_proj.weight"] = w[at + "mlp.up_proj.weight"][neurons] * scale[:, None]
        w[at + "mlp.down_proj.weight"] = w[at + "mlp.down_proj.weight"][:, neurons] / scale
        rows("k_proj", groups, turns, 1)
        rows("q_proj", heads, [np.linalg.inv(turn).T for turn in turns], EACH)
        rows("v_proj", groups, values, 1)
        out = w[at + "self_attn.o_proj.weight"].reshape(D, HEADS, WIDTH)[:, heads]
        undone = [out[:, h] @ np.linalg.inv(values[h // EACH]) for h in range(HEADS)]
        w[at + "self_attn.o_proj.weight"] = np.stack(undone, 1).reshape(D, -1)
        layers.append((neurons, neuron_sign, heads, groups))
    for name, value in w.items():
        if value.ndim == 1:
            w[name] = value[perm]
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            w[name] = value[perm] * sign[:, None]
        else:
            w[name] = value[:, perm] * sign
    return w, perm, sign, layers


def single(weights):
    return {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}


def checkpoint(weights):
    """A folder in memory."""
    return {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": single(weights)}


def tensors(file):
    """The tensors of a safetensors file of float32, by name."""
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:start])
    return {name: np.frombuffer(file[start:], np.float32)[slice(*(k // 4 for k in entry["data_offsets"]))].reshape(entry["shape"])
            for name, entry in header.items() if name != "__metadata__"}  # fmt: skip


def off(found, expected):
    """The largest error of any tensor, in units of its largest entry."""
    assert set(found) == set(expected)
    return max(np.abs(found[name] - expected[name]).max() / np.abs(expected[name]).max() for name in expected)


@pytest.fixture(scope="module")
def pair():
    source = model(1)
    return (source, *scrambled(source, 2))


@pytest.fixture(scope="module")
def found(pair):
    return regauge.align(checkpoint(pair[0]), checkpoint(pair[1]), hidden=True)


def test_the_scramble_is_found_with_its_places_and_signs(pair, found):
    _, _, perm, sign, layers = pair
    assert np.array_equal(found.perm, perm) and np.array_equal(found.sign, sign)
    hidden = found.hidden
    assert hidden.shape == dict(layers=LAYERS, neurons=NEURONS, heads=HEADS, kv_heads=GROUPS, head_dim=WIDTH, rope_pairs=PAIRS)
    assert np.array_equal(hidden.neurons, [layer[0] for layer in layers])
    assert np.array_equal(hidden.heads, [layer[2] for layer in layers])
    assert np.array_equal(hidden.kv_heads, [layer[3] for layer in layers])
    for one, (_, neuron_sign, _, _) in zip(hidden.layers, layers):
        assert np.array_equal(one.neuron_sign, neuron_sign)
        assert one.neuron_scale.shape == (NEURONS,) and one.turn.shape == (GROUPS, PAIRS)
        assert one.value.shape == (GROUPS, WIDTH, WIDTH) and one.free_keys is None
        assert one.neuron_scores.confidence.shape == (NEURONS,) and one.head_scores.score.shape == (HEADS,)
        assert not one.neurons.flags.writeable


def test_the_source_moved_is_the_scrambled_copy_and_the_inverse_undoes_it(pair, found, tmp_path):
    source, target = single(pair[0]), single(pair[1])
    moved = regauge.transport(checkpoint(pair[0]), found)
    assert "hidden axes move as well" in moved.plan.description
    assert off(tensors(moved.files["model.safetensors"]), target) < 1e-5
    back = regauge.transport(checkpoint(pair[1]), found.inverse())
    assert off(tensors(back.files["model.safetensors"]), source) < 1e-5
    residual = Gauge(found.perm, found.sign)
    assert off(tensors(regauge.transport(checkpoint(pair[0]), residual).files["model.safetensors"]), target) > 0.1


def test_the_report_says_how_much_of_the_target_the_source_explains(found):
    report = found.hidden.report
    assert report.explained > 0.999 and [layer.explained > 0.999 for layer in report.layers] == [True] * LAYERS
    assert report.neurons_sure == report.heads_sure == 1
    assert report.fingerprint == found.hidden.fingerprint
    assert report.identity_neurons.of == LAYERS * NEURONS and report.identity_neurons.log10_chance > -9
    alone = regauge.align(checkpoint(model(1)), checkpoint(model(9)), hidden=True)
    assert alone.verdict == "unrelated" and alone.hidden.report.explained < 0.5
    same = regauge.align(checkpoint(model(1)), checkpoint(model(1)), hidden=True)
    assert same.hidden.is_identity and same.hidden.report.identity_neurons.log10_chance < -50


def test_a_merge_of_the_two_is_either(pair, found):
    merged = regauge.merge(checkpoint(pair[1]), checkpoint(pair[0]), gauge=found)
    assert off(tensors(merged.files["model.safetensors"]), single(pair[1])) < 1e-5
    by_position = regauge.merge(checkpoint(pair[1]), checkpoint(pair[0]), gauge=Gauge(found.perm, found.sign))
    assert off(tensors(by_position.files["model.safetensors"]), single(pair[1])) > 0.1


def test_places_and_signs_alone_move_bytes():
    source = model(3)
    target, *_ = scrambled(source, 4, places_only=True)
    gauge = regauge.align(checkpoint(source), checkpoint(target), hidden=True)
    assert all(layer.neuron_scale is None and layer.turn is None and layer.value is None for layer in gauge.hidden.layers)
    moved = tensors(regauge.transport(checkpoint(source), gauge).files["model.safetensors"])
    expected = single(target)
    assert all(moved[name].tobytes() == expected[name].tobytes() for name in expected)
    layer = gauge.hidden.layers[1]
    x = np.random.default_rng(5).normal(size=(3, NEURONS)).astype(np.float32)
    y = regauge.transport(x, gauge, site="blocks.1.mlp.hook_post")
    assert np.array_equal(y, x[:, layer.neurons] * layer.neuron_sign)
    with pytest.raises(regauge.Error, match="no hidden part") as caught:
        regauge.transport(x, Gauge(gauge.perm, gauge.sign), site="blocks.1.mlp.hook_post")
    assert "(align(source, target, hidden=True)); leave out site to move it" in str(caught.value)
    z = np.random.default_rng(6).normal(size=(3, HEADS * WIDTH)).astype(np.float32)
    moved = regauge.transport(z, gauge, site="blocks.1.attn.hook_z")
    assert np.array_equal(moved.reshape(3, HEADS, WIDTH), z.reshape(3, HEADS, WIDTH)[:, layer.heads])


def test_objects_on_heads_whose_channels_the_gauge_mixes_are_refused(found):
    z = np.ones((3, HEADS * WIDTH), np.float32)
    with pytest.raises(regauge.Error, match="mixes channels within the heads of layer 0") as caught:
        regauge.transport(z, found, site="blocks.0.attn.hook_z")
    assert caught.value.code == "unsupported"


def test_files_texts_copies_and_pickles_keep_the_hidden_part(found, command, tmp_path):
    found.save(tmp_path / "gauge.json")
    read = Gauge.load(tmp_path / "gauge.json")
    assert read == found and read.hidden == found.hidden and read.hidden.report is None
    assert read.to_json() == found.to_json() == Gauge.from_json(found.to_dict()).to_json()
    shown = json.loads(command("show", tmp_path / "gauge.json", "--json").stdout)
    assert shown["hidden"]["fingerprint"] == found.hidden.fingerprint
    for same in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert same == found and same.hidden.report == found.hidden.report
    assert found != Gauge(found.perm, found.sign) and "heads and neurons" in repr(found)
    assert f">{found.hidden._words()}</td>" in found._repr_html_()
    for same in (copy.copy(found.hidden), copy.deepcopy(found.hidden), pickle.loads(pickle.dumps(found.hidden))):
        assert same == found.hidden and same.report == found.hidden.report
        assert np.array_equal(same.neurons, found.hidden.neurons)
    found.hidden.layers.clear()
    assert len(found.hidden.layers) == LAYERS
    assert repr(found.hidden) == f"<Hidden {found.hidden._words()}>"


def test_inverse_then_and_compare_act_on_both_parts(found):
    identity = found.then(found.inverse())
    assert identity.is_identity and identity.hidden.compare(found.hidden).neurons < 1
    assert np.array_equal(identity.hidden.neurons, np.tile(np.arange(NEURONS), (LAYERS, 1)))
    for one in identity.hidden.layers:
        assert np.abs(one.value - np.eye(WIDTH)).max() < 1e-5 and np.abs(one.turn - 1).max() < 1e-5
    agreement = regauge.compare(found, found)
    assert agreement == (1, 1, 1) and agreement.hidden == (1, 1, 1)
    with pytest.raises(regauge.Error, match="expected a Hidden.*found int"):
        found.hidden.compare(3)
    residual = Gauge(found.perm, found.sign)
    assert found.compare(residual).hidden is None
    with pytest.raises(regauge.Error, match="no hidden part") as caught:
        found.then(residual)
    assert caught.value.code == "usage"
    assert "all must have one (align(source, target, hidden=True)), or none" in str(caught.value)


def test_what_hidden_cannot_take_is_refused(pair):
    rows = np.random.default_rng(6).normal(size=(64, D)).astype(np.float32)
    with pytest.raises(regauge.Error):
        regauge.align(rows, rows, hidden=True)
    with pytest.raises(regauge.Error, match="hidden part's fingerprint"):
        gauge = regauge.align(checkpoint(pair[0]), checkpoint(pair[0]), hidden=True).to_dict()
        changed = json.loads(json.dumps(gauge))
        changed["hidden"]["layers"][0]["neuron_sign"][0] *= -1
        Gauge.from_json(changed)
