import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { addressesPage, contentSecurityPolicy, withAddresses } from "./build/csp.ts";
import { sample } from "./build/sample.ts";
import { serviceWorker } from "./build/service-worker.ts";

// base "./": the built page works from any path of any static host.
export default defineConfig({
  base: "./",
  plugins: [svelte(), sample("../examples/tales-d64"), contentSecurityPolicy(), serviceWorker()],
  worker: { format: "es" },
  define: { __ADDRESSES__: JSON.stringify(withAddresses) },
  build: {
    target: "es2022",
    // Browsers that know light-dark(), so that it stays as it is written.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // Nothing is inlined as data: URLs, so that the content security policy needs no exception for scripts and workers.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: withAddresses ? ["index.html", addressesPage] : ["index.html"] },
  },
  // Isolated, as the service worker makes the built page, so that threads can be tried while developing.
  server: { headers: { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" } },
});
