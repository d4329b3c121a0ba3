// The pictures of web/README.md and README.md. Not a check: run on request.
import { join } from "node:path";
import { align, expect, loadSample, test } from "./bench";

const folder = join(import.meta.dirname, "../../web/screenshots");

for (const [name, width, height, colorScheme] of [["desktop-light", 1280, 900, "light"], ["desktop-dark", 1280, 900, "dark"], ["phone-dark", 390, 844, "dark"]] as const) {
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
      await page.getByRole("heading", { name: /Matched pairs/ }).evaluate((heading) => scrollTo(0, heading.getBoundingClientRect().top + scrollY - 120));
      await page.screenshot({ path: join(folder, `plots-${name}.png`) });
    });
  });
}
