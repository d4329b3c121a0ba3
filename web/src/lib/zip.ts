// A zip archive of files as they are (method "stored"): tensors hardly compress, and nothing is held in memory: the archive is a Blob of the
// files' own Blobs with headers between them. Layout: PKWARE APPNOTE 4.3; ZIP64 (4.5.3) where a number needs more than 32 bits.
import { chunks } from "./chunks";

export interface ZipEntry {
  path: string;
  blob: Blob;
}

// table[k][b]: the CRC of byte b followed by k zero bytes, so that eight bytes are taken at a time.
const table = Array.from({ length: 8 }, () => new Uint32Array(256));
for (let n = 0; n < 256; n++) {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  table[0]![n] = crc;
}
for (let k = 1; k < 8; k++)
  for (let n = 0; n < 256; n++) table[k]![n] = table[0]![table[k - 1]![n]! & 255]! ^ (table[k - 1]![n]! >>> 8);

function crcOf(bytes: Uint8Array, before: number): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = table as [
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
  ];
  let crc = before;
  let at = 0;
  for (const whole = bytes.length - 7; at < whole; at += 8) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    crc =
      t7[low & 255]! ^
      t6[(low >>> 8) & 255]! ^
      t5[(low >>> 16) & 255]! ^
      t4[low >>> 24]! ^
      t3[bytes[at + 4]!]! ^
      t2[bytes[at + 5]!]! ^
      t1[bytes[at + 6]!]! ^
      t0[bytes[at + 7]!]!;
  }
  for (; at < bytes.length; at++) crc = t0[(crc ^ bytes[at]!) & 255]! ^ (crc >>> 8);
  return crc;
}

async function crc32(blob: Blob, onBytes: (count: number) => void, signal?: AbortSignal): Promise<number> {
  let crc = 0xffffffff;
  for await (const bytes of chunks(blob, signal)) {
    crc = crcOf(bytes, crc);
    onBytes(bytes.length);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** Fields of a header: [bytes, value] in order, little-endian. */
function fields(list: [2 | 4 | 8, number][]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(list.reduce((sum, [width]) => sum + width, 0)));
  let at = 0;
  for (const [width, value] of list) {
    if (width === 2) view.setUint16(at, value, true);
    else if (width === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    at += width;
  }
  return new Uint8Array(view.buffer);
}

const most = 0xffffffff;

/** onBytes: bytes read since it was last called. The same files give the same archive: their time is 1980-01-01. */
export async function zip(
  entries: ZipEntry[],
  onBytes: (count: number) => void = () => undefined,
  signal?: AbortSignal,
): Promise<Blob> {
  const parts: BlobPart[] = [];
  const directory: BlobPart[] = [];
  let offset = 0;
  let directorySize = 0;
  for (const { path, blob } of entries) {
    const name = new TextEncoder().encode(path);
    const large = blob.size >= most;
    const far = offset >= most;
    const size = large ? most : blob.size;
    const version = large || far ? 45 : 20;
    const crc = await crc32(blob, onBytes, signal);
    // UTF-8 names, stored.
    const common = (extra: number): [2 | 4 | 8, number][] => [
      [2, version],
      [2, 0x0800],
      [2, 0],
      [2, 0],
      [2, 0x21],
      [4, crc],
      [4, size],
      [4, size],
      [2, name.length],
      [2, extra],
    ];
    const sizes: [8, number][] = large
      ? [
          [8, blob.size],
          [8, blob.size],
        ]
      : [];
    const place: [8, number][] = far ? [[8, offset]] : [];
    const extra = (list: [8, number][]) =>
      list.length > 0 ? fields([[2, 1], [2, 8 * list.length], ...list]) : new Uint8Array();
    const [localExtra, centralExtra] = [extra(sizes), extra([...sizes, ...place])];
    const local = fields([[4, 0x04034b50], ...common(localExtra.length)]);
    const central = fields([
      [4, 0x02014b50],
      [2, version],
      ...common(centralExtra.length),
      [2, 0],
      [2, 0],
      [2, 0],
      [4, 0],
      [4, far ? most : offset],
    ]);
    parts.push(local, name, localExtra, blob);
    directory.push(central, name, centralExtra);
    offset += local.length + name.length + localExtra.length + blob.size;
    directorySize += central.length + name.length + centralExtra.length;
  }
  const end: BlobPart[] = [];
  if (offset >= most) {
    const count: [8, number][] = [
      [8, entries.length],
      [8, entries.length],
    ];
    end.push(
      fields([[4, 0x06064b50], [8, 44], [2, 45], [2, 45], [4, 0], [4, 0], ...count, [8, directorySize], [8, offset]]),
    );
    end.push(
      fields([
        [4, 0x07064b50],
        [4, 0],
        [8, offset + directorySize],
        [4, 1],
      ]),
    );
  }
  end.push(
    fields([
      [4, 0x06054b50],
      [2, 0],
      [2, 0],
      [2, entries.length],
      [2, entries.length],
      [4, directorySize],
      [4, Math.min(offset, most)],
      [2, 0],
    ]),
  );
  return new Blob([...parts, ...directory, ...end], { type: "application/zip" });
}
