// Files that lie in memory or behind a Blob, and outputs that are handed back instead of written.

import {
    failure,
    sortedByBytes,
    type Failure,
    type Hashing,
    type HostFile,
    type HostFiles,
    type HostOutput,
} from "./host.js";
import { mostAtOnce, type ReadUrl, type UrlFile } from "./url-files.js";

/** One input under the path by which the job knows it. */
export interface Mount {
    readonly path: string;
    readonly content: Content;
}

/** A file's bytes, or what they can be read from by range. */
export type Content = Uint8Array | Blob | UrlFile;

export const sizeOf = (content: Content): number => (content instanceof Uint8Array ? content.length : content.size);

/** One file of a finished output: its path within a folder, or the output's own name. */
export interface OutputFile {
    readonly name: string;
    readonly blob: Blob;
}

/** A file on disk that outputs are appended to, where they would not fit in memory. */
export interface Spill {
    readonly size: number;
    /** Throws where the disk is full. */
    append(bytes: Uint8Array): void;
    /** Ends the writing, and gives the file. */
    close(): Promise<Blob>;
    /** Removes the file. */
    discard(): Promise<void>;
}

/** Reads a range of a Blob at once: FileReaderSync, which only browsers' workers have. */
export type ReadBlob = (blob: Blob, offset: number, into: Uint8Array) => void;

/** Node's own hashing; browsers have only one that is asynchronous. */
export type HashBytes = (bytes: Uint8Array) => Hashing;

/** A stretch of a Blob that was read ahead. */
interface Piece {
    begin: number;
    bytes: Uint8Array;
}

/** Fills `into` from `offset`. */
type ReadRange = (offset: number, into: Uint8Array) => Failure | undefined;

/**
 * Reads in pieces that grow while it is read in order: a range of a Blob read alone costs a call of about a millisecond in Chromium, one of a web
 * address a request, and matching a checkpoint asks for some hundred thousand ranges of a few kilobytes. Scattered reads stay as small as they
 * are.
 */
class ReadAhead {
    /** Bytes of a first piece, and of the largest: from there on the call's own cost is lost in the copying. */
    static readonly #first = 64 * 1024;
    static readonly #largest = mostAtOnce;
    /** Tensors that are read side by side, each from its own piece. */
    static readonly #pieces = 4;

    readonly #size: number;
    readonly #read: ReadRange;
    /** The one used last comes first. */
    readonly #kept: Piece[] = [];

    constructor(size: number, read: ReadRange) {
        this.#size = size;
        this.#read = read;
    }

    read(offset: number, into: Uint8Array): Failure | undefined {
        for (; into.length >= ReadAhead.#largest; offset += ReadAhead.#largest) {
            const failed = this.#read(offset, into.subarray(0, ReadAhead.#largest));
            if (failed) return failed;
            into = into.subarray(ReadAhead.#largest);
        }
        if (into.length === 0) return undefined;
        const piece = this.#covering(offset, into.length);
        if (!("bytes" in piece)) return piece;
        into.set(piece.bytes.subarray(offset - piece.begin, offset - piece.begin + into.length));
        return undefined;
    }

    #covering(offset: number, length: number): Piece | Failure {
        const known = this.#kept.findIndex(({ begin, bytes }) => offset >= begin && offset <= begin + 2 * bytes.length);
        const last = known >= 0 ? this.#kept.splice(known, 1)[0]! : undefined;
        const piece =
            last && offset + length <= last.begin + last.bytes.length ? last : this.#next(offset, length, last);
        if (!("bytes" in piece)) return piece;
        this.#kept.unshift(piece);
        this.#kept.length = Math.min(this.#kept.length, ReadAhead.#pieces);
        return piece;
    }

