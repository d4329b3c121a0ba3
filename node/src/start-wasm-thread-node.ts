// The wasm module's threads in Node, seen from who runs the module.

import { Worker } from "node:worker_threads";

import type { ThreadWorker } from "./engine.js";

/** A worker thread as a browser's Worker. It starts beside this one, which need not wait for it, and ends with it. */
export function newThread(module: string): ThreadWorker {
    const worker = new Worker(new URL("./wasm-thread-node.js", import.meta.url), {
        execArgv: [],
        workerData: `./wasm/${module}.mjs`,
    });
    const thread: ThreadWorker = {
        onmessage: null,
        onerror: null,
        postMessage: (message) => worker.postMessage(message),
        terminate: () => worker.terminate(),
    };
    worker.on("message", (data: unknown) => thread.onmessage?.(new MessageEvent("message", { data })));
    worker.on("error", (error) => thread.onerror?.(error as never));
    worker.unref();
    return thread;
}
