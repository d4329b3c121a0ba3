// Outputs too large for memory, in browsers: on the disk that a browser lends an origin (its private file system), from where a page saves them.

import type { Spill } from "./memory-files.js";

/** What only workers have, and TypeScript's library for windows lacks. */
interface SyncAccessHandle {
    write(bytes: Uint8Array, options: { readonly at: number }): number;
    flush(): void;
    close(): void;
}
type WorkerFileHandle = FileSystemFileHandle & { createSyncAccessHandle?: () => Promise<SyncAccessHandle> };

const prefix = "regauge-";
let folder: Promise<string | undefined> | undefined;

/** In a page: the path of a new file for one job's outputs; undefined where the browser has no such file system (or only for secure pages). */
export async function spillPath(): Promise<string | undefined> {
    const name = await (folder ??= claim().catch(() => undefined));
    return name && `${name}/${crypto.randomUUID()}`;
}

/** This page's folder. The page holds a lock of its name for as long as it lives; folders that nobody holds were left behind and go. */
async function claim(): Promise<string> {
    const name = prefix + crypto.randomUUID();
    await new Promise<void>((done, fail) => {
        const hold = (): Promise<never> => {
            done();
            return new Promise(() => undefined);
        };
        navigator.locks.request(name, hold).catch(fail);
    });
    const root = await navigator.storage.getDirectory();
    const { held = [] } = await navigator.locks.query();
    const living = new Set(held.map((lock) => lock.name));
    const names: string[] = [];
    for await (const other of (root as unknown as { keys(): AsyncIterable<string> }).keys()) names.push(other);
    for (const other of names)
        if (other.startsWith(prefix) && !living.has(other))
            await root.removeEntry(other, { recursive: true }).catch(() => undefined);
    return name;
}

async function parent(path: string): Promise<[FileSystemDirectoryHandle, string]> {
    const [directory, name] = path.split("/") as [string, string];
    const root = await navigator.storage.getDirectory();
    return [await root.getDirectoryHandle(directory, { create: true }), name];
}

/** Removes a job's outputs; Blobs of them can no longer be read. */
export async function removeSpill(path: string): Promise<void> {
    try {
        const [directory, name] = await parent(path);
        await directory.removeEntry(name);
    } catch {
        // It is gone already, or a worker that is just ending still holds it: then the next page sweeps it away.
    }
}

/** In a worker: the file opened for appending; undefined where the browser cannot do that, and outputs stay in memory. */
export async function openSpill(path: string): Promise<Spill | undefined> {
    try {
        const [directory, name] = await parent(path);
        const handle: WorkerFileHandle = await directory.getFileHandle(name, { create: true });
        const access = await handle.createSyncAccessHandle?.();
        if (!access) return undefined;
        let size = 0;
        return {
            get size() {
                return size;
            },
            append(bytes) {
                for (let at = 0; at < bytes.length;) {
                    const written = access.write(bytes.subarray(at), { at: size });
                    if (written === 0) throw new Error("the disk took nothing");
                    at += written;
                    size += written;
                }
            },
            async close() {
                access.flush();
                access.close();
                return handle.getFile();
            },
            async discard() {
                access.close();
                await removeSpill(path);
            },
        };
    } catch {
        return undefined;
    }
}
