// What the disk refuses, in words: the native command prints the same.

import { failure, type Failure } from "./host.js";

/** The system's own words (strerror), which Node gives only together with the call and the path. */
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
    ENOSPC: "No space left on device",
    ENOTDIR: "Not a directory",
    ENOTEMPTY: "Directory not empty",
    EPERM: "Operation not permitted",
    EROFS: "Read-only file system",
};

export const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "");
export const words = (error: unknown): string =>
    systemWords[codeOf(error)] ?? (error instanceof Error ? error.message : String(error));

export const readFailure = (error: unknown): Failure => failure("missingFile", `cannot be read: ${words(error)}`);
export const writeFailure = (error: unknown): Failure =>
    failure(
        "writeFailed",
        codeOf(error) === "ENOSPC"
            ? "the disk is full; nothing was written"
            : `cannot be written: ${words(error)}; nothing was written`,
    );
export const alreadyThere = (): Failure =>
    failure("outputExists", "exists already; --force overwrites it, or choose another name with -o");
