// Files behind web addresses, read by range: first what a server says of them, then the bytes that a job asks for. Nothing is fetched unless
// an address is given. A job reads at once and cannot wait, so each platform's worker has its own way to ask (UrlReader); what an answer
// must be is here, for all of them.

import { refusal } from "./error.js";
import { failure, type Failure } from "./host.js";

/** A file behind a web address, as its server described it: plain data, which passes to a worker in place of the bytes. */
export interface UrlFile {
    readonly url: string;
    /** Bytes. */
    readonly size: number;
    /** What the server calls this version of the file; "" where it does not say. */
    readonly etag: string;
}

export function isUrlFile(value: unknown): value is UrlFile {
    if (typeof value !== "object" || value === null || !("url" in value && "size" in value && "etag" in value))
        return false;
    return typeof value.url === "string" && typeof value.size === "number" && typeof value.etag === "string";
}

/** A folder's files by name: weights by range, small ones whole. */
export type UrlFolder = Readonly<Record<string, UrlFile | Uint8Array>>;

/** Reads bytes [offset, offset + into.length) of a file at once. */
export type ReadUrl = (file: UrlFile, offset: number, into: Uint8Array) => Failure | undefined;

/** The part of an answer that tells what it is. */
interface AnswerHead {
    readonly status: number;
    /** Where it came from, after all redirections. */
    readonly url: string;
    header(name: string): string | null;
}

/** Milliseconds after which a request is given up whose answer is not there whole. */
export const patience = 60_000;
/** Bytes asked for at once: a few seconds of a slow line. */
export const mostAtOnce = 4 * 2 ** 20;
/** A configuration or a list of shards that is longer is none. */
const mostSmall = 64 * 2 ** 20;
const mostShards = 1000;
const askedAtOnce = 6;

/** Headers of a request for bytes [begin, end). */
export const rangeHeaders = (begin: number, end: number): Record<string, string> => ({
    range: `bytes=${begin}-${end - 1}`,
});

/** Why an answer brings nothing, by its status; undefined of one that does. */
function whyNothing(status: number): Failure | undefined {
    if (status === 200 || status === 206) return undefined;
    if (status === 401 || status === 403)
        return failure(
            "missingFile",
            `is not given to everyone (the server answered ${status}), or there is no such model: download it with the hub's own tool, signed in, and give the files`,
        );
    if (status === 404 || status === 410) return failure("missingFile", `is not there (the server answered ${status})`);
    if (status === 416)
        return failure("truncated", "ends before the bytes that were asked for (the server answered 416)");
    if (status === 429)
        return failure("missingFile", "is held back: the server was asked too often (429); wait, or download the file");
    return failure("missingFile", `cannot be had (the server answered ${status}); try again later`);
}

/** An answer that came without https to a question that was asked with it was open to change on its way. */
const whyNotFrom = (url: string, asked: string): Failure | undefined =>
    asked.startsWith("https:") && url.startsWith("http:")
        ? failure("unsupported", `was sent on to ${url}, which is without https`)
        : undefined;

const isPage = (head: AnswerHead): boolean => /^text\/html\b/i.test(head.header("content-type") ?? "");
const aPage =
    "is a page to look at, not a file; on a hub the file's own address has /resolve/ where its page has /blob/";

/**
 * Checks the answer to a request for bytes [begin, end). known: what the server said of the file before. Gives the file's size, or why the
 * answer cannot be used.
 */
