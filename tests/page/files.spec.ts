import { basename } from "node:path";
import { align, bytes, card, chooser, drop, expect, file, noise, safetensors, test } from "./bench";

test("files are chosen for a role", async ({ page }) => {
  await page.goto("./");
  await chooser(page, "source").setInputFiles(file("source/evidence.safetensors"));
  await chooser(page, "target").setInputFiles(file("target/evidence.safetensors"));
  await expect(card(page, "evidence.safetensors, source")).toContainText("resid.0, resid.2, resid.4");
  await align(page);
  await expect(page.getByTestId("verdict")).toContainText("Aligned");
});

test("files dropped anywhere find their places by content", async ({ page }) => {
  await page.goto("./");
  await drop(page, "body", [
    { name: "a.safetensors", content: bytes("source/evidence.safetensors") },
    { name: "b.safetensors", content: bytes("target/evidence.safetensors") },
    { name: "steering.npy", content: bytes("source/steering_resid2.npy") },
  ]);
  await expect(card(page, "a.safetensors, source")).toBeVisible();
  await expect(card(page, "b.safetensors, target")).toBeVisible();
  await expect(card(page, "steering.npy, object")).toBeVisible();
});

test("an SAE's weights and its cfg, dropped together, are one object", async ({ page }) => {
  await page.goto("./");
  await drop(page, '[aria-label="Objects to move"]', ["sae_weights.safetensors", "cfg.json"].map((name) => ({ name, content: bytes(`source/sae_resid2/${name}`) })));
  await expect(page.getByRole("article")).toHaveCount(1);
  await expect(page.getByRole("article")).toContainText("in 2 files");
});

test("a folder is chosen whole", async ({ page }) => {
  await page.goto("./");
  await page.getByLabel("Choose a folder: Objects to move").setInputFiles(file("source/sae_resid2"));
  await expect(card(page, "sae_resid2, object")).toBeVisible();
});

test("two checkpoints are evidence too: a folder's model with its config", async ({ page }) => {
  await page.goto("./");
  for (const side of ["source", "target"] as const)
    await chooser(page, side).setInputFiles([file(`${side}/model.safetensors`), file(`${side}/config.json`)]);
  await expect(card(page, "model.safetensors, source")).toContainText("in 2 files");
  await align(page);
  await expect(page.getByTestId("verdict")).toContainText("Aligned");
});

test("a card is dragged from one side to the other", async ({ page }) => {
  await page.goto("./");
  await chooser(page, "source").setInputFiles({ name: "one.safetensors", mimeType: "", buffer: bytes("source/evidence.safetensors") });
  await card(page, "one.safetensors, source").dragTo(page.getByRole("group", { name: "Target evidence" }));
  await expect(card(page, "one.safetensors, target")).toBeVisible();
});

test("a link carries the settings", async ({ page }) => {
  await page.goto("./#statistic=whitened&site=resid.4");
  await page.getByRole("button", { name: "Try the sample" }).click();
  await page.getByText("Settings").click();
  await expect(page.getByLabel("Statistic")).toHaveValue("whitened");
  await expect(page.getByRole("checkbox", { name: "resid.4" })).toBeChecked();
  await align(page);
  await expect(page.getByTestId("verdict")).toContainText("resid.4");
  await expect(page.getByTestId("verdict")).not.toContainText("resid.2");
  expect(page.url()).toContain("#site=resid.4&statistic=whitened");
});

test("roles change by keyboard, and source and target change places", async ({ page }) => {
  await page.goto("./");
  await chooser(page, "source").setInputFiles({ name: "one.safetensors", mimeType: "", buffer: bytes("source/evidence.safetensors") });
  await chooser(page, "target").setInputFiles({ name: "two.safetensors", mimeType: "", buffer: bytes("target/evidence.safetensors") });
  await expect(card(page, "two.safetensors, target")).toBeVisible();
  const role = page.getByLabel("Role of one.safetensors");
  await role.focus();
  await page.keyboard.press("t"); // typing ahead in the list: Target
  await expect(card(page, "one.safetensors, target")).toBeVisible();
  await expect(card(page, "two.safetensors, source")).toBeVisible();
  await page.getByRole("button", { name: "Remove one.safetensors" }).press("Enter");
  await expect(page.getByRole("button", { name: "Align", exact: true })).toBeDisabled();
});

