// Rows in memory to a gauge, d = 1024 and 4096 rows, one thread: regauge's wasm beside what else JavaScript has for it. Prints Markdown.
import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { Matrix } from "ml-matrix";
import munkres from "munkres";
import munkresJs from "munkres-js";
import * as ort from "onnxruntime-web";

import { align, dispose } from "regauge";

import { digits, machine, medians, plantedPair, table, timed } from "./measure.mjs";

const d = Number(process.argv[2] ?? 1024),
    rows = 4 * d,
    rounds = 3;
const { gauge, source, target } = plantedPair(d, rows);

/** Columns of mean 0 and length 1. */
function standardised({ activations: { data } }) {
    const sum = new Float64Array(d),
        squares = new Float64Array(d);
    for (let k = 0; k < data.length; ++k) ((sum[k % d] += data[k]), (squares[k % d] += data[k] ** 2));
    const scale = squares.map((square, j) => 1 / Math.sqrt(square - sum[j] ** 2 / rows));
    return data.map((value, k) => (value - sum[k % d] / rows) * scale[k % d]);
}

/** The permutation that maximises the sum of |r|, solved by what takes costs as rows of arrays and gives pairs. */
function permutation(values, solve) {
    const costs = Array.from({ length: d }, (_, i) =>
        Array.from({ length: d }, (_, j) => -Math.abs(values[i * d + j])),
    );
    const perm = new Array(d);
    for (const [i, j] of solve(costs)) perm[i] = j;
    return perm;
}

/** An ONNX model of one node, A^T B. */
function gemmModel() {
    const varint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)]);
    const number = (field, n) => [...varint(field << 3), ...varint(n)];
    const bytes = (field, content) => [...varint((field << 3) | 2), ...varint(content.length), ...content];
    const text = (field, string) => bytes(field, [...new TextEncoder().encode(string)]);
    const value = (name, shape) => [
        ...text(1, name),
        ...bytes(
            2,
            bytes(1, [
                ...number(1, 1),
                ...bytes(
                    2,
                    shape.flatMap((n) => bytes(1, number(1, n))),
                ),
            ]),
        ),
    ];
    const transposed = [...text(1, "transA"), ...number(3, 1), ...number(20, 2)];
    const node = [...text(1, "A"), ...text(1, "B"), ...text(2, "C"), ...text(4, "Gemm"), ...bytes(5, transposed)];
    const graph = [
        ...bytes(1, node),
        ...text(2, "g"),
        ...bytes(11, value("A", [rows, d])),
        ...bytes(11, value("B", [rows, d])),
        ...bytes(12, value("C", [d, d])),
    ];
    return Uint8Array.from([...number(1, 8), ...bytes(7, graph), ...bytes(8, number(2, 13))]);
}

ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(gemmModel(), { executionProviders: ["wasm"] });

const contenders = {
    async regauge() {
        return (await align(source, target, { statistic: "correlation", threads: 1 })).perm;
    },
    async "onnxruntime-web + munkres"() {
        const [x, y] = [source, target].map((side) => new ort.Tensor("float32", standardised(side), [rows, d]));
        return permutation((await session.run({ A: y, B: x })).C.data, munkres);
    },
    async "ml-matrix + munkres-js"() {
        const [x, y] = [source, target].map((side) => Matrix.from1DArray(rows, d, standardised(side)));
        return permutation(y.transpose().mmul(x).to1DArray(), (costs) => munkresJs(costs));
    },
};

const times = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc"); // so that nobody's time has another's garbage in it
const run = async (name) => {
    collectGarbage();
    const { value, ...time } = await timed(contenders[name]);
    assert.deepEqual([...value], [...gauge.perm], `${name} finds the planted permutation`);
    return time;
};
const [ours, best, slow] = Object.keys(contenders);
for (let k = 0; k < 4; ++k) for (const name of [ours, best]) await run(name); // warm: V8 has compiled both for the second time
for (let k = 0; k < rounds; ++k) for (const name of [ours, best]) times[name].push(await run(name));
times[slow].push(await run(slow)); // once: it takes long
await dispose();

console.log(
    `${machine("onnxruntime-web", "munkres", "ml-matrix", "munkres-js")}; d = ${d}, ${rows} rows, one thread, warm\n`,
);
const reference = medians(times[ours]);
table(
    ["", "CPU, ms", "clock, ms", "of regauge's CPU"],
    Object.entries(times).map(([name, list]) => {
        const { cpu, wall } = medians(list);
        return [name, digits(cpu), digits(wall), name === ours ? "" : `${digits(cpu / reference.cpu)} x`];
    }),
);
