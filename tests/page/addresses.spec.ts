import AxeBuilder from "@axe-core/playwright";
import { test as base } from "@playwright/test";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { align } from "regauge";
import { serveHub } from "../js/hub.mjs";
import { card, expect, loadSample, sampleFile, test } from "./bench";

type Hub = Awaited<ReturnType<typeof serveHub>>;
const contents = (side: string): Record<string, Buffer> =>
  Object.fromEntries(
    ["config.json", "model.safetensors"].map((name) => [name, readFileSync(sampleFile(`${side}/${name}`))]),
  );

/** Two models on hubs that fail as they are told, and what was said on the way. Requests elsewhere are what this page is for. */
const asking = base.extend<{ fault: { kind?: string | number }; hubs: Hub[] }>({
  fault: [{}, { option: true }],
  hubs: async ({ fault }, use) => {
    const hubs = await Promise.all(
      ["source", "other_run"].map((side) => serveHub(contents(side), () => fault.kind as never)),
    );
    await use(hubs);
    for (const hub of hubs) hub.close();
  },
});

asking("models are read by their addresses, after a question, and move as their files do", async ({ page, hubs }) => {
  const foreign: string[] = [];
  page.on("request", (request) => {
    if (/127\.0\.0\.1/.test(request.url())) foreign.push(request.url());
  });
  await page.goto("./addresses.html");
  const [source, target] = hubs as [Hub, Hub];
  const host = new URL(source.address).host;
  await page.getByLabel("Address of the source").fill(source.address);
  await page.getByLabel("Address of the source").press("Enter");
  const question = page.getByRole("dialog");
  await expect(question).toContainText(`This page will ask ${host} for config.json, model.safetensors`);
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  await page.getByRole("button", { name: "Ask no one" }).click();
  await expect(question).toHaveCount(0);
  expect(foreign).toEqual([]);

  for (const [role, { address }] of [
    ["source", source],
    ["target", target],
  ] as const) {
    await page.getByLabel(`Address of the ${role}`).fill(address);
    await page.getByLabel(`Address of the ${role}`).press("Enter");
    await page.getByRole("button", { name: `Ask ${new URL(address).host}` }).click();
    await expect(card(page, new RegExp(`^model.*, ${role}$`))).toContainText("llama", { ignoreCase: true });
  }
  await expect(page.getByText("fetches about")).toBeVisible();
  expect(source.asked.every(({ begin, end }) => end - begin <= 65536)).toBe(true);
  await page.getByRole("button", { name: "Align", exact: true }).click();
  await expect(page.getByTestId("verdict")).toBeVisible();
  const local = await align(sampleFile("source"), sampleFile("other_run"), { sites: ["embedding"] });
  await expect(page.getByTestId("fingerprint")).toHaveText(local.fingerprint);
  await page.getByText("The same as a command").click();
  await page.getByRole("button", { name: "JavaScript" }).click();
  await expect(page.getByTestId("say-as")).toContainText(`align("${source.address}", "${target.address}"`);
  const hosts = new Set(foreign.map((url) => new URL(url).host));
  expect([...hosts].sort()).toEqual(
    hubs.flatMap(({ address, store }) => [new URL(address).host, new URL(store).host]).sort(),
  );
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
});

for (const [kind, sentence] of [
  [401, "not given to everyone (the server answered 401)"],
  ["whole", "its server does not answer ranges"],
  ["page", "a page to look at, not a file"],
] as const)
  asking.describe(`a server that answers ${kind}`, () => {
    asking.use({ fault: { kind } });
    asking("is told of in one sentence, with its address", async ({ page, hubs }) => {
      await page.goto("./addresses.html");
      await page.getByLabel("Address of the source").fill(hubs[0]!.address);
      await page.getByLabel("Address of the source").press("Enter");
      await page.getByRole("button", { name: /^Ask 127/ }).click();
      await expect(page.getByRole("alert")).toContainText(sentence);
      await expect(page.getByRole("alert")).toContainText("/who/model/resolve/main/");
      await expect(page.getByRole("article")).toHaveCount(0);
    });
  });

test("the first page can reach no server: its policy refuses what the other may ask", async ({ page }) => {
  await page.goto("./");
  await expect(page.getByLabel("Address of the source")).toHaveCount(0);
  const policies = await page.evaluate(() =>
    Promise.all(
      ["./", "./addresses.html"].map(async (path) => {
        const text = await (await fetch(path)).text();
        return new DOMParser()
          .parseFromString(text, "text/html")
          .querySelector("meta[http-equiv]")!
          .getAttribute("content")!;
      }),
    ),
  );
  expect(policies[0]).toContain("connect-src 'self';");
  expect(policies[1]).toContain("connect-src 'self' https: http://localhost:* http://127.0.0.1:*;");
  expect(policies[1]!.replace(/connect-src [^;]*/, "")).toBe(policies[0]!.replace(/connect-src [^;]*/, ""));
});

test("what is no address is told, and asks no one", async ({ page }) => {
  await page.goto("./addresses.html");
  await page.getByLabel("Address of the target").fill("ftp://hub.test/model");
  await page.getByLabel("Address of the target").press("Enter");
  await expect(page.getByRole("alert")).toContainText("begins with https://");
  await page.getByRole("link", { name: "can reach no one" }).click();
  await expect(page.getByLabel("Address of the target")).toHaveCount(0);
});

test("files on the bench come along to the page for addresses", async ({ page }) => {
  await loadSample(page);
  await page.getByRole("link", { name: "read models by their addresses" }).click();
  await expect(page.getByLabel("Address of the source")).toBeVisible();
  await expect(card(page, /run A, source/)).toBeVisible();
});

base("a build without it has no such page, and no policy that lets anyone be asked", () => {
  const out = join(tmpdir(), `regauge-plain-${process.pid}`);
  try {
    execFileSync("npx", ["vite", "build", "--outDir", out, "--logLevel", "error"], {
      cwd: join(import.meta.dirname, "../../web"),
      env: { ...process.env, REGAUGE_ADDRESSES: "none" },
    });
    const names = readdirSync(out, { recursive: true, encoding: "utf8" });
    expect(names).not.toContain("addresses.html");
    expect(names).toContain("index.html");
    const built = (name: RegExp) =>
      readFileSync(
        join(
          out,
          names.find((one) => name.test(one))!,
        ),
        "utf8",
      );
    expect(built(/^index\.html$/).replaceAll("&#39;", "'")).toContain("connect-src 'self';");
    expect(built(/service-worker\.js$/)).not.toContain("https:");
    expect(built(/index-.*\.js$/)).not.toContain("addresses.html");
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});
