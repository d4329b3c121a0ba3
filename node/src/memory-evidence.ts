// Evidence that a program already holds in memory, as a safetensors bundle: so there is one way in, and one set of checks.

import { refusal } from "./error.js";
import { bytesOf, floatElements, isTensor, type Elements, type Floats, type Tensor } from "./floats.js";
import { tokenIds as idsOf, type IdArray } from "./token-ids.js";

/** Rows of activations, one after the other: [rows, d], row-major. */
export interface Rows {
    readonly data: Floats;
    readonly rows: number;
    readonly d: number;
}

export interface MemoryEvidence {
    /** One site's rows, or rows by site ("resid.4"). A tensor's are [..., d]: all its axes but the last one count rows. */
    readonly activations?: Rows | Tensor | Readonly<Record<string, Rows | Tensor>>;
    /** One RMSNorm's gains [d], or gains by name ("attn.3"). */
    readonly gains?: Floats | Tensor | Readonly<Record<string, Floats | Tensor>>;
    /** One a row: where both sides have them they must agree. */
    readonly tokenIds?: ArrayLike<number> | IdArray | Tensor;
}

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

/** The bundle: 8 bytes of header length, the JSON header, the tensors. `where` names the side in messages. */
export function toSafetensors(evidence: MemoryEvidence, where: string): Uint8Array<ArrayBuffer> {
    const tensors: (Elements & { readonly name: string; readonly shape: readonly number[] })[] = [];
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

    const { activations = {}, gains = {}, tokenIds } = evidence;
    const sites = isRows(activations) || isTensor(activations) ? { activations } : activations;
    for (const [site, rows] of Object.entries(sites)) {
        const name = `activations/${site}`;
        if (isTensor(rows)) {
            const d = rows.dims.at(-1) ?? 0;
            add(name, [rows.dims.slice(0, -1).reduce((product, length) => product * length, 1), d], floats(name, rows));
        } else add(name, [rows?.rows, rows?.d], floats(name, rows?.data));
    }
    for (const [name, values] of Object.entries(floatElements(gains) ? { gains } : gains)) {
        const elements = floats(`gains/${name}`, values);
        add(`gains/${name}`, [elements.data.length], elements);
    }
    if (tokenIds !== undefined) {
        const given = isTensor(tokenIds) || Array.isArray(tokenIds) ? tokenIds : Array.from<number | bigint>(tokenIds);
        const ids = (idsOf(given, `${where}: token ids`) ?? []).flat();
        add("token_ids", [ids.length], { dtype: "I64", data: BigInt64Array.from(ids, BigInt) });
    }

    let offset = 0;
    const header: Record<string, object> = {};
    for (const { name, dtype, shape, data } of tensors)
        header[name] = { dtype, shape, data_offsets: [offset, (offset += data.byteLength)] };
    const text = JSON.stringify(header);
    const encoded = new TextEncoder().encode(text);
    const headerLength = Math.ceil(encoded.length / 8) * 8; // spaces pad it, so that tensors are aligned
    const file = new Uint8Array(8 + headerLength + offset);
    new DataView(file.buffer).setUint32(0, headerLength, true);
    file.fill(0x20, 8, 8 + headerLength);
    file.set(encoded, 8);
    let place = 8 + headerLength;
    for (const elements of tensors) {
        file.set(bytesOf(elements), place);
        place += elements.data.byteLength;
    }
    return file;
}
