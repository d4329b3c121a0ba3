// Ranges of a web address in Node's worker: a thread of its own asks, and this one waits for it.

import { receiveMessageOnPort, MessageChannel, Worker, type MessagePort } from "node:worker_threads";

import type { Failure } from "./host.js";
import { patience, unreachable, type UrlFile } from "./url-files.js";

/** What the asking thread gets. */
export interface RangeRequest {
    readonly file: UrlFile;
    readonly begin: number;
    /** The bytes go here. */
    readonly bytes: SharedArrayBuffer;
    /** Not 0 once they are there, or a failure was sent. */
    readonly done: SharedArrayBuffer;
}

let asking: MessagePort | undefined;

function start(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker(new URL("./fetch-node.js", import.meta.url), {
        workerData: port2,
        transferList: [port2],
        execArgv: [],
    });
    worker.unref();
    port1.unref();
    return port1;
}

/** Milliseconds beyond the asking thread's own patience: it may still have to start. */
const grace = 30_000;

export function readUrl(file: UrlFile, offset: number, into: Uint8Array): Failure | undefined {
    asking ??= start();
    const bytes = new SharedArrayBuffer(into.length),
        done = new SharedArrayBuffer(4);
    asking.postMessage({ file, begin: offset, bytes, done } satisfies RangeRequest);
    if (Atomics.wait(new Int32Array(done), 0, 0, patience + grace) === "timed-out") {
        asking.close(); // what that thread says later is not an answer to the next question
        asking = undefined;
        return unreachable(`the answer was not there whole after ${(patience + grace) / 1000} s`);
    }
    const failed = receiveMessageOnPort(asking) as { message: Failure } | undefined;
    if (failed) return failed.message;
    into.set(new Uint8Array(bytes));
    return undefined;
}
