// The Hugging Face hub's cache on this machine: "org/name" is the folder that a download left there.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

function hubCache(): string {
    const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env;
    if (HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE) return (HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE)!;
    return path.join(HF_HOME || path.join(XDG_CACHE_HOME || path.join(os.homedir(), ".cache"), "huggingface"), "hub");
}

const ofTheHub = /^([A-Za-z0-9_][\w.-]*)\/([A-Za-z0-9_][\w.-]*)(\/.*)?$/;

/**
 * "Qwen/Qwen3-0.6B" or a file in it -> the same below models--Qwen--Qwen3-0.6B of the cache, where the path itself is not there and that
 * folder is; else the path as it is. Nothing is downloaded.
 */
export function inHubCache(file: string): string {
    const parts = ofTheHub.exec(file);
    if (!parts || fs.lstatSync(`${parts[1]}/${parts[2]}`, { throwIfNoEntry: false })) return file;
    const folder = path.join(hubCache(), `models--${parts[1]}--${parts[2]}`);
    return fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? folder + (parts[3] ?? "") : file;
}
