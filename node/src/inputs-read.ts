// What a job has read so far, by device and inode: what its outputs must leave alone. native/inputs_read.hpp is the same.

import * as fs from "node:fs";
import * as path from "node:path";

import { failure, type Failure } from "./host.js";

const permissions = 0o777;
const readAndWrite = 0o666;
const ownerReadsAndWrites = 0o600;
const ownerEnters = 0o700;

interface Input {
    readonly path: string;
    readonly folder: boolean;
    readonly stat: fs.BigIntStats;
}

const identity = (stat: fs.BigIntStats): string => `${stat.dev}:${stat.ino}`;

/** Of what the path leads to, through links; undefined where that is not there. */
function identityAt(file: string): string | undefined {
    try {
        return identity(fs.statSync(file, { bigint: true }));
    } catch {
        return undefined;
    }
}

/** The folders above a path, links resolved. */
function above(file: string): string[] {
    const found: string[] = [];
    let at = path.resolve(file);
    try {
        at = fs.realpathSync(at);
    } catch {
        try {
            at = path.join(fs.realpathSync(path.dirname(at)), path.basename(at));
        } catch {
            // Its folder is not there either: told when it is made.
        }
    }
    for (let outer = path.dirname(at); outer !== at; at = outer, outer = path.dirname(at)) {
        const known = identityAt(outer);
        if (known) found.push(known);
    }
    return found;
}

export class InputsRead {
    readonly #inputs = new Map<string, Input>();

    add(file: string, folder: boolean, stat: fs.BigIntStats): void {
        const key = identity(stat);
        if (!this.#inputs.has(key)) this.#inputs.set(key, { path: file, folder, stat });
    }

    /** Whether what the path leads to was read. */
    has(file: string): boolean {
        return this.#inputs.has(identityAt(file) ?? "");
    }

    /** A refusal where `file` leads to one that was read. */
    refuseInput(file: string): Failure | undefined {
        const input = this.#inputs.get(identityAt(file) ?? "");
        return (
            input &&
            failure("usage", `is the input itself (${input.path}), which is never overwritten; name another output`)
        );
    }

    /** A refusal where the folder holds something that was read, or lies inside a folder that was. */
    refuseAround(folder: string): Failure | undefined {
        const refused = this.refuseInput(folder);
        if (refused) return refused;
        for (const outer of above(folder)) {
            const input = this.#inputs.get(outer);
            if (input?.folder)
                return failure(
                    "usage",
                    `lies inside the input (${input.path}), which is never changed; name another output`,
                );
        }
        const own = identityAt(folder);
        for (const input of this.#inputs.values())
            if (own !== undefined && above(input.path).includes(own))
                return failure(
                    "usage",
                    `holds the input (${input.path}), which is never overwritten; name another output`,
                );
        return undefined;
    }

    /** A refusal, and where, should a file have been written to since it was opened. */
    changed(): Failure | undefined {
        for (const input of this.#inputs.values()) {
            if (input.folder) continue;
            let now: fs.BigIntStats;
            try {
                now = fs.statSync(input.path, { bigint: true });
            } catch {
                continue;
            }
            if (identity(now) !== identity(input.stat)) continue; // replaced: what was opened is still the old one
            if (now.size !== input.stat.size || now.mtimeNs !== input.stat.mtimeNs)
                return failure(
                    "truncated",
                    `is not written: ${input.path} was changed while it was being read; run the command again when nothing writes to it`,
                );
        }
        return undefined;
    }

    /** The permissions of an output: those of the input file of that name, else those that all input files grant. */
    fileMode(name: string): number {
        let all = readAndWrite,
            named = 0;
        for (const input of this.#inputs.values()) {
            if (input.folder) continue;
            const mode = Number(input.stat.mode) & readAndWrite;
            all &= mode | ownerReadsAndWrites;
            if (name !== "" && path.basename(input.path) === path.basename(name))
                named = named === 0 ? mode : named & mode;
        }
        return (named === 0 ? all : named) | ownerReadsAndWrites;
    }

    folderMode(): number {
        let all = permissions;
        for (const input of this.#inputs.values()) if (input.folder) all &= Number(input.stat.mode) | ownerEnters;
        return all;
    }
}

/**
 * A refusal where a file of an input folder is a link to somewhere else, which the folder's owner could not have meant to hand out. The hub's
 * cache keeps its files as links from models--x/snapshots/<commit> to models--x/blobs: these are the folder's own.
 */
export function refuseLinkOut(file: string, inputs: InputsRead): Failure | undefined {
    const parent = path.dirname(file);
    try {
        if (!fs.lstatSync(file).isSymbolicLink() || !inputs.has(parent)) return undefined; // named by the user, and not found in a folder
        const folder = fs.realpathSync(parent),
            to = fs.realpathSync(file);
        const isBelow = (outer: string): boolean => to.startsWith(outer.endsWith(path.sep) ? outer : outer + path.sep);
        if (isBelow(folder)) return undefined;
        for (let at = folder; path.dirname(at) !== at; at = path.dirname(at))
            if (path.basename(at) === "snapshots" && fs.existsSync(path.join(path.dirname(at), "blobs")))
                if (isBelow(fs.realpathSync(path.join(path.dirname(at), "blobs")))) return undefined;
        return failure(
            "unsupported",
            `is a link that leaves its folder, to ${to}; put a copy of the file in its place if it belongs here`,
        );
    } catch {
        return undefined; // what leads nowhere is told when it is opened
    }
}
