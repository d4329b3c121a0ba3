import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Plugin } from "vite";

// The files behind "Try the sample", by their place in the shipped example.
const files = [
  "source/evidence.safetensors",
  "other_run/evidence.safetensors",
  "source/refusal_resid2.npy",
  "source/sae_resid1/sae_weights.safetensors",
  "source/sae_resid1/cfg.json",
  // For the small models that run on the page.
  "source/config.json",
  "source/model.safetensors",
  "source/tokens.npy",
  "source/requests.json",
  "other_run/config.json",
  "other_run/model.safetensors",
];

/** Serves the shipped sample under sample/: copied from the repository's examples, so that it exists once in git. */
export function sample(folder: string): Plugin {
  const from = (file: string) => resolve(import.meta.dirname, "..", folder, file);
  return {
    name: "regauge-sample",
    configureServer(server) {
      server.middlewares.use("/sample", (request, response, next) => {
        const file = (request.url ?? "").slice(1);
        if (files.includes(file) && existsSync(from(file))) response.end(readFileSync(from(file)));
        else next();
      });
    },
    generateBundle() {
      for (const file of files)
        this.emitFile({ type: "asset", fileName: `sample/${file}`, source: readFileSync(from(file)) });
    },
  };
}
