// Node's disk as a job sees it: files read by range, outputs written beside their place and renamed when whole.

import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";

import { attempt, isFolder, isThere, statOf } from "./attempts.js";
import { alreadyThere, codeOf, readFailure, words, writeFailure } from "./disk-errors.js";
import {
    failure,
    sortedByBytes,
    type Failure,
    type Hashing,
    type HostFile,
    type HostFiles,
    type HostOutput,
} from "./host.js";
import { inHubCache } from "./hub-cache.js";
import { InputsRead, refuseLinkOut } from "./inputs-read.js";
import { asideOf, Place } from "./place-node.js";

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

/**
 * Remembers every file it opened and every folder it listed: these are a job's inputs, and no output may replace, hold or lie inside one,
 * whatever name it is given by. One object is one job.
 */
export class DiskFiles implements HostFiles {
    readonly #onTemporary: OnTemporary;
    readonly #inputs = new InputsRead();
    /** Whether commit() waits until the disk has what was written. */
    #sync = true;
    /** Files and outputs that are open now: a job that is over has none. */
    handles = 0;

    constructor(onTemporary: OnTemporary) {
        this.#onTemporary = onTemporary;
    }

    withoutSync(): void {
        this.#sync = false;
    }

    exists(file: string): boolean {
        return isThere(inHubCache(file));
    }

    isFolder(file: string): boolean {
        return isFolder(inHubCache(file));
    }

    list(folder: string): readonly string[] | Failure {
        folder = inHubCache(folder);
        try {
            const names = fs.readdirSync(folder).filter((name) => !this.isFolder(path.join(folder, name)));
            this.#inputs.add(folder, true, fs.statSync(folder, { bigint: true }));
            return sortedByBytes(names);
        } catch (error) {
            return failure("missingFile", `cannot be listed: ${words(error)}`);
        }
    }

