// The Hugging Face hub's cache on this machine: "org/name" is the folder that a download left there.

import * as path from "node:path";

import { isFolder, isThere } from "./attempts.js";

/** undefined where the environment says nothing of it, nor of a home. */
function hubCache(): string | undefined {
    const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, HOME, USERPROFILE } = process.env;
    if (HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE) return HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE;
    if (HF_HOME) return path.join(HF_HOME, "hub");
    if (XDG_CACHE_HOME) return path.join(XDG_CACHE_HOME, "huggingface", "hub");
    const home = process.platform === "win32" ? USERPROFILE : HOME;
    return home && path.join(home, ".cache", "huggingface", "hub");
}

const ofTheHub = /^([A-Za-z0-9_][\w.-]*)\/([A-Za-z0-9_][\w.-]*)(\/.*)?$/;

/**
 * "Qwen/Qwen3-0.6B" or a file in it -> the same below models--Qwen--Qwen3-0.6B of the cache, where the path itself is not there and that
 * folder is; else the path as it is. Nothing is downloaded.
 */
export function inHubCache(file: string): string {
    const parts = ofTheHub.exec(file);
    if (!parts || isThere(`${parts[1]}/${parts[2]}`)) return file;
    const cache = hubCache();
    if (!cache) return file;
    const folder = path.join(cache, `models--${parts[1]}--${parts[2]}`);
    return isFolder(folder) ? folder + (parts[3] ?? "") : file;
}