test("everything from the sample to the moved vector works with the keyboard alone", async ({ page }) => {
  await page.goto("./");
  const tabTo = async (name: string | RegExp) => {
    for (let k = 0; k < 80; k++) {
      await page.keyboard.press("Tab");
      const label = await page.evaluate(() => (document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent ?? "").trim());
      if (typeof name === "string" ? label === name : name.test(label)) return;
    }
    throw new Error(`Tab does not reach ${name}`);
  };
  await tabTo("Try the sample");
  await page.keyboard.press("Enter");
  // The focus goes to Align by itself.
  await expect(page.getByRole("button", { name: "Align", exact: true })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("verdict")).toBeVisible();
  await expect(page.getByRole("progressbar")).toHaveCount(0);
  await tabTo(/^\|r\| after/);
  for (const key of ["ArrowDown", "ArrowRight", "+", "Enter"]) await page.keyboard.press(key);
  await expect(page.getByRole("region", { name: "Selected channel" }).getByLabel("target")).toHaveValue("1");
  await tabTo("Move all");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Download steering_resid2.moved.npy" })).toBeVisible();
});

const small = (d: number, rows: number, seed: number) => safetensors({ "activations/resid.0": { shape: [rows, d], data: noise(rows, d, seed) } });

const bad: [string, Buffer, RegExp][] = [
  ["text.safetensors", Buffer.from("not a tensor file at all, only words"), /text\.safetensors/],
  ["short.safetensors", bytes("source/evidence.safetensors").subarray(0, 1000), /short\.safetensors/],
  ["empty.npy", Buffer.alloc(0), /empty\.npy/],
];
for (const [name, buffer, sentence] of bad) {
  test(`a bad file gives one clear sentence: ${name}`, async ({ page }) => {
    await page.goto("./");
    await chooser(page, "source").setInputFiles({ name, mimeType: "", buffer });
    const alert = page.getByRole("alert");
    await expect(alert).toHaveText(sentence);
    await expect(alert).not.toContainText(/undefined|\[object|Error:/);
    await expect(page.getByRole("button", { name: "Align", exact: true })).toBeDisabled();
  });
}

test("evidence that does not pair gives the package's sentence, and the page goes on", async ({ page }) => {
  await page.goto("./");
  await chooser(page, "source").setInputFiles({ name: "a.safetensors", mimeType: "", buffer: small(16, 64, 1) });
  await chooser(page, "target").setInputFiles({ name: "b.safetensors", mimeType: "", buffer: small(24, 64, 2) });
  await page.getByRole("button", { name: "Align", exact: true }).click();
  await expect(page.getByRole("alert")).toContainText(/16.*24|24.*16/);
  await chooser(page, "target").setInputFiles({ name: "c.safetensors", mimeType: "", buffer: small(16, 64, 1) });
  await align(page);
  await expect(page.getByTestId("verdict")).toContainText("Already aligned");
});

test("unrelated models are called so, and nothing is moved with their gauge", async ({ page }) => {
  await page.goto("./");
  await chooser(page, "source").setInputFiles({ name: "a.safetensors", mimeType: "", buffer: small(64, 256, 3) });
  await chooser(page, "target").setInputFiles({ name: "b.safetensors", mimeType: "", buffer: small(64, 256, 4) });
  await align(page);
  await expect(page.getByTestId("verdict")).toContainText("Unrelated");
  await page.getByRole("button", { name: /sample’s vector/ }).click();
  await expect(page.getByRole("button", { name: "Move all" })).toBeDisabled();
});

test("an object of another width is refused with its sentence", async ({ page }) => {
  await page.goto("./");
  await chooser(page, "source").setInputFiles({ name: "a.safetensors", mimeType: "", buffer: small(16, 64, 1) });
  await chooser(page, "target").setInputFiles({ name: "b.safetensors", mimeType: "", buffer: small(16, 64, 1) });
  await align(page);
  await chooser(page, "object").setInputFiles(file("source/steering_resid2.npy"));
  await page.getByRole("button", { name: "Move it" }).click();
  const alert = card(page, new RegExp(basename("steering_resid2.npy"))).getByRole("alert");
  await expect(alert).toContainText("128");
  await expect(alert).toContainText("16");
});

test("alignment is cancelled midway, and can be started again", async ({ page }) => {
  await page.goto("./");
  // Large enough to be caught at work: d = 1536 takes seconds.
  await chooser(page, "source").setInputFiles({ name: "a.safetensors", mimeType: "", buffer: small(1536, 2048, 5) });
  await chooser(page, "target").setInputFiles({ name: "b.safetensors", mimeType: "", buffer: small(1536, 2048, 6) });
  await page.getByRole("button", { name: "Align", exact: true }).click();
  await expect(page.locator("progress[value]")).toBeVisible(); // it is under way, and says how far
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(page.getByRole("progressbar")).toHaveCount(0);
  await expect(page.getByTestId("verdict")).toHaveCount(0);
  await expect(page.getByRole("alert")).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Align", exact: true })).toBeEnabled();
});
