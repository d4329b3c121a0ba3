// What users of JavaScript's tools hold in their hands: tensors, typed arrays, answers of fetch, views, streams.
import assert from "node:assert/strict";
import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";

import { activations, align, Gauge, inspect, logits, transport } from "regauge";

import { inside } from "./engine.mjs";
import { evidence, npy, plantedPair, readTensor, sample, shipped, temporaryFolder, truth } from "./helpers.mjs";

const vector = join(sample, "source/steering_resid2.npy");
const gauge = truth("target");
const bytesOf = async ({ files: [file] }) => Buffer.from(await file.blob.arrayBuffer());

/** As transformers.js and onnxruntime-web have it: a class whose data and dims are getters. */
class Tensor {
    #said;
    constructor(type, data, dims) {
        this.#said = { type, data, dims };
    }
    get type() {
        return this.#said.type;
    }
    get data() {
        return this.#said.data;
    }
    get dims() {
        return this.#said.dims;
    }
}

/** A stand-in where the runtime has no Float16Array: another typed array that says it is one. */
class Halves extends Float32Array {
    get [Symbol.toStringTag]() {
        return "Float16Array";
    }
}
const Float16 = globalThis.Float16Array ?? Halves;

test("apply gives the type that it gets", () => {
    const small = new Gauge([2, 0, 1], [1, -1, 1]);
    for (const type of [Float16, Float32Array, Float64Array]) {
        const moved = small.apply(type.from([1, 2, 3]));
        assert(moved instanceof type, type.name);
        assert.deepEqual([...moved], [3, -1, 2]);
        assert(small.applyRows(new type(6), 2) instanceof type);
    }
    assert.deepEqual(small.apply([1, 2, 3]), [3, -1, 2]);
    for (const type of [Int8Array, Uint8Array, Int16Array, Uint32Array])
        assert.deepEqual(small.apply(type.from([1, 2, 3])), Float64Array.from([3, -1, 2]), type.name);
    for (const wrong of [BigInt64Array.from([1n, 2n, 3n]), [1, "2", 3], [1, 2, 3n], new Array(3), "123"])
        assert.throws(() => small.apply(wrong), { name: "RegaugeError", code: "wrongDtype" });
    for (const wrong of [undefined, 3, Object.create(null)])
        assert.throws(() => small.apply(wrong), { name: "RegaugeError", code: "usage" });
});

test("apply moves the rows of a tensor, float16 as bits too", () => {
    const small = new Gauge([2, 0, 1], [1, -1, 1]);
    const moved = small.apply(new Tensor("float32", Float32Array.from([1, 2, 3, 4, 5, 6]), [1, 2, 3]));
    assert.deepEqual(moved, { type: "float32", data: Float32Array.from([3, -1, 2, 6, -4, 5]), dims: [1, 2, 3] });
    const one = 0x3c00,
        two = 0x4000;
    assert.deepEqual(
        small.apply(new Tensor("float16", Uint16Array.from([one, two, one]), [3])).data,
        Uint16Array.from([one, one | 0x8000, two]),
    );
    assert.throws(() => small.apply(new Tensor("float32", new Float32Array(6), [3, 2])), { code: "dimensionMismatch" });
    assert.throws(() => small.apply(new Tensor("float32", new Float32Array(4), [2, 3])), { code: "dimensionMismatch" });
});

test("tensors are evidence, alone, by site, and with token ids", async () => {
    const { gauge: planted, source, target } = plantedPair(16, 512);
    const tensor = ({ activations: { data } }) => new Tensor("float32", data, [4, 128, 16]);
    const ids = new Tensor(
        "int64",
        BigInt64Array.from({ length: 512 }, (_, k) => BigInt(k % 7)),
        [4, 128],
    );
    const expected = await align(source, target);
    assert.equal(expected.fingerprint, planted.fingerprint);
    for (const form of [
        (side) => tensor(side),
        (side) => ({ activations: tensor(side) }),
        (side) => ({ activations: { activations: tensor(side) }, tokenIds: ids }),
    ])
        assert.equal((await align(form(source), form(target))).fingerprint, planted.fingerprint);
    await assert.rejects(align(new Tensor("float32", new Float32Array(5), [2, 3]), target), { code: "shapeMismatch" });
    await assert.rejects(align(new Tensor("int32", new Int32Array(6), [2, 3]), target), { code: "wrongDtype" });
    await assert.rejects(align({ ...source, tokenIds: [1.5] }, target), { code: "malformed" });
});