    /** A piece from `offset`, twice as long as the one that was read before it. */
    #next(offset: number, length: number, last: Piece | undefined): Piece | Failure {
        const wanted = last ? Math.min(2 * last.bytes.length, ReadAhead.#largest) : ReadAhead.#first;
        const bytes = new Uint8Array(Math.min(Math.max(wanted, length), this.#size - offset));
        return this.#read(offset, bytes) ?? { begin: offset, bytes };
    }
}

export class MemoryFiles implements HostFiles {
    readonly #mounts = new Map<string, Content>();
    readonly #readBlob: ReadBlob;
    readonly #readUrl: ReadUrl;
    readonly #spill: Spill | undefined;
    readonly #hash: HashBytes | undefined;
    /** Finished files: their contents, or where these begin and end in the spill. */
    readonly #outputs: {
        readonly name: string;
        readonly parts: readonly Uint8Array<ArrayBuffer>[];
        readonly begin: number;
        readonly end: number;
    }[] = [];
    /** Files and outputs that are open now: a job that is over has none. */
    handles = 0;

    /** spill: where outputs go that are too large for memory. */
    constructor(mounts: readonly Mount[], readBlob: ReadBlob, readUrl: ReadUrl, spill?: Spill, hash?: HashBytes) {
        this.#spill = spill;
        for (const { path, content } of mounts) this.#mounts.set(path, content);
        this.#readBlob = readBlob;
        this.#readUrl = readUrl;
        this.#hash = hash;
    }

    exists(path: string): boolean {
        return this.#mounts.has(path) || this.isFolder(path);
    }

    isFolder(path: string): boolean {
        for (const mounted of this.#mounts.keys()) if (mounted.startsWith(`${path}/`)) return true;
        return false;
    }

    list(folder: string): readonly string[] | Failure {
        const names: string[] = [];
        for (const mounted of this.#mounts.keys())
            if (mounted.startsWith(`${folder}/`) && !mounted.includes("/", folder.length + 1))
                names.push(mounted.slice(folder.length + 1));
        return sortedByBytes(names);
    }

    open(path: string): HostFile | Failure {
        const content = this.#mounts.get(path);
        if (content === undefined) return failure("missingFile", "there is no such file among those given");
        ++this.handles;
        const close = (): void => void --this.handles;
        const size = sizeOf(content);
        if (content instanceof Uint8Array)
            return {
                size,
                read: (offset, into) => void into.set(content.subarray(offset, offset + into.length)),
                sha256: () => this.#hash?.(content),
                close,
            };
        const ahead = new ReadAhead(size, this.#readerOf(content));
        const isBlob = content instanceof Blob;
        return {
            size,
            read: (offset, into) => ahead.read(offset, into),
            // Of a web address no more is fetched than a job needs: what is read by range has no hash.
            sha256: () => (isBlob ? undefined : () => ""),
            close,
        };
    }

    #readerOf(content: Blob | UrlFile): ReadRange {
        if (!(content instanceof Blob)) return (offset, into) => this.#readUrl(content, offset, into);
        return (offset, into) => {
            try {
                this.#readBlob(content, offset, into);
                return undefined;
            } catch (error) {
                // the file on disk changed or went away since it was chosen
                return failure(
                    "missingFile",
                    `cannot be read any more (${error instanceof Error ? error.message : String(error)}); choose it again`,
                );
            }
        };
    }

    create(path: string): HostOutput {
        const members = new Map<string, { parts: Uint8Array<ArrayBuffer>[]; begin: number; end: number }>();
        const spill = this.#spill;
        const name = path.slice(path.lastIndexOf("/") + 1);
        ++this.handles;
        return {
            begin: (member) => void members.set(member, { parts: [], begin: spill?.size ?? 0, end: spill?.size ?? 0 }),
            write: (member, bytes) => {
                const into = members.get(member)!;
                if (!spill) return void into.parts.push(new Uint8Array(bytes));
                try {
                    spill.append(bytes);
                } catch (error) {
                    return failure(
                        "writeFailed",
                        `the browser has no room for it on disk (${error instanceof Error ? error.message : String(error)}); free some, or use the regauge command`,
                    );
                }
                into.end = spill.size;
                return undefined;
            },
            commit: () => {
                for (const [member, content] of members)
                    this.#outputs.push({ name: member === "" ? name : member, ...content });
                --this.handles;
                return undefined;
            },
            abandon: () => void --this.handles,
        };
    }

    /** The outputs of a job that is done. */
    async finish(): Promise<readonly OutputFile[]> {
        const spilled = await this.#spill?.close();
        return this.#outputs.map(({ name, parts, begin, end }) => ({
            name,
            blob: spilled ? spilled.slice(begin, end) : new Blob([...parts]),
        }));
    }

    /** Leaves nothing of a job that failed. */
    async discard(): Promise<void> {
        await this.#spill?.discard();
    }
}
