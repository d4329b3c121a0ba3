// The pictures of web/README.md and README.md. Not a check: run on request.
import { join } from "node:path";
import { align, drop, expect, loadSample, noise, randomGauge, safetensors, test } from "./bench";

/** Five checkpoints of made-up rows: each a random gauge and much noise away from the one before, the third more than the others. */
function run(): { name: string; content: Buffer }[] {
  const [d, rows] = [96, 1024];
  const mixed = (x: Float32Array, seed: number, share: number) => {
    const { perm, sign } = randomGauge(d, seed);
    const fresh = noise(rows, d, seed + 100);
    return x.map(
      (_, k) => sign[k % d]! * Math.sqrt(1 - share) * x[k - (k % d) + perm[k % d]!]! + Math.sqrt(share) * fresh[k]!,
    );
  };
  const first = noise(rows, d, 1);
  const second = mixed(first, 2, 0.9);
  const fourth = mixed(second, 4, 0.9);
  return [first, second, mixed(second, 3, 0.97), fourth, mixed(fourth, 5, 0.975)].map((data, k) => ({
    name: `step-${[0, 50, 100, 150, 400][k]}.safetensors`,
    content: safetensors({ "activations/resid.0": { shape: [rows, d], data } }),
  }));
}

const folder = join(import.meta.dirname, "../../web/screenshots");

for (const [name, width, height, colorScheme] of [
  ["desktop-light", 1280, 900, "light"],
  ["desktop-dark", 1280, 900, "dark"],
  ["phone-dark", 390, 844, "dark"],
] as const) {
  test.describe(name, () => {
    test.use({ viewport: { width, height }, colorScheme });

    test(`pictures of ${name}`, async ({ page }) => {
      await page.goto("./");
      await page.screenshot({ path: join(folder, `start-${name}.png`) });
      await loadSample(page);
      await align(page);
      await page.getByRole("region", { name: "Selected channel" }).getByLabel("target").fill("17");
      await page.keyboard.press("Enter");
      const maps = page.getByRole("heading", { name: "What was found" });
      await maps.evaluate((heading) => scrollTo(0, heading.getBoundingClientRect().top + scrollY - 16));
      await expect(page.getByTestId("verdict")).toBeInViewport();
      await page.screenshot({ path: join(folder, `result-${name}.png`) });
      await page
        .getByRole("heading", { name: /Matched pairs/ })
        .evaluate((heading) => scrollTo(0, heading.getBoundingClientRect().top + scrollY - 120));
      await page.screenshot({ path: join(folder, `plots-${name}.png`) });
      await page.getByRole("button", { name: "Move all" }).click();
      await expect(page.getByRole("button", { name: "Download all as zip" })).toBeVisible();
      await page
        .getByRole("heading", { name: "Move objects" })
        .evaluate((heading) => scrollTo(0, heading.getBoundingClientRect().top + scrollY - 16));
      await page.screenshot({ path: join(folder, `objects-${name}.png`) });
    });

    test(`the audit and the live models, ${name}`, async ({ page }) => {
      await loadSample(page);
      const top = (found: Element) => scrollTo(0, found.getBoundingClientRect().top + scrollY - 16);
      await page.getByRole("button", { name: "Audit", exact: true }).click();
      await expect(page.getByRole("img", { name: /The claim under random gauges/ })).toBeVisible();
      await page.getByRole("heading", { name: "Audit a claim" }).evaluate(top);
      await page.screenshot({ path: join(folder, `audit-${name}.png`) });
      await page.getByRole("button", { name: "Run the sample’s models" }).click();
      await expect(page.getByRole("img", { name: /What the vector does/ })).toBeVisible();
      await page.getByRole("heading", { name: "Steer both" }).evaluate(top);
      await page.screenshot({ path: join(folder, `live-${name}.png`) });
    });

    test(`a traced series, ${name}`, async ({ page }) => {
      await page.goto("./");
      await drop(page, '[aria-label="Checkpoints of one run, in order"]', run());
      await page.getByRole("button", { name: "Trace", exact: true }).click();
      await expect(page.getByRole("img", { name: /Confidence along the path/ })).toBeVisible();
      await page
        .getByTestId("traced")
        .evaluate((found) => scrollTo(0, found.getBoundingClientRect().top + scrollY - 16));
      await page.screenshot({ path: join(folder, `trace-${name}.png`) });
    });
  });
}
