// The safetensors format, written: how what a program holds becomes a file.

import { bytesOf, type Elements } from "./floats.js";

export interface NamedElements extends Elements {
    readonly name: string;
    readonly shape: readonly number[];
}

/** 8 bytes of header length, the JSON header, the tensors. `where` names the input. */
export function toSafetensors(tensors: readonly NamedElements[], where: string): Uint8Array<ArrayBuffer> {
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
    for (const { name, data } of tensors) {
        file.set(bytesOf(data, `${where}: ${name}`), place);
        place += data.byteLength;
    }
    return file;
}
