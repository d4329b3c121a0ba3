// What the JavaScript benchmarks share: the machine, the clock, rows with a planted gauge, tables.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { npy, plantedPair } from "../../tests/js/helpers.mjs";

export { plantedPair };
export const repository = fileURLToPath(new URL("../..", import.meta.url));

/** "AMD EPYC, 2 processors, Node 20.1.0, munkres 2.0.4" */
export function machine(...peers) {
    const versions = peers.map(
        (peer) =>
            `${peer} ${JSON.parse(readFileSync(new URL(`node_modules/${peer}/package.json`, import.meta.url), "utf8")).version}`,
    );
    return [
        cpus()[0]?.model.trim() || process.arch,
        `${cpus().length} processors`,
        `Node ${process.versions.node}`,
        ...versions,
    ].join(", ");
}

/** CPU milliseconds of this process, all threads, and milliseconds by the clock. */
export async function timed(work) {
    const cpu = process.cpuUsage(),
        began = performance.now();
    const value = await work();
    const { user, system } = process.cpuUsage(cpu);
    return { value, cpu: (user + system) / 1000, wall: performance.now() - began };
}

/** The same of a program that is run to its end. */
export function timedProgram(program, args, environment = {}) {
    const { stderr, status } = spawnSync(
        "bash",
        ["-c", 'TIMEFORMAT="%R %U %S"; time "$@" > /dev/null', "bash", program, ...args],
        { env: { ...process.env, ...environment }, encoding: "utf8" },
    );
    if (status !== 0) throw new Error(stderr);
    const [wall, user, system] = stderr
        .trim()
        .split("\n")
        .at(-1)
        .split(" ")
        .map((seconds) => 1000 * Number(seconds));
    return { cpu: user + system, wall };
}

export const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
/** Of what several rounds gave: medians, field by field. */
export const medians = (rounds) => ({
    cpu: median(rounds.map(({ cpu }) => cpu)),
    wall: median(rounds.map(({ wall }) => wall)),
});

export const digits = (number) =>
    number >= 100 ? number.toFixed(0) : number >= 10 ? number.toFixed(1) : number.toFixed(2);

export function table(head, rows) {
    console.log([head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n"));
}

/** A planted pair as .npy files in a folder that is gone when the process ends. */
export function plantedFiles(d, rows) {
    const folder = mkdtempSync(join(tmpdir(), "regauge-bench-"));
    process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
    const pair = plantedPair(d, rows);
    const paths = { source: join(folder, "source.npy"), target: join(folder, "target.npy") };
    for (const side of ["source", "target"]) writeFileSync(paths[side], npy(pair[side].activations.data, [rows, d]));
    return { folder, gauge: pair.gauge, ...paths };
}

/** One engine on this thread. module: "regauge" or "regauge-mt". */
export async function loadEngine(module) {
    return (await import(pathToFileURL(join(repository, "tests/js/engine.mjs")).href)).loadEngine(module);
}
export async function surroundings() {
    return (await import(pathToFileURL(join(repository, "tests/js/engine.mjs")).href)).surroundings();
}

/** The native command that was built for the benchmarks. */
export const nativeCommand = process.env.REGAUGE_NATIVE ?? join(repository, "build/bench/regauge");
export const nativeVersion = () => execFileSync(nativeCommand, ["--version"], { encoding: "utf8" }).trim();
