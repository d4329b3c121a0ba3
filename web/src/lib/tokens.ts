// Token ids from a file, a .npy of whole numbers or a JSON array; or from text, with the model's own tokenizer.
import * as tokenizer from "./tokenizer";
import type { Tokenizer } from "./tokenizer";
import type { Item } from "./types";

/** What the page reads of a checkpoint beside its tensors. */
export interface ModelFacts {
  vocabulary: number;
  layers: number;
  tokenizer: Tokenizer | null;
}

export const isModel = ({ files }: Item) =>
  files.some(({ path }) => path === "config.json") && files.some(({ path }) => path.endsWith(".safetensors"));

export async function modelFacts(item: Item): Promise<ModelFacts> {
  const text = async (name: string) => {
    const blob = item.files.find(({ path }) => path === name)?.blob;
    return blob instanceof Blob ? blob.text() : undefined;
  };
  const whole = JSON.parse((await text("config.json")) ?? "{}") as Record<string, unknown> & {
    text_config?: Record<string, unknown>;
  };
  const config = whole.text_config ?? whole;
  const vocabulary = Number(config.vocab_size ?? 0);
  const json = await text("tokenizer.json");
  return {
    vocabulary,
    layers: Number(config.num_hidden_layers ?? 0),
    tokenizer: json ? tokenizer.fromJson(json) : vocabulary === 256 ? tokenizer.bytes : null,
  };
}

/** Sequences of one length, so that a long text is read in pieces that a small model takes; the rest at the end is a shorter one. */
export function sequences(ids: readonly number[], length = 128): number[][] {
  return Array.from({ length: Math.ceil(ids.length / length) }, (_, k) => ids.slice(k * length, (k + 1) * length));
}

/** Token ids of a file, by sequence. A text needs a tokenizer. Throws a sentence. */
export async function readTokens(file: Blob, name: string, model: ModelFacts): Promise<number[][]> {
  const head = new Uint8Array(await file.slice(0, 10).arrayBuffer());
  if (head[0] === 0x93 && String.fromCharCode(...head.slice(1, 6)) === "NUMPY")
    return npy(await file.arrayBuffer(), name);
  if (head[0] === 0x5b) return fromArray(JSON.parse(await file.text()), name);
  const text = await file.text();
  if (text.includes("\ufffd") || text.includes("\0"))
    throw new Error(
      `${name}: neither text nor token ids; expected a text file, a .npy of whole numbers or a JSON array of token ids`,
    );
  return sequences(encode(text, model, name));
}

export function encode(text: string, model: ModelFacts, name: string): number[] {
  if (/^[\s\d,[\]]*$/.test(text)) return fromArray(text.match(/\d+/g)?.map(Number) ?? [], name).flat();
  if (!model.tokenizer)
    throw new Error(
      `${name}: this checkpoint comes without a tokenizer.json of the BPE kind, so text cannot be read; give token ids, such as 12, 40, 7`,
    );
  return model.tokenizer.encode(text);
}

function fromArray(value: unknown, name: string): number[][] {
  const lists = Array.isArray(value) && Array.isArray(value[0]) ? (value as unknown[]) : [value];
  for (const list of lists)
    if (!Array.isArray(list) || !list.every((id) => Number.isSafeInteger(id) && id >= 0))
      throw new Error(`${name}: token ids are whole numbers of 0 or more, one list or several`);
  return lists as number[][];
}

function npy(buffer: ArrayBuffer, name: string): number[][] {
  const view = new DataView(buffer);
  const [at, length] = view.getUint8(6) === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  const header = new TextDecoder().decode(new Uint8Array(buffer, at, length));
  const [, kind, width] = /'descr': *'[<|]([iu])([1248])'/.exec(header) ?? [];
  const shape = /'shape': *\(([^)]*)\)/
    .exec(header)?.[1]
    ?.split(",")
    .filter((n) => n.trim() !== "")
    .map(Number);
  if (!kind || !width || !shape || shape.length === 0 || shape.length > 2 || !header.includes("'fortran_order': False"))
    throw new Error(`${name}: expected whole numbers [tokens] or [sequences, tokens], row-major and little-endian`);
  const bytes = Number(width);
  const read = (k: number) => {
    const place = at + length + k * bytes;
    if (bytes === 8) return Number(kind === "i" ? view.getBigInt64(place, true) : view.getBigUint64(place, true));
    if (bytes === 4) return kind === "i" ? view.getInt32(place, true) : view.getUint32(place, true);
    if (bytes === 2) return kind === "i" ? view.getInt16(place, true) : view.getUint16(place, true);
    return kind === "i" ? view.getInt8(place) : view.getUint8(place);
  };
  const ids = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, k) => read(k));
  return shape.length === 1 ? [ids] : sequences(ids, shape[1]!);
}
