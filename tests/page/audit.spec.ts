// A claim about channels under random gauges.
import { readFileSync } from "node:fs";
import { audit } from "regauge";
import AxeBuilder from "@axe-core/playwright";
import { align, cancelUnderWay, expect, loadSample, sampleFile, test } from "./bench";

const region = "Audit a claim about channels";

test("the sample's vector is audited, with the numbers and the statement of the package", async ({ page, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await loadSample(page);
  const panel = page.getByRole("region", { name: region });
  await panel.getByRole("button", { name: "Audit", exact: true }).click();
  const found = await audit(sampleFile("source/refusal_resid2.npy"));
  await expect(panel.getByRole("row", { name: /top-10 overlap/ })).toContainText(
    found.not_moved.overlap!.mean.toFixed(2),
  );
  await expect(panel.getByRole("row", { name: /sign agreement/ })).toContainText(
    found.not_moved.sign_agreement!.mean.toFixed(2),
  );
  const statement = found.statement.replace(sampleFile("source/refusal_resid2.npy"), "refusal_resid2.npy");
  await expect(panel.getByTestId("statement")).toHaveText(statement);
  await panel.getByRole("button", { name: "Copy the statement" }).click();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(statement);
  // Ten of 64 channels and ten others share 0.088 of all that either has, on average.
  await expect(panel.getByRole("img", { name: /random gauges/ })).toHaveAccessibleName(
    /not moved 0\.09 on average, moved 1\.00/,
  );
  const [svg] = await Promise.all([
    page.waitForEvent("download"),
    panel.getByRole("button", { name: "SVG of The claim under random gauges" }).click(),
  ]);
  expect(readFileSync(await svg.path(), "utf8")).toContain("<title>The claim under random gauges</title>");
});

test("with a gauge at hand the claim is stated relative to it", async ({ page }) => {
  await loadSample(page);
  await align(page);
  const fingerprint = await page.getByTestId("fingerprint").innerText();
  const panel = page.getByRole("region", { name: region });
  await panel.getByLabel("top-k").fill("5");
  await panel.getByLabel("random gauges").fill("100000"); // the most that can be asked for
  await panel.getByRole("button", { name: "Audit", exact: true }).click();
  await expect(panel.getByTestId("statement")).toContainText(fingerprint);
  await expect(panel.getByRole("columnheader", { name: "this gauge, not moved" })).toBeVisible();
  await expect(panel.getByRole("row", { name: /top-5 overlap/ })).toBeVisible();
});

test("a list of channels asks for d, and what is no claim is refused in a sentence", async ({ page }) => {
  await page.goto("./");
  const panel = page.getByRole("region", { name: region });
  const chooser = panel.getByLabel("Choose a vector or list to audit");
  await chooser.setInputFiles({
    name: "neurons.json",
    mimeType: "application/json",
    buffer: Buffer.from('{"neurons": [3, 17, 99]}'),
  });
  await panel.getByRole("button", { name: "Audit", exact: true }).click();
  await expect(page.getByRole("alert")).toContainText("neurons.json");
  await panel.getByLabel(/^d, for a list/).fill("256");
  await panel.getByRole("button", { name: "Audit", exact: true }).click();
  await expect(panel.getByTestId("statement")).toContainText("neurons.json");
  await expect(panel.getByRole("row", { name: /sign agreement/ })).toContainText("–");
  await chooser.setInputFiles({ name: "noise.bin", mimeType: "", buffer: Buffer.from("not a tensor at all") });
  await panel.getByRole("button", { name: "Audit", exact: true }).click();
  await expect(page.getByRole("alert")).toContainText("noise.bin");
});

test("a long audit shows its progress and is cancelled", async ({ page }) => {
  await loadSample(page);
  const panel = page.getByRole("region", { name: region });
  await panel.getByLabel("random gauges").fill("100000");
  const cancelled = cancelUnderWay(page, /Auditing/);
  await panel.getByRole("button", { name: "Audit", exact: true }).press("Enter");
  await cancelled;
  await expect(page.getByRole("progressbar")).toHaveCount(0);
  await expect(panel.getByTestId("audit")).toHaveCount(0);
});

for (const width of [1280, 390])
  for (const colorScheme of ["light", "dark"] as const)
    test.describe(`${width} px, ${colorScheme}`, () => {
      test.use({ viewport: { width, height: 900 }, colorScheme });
      test("no accessibility violation in the audit, and nothing wider than the screen", async ({ page }) => {
        await loadSample(page);
        const panel = page.getByRole("region", { name: region });
        await panel.getByRole("button", { name: "Audit", exact: true }).click();
        await expect(panel.getByRole("img", { name: /random gauges/ })).toBeVisible();
        const { violations } = await new AxeBuilder({ page }).analyze();
        expect(
          violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`),
        ).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      });
    });
