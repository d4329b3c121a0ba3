import { chooser, expect, longestTask, noise, safetensors, test, watchTasks } from "./bench";

// Times are told, not judged: the machine may be busy or slow.
test("time to ready, and the longest task of the page at start and while d = 1024 is aligned", async ({ page }) => {
  await page.goto("./");
  const ready = await page.evaluate(
    () => performance.getEntriesByType("navigation")[0]!.toJSON().domComplete as number,
  );
  const session = await page.context().newCDPSession(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate: 4 }); // a phone
  await watchTasks(page, "start");
  await page.reload();
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await page.waitForLoadState("networkidle");
  const start = await longestTask(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate: 1 });

  const [d, rows] = [1024, 1024];
  const x = noise(rows, d, 7);
  const y = x.map((_, k) => x[k - (k % d) + (((k % d) * 5 + 3) % d)]!);
  const evidence = (data: Float32Array) => safetensors({ "activations/resid.0": { shape: [rows, d], data } });
  await chooser(page, "source").setInputFiles({ name: "a.safetensors", mimeType: "", buffer: evidence(x) });
  await chooser(page, "target").setInputFiles({ name: "b.safetensors", mimeType: "", buffer: evidence(y) });
  await watchTasks(page, "now");
  await page.getByRole("button", { name: "Align", exact: true }).click();
  await expect(page.getByTestId("verdict")).toContainText("ligned", { timeout: 200_000 });
  await expect(page.getByRole("progressbar")).toHaveCount(0, { timeout: 200_000 });
  const longest = await longestTask(page);
  console.log(
    `ready after ${ready.toFixed(0)} ms; longest task at start, slowed down four times: ${start.toFixed(0)} ms; ` +
      `while aligning d = ${d}: ${longest.toFixed(0)} ms (goals 1000, 500 and 200)`,
  );
});
