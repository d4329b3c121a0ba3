// Heads and neurons: a tiny llama scrambled here is found and undone; gauges keep their hidden part, bit for bit as the native command has it.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { align, compare, compose, Gauge, invert, merge, transport } from "regauge";

import { randomGauge, randomNumbers, runCommand, runNative, temporaryFolder, withoutNative } from "./helpers.mjs";
import { safetensors } from "./safetensors.mjs";

const [d, layers, neurons, heads, groups, width, vocabulary] = [32, 2, 24, 4, 2, 8, 96];
const config = {
    model_type: "llama",
    hidden_size: d,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: groups,
    head_dim: width,
    intermediate_size: neurons,
    vocab_size: vocabulary,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
};

/** Weights of a random llama by name: { shape, data }. */
function model(seed) {
    const next = randomNumbers(seed);
    const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    const weights = {};
    const add = (name, shape, scale, centre = 0) => {
        const count = shape.reduce((product, length) => product * length);
        weights[name] = { shape, data: Float32Array.from({ length: count }, () => centre + scale * normal()) };
    };
    add("model.embed_tokens.weight", [vocabulary, d], 1);
    add("model.norm.weight", [d], 0.1, 1);
    add("lm_head.weight", [vocabulary, d], 0.2);
    for (let l = 0; l < layers; ++l) {
        const at = `model.layers.${l}.`;
        for (const [name, out] of [
            ["q", heads * width],
            ["k", groups * width],
            ["v", groups * width],
        ])
            add(`${at}self_attn.${name}_proj.weight`, [out, d], 0.3);
        add(`${at}self_attn.o_proj.weight`, [d, heads * width], 0.3);
        for (const name of ["gate", "up"]) add(`${at}mlp.${name}_proj.weight`, [neurons, d], 0.3);
        add(`${at}mlp.down_proj.weight`, [d, neurons], 0.3);
        for (const name of ["input_layernorm", "post_attention_layernorm"]) add(`${at}${name}.weight`, [d], 0.1, 1);
    }
    return weights;
}

/** out[i, j] = scale(i, j) * in[row(i), column(j)] of a matrix. */
function gathered({ shape, data }, row, column, scale) {
    const [n, m] = shape;
    const out = new Float32Array(n * m);
    for (let i = 0; i < n; ++i) for (let j = 0; j < m; ++j) out[i * m + j] = scale(i, j) * data[row(i) * m + column(j)];
    return { shape, data: out };
}

// What was done to neurons and heads of every layer: every fifth neuron has the other sign, every third is doubled.
const neuronOrder = Array.from({ length: neurons }, (_, i) => (7 * i + 3) % neurons);
const neuronScale = Array.from({ length: neurons }, (_, i) => (i % 5 === 0 ? -1 : 1) * (i % 3 === 0 ? 2 : 1));
const headOrder = [3, 2, 0, 1],
    groupOrder = [1, 0];

/** The same function in other coordinates. */
function scrambled(weights, gauge) {
    const same = (i) => i,
        one = () => 1;
    const whole = (order) => (i) => order[Math.floor(i / width)] * width + (i % width);
    const places = {
        q_proj: [0, whole(headOrder), one],
        k_proj: [0, whole(groupOrder), one],
        v_proj: [0, whole(groupOrder), one],
        o_proj: [1, whole(headOrder), one],
        gate_proj: [0, (i) => neuronOrder[i], one],
        up_proj: [0, (i) => neuronOrder[i], (i) => neuronScale[i]],
        down_proj: [1, (i) => neuronOrder[i], (i) => 1 / neuronScale[i]],
    };
    return Object.fromEntries(
        Object.entries(weights).map(([name, weight]) => {
            if (weight.shape.length === 1)
                return [name, { ...weight, data: Float32Array.from(gauge.perm, (from) => weight.data[from]) }];
            const [axis, place, scale] = places[name.split(".").at(-2)] ?? [0, same, one];
            const stream = (i) => gauge.perm[i];
            return [
                name,
                axis === 1
                    ? gathered(weight, stream, place, (i, j) => gauge.sign[i] * scale(j))
                    : gathered(weight, place, stream, (i, j) => gauge.sign[j] * scale(i)),
            ];
        }),
    );
}

const checkpoint = (weights) => ({
    "config.json": new Blob([JSON.stringify(config)]),
    "model.safetensors": new Blob([safetensors(weights)]),
});

/** The largest error of a moved checkpoint's tensors, in units of each one's largest entry. */
async function off(files, expected) {
    const { blob } = files.find(({ name }) => name === "model.safetensors");
    const bytes = Buffer.from(await blob.arrayBuffer());
    const start = 8 + Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, start).toString());
    let worst = 0;
    for (const [name, { data }] of Object.entries(expected)) {
        const [begin, end] = header[name].data_offsets;
        const found = new Float32Array(Uint8Array.from(bytes.subarray(start + begin, start + end)).buffer);
        const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        data.forEach((value, k) => (worst = Math.max(worst, Math.abs(found[k] - value) / largest)));
    }
    return worst;
}

