// Lists by places, as core/src/gauge and core/src/hidden have them: permutations, what moves with them, what files keep of numbers.

import { refusal, shown } from "./error.js";

type List = Uint32Array | Int8Array | Float32Array | Float64Array;

/** The permutation that undoes it: inverted(perm)[perm[i]] = i. */
export function inverted(perm: Uint32Array): Uint32Array {
    const back = new Uint32Array(perm.length);
    perm.forEach((from, i) => (back[from] = i));
    return back;
}

/** values[from[i]]; nothing of nothing. */
export function gathered<Values extends List>(values: Values, from: Uint32Array): Values {
    const moved = values.slice() as Values;
    if (values.length > 0) from.forEach((place, i) => (moved[i] = values[place]!));
    return moved;
}

/** The lower of two in the second's places; the one there is, where there is one. */
export function weaker(first: Float64Array, next: Float64Array, from: Uint32Array): Float64Array {
    if (first.length === 0) return next;
    const moved = gathered(first, from);
    return next.length === 0 ? moved : moved.map((value, i) => Math.min(value, next[i]!));
}

/** A list of anything: an Array or a typed array. */
export const isList = (value: unknown): value is ArrayLike<unknown> =>
    typeof value === "object" && value !== null && "length" in value && Number.isSafeInteger(value.length);

/** Throws RegaugeError: usage (not a list), dimensionMismatch (not `length` of them; `expected` says what is), wrongDtype. */
export function requireNumbers(x: unknown, length: number, expected: string): asserts x is ArrayLike<number> {
    if (typeof x !== "string" && !isList(x))
        throw refusal("usage", "vector", `expected a list of numbers, and found ${shown(x)}`);
    if (x.length !== length) throw refusal("dimensionMismatch", "vector", `has ${x.length} elements, and ${expected}`);
    const looked = ArrayBuffer.isView(x) ? Math.min(1, length) : length; // a typed array's elements are all of one type
    for (let k = 0; k < looked; ++k)
        if (typeof x[k] !== "number")
            throw refusal("wrongDtype", "vector", `holds a ${typeof x[k]} at place ${k}; expected numbers`);
}

/** Six decimals, as gauge files have, halves away from 0 as C++ rounds them. */
export function rounded(value: number): number {
    return (Math.sign(value) * Math.round(Math.abs(value) * 1e6)) / 1e6;
}