    /** Regular files only: a pipe, a device or a socket is refused without being opened, since reading it might never end. */
    open(file: string): HostFile | Failure {
        file = inHubCache(file);
        const leaves = refuseLinkOut(file, this.#inputs);
        if (leaves) return leaves;
        let descriptor: number, opened: fs.BigIntStats;
        try {
            const before = fs.statSync(file);
            if (!before.isFile()) return wrongKind(before);
            // Without waiting, for what may have become a pipe since.
            descriptor = fs.openSync(file, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0));
            opened = fs.fstatSync(descriptor, { bigint: true });
        } catch (error) {
            return failure(
                "missingFile",
                codeOf(error) === "ENOENT" ? "there is no such file" : `cannot be opened: ${words(error)}`,
            );
        }
        if (!opened.isFile()) {
            attempt(() => fs.closeSync(descriptor));
            return wrongKind(opened);
        }
        this.#inputs.add(file, false, opened);
        const size = Number(opened.size);
        ++this.handles;
        return {
            size,
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
                attempt(() => fs.closeSync(descriptor));
                --this.handles;
            },
        };
    }

    create(file: string, folder: boolean, overwrite: boolean): HostOutput | Failure {
        if (file === "") return failure("usage", "the output has no name");
        if (folder) file = withoutSlash(file);
        collectStale(file);
        const input = this.#refuseInputs(file, folder);
        if (input) return input;
        const present = statOf(file);
        if (isThere(file)) {
            if (!overwrite) return alreadyThere();
            if (folder ? !present?.isDirectory() : !present?.isFile())
                return failure(
                    "outputExists",
                    folder ? "is a file, and the output is a folder" : "is not a regular file, and the output is one",
                );
        }
        if (file.endsWith("/") || !isFolder(path.dirname(file)))
            return failure("writeFailed", "its folder does not exist; make it first");
        const temporary = temporaryFor(file);
        const members = new Set<string>();
        const place = new Place({ temporary, file, folder, members, inputs: this.#inputs });
        this.#onTemporary(temporary, false); // before it is there: the worker may be ended at any moment
        try {
            if (folder) fs.mkdirSync(temporary, { mode: this.#inputs.folderMode() });
            else fs.closeSync(fs.openSync(temporary, "wx", this.#inputs.fileMode("")));
        } catch (error) {
            if (codeOf(error) !== "EEXIST") removeTemporary(temporary); // else another's
            this.#onTemporary(temporary, true);
            return writeFailure(error);
        }
        ++this.handles;
        let descriptor: number | undefined;
        const close = (): void => {
            const open = descriptor;
            descriptor = undefined;
            if (open === undefined) return;
            try {
                if (this.#sync) fs.fsyncSync(open);
            } finally {
                fs.closeSync(open);
            }
        };
        const over = (): void => {
            this.#onTemporary(temporary, true);
            --this.handles;
        };
        const guarded = (action: () => Failure | void): Failure | undefined => {
            try {
                return action() ?? undefined;
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
                    if (member !== "") members.add(path.normalize(member));
                    descriptor = fs.openSync(target, "w", this.#inputs.fileMode(member));
                }),
            write: (_member, bytes) =>
                guarded(() => {
                    for (let written = 0; written < bytes.length;)
                        written += fs.writeSync(descriptor!, bytes, written, bytes.length - written);
                }),
            commit: () => {
                const failed =
                    guarded(close) ??
                    this.#inputs.changed() ??
                    this.#refuseInputs(file, folder) ??
                    guarded(() => place.take(overwrite, this.#sync));
                if (failed === undefined) over();
                return failed;
            },
            abandon: () => {
                guarded(close);
                if (!place.settled) removeTemporary(temporary);
                over();
            },
        };
    }

    #refuseInputs(file: string, folder: boolean): Failure | undefined {
        return folder ? this.#inputs.refuseAround(file) : this.#inputs.refuseInput(file);
    }
}

const ofOurs = /^\.(.+)\.regauge-(\d+)(?:-\d+)?(-old)?$/s;

let temporaries = 0;

/** A name that nothing has: what a killed process of the same number left is never touched. */
function temporaryFor(file: string): string {
    const stem = path.join(path.dirname(file), `.${path.basename(file)}.regauge-${process.pid}-`);
    for (;;) {
        const temporary = stem + String(temporaries++);
        if (!isThere(temporary) && !isThere(asideOf(temporary))) return temporary;
    }
}

/** Removes what a job left when it was killed. What it had moved aside goes back where nothing is. */
export function removeTemporary(temporary: string): void {
    try {
        const name = ofOurs.exec(path.basename(temporary))?.[1],
            aside = asideOf(temporary);
        if (name !== undefined && isThere(aside)) putBack(aside, path.join(path.dirname(temporary), name));
        fs.rmSync(temporary, { recursive: true, force: true });
    } catch {
        // Nothing more can be done: the folder may have become read-only.
    }
}

function putBack(aside: string, file: string): void {
    if (isThere(file)) fs.rmSync(aside, { recursive: true, force: true });
    else fs.renameSync(aside, file);
}

/** Removes what killed processes, native ones too, left beside an output. */
function collectStale(file: string): void {
    const folder = path.dirname(file);
    let names: string[] = [];
    try {
        names = fs.readdirSync(folder);
    } catch {
        // Told when the output is made.
    }
    for (const name of names) {
        const [, of, pid, aside] = ofOurs.exec(name) ?? [];
        if (of !== path.basename(file) || isAlive(Number(pid))) continue;
        const left = path.join(folder, name);
        try {
            if (aside) putBack(left, file);
            else fs.rmSync(left, { recursive: true, force: true });
        } catch {
            // Not ours to remove.
        }
    }
}

function isAlive(pid: number): boolean {
    if (!(pid > 0)) return true;
    try {
        process.kill(pid, 0);
        return true;
    } catch (error) {
        return codeOf(error) !== "ESRCH";
    }
}

/** "out/" means "out", of a folder. */
const withoutSlash = (file: string): string => file.replace(/(?<=[^/])\/+$/, "");

function wrongKind(stat: fs.StatsBase<number> | fs.StatsBase<bigint>): Failure {
    if (stat.isDirectory()) return failure("missingFile", "is a folder, and a file is needed");
    const kind = stat.isFIFO()
        ? "a pipe"
        : stat.isSocket()
          ? "a socket"
          : stat.isCharacterDevice() || stat.isBlockDevice()
            ? "a device"
            : "something else";
    return failure("missingFile", `is ${kind}, and a regular file is needed`);
}
