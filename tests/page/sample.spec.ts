import { readFileSync } from "node:fs";
import { align as alignInNode, Gauge, transport } from "regauge";
import { align, expect, loadSample, sampleFile, sampleTruth as truth, test } from "./bench";

const folder = (path: string) =>
  Object.fromEntries(
    ["sae_weights.safetensors", "cfg.json"].map((name) => [name, readFileSync(sampleFile(`${path}/${name}`))]),
  );
const d = truth.perm.length;
const kept = truth.sign.filter((sign) => sign > 0).length;

test("the sample gives the planted gauge, with the fingerprint that Node gives", async ({ page }) => {
  await loadSample(page);
  await align(page);
  await expect(page.getByTestId("verdict")).toContainText("Aligned");
  await expect(page.getByTestId("verdict")).toContainText(`${d - kept} of ${d}`);
  const gauge = await alignInNode(
    sampleFile("source/evidence.safetensors"),
    sampleFile("other_run/evidence.safetensors"),
  );
  await expect(page.getByTestId("fingerprint")).toHaveText(gauge.fingerprint);

  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download gauge.json" }).click(),
  ]);
  expect(download.suggestedFilename()).toBe("gauge.json");
  const saved = JSON.parse(readFileSync(await download.path(), "utf8"));
  expect(saved.fingerprint).toBe(gauge.fingerprint);
  expect(saved.perm).toEqual(truth.perm);
  expect(saved.sign).toEqual(truth.sign);
});

test("permutation-only matching is shown to stop at the signs that are kept", async ({ page }) => {
  await loadSample(page);
  await align(page);
  const verdict = page.getByTestId("verdict");
  await expect(verdict).toContainText(`it can reach at most the ${((100 * kept) / d).toFixed(1)} %`);
  // What was measured is within two points of the theory.
  const recovered = Number(/same partner for ([\d.]+)\s%/.exec(await verdict.innerText())?.[1]);
  expect(Math.abs(recovered - (100 * kept) / d)).toBeLessThanOrEqual(2);
  const curve = page.getByRole("img", { name: /Matched pairs/ });
  await expect(curve).toContainText(`signs kept: ${((100 * kept) / d).toFixed(1)} %`);
  await expect(page.getByRole("application", { name: /after/ })).toHaveAccessibleName(/on the diagonal for 100\s%/);
});

test("a vector and an SAE are moved as in Node, byte for byte, singly and as a zip", async ({ page }) => {
  await loadSample(page);
  await align(page);
  await page.getByRole("button", { name: "Move all" }).click();
  const [vector] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download refusal_resid2.moved.npy" }).click(),
  ]);
  const x = readFileSync(sampleFile("source/refusal_resid2.npy"));
  const y = readFileSync(await vector.path());
  expect(y.length).toBe(x.length);
  const at = x.length - 4 * d;
  for (let i = 0; i < d; i++)
    expect(y.readFloatLE(at + 4 * i)).toBe(Math.fround(truth.sign[i]! * x.readFloatLE(at + 4 * truth.perm[i]!)));

  const [archive] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download all as zip" }).click(),
  ]);
  const zip = unzip(readFileSync(await archive.path()));
  expect([...zip.keys()].sort()).toEqual([
    "refusal_resid2.moved.npy",
    "sae_resid1.moved/cfg.json",
    "sae_resid1.moved/sae_weights.safetensors",
  ]);
  expect(zip.get("refusal_resid2.moved.npy")!.equals(y)).toBe(true);

  // The SAE, as the package moves it in Node with the same gauge.
  const { files } = await transport(folder("source/sae_resid1"), new Gauge(truth.perm, truth.sign));
  for (const { name, blob } of files)
    expect(zip.get(`sae_resid1.moved/${name}`)!.equals(Buffer.from(await blob.arrayBuffer()))).toBe(true);
});

