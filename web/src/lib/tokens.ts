// Token ids from a file, a .npy of whole numbers or a JSON array; or from text, with the model's own tokenizer.
import * as tokenizer from "./tokenizer";
import type { Tokenizer } from "./tokenizer";
import type { Item } from "./types";

/** What the page reads of a checkpoint beside its tensors. */
export interface ModelFacts {
  vocabulary: number;
  layers: number;
  /** The text of tokenizer.json, where there is one: `askTokens` reads it again, on a thread. */
  json: string | undefined;
  tokenizer: Tokenizer | null;
}

export const isModel = ({ files }: Item) =>
  files.some(({ path }) => path === "config.json") && files.some(({ path }) => path.endsWith(".safetensors"));

export async function modelFacts(item: Item): Promise<ModelFacts> {
  const text = async (name: string, most: number) => {
    const blob = item.files.find(({ path }) => path === name)?.blob;
    if (!(blob instanceof Blob)) return undefined;
    if (blob.size > most) throw new Error(`${name}: is larger than any known`);
    return blob.text();
  };
  const whole = object((await text("config.json", mostConfig)) ?? "{}", "config.json");
  const config = (whole.text_config ?? whole) as Record<string, unknown>;
  const vocabulary = Number(config.vocab_size ?? 0);
  const json = await text("tokenizer.json", mostTokenizer);
  return {
    vocabulary,
    layers: Number(config.num_hidden_layers ?? 0),
    json,
    tokenizer: tokenizerOf(json, vocabulary),
  };
}

// Bytes, as the core has them: Gemma's tokenizer, the largest known, has 33 MB.
const mostConfig = 64 * 2 ** 20;
const mostTokenizer = 64 * 2 ** 20;
/** Bytes of a file of token ids: 2^24 of eight, behind a header. */
const mostIds = 8 * 2 ** 24 + 2 ** 16;
/** Letters that are read of a text: the sequences that the page takes have 8192 tokens, and few tokens have over ten letters. */
const mostText = 2 ** 20;

/** undefined of what is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function object(text: string, name: string): Record<string, unknown> {
  const value = parsed(text);
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  throw new Error(`${name}: is not a JSON object`);
}

export function tokenizerOf(json: string | undefined, vocabulary: number): Tokenizer | null {
  if (json === undefined) return vocabulary === 256 ? tokenizer.bytes : null;
  const read = object(json, "tokenizer.json");
  try {
    return tokenizer.from(read);
  } catch {
    throw new Error("tokenizer.json: is damaged; save the tokenizer again");
  }
}

/** Sequences of one length, so that a long text is read in pieces that a small model takes; the rest at the end is a shorter one. */
export function sequences(ids: readonly number[], length = 128): number[][] {
  return Array.from({ length: Math.ceil(ids.length / length) }, (_, k) => ids.slice(k * length, (k + 1) * length));
}

/** Token ids of a file, by sequence. A text needs a tokenizer, and is read as far as the page takes it. Throws a sentence. */
export async function readTokens(file: Blob, name: string, tokenizer: Tokenizer | null): Promise<number[][]> {
  const head = new Uint8Array(await file.slice(0, 10).arrayBuffer());
  const isNpy = head[0] === 0x93 && String.fromCharCode(...head.slice(1, 6)) === "NUMPY";
  if ((isNpy || head[0] === 0x5b) && file.size > mostIds) throw new Error(`${name}: is larger than 2^24 token ids are`);
  if (isNpy) return npy(await file.arrayBuffer(), name);
  if (head[0] === 0x5b) {
    const list = parsed(await file.text());
    if (list !== undefined) return fromArray(list, name);
    if (name.endsWith(".json")) throw new Error(`${name}: begins as a JSON array and is none`);
  } // else a text that begins with a bracket
  const bytes = await file.slice(0, mostText).arrayBuffer();
  const text = new TextDecoder().decode(bytes, { stream: true }); // without the half of a letter at the end
  if (text.includes("\ufffd") || text.includes("\0"))
    throw new Error(
      `${name}: neither text nor token ids; expected a text file, a .npy of whole numbers or a JSON array of token ids`,
    );
  return sequences(encode(text, tokenizer, name));
}

export function encode(text: string, tokenizer: Tokenizer | null, name: string): number[] {
  if (/^[\s\d,[\]]*$/.test(text)) return fromArray(text.match(/\d+/g)?.map(Number) ?? [], name).flat();
  if (!tokenizer)
    throw new Error(
      `${name}: this checkpoint comes without a tokenizer.json of the BPE kind, so text cannot be read; give token ids, such as 12, 40, 7`,
    );
  return tokenizer.encode(text);
}

function fromArray(value: unknown, name: string): number[][] {
  const lists = Array.isArray(value) && Array.isArray(value[0]) ? (value as unknown[]) : [value];
  for (const list of lists)
    if (!Array.isArray(list) || !list.every((id) => Number.isSafeInteger(id) && id >= 0))
      throw new Error(`${name}: token ids are whole numbers of 0 or more, one list or several`);
  return lists as number[][];
}

function npy(buffer: ArrayBuffer, name: string): number[][] {
  if (buffer.byteLength < 12) throw new Error(`${name}: ends within its header`);
  const view = new DataView(buffer);
  const [at, length] = view.getUint8(6) === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  const header = new TextDecoder().decode(new Uint8Array(buffer).subarray(at, at + length));
  const [, kind, width] = /'descr': *'[<|]([iu])([1248])'/.exec(header) ?? [];
  const shape = /'shape': *\(([^)]*)\)/
    .exec(header)?.[1]
    ?.split(",")
    .filter((n) => n.trim() !== "")
    .map(Number);
  if (!kind || !width || !shape || shape.length === 0 || shape.length > 2 || !header.includes("'fortran_order': False"))
    throw new Error(`${name}: expected whole numbers [tokens] or [sequences, tokens], row-major and little-endian`);
  const bytes = Number(width);
  const count = shape.reduce((a, b) => a * b, 1);
  if (!(at + length + count * bytes <= buffer.byteLength)) throw new Error(`${name}: ends before its last token id`);
  const read = (k: number) => {
    const place = at + length + k * bytes;
    if (bytes === 8) return Number(kind === "i" ? view.getBigInt64(place, true) : view.getBigUint64(place, true));
    if (bytes === 4) return kind === "i" ? view.getInt32(place, true) : view.getUint32(place, true);
    if (bytes === 2) return kind === "i" ? view.getInt16(place, true) : view.getUint16(place, true);
    return kind === "i" ? view.getInt8(place) : view.getUint8(place);
  };
  const ids = Array.from({ length: count }, (_, k) => read(k));
  return shape.length === 1 ? [ids] : sequences(ids, shape[1]!);
}
