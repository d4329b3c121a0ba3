// The gallery's files that are no files of the shipped sample: made from it when the page is built, so that git holds none of them.
import { transport, Gauge } from "regauge";

interface Tensor {
  dtype: string;
  shape: number[];
  bytes: Buffer;
}
type Tensors = Map<string, Tensor>;

function read(file: Buffer): Tensors {
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length).toString()) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return new Map(
    Object.entries(header)
      .filter(([name]) => name !== "__metadata__")
      .map(([name, { dtype, shape, data_offsets }]) => {
        const [begin, end] = data_offsets.map((at) => 8 + length + at);
        return [name, { dtype, shape, bytes: Buffer.from(file.subarray(begin, end)) }];
      }),
  );
}

function write(tensors: Tensors): Buffer {
  let at = 0;
  const header = Object.fromEntries(
    [...tensors].map(([name, { dtype, shape, bytes }]) => [
      name,
      { dtype, shape, data_offsets: [at, (at += bytes.length)] },
    ]),
  );
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...[...tensors.values()].map(({ bytes }) => bytes)]);
}

/** Every third channel of a side carries what other tokens have there: the rest is as it was. */
export function partial(evidence: Buffer): Buffer {
  const tensors = read(evidence);
  for (const [name, { dtype, shape, bytes }] of tensors) {
    if (!/^(activations|gains)\//.test(name)) continue;
    const d = shape.at(-1)!;
    const width = dtype === "F32" ? 4 : 2;
    const [before, rows] = [Buffer.from(bytes), bytes.length / width / d];
    for (let row = 0; row < rows; row++)
      for (let channel = 0; channel < d; channel += 3) {
        // Another token's, and of the gains another channel's.
        const [from, of] = rows > 1 ? [(row * 7 + 131 * (channel + 1)) % rows, channel] : [row, d - 1 - channel];
        before.copy(bytes, (row * d + channel) * width, (from * d + of) * width, (from * d + of + 1) * width);
      }
  }
  return write(tensors);
}

/** Rows of other tokens than the other side's, and nothing that says so: the mistake of two texts. */
export function otherText(evidence: Buffer): Buffer {
  const tensors = read(evidence);
  for (const [name, { bytes }] of tensors) {
    if (!name.startsWith("activations/")) tensors.delete(name);
    else Buffer.concat([bytes.subarray(bytes.length / 2), bytes.subarray(0, bytes.length / 2)]).copy(bytes);
  }
  return write(tensors);
}

/** Uniform numbers in [-1, 1) from a seed: mulberry32. */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}

const [d, vocabulary, layers] = [64, 256, 2];

/** A checkpoint of GPT-2's kind, whose norms subtract the mean: made-up weights. */
function gpt2(): Buffer {
  const next = uniform(5);
  const tensors: Tensors = new Map();
  const add = (name: string, shape: number[], around = 0) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => around + 0.2 * next());
    tensors.set(name, { dtype: "F32", shape, bytes: Buffer.from(values.buffer) });
  };
  add("wte.weight", [vocabulary, d]);
  add("wpe.weight", [64, d]);
  const linear = (name: string, from: number, to: number) => {
    add(`${name}.weight`, [from, to]);
    add(`${name}.bias`, [to]);
  };
  const norm = (name: string) => {
    add(`${name}.weight`, [d], 1);
    add(`${name}.bias`, [d]);
  };
  for (let layer = 0; layer < layers; layer++) {
    const of = `h.${layer}`;
    norm(`${of}.ln_1`);
    linear(`${of}.attn.c_attn`, d, 3 * d);
    linear(`${of}.attn.c_proj`, d, d);
    norm(`${of}.ln_2`);
    linear(`${of}.mlp.c_fc`, d, 4 * d);
    linear(`${of}.mlp.c_proj`, 4 * d, d);
  }
  norm("ln_f");
  return write(tensors);
}

export const gpt2Config = Buffer.from(
  JSON.stringify({
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    n_embd: d,
    n_head: 4,
    n_layer: layers,
    n_positions: 64,
    vocab_size: vocabulary,
    tie_word_embeddings: true,
  }),
);

/** Two of them: the second is the first with its channels in another order. */
export async function layerNorms(): Promise<{ source: Buffer; target: Buffer }> {
  const source = gpt2();
  const next = uniform(9);
  const perm = Array.from({ length: d }, (_, i) => i);
  for (let i = d - 1; i > 0; i--) {
    const j = Math.floor(((next() + 1) / 2) * (i + 1));
    [perm[i], perm[j]] = [perm[j]!, perm[i]!];
  }
  const folder = { "config.json": gpt2Config, "model.safetensors": source };
  const { files } = await transport(
    folder,
    Gauge.from({ format: "regauge-gauge", version: 1, d, group: "layernorm", perm, sign: perm.map(() => 1) }),
  );
  const moved = files.find(({ name }) => name.endsWith("model.safetensors"))!;
  return { source, target: Buffer.from(await moved.blob.arrayBuffer()) };
}
