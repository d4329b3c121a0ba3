// The engine with threads and the one without, in a page that is cross-origin isolated and in one that is not.
import type { Page } from "@playwright/test";
import { align, chooser, expect, noise, safetensors, test } from "./bench";

const [d, rows] = [256, 9000]; // 18 MB: worth threads

/** Aligns rows with themselves in other coordinates: the gauge's fingerprint, what of the engine was loaded, and how many threads it has then. */
async function alignLarge(
  page: Page,
  address: string,
): Promise<{ fingerprint: string | null; modules: string[]; threads: number }> {
  const modules = new Set<string>();
  page.on("request", (request) => {
    const [, name] = /\/(regauge[a-z-]*?)-[\w-]{8}\.wasm$/.exec(request.url()) ?? [];
    if (name) modules.add(name);
  });
  await page.goto(address);
  const x = noise(rows, d, 7);
  const y = x.map((_, k) => (k % 2 === 0 ? -1 : 1) * x[k - (k % d) + (((k % d) * 5 + 3) % d)]!);
  for (const [role, data] of [
    ["source", x],
    ["target", y],
  ] as const)
    await chooser(page, role).setInputFiles({
      name: `${role}.safetensors`,
      mimeType: "",
      buffer: safetensors({ "activations/resid.0": { shape: [rows, d], data } }),
    });
  await align(page);
  const session = await page.context().browser()!.newBrowserCDPSession();
  const { targetInfo } = await (await page.context().newCDPSession(page)).send("Target.getTargetInfo");
  const { targetInfos } = await session.send("Target.getTargets", { filter: [{ type: "worker" }] });
  // Not those of a page that is still closing, and not the workers of the jobs: two files may be described at once, or one after the other.
  const threads = targetInfos.filter(
    (worker) => worker.browserContextId === targetInfo.browserContextId && worker.title === "em-pthread",
  );
  return {
    fingerprint: await page.getByTestId("fingerprint").textContent(),
    modules: [...modules],
    threads: threads.length,
  };
}

test("an isolated page computes on all processors, any other on one, and both say the same", async ({
  page,
  browser,
  baseURL,
}) => {
  const processors = await page.evaluate(() => navigator.hardwareConcurrency);
  const single = await alignLarge(page, "./");
  expect(single.modules).toEqual(["regauge"]);
  expect(single.threads).toBe(0);
  await page.close();
  const other = await browser.newPage({ baseURL, serviceWorkers: "block" });
  const threaded = await alignLarge(other, "/isolated/");
  expect(await other.evaluate(() => crossOriginIsolated)).toBe(true);
  expect(threaded.modules).toEqual(["regauge-mt-relaxed"]);
  expect(threaded.threads).toBeGreaterThanOrEqual(Math.min(processors, 16) - 1);
  expect(threaded.fingerprint).toBe(single.fingerprint);
  await other.close();
});
