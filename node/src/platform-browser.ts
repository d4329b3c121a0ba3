// Browsers, from the page's thread.

import { refusal } from "./error.js";
import { importedFromThere } from "./foreign-origin.js";
import type { Platform } from "./platform.js";
import type { FromWorker } from "./protocol.js";
import { removeSpill, spillPath } from "./spill.js";
import { inBrowsers } from "./start.js";

const noDisk = (input: string | URL): never => {
    throw refusal("usage", String(input), "a browser cannot open paths; give a File, a Blob or a Uint8Array");
};

/** Whether a worker gets what the Blob says: of a subclass that reads elsewhere (a hub's file, say) only the empty Blob would arrive. */
const isOwnBlob = (blob: Blob): boolean =>
    (["slice", "arrayBuffer", "stream"] as const).every((reading) => blob[reading] === Blob.prototype[reading]);

export const browserPlatform: Platform = {
    parallelism: Math.max(1, globalThis.navigator?.hardwareConcurrency ?? 1),
    canShare: globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer === "function",
    whereItRuns: inBrowsers,
    removeTemporary: (path) => void removeSpill(path),

    start(onMessage, onCrash) {
        const foreign = importedFromThere(import.meta.url, "./worker-browser.js");
        // In this form bundlers (Vite, webpack) see the worker and bring it along.
        const worker = foreign
            ? new Worker(foreign, { type: "module", name: "regauge" })
            : new Worker(new URL("./worker-browser.js", import.meta.url), { type: "module", name: "regauge" });
        worker.onmessage = (event: MessageEvent<FromWorker>) => onMessage(event.data);
        worker.onerror = (event) => {
            event.preventDefault();
            onCrash(new Error(event.message || "its script could not be loaded"));
        };
        return {
            post: (job, transfer) => worker.postMessage(job, [...transfer]),
            terminate: async () => worker.terminate(),
            keepsProcess: () => undefined,
        };
    },

    path: noDisk,
    readText: noDisk,
    readable: async (blob) => (isOwnBlob(blob) ? blob : new Uint8Array(await blob.arrayBuffer())),
    spillPath,
};
