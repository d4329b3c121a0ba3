// The assignment alone at d = 1024: regauge's as wasm beside npm's, on the matrices of tests/cpp/assignment_matrices.hpp. All start from the
// same scores, which the others want turned into costs first. Prints Markdown.
import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import hungarianOn3 from "hungarian-on3";
import munkres from "munkres";

import { digits, machine, medians, repository, table, timed } from "./measure.mjs";

const n = Number(process.argv[2] ?? 1024),
    names = process.argv.length > 3 ? process.argv.slice(3) : ["strong", "noise", "bos"];
const { default: create } = await import(
    pathToFileURL(process.env.REGAUGE_BENCH_WASM ?? join(repository, "build/wasm/regauge_bench.mjs")).href
);
const module = await create();

/** Ours takes a few milliseconds: the mean of as many as 100 ms hold. */
async function repeated(work) {
    let count = 0;
    const { value, cpu, wall } = await timed(() => {
        const began = performance.now();
        let answer;
        do ((answer = work()), ++count);
        while (performance.now() - began < 100);
        return answer;
    });
    return { value, cpu: cpu / count, wall: wall / count };
}

const rows = [];
for (const name of names) {
    const scores = module.makeMatrix(name, n);
    const most = scores.reduce((a, b) => Math.max(a, b));
    const costs = () =>
        Array.from({ length: n }, (_, i) => Float64Array.from({ length: n }, (_, j) => most - scores[i * n + j]));
    const total = (pairs) => pairs.reduce((sum, [i, j]) => sum + scores[i * n + j], 0);
    const contenders = {
        regauge: () => repeated(() => module.assignMade(n)),
        munkres: () => timed(() => total(munkres(costs()))),
        "hungarian-on3": () => timed(() => total(hungarianOn3(costs()))),
    };
    const times = {};
    for (let round = 0; round < 4; ++round)
        for (const [who, work] of Object.entries(contenders)) {
            const { value, ...time } = await work();
            assert.equal(value, module.assignMade(n), `${who} finds the greatest total of ${name}`);
            if (round > 0) (times[who] ??= []).push(time); // the first one warms
        }
    const [ours, ...theirs] = Object.values(times).map((list) => medians(list).cpu);
    rows.push([name, digits(ours), ...theirs.map(digits), `${digits(Math.min(...theirs) / ours)} x`]);
}
console.log(`${machine("munkres", "hungarian-on3")}; n = ${n}, CPU time of one thread, warm\n`);
table(["scores", "regauge, ms", "munkres, ms", "hungarian-on3, ms", "the better of regauge's"], rows);
