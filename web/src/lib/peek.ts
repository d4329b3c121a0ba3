// A look at numbers in a file, for previews and plots: one vector of a .safetensors or .npy, read by range. What moves files is the package.
import type { Item } from "./types";

const widths: Record<string, number> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

interface Place {
  dtype: string;
  shape: number[];
  begin: number;
}

/** Tensors of a file by name; a .npy has one, named "". Nothing where the file is neither. */
async function places(blob: Blob): Promise<Map<string, Place>> {
  const found = new Map<string, Place>();
  const head = new DataView(await blob.slice(0, 12).arrayBuffer());
  if (head.byteLength < 12) return found;
  if (head.getUint32(0) === 0x934e554d) {
    const [at, length] = head.getUint8(6) === 1 ? [10, head.getUint16(8, true)] : [12, head.getUint32(8, true)];
    const text = await blob.slice(at, at + length).text();
    const dtype = { "<f8": "F64", "<f4": "F32", "<f2": "F16" }[/'descr': *'([^']*)'/.exec(text)?.[1] ?? ""];
    const shape = /'shape': *\(([^)]*)\)/
      .exec(text)?.[1]
      ?.split(",")
      .filter((n) => n.trim() !== "")
      .map(Number);
    if (dtype && shape && text.includes("'fortran_order': False")) found.set("", { dtype, shape, begin: at + length });
    return found;
  }
  const length = Number(head.getBigUint64(0, true));
  if (length > 1e8 || length + 8 > blob.size) return found;
  const text = await blob.slice(8, 8 + length).text();
  if (!text.startsWith("{")) return found;
  const header = JSON.parse(text) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header))
    if (name !== "__metadata__") found.set(name, { dtype, shape, begin: 8 + length + data_offsets[0] });
  return found;
}

async function read(blob: Blob, { dtype, begin }: Place, first: number, count: number): Promise<Float64Array | null> {
  const width = widths[dtype];
  if (!width) return null;
  const view = new DataView(await blob.slice(begin + first * width, begin + (first + count) * width).arrayBuffer());
  const one = {
    F64: (k: number) => view.getFloat64(8 * k, true),
    F32: (k: number) => view.getFloat32(4 * k, true),
    F16: (k: number) => half(view.getUint16(2 * k, true)),
    BF16: brain,
  };
  function brain(k: number) {
    const bits = new DataView(new ArrayBuffer(4));
    bits.setUint16(0, view.getUint16(2 * k, true));
    return bits.getFloat32(0);
  }
  return Float64Array.from({ length: count }, (_, k) => one[dtype as keyof typeof one](k));
}

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return exponent === 31 ? (fraction ? NaN : sign * Infinity) : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Gain vectors of length d: `gains/<name>` of an evidence bundle, the norms of a checkpoint. */
export async function gains({ files }: Item, d: number): Promise<Map<string, Float64Array>> {
  const out = new Map<string, Float64Array>();
  for (const { blob } of files) {
    for (const [name, place] of await places(blob)) {
      const norm = /^gains\/(.+)|^(?:model\.)?(.*norm[^.]*)\.weight$/.exec(name);
      if (!norm || place.shape.join() !== String(d)) continue;
      const values = await read(blob, place, 0, d);
      if (values) out.set((norm[1] ?? norm[2])!, values);
    }
  }
  return out;
}

/** The first vector along the last axis of a tensor: what a preview shows. name: "" for a .npy. */
export async function firstVector(blob: Blob, name: string, d: number): Promise<Float64Array | null> {
  const all = await places(blob);
  const place = all.get(name) ?? all.get("");
  return place && place.shape.at(-1) === d ? read(blob, place, 0, d) : null;
}