test("a vector in memory moves as its file does", async () => {
    const random = Float32Array.from({ length: 128 }, (_, k) => Math.sin(k + 1));
    const expected = await bytesOf(await transport(npy(random, [128]), gauge));
    const floats = (bytes) => new Float32Array(Uint8Array.from(bytes.subarray(-512)).buffer);
    for (const given of [random, new Tensor("float32", random, [128])]) {
        const moved = await transport(given, gauge);
        assert.equal(moved.files[0].name, "object.npy");
        assert.deepEqual(floats(await bytesOf(moved)), floats(expected));
        assert.deepEqual(floats(await bytesOf(moved)), gauge.apply(random));
    }
    assert.equal((await inspect(Float64Array.from(random))).d, 128);
    const rows = await transport(new Tensor("float32", new Float32Array(256).fill(1), [2, 128]), gauge);
    assert.deepEqual(rows.plan.tensors[0].shape, [2, 128]);
    await assert.rejects(transport(new Tensor("float32", random, [2, 128]), gauge), { code: "shapeMismatch" });
});

test("a vector in memory is written in the format that its output's name says", async (t) => {
    const folder = temporaryFolder(t);
    const random = Float32Array.from({ length: 128 }, (_, k) => Math.sin(k + 1));
    const out = join(folder, "moved.safetensors");
    await transport(random, gauge, { out });
    const { shape, dtype, tensor } = readTensor(out, "vector");
    assert.deepEqual([shape, dtype], [[128], "F32"]);
    assert.deepEqual(new Float32Array(tensor.buffer), gauge.apply(random));
    const rows = new Tensor("float32", new Float32Array(256).fill(1), [2, 128]);
    await transport(rows, gauge, { out: pathToFileURL(out), force: true });
    assert.deepEqual(readTensor(out, "vector").shape, [2, 128]);
    await transport(random, gauge, { out: join(folder, "moved.npy") });
    assert.equal(readFileSync(join(folder, "moved.npy")).toString("latin1", 1, 6), "NUMPY");
});

test("memory that another thread has is refused in words", async () => {
    const gone = (view) => {
        structuredClone(view, { transfer: [view.buffer ?? view] });
        return view;
    };
    for (const given of [
        gone(new Uint8Array(8)),
        gone(new ArrayBuffer(8)),
        gone(new DataView(new ArrayBuffer(8))),
        gone(new Float32Array(128)),
    ])
        await assert.rejects(transport(given, gauge), (error) => {
            assert.equal(error.code, "usage", String(error));
            assert.match(error.message, /^object.*: has no memory any more/);
            return true;
        });
});

test("views, answers of fetch and file: URLs as text are files", async () => {
    const source = readFileSync(vector);
    const expected = await bytesOf(await transport(vector, gauge));
    const around = new Uint8Array(source.length + 16);
    around.set(source, 8);
    for (const given of [
        new DataView(around.buffer, 8, source.length),
        new Response(source),
        pathToFileURL(vector).href,
        pathToFileURL(vector).href.replace("file://", "file:"),
    ])
        assert.deepEqual(await bytesOf(await transport(given, gauge)), expected);
    const folder = join(sample, "source/sae_resid2");
    const whole = (name) => new DataView(Uint8Array.from(readFileSync(join(folder, name))).buffer);
    const views = Object.fromEntries(["cfg.json", "sae_weights.safetensors"].map((name) => [name, whole(name)]));
    assert.equal((await inspect(views)).kind, "saelens");
    assert.equal((await inspect(new Map(Object.entries(views)))).kind, "saelens");
    const fetched = await transport(
        await fetch(`data:application/octet-stream;base64,${source.toString("base64")}`),
        gauge,
    );
    assert.deepEqual(await bytesOf(fetched), expected);
    await assert.rejects(transport(new Response("", { status: 404, statusText: "Not Found" }), gauge), /404 Not Found/);
    const read = new Response(source);
    await read.arrayBuffer();
    await assert.rejects(transport(read, gauge), /read already/);
});

