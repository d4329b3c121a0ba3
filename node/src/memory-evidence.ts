// Evidence that a program already holds in memory, as a safetensors bundle: so there is one way in, and one set of checks.

import { refusal } from "./error.js";

/** Rows of activations, one after the other. */
export interface Rows {
    readonly data: Float32Array | Float64Array;
    readonly rows: number;
    readonly d: number;
}

export interface MemoryEvidence {
    /** One site's rows, or rows by site ("resid.4"). */
    readonly activations?: Rows | Readonly<Record<string, Rows>>;
    /** One RMSNorm's gains [d], or gains by name ("attn.3"). */
    readonly gains?: Float32Array | Float64Array | Readonly<Record<string, Float32Array | Float64Array>>;
    /** One a row: where both sides have them they must agree. */
    readonly tokenIds?: ArrayLike<number>;
}

const isArray = (value: unknown): value is Float32Array | Float64Array =>
    value instanceof Float32Array || value instanceof Float64Array;
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
    const tensors: {
        name: string;
        dtype: string;
        shape: number[];
        data: Float32Array | Float64Array | BigInt64Array;
    }[] = [];
    const add = (name: string, shape: number[], data: Float32Array | Float64Array | BigInt64Array): void => {
        const expected = shape.reduce((product, length) => product * length, 1);
        if (!shape.every((length) => Number.isSafeInteger(length) && length >= 0) || data.length !== expected)
            throw refusal(
                "shapeMismatch",
                `${where}: ${name}`,
                `has ${data.length} elements, and its shape [${shape.join(", ")}] needs ${expected}`,
            );
        tensors.push({
            name,
            dtype: data instanceof Float32Array ? "F32" : data instanceof Float64Array ? "F64" : "I64",
            shape,
            data,
        });
    };

    const { activations = {}, gains = {}, tokenIds } = evidence;
    for (const [site, rows] of Object.entries(isRows(activations) ? { activations } : activations)) {
        if (!isArray(rows?.data))
            throw refusal(
                "wrongDtype",
                `${where}: activations/${site}`,
                "data must be a Float32Array or a Float64Array",
            );
        add(`activations/${site}`, [rows.rows, rows.d], rows.data);
    }
    for (const [name, values] of Object.entries(isArray(gains) ? { gains } : gains)) {
        if (!isArray(values))
            throw refusal("wrongDtype", `${where}: gains/${name}`, "must be a Float32Array or a Float64Array");
        add(`gains/${name}`, [values.length], values);
    }
    if (tokenIds !== undefined) add("token_ids", [tokenIds.length], BigInt64Array.from(Array.from(tokenIds), BigInt));

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
    for (const { data } of tensors) {
        file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), place);
        place += data.byteLength;
    }
    return file;
}
