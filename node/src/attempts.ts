// System calls whose failure is an answer: what cannot be looked at is not there.

import * as fs from "node:fs";

/** Whether the system did it. What it leaves is the next run's. */
export function attempt(action: () => void): boolean {
    try {
        action();
        return true;
    } catch {
        return false;
    }
}

/** Whether the path names anything, be it a link that leads nowhere. */
export function isThere(file: string): boolean {
    try {
        return fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
    } catch {
        return false;
    }
}

/** undefined where the path leads nowhere: a link to itself, too. */
export function statOf(file: string): fs.Stats | undefined {
    try {
        return fs.statSync(file, { throwIfNoEntry: false });
    } catch {
        return undefined;
    }
}

export const isFolder = (file: string): boolean => statOf(file)?.isDirectory() ?? false;
