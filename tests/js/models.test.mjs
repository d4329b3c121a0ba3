// Calls that run a model: the numbers of the native command, of PyTorch (transformers' LlamaForCausalLM, a forward pre-hook on layer 2 adding the
// vector, log-softmax in float64), and of the file that it wrote.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { activations, align, generate, inspect, logits, steer, transport, verify } from "regauge";

import {
    readTensor,
    runNative,
    runNode,
    sample,
    sampleRows,
    shipped,
    temporaryFolder,
    truth,
    withoutNative,
} from "./helpers.mjs";

const model = (side) => join(sample, side);
const tokens = join(sample, "source/tokens.npy");
const vector = join(sample, "source/steering_resid2.npy");
const contents = (side) =>
    Object.fromEntries(
        ["config.json", "model.safetensors"].map((name) => [name, new Blob([readFileSync(join(sample, side, name))])]),
    );
const firstSequence = Array.from(
    new Int32Array(Uint8Array.from(readFileSync(tokens).subarray(-4096, -4096 + 256)).buffer),
);
const near = (found, expected, tolerance, what) =>
    assert(Math.abs(found - expected) <= tolerance, `${what}: ${found}, expected ${expected}`);

test("the logits of the sample are PyTorch's", async () => {
    const { values, ...shape } = await logits(model("source"), tokens);
    assert.deepEqual(shape, { tokens: 64, vocabulary: 512 });
    const expected = new Float32Array(
        Uint8Array.from(readFileSync(join(sample, "source/logits_first_sequence.npy")).subarray(-4 * 64 * 512)).buffer,
    );
    let worst = 0;
    for (let k = 0; k < expected.length; ++k) worst = Math.max(worst, Math.abs(values[k] - expected[k]));
    assert(worst < 1e-3, String(worst));
    assert(values.length === expected.length && worst >= 0);
});

test("tokens, models and vectors may be paths, contents or numbers", async () => {
    const { values: expected } = await logits(model("source"), tokens, { vector, site: "resid.2", strength: 0.5 });
    const numbers = new Float32Array(Uint8Array.from(readFileSync(vector).subarray(-512)).buffer);
    for (const [ids, given] of [
        [firstSequence, numbers],
        [[firstSequence], Array.from(numbers)],
        [Int32Array.from(firstSequence), new Blob([readFileSync(vector)])],
        [new Uint8Array(readFileSync(tokens)), new Uint8Array(readFileSync(vector))],
    ]) {
        const { values } = await logits(contents("source"), ids, { vector: given, site: "resid.2", strength: 0.5 });
        assert.deepEqual(values, expected);
    }
    const { values: plain } = await logits(model("source"), tokens);
    assert.notDeepEqual(plain, expected);
});

test("a model moved by the gauge computes the same function; moved without signs it does not", async () => {
    const gauge = truth("target");
    const moved = await transport(model("source"), gauge);
    const folder = Object.fromEntries(moved.files.map(({ name, blob }) => [name, blob]));
    const reports = [];
    const same = await verify(model("source"), folder, tokens, {
        sequences: 2,
        onProgress: (report) => reports.push(report),
    });
    assert.equal(same.same_function, true);
    assert.equal(same.positions, 128);
    assert(
        same.max_logit_difference > 0 &&
            same.max_logit_difference < 1e-3 &&
            same.max_kl < 1e-6 &&
            same.top_agreement === 1,
    );
    assert(reports.some(({ stage }) => stage === "verifying"));

    const unsigned = { ...gauge.toJSON(), sign: gauge.toJSON().sign.map(() => 1), fingerprint: undefined };
    const wrong = Object.fromEntries(
        (await transport(model("source"), unsigned)).files.map(({ name, blob }) => [name, blob]),
    );
    // Every sign of a channel may be dropped alike in all weights: that is a symmetry too. Dropped in one place only, it is none.
    const mixed = {
        ...folder,
        "model.safetensors": await mix(
            folder["model.safetensors"],
            wrong["model.safetensors"],
            "model.embed_tokens.weight",
        ),
    };
    const different = await verify(model("source"), mixed, tokens, { sequences: 1 });
    assert.equal(different.same_function, false);
    assert(different.max_logit_difference > 1 && different.mean_kl > 0.1);
});

/** One file with one tensor of another. */
async function mix(file, other, name) {
    const [bytes, source] = [new Uint8Array(await file.arrayBuffer()), new Uint8Array(await other.arrayBuffer())];
    const place = (of) => {
        const length = Number(Buffer.from(of.buffer).readBigUInt64LE(0));
        return JSON.parse(Buffer.from(of.buffer).toString("utf8", 8, 8 + length))[name].data_offsets.map(
            (at) => at + 8 + length,
        );
    };
    bytes.set(source.subarray(...place(source)), place(bytes)[0]);
    return new Blob([bytes]);
}

