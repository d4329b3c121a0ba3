// Text to token ids and back, for the small models that run on the page: a Hugging Face tokenizer.json of the BPE kind, or bytes.

export interface Tokenizer {
  /** Of text as it stands: no token is put before or after it. */
  encode(text: string): number[];
  /** What one token stands for, as far as it can be read alone. */
  piece(id: number): string;
  decode(ids: readonly number[]): string;
}

/** Ids are the bytes of UTF-8: a model whose vocabulary is 256. */
export const bytes: Tokenizer = {
  encode: (text) => [...new TextEncoder().encode(text)],
  piece: (id) =>
    (id >= 32 && id < 127) || id === 10 ? String.fromCharCode(id) : `\\x${id.toString(16).padStart(2, "0")}`,
  decode: (ids) => new TextDecoder().decode(Uint8Array.from(ids)),
};

export interface TokenizerJson {
  model?: { type?: string; vocab?: Record<string, number>; merges?: (string | [string, string])[] };
  added_tokens?: { id: number; content: string }[];
  normalizer?: unknown;
  pre_tokenizer?: unknown;
  decoder?: unknown;
}

/** A tokenizer.json; null where it is of a kind that is not read here (Unigram, WordPiece). Throws where it is damaged. */
export function from(json: TokenizerJson): Tokenizer | null {
  const { model, added_tokens: added = [], normalizer, pre_tokenizer: before, decoder } = json;
  if (model?.type !== "BPE" || !model.vocab || !model.merges) return null;
  const vocabulary = new Map(Object.entries(model.vocab));
  const pieces = new Map([...vocabulary].map(([piece, id]) => [id, piece]));
  const whole = new Map(added.map(({ id, content }) => [id, content]));
  const wholeIds = new Map(added.map(({ id, content }) => [content, id]));
  const ranks = new Map(model.merges.map((merge, rank) => [typeof merge === "string" ? merge : merge.join(" "), rank]));
  const byteLevel = says([before, decoder], '"ByteLevel"');
  // SentencePiece: a text begins as if a space stood before it.
  const prepends =
    !byteLevel &&
    (says(normalizer, '"Prepend"') ||
      says(before, '"prepend_scheme":"always"') ||
      says(before, '"prepend_scheme":"first"'));
  const words = byteLevel ? new RegExp(splitPattern(before), "gu") : /▁*[^▁]+|▁+/gu;
  const cuts =
    added.length > 0
      ? new RegExp(`(${added.map(({ content }) => content.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|")})`, "u")
      : /(?!)/u;

  const toIds = (symbol: string): number[] => {
    const id = vocabulary.get(symbol);
    if (id !== undefined) return [id];
    return utf8(symbol).flatMap(
      (byte) => vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`) ?? [],
    );
  };
  const encodePart = (part: string): number[] => {
    const whole = wholeIds.get(part);
    if (whole !== undefined) return [whole];
    const cut = (byteLevel ? part : (prepends ? "▁" : "") + part.replaceAll(" ", "▁")).match(words) ?? [];
    return cut
      .flatMap((word) => merged(byteLevel ? utf8(word).map((byte) => byteToLetter[byte]!) : [...word], ranks))
      .flatMap(toIds);
  };
  const bytesOf = (id: number): number[] => {
    const special = whole.get(id);
    if (special !== undefined) return utf8(special);
    const piece = pieces.get(id) ?? "\ufffd";
    const byte = /^<0x([0-9A-F]{2})>$/.exec(piece);
    if (byte) return [parseInt(byte[1]!, 16)];
    return byteLevel ? [...piece].map((letter) => letterToByte.get(letter) ?? 0x3f) : utf8(piece.replaceAll("▁", " "));
  };
  const textOf = (ids: readonly number[]) => new TextDecoder().decode(Uint8Array.from(ids.flatMap(bytesOf)));
  return {
    encode: (text) =>
      text
        .split(cuts)
        .filter((part) => part !== "")
        .flatMap(encodePart),
    piece: (id) => textOf([id]),
    decode(ids) {
      if (!prepends) return textOf(ids);
      // The space before a text's beginning is taken off again, also after a token that stands whole.
      const parts: number[][] = [[]];
      for (const id of ids) {
        parts.at(-1)!.push(id);
        if (whole.has(id)) parts.push([]);
      }
      return parts.map((part) => textOf(part).replace(/^ /, "")).join("");
    },
  };
}

const says = (part: unknown, words: string) => (JSON.stringify(part) ?? "").includes(words);
const utf8 = (text: string) => [...new TextEncoder().encode(text)];

/** Joins the pair that was learnt first wherever it stands, again and again. */
function merged(symbols: readonly string[], ranks: ReadonlyMap<string, number>): readonly string[] {
  for (;;) {
    const rankAt = (k: number) => ranks.get(`${symbols[k]} ${symbols[k + 1]}`) ?? Infinity;
    const of = Array.from({ length: symbols.length - 1 }, (_, k) => rankAt(k));
    const best = of.reduce((a, b) => Math.min(a, b), Infinity);
    if (best === Infinity) return symbols;
    const joined: string[] = [];
    for (let k = 0; k < symbols.length; ++k) joined.push(of[k] === best ? symbols[k]! + symbols[++k]! : symbols[k]!);
    symbols = joined;
  }
}

const gpt2 = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** The pattern that cuts text into words; GPT-2's where the file has none, or one that this browser cannot read. */
function splitPattern(before: unknown): string {
  const own = /"Regex":("(?:[^"\\]|\\.)*")/.exec(JSON.stringify(before) ?? "");
  if (!own) return gpt2;
  // Not every browser knows (?i:...), which stands before 's, 't and the like.
  const pattern = (JSON.parse(own[1]!) as string).replace(
    /\(\?i:([^()\\]*)\)/g,
    (_, words: string) => `(?:${words.replace(/[a-z]/gi, (c) => `[${c.toLowerCase()}${c.toUpperCase()}]`)})`,
  );
  try {
    new RegExp(pattern, "gu");
    return pattern;
  } catch {
    return gpt2;
  }
}

/** GPT-2's letters for bytes: printable ones stand for themselves, the others for letters from U+0100 on. */
const byteToLetter: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCodePoint(printable ? byte : next++);
  });
})();
const letterToByte = new Map(byteToLetter.map((letter, byte) => [letter, byte]));
