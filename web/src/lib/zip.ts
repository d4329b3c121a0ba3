// A zip archive of files as they are (method "stored"): tensors hardly compress, and nothing needs to be held in memory.
// Layout: PKWARE APPNOTE 4.3; sizes up to 4 GB, which is refused above.

export interface ZipEntry {
  path: string;
  blob: Blob;
}

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

async function crc32(blob: Blob): Promise<number> {
  let crc = 0xffffffff;
  const reader = blob.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return (crc ^ 0xffffffff) >>> 0;
    for (const byte of value) crc = table[(crc ^ byte) & 255]! ^ (crc >>> 8);
  }
}

/** Fields of a header: [bytes, value] in order, little-endian. */
function fields(list: [2 | 4, number][]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(list.reduce((sum, [width]) => sum + width, 0)));
  let at = 0;
  for (const [width, value] of list) {
    if (width === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += width;
  }
  return new Uint8Array(view.buffer);
}

export async function zip(entries: ZipEntry[]): Promise<Blob> {
  const parts: BlobPart[] = [];
  const directory: BlobPart[] = [];
  let offset = 0;
  let directorySize = 0;
  for (const { path, blob } of entries) {
    const name = new TextEncoder().encode(path);
    if (offset + blob.size > 0xf0000000) throw new Error("a zip holds at most 4 GB; download the files one by one");
    // version 2.0, UTF-8 names, stored, 1980-01-01: the same files give the same archive.
    const common: [2 | 4, number][] = [[2, 20], [2, 0x0800], [2, 0], [2, 0], [2, 0x21], [4, await crc32(blob)], [4, blob.size], [4, blob.size], [2, name.length], [2, 0]];
    const local = fields([[4, 0x04034b50], ...common]);
    const central = fields([[4, 0x02014b50], [2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]);
    parts.push(local, name, blob);
    directory.push(central, name);
    offset += local.length + name.length + blob.size;
    directorySize += central.length + name.length;
  }
  const end = fields([[4, 0x06054b50], [2, 0], [2, 0], [2, entries.length], [2, entries.length], [4, directorySize], [4, offset], [2, 0]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
