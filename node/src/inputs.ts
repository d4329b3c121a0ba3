// Inputs of every kind under the paths by which a job knows them.

import { refusal } from "./error.js";
import { isMemoryEvidence, toSafetensors, type MemoryEvidence } from "./memory-evidence.js";
import type { Mount } from "./memory-files.js";
import type { Platform } from "./platform.js";

/** The contents of one file. */
export type Bytes = Blob | Uint8Array | ArrayBuffer;

/**
 * A file or folder: a path or a file: URL (Node), one file's contents, a folder's File objects (as an <input webkitdirectory> or a drop gives
 * them), or a folder's contents by name.
 */
export type FileInput = string | URL | Bytes | readonly File[] | Readonly<Record<string, Bytes>>;

export type EvidenceInput = FileInput | MemoryEvidence;

/** Token ids: one sequence, several, or a file of them (.npy, .safetensors with token_ids, a JSON array). A Uint8Array is a file's contents. */
export type TokensInput = FileInput | Int32Array | BigInt64Array | readonly number[] | readonly (readonly number[])[];

/** A steering vector [d]: numbers, or a file that transport knows. A Uint8Array is a file's contents. */
export type VectorInput = FileInput | Float32Array | Float64Array | readonly number[];

const isNumbers = (input: unknown): input is readonly number[] | readonly (readonly number[])[] =>
    Array.isArray(input) && (typeof input[0] === "number" || Array.isArray(input[0]));

const isBytes = (input: unknown): input is Bytes =>
    input instanceof Blob || input instanceof Uint8Array || input instanceof ArrayBuffer;
const nameOf = (input: unknown): string | undefined =>
    typeof File === "function" && input instanceof File && input.name !== "" ? input.name : undefined;

/** The inputs of one job. */
export class Inputs {
    readonly mounts: Mount[] = [];
    /** Arrays that were made for this job. */
    readonly transfer: ArrayBuffer[] = [];
    readonly #platform: Platform;
    readonly #paths: ReadonlySet<string>;
    readonly #names: readonly string[];

    /** all: every input of the job, so that names given to contents do not hide paths and differ from one another. */
    constructor(platform: Platform, all: readonly unknown[]) {
        this.#platform = platform;
        this.#paths = new Set(all.filter((input) => typeof input === "string"));
        this.#names = all.map(nameOf).filter((name) => name !== undefined);
    }

    /** Bytes of all contents given, on disk or not. */
    get bytes(): number {
        return this.mounts.reduce(
            (sum, { content }) => sum + (content instanceof Uint8Array ? content.length : content.size),
            0,
        );
    }

    /** The path of an input. role: "source", "target", "object": what it is called where it has no name of its own. */
    async add(input: EvidenceInput, role: string): Promise<string> {
        if (typeof input === "string" || input instanceof URL) return this.#platform.path(input);
        if (isBytes(input)) return this.#mount(this.#fresh(this.#nameFor(input, role)), input);
        if (typeof input !== "object" || input === null)
            throw refusal("usage", role, `expected a path, a file or evidence, and found ${String(input)}`);
        if (Symbol.iterator in input) return this.#addFolder([...(input as Iterable<File>)], role);
        if (isMemoryEvidence(input)) {
            const bundle = toSafetensors(input, role);
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

    /** The path of token ids. */
    async addTokens(input: TokensInput, role: string): Promise<string> {
        if (input instanceof Int32Array || input instanceof BigInt64Array)
            return this.#addJson(Array.from(input, Number), role);
        return isNumbers(input) ? this.#addJson(input, role) : this.add(input as FileInput, role);
    }

    /** The path of a vector. */
    async addVector(input: VectorInput, role: string): Promise<string> {
        if (!(input instanceof Float32Array) && !(input instanceof Float64Array) && !isNumbers(input))
            return this.add(input as FileInput, role);
        const values = Array.from(input as readonly number[]);
        const at = values.findIndex((value) => !Number.isFinite(value));
        if (at >= 0) throw refusal("notFinite", role, `has ${values[at]} in channel ${at}`);
        return this.#addJson(values, role);
    }

    #addJson(values: readonly unknown[], role: string): Promise<string> {
        return this.#mount(this.#fresh(role), new TextEncoder().encode(JSON.stringify(values)));
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
    #nameFor(input: Bytes, role: string): string {
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
                : bytes instanceof ArrayBuffer
                  ? new Uint8Array(bytes)
                  : bytes;
        this.mounts.push({ path, content });
        return path;
    }
}
