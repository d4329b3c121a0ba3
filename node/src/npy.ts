// NumPy's file format, written: how a vector in memory becomes an object's file.

import { bytesOf, type Elements } from "./floats.js";

const npyTypes = { F16: "<f2", F32: "<f4", F64: "<f8", I64: "<i8" } as const;
/** Bytes before the header of a .npy file of version 1, whose length is a multiple of 64 with them. */
const npyPrelude = 10;

/** A .npy file of these elements. `where` names the input. */
export function toNpy(elements: Elements, shape: readonly number[], where: string): Uint8Array<ArrayBuffer> {
    const dims = shape.map((length) => `${length},`).join(" ");
    const said = `{'descr': '${npyTypes[elements.dtype]}', 'fortran_order': False, 'shape': (${dims}), }`;
    const length = Math.ceil((npyPrelude + said.length + 1) / 64) * 64 - npyPrelude;
    const bytes = bytesOf(elements.data, where);
    const file = new Uint8Array(npyPrelude + length + bytes.length);
    file.set([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, length & 0xff, length >> 8]);
    file.set(new TextEncoder().encode(`${said.padEnd(length - 1)}\n`), npyPrelude);
    file.set(bytes, npyPrelude + length);
    return file;
}
