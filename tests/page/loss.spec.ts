// Nothing that someone brought or found is lost without a question.
import { readFileSync, writeFileSync } from "node:fs";
import { deflateRawSync } from "node:zlib";
import { Gauge } from "regauge";
import { mostChannels, pack } from "../../web/src/lib/link";
import {
  align,
  card,
  chooser,
  drop,
  expect,
  loadSample,
  noise,
  randomGauge,
  safetensors,
  sampleFile,
  test,
} from "./bench";

const own = [sampleFile("source/evidence.safetensors"), sampleFile("other_run/evidence.safetensors")] as const;
const dialog = (page: import("@playwright/test").Page) => page.getByRole("dialog");

async function alignOwn(page: import("@playwright/test").Page): Promise<string> {
  await page.goto("./");
  await chooser(page, "source").setInputFiles(own[0]);
  await expect(card(page, "evidence.safetensors, source")).toBeVisible();
  await chooser(page, "target").setInputFiles(own[1]);
  await align(page);
  return page.getByTestId("fingerprint").innerText();
}

test("two files of one name are told apart", async ({ page }) => {
  await alignOwn(page);
  await expect(card(page, "evidence.safetensors, source")).toBeVisible();
  await expect(card(page, "evidence.safetensors (2), target")).toBeVisible();
});

test("a broken file dropped on a filled side leaves what is there, and the gauge", async ({ page }) => {
  const fingerprint = await alignOwn(page);
  await drop(page, "[aria-label='Source evidence']", [{ name: "broken.npy", content: Buffer.from("not a tensor") }]);
  await expect(card(page, "broken.npy, object")).toBeVisible();
  await expect(card(page, /, source$/)).toBeVisible();
  await expect(page.getByTestId("fingerprint")).toHaveText(fingerprint);
});

test("a vector or an SAE dropped as evidence goes to the objects, with the reason", async ({ page }) => {
  await page.goto("./");
  await chooser(page, "source").setInputFiles(sampleFile("source/refusal_resid2.npy"));
  await expect(card(page, "refusal_resid2.npy, object")).toBeVisible();
  await expect(page.getByText(/refusal_resid2.npy is no evidence/)).toBeVisible();
  await expect(page.getByRole("button", { name: "Align", exact: true })).toBeDisabled();
  await card(page, "refusal_resid2.npy, object").getByRole("combobox").selectOption("target");
  await expect(card(page, "refusal_resid2.npy, object")).toBeVisible();
});

test("replacing a side of a result asks first", async ({ page }) => {
  const fingerprint = await alignOwn(page);
  const other = { name: "other.safetensors", content: readFileSync(own[0]) };
  await drop(page, "[aria-label='Target evidence']", [other]);
  await expect(dialog(page)).toContainText("other.safetensors takes the place of evidence.safetensors (2)");
  await page.keyboard.press("Escape");
  await expect(page.getByTestId("fingerprint")).toHaveText(fingerprint);
  await drop(page, "[aria-label='Target evidence']", [other]);
  await dialog(page).getByRole("button", { name: "Replace it" }).click();
  await expect(card(page, "other.safetensors, target")).toBeVisible();
  await expect(page.getByTestId("verdict")).toHaveCount(0);
});

test("the sample and forgetting ask before they take one's own files away", async ({ page }) => {
  const fingerprint = await alignOwn(page);
  await page.getByRole("button", { name: "Try the sample" }).click();
  await dialog(page).getByRole("button", { name: "Keep what is here" }).click();
  await page.getByRole("button", { name: "Forget everything" }).click();
  await expect(dialog(page)).toContainText("2 files and the gauge");
  await dialog(page).getByRole("button", { name: "Keep what is here" }).click();
  await expect(page.getByTestId("fingerprint")).toHaveText(fingerprint);
  await page.getByRole("button", { name: "Try the sample" }).click();
  await dialog(page).getByRole("button", { name: "Load the sample" }).click();
  await expect(card(page, "tales-d64, run A, source")).toBeVisible();
});

test("swapped sides keep the gauge, turned round", async ({ page }) => {
  await alignOwn(page);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download gauge.json" }).click(),
  ]);
  const gauge = Gauge.from(readFileSync(await download.path(), "utf8"));
  await card(page, "evidence.safetensors, source").getByRole("combobox").selectOption("target");
  await expect(page.getByTestId("fingerprint")).toHaveText(gauge.inverse().fingerprint);
  await expect(card(page, "evidence.safetensors, target")).toBeVisible();
});