const residual = randomGauge(d, randomNumbers(5));
const source = model(1),
    target = scrambled(source, residual);
let aligned;
const found = () => (aligned ??= align(checkpoint(source), checkpoint(target), { hidden: true }));

test("the scramble is found, with its places, signs and scales", async () => {
    const gauge = await found();
    assert.deepEqual([gauge.perm, gauge.sign], [residual.perm, residual.sign]);
    assert.deepEqual(gauge.hidden.shape, {
        layers,
        neurons,
        heads,
        kvHeads: groups,
        headDim: width,
        ropePairs: width / 2,
    });
    for (const layer of gauge.hidden.layers) {
        assert.deepEqual([...layer.neurons], neuronOrder);
        assert.deepEqual([...layer.heads], headOrder);
        assert.deepEqual([...layer.kvHeads], groupOrder);
        layer.neuronScale.forEach((scale, i) =>
            assert(Math.abs(layer.neuronSign[i] * scale - neuronScale[i]) < 1e-5, `${i}`),
        );
        assert.deepEqual([layer.turn.length, layer.freeKeys.length, layer.value.length], [0, 0, 0]);
        assert.equal(layer.neuronScores.confidence.length, neurons);
    }
});

test("the source moved is the scrambled copy, the inverse undoes it, and a dry run says so", async () => {
    const gauge = await found();
    assert((await off((await transport(checkpoint(source), gauge)).files, target)) < 1e-5);
    assert((await off((await transport(checkpoint(target), gauge.inverse())).files, source)) < 1e-5);
    const alone = new Gauge(gauge.perm, gauge.sign);
    assert((await off((await transport(checkpoint(source), alone)).files, target)) > 0.1);
    const { plan, files } = await transport(checkpoint(source), gauge, { dryRun: true });
    assert.deepEqual(files, []);
    assert.match(plan.description, /hidden axes move as well/);
    const up = plan.tensors.find(({ name }) => name === "model.layers.1.mlp.up_proj.weight");
    assert.match(up.why, /neurons of layer 1/);
});

test("the report says how much of the target the source explains, and what chance would give", async () => {
    const { hidden } = await found();
    assert(hidden.report.explained > 0.999);
    assert.deepEqual([hidden.report.neurons_sure, hidden.report.heads_sure], [1, 1]);
    assert.equal(hidden.report.fingerprint, hidden.fingerprint);
    assert.equal(hidden.report.layers.length, layers);
    const same = await align(checkpoint(source), checkpoint(source), { hidden: true });
    assert(same.hidden.isIdentity && same.hidden.report.identity_neurons.log10_chance < -50);
});

test("the merge of scrambled copies is either of them", async () => {
    const gauge = await found();
    const merged = await merge(checkpoint(target), checkpoint(source), { gauge });
    assert((await off(merged.files, target)) < 1e-5);
});

test("an array on neurons moves with them where its site is said, and a gauge without neurons refuses", async () => {
    const exact = Object.fromEntries(Object.entries(source));
    const gauge = (await align(checkpoint(exact), checkpoint(exact), { hidden: true })).andThen(
        Gauge.from({ ...Gauge.identity(d).toJSON(), hidden: placesAlone() }),
    );
    const x = Float32Array.from({ length: neurons }, (_, k) => k + 1);
    const site = "blocks.1.mlp.hook_post";
    const { files } = await transport(x, gauge, { site, kind: "vector" });
    const bytes = Uint8Array.from(Buffer.from(await files[0].blob.arrayBuffer()).subarray(-4 * neurons));
    assert.deepEqual(
        [...new Float32Array(bytes.buffer)],
        neuronOrder.map((from, i) => Math.sign(neuronScale[i]) * x[from]),
    );
    await assert.rejects(transport(x, Gauge.identity(neurons), { site, kind: "vector" }), (error) => {
        assert.equal(error.code, "usage");
        assert.match(error.message, /\(align\(source, target, \{ hidden: true \}\)\); leave out option site to/);
        return true;
    });
});

/** A hidden part of places and signs, as a file has it. */
function placesAlone() {
    const layer = {
        neurons: neuronOrder,
        neuron_sign: neuronScale.map(Math.sign),
        kv_heads: groupOrder,
        heads: headOrder,
    };
    return { version: 1, head_dim: width, rope_pairs: width / 2, layers: [layer, layer] };
}

