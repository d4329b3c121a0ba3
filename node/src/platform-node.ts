// Node, from the caller's thread.

import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";

import { refusal } from "./error.js";
import { removeTemporary } from "./host-node.js";
import type { Platform } from "./platform.js";
import type { FromWorker } from "./protocol.js";
import { inNode } from "./start.js";

export const nodePlatform: Platform = {
    parallelism: Math.max(1, availableParallelism()),
    canShare: true,
    whereItRuns: inNode,
    removeTemporary,

    start(onMessage, onCrash) {
        const worker = new Worker(new URL("./worker-node.js", import.meta.url), {
            execArgv: [], // flags of the caller's (--input-type, --test) are not for the worker
        });
        worker.on("message", (message: FromWorker) => onMessage(message));
        worker.on("error", (error: Error) => onCrash(error));
        worker.unref();
        return {
            post: (job, transfer) => worker.postMessage(job, transfer),
            terminate: async () => void (await worker.terminate()),
            keepsProcess: (busy) => (busy ? worker.ref() : worker.unref()),
        };
    },

    path(input) {
        if (typeof input === "string" && !/^file:\/\//i.test(input)) return input;
        const { protocol, href } = new URL(input);
        if (protocol !== "file:") throw refusal("usage", href, "only file: URLs can be read");
        return fileURLToPath(input);
    },

    readText(path) {
        try {
            return readFileSync(path, "utf8");
        } catch (error) {
            const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
            throw refusal(
                "missingFile",
                path,
                missing
                    ? "there is no such file"
                    : `cannot be read: ${error instanceof Error ? error.message : String(error)}`,
            );
        }
    },

    readable: async (blob) => new Uint8Array(await blob.arrayBuffer()),
    spillPath: async () => undefined, // large outputs are written with `out`
};
