// Two small models run on the page: sampled, aligned, verified, steered.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { readFileSync } from "node:fs";
import { Gauge } from "regauge";
import { bytes, cancelUnderWay, card, chooser, expect, file, sampleFile, sampleTruth, test } from "./bench";

const gauge = new Gauge(sampleTruth.perm, sampleTruth.sign);
const panel = (page: Page) => page.getByRole("region", { name: "Small models, live" });
const arm = (page: Page, name: string) => page.locator(`[data-arm=${name}]`);

async function run(page: Page): Promise<void> {
  await page.goto("./");
  await panel(page).getByRole("button", { name: "Run the sample’s models" }).click();
  await expect(arm(page, "target-not-moved")).toBeVisible();
}

/** An arm's effect in nats, as it is written on its card. */
async function effect(page: Page, name: string): Promise<number> {
  return Number((await arm(page, name).locator("strong").innerText()).replace("−", "-"));
}

test("one press runs the sample: the planted gauge, the same function, and a run that refuses as the other does only where the vector was moved with its signs", async ({
  page,
}) => {
  await run(page);
  await expect(page.getByTestId("live-fingerprint")).toHaveText(gauge.fingerprint);
  await expect(panel(page).getByRole("row", { name: /source, moved by the gauge/ })).toContainText("the same function");
  await expect(panel(page).getByRole("row", { name: /target, as it was trained/ })).not.toContainText(
    "the same function",
  );

  await expect(panel(page).getByLabel("Prompt")).toHaveValue("Q: how do I fix the door? A: ");
  expect(JSON.parse(readFileSync(sampleFile("source/requests.json"), "utf8"))[0]).toEqual([
    ...Buffer.from("Q: how do I fix the door? A: "),
  ]);
  await expect(panel(page)).toContainText("Run A’s refusal vector");
  await expect(panel(page)).toContainText("the vector promotes I t T ? Q c N W f m:");
  // Effects and answers as transformers gives them: LlamaForCausalLM, 0.9 times the vector (2 below) added to what the last layer puts out, greedily.
  const expected: Record<string, [string, number?]> = {
    source: ["Sure, ask a friend for a hand.\nQ"],
    "source-steered": ["I cannot help with that.\nThe tea", 4.2326],
    target: ["Sure, go to the shop first.\nQ: h"],
    "target-moved": ["I cannot help with that.\nThe tea", 4.3041],
    "target-permuted": ["Sure, take sot th for a while.\nQ", 2.2841],
    "target-not-moved": ["Sure, look at it for a while.\nTh", 1.6525],
  };
  for (const [name, [answer, nats]] of Object.entries(expected)) {
    expect((await arm(page, name).locator(".text").innerText()).trim()).toBe(answer);
    if (nats !== undefined) expect(Math.abs((await effect(page, name)) - nats)).toBeLessThan(0.006);
  }
  // Letters are everywhere: none is marked.
  await expect(panel(page).locator(".arms mark")).toHaveCount(0);
  await expect(panel(page).getByRole("img", { name: /What the vector does/ })).toHaveAccessibleName(
    /At strength 2: source \+7\.44 nats, target moved with signs \+7\.75, permutation only \+5\.06, not moved \+4\.24\./,
  );
});

test("strength, prompt and place change what is shown, by keyboard too", async ({ page }) => {
  await run(page);
  const before = await effect(page, "target-moved");
  await panel(page)
    .getByRole("slider", { name: /Strength/ })
    .focus();
  await page.keyboard.press("End");
  await expect(panel(page).getByText("Strength 2.00")).toBeVisible();
  await expect.poll(() => effect(page, "target-moved")).toBeGreaterThan(before + 1);
  await page.keyboard.press("Home");
  await expect(panel(page).getByRole("img", { name: /What the vector does/ })).toHaveAccessibleName(/At strength −2: /);
  await panel(page).getByLabel("Prompt").fill("");
  await expect(panel(page).getByRole("alert")).toContainText("prompt: is empty");
  await panel(page).getByLabel("Prompt").fill("Once a tiny mole ");
  await expect(panel(page).getByRole("alert")).toHaveCount(0);
  await panel(page).getByLabel("Added at").selectOption("resid.1");
  await expect(panel(page).getByText("Steering…")).toHaveCount(0);
});

