// Heads and MLP neurons of two checkpoints: what was planted is found, said as the command says it, kept, saved and moved with.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { Gauge, transport } from "regauge";
import { npy, runCommand } from "../js/helpers.mjs";
import { card, cancelUnderWay, chooser, expect, noise, randomGauge, sampleFile, test } from "./bench";

// The sample's model: llama, two layers, four heads that each have a key of their own.
const [d, neurons, heads, width] = [64, 160, 4, 16];
const places = { neurons: randomGauge(neurons, 3), heads: randomGauge(heads, 4).perm };
/** A layer with other places and signs, every third neuron twice as large. */
const layer = {
  neurons: places.neurons.perm,
  neuron_sign: places.neurons.sign,
  neuron_scale: places.neurons.perm.map((_, i) => (i % 3 === 0 ? 2 : 1)),
  kv_heads: places.heads,
  heads: places.heads,
};
/** [heads, pairs, 2]: another turn for each pair of channels. */
const turn = Array.from({ length: heads * (width / 2) }, (_, k) => [Math.cos(k), Math.sin(k)]).flat();
/** [heads, width, width]: the identity and a little of every other channel. */
const value = Array.from({ length: heads * width * width }, (_, k) =>
  (k % (width * width)) % (width + 1) === 0 ? 1 : 0.1 * Math.sin(k),
);
const planted = Gauge.from({
  ...new Gauge(randomGauge(d, 5).perm, randomGauge(d, 5).sign).toJSON(),
  hidden: {
    version: 1,
    head_dim: width,
    rope_pairs: width / 2,
    layers: [
      { ...layer, turn },
      { ...layer, neuron_scale: [], value },
    ],
  },
});

let folder: string, source: string, target: string;
const names = ["config.json", "model.safetensors"];

test.beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "regauge-hidden-"));
  [source, target] = [join(folder, "source"), join(folder, "scrambled")];
  for (const side of [source, target]) mkdirSync(side, { recursive: true });
  const content = Object.fromEntries(
    names.map((name) => [name, new Blob([readFileSync(sampleFile(`source/${name}`))])]),
  );
  const { files } = await transport(content, planted);
  for (const name of names) writeFileSync(join(source, name), Buffer.from(await content[name]!.arrayBuffer()));
  for (const { name, blob } of files) writeFileSync(join(target, name), Buffer.from(await blob.arrayBuffer()));
});
test.afterAll(() => rmSync(folder, { recursive: true, force: true }));

const panel = (page: Page) => page.getByTestId("hidden");
const ask = (page: Page) => page.getByRole("button", { name: "Match heads and neurons too" });

/** Both checkpoints on the bench and aligned: the residual stream alone. link: settings. files: those of each folder. */
async function aligned(page: Page, { link = "", files = names, to = target } = {}): Promise<void> {
  await page.goto(`./${link}`);
  for (const [role, side] of [
    ["source", source],
    ["target", to],
  ] as const)
    await chooser(page, role).setInputFiles(files.map((name) => join(side, name)));
  await page.getByRole("button", { name: "Align", exact: true }).click();
  await expect(page.getByTestId("verdict")).toContainText("Aligned");
}

async function saved(page: Page, button: string): Promise<string> {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: button }).click(),
  ]);
  return readFileSync(await download.path(), "utf8");
}

