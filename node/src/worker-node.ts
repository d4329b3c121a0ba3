// The worker in Node.

import { readFile } from "node:fs/promises";
import { writeSync } from "node:fs";
import { parentPort } from "node:worker_threads";

import { Engine, sharedMemory, type Factory } from "./engine.js";
import { words } from "./disk-errors.js";
import { DiskFiles, hashBytes } from "./host-node.js";
import { refusal } from "./error.js";
import { failure, type Failure, type HostFiles } from "./host.js";
import { MemoryFiles } from "./memory-files.js";
import type { FromWorker, Job } from "./protocol.js";
import { readUrl } from "./read-url-node.js";
import { hasRelaxedSimd } from "./relaxed-simd.js";
import { server } from "./serve.js";
import { inNode } from "./start.js";
import { newThread } from "./start-wasm-thread-node.js";

if (!parentPort) throw new Error("worker-node.js runs as a worker only");
const port = parentPort;

const serve = server({
    load: async (module) => {
        const memory = sharedMemory();
        if (!memory && module !== "regauge")
            throw refusal(
                "tooLarge",
                "",
                "no 512 MB of shared memory can be had here; raise the limit on virtual memory",
            );
        const name = module === "regauge" && memory ? "regauge-mt" : module;
        const { default: create } = (await import(`./wasm/${name}.mjs`)) as { default: Factory };
        const wasm = name === "regauge-mt" && hasRelaxedSimd() ? `${name}-relaxed` : name;
        const compile = async (): Promise<WebAssembly.Module> =>
            WebAssembly.compile(await readFile(new URL(`./wasm/${wasm}.wasm`, import.meta.url)));
        return Engine.load(create, compile, memory && { memory, newThread: () => newThread(name) });
    },
    whereItRuns: inNode,
    memoryFiles: (job) => {
        const noBlob = (): never => {
            throw new Error("a Blob cannot be read at once in Node"); // the caller's side turns Blobs into arrays
        };
        return new MemoryFiles(job.mounts, noBlob, readUrl, undefined, hashBytes);
    },
    files: (memory, job, onTemporary) => overlay(memory, new DiskFiles(onTemporary), job.outputsInMemory),
    out: (text) => put(1, text),
    err: (text) => void put(2, text),
    send: (message: FromWorker) => port.postMessage(message),
});
port.on("message", (job: Job) => void serve(job));

/** Mounts hide the disk's files of the same name; outputs go to one of the two. */
function overlay(memory: MemoryFiles, disk: DiskFiles, outputsInMemory: boolean): HostFiles {
    const of = (path: string): HostFiles => (memory.exists(path) ? memory : disk);
    return {
        exists: (path) => of(path).exists(path),
        isFolder: (path) => of(path).isFolder(path),
        list: (folder) => of(folder).list(folder),
        open: (path) => of(path).open(path),
        create: (path, folder, overwrite) => (outputsInMemory ? memory : disk).create(path, folder, overwrite),
        withoutSync: () => disk.withoutSync(),
    };
}

const closed = new Set<number>();

/** Writes all of the text. A reader that went away (`regauge show g.json | head -1`) has what it wanted. */
function put(descriptor: 1 | 2, text: string): Failure | undefined {
    const bytes = new TextEncoder().encode(text);
    for (let written = 0; written < bytes.length && !closed.has(descriptor);) {
        try {
            written += writeSync(descriptor, bytes, written);
        } catch (error) {
            const code = error instanceof Error && "code" in error ? error.code : undefined;
            if (code === "EAGAIN")
                Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5); // a pipe that is full for now
            else if (code === "EPIPE" || descriptor === 2) closed.add(descriptor);
            else return failure("writeFailed", `the answer could not be written: ${words(error)}`);
        }
    }
    return undefined;
}
