// Where no gauge is: a map is fitted, says what it is worth, and takes a vector along.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import AxeBuilder from "@axe-core/playwright";
import { card, chooser, expect, linesIn, noise, runLines, safetensors, test } from "./bench";

const rows = 1500;
const evidence = (path: string, d: number, data: Float32Array) =>
  writeFileSync(path, safetensors({ "activations/resid.1": { shape: [rows, d], data } }));

test("an affine map to another width is fitted, shown, and moves a vector", async ({ page }, info) => {
  const [from, to] = [24, 32];
  const [x, m] = [noise(rows, from, 5), noise(to, from, 6)];
  const y = new Float32Array(rows * to);
  for (let r = 0; r < rows; r++)
    for (let i = 0; i < to; i++) for (let j = 0; j < from; j++) y[r * to + i]! += m[i * from + j]! * x[r * from + j]!;
  const [a, b, v] = ["a.safetensors", "b.safetensors", "v.json"].map((name) => info.outputPath(name)) as [
    string,
    string,
    string,
  ];
  evidence(a, from, x);
  evidence(b, to, y);
  writeFileSync(v, JSON.stringify([...m.subarray(0, from)]));
  await page.goto("./");
  await chooser(page, "source").setInputFiles(a);
  await chooser(page, "target").setInputFiles(b);
  await page.getByRole("button", { name: "Fit a map" }).click();
  await expect(page.getByTestId("maps")).toContainText("an affine map from resid.1 explains");
  await chooser(page, "object").setInputFiles(v);
  await page.getByRole("button", { name: "Move it" }).click();
  await expect(card(page, /v.json/)).toBeVisible();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download v.moved.json" }).click(),
  ]);
  const moved = JSON.parse(readFileSync(await download.path(), "utf8")) as number[];
  expect(moved.length).toBe(to);
  for (let i = 0; i < to; i++) {
    let wanted = 0;
    for (let j = 0; j < from; j++) wanted += m[i * from + j]! * m[j]!;
    expect(Math.abs(moved[i]! - wanted)).toBeLessThan(0.02 * from);
  }
  // The lines that are said to do the same, do it.
  for (const language of ["command", "JavaScript"] as const) {
    const lines = await linesIn(page, language);
    const written = info.outputPath("v.moved.json");
    rmSync(written, { force: true });
    runLines(lines, language, info.outputPath());
    expect(readFileSync(written)).toEqual(readFileSync(await download.path()));
  }
  expect(await linesIn(page, "Python")).toContain(
    'maps = regauge.fit_map("a.safetensors", "b.safetensors")\n' +
      "print(maps.report.family, maps.report.fingerprint)\n" +
      'maps.transport("v.json", out="v.moved.json")',
  );
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map(({ id }) => id)).toEqual([]);
  await page.setViewportSize({ width: 320, height: 640 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
  const pdf = await page.pdf({ format: "A4" });
  expect(pdf.toString("latin1").match(/\/Type \/Page\b/g)!.length).toBeLessThanOrEqual(3);
});

test("unrelated rows: the verdict says so, and so does the map", async ({ page }, info) => {
  const d = 24;
  const paths = [1, 2].map((seed) => info.outputPath(`${seed}.safetensors`));
  paths.forEach((path, seed) => evidence(path, d, noise(rows, d, 40 + seed)));
  await page.goto("./");
  await chooser(page, "source").setInputFiles(paths[0]!);
  await chooser(page, "target").setInputFiles(paths[1]!);
  await page.getByRole("button", { name: "Align", exact: true }).click();
  await expect(page.getByTestId("verdict")).toContainText("Unrelated");
  await page.getByRole("button", { name: "Fit a map" }).click();
  await expect(page.getByTestId("maps")).toContainText("No map helps");
  // Two panels, each with its own lines; nothing has moved by either.
  const panel = page.getByRole("region", { name: "A map, where no gauge is" });
  expect(await linesIn(panel)).toBe("npx regauge map 1.safetensors 2.safetensors -o map.safetensors");
});