test("two tabs have each their own, and one may forget without the other", async ({ page, context }) => {
  const fingerprint = await alignOwn(page);
  const second = await context.newPage();
  await second.goto("./");
  await expect(second.getByRole("article")).toHaveCount(0);
  await chooser(second as never, "source").setInputFiles(own[0]);
  await second.getByRole("button", { name: "Forget everything" }).click();
  await second.getByRole("dialog").getByRole("button", { name: "Forget everything" }).click();
  await expect(second.getByRole("article")).toHaveCount(0);
  await page.reload();
  await expect(page.getByTestId("fingerprint")).toHaveText(fingerprint);
});

test("evidence above what is kept loses its files in a reload, and never the gauge", async ({ page }, info) => {
  const [d, rows] = [1024, 9000]; // 37 MB a side
  const { perm, sign } = randomGauge(d, 3);
  const x = noise(rows, d, 4);
  const y = new Float32Array(rows * d);
  for (let r = 0; r < rows; r++) for (let i = 0; i < d; i++) y[r * d + i] = sign[i]! * x[r * d + perm[i]!]!;
  const files = [x, y].map((data, k) => {
    const path = info.outputPath(`${k}.safetensors`);
    writeFileSync(path, safetensors({ "activations/resid.0": { shape: [rows, d], data } }));
    return path;
  });
  await page.goto("./");
  await chooser(page, "source").setInputFiles(files[0]!);
  await chooser(page, "target").setInputFiles(files[1]!);
  await page.getByRole("button", { name: "Align", exact: true }).click();
  await expect(page.getByTestId("fingerprint")).toHaveText(new Gauge(perm, sign).fingerprint);
  // The objects can be moved at once: what the plots need comes behind, and matching without signs only when asked for.
  await chooser(page, "object").setInputFiles({ name: "v.npy", mimeType: "", buffer: vector(d) });
  await page.getByRole("button", { name: "Move it" }).click();
  await expect(page.getByText("Moved into the target’s coordinates.")).toBeVisible();
  await expect(page.getByTestId("behind")).toHaveCount(0);
  await expect(page.getByText(/Matching that ignores signs/)).toHaveCount(0);
  await page.getByRole("button", { name: "Compare with matching without signs" }).click();
  await expect(page.getByText(/Matching that ignores signs/)).toBeVisible();
  await page.reload();
  await expect(page.getByTestId("fingerprint")).toHaveText(new Gauge(perm, sign).fingerprint);
});

function vector(d: number): Buffer {
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${d},), }`.padEnd(117) + "\n";
  return Buffer.concat([
    Buffer.from("\x93NUMPY\x01\x00", "latin1"),
    Buffer.from([header.length, 0]),
    Buffer.from(header),
    Buffer.from(Float32Array.from({ length: d }, (_, k) => k).buffer),
  ]);
}

test("a running job asks before the page is left", async ({ page }) => {
  await page.goto("./");
  const asked = () =>
    page.evaluate(() => {
      const event = new Event("beforeunload", { cancelable: true });
      dispatchEvent(event);
      return event.defaultPrevented;
    });
  expect(await asked()).toBe(false);
  await chooser(page, "object").setInputFiles(sampleFile("source/refusal_resid2.npy"));
  await page.getByLabel("random gauges").fill("100000");
  await page.getByRole("button", { name: "Audit", exact: true }).click();
  await expect(page.getByRole("progressbar")).toBeVisible();
  expect(await asked()).toBe(true);
  await page.keyboard.press("Escape");
});

test("a link carries the gauge, and opens as a result without evidence", async ({ page, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await loadSample(page);
  await align(page);
  const fingerprint = await page.getByTestId("fingerprint").innerText();
  await page.getByRole("button", { name: "Copy a link to this gauge" }).click();
  await expect(page.getByRole("button", { name: "Link copied" })).toBeVisible();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link.length).toBeLessThan(8000);
  const other = await context.newPage();
  await other.goto(link);
  await expect(other.getByTestId("fingerprint")).toHaveText(fingerprint);
  await expect(other.getByTestId("verdict")).toContainText("Aligned");
  await other.goto(`${link.slice(0, -40)}`);
  await expect(other.getByRole("alert")).toContainText("the gauge in this link is damaged");
  // What a few letters unfold into is bounded: 64 MB of spaces before a gauge are none.
  const bomb = deflateRawSync(Buffer.concat([Buffer.alloc(2 ** 26, " "), Buffer.from("{}")])).toString("base64url");
  await other.goto("about:blank");
  await other.goto(`${link.slice(0, link.indexOf("#"))}#gauge=${bomb}`);
  await expect(other.getByRole("alert")).toContainText("the gauge in this link is damaged");
});

