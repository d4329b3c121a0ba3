// Serves the built page from a sub-path, as a project page of a static host does, with no headers of its own; and from another one, cross-origin
// isolated by headers, as a host can that sets them.
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const root = join(import.meta.dirname, "../../web/dist");
const bases = {
  "/some/where/": {},
  "/isolated/": { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" },
};
const types = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".wasm": "application/wasm",
};

createServer((request, response) => {
  const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
  const base = Object.keys(bases).find((start) => path.startsWith(start));
  const file = base ? join(root, normalize(path.slice(base.length) || "index.html")) : "";
  const found = file.startsWith(root) && statSync(file, { throwIfNoEntry: false });
  if (!found || !found.isFile()) {
    response.writeHead(404, { "content-type": "text/plain" }).end("not found");
    return;
  }
  response.writeHead(200, {
    "content-type": types[extname(file)] ?? "application/octet-stream",
    "content-length": found.size,
    "cache-control": "no-cache",
    ...bases[base],
  });
  createReadStream(file).pipe(response);
}).listen(Number(process.argv[2]), "127.0.0.1");