test("verify says what the native command says", { skip: withoutNative }, async () => {
    const ours = await verify(model("source"), model("target"), tokens, { sequences: 1, tolerance: 0.5 });
    const { status, out } = await runNative([
        "verify",
        model("source"),
        model("target"),
        "--tokens",
        tokens,
        "--sequences",
        "1",
        "--tolerance",
        "0.5",
        "--json",
    ]);
    const theirs = JSON.parse(out);
    assert.equal(status, 1);
    assert.deepEqual(Object.keys(ours), Object.keys(theirs));
    for (const [key, value] of Object.entries(theirs)) {
        if (typeof value === "number") near(ours[key], value, 1e-4 * Math.max(1, Math.abs(value)), key);
        else assert.equal(ours[key], value, key);
    }
});

test("activations are evidence: align takes them, they are the sample's, and the file is the command's", async (t) => {
    const [source, target] = await Promise.all([
        activations(model("source"), tokens),
        activations(contents("target"), tokens),
    ]);
    assert.equal(source.name, "evidence.safetensors");
    const gauge = await align(source, target);
    assert.equal(gauge.verdict, "aligned");
    assert.equal(gauge.fingerprint, truth("target").fingerprint);
    assert.deepEqual(
        gauge.sites
            .map(({ name }) => name)
            .filter((name) => name.startsWith("resid"))
            .sort(),
        ["resid.0", "resid.1", "resid.2", "resid.3", "resid.4"],
    );

    const folder = temporaryFolder(t),
        saved = join(folder, "evidence.safetensors"),
        commands = join(folder, "command.safetensors");
    writeFileSync(saved, Buffer.from(await source.arrayBuffer()));
    const { tensor, shape, dtype } = readTensor(saved, "activations/resid.2");
    assert.deepEqual([shape, dtype], [[1024, 128], "F32"]);
    const floats = new Float32Array(tensor.buffer),
        expected = sampleRows("source", "resid.2").data; // float16, written by PyTorch
    let worst = 0;
    for (let k = 0; k < expected.length; ++k)
        worst = Math.max(worst, Math.abs(floats[k] - expected[k]) / Math.max(1, Math.abs(expected[k])));
    assert(worst < 2e-3, String(worst));
    await runNode(["activations", model("source"), "--tokens", tokens, "-o", commands, "--quiet"]);
    assert.deepEqual(readFileSync(commands), readFileSync(saved));
    assert.equal((await inspect(source)).d, 128);
});

test("a prompt is continued as PyTorch continues it, with a vector and without", async () => {
    const plain = await generate(model("source"), tokens, { length: 12 });
    assert.deepEqual(plain.tokens, [276, 281, 1, 410, 293, 261, 416, 309, 386, 432, 269, 261]);
    const steered = await generate(model("source"), tokens, { length: 12, vector, site: "resid.2" });
    assert.deepEqual(steered.tokens, [276, 467, 1, 410, 448, 415, 414, 372, 438, 459, 437, 467]);
    [-0.46157, -1.60117, -0.06508, -0.96213].forEach((expected, k) =>
        near(steered.log_probabilities[k], expected, 1e-3, `token ${k}`),
    );
    const sampled = () => generate(model("source"), firstSequence.slice(0, 8), { length: 10, temperature: 1, seed: 3 });
    assert.deepEqual(await sampled(), await sampled());
});

test("the moved vector does in the target what it does in the source; without signs, or not moved, it does not", async () => {
    const reports = [];
    const report = await steer(model("source"), contents("target"), {
        vector,
        gauge: truth("target"),
        site: "resid.2",
        prompt: tokens,
        length: 12,
        onProgress: (one) => reports.push(one),
    });
    assert.deepEqual(
        report.promoted.map(({ token }) => token),
        [459, 438, 437, 471, 441, 461, 445, 452, 442, 447],
    );
    near(report.promoted[0].rise, 2.9814, 1e-3, "rise");
    const arms = Object.fromEntries(report.arms.map((arm) => [arm.name, arm]));
    const expected = {
        "source-steered": [2.62595, 1],
        "target-moved": [2.84724, 0.98944],
        "target-permuted": [-0.09365, 0.41066],
        "target-not-moved": [0.45636, -0.56338],
    };
    for (const [name, [effect, agreement]] of Object.entries(expected)) {
        near(arms[name].effect, effect, 1e-3, name);
        near(arms[name].agreement, agreement, 1e-3, name);
    }
    assert.deepEqual(
        arms["target-moved"].continuation.tokens,
        [276, 467, 1, 410, 447, 264, 432, 410, 463, 414, 418, 432],
    );
    assert.deepEqual(arms.source.continuation, await generate(model("source"), tokens, { length: 12 }));
    const done = reports.filter(({ stage }) => stage === "steering").map((one) => one.done);
    assert.deepEqual(
        done,
        [...done].sort((a, b) => a - b),
    );
});

