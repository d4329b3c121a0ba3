// What the tests share: a page that must stay clean (no console message, no request elsewhere), files of trained models, and small evidence made up here.
import { test as base, expect, type Locator, type Page } from "@playwright/test";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeCommand } from "../js/helpers.mjs";

export { expect };
export { headed, safetensors } from "../js/safetensors.mjs";

export const file = (path: string) => join(import.meta.dirname, "../shakespeare-d128", path);
export const bytes = (path: string) => readFileSync(file(path));
/** What "Try the sample" fetches. */
export const sampleFile = (path: string) => join(import.meta.dirname, "../../examples/tales-d64", path);
/** The gauge that was planted between the sample's runs: y[i] = sign[i] * x[perm[i]]. */
export const sampleTruth = JSON.parse(readFileSync(sampleFile("truth.json"), "utf8")).gauges.other_run as {
  perm: number[];
  sign: number[];
};

/** Every test fails on a console error or warning, an uncaught error, or a request to another origin. */
export const test = base.extend<{ clean: void }>({
  clean: [
    async ({ page, baseURL }, use) => {
      const faults: string[] = [];
      page.on("console", (message) => {
        const expected = message.text() === "Service Worker registration blocked by Playwright";
        if (!expected && (message.type() === "error" || message.type() === "warning"))
          faults.push(`console: ${message.text()}`);
      });
      page.on("pageerror", (error) => faults.push(`uncaught: ${error.message}`));
      page.on("request", (request) => {
        const url = new URL(request.url());
        if (url.protocol !== "blob:" && url.protocol !== "data:" && url.origin !== new URL(baseURL!).origin)
          faults.push(`request: ${url}`);
      });
      await use();
      expect(faults).toEqual([]);
    },
    { auto: true },
  ],
});

/** Resident bytes of a browser's processes by their kind, and seconds that the page's has computed. profile: the browser's folder. */
export function memory(profile: string): { renderer: number; all: number; seconds: number } {
  let [renderer, all, ticks] = [0, 0, 0];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (!words.includes(profile)) continue;
      const resident = 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
      all += resident;
      if (!words.includes("--type=renderer")) continue;
      renderer = Math.max(renderer, resident);
      const [, user, system] = /\) \S+(?: \S+){10} (\d+) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))!;
      ticks = Math.max(ticks, Number(user) + Number(system));
    } catch {
      // A process that has just ended.
    }
  }
  return { renderer, all, seconds: ticks / 100 };
}

/** In a page: notes its long tasks from now on, and where `buffered` those of before. */
function noteTasks(buffered: boolean): void {
  const seen = ((window as unknown as { tasks: number[] }).tasks = []) as number[];
  new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => seen.push(duration))).observe({
    type: "longtask",
    buffered,
  });
}

/** Watches the page's long tasks: from now on, or from the start of the documents that it goes to. */
export const watchTasks = (page: Page, from: "now" | "start"): Promise<unknown> =>
  from === "now" ? page.evaluate(noteTasks, false) : page.addInitScript(noteTasks, true);

/** Milliseconds of the longest task that was watched. */
export const longestTask = (page: Page): Promise<number> =>
  page.evaluate(() => Math.max(0, ...(window as unknown as { tasks: number[] }).tasks));

export const card = (page: Page, name: string | RegExp) => page.getByRole("article", { name });
export const chooser = (page: Page, role: "source" | "target" | "object") => page.locator(`input[data-role=${role}]`);

interface DroppedFile {
  name: string;
  content: Buffer;
}

/** Drops files on an element as the browser does. */
export async function drop(page: Page, target: string, files: DroppedFile[]): Promise<void> {
  await page.dispatchEvent(target, "drop", { dataTransfer: await transferOf(page, files) });
}

/** Files as a drop holds them, made in the page. */
export const transferOf = (page: Page, files: DroppedFile[]) =>
  page.evaluateHandle(
    (list) => {
      const made = new DataTransfer();
      for (const { name, base64 } of list)
        made.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name));
      return made;
    },
    files.map(({ name, content }) => ({ name, base64: content.toString("base64") })),
  );

export async function loadSample(page: Page): Promise<void> {
  await page.goto("./");
  await page.getByRole("button", { name: "Try the sample" }).click();
  await expect(card(page, /sae_resid1/)).toBeVisible();
}

/** Presses Align and waits until the last plot has what it needs. */
export async function align(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Align", exact: true }).click();
  await expect(page.getByTestId("verdict")).toBeVisible();
  await expect(page.getByRole("progressbar")).toHaveCount(0);
  await expect(page.getByTestId("behind")).toHaveCount(0);
}

/** The lines of "The same as a command, in JavaScript, in Python", in a panel that says them once. */
export async function linesIn(
  panel: Page | Locator,
  language: "command" | "JavaScript" | "Python" = "command",
): Promise<string> {
  const lines = panel.getByTestId("say-as");
  if (!(await lines.isVisible())) await panel.getByText("The same as a command").click();
  await panel.getByRole("button", { name: language, exact: true }).click();
  return lines.innerText();
}

/** Runs such lines where their files lie: a folder in this repository, so that JavaScript finds the package. */
export function runLines(lines: string, language: "command" | "JavaScript", cwd: string): void {
  const [script, program] = language === "command" ? ["lines.sh", "sh"] : ["lines.mjs", process.execPath];
  const command = `'${process.execPath}' '${nodeCommand}' `; // npx would look for the package elsewhere
  writeFileSync(
    join(cwd, script),
    language === "command" ? `set -e\n${lines.replace(/^npx regauge /gm, command)}` : lines,
  );
  execFileSync(program, [script], { cwd, stdio: "pipe" });
}

/** Presses Cancel once a job of this title says how far it is; in the page itself, as a job may be over before a press from here arrives. */
export async function cancelUnderWay(page: Page, title: RegExp): Promise<void> {
  await page.evaluate(
    ({ source }) =>
      new Promise<void>((done) => {
        new MutationObserver((_, observer) => {
          const bar = document.querySelector("progress[value]");
          const cancel = [...document.querySelectorAll("button")].find(
            ({ textContent }) => textContent.trim() === "Cancel",
          );
          if (!bar || !cancel || !new RegExp(source).test(bar.getAttribute("aria-label") ?? "")) return;
          observer.disconnect();
          cancel.click();
          done();
        }).observe(document, { subtree: true, childList: true, attributes: true });
      }),
    { source: title.source },
  );
}

/** Uniform numbers below 1 from a seed (mulberry32). */
function uniform(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Rows of noise from a seed: sums of four uniforms. */
export function noise(rows: number, d: number, seed: number): Float32Array {
  const next = uniform(seed);
  return Float32Array.from({ length: rows * d }, () => next() + next() + next() + next() - 2);
}

/** y[i] = sign[i] * x[perm[i]], from a seed. */
export function randomGauge(d: number, seed: number): { perm: number[]; sign: number[] } {
  const next = uniform(seed);
  const perm = Array.from({ length: d }, (_, i) => i);
  for (let i = d - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [perm[i], perm[j]] = [perm[j]!, perm[i]!];
  }
  return { perm, sign: perm.map(() => (next() < 0.5 ? 1 : -1)) };
}
