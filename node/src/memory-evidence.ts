// Evidence that a program already holds in memory, as a safetensors bundle: so there is one way in, and one set of checks.

import { refusal, shown } from "./error.js";
import { floatElements, isTensor, type Elements, type Floats, type Tensor } from "./floats.js";
import { isList } from "./lists.js";
import { whyNotFile } from "./not-files.js";
import { toSafetensors, type NamedElements } from "./safetensors.js";
import { tokenIds as idsOf, type IdArray } from "./token-ids.js";

/** Rows of activations, one after the other: [rows, d], row-major. */
export interface Rows {
    readonly data: Floats;
    readonly rows: number;
    readonly d: number;
}

/** One or several, each under its name. */
type Named<One> = One | Readonly<Record<string, One>> | ReadonlyMap<string, One>;

/** Whole numbers, one a row: of all rows, or of each sequence; a tensor's are [n] or [sequences, n]. */
export type PerRow = ArrayLike<number> | IdArray | Tensor | readonly (ArrayLike<number> | IdArray)[];

export interface MemoryEvidence {
    /** One site's rows, or rows by site ("resid.4"). A tensor's are [..., d], of sequences [..., length, d]: all its axes but the last one count rows. */
    readonly activations?: Named<Rows | Tensor> | undefined;
    /** One RMSNorm's gains [d], or gains by name ("attn.3"). */
    readonly gains?: Named<Floats | Tensor> | undefined;
    /** One a row: where both sides have them they must agree. By sequence, they tell skipFirst where each begins. */
    readonly tokenIds?: PerRow | undefined;
    /** One a row: rows with 0 (padding) are left out. */
    readonly attentionMask?: PerRow | undefined;
}

const keys: Readonly<Record<keyof MemoryEvidence, true>> = {
    activations: true,
    gains: true,
    tokenIds: true,
    attentionMask: true,
};

const isRows = (value: object): value is Rows => "data" in value && "rows" in value;

export function isMemoryEvidence(input: object): input is MemoryEvidence {
    const has = (key: string): boolean => {
        const value = (input as Readonly<Record<string, unknown>>)[key];
        return (
            typeof value === "object" && value !== null && !(value instanceof Blob) && !(value instanceof Uint8Array)
        );
    };
    return has("activations") || has("gains");
}

/** What a group holds, by name; what has no name is called as its group is. */
function named<One>(
    group: string,
    given: Named<One> | null | undefined,
    isOne: (given: unknown) => unknown,
    where: string,
): [string, One][] {
    if (given === undefined || given === null) return [];
    if (isOne(given)) return [[group, given as One]];
    const why =
        typeof given === "object"
            ? whyNotFile(given)
            : `expected numbers, or numbers by name, and found ${shown(given)}`;
    if (why !== undefined) throw refusal("usage", `${where}: ${group}`, why);
    return given instanceof Map
        ? [...(given as ReadonlyMap<string, One>)]
        : Object.entries(given as Readonly<Record<string, One>>);
}

/** Whole numbers, one a row, with their shape: [rows], or [sequences, n]. */
function perRow(given: unknown, where: string): { readonly shape: readonly number[]; readonly elements: Elements } {
    const found = idsOf(isList(given) && !Array.isArray(given) ? Array.from(given) : given, where);
    if (!found && !(isList(given) && given.length === 0))
        throw refusal("malformed", where, "expected whole numbers, one a row, or lists of them, one a sequence");
    const numbers = found ?? [];
    const [first] = numbers;
    const sequences = Array.isArray(first) ? (numbers as readonly (readonly number[])[]) : undefined;
    const n = sequences?.[0]!.length;
    const other = sequences?.find(({ length }) => length !== n);
    if (other)
        throw refusal(
            "shapeMismatch",
            where,
            `has sequences of ${n} and of ${other.length} numbers; give rows of one length a sequence, and attentionMask with 0 where they are padded`,
        );
    const ids = numbers.flat();
    return {
        shape: sequences ? [sequences.length, n!] : [ids.length],
        elements: { dtype: "I64", data: BigInt64Array.from(ids, BigInt) },
    };
}

/** The bundle. `where` names the side in messages. */
export function evidenceFile(evidence: MemoryEvidence, where: string): Uint8Array<ArrayBuffer> {
    const tensors: NamedElements[] = [];
    const add = (name: string, shape: readonly number[], elements: Elements): void => {
        const expected = shape.reduce((product, length) => product * length, 1);
        if (!shape.every((length) => Number.isSafeInteger(length) && length >= 0) || elements.data.length !== expected)
            throw refusal(
                "shapeMismatch",
                `${where}: ${name}`,
                `has ${elements.data.length} elements, and its shape [${shape.join(", ")}] needs ${expected}`,
            );
        tensors.push({ name, shape, ...elements });
    };
    const floats = (name: string, of: unknown): Elements => {
        const elements = floatElements(of);
        if (elements) return elements;
        throw refusal("wrongDtype", `${where}: ${name}`, "expected a Float32Array, Float64Array or Float16Array");
    };

    for (const [key, value] of Object.entries(evidence))
        if (value !== undefined && !Object.hasOwn(keys, key))
            throw refusal("usage", where, `has ${key}; evidence in memory has ${Object.keys(keys).join(", ")}`);
    const { activations, gains, tokenIds, attentionMask } = evidence;
    const isSite = (given: unknown): boolean =>
        isTensor(given) || (typeof given === "object" && given !== null && isRows(given));
    for (const [site, rows] of named("activations", activations, isSite, where)) {
        const name = `activations/${site}`;
        // The core tells sequences by the axes.
        if (isTensor(rows)) add(name, rows.dims.length > 1 ? rows.dims : [1, rows.dims[0] ?? 0], floats(name, rows));
        else add(name, [rows?.rows, rows?.d], floats(name, rows?.data));
    }
    for (const [gain, values] of named("gains", gains, floatElements, where)) {
        const name = `gains/${gain}`,
            elements = floats(name, values);
        add(name, [elements.data.length], elements);
    }
    for (const [key, name, given] of [
        ["tokenIds", "token_ids", tokenIds],
        ["attentionMask", "attention_mask", attentionMask],
    ] as const) {
        if (given === undefined || given === null) continue;
        const { shape, elements } = perRow(given, `${where}: ${key}`);
        add(name, shape, elements);
    }

    return toSafetensors(tensors, where);
}