test("the shipped sample's vector makes the other run refuse as often as the READMEs say", async () => {
    const requests = JSON.parse(readFileSync(join(shipped, "source/requests.json"), "utf8"));
    const [source, target] = ["source", "other_run"].map((side) => join(shipped, side));
    const evidence = [source, target].map((side) => join(side, "evidence.safetensors"));
    const refusals = async (gauge) => {
        const counts = {};
        for (const prompt of requests) {
            const { arms } = await steer(source, target, {
                vector: join(shipped, "source/refusal_resid2.npy"),
                gauge,
                site: "resid.2",
                prompt,
                strength: 0.9,
                length: 8,
            });
            for (const { name, continuation } of arms)
                counts[name] = (counts[name] ?? 0) + (Buffer.from(continuation.tokens).toString() === "I cannot");
        }
        return counts;
    };
    // As transformers gives them, with the planted gauge.
    assert.deepEqual(await refusals(await align(...evidence)), {
        source: 0,
        "source-steered": 32,
        target: 0,
        "target-moved": 32,
        "target-permuted": 0,
        "target-not-moved": 0,
    });
    assert.equal((await refusals(await align(...evidence, { group: "permutation" })))["target-moved"], 1);
});

test("steer says what the native command says", { skip: withoutNative }, async (t) => {
    const gauge = join(temporaryFolder(t), "gauge.json");
    writeFileSync(gauge, JSON.stringify(truth("target")));
    const ours = await steer(model("source"), model("target"), {
        vector,
        gauge,
        site: "resid.2",
        prompt: tokens,
        strength: 0.5,
        length: 6,
        promoted: 4,
    });
    const { out } = await runNative([
        "steer",
        model("source"),
        model("target"),
        "--vector",
        vector,
        "--gauge",
        gauge,
        "--site",
        "resid.2",
        "--tokens",
        tokens,
        "--strength",
        "0.5",
        "--length",
        "6",
        "--promoted",
        "4",
        "--json",
    ]);
    const rounded = (report) =>
        JSON.parse(JSON.stringify(report), (_, value) =>
            typeof value === "number" ? Math.round(value * 1e3) / 1e3 : value,
        );
    assert.deepEqual(rounded(ours), rounded(JSON.parse(out)));
});

test("what a model cannot take is refused in a sentence", async () => {
    const refuses = (job, code, words) =>
        assert.rejects(
            job,
            (error) => error.name === "RegaugeError" && error.code === code && words.test(error.message),
        );
    await refuses(verify(model("source"), model("target"), [[0, 512]]), "usage", /512/);
    await refuses(verify(model("source"), model("target"), ["a"]), "usage", /File/);
    await refuses(verify(model("source"), model("target"), [1.5]), "malformed", /1\.5/);
    await refuses(verify(model("source"), model("target"), tokens, { tolerance: -1 }), "usage", /tolerance/);
    await refuses(verify(join(sample, "source/model.safetensors"), model("target"), tokens), "missingFile", /folder/);
    await refuses(generate(model("source"), []), "usage", /./);
    await refuses(generate(model("source"), tokens, { vector }), "usage", /site/);
    await refuses(generate(model("source"), tokens, { vector, site: "resid.9" }), "usage", /resid\.4/);
    await refuses(
        generate(model("source"), tokens, { vector: [1, 2, 3], site: "resid.2" }),
        "dimensionMismatch",
        /128/,
    );
    await refuses(generate(model("source"), tokens, { vector: [1, NaN], site: "resid.2" }), "notFinite", /channel 1/);
    await refuses(generate(model("source"), tokens, { length: -1 }), "usage", /length/);
    await refuses(
        steer(model("source"), model("target"), {
            vector,
            gauge: { ...truth("target").toJSON(), sign: Array(128).fill(0), fingerprint: undefined },
            site: "resid.2",
            prompt: tokens,
        }),
        "undeterminedSign",
        /./,
    );
});

test("a generation is cancelled midway", async () => {
    const stop = new AbortController();
    const job = generate(model("source"), tokens, {
        length: 100_000,
        signal: stop.signal,
        onProgress: ({ done }) => {
            if (done > 2) stop.abort();
        },
    });
    await assert.rejects(job, { name: "AbortError" });
});
