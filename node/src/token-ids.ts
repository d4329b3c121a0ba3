// Token ids that a program holds.

import { refusal } from "./error.js";
import { isTensor, type Tensor } from "./floats.js";

export type IdArray = Int32Array | Uint32Array | Uint16Array | BigInt64Array | BigUint64Array;

const isIds = (input: unknown): input is IdArray =>
    input instanceof Int32Array ||
    input instanceof Uint32Array ||
    input instanceof Uint16Array ||
    input instanceof BigInt64Array ||
    input instanceof BigUint64Array;

/** What is one a row (ids, a mask) as whole numbers. Throws RegaugeError(malformed), naming the first that is none. `where` names the input. */
function wholeNumbers(ids: ArrayLike<unknown>, where: string): number[] {
    return Array.from(ids, (id, at) => {
        const number = typeof id === "bigint" ? Number(id) : id;
        if (typeof number !== "number" || !Number.isSafeInteger(number))
            throw refusal("malformed", where, `has ${String(id)} at place ${at}; expected whole numbers`);
        return number;
    });
}

/** One sequence, or several: of numbers, lists, typed arrays and tensors [n] or [sequences, n]. undefined of anything else. */
export function tokenIds(
    input: unknown,
    where: string,
): readonly number[] | readonly (readonly number[])[] | undefined {
    if (isTensor(input)) return sequencesOf(input, where);
    if (isIds(input)) return wholeNumbers(input, where);
    if (!Array.isArray(input) || input.length === 0) return undefined;
    if (typeof input[0] === "number" || typeof input[0] === "bigint") return wholeNumbers(input, where);
    if (!input.every((sequence) => Array.isArray(sequence) || isIds(sequence))) return undefined;
    return input.map((sequence: ArrayLike<unknown>, k) => wholeNumbers(sequence, `${where}: sequence ${k}`));
}

function sequencesOf({ data, dims }: Tensor, where: string): number[] | number[][] {
    const ids = wholeNumbers(data, where);
    const n = dims.at(-1) ?? 1;
    if (dims.length > 2 || dims.reduce((product, length) => product * length, 1) !== ids.length)
        throw refusal(
            "shapeMismatch",
            where,
            `has ${ids.length} numbers and shape [${dims.join(", ")}]; expected [n] or [sequences, n]`,
        );
    if (dims.length < 2) return ids;
    return Array.from({ length: dims[0]! }, (_, k) => ids.slice(k * n, (k + 1) * n));
}
