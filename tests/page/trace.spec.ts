import AxeBuilder from "@axe-core/playwright";
import { readFileSync } from "node:fs";
import { Gauge, trace } from "regauge";
import { bytes, card, drop, expect, file, linesIn, noise, randomGauge, safetensors, test } from "./bench";

const [d, rows] = [128, 1024];

/** A trained model's activations at one site. */
function activations(site: string): Float32Array {
  const buffer = bytes("source/evidence.safetensors");
  const length = Number(buffer.readBigUInt64LE(0));
  const [begin] = JSON.parse(buffer.subarray(8, 8 + length).toString())[`activations/${site}`].data_offsets;
  const half = (bits: number) =>
    (bits & 0x8000 ? -1 : 1) *
    ((bits >> 10) & 31 ? (1 + (bits & 1023) / 1024) * 2 ** (((bits >> 10) & 31) - 15) : (bits & 1023) * 2 ** -24);
  return Float32Array.from({ length: rows * d }, (_, k) => half(buffer.readUInt16LE(8 + length + begin + 2 * k)));
}

/** The next checkpoint: another gauge, and a share of each channel's variance replaced by noise. */
function next(
  x: Float32Array,
  { perm, sign }: { perm: number[]; sign: number[] },
  share: number,
  seed: number,
): Float32Array {
  const fresh = noise(rows, d, seed);
  const spread = Array.from({ length: d }, (_, j) =>
    Math.sqrt(Array.from({ length: rows }, (_, r) => x[r * d + j]! ** 2).reduce((a, b) => a + b) / rows),
  );
  return x.map((_, k) => {
    const [r, i] = [Math.floor(k / d), k % d];
    const j = perm[i]!;
    return sign[i]! * Math.sqrt(1 - share) * x[r * d + j]! + Math.sqrt(3 * share) * spread[j]! * fresh[k]!;
  });
}

// Five checkpoints of a run, so far apart that the ends do not match; the third is a detour that is best skipped.
const gauges = [21, 22, 23].map((seed) => randomGauge(d, seed));
const first = activations("resid.4");
const second = next(first, gauges[0]!, 0.85, 31);
const fourth = next(second, gauges[1]!, 0.85, 32);
const fifth = next(fourth, gauges[2]!, 0.93, 33);
const series = [first, second, next(second, randomGauge(d, 24), 0.9, 34), fourth, fifth].map((data, k) => ({
  name: `step-${[0, 50, 100, 150, 1000][k]}.safetensors`,
  content: safetensors({ "activations/resid.4": { shape: [rows, d], data } }),
}));
const planted = gauges.map(({ perm, sign }) => new Gauge(perm, sign)).reduce((all, gauge) => all.andThen(gauge));