test("a planted scramble of heads and neurons is found, said in the command's words, and in the saved files", async ({
  page,
}) => {
  await aligned(page);
  await expect(panel(page).getByRole("table")).toHaveCount(0);
  expect(Gauge.from(await saved(page, "Download gauge.json")).hidden).toBeUndefined();
  await ask(page).click();
  const rows = panel(page).getByRole("row");
  const moved = `${layer.neurons.filter((from, i) => from !== i).length} neurons moved`;
  const flipped = `${layer.neuron_sign.filter((sign) => sign < 0).length} signs flipped`;
  const swapped = `${layer.heads.filter((from, i) => from !== i).length} heads moved`;
  for (const [l, changes] of [
    `${moved}, ${flipped}, neurons scaled, ${swapped}, queries and keys turned`,
    `${moved}, ${flipped}, ${swapped}, values mixed`,
  ].entries())
    await expect(rows.nth(l + 1).getByRole("cell")).toHaveText([
      `${neurons} of ${neurons}`,
      `${heads} of ${heads}`,
      "0",
      /^(>.99\.9|100).%$/,
      changes,
    ]);
  await expect(panel(page).getByRole("img")).toHaveAccessibleName(
    /How much of each layer is explained. Bars: .* in every layer/,
  );

  const told = await runCommand(["align", source, target, "--hidden", "-o", join(folder, "gauge.json")]);
  expect(told.status).toBe(0);
  const sentences = told.out.split("\n").filter((line: string) => line.includes("stand where the identity has them"));
  expect(sentences).toHaveLength(2);
  for (const sentence of sentences) await expect(panel(page)).toContainText(`${sentence}.`);
  expect(told.out).toContain("TARGET shares a training history with SOURCE, in other places: ");
  const history = `${await sideName(page, "target")} shares a training history with ${await sideName(page, "source")}, in other places.`;
  await expect(panel(page)).toContainText(history);

  const gauge = Gauge.from(await saved(page, "Download gauge.json"));
  expect(gauge.compare(planted)).toMatchObject({ both: 1, hidden: { neurons: 1, heads: 1, kvHeads: 1 } });
  await expect(page.getByTestId("hidden-fingerprint")).toHaveText(gauge.hidden!.fingerprint);
  expect(gauge.hidden!.fingerprint).toBe(
    Gauge.from(readFileSync(join(folder, "gauge.json"), "utf8")).hidden!.fingerprint,
  );
  const report = await saved(page, "Save a report");
  for (const text of [history, gauge.hidden!.fingerprint, moved, "How much of each layer is explained", "--hidden"])
    expect(report).toContain(text);

  await page.setViewportSize({ width: 320, height: 640 });
  await expect(panel(page).getByRole("img")).toBeVisible();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
});

test("what lives on neurons and whole checkpoints move with the whole gauge, which a reload keeps and a link does not", async ({
  page,
  context,
}) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await aligned(page);
  await ask(page).click();
  await expect(page.getByTestId("hidden-fingerprint")).toBeVisible();
  await expect(page.getByRole("progressbar")).toHaveCount(0);
  await page.reload();
  await expect(panel(page).getByRole("img")).toBeVisible();
  await expect(panel(page)).toContainText("shares a training history with");

  const x = Float32Array.from({ length: neurons }, (_, k) => k + 1);
  await chooser(page, "object").setInputFiles({ name: "x.npy", mimeType: "", buffer: Buffer.from(npy(x, [neurons])) });
  const vector = card(page, "x.npy, object").locator("..");
  await vector.getByLabel("Lives").selectOption("on MLP neurons");
  await vector.getByLabel("of layer").fill("1");
  await vector.getByLabel("of layer").press("Tab");
  await page.getByRole("button", { name: "Move it" }).click();
  await expect(vector).toContainText(
    "lives at 'blocks.1.mlp.hook_post': moves with the neurons of layer 1, whose channels stand for residual ones below.",
  );
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download x.moved.npy" }).click(),
  ]);
  const bytes = Uint8Array.from(readFileSync(await download.path()).subarray(-4 * neurons));
  expect([...new Float32Array(bytes.buffer)]).toEqual(layer.neurons.map((from, i) => layer.neuron_sign[i]! * x[from]!));
  await page.getByRole("button", { name: "Remove x.npy" }).click();

  await chooser(page, "object").setInputFiles(names.map((name) => join(source, name)));
  await page.getByRole("button", { name: "Move it" }).click();
  await expect(page.getByText("hidden axes move as well: of 6 tensors the neurons, of 8 the heads")).toBeVisible();

  const fingerprint = await page.getByTestId("fingerprint").innerText();
  await page.getByRole("button", { name: "Copy a link to this gauge" }).click();
  const copied = () => page.evaluate(() => navigator.clipboard.readText());
  await expect.poll(copied).toContain("gauge=");
  await page.goto(await copied());
  await expect(panel(page)).toHaveCount(0);
  await expect(page.getByTestId("fingerprint")).toHaveText(fingerprint);
});

test("matching heads and neurons can be cancelled, and the gauge that was there stands", async ({ page }) => {
  await aligned(page);
  const before = await page.getByTestId("fingerprint").innerText();
  const cancelled = cancelUnderWay(page, /^Matching heads and neurons$/);
  await ask(page).click();
  await cancelled;
  await expect(page.getByRole("progressbar")).toHaveCount(0);
  await expect(page.getByTestId("fingerprint")).toHaveText(before);
  await expect(panel(page).getByRole("table")).toHaveCount(0);
  await ask(page).click();
  await expect(panel(page).getByRole("table")).toBeVisible();
});

