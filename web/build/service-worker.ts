import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Plugin } from "vite";
import { relaxedProduct } from "../../node/src/relaxed-simd.ts";
import { addressesPage, addressesPolicy, policy, withAddresses } from "./csp.ts";

/** Writes service-worker.js with the list of every built file, so that one visit is enough to work offline. */
export function serviceWorker(): Plugin {
  let publicFolder = "";
  return {
    name: "regauge-service-worker",
    apply: "build",
    enforce: "post",
    configResolved: (config) => void (publicFolder = config.publicDir),
    generateBundle(_, bundle) {
      const files = new Map<string, string | Uint8Array>();
      for (const [name, file] of Object.entries(bundle))
        files.set(name, file.type === "chunk" ? file.code : file.source);
      for (const name of readdirSync(publicFolder)) files.set(name, readFileSync(join(publicFolder, name)));
      const names = [...files.keys()].sort();
      const hash = createHash("sha256");
      for (const name of names) hash.update(name).update(files.get(name)!);
      const template = readFileSync(resolve(import.meta.dirname, "service-worker.template.js"), "utf8");
      const source = template
        .replace('"__VERSION__"', JSON.stringify(hash.digest("hex").slice(0, 16)))
        .replace('"__FILES__"', JSON.stringify(["./", ...names.filter((name) => name !== "index.html")]))
        .replace("__RELAXED_PRODUCT__", relaxedProduct)
        .replace('"__POLICY__"', JSON.stringify(policy))
        .replace('"__OTHER_PAGE__"', JSON.stringify(withAddresses ? `/${addressesPage}` : null))
        .replace('"__OTHER_POLICY__"', JSON.stringify(withAddresses ? addressesPolicy : null));
      this.emitFile({ type: "asset", fileName: "service-worker.js", source });
    },
  };
}
