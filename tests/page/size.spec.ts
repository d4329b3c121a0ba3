import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { card, chooser, expect, noise, safetensors, test } from "./bench";

test("a checkpoint of 3 GB is inspected by range", async ({ page }) => {
  const folder = mkdtempSync(join(tmpdir(), "regauge-page-"));
  try {
    // Sparse on the disk: only the header is written.
    const [vocabulary, d] = [187_500, 4096];
    const header: Record<string, unknown> = {};
    let at = 0;
    for (const name of ["model.embed_tokens.weight", "lm_head.weight"]) {
      header[name] = { dtype: "BF16", shape: [vocabulary, d], data_offsets: [at, at + vocabulary * d * 2] };
      at += vocabulary * d * 2;
    }
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    const path = join(folder, "model.safetensors");
    const file = openSync(path, "w");
    writeSync(file, Buffer.concat([length, text]));
    ftruncateSync(file, 8 + text.length + at);
    closeSync(file);

    await page.goto("./");
    await chooser(page, "object").setInputFiles(path);
    await expect(card(page, /model.safetensors/)).toContainText("3.1 GB");
    await expect(card(page, /model.safetensors/)).not.toContainText("undefined");
    const memory = await page.evaluate(() => (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize);
    expect(memory).toBeLessThan(500e6);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("time to ready, and the longest task of the page while d = 1024 is aligned", async ({ page }) => {
  test.setTimeout(240_000);
  await page.goto("./");
  const ready = await page.evaluate(() => performance.getEntriesByType("navigation")[0]!.toJSON().domComplete as number);
  const [d, rows] = [1024, 1024];
  const x = noise(rows, d, 7);
  const y = x.map((_, k) => x[k - (k % d) + ((k % d) * 5 + 3) % d]!);
  const evidence = (data: Float32Array) => safetensors({ "activations/resid.0": { shape: [rows, d], data } });
  await chooser(page, "source").setInputFiles({ name: "a.safetensors", mimeType: "", buffer: evidence(x) });
  await chooser(page, "target").setInputFiles({ name: "b.safetensors", mimeType: "", buffer: evidence(y) });
  await page.evaluate(() => {
    const seen = ((window as unknown as { tasks: number[] }).tasks = []) as number[];
    new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => seen.push(duration))).observe({ type: "longtask" });
  });
  await page.getByRole("button", { name: "Align", exact: true }).click();
  await expect(page.getByTestId("verdict")).toContainText("ligned", { timeout: 200_000 });
  await expect(page.getByRole("progressbar")).toHaveCount(0, { timeout: 200_000 });
  const longest = await page.evaluate(() => Math.max(0, ...(window as unknown as { tasks: number[] }).tasks));
  console.log(`ready after ${ready.toFixed(0)} ms; longest task while aligning d = ${d}: ${longest.toFixed(0)} ms (goals 1000 and 200)`);
});