export function sizeIn(
    head: AnswerHead,
    begin: number,
    end: number,
    known: UrlFile | undefined,
    asked: string,
): number | Failure {
    const nothing = whyNothing(head.status) ?? whyNotFrom(head.url, asked);
    if (nothing) return nothing;
    if (head.status === 200)
        return failure(
            "unsupported",
            isPage(head)
                ? aPage
                : "comes whole only: its server does not answer ranges; download it, or give await fetch(url), whose answer is taken as a file",
        );
    const said = head.header("content-range") ?? "";
    const [, from, to, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(said) ?? [];
    if (total === undefined)
        return failure(
            "unsupported",
            "comes in parts without saying which (no Content-Range that may be read here); download it and give the file",
        );
    if (known && Number(total) !== known.size)
        return failure(
            "truncated",
            `changed on its server while it was being read: it has ${total} bytes, and had ${known.size}; begin again`,
        );
    const etag = head.header("etag") ?? "";
    if (known && known.etag !== "" && etag !== "" && etag !== known.etag)
        return failure(
            "truncated",
            `changed on its server while it was being read (its ETag is ${etag}, and was ${known.etag}); begin again`,
        );
    if (Number(from) !== begin || Number(to) !== Math.min(end, Number(total)) - 1)
        return failure("malformed", `was asked for bytes ${begin}-${end - 1}, and its server sent ${said}`);
    return Number(total);
}

/** Of an answer whose body is not as long as its head says. */
export const brokenOff = (came: number, expected: number): Failure =>
    failure("truncated", `broke off: ${came} of ${expected} bytes came; try again`);

/** Of a request that no answer came to. Browsers do not tell a page which of the reasons it was. */
export const unreachable = (why: string): Failure => failure("missingFile", `cannot be reached: ${why}`);

/** What undici says of a failed request lies in the cause of its error. */
export function reasonOf(error: unknown): string {
    const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    if (!(inner instanceof Error)) return String(inner);
    if (inner.name === "TimeoutError") return `the answer was not there whole after ${patience / 1000} s`;
    if (inner.message === "Failed to fetch" || inner.message.startsWith("NetworkError"))
        return "there is no such server, it does not let this page read (CORS), or the page's policy forbids it";
    return inner.message || ("code" in inner ? String(inner.code) : inner.name);
}

/** Weights and rows, by their names' endings. */
const isFileAddress = (url: URL): boolean => /\.(safetensors|npy|npz|pt|pth|bin|gguf|json)$/i.test(url.pathname);

/** What a model is called in its address. */
export function modelName(address: string): string {
    const parts = new URL(address).pathname.split("/").filter((part) => part !== "");
    const marks = ["resolve", "tree"].map((mark) => parts.indexOf(mark)).filter((at) => at > 0);
    return decodeURIComponent(parts[Math.min(...marks, parts.length) - 1] ?? "model").replaceAll("/", "_");
}

/**
 * Where a model's files lie. "https://hub/who/model" is a hub's page of a model and "https://hub/who/model/tree/v2" of a revision: their files
 * are under /resolve/main/ and /resolve/v2/. An address that ends with "/" is a folder as it is.
 */
function folderAddress(address: string): string {
    const url = new URL(address);
    url.search = url.hash = "";
    const tree = /^(\/[^/]+\/[^/]+)\/tree\/([^/]+)\/?$/.exec(url.pathname);
    if (tree) url.pathname = `${tree[1]}/resolve/${tree[2]}/`;
    else if (!url.pathname.endsWith("/")) url.pathname += "/resolve/main/";
    return url.href;
}

/** The addresses that openUrl() asks for this one, to say so beforehand; what may follow are shards that the index names. */
export function addressesAsked(address: string): readonly string[] {
    if (isFileAddress(new URL(address))) return [address];
    const folder = folderAddress(address);
    return ["config.json", "model.safetensors", "model.safetensors.index.json"].map((name) => folder + name);
}

/** Asks for bytes [begin, end), or for all. Throws RegaugeError with the address where no answer comes. */
async function ask(url: string, headers: Record<string, string>, signal: AbortSignal | undefined): Promise<Response> {
    const limits = [AbortSignal.timeout(patience), ...(signal ? [signal] : [])];
    try {
        return await fetch(url, {
            headers,
            credentials: "omit",
            referrerPolicy: "no-referrer",
            signal: AbortSignal.any(limits),
        });
    } catch (error) {
        if (signal?.aborted) throw signal.reason;
        throw refused(unreachable(reasonOf(error)), url);
    }
}

const refused = (why: Failure, url: string): Error => refusal(why.failure, url, why.message);
export const headOf = ({ status, url, headers }: Response): AnswerHead => ({
    status,
    url,
    header: (name) => headers.get(name),
});

/** What the server says of a file, from one byte of it; undefined where it is not there. Throws RegaugeError. */
async function describe(url: string, signal?: AbortSignal): Promise<UrlFile | undefined> {
    const answer = await ask(url, rangeHeaders(0, 1), signal);
    const size = sizeIn(headOf(answer), 0, 1, undefined, url);
    void answer.body?.cancel().catch(() => undefined);
    if (answer.status === 404) return undefined;
    if (answer.status === 416) throw refusal("malformed", url, "is empty");
    if (typeof size !== "number") throw refused(size, url);
    return { url, size, etag: answer.headers.get("etag") ?? "" };
}

/** A small file, whole; undefined where it is not there. Throws RegaugeError. */
async function small(url: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const answer = await ask(url, {}, signal);
    const head = headOf(answer);
    const nothing =
        whyNothing(head.status) ??
        whyNotFrom(head.url, url) ??
        (isPage(head) ? failure("unsupported", aPage) : undefined);
    if (nothing) void answer.body?.cancel().catch(() => undefined);
    if (answer.status === 404) return undefined;
    if (nothing) throw refused(nothing, url);
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    try {
        // Counted as it comes: a server need not say how long it is, and what comes packed is longer than it says.
        const reader = answer.body?.getReader();
        for (let piece = await reader?.read(); piece && !piece.done; piece = await reader!.read()) {
            length += piece.value.length;
            if (length > mostSmall) {
                void reader!.cancel().catch(() => undefined);
                break;
            }
            pieces.push(piece.value);
        }
    } catch (error) {
        if (signal?.aborted) throw signal.reason;
        throw refusal("truncated", url, `broke off: ${reasonOf(error)}; try again`);
    }
    if (length > mostSmall) throw refusal("tooLarge", url, "is too long for what its name says");
    return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/** The shards that a list of them names. Throws RegaugeError where one is no name of a file beside it. */
function shardsIn(index: Uint8Array, url: string): string[] {
    let map: unknown;
    try {
        map = (JSON.parse(new TextDecoder().decode(index)) as { weight_map?: unknown }).weight_map;
    } catch {
        throw refusal("malformed", url, "expected JSON with a weight_map");
    }
    const names = [...new Set(Object.values((map as object | undefined) ?? {}))];
    if (names.length === 0 || names.length > mostShards)
        throw refusal("malformed", url, `expected a weight_map that names 1 to ${mostShards} files`);
    for (const name of names)
        if (typeof name !== "string" || !/^[\w.-]+\.safetensors$/.test(name))
            throw refusal(
                "malformed",
                url,
                `expected names of .safetensors files beside it, found ${String(name).slice(0, 100)}`,
            );
    return names as string[];
}

async function openFolder(address: string, signal?: AbortSignal): Promise<UrlFolder> {
    const folder = folderAddress(address);
    const files: Record<string, UrlFile | Uint8Array> = {};
    const config = await small(`${folder}config.json`, signal);
    if (config) files["config.json"] = config;
    const single = await describe(`${folder}model.safetensors`, signal);
    if (single) return { ...files, "model.safetensors": single };
    const name = "model.safetensors.index.json";
    const index = await small(folder + name, signal);
    if (!index)
        throw refusal(
            "missingFile",
            folder,
            `has neither model.safetensors nor ${name}; give the address of a file, or of a model that has one of them`,
        );
    files[name] = index;
    const shards = shardsIn(index, folder + name);
    while (shards.length > 0)
        await Promise.all(
            shards.splice(0, askedAtOnce).map(async (shard) => {
                const file = await describe(folder + shard, signal);
                if (!file) throw refusal("missingFile", folder + shard, `is not there, and ${name} names it`);
                files[shard] = file;
            }),
        );
    return files;
}

/**
 * What is behind an address, as every call takes it: a file, or a model's folder (config.json and weights). Asks for what addressesAsked() says,
 * and of weights for one byte; a job then reads the ranges that it needs. Throws RegaugeError: missingFile, unsupported (no ranges), malformed.
 */
export async function openUrl(
    address: string | URL,
    { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<UrlFile | UrlFolder> {
    const url = new URL(address);
    if (url.username !== "" || url.password !== "")
        throw refusal("usage", url.host, "a name and password in an address are not sent; leave them out");
    url.hash = "";
    if (!isFileAddress(url)) return openFolder(url.href, signal);
    const file = await describe(url.href, signal);
    if (!file) throw refusal("missingFile", url.href, "is not there (the server answered 404)");
    return file;
}
