import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import test from "node:test";

import { align, inspect, transport } from "regauge";

import { evidence, npy, randomGauge, randomNumbers, runNode, sample, temporaryFolder, truth } from "./helpers.mjs";

const gauge = truth("target");
const vector = join(sample, "source/steering_resid2.npy");
const sae = join(sample, "source/sae_resid2");
const tensorsOf = (bytes) => bytes.subarray(8 + Number(Buffer.from(bytes.buffer, bytes.byteOffset).readBigUInt64LE(0)));

test("a vector moves as gauge.apply does, and comes back byte for byte", async (t) => {
    const folder = temporaryFolder(t),
        moved = join(folder, "moved.npy"),
        back = join(folder, "back.npy");
    const { plan, files } = await transport(vector, gauge, { out: moved });
    assert.deepEqual(files, []);
    assert.equal(plan.d, 128);
    assert.deepEqual(
        plan.tensors.flatMap(({ moves }) => moves.map(({ action }) => action)),
        ["odd"],
    );
    const floats = (path) => new Float32Array(Uint8Array.from(readFileSync(path).subarray(-512)).buffer);
    assert.deepEqual(floats(moved), gauge.apply(floats(vector)));
    await transport(moved, gauge.inverse(), { out: back });
    assert.deepEqual(readFileSync(back), readFileSync(vector));
});

test("an SAE's folder moves as a folder, and its tensors come back byte for byte", async (t) => {
    const folder = temporaryFolder(t),
        moved = join(folder, "moved"),
        back = join(folder, "back");
    await transport(sae, gauge, { out: moved });
    await transport(moved, gauge.inverse(), { out: back });
    assert(readdirSync(moved).includes("cfg.json"));
    const weights = (where) => readFileSync(join(where, "sae_weights.safetensors"));
    assert.deepEqual(tensorsOf(weights(back)), tensorsOf(weights(sae)));
    assert.notDeepEqual(tensorsOf(weights(moved)), tensorsOf(weights(sae)));
    assert(weights(moved).includes(gauge.fingerprint), "the header names the gauge");
});

test("contents in, files out: the same bytes as on disk", async (t) => {
    const folder = temporaryFolder(t);
    await transport(vector, gauge, { out: join(folder, "moved.npy") });
    await transport(sae, gauge, { out: join(folder, "sae") });
    const expected = readFileSync(join(folder, "moved.npy"));
    const source = readFileSync(vector);
    for (const [kind, input] of [
        ["path", vector],
        ["array", new Uint8Array(source)],
        ["blob", new Blob([source])],
        ["file", new File([source], basename(vector))],
    ]) {
        const { files } = await transport(input, gauge);
        assert.equal(files.length, 1, kind);
        assert.deepEqual(Buffer.from(await files[0].blob.arrayBuffer()), expected, kind);
        if (kind === "file" || kind === "path") assert.equal(files[0].name, basename(vector));
    }
    const names = ["cfg.json", "sae_weights.safetensors"];
    const map = Object.fromEntries(names.map((name) => [name, new Blob([readFileSync(join(sae, name))])]));
    const list = names.map((name) => new File([readFileSync(join(sae, name))], name));
    for (const input of [map, list]) {
        const { plan, files } = await transport(input, gauge);
        assert.equal(plan.kind, "saelens");
        for (const name of names) {
            const file = files.find((candidate) => candidate.name === name);
            assert.deepEqual(Buffer.from(await file.blob.arrayBuffer()), readFileSync(join(folder, "sae", name)), name);
        }
    }
});

test("a gauge may be an object, a text, a path or a result of align", async (t) => {
    const folder = temporaryFolder(t),
        path = join(folder, "gauge.json");
    writeFileSync(path, JSON.stringify(gauge));
    const expected = Buffer.from(await (await transport(vector, gauge)).files[0].blob.arrayBuffer());
    for (const given of [
        gauge.toJSON(),
        JSON.stringify(gauge),
        path,
        await align(evidence("source"), evidence("target")),
    ]) {
        const { files } = await transport(vector, given);
        assert.deepEqual(Buffer.from(await files[0].blob.arrayBuffer()), expected);
    }
});

test("a dry run and inspect say how each tensor moves, and write nothing", async (t) => {
    const folder = temporaryFolder(t),
        out = join(folder, "moved");
    const { plan, files } = await transport(sae, gauge, { out, dryRun: true });
    assert.deepEqual(files, []);
    assert.equal(existsSync(out), false);
    assert.equal(plan.kind, "saelens");
    const seen = await inspect(sae);
    assert.deepEqual(seen.tensors, plan.tensors);
    const encoder = seen.tensors.find(({ name }) => name === "W_enc");
    assert.deepEqual(encoder.moves, [{ axis: 0, action: "odd" }]);
    assert(encoder.why.length > 0);
    assert.deepEqual(JSON.parse((await runNode(["inspect", sae, "--json"])).out), seen);
});

test("an output that exists stays as it is, but for force; an input is never overwritten", async (t) => {
    const folder = temporaryFolder(t),
        out = join(folder, "moved.npy");
    writeFileSync(out, "mine");
    await assert.rejects(transport(vector, gauge, { out }), { code: "outputExists", where: out });
    assert.equal(readFileSync(out, "utf8"), "mine");
    await transport(vector, gauge, { out, force: true });
    assert.equal(readFileSync(out).length, readFileSync(vector).length);
    const input = join(folder, "input.npy");
    writeFileSync(input, readFileSync(vector));
    await assert.rejects(transport(input, gauge, { out: input }), { name: "RegaugeError" });
    assert.deepEqual(readFileSync(input), readFileSync(vector));
    assert.deepEqual(readdirSync(folder).sort(), ["input.npy", "moved.npy"]);
});

test("a gauge of unrelated models is refused, but for force", async () => {
    const doubtful = { ...gauge.toJSON(), verdict: "unrelated" };
    await assert.rejects(transport(vector, doubtful), { code: "unrelated" });
    await transport(vector, doubtful, { force: true });
});

test("every element of random matrices lands where the definition says", async () => {
    const random = randomNumbers(5);
    for (const [rows, d] of [
        [1, 1],
        [3, 7],
        [17, 33],
    ]) {
        const moving = randomGauge(d, random),
            data = Float32Array.from({ length: rows * d }, random);
        const { files } = await transport(npy(data, [rows, d]), moving);
        const bytes = Buffer.from(await files[0].blob.arrayBuffer());
        assert.deepEqual(
            new Float32Array(Uint8Array.from(bytes.subarray(bytes.length - 4 * data.length)).buffer),
            moving.applyRows(data, rows),
        );
    }
});
