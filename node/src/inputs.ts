// Inputs of every kind under the paths by which a job knows them.

import { refusal } from "./error.js";
import { bytesOf, floatElements, isTensor, numbersOf, type Floats, type Tensor } from "./floats.js";
import { evidenceFile, isMemoryEvidence, type MemoryEvidence } from "./memory-evidence.js";
import { sizeOf, type Mount } from "./memory-files.js";
import { isServed, isWebAddress, notFetched, whyNotFile } from "./not-files.js";
import { toNpy } from "./npy.js";
import type { Platform } from "./platform.js";
import { toSafetensors } from "./safetensors.js";
import { tokenIds, type IdArray } from "./token-ids.js";
import { isUrlFile, modelName, openUrl, type UrlFile } from "./url-files.js";

/** The contents of one file, or what `openUrl` found behind an address. */
export type Bytes = Blob | Uint8Array | ArrayBuffer | DataView | UrlFile;

/** A folder's contents by name. */
type Folder = Readonly<Record<string, Bytes>> | ReadonlyMap<string, Bytes>;

/**
 * A file or folder: a path or a file: URL (Node); an https: address of a file, or of a model (a hub's page of it, or a folder that ends with "/"),
 * whose header is read first and then only the ranges that are needed; one file's contents, the answer of fetch, a folder's File objects (as an
 * <input webkitdirectory> or a drop gives them), or a folder's contents by name.
 */
export type FileInput = string | URL | Bytes | Response | readonly File[] | Folder;

/** Files, or what a program holds: rows and gains, or one site's rows as a tensor [..., d]. */
export type EvidenceInput = FileInput | MemoryEvidence | Tensor;

/** What moves: a file or folder, or a vector [d] or rows of vectors [..., d] that a program holds. */
export type ObjectInput = FileInput | Floats | Tensor;

/**
 * Token ids: one sequence, several (a tensor's are [n] or [sequences, n]), or a file of them (.npy, .safetensors with token_ids, a JSON
 * array). A Uint8Array is a file's contents.
 */
export type TokensInput = FileInput | IdArray | Tensor | readonly number[] | readonly (readonly number[])[];

/** A steering vector [d]: numbers, a tensor, or a file that transport knows. A Uint8Array is a file's contents. */
export type VectorInput = FileInput | Floats | Tensor | readonly number[];

const isNumbers = (input: unknown): input is readonly number[] => Array.isArray(input) && typeof input[0] === "number";

const isBytes = (input: unknown): input is Bytes =>
    input instanceof Blob ||
    input instanceof Uint8Array ||
    input instanceof ArrayBuffer ||
    input instanceof DataView ||
    isUrlFile(input);
const isResponse = (input: unknown): input is Response => typeof Response === "function" && input instanceof Response;

/** What an input is called by itself: a file's name, or the last part of the address that was fetched. */
function nameOf(input: unknown): string | undefined {
    if (isResponse(input) || isUrlFile(input)) return lastPart(input.url);
    if ((typeof input === "string" || input instanceof URL) && isServed(input)) return lastPart(String(input));
    return typeof File === "function" && input instanceof File && input.name !== "" ? input.name : undefined;
}

function lastPart(url: string): string | undefined {
    try {
        return decodeURIComponent(new URL(url).pathname.split("/").at(-1)!).replaceAll("/", "_") || undefined;
    } catch {
        return undefined; // an answer that was made, not fetched, has no address
    }
}

/** The inputs of one job. */
export class Inputs {
    readonly mounts: Mount[] = [];
    /** Arrays that were made for this job. */
    readonly transfer: ArrayBuffer[] = [];
    readonly #platform: Platform;
    readonly #paths: ReadonlySet<string>;
    readonly #names: readonly string[];
    readonly #signal: AbortSignal | undefined;

    /**
     * all: every input of the job, so that names given to contents do not hide paths and differ from one another. signal: the job's, which also ends
     * the opening of addresses.
     */
    constructor(platform: Platform, all: readonly unknown[], signal?: AbortSignal) {
        this.#signal = signal;
        this.#platform = platform;
        this.#paths = new Set(all.filter((input) => typeof input === "string"));
        this.#names = all.map(nameOf).filter((name) => name !== undefined);
    }

    /** Bytes of all contents given, on disk or not. */
    get bytes(): number {
        return this.mounts.reduce((sum, { content }) => sum + sizeOf(content), 0);
    }

    /** The path of an input. role: "source", "target", "object": what it is called where it has no name of its own. */
    async add(input: EvidenceInput, role: string): Promise<string> {
        if (typeof input === "string" || input instanceof URL) {
            if (isServed(input)) return this.#addServed(String(input), role);
            if (isWebAddress(input)) throw refusal("usage", String(input), notFetched);
            return this.#platform.path(input);
        }
        if (isBytes(input)) return this.#mount(this.#fresh(this.#nameFor(input, role)), input);
        if (isResponse(input)) return this.#addResponse(input, role);
        if (isTensor(input)) return this.add({ activations: input }, role);
        const why = whyNotFile(input);
        if (why !== undefined) throw refusal("usage", role, why);
        if (input instanceof Map) return this.add(Object.fromEntries(input) as Readonly<Record<string, Bytes>>, role);
        if (Symbol.iterator in input) return this.#addFolder([...(input as Iterable<File>)], role);
        if (isMemoryEvidence(input)) {
            const bundle = evidenceFile(input, role);
            this.transfer.push(bundle.buffer);
            return this.#mount(this.#fresh(role), bundle);
        }
        const folder = this.#fresh(role);
        const entries = Object.entries(input as Readonly<Record<string, Bytes>>);
        if (entries.length === 0) throw refusal("usage", role, "is empty: no files were given");
        for (const [name, bytes] of entries) {
            if (!isBytes(bytes))
                throw refusal("usage", `${role}: ${name}`, "expected a Blob, a Uint8Array or an ArrayBuffer");
            await this.#mount(`${folder}/${name}`, bytes);
        }
        return folder;
    }

