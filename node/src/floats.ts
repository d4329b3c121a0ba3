// Floating-point numbers in memory: typed arrays of every kind, and tensors of other libraries.

import { refusal } from "./error.js";

/** A Float16Array, by what is needed of it: neither every runtime nor every version of TypeScript has one. */
export interface Float16Numbers extends ArrayLike<number> {
    readonly buffer: ArrayBufferLike;
    readonly byteOffset: number;
    readonly byteLength: number;
    readonly BYTES_PER_ELEMENT: number;
    readonly [Symbol.toStringTag]: "Float16Array";
}

export type Floats = Float32Array | Float64Array | Float16Numbers;

/**
 * A tensor of transformers.js or onnxruntime-web as it is, row-major. Of floats, `data` is a Float16Array, Float32Array or Float64Array, or
 * the bits of float16 in a Uint16Array where `type` is "float16"; of token ids, integers.
 */
export interface Tensor {
    readonly data: ArrayLike<unknown>;
    readonly dims: readonly number[];
    readonly type?: string;
}

/** Bytes of a tensor's elements and what they are: a dtype of safetensors. */
export interface Elements {
    readonly dtype: "F16" | "F32" | "F64" | "I64";
    readonly data: Floats | Uint16Array | BigInt64Array;
}

export function isFloats(value: unknown): value is Floats {
    return (
        value instanceof Float32Array ||
        value instanceof Float64Array ||
        (ArrayBuffer.isView(value) && (value as Partial<Float16Numbers>)[Symbol.toStringTag] === "Float16Array")
    );
}

export function isTensor(value: unknown): value is Tensor {
    return (
        typeof value === "object" && value !== null && "data" in value && "dims" in value && Array.isArray(value.dims)
    );
}

/** The elements of a typed array or a tensor; undefined where these are no floats. */
export function floatElements(of: unknown): Elements | undefined {
    const data = isTensor(of) ? of.data : of;
    if (isTensor(of) && of.type === "float16" && data instanceof Uint16Array) return { dtype: "F16", data };
    if (!isFloats(data)) return undefined;
    return { dtype: data instanceof Float32Array ? "F32" : data instanceof Float64Array ? "F64" : "F16", data };
}

/** The numbers of float elements. */
export function numbersOf({ dtype, data }: Elements): number[] {
    return dtype === "F16" && data instanceof Uint16Array
        ? Array.from(data, halfToNumber)
        : Array.from(data as ArrayLike<number>);
}

/** The number of which these are the bits of an IEEE 754 binary16. */
function halfToNumber(bits: number): number {
    const sign = bits & 0x8000 ? -1 : 1,
        exponent = (bits >> 10) & 31,
        fraction = bits & 1023;
    if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** The same memory as bytes. Throws RegaugeError(usage) where another thread has it; `where` names the input. */
export function bytesOf(
    memory: ArrayBuffer | ArrayBufferView | Float16Numbers,
    where: string,
): Uint8Array<ArrayBuffer> {
    try {
        return "buffer" in memory
            ? new Uint8Array(memory.buffer as ArrayBuffer, memory.byteOffset, memory.byteLength)
            : new Uint8Array(memory);
    } catch {
        throw refusal("usage", where, "has no memory any more, which was transferred to another thread; give a copy");
    }
}

/** The bits of floats of 16 or 32 bits. */
export type Bits = Uint16Array | Int32Array;

/** The same memory, where these are floats of 16 or 32 bits: to move them as numbers would make signalling NaNs quiet. */
export function bitsOf(values: unknown): Bits | undefined {
    if (!isFloats(values) || values instanceof Float64Array) return undefined;
    const { buffer, byteOffset, length } = values;
    return values.BYTES_PER_ELEMENT === 2
        ? new Uint16Array(buffer, byteOffset, length)
        : new Int32Array(buffer, byteOffset, length);
}
