// The wasm engine beside the native one, its first call beside the later ones, and two threads beside one. Prints Markdown.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import {
    digits,
    loadEngine,
    machine,
    median,
    medians,
    nativeCommand,
    nativeVersion,
    plantedFiles,
    surroundings,
    table,
    timed,
    timedProgram,
} from "./measure.mjs";

const self = fileURLToPath(import.meta.url);
const [part, ...given] = process.argv.slice(2);
const rounds = 5;

const job = (source, target, statistic, threads) => ({
    call: { name: "align", source, target, options: JSON.stringify({ statistic }) },
    wantsProgress: false,
    threads,
});
const run = async (engine, ...what) => timed(async () => engine.run(job(...what), await surroundings()));

if (part === "cold") {
    // in a process of its own: the first calls of a fresh engine, as JSON
    const [source, target, statistic] = given;
    const engine = await loadEngine("regauge");
    const times = [];
    for (let k = 0; k < 4; ++k) times.push((await run(engine, source, target, statistic, 1)).wall);
    console.log(JSON.stringify(times));
    process.exit();
}

const d = 1024,
    rows = 4096;
const { folder, source, target } = plantedFiles(d, rows);
console.log(`${machine()}, ${nativeVersion()}; d = ${d}, ${rows} rows\n`);
const lines = [];
for (const statistic of ["correlation", "whitened"]) {
    const single = await loadEngine("regauge"),
        threaded = await loadEngine("regauge-mt");
    await threaded.prepareThreads(2);
    const native = (threads, isa) =>
        timedProgram(
            nativeCommand,
            [
                "align",
                source,
                target,
                "-o",
                join(folder, "gauge.json"),
                "--force",
                "--quiet",
                "--statistic",
                statistic,
                "--threads",
                String(threads),
            ],
            isa ? { REGAUGE_ISA: isa } : {},
        );
    const contenders = {
        wasm: () => run(single, source, target, statistic, 1),
        sse42: () => native(1, "sse42"),
        one: () => run(threaded, source, target, statistic, 1),
        two: () => run(threaded, source, target, statistic, 2),
        nativeOne: () => native(1),
        nativeTwo: () => native(2),
    };
    const times = {};
    for (let k = 0; k <= rounds; ++k)
        for (const [who, work] of Object.entries(contenders)) {
            const time = await work();
            if (k > 0) (times[who] ??= []).push(time);
        }
    const of = Object.fromEntries(Object.entries(times).map(([who, list]) => [who, medians(list)]));
    const cold = Array.from({ length: rounds }, () =>
        JSON.parse(execFileSync(process.execPath, [self, "cold", source, target, statistic], { encoding: "utf8" })),
    );
    const [first, later] = [median(cold.map(([time]) => time)), median(cold.map((list) => median(list.slice(1))))];
    const ratio = (a, b) => `${digits(a)} | ${digits(b)} | ${digits(a / b)}`;
    lines.push([`${statistic}: native SSE4.2 to wasm, one thread, CPU`, ratio(of.sse42.cpu, of.wasm.cpu)]);
    lines.push([`${statistic}: wasm without threads to wasm with, one thread, CPU`, ratio(of.wasm.cpu, of.one.cpu)]);
    lines.push([`${statistic}: warm to first call, wasm, clock`, ratio(later, first)]);
    lines.push([`${statistic}: one thread to two, wasm, clock`, ratio(of.one.wall, of.two.wall)]);
    lines.push([
        `${statistic}: one thread to two, wasm, CPU (1: nothing is done twice)`,
        ratio(of.one.cpu, of.two.cpu),
    ]);
    lines.push([`${statistic}: one thread to two, native, clock`, ratio(of.nativeOne.wall, of.nativeTwo.wall)]);
    lines.push([
        `${statistic}: one thread to two, native, CPU (1: nothing is done twice)`,
        ratio(of.nativeOne.cpu, of.nativeTwo.cpu),
    ]);
}
table(["", "first, ms", "second, ms", "ratio"], lines);
process.exit();
