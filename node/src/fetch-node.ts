// The thread that asks servers for what read-url-node.ts waits for.

import { workerData, type MessagePort } from "node:worker_threads";

import type { Failure } from "./host.js";
import type { RangeRequest } from "./read-url-node.js";
import { brokenOff, headOf, patience, rangeHeaders, reasonOf, sizeIn, unreachable } from "./url-files.js";

const port = workerData as MessagePort;

async function fill({ file, begin, bytes }: RangeRequest): Promise<Failure | undefined> {
    const end = begin + bytes.byteLength;
    const into = new Uint8Array(bytes);
    let came = 0;
    try {
        const answer = await fetch(file.url, {
            headers: rangeHeaders(begin, end),
            signal: AbortSignal.timeout(patience),
        });
        const size = sizeIn(headOf(answer), begin, end, file, file.url);
        if (typeof size !== "number") {
            void answer.body?.cancel().catch(() => undefined);
            return size;
        }
        try {
            for await (const piece of answer.body! as unknown as AsyncIterable<Uint8Array>) {
                if (came + piece.length > into.length) return brokenOff(came + piece.length, into.length);
                into.set(piece, came);
                came += piece.length;
            }
        } catch {
            return brokenOff(came, into.length);
        }
        return came === into.length ? undefined : brokenOff(came, into.length);
    } catch (error) {
        return unreachable(reasonOf(error));
    }
}

port.on("message", (request: RangeRequest) => {
    void fill(request).then((failed) => {
        if (failed) port.postMessage(failed);
        const done = new Int32Array(request.done);
        Atomics.store(done, 0, 1);
        Atomics.notify(done, 0);
    });
});
