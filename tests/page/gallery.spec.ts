import AxeBuilder from "@axe-core/playwright";
import { card, expect, loadSample, test, chooser, noise, safetensors } from "./bench";

const verdict = (text: string) => ({ testId: "verdict", text });
const exhibits = [
  { id: "sae", title: "An SAE in another run", shows: verdict("Aligned"), moved: /sae_resid1/ },
  { id: "partial", title: "Only partly the same", shows: verdict("Partly aligned") },
  { id: "unrelated", title: "Not related", shows: verdict("nrelated") },
  { id: "history", title: "A shared history", shows: { testId: "hidden", text: "shares a training history with" } },
  { id: "layernorm", title: "LayerNorm", shows: verdict("Aligned"), moved: /GPT-2 to move/ },
  { id: "trace", title: "A trace", shows: { testId: "traced", text: "run B" } },
  { id: "steering", title: "A vector steers another model", shows: { testId: "live-verified", text: "aligned" } },
];

for (const { id, title, shows, moved } of exhibits)
  test(`the gallery's “${title}” is one press, under 1.5 MB, and free of accessibility violations`, async ({
    page,
  }) => {
    let fetched = 0;
    page.on("response", async (response) => {
      if (response.url().includes("/sample/")) fetched += Number(response.headers()["content-length"]);
    });
    await page.goto("./");
    await page.getByRole("link", { name: title }).click();
    await expect(page.getByTestId(shows.testId)).toContainText(shows.text);
    if (moved) await expect(card(page, moved).locator("..")).toContainText("Moved into the target’s coordinates");
    await expect(page.getByRole("progressbar")).toHaveCount(0);
    expect(page.url()).toMatch(new RegExp(`#show=${id}$`));
    await expect(page.getByTestId(shows.testId)).toBeInViewport();
    expect(fetched).toBeGreaterThan(1e5);
    expect(fetched).toBeLessThan(1.5e6);
    await page.setViewportSize({ width: 320, height: 640 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
    const { violations } = await new AxeBuilder({ page }).analyze();
    expect(
      violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`),
    ).toEqual([]);
  });

test("a link into the gallery opens what it shows, and again on a second press", async ({ page }) => {
  await page.goto("./#show=unrelated");
  await expect(page.getByTestId("verdict")).toContainText("nrelated");
  await page.getByRole("link", { name: "Only partly the same" }).click();
  await expect(page.getByTestId("verdict")).toContainText("Partly aligned");
  await page.getByRole("button", { name: "Remove run B, a third of it replaced" }).click();
  await expect(page.getByTestId("verdict")).toHaveCount(0);
  await page.getByRole("link", { name: "Only partly the same" }).click();
  await expect(page.getByTestId("verdict")).toContainText("Partly aligned");
});

test("the gallery asks before it takes the place of a visitor's own files", async ({ page }) => {
  await page.goto("./");
  const own = safetensors({ "activations/resid.0": { shape: [64, 8], data: noise(64, 8, 1) } });
  await chooser(page, "source").setInputFiles({ name: "mine.safetensors", mimeType: "", buffer: own });
  await expect(card(page, /mine/)).toBeVisible();
  await page.getByRole("link", { name: "Not related" }).click();
  await page.getByRole("button", { name: "Keep what is here" }).click();
  await expect(card(page, /mine/)).toBeVisible();
  await expect(page.getByTestId("verdict")).toHaveCount(0);
  // The sample's own files make room unasked.
  await page.getByRole("button", { name: "Remove mine.safetensors" }).click();
  await loadSample(page);
  await page.getByRole("link", { name: "Not related" }).click();
  await expect(page.getByTestId("verdict")).toContainText("nrelated");
});