test("an answer of fetch is called by its address", async () => {
    const response = new Response(readFileSync(vector));
    Object.defineProperty(response, "url", { value: "https://example.org/a/my%20vector.npy?download=true" });
    assert.equal((await transport(response, gauge)).files[0].name, "my vector.npy");
});

test("what is no file is said to be what it is", async () => {
    for (const [given, sentence] of [
        ["data:application/octet-stream,x", /^data:.*await fetch\(url\)/],
        [new URL("blob:https://example.org/x"), /^blob:.*await fetch\(url\)/],
        [new Blob(["x"]).stream(), /stream.*new Response\(stream\)\.blob\(\)/],
        [createReadStream(vector), /stream.*new Response\(stream\)\.blob\(\)/],
        [Promise.resolve(vector), /promise; await it/],
        [new Float32Array(4), /without a shape/],
        [new Int16Array(4), /whole numbers/],
        [7, /expected a path, a file or evidence, and found 7/],
    ])
        await assert.rejects(align(given, evidence("target")), (error) => {
            assert.equal(error.code, "usage", String(error));
            assert.match(error.message, sentence);
            return true;
        });
    await assert.rejects(transport(vector, "https://example.org/gauge.json"), /await \(await fetch\(url\)\)\.text\(\)/);
    const advised = await new Response(createReadStream(vector)).blob();
    assert.deepEqual(await bytesOf(await transport(advised, gauge)), await bytesOf(await transport(vector, gauge)));
});

test("token ids are whole numbers, in lists, typed arrays and tensors", async () => {
    const model = join(shipped, "source");
    const ids = [1, 2, 3, 4];
    const { values } = await logits(model, ids);
    for (const given of [
        Int32Array.from(ids),
        Uint16Array.from(ids),
        BigInt64Array.from(ids, BigInt),
        new Tensor("int64", BigInt64Array.from(ids, BigInt), [1, 4]),
        [BigInt64Array.from(ids, BigInt)],
    ])
        assert.deepEqual((await logits(model, given)).values, values);
    for (const given of [
        [1, 2.5],
        [[1], [2.5]],
        [1, NaN],
        [1, "2"],
    ])
        await assert.rejects(logits(model, given), { code: "malformed" });
    await assert.rejects(activations(model, [1, 2.5]), /has 2\.5 at place 1; expected whole numbers/);
});

test("a steering vector may be a tensor or of float16", async () => {
    const model = join(shipped, "source");
    const steering = { site: "resid.1" };
    const numbers = Array.from({ length: 64 }, (_, k) => (k % 2 ? 0.5 : -1));
    const { values } = await logits(model, [1, 2], { ...steering, vector: numbers });
    const bits = Uint16Array.from(numbers, (value) => (value === 0.5 ? 0x3800 : 0xbc00));
    for (const vector of [
        Float16.from(numbers),
        new Tensor("float32", Float32Array.from(numbers), [1, 64]),
        new Tensor("float16", bits, [64]),
    ])
        assert.deepEqual((await logits(model, [1, 2], { ...steering, vector })).values, values);
});

test("a Blob that reads elsewhere is read by its own methods before a browser's worker gets it", async () => {
    const { browserPlatform } = await inside("platform-browser.js");
    class HubFile extends Blob {
        async arrayBuffer() {
            return Uint8Array.from([1, 2, 3]).buffer;
        }
    }
    assert.deepEqual(await browserPlatform.readable(new HubFile()), Uint8Array.from([1, 2, 3]));
    class Named extends File {}
    for (const plain of [new Blob(["x"]), new File(["x"], "x"), new Named(["x"], "x")])
        assert.equal(await browserPlatform.readable(plain), plain);
});