test("the largest gauge that a link carries, with its scores, makes one of about 10 KB", async () => {
  const { perm, sign } = randomGauge(mostChannels, 9);
  const bare = new Gauge(perm, sign).toJSON();
  // As align writes them, and no two alike.
  const scores = (seed: number) => [...noise(mostChannels, 1, seed)].map((x) => Number(Math.abs(x / 2).toFixed(6)));
  const whole = { ...bare, score: scores(10), margin: scores(11), confidence: Array(mostChannels).fill(0.999998) };
  expect((await pack(JSON.stringify(bare))).length / 1000).toBeCloseTo(3.3, 0);
  expect(Math.abs((await pack(JSON.stringify(whole))).length - 10_000)).toBeLessThan(2000);
});

test("a command that is shown to be copied takes any file's name as a name", async ({ page }) => {
  await loadSample(page);
  await align(page);
  const vector = readFileSync(sampleFile("source/refusal_resid2.npy"));
  for (const name of ["-o.npy", "$(touch x);'.npy"])
    await chooser(page, "object").setInputFiles({ name, mimeType: "", buffer: vector });
  await page.getByRole("button", { name: "Move all" }).click();
  await page.getByText("The same as a command").click();
  await expect(page.getByTestId("say-as")).toContainText("npx regauge transport ./-o.npy --gauge");
  await expect(page.getByTestId("say-as")).toContainText(
    String.raw`npx regauge transport '$(touch x);'\''.npy' --gauge`,
  );
});

test("what was done is said as a command, in JavaScript and in Python, and a report stands alone", async ({ page }) => {
  await loadSample(page);
  await align(page);
  await page.getByRole("button", { name: "Move all" }).click();
  await expect(page.getByRole("button", { name: "Download all as zip" })).toBeVisible();
  await page.getByText("The same as a command").click();
  await expect(page.getByTestId("say-as")).toContainText(
    "npx regauge align 'tales-d64, run A' 'tales-d64, run B' -o gauge.json",
  );
  await expect(page.getByTestId("say-as")).toContainText(
    "npx regauge transport refusal_resid2.npy --gauge gauge.json -o refusal_resid2.moved.npy",
  );
  await page.getByRole("button", { name: "Python" }).click();
  await expect(page.getByTestId("say-as")).toContainText(
    'gauge = regauge.align("tales-d64, run A", "tales-d64, run B")',
  );
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Save a report" }).click(),
  ]);
  const html = readFileSync(await download.path(), "utf8");
  expect(html).toContain(await page.getByTestId("fingerprint").innerText());
  expect(html.match(/<svg/g)!.length).toBeGreaterThanOrEqual(4);
  expect(html).not.toMatch(/<script|(src|href)="(?!data:)/);
});

test("a result prints on at most three pages, without buttons", async ({ page }) => {
  await loadSample(page);
  await align(page);
  const pdf = await page.pdf({ format: "A4" });
  expect(pdf.toString("latin1").match(/\/Type \/Page\b/g)!.length).toBeLessThanOrEqual(3);
  await page.emulateMedia({ media: "print" });
  await expect(page.getByRole("button", { name: "Download gauge.json" })).toBeHidden();
});

test("nothing is wider than a screen of 320 px, and focus stays where a file was removed", async ({ page }) => {
  await page.setViewportSize({ width: 320, height: 640 });
  await loadSample(page);
  await align(page);
  await page.getByRole("button", { name: "Move all" }).click();
  await expect(page.getByRole("button", { name: "Download all as zip" })).toBeVisible();
  for (const summary of await page.locator("summary").all()) await summary.click();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
  await page.getByRole("button", { name: "Remove refusal_resid2.npy" }).click();
  expect(await page.evaluate(() => document.activeElement?.tagName)).not.toBe("BODY");
});
