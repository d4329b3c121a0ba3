import { basename } from "node:path";
import { align as alignInNode } from "regauge";
import { align, bytes, card, chooser, drop, expect, file, headed, noise, safetensors, test, transferOf } from "./bench";

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
  await drop(
    page,
    '[aria-label="Objects to move"]',
    ["sae_weights.safetensors", "cfg.json"].map((name) => ({ name, content: bytes(`source/sae_resid2/${name}`) })),
  );
  await expect(page.getByRole("article")).toHaveCount(1);
  await expect(page.getByRole("article")).toContainText("in 2 files");
});

test("a folder is chosen whole", async ({ page }) => {
  await page.goto("./");
  await page.getByLabel("Choose a folder: Objects to move").setInputFiles(file("source/sae_resid2"));
  await expect(card(page, "sae_resid2, object")).toBeVisible();
});

test("a folder with everything falls apart into checkpoints, evidence, vectors and SAEs", async ({ page }) => {
  await page.goto("./");
  await page.getByLabel("Choose a folder: Objects to move").setInputFiles(file("source"));
  for (const name of [
    "source, ",
    "source/evidence.safetensors, ",
    "source/steering_resid2.npy, ",
    "sae_resid2, object",
  ])
    await expect(card(page, name)).toHaveCount(1);
  await expect(card(page, "source, object")).toContainText("Llama");
});

/** A model in two shards, as Hugging Face writes them: tensors dealt out, and an index that says where each is. */
function shards(side: "source" | "target"): { name: string; content: Buffer }[] {
  const whole = bytes(`${side}/model.safetensors`);
  const start = 8 + Number(whole.readBigUInt64LE(0));
  const header = JSON.parse(whole.subarray(8, start).toString()) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const names = Object.keys(header).filter((name) => name !== "__metadata__");
  const weights: Record<string, string> = {};
  const files = [0, 1].map((k) => {
    const name = `model-0000${k + 1}-of-00002.safetensors`;
    const own: typeof header = {};
    const data: Buffer[] = [];
    let at = 0;
    for (const tensor of names.filter((_, n) => n % 2 === k)) {
      const {
        dtype,
        shape,
        data_offsets: [begin, end],
      } = header[tensor]!;
      own[tensor] = { dtype, shape, data_offsets: [at, at + end - begin] };
      data.push(whole.subarray(start + begin, start + end));
      at += end - begin;
      weights[tensor] = name;
    }
    const text = Buffer.from(JSON.stringify(own));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    return { name, content: Buffer.concat([length, text, ...data]) };
  });
  const index = Buffer.from(JSON.stringify({ metadata: {}, weight_map: weights }));
  return [
    ...files,
    { name: "model.safetensors.index.json", content: index },
    { name: "config.json", content: bytes(`${side}/config.json`) },
  ];
}

test("shards dropped with their index are one checkpoint, which gives the gauge of the whole one", async ({ page }) => {
  await page.goto("./");
  for (const side of ["source", "target"] as const) {
    // Beside them something that is no part of it.
    await drop(page, `[aria-label="${side === "source" ? "Source" : "Target"} evidence"]`, [
      ...shards(side),
      { name: `${side}.npy`, content: bytes("source/steering_resid2.npy") },
    ]);
    await expect(
      card(page, new RegExp(`of-00002.safetensors${side === "source" ? "" : " \\(2\\)"}, ${side}`)),
    ).toContainText("in 4 files");
    await expect(card(page, `${side}.npy, object`)).toBeVisible();
  }
  await align(page);
  const whole = await alignInNode(file("source/model.safetensors"), file("target/model.safetensors"));
  await expect(page.getByTestId("fingerprint")).toHaveText(whole.fingerprint);
  // The norms of a checkpoint are its gains.
  await expect(page.getByRole("img", { name: /Gains of source against target/ })).toBeVisible();
});

test("a shard that is missing is named", async ({ page }) => {
  await page.goto("./");
  await drop(
    page,
    '[aria-label="Source evidence"]',
    shards("source").filter((_, k) => k !== 1),
  );
  await expect(page.getByRole("alert")).toContainText("model-00002-of-00002.safetensors");
});

test("a gauge file is recognised, and moves objects without aligning again", async ({ page }) => {
  await page.goto("./");
  const gauge = await alignInNode(file("source/evidence.safetensors"), file("target/evidence.safetensors"));
  await drop(page, "body", [
    { name: "gauge.json", content: Buffer.from(JSON.stringify(gauge)) },
    { name: "steering.npy", content: bytes("source/steering_resid2.npy") },
  ]);
  await expect(page.getByTestId("fingerprint")).toHaveText(gauge.fingerprint);
  await page.getByRole("button", { name: "Move it" }).click();
  await expect(page.getByRole("button", { name: "Download steering.moved.npy" })).toBeVisible();
  // One that was changed by hand is refused.
  await drop(page, "body", [
    {
      name: "edited.json",
      content: Buffer.from(JSON.stringify({ ...gauge.toJSON(), sign: Array.from(gauge.sign, (sign) => -sign) })),
    },
  ]);
  await expect(page.getByRole("alert")).toContainText(/edited\.json.*fingerprint/);
});

test("two checkpoints are evidence too: a folder's model with its config", async ({ page }) => {
  await page.goto("./");
  for (const side of ["source", "target"] as const)
    await chooser(page, side).setInputFiles([file(`${side}/model.safetensors`), file(`${side}/config.json`)]);
  await expect(card(page, "model.safetensors, source")).toContainText("in 2 files");
  await align(page);
  await expect(page.getByTestId("verdict")).toContainText("Aligned");
});

