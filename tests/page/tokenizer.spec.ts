// Text to ids and back, against the tokenizers package and a checkpoint's own tokens.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { bytes as byteTokenizer, from, type TokenizerJson } from "../../web/src/lib/tokenizer";
import { bytes, file } from "./bench";

const fromJson = (text: string) => from(JSON.parse(text) as TokenizerJson);

test("a byte-level tokenizer gives what the tokenizers package gives", () => {
  const { tokenizer, cases } = JSON.parse(readFileSync(join(import.meta.dirname, "byte_level.json"), "utf8")) as {
    tokenizer: object;
    cases: { text: string; ids: number[] }[];
  };
  const ours = fromJson(JSON.stringify(tokenizer))!;
  for (const { text, ids } of cases) {
    expect(ours.encode(text)).toEqual(ids);
    expect(ours.decode(ids)).toBe(text);
  }
});

test("a checkpoint's lines are read, and give their tokens back", () => {
  const own = fromJson(readFileSync(file("tokenizer.json"), "utf8"))!;
  const ids = [...new Int32Array(Uint8Array.from(bytes("source/tokens.npy").subarray(-4096)).buffer)];
  const lines: number[][] = [];
  for (let sequence = 0; sequence < 16; ++sequence) {
    const parts: number[][] = [[]];
    for (const id of ids.slice(64 * sequence, 64 * (sequence + 1))) id === 1 ? parts.push([]) : parts.at(-1)!.push(id);
    lines.push(...parts.slice(1, -1)); // whole ones
  }
  expect(lines.map((line) => own.decode(line))).toContain("First, madam, I entreat true peace of you,");
  const back = lines.filter((line) => own.encode(own.decode(line)).join() === line.join());
  // One word ("friend") is made of pieces that its tokens never show.
  expect(back.length).toBe(lines.length - 1);
  expect(own.decode([...lines[0]!, 1, ...lines[1]!])).toContain("\n");
});

test("bytes stand for themselves, and other kinds of tokenizers are left alone", () => {
  expect(byteTokenizer.encode("né")).toEqual([110, 0xc3, 0xa9]);
  expect(byteTokenizer.decode([110, 0xc3, 0xa9])).toBe("né");
  expect([110, 10, 0xc3].map(byteTokenizer.piece)).toEqual(["n", "\n", "\\xc3"]);
  expect(fromJson('{"model":{"type":"Unigram","vocab":[["a",-1]]}}')).toBeNull();
});
