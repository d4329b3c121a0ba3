// How an output that is whole takes its place on disk: in Node as in native/native_files.cpp where names cannot be exchanged.

import * as fs from "node:fs";
import * as path from "node:path";

import { attempt, isThere } from "./attempts.js";
import { alreadyThere, codeOf, words } from "./disk-errors.js";
import { failure, type Failure } from "./host.js";
import type { InputsRead } from "./inputs-read.js";

/** What was written beside its place. */
export interface Staged {
    readonly temporary: string;
    readonly file: string;
    readonly folder: boolean;
    /** Of a folder, as written. */
    readonly members: ReadonlySet<string>;
    readonly inputs: InputsRead;
}

/** Where what was at the path is, once the new is there: it was nothing; moved aside; or lost, where the system can but replace. */
type Former = "nothing" | "aside" | "lost";

export const asideOf = (temporary: string): string => `${temporary}-old`;

export class Place {
    readonly #staged: Staged;
    readonly #aside: string;
    #former: Former = "nothing";
    /** Whether nothing is removed any more: the output is in its place, or it was said where things are. */
    settled = false;

    constructor(staged: Staged) {
        this.#staged = staged;
        this.#aside = asideOf(staged.temporary);
    }

    /** Where it throws, what was at the path is there. Where that could not be had, the failure says where things are. */
    take(overwrite: boolean, sync: boolean): Failure | undefined {
        const { temporary, file, folder, members } = this.#staged;
        if (folder && sync) syncFolders(temporary, members);
        const failed =
            overwrite && isThere(file)
                ? folder
                    ? this.#replaceFolder()
                    : this.#replaceFile(sync)
                : placeNew(temporary, file, folder);
        if (failed) return failed;
        const unconfirmed = sync ? this.#syncPlace() : undefined;
        this.settled = true;
        if (!unconfirmed) this.#removeFormer();
        return unconfirmed;
    }

    /** Waits until the disk has the new name. Where it does not say so, the former comes back, and it throws. */
    #syncPlace(): Failure | undefined {
        const { file } = this.#staged;
        try {
            syncFolder(path.dirname(file));
            return undefined;
        } catch (error) {
            if (this.#takeBack()) throw error;
            if (this.#former === "aside" && !isThere(file)) return this.#isAside(error);
            const kept = this.#former === "aside" ? `; what was there is now at ${this.#aside}` : "";
            return failure(
                "writeFailed",
                `is in its place, but the disk does not confirm it; check it, and write it again if need be${kept}`,
            );
        }
    }

    #takeBack(): boolean {
        const { temporary, file, folder } = this.#staged;
        if (this.#former === "lost") return false;
        try {
            if (folder || this.#former === "nothing") fs.renameSync(file, temporary);
            if (this.#former === "aside") fs.renameSync(this.#aside, file);
        } catch {
            return false;
        }
        attempt(() => syncFolder(path.dirname(file)));
        return true;
    }

    #replaceFile(sync: boolean): undefined {
        const { temporary, file } = this.#staged;
        this.#former = "lost";
        // A second name keeps the old until the disk has the new.
        if (sync && attempt(() => fs.linkSync(file, this.#aside))) this.#former = "aside";
        fs.renameSync(temporary, file);
    }

    /** In two steps, since folders cannot be renamed over one another and Node has no exchange. Killed between them, the next run puts the old one back. */
    #replaceFolder(): Failure | undefined {
        const { temporary, file, members, inputs } = this.#staged;
        const refused = onlyMembers(file, members, inputs);
        if (refused) return refused;
        fs.renameSync(file, this.#aside);
        this.#former = "aside";
        try {
            fs.renameSync(temporary, file);
            return undefined;
        } catch (error) {
            if (attempt(() => fs.renameSync(this.#aside, file))) throw error;
            this.settled = true;
            return this.#isAside(error);
        }
    }

    #isAside(error: unknown): Failure {
        return failure("writeFailed", `cannot be written: ${words(error)}; what was there is now at ${this.#aside}`);
    }

    #removeFormer(): void {
        if (this.#former !== "aside") return;
        if (this.#staged.folder) removeMembers(this.#aside, this.#staged.members);
        else attempt(() => fs.unlinkSync(this.#aside));
    }
}

/** Puts the output in its place where nothing is. A refusal where something is by now. */
function placeNew(temporary: string, file: string, folder: boolean): Failure | undefined {
    try {
        if (folder) {
            if (isThere(file)) return alreadyThere();
            fs.renameSync(temporary, file); // replaces an empty folder only: nothing is lost
            return undefined;
        }
        try {
            fs.linkSync(temporary, file);
        } catch (error) {
            if (codeOf(error) === "EEXIST") throw error;
            if (isThere(file)) return alreadyThere(); // a file system without links: what is left is to look first
            fs.renameSync(temporary, file);
            return undefined;
        }
        attempt(() => fs.unlinkSync(temporary));
        return undefined;
    } catch (error) {
        if (["EEXIST", "ENOTEMPTY", "ENOTDIR"].includes(codeOf(error))) return alreadyThere();
        throw error;
    }
}

/** A refusal where the folder holds anything but files of the names that are written now. */
function onlyMembers(file: string, members: ReadonlySet<string>, inputs: InputsRead): Failure | undefined {
    if (fs.lstatSync(file).isSymbolicLink())
        return failure(
            "outputExists",
            "is a link, and only a folder itself is replaced; remove the link, or choose another name with -o",
        );
    const look = (folder: string): Failure | undefined => {
        for (const entry of fs.readdirSync(path.join(file, folder), { withFileTypes: true })) {
            const name = path.join(folder, entry.name);
            const isOurs = entry.isDirectory()
                ? [...members].some((member) => member.startsWith(name + path.sep))
                : entry.isFile() && members.has(name);
            if (!isOurs || inputs.has(path.join(file, name)))
                return failure(
                    "outputExists",
                    `holds ${name}, which is nothing that would be written there again; move it away, or choose another name with -o`,
                );
            const inside = entry.isDirectory() ? look(name) : undefined;
            if (inside) return inside;
        }
        return undefined;
    };
    return look("");
}

/** Removes members and the folders that held them, and nothing that came there since it was looked through. */
function removeMembers(folder: string, members: ReadonlySet<string>): void {
    for (const member of members) attempt(() => fs.unlinkSync(path.join(folder, member)));
    for (const member of members)
        for (let at = path.dirname(member); at !== "."; at = path.dirname(at))
            attempt(() => fs.rmdirSync(path.join(folder, at)));
    attempt(() => fs.rmdirSync(folder));
}

/** Waits until the disk has a folder's entries. Where a folder cannot be opened or synced, that is left to the system. */
function syncFolder(folder: string): void {
    let descriptor: number | undefined;
    try {
        descriptor = fs.openSync(folder, "r");
        fs.fsyncSync(descriptor);
    } catch (error) {
        if (["EIO", "ENOSPC", "EDQUOT"].includes(codeOf(error))) throw error;
    } finally {
        if (descriptor !== undefined) fs.closeSync(descriptor);
    }
}

function syncFolders(top: string, members: ReadonlySet<string>): void {
    const folders = new Set([""]);
    for (const member of members)
        for (let at = path.dirname(member); at !== "."; at = path.dirname(at)) folders.add(at);
    for (const folder of folders) syncFolder(path.join(top, folder));
}
