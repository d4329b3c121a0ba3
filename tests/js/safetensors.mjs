/** What a .safetensors file begins with: a header, or a text in its place, after its length, or what is said to be that. */
export function headed(header, length) {
    const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(length ?? BigInt(text.length));
    return Buffer.concat([size, text]);
}

/** A .safetensors file of F32 tensors: by name, { shape, data: Float32Array }. */
export function safetensors(tensors) {
    const header = {};
    let at = 0;
    for (const [name, { shape, data }] of Object.entries(tensors)) {
        header[name] = { dtype: "F32", shape, data_offsets: [at, at + data.byteLength] };
        at += data.byteLength;
    }
    const parts = Object.values(tensors).map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    return Buffer.concat([headed(header), ...parts]);
}
