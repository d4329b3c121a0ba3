// A quantised model has its place: as evidence it is read as floats, as an object it is written as floats that the visitor chooses.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { npy } from "../js/helpers.mjs";
import { card, chooser, expect, linesIn, noise, randomGauge, runLines, sampleFile, test } from "./bench";

const [d, vocabulary] = [64, 512];

/** float16 bits of a positive number of ordinary size, cut off. */
function half(value: number): number {
  const exponent = Math.floor(Math.log2(value));
  return ((exponent + 15) << 10) | Math.floor((value / 2 ** exponent - 1) * 1024);
}

/** Q8_0: 32 numbers as a float16 scale and 32 signed bytes. */
function blocks(values: Float32Array): Buffer {
  const out = Buffer.alloc((values.length / 32) * 34);
  for (let block = 0; block < values.length / 32; block++) {
    const part = values.subarray(32 * block, 32 * block + 32);
    const scale = Math.max(...part.map(Math.abs)) / 127;
    out.writeUInt16LE(half(scale), 34 * block);
    part.forEach((value, k) => out.writeInt8(Math.round(value / scale), 34 * block + 2 + k));
  }
  return out;
}

/** A GGUF file of a small llama whose embedding is in blocks. */
function gguf(embedding: Float32Array, gains: Float32Array): Buffer {
  const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
  const u64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
  const text = (value: string) => Buffer.concat([u64(value.length), Buffer.from(value)]);
  const tensors = [
    { name: "token_embd.weight", shape: [d, vocabulary], type: 8, bytes: blocks(embedding) },
    ...["blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"].map((name, k) => ({
      name,
      shape: [d],
      type: 0,
      bytes: Buffer.from(gains.slice(k * d, (k + 1) * d).buffer),
    })),
  ];
  const padded = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc((32 - (bytes.length % 32)) % 32)]);
  let at = 0;
  const infos = tensors.map(({ name, shape, type, bytes }) => {
    const info = [text(name), u32(shape.length), ...shape.map(u64), u32(type), u64(at)];
    at += padded(bytes).length;
    return Buffer.concat(info);
  });
  const facts = [
    [text("general.architecture"), u32(8), text("llama")],
    [text("llama.embedding_length"), u32(4), u32(d)],
    [text("llama.block_count"), u32(4), u32(1)],
  ].flat();
  const head = [Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(3), ...facts, ...infos];
  return Buffer.concat([padded(Buffer.concat(head)), ...tensors.map(({ bytes }) => padded(bytes))]);
}

const { perm, sign } = randomGauge(d, 8);
const moved = (rows: Float32Array) => rows.map((_, k) => sign[k % d]! * rows[k - (k % d) + perm[k % d]!]!);
const [embedding, gains] = [noise(vocabulary, d, 6), noise(3, d, 7).map((value) => 1 + 0.1 * value)];
const source = gguf(embedding, gains);
const target = gguf(
  moved(embedding),
  gains.map((_, k) => gains[k - (k % d) + perm[k % d]!]!),
);
const named = (name: string, buffer: Buffer) => ({ name, mimeType: "", buffer });

test("quantised models are evidence as they are, and move written as floats", async ({ page }, info) => {
  await page.goto("./");
  await chooser(page, "source").setInputFiles(named("a.gguf", source));
  await expect(card(page, "a.gguf, source")).toContainText("blocks are read as floats");
  await expect(card(page, "a.gguf, source")).not.toContainText("transport");
  await chooser(page, "target").setInputFiles(named("b.gguf", target));
  await page.getByRole("button", { name: "Align", exact: true }).click();
  await expect(page.getByTestId("verdict")).toContainText("Aligned");
  await chooser(page, "object").setInputFiles(named("model.gguf", source));
  const object = card(page, "model.gguf, object");
  await object.getByLabel("Write its weights as").selectOption("f32");
  await page.getByRole("button", { name: "Move it" }).click();
  await expect(page.getByText("Moved into the target’s coordinates.")).toBeVisible();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download model.moved.gguf" }).click(),
  ]);
  const written = readFileSync(await download.path());
  expect(written.subarray(0, 4).toString()).toBe("GGUF");
  expect(written.length).toBeGreaterThan(4 * vocabulary * d);

  // The lines that are said to do the same, do it.
  for (const [name, content] of Object.entries({ "a.gguf": source, "b.gguf": target, "model.gguf": source }))
    writeFileSync(info.outputPath(name), content);
  for (const language of ["command", "JavaScript"] as const) {
    const lines = await linesIn(page, language);
    rmSync(info.outputPath("model.moved.gguf"), { force: true });
    runLines(lines, language, info.outputPath());
    expect(readFileSync(info.outputPath("model.moved.gguf")).equals(written)).toBe(true);
  }
  expect(await linesIn(page, "Python")).toContain(
    'regauge.transport("model.gguf", gauge, dequantize="f32", out="model.moved.gguf")',
  );
  // What was written as f32 is not said to be f16.
  await object.getByLabel("Write its weights as").selectOption("f16");
  await expect(page.getByText("Moved into the target’s coordinates.")).toHaveCount(0);
  expect(await linesIn(page)).not.toContain("transport");
});

test("a checkpoint whose weights are packed is evidence by its norms and embedding, in words of its own", async ({
  page,
}) => {
  await page.goto("./");
  for (const side of ["source", "target"] as const) {
    const from = side === "source" ? "source" : "other_run";
    const config = JSON.parse(readFileSync(sampleFile(`${from}/config.json`), "utf8")) as object;
    const packed = { ...config, quantization_config: { quant_method: "gptq", bits: 4 } };
    await chooser(page, side).setInputFiles([
      named("config.json", Buffer.from(JSON.stringify(packed))),
      named("model.safetensors", readFileSync(sampleFile(`${from}/model.safetensors`))),
    ]);
    await expect(card(page, new RegExp(`, ${side}$`))).toContainText("its norms and embedding are evidence");
    await expect(page.getByRole("alert")).toHaveCount(0);
  }
  await page.getByRole("button", { name: "Align", exact: true }).click();
  await expect(page.getByTestId("verdict")).toBeVisible();
});

test("a vector that is not of numbers is said to be so, and moves", async ({ page }) => {
  await page.goto("./");
  const values = [...Array.from({ length: 61 }, (_, k) => k / 8), NaN, Infinity, -Infinity];
  const odd = Buffer.from(npy(Float32Array.from(values), [64]));
  await chooser(page, "object").setInputFiles(named("odd.npy", odd));
  await expect(card(page, "odd.npy, object")).toContainText("3 of 64 channels are NaN or infinite");
});
