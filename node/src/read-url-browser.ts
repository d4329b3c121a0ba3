// Ranges of a web address in a browser's worker, where a request may be waited for.

import type { Failure } from "./host.js";
import { brokenOff, patience, rangeHeaders, reasonOf, sizeIn, unreachable, type UrlFile } from "./url-files.js";

export function readUrl(file: UrlFile, offset: number, into: Uint8Array): Failure | undefined {
    const request = new XMLHttpRequest();
    try {
        request.open("GET", file.url, false);
        request.responseType = "arraybuffer";
        request.timeout = patience;
        for (const [name, value] of Object.entries(rangeHeaders(offset, offset + into.length)))
            request.setRequestHeader(name, value);
        request.send();
    } catch (error) {
        // What XMLHttpRequest says is "Failed to execute 'send'": of one sort for every reason.
        const late = error instanceof DOMException && error.name === "TimeoutError";
        return unreachable(reasonOf(late ? error : new TypeError("Failed to fetch")));
    }
    const head = {
        status: request.status,
        url: request.responseURL,
        header: (name: string) => request.getResponseHeader(name),
    };
    const size = sizeIn(head, offset, offset + into.length, file, file.url);
    if (typeof size !== "number") return size;
    const bytes = new Uint8Array((request.response as ArrayBuffer | null) ?? new ArrayBuffer(0));
    if (bytes.length !== into.length) return brokenOff(bytes.length, into.length);
    into.set(bytes);
    return undefined;
}