    /** The path of what moves: vectors in memory become a .npy file, or one of safetensors where that is what `out` says. */
    async addObject(input: ObjectInput, role: string, out?: string | URL): Promise<string> {
        const elements = floatElements(input);
        if (!elements) return this.add(input as FileInput, role);
        const shape = isTensor(input) ? input.dims : [elements.data.length];
        const expected = shape.reduce((product, length) => product * length, 1);
        if (expected !== elements.data.length)
            throw refusal(
                "shapeMismatch",
                role,
                `has ${elements.data.length} elements, and its shape [${shape.join(", ")}] needs ${expected}`,
            );
        if (String(out).endsWith(".safetensors")) {
            const file = toSafetensors([{ name: "vector", shape, ...elements }], role);
            return this.#mount(this.#fresh(`${role}.safetensors`), file);
        }
        return this.#mount(this.#fresh(`${role}.npy`), toNpy(elements, shape, role));
    }

    /** The path of token ids. */
    async addTokens(input: TokensInput, role: string): Promise<string> {
        const ids = tokenIds(input, role);
        return ids ? this.#addJson(ids, role) : this.add(input as FileInput, role);
    }

    /** The path of a vector. */
    async addVector(input: VectorInput, role: string): Promise<string> {
        const elements = floatElements(input);
        const values = elements ? numbersOf(elements) : isNumbers(input) ? [...input] : undefined;
        if (!values) return this.add(input as FileInput, role);
        const at = values.findIndex((value) => !Number.isFinite(value));
        if (at >= 0) throw refusal("notFinite", role, `has ${values[at]} in channel ${at}`);
        return this.#addJson(values, role);
    }

    #addJson(values: readonly unknown[], role: string): Promise<string> {
        return this.#mount(this.#fresh(role), new TextEncoder().encode(JSON.stringify(values)));
    }

    async #addResponse(response: Response, role: string): Promise<string> {
        const where = response.url || role;
        if (!response.ok)
            throw refusal("missingFile", where, `the server answered ${response.status} ${response.statusText}`.trim());
        if (response.bodyUsed) throw refusal("usage", where, "was read already; give the answer itself, or its blob");
        const blob = await response.blob();
        return this.#mount(this.#fresh(this.#nameFor(response, role)), blob);
    }

    async #addServed(address: string, role: string): Promise<string> {
        const found = await openUrl(address, { signal: this.#signal });
        if (isUrlFile(found)) return this.#mount(this.#fresh(this.#nameFor(found, role)), found);
        const folder = this.#fresh(modelName(address));
        for (const [name, content] of Object.entries(found)) await this.#mount(`${folder}/${name}`, content);
        return folder;
    }

    async #addFolder(files: readonly File[], role: string): Promise<string> {
        const [first] = files;
        if (first === undefined) throw refusal("usage", role, "is empty: no files were given");
        if (!files.every(isBytes)) throw refusal("usage", role, "expected a list of File objects");
        const relative = files.map((file) => file.webkitRelativePath || file.name);
        if (files.length === 1 && !first.webkitRelativePath) return this.add(first, role);
        const top = relative[0]!.split("/")[0]!;
        const shared = relative.every((path) => path.startsWith(`${top}/`));
        const folder = this.#fresh(shared ? top : role);
        for (const [k, file] of files.entries())
            await this.#mount(`${folder}/${shared ? relative[k]!.slice(top.length + 1) : relative[k]!}`, file);
        return folder;
    }

    /** Two files of the same name are told apart by their roles. */
    #nameFor(input: Bytes | Response, role: string): string {
        const name = nameOf(input);
        if (name === undefined) return role;
        return this.#names.filter((other) => other === name).length > 1 ? `${role}/${name}` : name;
    }

    #fresh(name: string): string {
        const taken = (candidate: string): boolean =>
            [...this.#paths, ...this.mounts.map(({ path }) => path)].some(
                (path) => path === candidate || path.startsWith(`${candidate}/`) || candidate.startsWith(`${path}/`),
            );
        let candidate = name;
        for (let k = 2; taken(candidate); ++k) candidate = `${name}-${k}`;
        return candidate;
    }

    async #mount(path: string, bytes: Bytes): Promise<string> {
        const content =
            bytes instanceof Blob
                ? await this.#platform.readable(bytes)
                : isUrlFile(bytes)
                  ? bytes
                  : bytesOf(bytes, path);
        this.mounts.push({ path, content });
        return path;
    }
}
