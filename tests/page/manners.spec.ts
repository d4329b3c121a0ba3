import AxeBuilder from "@axe-core/playwright";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { align, card, expect, loadSample, test } from "./bench";

const dist = join(import.meta.dirname, "../../web/dist");

for (const width of [1280, 390]) {
  for (const colorScheme of ["light", "dark"] as const) {
    test.describe(`${width} px, ${colorScheme}`, () => {
      test.use({ viewport: { width, height: 900 }, colorScheme });

      test("no accessibility violation before, during and after, and nothing wider than the screen", async ({
        page,
      }) => {
        const check = async () => {
          const { violations } = await new AxeBuilder({ page }).analyze();
          expect(
            violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`),
          ).toEqual([]);
          expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
        };
        await page.goto("./");
        await check();
        await loadSample(page);
        await align(page);
        await page.getByLabel("Next channel").click();
        await page.getByRole("button", { name: "Move all" }).click();
        await expect(page.getByRole("button", { name: "Download all as zip" })).toBeVisible();
        for (const summary of await page.locator("summary").all()) await summary.click();
        await check();
      });
    });
  }
}

test("the dropped files come back after a reload, until they are forgotten", async ({ page }) => {
  await loadSample(page);
  await page.reload();
  await expect(card(page, /, source$/)).toBeVisible();
  await expect(card(page, /, target$/)).toBeVisible();
  await align(page);
  const fingerprint = await page.getByTestId("fingerprint").innerText();
  await page.reload();
  await expect(page.getByTestId("fingerprint")).toHaveText(fingerprint);
  await expect(page.getByRole("application", { name: /after/ })).toBeVisible();
  await page.getByRole("button", { name: "Forget everything" }).click();
  await expect(page.getByTestId("verdict")).toHaveCount(0);
  await expect(page.getByRole("article")).toHaveCount(0);
  await page.reload();
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(page.getByRole("article")).toHaveCount(0);
});

test("where service workers are not to be had, everything else works", async ({ page }) => {
  await page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, "serviceWorker"));
  await loadSample(page);
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
  await align(page);
  await expect(page.getByTestId("verdict")).toContainText("Aligned");
});

test("the colours can be chosen, and the choice is kept", async ({ page }) => {
  await page.goto("./");
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.getByLabel("Colours").selectOption("dark");
  const dark = await background();
  await page.reload();
  expect(await background()).toBe(dark);
  await page.getByLabel("Colours").selectOption("light");
  expect(await background()).not.toBe(dark);
});

test.describe("with the service worker", () => {
  test.use({ serviceWorkers: "allow" });

  test("one visit makes the page cross-origin isolated by itself, and enough to work offline", async ({
    page,
    context,
  }) => {
    await page.goto("./");
    // The service worker's headers come with the second loading, which the page does by itself while nobody has begun.
    await page.waitForFunction(() => crossOriginIsolated);
    await context.setOffline(true);
    await page.reload();
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await loadSample(page);
    await align(page);
    await expect(page.getByTestId("verdict")).toContainText("Aligned");
    await page.getByRole("button", { name: "Move all" }).click();
    await expect(page.getByRole("button", { name: "Download all as zip" })).toBeVisible();
    await context.setOffline(false);
  });

  test("whoever has begun on a first visit is not interrupted", async ({ page }) => {
    // The service worker is there when the test says so: after the button was pressed, however slow the machine.
    await page.addInitScript(() => {
      const { ready } = navigator.serviceWorker;
      const pressed = new Promise((done) => Object.assign(window, { pressed: done }));
      Object.defineProperty(navigator.serviceWorker, "ready", { value: pressed.then(() => ready) });
    });
    await page.goto("./");
    await page.getByRole("button", { name: "Try the sample" }).click();
    await align(page);
    await page.evaluate(() => (window as unknown as { pressed: () => void }).pressed());
    await page.evaluate(() => navigator.serviceWorker.ready);
    expect(await page.evaluate(() => sessionStorage.getItem("regauge-isolate"))).toBe(null);
    await expect(page.getByTestId("verdict")).toContainText("Aligned");
  });
});

test("the policy lets nothing leave, and the page's own scripts stay within 250 KB gzipped", async ({ page }) => {
  await page.goto("./");
  const policy = await page.locator('meta[http-equiv="Content-Security-Policy"]').getAttribute("content");
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain("unsafe-inline");
  const scripts = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((name) => /\.m?js$/.test(name));
  const size = scripts.reduce((sum, name) => sum + gzipSync(readFileSync(join(dist, name))).length, 0);
  console.log(`page scripts: ${(size / 1000).toFixed(0)} KB gzipped`);
  expect(size).toBeLessThanOrEqual(250_000);
});