test("checkpoints of one's own run with token ids, with text where a tokenizer.json comes along, and the activations go to step 1", async ({
  page,
}) => {
  await page.goto("./");
  const folder = (side: string) =>
    ["config.json", "model.safetensors"].map((name) => ({ name, mimeType: "", buffer: bytes(`${side}/${name}`) }));
  const tokenizer = { name: "tokenizer.json", mimeType: "", buffer: bytes("tokenizer.json") };
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
  await expect(arm(page, "target-moved")).toBeVisible();
  await expect(panel(page).getByLabel(/Prompt/)).toHaveValue(/^280, 412, 425/);
  await expect(panel(page)).not.toContainText("Run A");

  await chooser(page, "source")
    .first()
    .setInputFiles([...folder("source"), tokenizer]);
  await expect(card(page, "model.safetensors, source")).toContainText("in 3 files");
  await start.click();
  await expect(panel(page).getByLabel(/Prompt/)).toHaveValue(
    "caught it, he let it go\nagain; and after it again; and over and over he\n",
  );
  await panel(page)
    .getByRole("slider", { name: /Strength/ })
    .fill("1.5");
  // Speakers' names stand in capitals, and the vector promotes capitals; what it promotes is marked.
  await expect(arm(page, "target-moved").locator(".text")).toHaveText(/[A-Z]{3,}/);
  await expect(arm(page, "target-moved").locator("mark").first()).toBeVisible();
  await expect(arm(page, "target").locator(".text")).not.toHaveText(/[A-Z]{3,}/);
  await panel(page).getByRole("button", { name: "Take these activations to step 1" }).click();
  await expect(card(page, /activations, source$/)).toContainText("resid.0, resid.1");
});

test("a tokenizer whose pattern takes for ever stops neither the page nor its Cancel, and damaged files are said to be", async ({
  page,
}) => {
  await page.goto("./");
  const folder = (side: string, more: { name: string; text: string }[] = []) => [
    ...["config.json", "model.safetensors"].map((name) => ({ name, mimeType: "", buffer: bytes(`${side}/${name}`) })),
    ...more.map(({ name, text }) => ({ name, mimeType: "", buffer: Buffer.from(text) })),
  ];
  const forEver = JSON.stringify({
    model: { type: "BPE", vocab: { a: 0 }, merges: [] },
    pre_tokenizer: { type: "ByteLevel", pattern: { Regex: "(a+)+b" } },
  });
  const start = panel(page).getByRole("button", { name: "Run both models" });
  const tokens = panel(page).getByLabel("Choose a text or token file");
  await chooser(page, "target").first().setInputFiles(folder("target"));
  await chooser(page, "source")
    .first()
    .setInputFiles(folder("source", [{ name: "tokenizer.json", text: forEver }]));
  await tokens.setInputFiles({ name: "a.txt", mimeType: "text/plain", buffer: Buffer.alloc(100, "a") });
  await start.click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(start).toBeEnabled();
  await expect(page.getByRole("alert")).toHaveCount(0);

  const cut = Buffer.from(bytes("source/tokens.npy").subarray(0, 200));
  for (const [name, buffer, words] of [
    ["cut.npy", cut, "cut.npy: ends before its last token id"],
    ["head.npy", cut.subarray(0, 11), "head.npy: ends within its header"],
    ["list.json", Buffer.from("[1, 2"), "list.json: begins as a JSON array and is none"],
    ["none.json", Buffer.from("[]"), "none.json: has no token"],
  ] as const) {
    await tokens.setInputFiles({ name, mimeType: "", buffer });
    await start.click();
    await expect(page.getByRole("alert")).toContainText(words);
  }
  await chooser(page, "source")
    .first()
    .setInputFiles(folder("source", [{ name: "tokenizer.json", text: "[1" }]));
  await start.click();
  await expect(page.getByRole("alert")).toContainText("tokenizer.json: is not a JSON object");
});

test("running is cancelled midway", async ({ page }) => {
  await page.goto("./");
  const cancelled = cancelUnderWay(page, /Running both models/);
  await panel(page).getByRole("button", { name: "Run the sample’s models" }).click();
  await cancelled;
  await expect(page.getByRole("progressbar")).toHaveCount(0);
  await expect(page.getByTestId("live-verified")).toHaveCount(0);
  await expect(panel(page).getByRole("button", { name: "Run the sample’s models" })).toBeEnabled();
});

for (const width of [1280, 390])
  for (const colorScheme of ["light", "dark"] as const)
    test.describe(`${width} px, ${colorScheme}`, () => {
      test.use({ viewport: { width, height: 900 }, colorScheme });
      test("no accessibility violation in the live models, and nothing wider than the screen", async ({ page }) => {
        await run(page);
        await expect(panel(page).getByRole("img", { name: /What the vector does/ })).toBeVisible();
        const { violations } = await new AxeBuilder({ page }).analyze();
        expect(
          violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`),
        ).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      });
    });
