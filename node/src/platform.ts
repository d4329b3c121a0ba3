// What differs between Node and browsers, seen from the caller's thread.

import type { WorkerStarter } from "./pool.js";

export interface Platform extends WorkerStarter {
    /** A path or a file: URL as a path on disk. Throws RegaugeError(usage) where there is no disk. */
    path(input: string | URL): string;
    /** A small text file, at once. Throws RegaugeError: missingFile, usage. */
    readText(path: string): string;
    /** What a worker can read by range: itself, or its bytes. */
    readable(blob: Blob): Promise<Blob | Uint8Array>;
    /** A path for outputs that would be too large to hand back from memory; undefined where there is none. */
    spillPath(): Promise<string | undefined>;
}
