import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Plugin } from "vite";
import { gpt2Config, layerNorms, otherText, partial } from "./exhibits.ts";

// The files behind "Try the sample" and the gallery, by their place in the shipped example.
const shipped = [
  "source/evidence.safetensors",
  "target/evidence.safetensors",
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

/** Serves the shipped sample under sample/: copied from the repository's examples, so that it exists once in git; and what is made of it. */
export function sample(folder: string): Plugin {
  const from = (file: string) => resolve(import.meta.dirname, "..", folder, file);
  const read = (file: string) => (existsSync(from(file)) ? readFileSync(from(file)) : undefined);
  const made = async () => {
    const { source, target } = await layerNorms();
    return new Map<string, Buffer>([
      ["partial/evidence.safetensors", partial(read("other_run/evidence.safetensors")!)],
      ["other_text/evidence.safetensors", otherText(read("target/evidence.safetensors")!)],
      ["gpt2/source/config.json", gpt2Config],
      ["gpt2/source/model.safetensors", source],
      ["gpt2/target/config.json", gpt2Config],
      ["gpt2/target/model.safetensors", target],
    ]);
  };
  return {
    name: "regauge-sample",
    configureServer(server) {
      let once: ReturnType<typeof made> | undefined; // asked for first by a visitor of the gallery
      server.middlewares.use("/sample", (request, response, next) => {
        const file = (request.url ?? "").slice(1);
        const answer = (content: Buffer | undefined) => (content ? response.end(content) : next());
        if (shipped.includes(file)) answer(read(file));
        else (once ??= made()).then((files) => answer(files.get(file)), next);
      });
    },
    async generateBundle() {
      for (const [file, source] of [...shipped.map((name) => [name, read(name)!] as const), ...(await made())])
        this.emitFile({ type: "asset", fileName: `sample/${file}`, source });
    },
    /** The workers of the package that made them. */
    async closeBundle() {
      await (await import("regauge")).dispose();
    },
  };
}
