// A thread of the wasm module in Node: what a browser's worker offers, then the module itself.

import { parentPort, workerData } from "node:worker_threads";

const port = parentPort!;
const scope = globalThis as typeof globalThis & { onmessage?: (event: { readonly data: unknown }) => void };
const module = new URL(workerData as string, import.meta.url).href;
Object.assign(scope, {
    self: scope,
    name: "em-pthread",
    location: { href: module },
    importScripts: () => undefined,
    postMessage: (message: unknown) => port.postMessage(message),
});
await import(module);
port.on("message", (data: unknown) => scope.onmessage?.({ data }));