/** With every freedom there is: scales, turns, matrices of the keys that are not turned, matrices of values. */
function everything(seed) {
    const next = randomNumbers(seed);
    const list = (count, at) => Array.from({ length: count }, (_, k) => Math.fround(at(k)));
    const matrices = (n) =>
        list(groups * n * n, (k) => ((k % (n * n)) % (n + 1) === 0 ? 1 + next() : 0.4 * (next() - 0.5)));
    const layer = () => ({
        ...placesAlone().layers[0],
        neuron_scale: list(neurons, () => 0.5 + next()),
        turn: list(groups * 3 * 2, () => next() - 0.5),
        free_keys: matrices(2),
        value: matrices(width),
        confidence: { neurons: Array(neurons).fill(0.75), heads: Array(heads).fill(0.5) },
    });
    return { version: 1, head_dim: width, rope_pairs: 3, layers: [layer(), layer()] };
}

test("inverses and compositions are the native command's, to the bit", { skip: withoutNative }, async (t) => {
    const folder = temporaryFolder(t);
    const path = (name) => join(folder, `${name}.json`);
    const gauges = [11, 12].map((seed) =>
        Gauge.from({ ...randomGauge(d, randomNumbers(seed)).toJSON(), hidden: everything(seed) }),
    );
    gauges.forEach((gauge, k) => writeFileSync(path(k), JSON.stringify(gauge)));
    for (const args of [
        ["invert", path(0), "-o", path("inverse")],
        ["compose", path(0), path(1), "-o", path("both")],
    ])
        assert.equal((await runNative(args)).status, 0);
    const read = (name) => Gauge.from(readFileSync(path(name), "utf8"));
    assert.deepEqual(read("inverse").toJSON().hidden, invert(gauges[0]).toJSON().hidden);
    assert.deepEqual(read("both").toJSON().hidden, compose(...gauges).toJSON().hidden);
    assert.equal(read("both").hidden.fingerprint, compose(...gauges).hidden.fingerprint);
    const shown = JSON.parse((await runNative(["show", path(0), "--json"])).out);
    assert.equal(shown.hidden.fingerprint, gauges[0].hidden.fingerprint);
});

test("compare says how heads and neurons agree, and half a hidden composition is refused", () => {
    const with_ = Gauge.from({ ...Gauge.identity(d).toJSON(), hidden: placesAlone() }),
        without = Gauge.identity(d);
    assert.deepEqual(compare(with_, with_).hidden, { neurons: 1, heads: 1, kvHeads: 1 });
    assert.equal(compare(with_, without).hidden, undefined);
    assert.equal(compare(with_, with_.inverse()).hidden.kvHeads, 1);
    assert.throws(() => with_.andThen(without), { code: "usage" });
    assert(with_.andThen(with_.inverse()).hidden.isIdentity);
    assert.equal(without.hidden, undefined);
    assert(!("hidden" in without.toJSON()));
});

test("compare and identity say of two gauges what the command says", async (t) => {
    const folder = temporaryFolder(t);
    const still = (part) => ({
        ...part,
        layers: part.layers.map(() => ({
            neurons: [...neuronOrder.keys()],
            kv_heads: [0, 1],
            heads: [0, 1, 2, 3],
        })),
    });
    const half = placesAlone();
    half.layers = [half.layers[0], still(half).layers[0]];
    const parts = [everything(21), placesAlone(), half, still(placesAlone())];
    const gauges = parts.map((hidden, k) =>
        Gauge.from({ ...randomGauge(d, randomNumbers(k)).toJSON(), hidden: { ...hidden, rope_pairs: 3 } }),
    );
    const paths = gauges.map((gauge, k) => {
        const path = join(folder, `${k}.json`);
        writeFileSync(path, JSON.stringify(gauge));
        return path;
    });
    for (const [a, gauge] of gauges.entries()) {
        const shown = JSON.parse((await runCommand(["show", paths[a], "--json"])).out).hidden;
        assert.equal(gauge.hidden.isIdentity, shown.identity);
        assert.equal(gauge.hidden.isIdentity, a === 3);
        const b = (a + 1) % gauges.length;
        const { kv_heads: kvHeads, ...rest } = JSON.parse(
            (await runCommand(["compare", paths[a], paths[b], "--json"])).out,
        ).hidden;
        assert.deepEqual(compare(gauge, gauges[b]).hidden, { ...rest, kvHeads });
    }
    const { neurons: same, kvHeads } = compare(gauges[1], gauges[2]).hidden;
    assert(same >= 0.5 && same < 1 && kvHeads === 0.5);
});

