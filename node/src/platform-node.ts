// Node, from the caller's thread.

import { constants } from "node:buffer";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";

import { refusal } from "./error.js";
import { DiskFiles, removeTemporary } from "./host-node.js";
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
        if (typeof input === "string" && !/^file:/i.test(input)) return input;
        try {
            const url = new URL(input);
            if (url.protocol === "file:") return fileURLToPath(url);
        } catch (error) {
            throw refusal(
                "usage",
                String(input),
                `names no file of this machine: ${error instanceof Error ? error.message : ""}`,
            );
        }
        throw refusal("usage", String(input), "only file: URLs can be read");
    },

    readText(path) {
        const file = new DiskFiles(() => undefined).open(path);
        if ("failure" in file) throw refusal(file.failure, path, file.message);
        try {
            if (file.size > constants.MAX_STRING_LENGTH) throw refusal("malformed", path, "too large for a gauge file");
            const bytes = new Uint8Array(file.size);
            const failed = file.read(0, bytes);
            if (failed) throw refusal(failed.failure, path, failed.message);
            return new TextDecoder().decode(bytes);
        } finally {
            file.close();
        }
    },

    readable: async (blob) => new Uint8Array(await blob.arrayBuffer()),
    spillPath: async () => undefined, // large outputs are written with `out`
};