test("the table says how each tensor moves, and the preview shows numbers before and after", async ({ page }) => {
  await loadSample(page);
  await align(page);
  await page.getByText("What would move, and how").last().click();
  const plan = page.getByRole("group", { name: "How the tensors of sae_resid1 move" });
  await expect(plan.getByRole("row", { name: /W_dec/ })).toContainText("axis 1: odd");
  await expect(plan.getByRole("row", { name: /b_enc/ })).toContainText("copied");
  await page.getByRole("button", { name: "Move all" }).click();
  const preview = page.getByRole("group", { name: "refusal_resid2.npy before and after" });
  await expect(preview.getByRole("row").nth(1)).toContainText(`source ${truth.perm[0]}`);
});

test("a vector can be pasted as JSON", async ({ page }) => {
  await loadSample(page);
  await align(page);
  await page.getByText("Paste a vector as JSON").click();
  const vector = Array.from({ length: d }, (_, i) => i + 1);
  await page.getByLabel(/Source coordinates/).fill(JSON.stringify(vector));
  const expected = truth.perm.map((j, i) => truth.sign[i]! * vector[j]!);
  expect(JSON.parse(await page.getByLabel("Target coordinates").inputValue())).toEqual(expected);
  await page.getByLabel(/Source coordinates/).fill("[1, 2]");
  await expect(page.getByRole("alert")).toContainText(String(d));
});

test("selecting a channel marks it everywhere", async ({ page }) => {
  await loadSample(page);
  await align(page);
  const panel = page.getByRole("region", { name: "Selected channel" });
  await panel.getByLabel("target").fill("17");
  await panel.getByLabel("target").press("Enter");
  await expect(panel).toContainText(`x[${truth.perm[17]}]`);
  // Both heat maps carry the cross, and the three linked plots a ring.
  await expect(page.locator("svg.mark circle")).toHaveCount(2);
  await expect(page.locator('.plot circle[stroke="var(--mark)"]')).toHaveCount(3);
  await page.getByRole("application", { name: /Recovered signs/ }).focus();
  await page.keyboard.press("ArrowRight");
  await expect(panel.getByLabel("target")).toHaveValue("18");
});

test("plots are saved as stand-alone SVG and PNG", async ({ page }) => {
  await loadSample(page);
  await align(page);
  const [svg] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "SVG of Margins" }).click(),
  ]);
  const text = readFileSync(await svg.path(), "utf8");
  expect(text).toContain("<title>Margins</title>");
  expect(text).toContain("matched score");
  expect(text).not.toContain("var(--");
  const [map] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "SVG of |r| after" }).click(),
  ]);
  const picture = readFileSync(await map.path(), "utf8");
  for (const part of [
    "|r| after",
    "target channel",
    "source channel, in the gauge’s order",
    "|r| at resid",
    "data:image/png",
  ])
    expect(picture).toContain(part);
  const [strip] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "SVG of Recovered signs" }).click(),
  ]);
  expect(readFileSync(await strip.path(), "utf8").match(/<rect/g)).toHaveLength(d + 1);
  for (const name of ["PNG of Margins", "PNG of |r| after", "PNG of Recovered signs"]) {
    const [png] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
    expect(
      readFileSync(await png.path())
        .subarray(1, 4)
        .toString(),
    ).toBe("PNG");
  }
});

/** Stored members of a zip, found through its central directory. */
function unzip(archive: Buffer): Map<string, Buffer> {
  const out = new Map<string, Buffer>();
  const end = archive.lastIndexOf("PK\x05\x06", undefined, "latin1");
  let at = archive.readUInt32LE(end + 16);
  for (let k = 0; k < archive.readUInt16LE(end + 10); k++) {
    const [size, nameLength, local] = [
      archive.readUInt32LE(at + 24),
      archive.readUInt16LE(at + 28),
      archive.readUInt32LE(at + 42),
    ];
    const begin = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    out.set(archive.subarray(at + 46, at + 46 + nameLength).toString(), archive.subarray(begin, begin + size));
    at += 46 + nameLength;
  }
  return out;
}