test("a hidden part that cannot be is refused with what is wrong in it, in the command's words", async (t) => {
    const path = join(temporaryFolder(t), "gauge.json");
    const stream = Gauge.identity(d).toJSON();
    for (const [change, code, message] of [
        [
            (layer) => (layer.neurons[0] = layer.neurons[1]),
            "invalidGauge",
            /hidden layer 1: "neurons" is no permutation/,
        ],
        [(layer) => (layer.neurons[0] = neurons), "malformed", /"neurons" holds/],
        [(layer) => (layer.neurons[0] = 0.5), "malformed", /"neurons" holds .* from 0 to 23/],
        [(layer) => layer.neurons.pop(), "invalidGauge", /hidden layer 1: "neurons" is no permutation/],
        [(layer) => delete layer.kv_heads, "malformed", /"kv_heads" must be a list of whole numbers/],
        [(layer) => (layer.heads = null), "malformed", /"heads" must be a list of whole numbers/],
        [(layer) => (layer.neuron_sign[2] = 0), "invalidGauge", /"neuron_sign" must hold/],
        [(layer) => (layer.neuron_sign[2] = 2), "malformed", /"neuron_sign" holds .* from -1 to 1/],
        [(layer) => (layer.neuron_sign = null), "malformed", /"neuron_sign" must be a list/],
        [(layer) => (layer.neuron_scale[0] = -1), "invalidGauge", /"neuron_scale" must hold a positive/],
        [(layer) => layer.heads.reverse(), "invalidGauge", /"heads"\[0\] is not in the group/],
        [(layer) => layer.turn.fill(0), "invalidGauge", /"turn" holds a zero/],
        [(layer) => layer.value.fill(1), "invalidGauge", /"value" must hold an invertible/],
        [(layer) => layer.value.pop(), "invalidGauge", /"value" must hold an invertible/],
        [(layer) => (layer.turn[0] = "1"), "malformed", /"turn" holds what is no number/],
        [(layer) => (layer.turn = null), "malformed", /"turn" must be a list of numbers/],
        [(layer) => (layer.free_keys[0] = 2e12), "malformed", /"free_keys" holds .* 10\^12/],
        [(layer) => (layer.score = 3), "malformed", /"score" must be an object with lists/],
        [(layer) => (layer.margin = []), "malformed", /"margin" must be an object with lists/],
        [(layer) => (layer.score = { neurons: 3 }), "malformed", /"neurons" must be a list of numbers/],
        [(layer) => layer.confidence.neurons.pop(), "malformed", /"confidence" must hold one number/],
        [(layer) => layer.confidence.heads.push(1), "malformed", /"confidence" must hold one number/],
        [(_, part) => (part.layers = []), "malformed", /list of layers/],
        [(_, part) => (part.layers[1] = []), "malformed", /a layer must be an object/],
        [(_, part) => (part.layers[0] = null), "malformed", /a layer must be an object/],
        [(_, part) => (part.head_dim = 65536), "malformed", /"head_dim" must be a whole number from 0 to 4096/],
        [(_, part) => (part.head_dim = null), "malformed", /"head_dim" must be a whole number/],
        [(_, part) => (part.rope_pairs = 1.5), "malformed", /"rope_pairs" must be a whole number/],
        [(_, part) => (part.rope_pairs = 5), "invalidGauge", /head counts do not fit together/],
        [(_, part) => (part.version = 2), "unsupported", /update regauge/],
        [(_, part) => (part.version = null), "unsupported", /update regauge/],
        [(_, part) => (part.fingerprint = "0"), "invalidGauge", /changed after it was written/],
        [() => [], "malformed", /"hidden" must be an object/],
    ]) {
        const part = JSON.parse(JSON.stringify(everything(3)));
        const instead = change(part.layers[1], part);
        const file = { ...stream, hidden: change.length === 0 ? instead : part };
        writeFileSync(path, JSON.stringify(file));
        const { status, err } = await runCommand(["show", path]);
        assert.throws(
            () => Gauge.from(file, path),
            (error) => {
                assert.equal(error.code, code, error.message);
                assert.match(error.message, message);
                assert.deepEqual({ status, err }, { status: 2, err: `regauge: ${error.message}\n` });
                return true;
            },
        );
    }
});

test("numbers are rounded to six decimals as C++ rounds them: halves away from 0", () => {
    const margin = [-2.5e-6, -1.5e-6, -0.5e-6, 0.5e-6, 1.5e-6, 2.5e-6];
    const read = new Gauge([...margin.keys()], Array(6).fill(1), { margin }).toJSON();
    assert.deepEqual(read.margin, [-3e-6, -2e-6, -1e-6, 1e-6, 2e-6, 3e-6]);
});

test("hidden takes two checkpoints, without gains", async () => {
    const gains = [checkpoint(source), checkpoint(source)];
    await assert.rejects(align(checkpoint(source), checkpoint(target), { hidden: true, gains }), { code: "usage" });
});
