// The page in the system's Chromium (Playwright's own browsers are not downloaded), built and served as users get it.
import { defineConfig } from "@playwright/test";

const port = Number(process.env.PORT ?? 4173);

export default defineConfig({
  testDir: ".",
  // Pictures for the READMEs are made on request: npm run screenshots -w web
  testIgnore: process.env.SCREENSHOTS ? [] : ["screenshots.spec.ts"],
  outputDir: "test-results",
  // Two browsers at a time at most: the pages compute.
  workers: 2,
  // Far above what anything takes: they end what hangs, and are no measure of speed.
  timeout: 300_000,
  expect: { timeout: 120_000 },
  // Once more on a machine that is busy with other things; what passes only then is listed as flaky.
  retries: 1,
  forbidOnly: Boolean(process.env.CI),
  reporter: [["list"]],
  use: {
    baseURL: `http://localhost:${port}/some/where/`,
    reducedMotion: "reduce",
    // Requests are watched, so the service worker stays out but where it is what is tested.
    serviceWorkers: "block",
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
  webServer: { command: `node serve.mjs ${port}`, port, reuseExistingServer: false },
});
