// What a job in C++ may ask of JavaScript (wasm/host.hpp is the other half). Every call is synchronous and none throws:
// a call that can fail returns a Failure instead.

import type { ErrorCode } from "./error.js";

export interface Failure {
    readonly failure: ErrorCode;
    /** The sentence without the path, which C++ adds. */
    readonly message: string;
}

/** Each call takes in a next piece, about a millisecond's; the last one gives the digest in lower-case hexadecimal. */
export type Hashing = () => string | undefined | Failure;

export interface HostFile {
    readonly size: number;
    /** Fills `into`, a view of wasm memory that must not be kept, from `offset`. The range lies within the file. */
    read(offset: number, into: Uint8Array): Failure | undefined;
    /** Begins the SHA-256 of all bytes, where the host has a fast one that answers at once; else C++ reads them. */
    sha256(): Hashing | undefined;
    close(): void;
}

/** A file or a folder of files that appears whole or not at all. */
export interface HostOutput {
    /** Starts a member; "" where the output is one file. */
    begin(member: string): Failure | undefined;
    /** Appends `bytes`, a view of wasm memory that must not be kept, to the member begun last. */
    write(member: string, bytes: Uint8Array): Failure | undefined;
    commit(): Failure | undefined;
    /** Leaves nothing behind. */
    abandon(): void;
}

export interface HostFiles {
    exists(path: string): boolean;
    isFolder(path: string): boolean;
    /** Names of the files directly in a folder, sorted by their UTF-8 bytes. */
    list(folder: string): readonly string[] | Failure;
    open(path: string): HostFile | Failure;
    create(path: string, folder: boolean, overwrite: boolean): HostOutput | Failure;
    /** From now on outputs need not be on disk when they are committed. Absent where there is no disk. */
    withoutSync?(): void;
}

export interface Host extends HostFiles {
    /** Hears how far a job is; false stops it. */
    progress(stage: string, done: number, total: number): boolean;
    cancelled(): boolean;
    /** Takes a copy of a job's array. */
    array(values: Float32Array): void;
    /** Standard output; a failure where the text is lost. */
    out(text: string): Failure | void;
    err(text: string): void;
    readonly errIsTerminal: boolean;
    /** For a job that does not say how many. */
    readonly threads: number;
}

export function failure(code: ErrorCode, message: string): Failure {
    return { failure: code, message };
}

const encoder = new TextEncoder();

/** Sorts by UTF-8 bytes, as C++ compares std::string: JavaScript's own order is by UTF-16 units and differs beyond the BMP. */
export function sortedByBytes(names: Iterable<string>): string[] {
    const compare = (a: Uint8Array, b: Uint8Array): number => {
        const shorter = Math.min(a.length, b.length);
        for (let k = 0; k < shorter; ++k) if (a[k] !== b[k]) return a[k]! - b[k]!;
        return a.length - b.length;
    };
    return [...names]
        .map((name) => ({ name, bytes: encoder.encode(name) }))
        .sort((a, b) => compare(a.bytes, b.bytes))
        .map(({ name }) => name);
}