/** The scrambled checkpoint with half as much noise as there is embedding: matched by that alone, channels are in doubt for a round. */
function doubtful(): string {
  const folder = `${target}-doubtful`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), readFileSync(join(target, "config.json")));
  const bytes = readFileSync(join(target, "model.safetensors"));
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, start)) as Record<string, { data_offsets: [number, number] }>;
  const [from, to] = header["model.embed_tokens.weight"]!.data_offsets.map((at) => start + at) as [number, number];
  const values = new Float32Array(Uint8Array.from(bytes.subarray(from, to)).buffer);
  const size = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
  noise(values.length, 1, 6).forEach((each, k) => bytes.writeFloatLE(values[k]! + size * each, from + 4 * k));
  writeFileSync(join(folder, "model.safetensors"), bytes);
  return folder;
}

test("rows that a second round paired are no sites of the files: reloaded and swapped, every plot comes", async ({
  page,
}) => {
  await aligned(page, { link: "#site=embedding", to: doubtful() });
  await ask(page).click();
  await expect(page.getByText("Heads and neurons are matched; verdict: aligned")).toBeAttached();
  await expect(page.getByText(/^hidden\.0\.gate$/)).toBeVisible(); // a second round
  const maps = page.getByRole("region", { name: /^Correlation of every source channel/ });
  const plots = async () => {
    await expect(page.getByTestId("behind")).toHaveCount(0);
    await expect(maps.getByRole("option")).toHaveText(["embedding"]);
    await expect(page.getByText("Matching that ignores signs")).toBeVisible();
    await expect(page.getByRole("alert")).toHaveCount(0);
  };
  await plots();
  await page.reload();
  await expect(panel(page).getByRole("img")).toBeVisible();
  await plots();
  await page.getByLabel(`Role of ${await sideName(page, "source")}`, { exact: true }).selectOption("target");
  await expect(panel(page)).toContainText("These are the other direction’s, turned round");
  await plots();
  await page.getByRole("button", { name: "Match them this way round" }).click();
  await expect(panel(page).getByRole("img")).toBeVisible();
  await expect(panel(page)).toBeFocused();
});

test("without its config.json a checkpoint's heads and neurons are not offered", async ({ page }) => {
  await aligned(page, { files: ["model.safetensors"] });
  await expect(panel(page)).toHaveCount(0);
});

test("heads and neurons of LayerNorm models, which would be refused, are not offered", async ({ page }) => {
  await page.goto("./#show=layernorm");
  await expect(page.getByText(/^Moved into the target’s coordinates/)).toBeVisible();
  await expect(panel(page)).toHaveCount(0);
});

test("a gauge that moves only heads and neurons is no identity, and an object still lives where it was said", async ({
  page,
}) => {
  await page.goto("./");
  const drop = async (gauge: object) => {
    const buffer = Buffer.from(JSON.stringify(gauge));
    await chooser(page, "object").setInputFiles({ name: "gauge.json", mimeType: "", buffer });
  };
  const stream = Gauge.identity(d).toJSON();
  const whole = { ...stream, hidden: planted.hidden };
  await drop(whole);
  await expect(page.getByTestId("verdict")).toContainText("A gauge at hand");
  expect(await saved(page, "Save a report")).not.toContain("the gauge is the identity");

  const x = Buffer.from(npy(new Float32Array(neurons), [neurons]));
  await chooser(page, "object").setInputFiles({ name: "x.npy", mimeType: "", buffer: x });
  const lives = page.getByRole("group", { name: "x.npy" });
  await lives.getByLabel("Lives").selectOption("on queries");
  await lives.getByLabel("of layer").fill("9");
  await lives.getByLabel("of layer").press("Tab");
  await expect(lives.getByLabel("of layer")).toHaveValue("1");
  await drop(stream);
  await expect(page.getByTestId("verdict")).toContainText("Already aligned");
  await expect(lives).toHaveCount(0);
  await drop(whole);
  await expect(lives.getByRole("combobox")).toHaveValue("blocks.{l}.attn.hook_q");
  await expect(lives.getByLabel("of layer")).toHaveValue("1");
});

/** What the page calls a side. */
const sideName = (page: Page, role: string) =>
  page
    .getByRole("article", { name: new RegExp(`, ${role}$`) })
    .getByRole("heading")
    .innerText();
