// The wasm module on this thread, for tests that look inside.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { repository } from "./helpers.mjs";

/** A module of the package, by its file. */
export const inside = (name) => import(pathToFileURL(join(repository, "node/dist", name)).href);

/** module: "regauge", the package's calls without threads, "regauge-mt" with them, or "regauge-command"; wasm: the file of it that is taken. */
export async function loadEngine(module = "regauge", wasm = module) {
    const { Engine, sharedMemory } = await inside("engine.js");
    const { newThread } = await inside("start-wasm-thread-node.js");
    const { default: create } = await inside(`wasm/${module}.mjs`);
    const compile = async () => WebAssembly.compile(await readFile(join(repository, `node/dist/wasm/${wasm}.wasm`)));
    return Engine.load(
        create,
        compile,
        module === "regauge" ? undefined : { memory: sharedMemory(), newThread: () => newThread(module) },
    );
}

/** Surroundings of one job on disk, its files' counters at hand. */
export async function surroundings({ mounts = [], stopped = () => false } = {}) {
    const { MemoryFiles } = await inside("memory-files.js");
    const { DiskFiles } = await inside("host-node.js");
    const memory = new MemoryFiles(mounts, () => assert.fail());
    const temporaries = new Set();
    const disk = new DiskFiles((path, gone) => (gone ? temporaries.delete(path) : temporaries.add(path)));
    const reports = [];
    return {
        files: disk,
        disk,
        memory,
        temporaries,
        reports,
        onProgress: (report) => reports.push(report),
        stopped,
        out: () => {},
        err: () => {},
    };
}
