// Maps between any two models, through the package: fitMap, apply, applyBack, transport.
import assert from "node:assert/strict";
import test from "node:test";

import { fitMap, RegaugeError, transport } from "regauge";

/** Numbers in [-1, 1) that are the same every time. */
function numbers(count, seed) {
    let state = seed;
    return Float32Array.from({ length: count }, () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 31 - 1;
    });
}

const [rows, from, to] = [2000, 12, 20];
const [x, m, b] = [numbers(rows * from, 1), numbers(to * from, 2), numbers(to, 3)];
const noise = numbers(rows * to, 4);
const y = Float32Array.from({ length: rows * to }, (_, at) => {
    const [r, i] = [Math.floor(at / to), at % to];
    let sum = b[i] + 0.01 * noise[at];
    for (let j = 0; j < from; ++j) sum += m[i * from + j] * x[r * from + j];
    return sum;
});
const evidence = (data, d, site) => ({ activations: { [site]: { data, rows, d } } });

test("an affine map to another width is found, applied, and takes a vector along", async () => {
    const maps = await fitMap(evidence(x, from, "resid.1"), evidence(y, to, "resid.3"), {
        sites: [["resid.1", "resid.3"]],
    });
    assert.equal(maps.family, "affine");
    assert.ok(maps.report.r2 > 0.999, String(maps.report.r2));
    const point = x.subarray(0, from);
    const moved = maps.apply(point);
    assert.equal(moved.length, to);
    for (let i = 0; i < to; ++i) assert.ok(Math.abs(moved[i] - y[i]) < 0.05, `${moved[i]} is not ${y[i]}`);
    const back = maps.applyBack(y.subarray(0, to));
    for (let j = 0; j < from; ++j) assert.ok(Math.abs(back[j] - point[j]) < 0.05);

    // A direction moves as M v: what apply gives without its offset.
    const { files } = await transport(npy(point), maps);
    const values = new Float32Array((await files[0].blob.arrayBuffer()).slice(-4 * to));
    const offset = maps.apply(new Float32Array(from));
    for (let i = 0; i < to; ++i) assert.ok(Math.abs(values[i] - (moved[i] - offset[i])) < 1e-4);
    const { plan } = await transport(npy(point), maps, { dryRun: true });
    assert.equal(plan.tensors.length, 1);
});

test("what is wrong is refused in words", async () => {
    const maps = await fitMap(evidence(x, from, "a"), evidence(y, to, "b"), { sites: [["a", "b"]], family: "affine" });
    assert.throws(
        () => maps.apply([1, 2]),
        (error) => error instanceof RegaugeError && error.code === "dimensionMismatch",
    );
    const point = x.subarray(0, from);
    assert.throws(
        () => maps.apply(point, "a=c"),
        (error) => error.code === "usage",
    );
    // As transport takes it: by the source's site alone, too.
    assert.deepEqual(maps.apply(point, "a"), maps.apply(point, "a=b"));
    assert.deepEqual(maps.applyBack(y.subarray(0, to), "a"), maps.applyBack(y.subarray(0, to)));
    await transport(npy(point), maps, { site: "a" });
    for (const [given, code] of [
        [new Array(from).fill("1"), "wrongDtype"],
        [[...point.subarray(1), "1"], "wrongDtype"],
        [new BigInt64Array(from), "wrongDtype"],
        [{ data: point, dims: [from] }, "usage"],
        [undefined, "usage"],
        [Object.create(null), "usage"],
    ])
        assert.throws(() => maps.apply(given), { name: "RegaugeError", code });
    await assert.rejects(
        fitMap(evidence(x, from, "a"), evidence(y, to, "b"), { sites: [["a", "b"]], family: "gauge" }),
        (error) => error instanceof RegaugeError && /width|channels/.test(error.message),
    );
    await assert.rejects(fitMap(evidence(x, from, "a"), evidence(y, to, "b"), { family: "linear" }), { code: "usage" });
});

function npy(values) {
    const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${values.length},), }`.padEnd(117) + "\n";
    return new File(
        [new Uint8Array([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]), header, values],
        "direction.npy",
    );
}
