// What someone sees who has never heard of gauges.
import { expect, test, loadSample, align } from "./bench";

for (const [width, height] of [
  [1280, 900],
  [390, 844],
] as const)
  test(`at ${width} px the three situations, the demo and the links are within a screen and a half`, async ({
    page,
  }) => {
    await page.setViewportSize({ width, height });
    await page.goto("./");
    const situations = page.locator("section[aria-labelledby=forme-title] li");
    await expect(situations).toHaveCount(3);
    const places = [
      page.getByRole("button", { name: "Try the sample" }),
      page.getByRole("button", { name: "Steer two models, live" }),
      situations.last(),
      page.getByRole("navigation", { name: "regauge elsewhere" }),
    ];
    for (const place of places) {
      const { y, height: own } = (await place.boundingBox())!;
      expect(y + own).toBeLessThanOrEqual(1.5 * height);
    }
    for (const name of ["paper", "repository", "package", "documentation"])
      await expect(
        page.getByRole("navigation", { name: "regauge elsewhere" }).getByRole("link", { name }),
      ).toBeVisible();
  });

test("with forced colours every control has an edge, and the plots are there", async ({ page }) => {
  await page.emulateMedia({ forcedColors: "active" });
  await loadSample(page);
  await align(page);
  const edges = await page
    .getByRole("button")
    .evaluateAll((all) =>
      all
        .filter((one) => one.checkVisibility() && one.matches(".button"))
        .map((one) => ({ name: one.textContent!.trim(), width: parseFloat(getComputedStyle(one).borderTopWidth) })),
    );
  expect(edges.length).toBeGreaterThan(5);
  expect(edges.filter(({ width }) => !(width >= 1))).toEqual([]);
  // Plots come behind the verdict: the marks of margins, gains and the two curves.
  await expect.poll(() => page.locator("svg *").count()).toBeGreaterThan(100);
  await page.getByLabel("Next channel").click();
  await expect(page.getByRole("region", { name: "Selected channel" })).toBeVisible();
});

test("at 200 % nothing is cut off or needs scrolling sideways", async ({ page }) => {
  // 1280 px at 200 % are 640 of the page's own.
  await page.setViewportSize({ width: 640, height: 450 });
  await loadSample(page);
  await align(page);
  for (const summary of await page.locator("summary").all()) await summary.click();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(640);
  const cut = await page.locator("h1, h2, h3, p, button, label").evaluateAll((all) =>
    all
      .filter((one) => one.checkVisibility() && one.clientWidth > 2 && one.scrollWidth > one.clientWidth + 1)
      .filter((one) => getComputedStyle(one).overflowX !== "visible")
      .map((one) => one.textContent!.trim().slice(0, 40)),
  );
  expect(cut).toEqual([]);
});

test("who wants no motion gets none", async ({ page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await loadSample(page);
  await align(page);
  await page.getByRole("button", { name: "Move all" }).click();
  const moving = await page.evaluate(
    () => document.getAnimations().filter(({ effect }) => Number(effect!.getComputedTiming().duration) > 10).length,
  );
  expect(moving).toBe(0);
});
