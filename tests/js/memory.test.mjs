// Evidence in memory says what its file says: sequences, token ids, masks, gains, and nothing that is not understood.
import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";

import { align, fitMap, gains, RegaugeError } from "regauge";

import { plantedPair, readTensor, shipped } from "./helpers.mjs";

const site = "resid.2";
const [source, target] = ["source", "other_run"].map((side) => join(shipped, side, "evidence.safetensors"));
/** 16 sequences of 64 rows, as transformers.js has them. */
const [x, y] = [source, target].map((path) => {
    const { shape, tensor } = readTensor(path, `activations/${site}`);
    return { type: "float16", data: new Uint16Array(tensor.buffer), dims: shape };
});
const [sequences, length, d] = x.dims;
const rows = sequences * length;
const flat = ({ type, data }) => ({ type, data, dims: [rows, d] });
const sites = (tensor, more) => ({ activations: { [site]: tensor }, ...more });

test("the first rows of each sequence are left out of a tensor as of its file", async () => {
    for (const skipFirst of [1, 5]) {
        const expected = await align(source, target, { sites: [site], skipFirst });
        assert.equal(expected.rows, rows - skipFirst * sequences);
        for (const pair of [
            [x, y],
            [sites(x), sites(y)],
            [sites(x), target],
        ]) {
            const found = await align(...pair, { skipFirst, ...(pair[1] === target ? { sites: [site] } : {}) });
            assert.deepEqual([found.rows, found.fingerprint], [expected.rows, expected.fingerprint]);
        }
    }
    const [ofFiles, ofTensors] = [
        await fitMap(source, target, { sites: [[site, site]], skipFirst: 4 }),
        await fitMap(sites(x), sites(y), { skipFirst: 4 }),
    ];
    assert.deepEqual([ofTensors.report.rows, ofTensors.fingerprint], [ofFiles.report.rows, ofFiles.fingerprint]);
});

test("token ids and masks tell sequences of rows that were flattened", async () => {
    const numbers = Array.from({ length: rows }, (_, k) => k % 61);
    const lists = Array.from({ length: sequences }, (_, k) => numbers.slice(k * length, (k + 1) * length));
    for (const tokenIds of [
        lists,
        lists.map((list) => Int32Array.from(list)),
        { data: BigInt64Array.from(numbers, BigInt), dims: [sequences, length] },
    ]) {
        const { rows: used } = await align(sites(flat(x), { tokenIds }), sites(flat(y)), { skipFirst: 1 });
        assert.equal(used, rows - sequences);
    }
    const one = await align(sites(flat(x), { tokenIds: numbers }), sites(flat(y)), { skipFirst: 1 });
    assert.equal(one.rows, rows - 1);
    const ragged = [lists[0].slice(1), ...lists.slice(1)];
    await assert.rejects(align(sites(x, { tokenIds: ragged }), sites(y)), {
        code: "shapeMismatch",
        message: /^source: tokenIds: has sequences of 63 and of 64 numbers.*attentionMask/,
    });
    for (const tokenIds of [["a"], 5, new Set([1]), [[1], 2]])
        await assert.rejects(align(sites(x, { tokenIds }), sites(y)), { code: "malformed" });
});

test("rows that a mask leaves out are left out", async () => {
    const ones = Uint8Array.from({ length: rows }, (_, row) => Number(row % length > 2));
    for (const attentionMask of [
        ones,
        Array.from(ones),
        { data: BigInt64Array.from(ones, BigInt), dims: [sequences, length] },
    ]) {
        const gauge = await align(sites(x, { attentionMask }), sites(y));
        assert.equal(gauge.rows, rows - 3 * sequences);
    }
});

test("what evidence in memory does not have is refused by name, and what is not there is absent", async () => {
    const { source, target, gauge } = plantedPair(8, 256);
    for (const key of ["token_ids", "attention_mask", "tokenids", "inputIds"])
        await assert.rejects(align({ ...source, [key]: [1] }, target), (error) => {
            assert(error instanceof RegaugeError && error.code === "usage", String(error));
            assert.match(error.message, new RegExp(`^source: has ${key}; .*tokenIds, attentionMask`));
            return true;
        });
    for (const nothing of [null, undefined]) {
        const empty = { gains: nothing, tokenIds: nothing, attentionMask: nothing, other: undefined };
        const found = await align({ ...empty, ...source }, { ...empty, ...target });
        assert.equal(found.fingerprint, gauge.fingerprint);
    }
    for (const [group, sentence] of [
        [{ gains: 5 }, /source: gains: expected numbers, or numbers by name, and found 5/],
        [{ gains: Promise.resolve() }, /source: gains: is a promise; await it/],
        [{ activations: Promise.resolve() }, /source: activations: is a promise; await it/],
        [{ activations: new Float32Array(4) }, /source: activations: .*without a shape/],
        [{ gains: { final: null } }, /source: gains\/final: expected a Float32Array/],
    ])
        await assert.rejects(align({ ...source, ...group }, target), (error) => {
            assert(error instanceof RegaugeError, String(error));
            assert.match(error.message, sentence);
            return true;
        });
});

test("what gains answers is evidence", async () => {
    const known = await gains(source);
    assert(known instanceof Map && known.size > 0);
    const again = await gains({ gains: known });
    assert.deepEqual(again, known);
    const byName = new Map([[site, x]]);
    const expected = await align(sites(x), sites(y));
    assert.equal((await align({ activations: byName }, sites(y))).fingerprint, expected.fingerprint);
});
