// The worker in browsers.

import { Engine, sharedMemory, type Factory } from "./engine.js";
import { refusal } from "./error.js";
import { MemoryFiles } from "./memory-files.js";
import type { FromWorker, Job } from "./protocol.js";
import { server } from "./serve.js";

/** FileReaderSync, which TypeScript's library for windows lacks. */
declare class FileReaderSync {
    readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

const serve = server({
    load: async (module) => {
        if (module !== "regauge") throw refusal("unsupported", "", "the command line is for Node; call align, transport and the others");
        // Only the module that is used is loaded. Names in full: in this form bundlers see the files and bring them along.
        const memory = globalThis.crossOriginIsolated ? sharedMemory() : undefined;
        if (memory) {
            const { default: create }: { default: Factory } = await import("./wasm/regauge-mt.mjs");
            return Engine.load(create, () => compile(new URL("./wasm/regauge-mt.wasm", import.meta.url)), { memory, newThread });
        }
        const { default: create }: { default: Factory } = await import("./wasm/regauge.mjs");
        return Engine.load(create, () => compile(new URL("./wasm/regauge.wasm", import.meta.url)));
    },
    prepare: async (engine, { call, mounts, threads }) => {
        if (!("options" in call) || !["align", "trace", "correlation"].includes(call.name)) return;
        const { threads: asked = threads } = JSON.parse(call.options) as { threads?: number };
        const bytes = mounts.reduce((sum, { content }) => sum + (content instanceof Blob ? content.size : content.byteLength), 0);
        if (asked > 1 && bytes >= bytesWorthThreads) await engine.prepareThreads(asked);
    },
    memoryFiles: (job) => {
        const reader = new FileReaderSync();
        return new MemoryFiles(job.mounts, (blob, offset, into) => into.set(new Uint8Array(reader.readAsArrayBuffer(blob.slice(offset, offset + into.length)))));
    },
    files: (memory) => memory,
    out: (text) => console.log(text),
    err: (text) => console.error(text),
    send: (message: FromWorker) => globalThis.postMessage(message),
});
globalThis.onmessage = (event: MessageEvent<Job>) => void serve(event.data);

/** A worker takes some 30 ms to start, once. */
const bytesWorthThreads = 8 * 2 ** 20;

const newThread = (): Worker => new Worker(new URL("./wasm/regauge-mt.mjs", import.meta.url), { type: "module", name: "em-pthread" });

/** Compiles while the bytes arrive; some static hosts serve .wasm without its media type, which streaming refuses. */
async function compile(url: URL): Promise<WebAssembly.Module> {
    const response = await fetch(url, { credentials: "same-origin" });
    if (!response.ok) throw new Error(`${url.href} could not be loaded (${response.status})`);
    if (response.headers.get("content-type")?.startsWith("application/wasm")) return WebAssembly.compileStreaming(response);
    return WebAssembly.compile(await response.arrayBuffer());
}
