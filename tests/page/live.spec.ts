// Two small models run on the page: sampled, aligned, verified, steered.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { readFileSync } from "node:fs";
import { Gauge, steer } from "regauge";
import { bytes, card, chooser, expect, file, test } from "./bench";

const truth = JSON.parse(readFileSync(file("truth.json"), "utf8")).gauges.target as { perm: number[]; sign: number[] };
const gauge = new Gauge(truth.perm, truth.sign);
const panel = (page: Page) => page.getByRole("region", { name: "Small models, live" });
const arm = (page: Page, name: string) => page.locator(`[data-arm=${name}]`);

async function run(page: Page): Promise<void> {
  await page.goto("./");
  await panel(page).getByRole("button", { name: "Run the sample’s models" }).click();
  await expect(arm(page, "target-not-moved")).toBeVisible({ timeout: 60_000 });
}

/** An arm's effect in nats, as it is written on its card. */
async function effect(page: Page, name: string): Promise<number> {
  return Number((await arm(page, name).locator("strong").innerText()).replace("−", "-"));
}

test("one press runs the sample: the planted gauge, the same function, and a vector that works only where it was moved with its signs", async ({ page }) => {
  test.setTimeout(120_000);
  await run(page);
  await expect(page.getByTestId("live-fingerprint")).toHaveText(gauge.fingerprint);
  await expect(panel(page).getByRole("row", { name: /source, moved by the gauge/ })).toContainText("the same function");
  await expect(panel(page).getByRole("row", { name: /target, as it was trained/ })).not.toContainText("the same function");

  const prompt = await panel(page).getByLabel("Prompt").inputValue();
  expect(prompt).toBe("caught it, he let it go\nagain; and after it again; and over and over he\n");
  const ids = [280, 412, 425, 428, 415, 413, 312, 432, 281, 278, 316, 312, 298, 414, 1, 261, 428, 412, 271, 474, 269, 261, 431, 413, 285, 312, 261, 428, 412, 271, 474, 269, 334, 330, 269, 334, 330, 281, 1];
  const report = await steer(file("source"), file("target"), { vector: file("source/steering_resid2.npy"), site: "resid.2", gauge, prompt: ids, strength: 1.5, length: 0 });
  for (const { name, effect: expected } of report.arms) if (name !== "source" && name !== "target") expect(Math.abs((await effect(page, name)) - expected)).toBeLessThan(0.011);
  expect(await effect(page, "target-moved")).toBeGreaterThan(2);
  expect(Math.abs(await effect(page, "target-permuted"))).toBeLessThan(1);
  expect(Math.abs(await effect(page, "target-not-moved"))).toBeLessThan(1);
  // Speakers' names stand in capitals, and the vector promotes capitals.
  await expect(arm(page, "target-moved").locator(".text")).toHaveText(/[A-Z]{3,}/);
  await expect(arm(page, "target").locator(".text")).not.toHaveText(/[A-Z]{3,}/);
  await expect(panel(page).getByRole("img", { name: /What the vector does/ })).toHaveAccessibleName(/At strength 2: source \+\d/, { timeout: 60_000 });
});

test("strength, prompt and place change what is shown, by keyboard too", async ({ page }) => {
  test.setTimeout(120_000);
  await run(page);
  const before = await effect(page, "target-moved");
  await panel(page).getByRole("slider", { name: /Strength/ }).focus();
  await page.keyboard.press("End");
  await expect(panel(page).getByText("Strength 2.00")).toBeVisible();
  await expect.poll(() => effect(page, "target-moved"), { timeout: 30_000 }).toBeGreaterThan(before + 1);
  await panel(page).getByLabel("Prompt").fill("");
  await expect(panel(page).getByRole("alert")).toContainText("prompt: is empty");
  await panel(page).getByLabel("Prompt").fill("First, madam, I entreat true peace of you,\n");
  await expect(panel(page).getByRole("alert")).toHaveCount(0, { timeout: 30_000 });
  await panel(page).getByLabel("Added at").selectOption("resid.4");
  await expect(panel(page).getByText("Steering…")).toHaveCount(0, { timeout: 60_000 });
});

test("checkpoints of one's own run with token ids, and the activations go to step 1", async ({ page }) => {
  test.setTimeout(120_000);
  await page.goto("./");
  const folder = (side: string) => ["config.json", "model.safetensors"].map((name) => ({ name, mimeType: "", buffer: bytes(`${side}/${name}`) }));
  await chooser(page, "source").first().setInputFiles(folder("source"));
  await chooser(page, "target").first().setInputFiles(folder("target"));
  await chooser(page, "object").first().setInputFiles(file("source/steering_resid2.npy"));
  const start = panel(page).getByRole("button", { name: "Run both models" });
  await expect(start).toBeDisabled();
  const tokens = panel(page).getByLabel("Choose a text or token file");
  await tokens.setInputFiles({ name: "words.txt", mimeType: "text/plain", buffer: Buffer.from("To be, or not to be") });
  await start.click();
  await expect(page.getByRole("alert")).toContainText("words.txt: this checkpoint comes without a tokenizer.json");
  await tokens.setInputFiles(file("source/tokens.npy"));
  await start.click();
  await expect(arm(page, "target-moved")).toBeVisible({ timeout: 60_000 });
  await expect(panel(page).getByLabel(/Prompt/)).toHaveValue(/^280, 412, 425/);
  await panel(page).getByRole("button", { name: "Take these activations to step 1" }).click();
  await expect(card(page, /activations, source$/)).toContainText("resid.0, resid.1");
});

test("running is cancelled midway", async ({ page }) => {
  await page.goto("./");
  await panel(page).getByRole("button", { name: "Run the sample’s models" }).click();
  await expect(page.getByRole("progressbar", { name: /Running both models/ })).toBeVisible();
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(page.getByRole("progressbar")).toHaveCount(0);
  await expect(page.getByTestId("live-verified")).toHaveCount(0);
  await expect(panel(page).getByRole("button", { name: "Run the sample’s models" })).toBeEnabled();
});

for (const width of [1280, 390])
  for (const colorScheme of ["light", "dark"] as const)
    test.describe(`${width} px, ${colorScheme}`, () => {
      test.use({ viewport: { width, height: 900 }, colorScheme });
      test("no accessibility violation in the live models, and nothing wider than the screen", async ({ page }) => {
        test.setTimeout(120_000);
        await run(page);
        await expect(panel(page).getByRole("img", { name: /What the vector does/ })).toBeVisible({ timeout: 60_000 });
        const { violations } = await new AxeBuilder({ page }).analyze();
        expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`)).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      });
    });
