// A folder served on this machine and looked at with the system's Chromium.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

import { chromium } from "playwright-core";

import { evidence } from "./place.mjs";

const types = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".wasm": "application/wasm",
};

/** What a page does: align the pair that the server has, and say how it ended in the title. */
export const pageScript = `import { align } from "regauge";
const bytes = async (side) => new Uint8Array(await (await fetch("/evidence/" + side)).arrayBuffer());
try {
    document.title = (await align(await bytes("source"), await bytes("target"))).fingerprint;
} catch (error) {
    document.title = error.code + " " + error.message;
}
`;
export const pageText = (script) =>
    `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title></title><script type="module" src="${script}"></script>`;

/** Serves `folder` with `headers`, and the pair of evidence as /evidence/source and /evidence/target. */
export async function serve(folder, headers = {}) {
    const server = createServer((request, response) => {
        const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
        const [, side] = /^\/evidence\/(source|target)$/.exec(path) ?? [];
        const file = side ? evidence(side) : join(folder, normalize(path.endsWith("/") ? `${path}index.html` : path));
        if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(404, headers).end("not found");
        const type = types[extname(file)] ?? "application/octet-stream";
        response.writeHead(200, { "content-type": type, ...headers });
        createReadStream(file).pipe(response);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { origin: `http://localhost:${server.address().port}`, close: () => server.close() };
}

/** The title that a page gives itself within a minute or two. */
export async function titleOf(address) {
    const browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
    });
    try {
        const page = await browser.newPage();
        const said = [];
        page.on("console", (message) => said.push(message.text()));
        page.on("pageerror", (error) => said.push(error.message));
        await page.goto(address);
        await page
            .waitForFunction(() => document.title !== "", undefined, { timeout: 120_000 })
            .catch((error) => {
                throw new Error(`${error.message}; the page said: ${said.join("; ")}`);
            });
        return await page.title();
    } finally {
        await browser.close();
    }
}