test("places and names follow the order of dropping, though the first takes longer to read", async ({ page }) => {
  await page.goto("./");
  const vector = { shape: [1, 16], data: new Float32Array(16) };
  const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, k) => [`activations/resid.${k}`, vector]));
  const drops = [
    await transferOf(page, [{ name: "one.safetensors", content: safetensors(many) }]),
    await transferOf(page, [{ name: "one.safetensors", content: small(16, 64, 1) }]),
  ];
  await page.evaluate((both) => {
    for (const dataTransfer of both)
      document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, dataTransfer }));
  }, drops);
  await expect(card(page, "one.safetensors, source")).toContainText("and 4,992 more");
  await expect(card(page, "one.safetensors (2), target")).toBeVisible();
});

test("a card is dragged from one side to the other", async ({ page }) => {
  await page.goto("./");
  await chooser(page, "source").setInputFiles({
    name: "one.safetensors",
    mimeType: "",
    buffer: bytes("source/evidence.safetensors"),
  });
  await card(page, "one.safetensors, source").dragTo(page.getByRole("group", { name: "Target evidence" }));
  await expect(card(page, "one.safetensors, target")).toBeVisible();
});

test("a link carries the settings", async ({ page }) => {
  await page.goto("./#statistic=whitened&site=resid.1");
  await page.getByRole("button", { name: "Try the sample" }).click();
  await page.getByText("Settings").click();
  await expect(page.getByLabel("Statistic")).toHaveValue("whitened");
  await expect(page.getByRole("checkbox", { name: "resid.1" })).toBeChecked();
  await align(page);
  await expect(page.getByTestId("verdict")).toContainText("resid.1");
  await expect(page.getByTestId("verdict")).not.toContainText("resid.2");
  expect(page.url()).toContain("#site=resid.1&statistic=whitened");
});

test("roles change by keyboard, and source and target change places", async ({ page }) => {
  await page.goto("./");
  await chooser(page, "source").setInputFiles({
    name: "one.safetensors",
    mimeType: "",
    buffer: bytes("source/evidence.safetensors"),
  });
  await chooser(page, "target").setInputFiles({
    name: "two.safetensors",
    mimeType: "",
    buffer: bytes("target/evidence.safetensors"),
  });
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
      const label = await page.evaluate(() =>
        (document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent ?? "").trim(),
      );
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
  await expect(page.getByRole("button", { name: "Download refusal_resid2.moved.npy" })).toBeVisible();
});

const small = (d: number, rows: number, seed: number) =>
  safetensors({ "activations/resid.0": { shape: [rows, d], data: noise(rows, d, seed) } });

const rows = noise(64, 16, 9);
rows[5 * 16 + 3] = NaN;

const bad: [string, Buffer, RegExp][] = [
  ["endless.safetensors", headed("{}", 2n ** 62n), /endless\.safetensors/],
  [
    "beyond.safetensors",
    headed('{"activations/a":{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]}}'),
    /beyond\.safetensors/,
  ],
  [
    "overflow.safetensors",
    headed('{"x":{"dtype":"F32","shape":[4294967296,4294967296,16],"data_offsets":[0,64]}}'),
    /overflow\.safetensors/,
  ],
  ["nested.safetensors", headed("[".repeat(100_000)), /nested\.safetensors/],
  ["system.pt", Buffer.from("cos\nsystem\n(S'touch /tmp/x'\ntR."), /system\.pt/],
  [
    "<img src=x onerror=alert(1)>.npy",
    Buffer.from("\x93NUMPY\x01\x00\xff\xff{"),
    /<img src=x onerror=alert\(1\)>\.npy/,
  ],
  ["text.safetensors", Buffer.from("not a tensor file at all, only words"), /text\.safetensors/],
  ["short.safetensors", bytes("source/evidence.safetensors").subarray(0, 1000), /short\.safetensors/],
  ["empty.npy", Buffer.alloc(0), /empty\.npy/],
];
for (const [name, buffer, sentence] of bad) {
  test(`a bad file gives one clear sentence: ${name}`, async ({ page }) => {
    await page.goto("./");
    await chooser(page, "source").setInputFiles({ name, mimeType: "", buffer });
    const alert = page.getByRole("alert");
    await expect(alert).toContainText(sentence);
    await expect(alert).not.toContainText(/undefined|\[object|Error:/);
    await expect(page.getByRole("button", { name: "Align", exact: true })).toBeDisabled();
  });
}

test("a number that is none is named with its place", async ({ page }) => {
  await page.goto("./");
  await chooser(page, "source").setInputFiles({
    name: "a.safetensors",
    mimeType: "",
    buffer: safetensors({ "activations/resid.0": { shape: [64, 16], data: rows } }),
  });
  await chooser(page, "target").setInputFiles({ name: "b.safetensors", mimeType: "", buffer: small(16, 64, 2) });
  await page.getByRole("button", { name: "Align", exact: true }).click();
  await expect(page.getByRole("alert")).toContainText(/row 5, column 3.*NaN/);
  await page.getByRole("button", { name: "Close the message" }).click();
  await expect(page.getByRole("alert")).toHaveCount(0);
});

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
  // Large enough to be caught at work: d = 2560 takes many seconds.
  await chooser(page, "source").setInputFiles({ name: "a.safetensors", mimeType: "", buffer: small(2560, 1200, 5) });
  await chooser(page, "target").setInputFiles({ name: "b.safetensors", mimeType: "", buffer: small(2560, 1200, 6) });
  await page.getByRole("button", { name: "Align", exact: true }).click();
  await expect(page.locator("progress[value]")).toBeVisible(); // it is under way, and says how far
  await page.keyboard.press("Escape"); // as the button Cancel does
  await expect(page.getByRole("progressbar")).toHaveCount(0);
  await expect(page.getByTestId("verdict")).toHaveCount(0);
  await expect(page.getByRole("alert")).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Align", exact: true })).toBeEnabled();
});
