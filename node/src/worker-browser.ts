// The worker in browsers.

import { Engine } from "./engine.js";
import { refusal } from "./error.js";
import { MemoryFiles } from "./memory-files.js";
import type { FromWorker, Job } from "./protocol.js";
import { server } from "./serve.js";
import createRegauge from "./wasm/regauge.mjs";

/** FileReaderSync, which TypeScript's library for windows lacks. */
declare class FileReaderSync {
    readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

const serve = server({
    load: async (module) => {
        if (module !== "regauge") throw refusal("unsupported", "", "the command line is for Node; call align, transport and the others");
        return Engine.load(createRegauge, () => compile(new URL("./wasm/regauge.wasm", import.meta.url)));
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

/** Compiles while the bytes arrive; some static hosts serve .wasm without its media type, which streaming refuses. */
async function compile(url: URL): Promise<WebAssembly.Module> {
    const response = await fetch(url, { credentials: "same-origin" });
    if (!response.ok) throw new Error(`${url.href} could not be loaded (${response.status})`);
    if (response.headers.get("content-type")?.startsWith("application/wasm")) return WebAssembly.compileStreaming(response);
    return WebAssembly.compile(await response.arrayBuffer());
}
