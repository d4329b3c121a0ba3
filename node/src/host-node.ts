// Node's disk as a job sees it: files read by range, outputs written beside their place and renamed when whole.

import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";

import {
    failure,
    sortedByBytes,
    type Failure,
    type Hashing,
    type HostFile,
    type HostFiles,
    type HostOutput,
} from "./host.js";

/** Told of every temporary file or folder when it appears and when it is gone. */
export type OnTemporary = (path: string, gone: boolean) => void;

const hashedAtOnce = 2 ** 18;

/** read: the next bytes of what is hashed, none at its end. */
function hashing(read: (at: number) => Uint8Array): Hashing {
    const hash = createHash("sha256");
    let at = 0;
    return () => {
        try {
            const bytes = read(at);
            if (bytes.length === 0) return hash.digest("hex");
            hash.update(bytes);
            at += bytes.length;
            return undefined;
        } catch (error) {
            return readFailure(error);
        }
    };
}

export const hashBytes = (bytes: Uint8Array): Hashing => hashing((at) => bytes.subarray(at, at + hashedAtOnce));

export class DiskFiles implements HostFiles {
    readonly #onTemporary: OnTemporary;
    /** Files and outputs that are open now: a job that is over has none. */
    handles = 0;

    constructor(onTemporary: OnTemporary) {
        this.#onTemporary = onTemporary;
    }

    exists(file: string): boolean {
        return fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
    }

    isFolder(file: string): boolean {
        return fs.statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
    }

    list(folder: string): readonly string[] | Failure {
        try {
            return sortedByBytes(fs.readdirSync(folder).filter((name) => !this.isFolder(path.join(folder, name))));
        } catch (error) {
            return failure("missingFile", `cannot be listed: ${words(error)}`);
        }
    }

    open(file: string): HostFile | Failure {
        let descriptor: number;
        try {
            descriptor = fs.openSync(file, "r");
        } catch (error) {
            return failure(
                "missingFile",
                codeOf(error) === "ENOENT" ? "there is no such file" : `cannot be opened: ${words(error)}`,
            );
        }
        const stat = fs.fstatSync(descriptor);
        if (!stat.isFile()) {
            fs.closeSync(descriptor);
            return failure(
                "missingFile",
                stat.isDirectory() ? "is a folder, and a file is needed" : "is not a regular file",
            );
        }
        ++this.handles;
        return {
            size: stat.size,
            read: (offset, into) => {
                try {
                    for (let filled = 0; filled < into.length;) {
                        const count = fs.readSync(descriptor, into, filled, into.length - filled, offset + filled);
                        if (count === 0) return failure("truncated", "became shorter while it was being read");
                        filled += count;
                    }
                    return undefined;
                } catch (error) {
                    return readFailure(error);
                }
            },
            sha256: () => {
                const piece = new Uint8Array(hashedAtOnce);
                return hashing((at) => piece.subarray(0, fs.readSync(descriptor, piece, 0, piece.length, at)));
            },
            close: () => {
                fs.closeSync(descriptor);
                --this.handles;
            },
        };
    }

    create(file: string, folder: boolean, overwrite: boolean): HostOutput | Failure {
        if (file === "") return failure("usage", "the output has no name");
        const present = fs.statSync(file, { throwIfNoEntry: false });
        if (this.exists(file)) {
            if (!overwrite) return alreadyThere();
            if (folder ? !present?.isDirectory() : !present?.isFile())
                return failure(
                    "outputExists",
                    folder ? "is a file, and the output is a folder" : "is not a regular file, and the output is one",
                );
        }
        if (!this.isFolder(path.dirname(file)))
            return failure("writeFailed", "its folder does not exist; make it first");
        const temporary = path.join(
            path.dirname(file),
            `.${path.basename(file)}.regauge-${process.pid}-${temporaries++}`,
        );
        try {
            if (folder) fs.mkdirSync(temporary);
            else fs.closeSync(fs.openSync(temporary, "wx"));
        } catch (error) {
            return writeFailure(error);
        }
        this.#onTemporary(temporary, false);
        ++this.handles;
        let descriptor: number | undefined;
        const close = (): void => {
            if (descriptor !== undefined) fs.closeSync(descriptor);
            descriptor = undefined;
        };
        const over = (): void => {
            this.#onTemporary(temporary, true);
            --this.handles;
        };
        const guarded = (action: () => void): Failure | undefined => {
            try {
                action();
                return undefined;
            } catch (error) {
                return writeFailure(error);
            }
        };
        return {
            begin: (member) =>
                guarded(() => {
                    close();
                    const target = member === "" ? temporary : path.join(temporary, member);
                    if (member.includes("/")) fs.mkdirSync(path.dirname(target), { recursive: true });
                    descriptor = fs.openSync(target, "w");
                }),
            write: (_member, bytes) =>
                guarded(() => {
                    for (let written = 0; written < bytes.length;)
                        written += fs.writeSync(descriptor!, bytes, written, bytes.length - written);
                }),
            commit: () => {
                const failed =
                    guarded(close) ??
                    (!overwrite && fs.existsSync(file)
                        ? alreadyThere()
                        : guarded(() => replace(temporary, file, folder)));
                if (failed === undefined) over();
                return failed;
            },
            abandon: () => {
                guarded(close);
                removeTemporary(temporary);
                over();
            },
        };
    }
}

/** Removes what a job left when it was killed. */
export function removeTemporary(temporary: string): void {
    try {
        fs.rmSync(temporary, { recursive: true, force: true });
    } catch {
        // Nothing more can be done: the folder may have become read-only.
    }
}

let temporaries = 0;

/** Puts the whole output in its place. A folder that is there already is moved aside first and then removed, since folders cannot be renamed over one another. */
function replace(temporary: string, file: string, folder: boolean): void {
    if (!folder || !fs.existsSync(file)) {
        fs.renameSync(temporary, file);
        return;
    }
    const aside = `${temporary}-old`;
    fs.renameSync(file, aside);
    try {
        fs.renameSync(temporary, file);
    } catch (error) {
        fs.renameSync(aside, file);
        throw error;
    }
    fs.rmSync(aside, { recursive: true, force: true });
}

const alreadyThere = (): Failure =>
    failure("outputExists", "exists already; --force overwrites it, or choose another name with -o");

/** The system's own words (strerror), which Node gives only together with the call and the path. The native command prints the same. */
const systemWords: Readonly<Record<string, string>> = {
    EACCES: "Permission denied",
    EDQUOT: "Disk quota exceeded",
    EEXIST: "File exists",
    EFBIG: "File too large",
    EIO: "Input/output error",
    EISDIR: "Is a directory",
    ELOOP: "Too many levels of symbolic links",
    EMFILE: "Too many open files",
    ENAMETOOLONG: "File name too long",
    ENOENT: "No such file or directory",
    ENOTDIR: "Not a directory",
    ENOTEMPTY: "Directory not empty",
    EPERM: "Operation not permitted",
    EROFS: "Read-only file system",
};

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "");
const words = (error: unknown): string =>
    systemWords[codeOf(error)] ?? (error instanceof Error ? error.message : String(error));

const readFailure = (error: unknown): Failure => failure("missingFile", `cannot be read: ${words(error)}`);
const writeFailure = (error: unknown): Failure =>
    failure(
        "writeFailed",
        codeOf(error) === "ENOSPC"
            ? "the disk is full; nothing was written"
            : `cannot be written: ${words(error)}; nothing was written`,
    );
