/** A .safetensors file of F32 tensors: by name, { shape, data: Float32Array }. */
export function safetensors(tensors) {
    const header = {};
    let at = 0;
    for (const [name, { shape, data }] of Object.entries(tensors)) {
        header[name] = { dtype: "F32", shape, data_offsets: [at, at + data.byteLength] };
        at += data.byteLength;
    }
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    const parts = Object.values(tensors).map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    return Buffer.concat([length, text, ...parts]);
}
