// The worker in browsers.

import { Engine, sharedMemory, type Factory } from "./engine.js";
import { refusal } from "./error.js";
import { importedFromThere } from "./foreign-origin.js";
import { MemoryFiles, sizeOf } from "./memory-files.js";
import type { FromWorker, Job } from "./protocol.js";
import { readUrl } from "./read-url-browser.js";
import { hasRelaxedSimd } from "./relaxed-simd.js";
import { server } from "./serve.js";
import { openSpill } from "./spill.js";
import { inBrowsers } from "./start.js";

/** FileReaderSync, which TypeScript's library for windows lacks. */
declare class FileReaderSync {
    readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

/** Bytes read between two hints. */
const hintEvery = 4 * 2 ** 20;

/**
 * Tells the garbage collector that buffers pile up. Every range read is a buffer of its own, and in a job that never returns to the event loop
 * browsers collect them late: reading 3 GB took the page's process to 900 MB in Chromium. The memory asked for here is never touched, so it is
 * never there, but it counts, and the collector comes after tens of megabytes instead of hundreds.
 */
function hintGarbage(): void {
    try {
        Reflect.construct(ArrayBuffer, [8 * hintEvery]); // minifiers leave out a `new` whose value is not used
    } catch {
        // No address space to spare: then it comes when it likes.
    }
}

const serve = server({
    load: async (module) => {
        if (module !== "regauge")
            throw refusal("unsupported", "", "the command line is for Node; call align, transport and the others");
        // Only the module that is used is loaded. Names in full: in this form bundlers see the files and bring them along.
        const memory = globalThis.crossOriginIsolated ? sharedMemory() : undefined;
        if (memory) {
            const { default: create }: { default: Factory } = await import("./wasm/regauge-mt.mjs");
            const wasm = hasRelaxedSimd()
                ? new URL("./wasm/regauge-mt-relaxed.wasm", import.meta.url)
                : new URL("./wasm/regauge-mt.wasm", import.meta.url);
            return Engine.load(create, () => compile(wasm), { memory, newThread });
        }
        const { default: create }: { default: Factory } = await import("./wasm/regauge.mjs");
        return Engine.load(create, () => compile(new URL("./wasm/regauge.wasm", import.meta.url)));
    },
    whereItRuns: inBrowsers,
    prepare: async (engine, { call, mounts, threads }) => {
        if (!("options" in call) || !["align", "trace", "correlation"].includes(call.name)) return;
        const { threads: asked = threads } = JSON.parse(call.options) as { threads?: number };
        const bytes = mounts.reduce((sum, { content }) => sum + sizeOf(content), 0);
        if (asked > 1 && bytes >= bytesWorthThreads) await engine.prepareThreads(asked);
    },
    memoryFiles: async (job) => {
        const reader = new FileReaderSync();
        let sinceHint = 0;
        const read = (blob: Blob, offset: number, into: Uint8Array): void => {
            into.set(new Uint8Array(reader.readAsArrayBuffer(blob.slice(offset, offset + into.length))));
            sinceHint += into.length;
            if (sinceHint < hintEvery) return;
            sinceHint = 0;
            hintGarbage();
        };
        return new MemoryFiles(job.mounts, read, readUrl, job.spill ? await openSpill(job.spill) : undefined);
    },
    files: (memory) => memory,
    out: (text) => console.log(text),
    err: (text) => console.error(text),
    send: (message: FromWorker) => {
        const array = message.type === "done" ? message.answer.array : undefined;
        globalThis.postMessage(message, { transfer: array ? [array.buffer as ArrayBuffer] : [] });
    },
});
globalThis.onmessage = (event: MessageEvent<Job>) => void serve(event.data);

/** A worker takes some 30 ms to start, once. */
const bytesWorthThreads = 8 * 2 ** 20;

const newThread = (): Worker => {
    const foreign = importedFromThere(import.meta.url, "./wasm/regauge-mt.mjs");
    return foreign
        ? new Worker(foreign, { type: "module", name: "em-pthread" })
        : new Worker(new URL("./wasm/regauge-mt.mjs", import.meta.url), { type: "module", name: "em-pthread" });
};

/** Compiles while the bytes arrive; some static hosts serve .wasm without its media type, which streaming refuses. */
async function compile(url: URL): Promise<WebAssembly.Module> {
    const response = await fetch(url, { credentials: "same-origin" });
    if (!response.ok) throw new Error(`${url.href} could not be loaded (${response.status})`);
    if (response.headers.get("content-type")?.startsWith("application/wasm"))
        return WebAssembly.compileStreaming(response);
    return WebAssembly.compile(await response.arrayBuffer());
}