test("a series is dropped, traced past the checkpoint that is best skipped, and its gauge taken home and used", async ({
  page,
}) => {
  await page.goto("./");
  const zone = page.getByRole("group", { name: "Checkpoints of one run, in order" });
  // As a system may hand them over; they stand in the order of their numbers.
  await drop(
    page,
    '[aria-label="Checkpoints of one run, in order"]',
    [3, 0, 4, 1, 2].map((k) => series[k]!),
  );
  await expect(zone.getByRole("article")).toHaveCount(5);
  expect(
    await zone.getByRole("article").evaluateAll((all) => all.map((one) => one.getAttribute("aria-label"))),
  ).toEqual(series.map(({ name }) => `${name}, series`));

  await page.getByRole("button", { name: "Trace", exact: true }).click();
  const found = page.getByTestId("traced");
  await expect(found).toBeVisible();
  await expect(found).toContainText("skipping 3 (step-100.safetensors)");
  // As the package traces it in Node, and the planted truth.
  const expected = await trace(series.map(({ content }) => content));
  expect(expected.trace.path).toEqual([0, 1, 3, 4]);
  const { from, to } = expected.trace.weakest;
  const called = (k: number) => `${k + 1} (${series[k]!.name})`;
  const plot = page.getByRole("img", { name: /Confidence along the path/ });
  await expect(plot).toHaveAccessibleName(
    new RegExp(`The weakest hop of the path is ${called(from)} to ${called(to)}`.replace(/[()]/g, "\\$&")),
  );
  await expect(plot).toContainText("weakest");
  const table = page.getByRole("group", { name: "Pairs that were matched" });
  await expect(table.getByRole("row")).toHaveCount(1 + expected.trace.hops.length);
  const weakest = table.getByRole("row", { name: /yes, the weakest/ });
  await expect(weakest).toContainText(called(from));
  await expect(weakest).toContainText(called(to));
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map(({ id }) => id)).toEqual([]);

  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download the traced gauge" }).click(),
  ]);
  const gauge = Gauge.from(readFileSync(await download.path(), "utf8"));
  expect(gauge.fingerprint).toBe(expected.fingerprint);
  expect(gauge.compare(planted).both).toBeGreaterThan(0.95);
  expect(expected.trace.direct).toBeLessThan(0.5);

  await page.getByRole("button", { name: /move objects with it/ }).click();
  await expect(page.getByTestId("verdict")).toBeVisible();
  await expect(page.getByTestId("fingerprint")).toHaveText(gauge.fingerprint);
  await expect(page.getByRole("application", { name: /after/ })).toBeVisible();
  await page.locator("input[data-role=object]").setInputFiles(file("source/steering_resid2.npy"));
  await page.getByRole("button", { name: "Move it" }).click();
  const [vector] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download steering_resid2.moved.npy" }).click(),
  ]);
  const floats = (buffer: Buffer) => new Float32Array(Uint8Array.from(buffer.subarray(-4 * d)).buffer);
  expect(floats(readFileSync(await vector.path()))).toEqual(gauge.apply(floats(bytes("source/steering_resid2.npy"))));

  // What is said to do the same traces, and does not match the ends; after a reload, too.
  const names = series.map(({ name }) => name);
  const line = `npx regauge trace ${names.join(" ")} -o gauge.json`;
  expect(await linesIn(page)).toBe(
    `${line}\nnpx regauge transport steering_resid2.npy --gauge gauge.json -o steering_resid2.moved.npy`,
  );
  expect(await linesIn(page, "JavaScript")).toContain(`await trace(${JSON.stringify(names).replaceAll(",", ", ")});`);
  expect(await linesIn(page, "Python")).toContain(`regauge.trace(${JSON.stringify(names).replaceAll(",", ", ")})`);
  await page.reload();
  await expect(page.getByTestId("fingerprint")).toHaveText(gauge.fingerprint);
  expect(await linesIn(page)).toBe(line);
});

test("the order of a series is changed by buttons, by keys and by dragging", async ({ page }) => {
  await page.goto("./");
  await drop(page, '[aria-label="Checkpoints of one run, in order"]', series.slice(0, 3));
  const order = () =>
    page
      .getByRole("list", { name: "Checkpoints, first to last" })
      .getByRole("article")
      .evaluateAll((all) => all.map((one) => /step-\d+/.exec(one.getAttribute("aria-label")!)![0]));
  await expect.poll(order).toEqual(["step-0", "step-50", "step-100"]);
  await page.getByRole("button", { name: "Move step-0.safetensors later" }).press("Enter");
  expect(await order()).toEqual(["step-50", "step-0", "step-100"]);
  await page.getByLabel("Role of step-100.safetensors").focus();
  await page.keyboard.press("Alt+ArrowUp");
  expect(await order()).toEqual(["step-50", "step-100", "step-0"]);
  await card(page, /step-0\.safetensors/).dragTo(card(page, /step-50\.safetensors/), {
    sourcePosition: { x: 20, y: 20 },
  });
  expect(await order()).toEqual(["step-0", "step-50", "step-100"]);
  // Out of the series by its role, like any card.
  await page.getByLabel("Role of step-50.safetensors").selectOption("source");
  await expect(card(page, "step-50.safetensors, source")).toBeVisible();
  expect(await order()).toEqual(["step-0", "step-100"]);
});
