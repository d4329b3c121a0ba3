// What is given in place of a file and is none: one true sentence each.

import { shown } from "./error.js";
import { isFloats } from "./floats.js";

const isPromise = (input: object): boolean => "then" in input && typeof input.then === "function";

/** Why this value is no file, folder or evidence, and what to give; undefined of what may be a folder's contents by name. */
export function whyNotFile(input: unknown): string | undefined {
    if (typeof input !== "object" || input === null)
        return `expected a path, a file or evidence, and found ${shown(input)}`;
    if (isPromise(input)) return "is a promise; await it";
    if ("getReader" in input || "pipe" in input || Symbol.asyncIterator in input)
        return "is a stream, which can be read only once and in order; give await new Response(stream).blob()";
    if (isFloats(input))
        return "is a list of numbers without a shape; rows are { activations: { data, rows, d } } or a tensor { data, dims }";
    if (ArrayBuffer.isView(input)) return "is an array of whole numbers; a file's contents are a Uint8Array";
    return undefined;
}

/** Why this value is no gauge and no gauge file's object, and what to give; undefined of what may be. */
export function whyNotGauge(input: unknown): string | undefined {
    if (typeof input !== "object" || input === null) return undefined;
    if (isPromise(input)) return "is a promise; await it";
    if (input instanceof Blob || (typeof Response === "function" && input instanceof Response))
        return "is a file; give its text, await file.text()";
    if (input instanceof ArrayBuffer || ArrayBuffer.isView(input))
        return "is a file's contents; give its text, new TextDecoder().decode(contents)";
    if (!("format" in input) && "perm" in input && "sign" in input)
        return "is what a copy leaves of a Gauge, as for another thread; send gauge.toJSON()";
    return undefined;
}

/** Of a URL that is neither on a disk nor of a server. */
export const notFetched = "is not read by range; give await fetch(url), whose answer is taken as a file";

export const gaugeNotFetched = "is not fetched by regauge; give its text, await (await fetch(url)).text()";

/** What fetch understands, be it a string. */
export const isWebAddress = (input: string | URL): boolean => /^(?:https?|blob|data):/i.test(String(input));

/** What a server answers by range. */
export const isServed = (input: string | URL): boolean => /^https?:\/\//i.test(String(input));
