// Bundlers, frameworks and pages without either, looked at in Chromium.
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { pageScript, pageText, serve, titleOf } from "./browser.mjs";
import { evidence, expect, expectFingerprint, run, started } from "./place.mjs";

const isolated = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
const strict = {
    "content-security-policy":
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; img-src data:",
};

/** The title of `path` of a folder that is served with `headers`. */
async function titleFrom(folder, path = "/", headers = {}) {
    const { origin, close } = await serve(folder, headers);
    try {
        return await titleOf(origin + path);
    } finally {
        close();
    }
}

/** `path` of a folder as a page sees it, isolated and not. The pair is too small for threads (`bytesWorthThreads` in worker-browser.ts). */
async function expectPage(folder, path = "/", headers = {}) {
    for (const more of [{}, isolated]) expectFingerprint(await titleFrom(folder, path, { ...headers, ...more }));
}

/** A page's sources in `place`/src, with a script of any kind. */
function writePage(place, { folder = "", script = "./app.js" } = {}) {
    mkdirSync(join(place, folder), { recursive: true });
    writeFileSync(join(place, folder, "index.html"), pageText(script));
    writeFileSync(join(place, folder, "app.js"), pageScript);
}

const vite = {
    name: "Vite 8.3.8",
    how: '`optimizeDeps: { exclude: ["regauge"] }`, `worker: { format: "es" }`',
    packages: { vite: "8.3.8" },
    async check(place) {
        writePage(place);
        writeFileSync(
            join(place, "vite.config.mjs"),
            'export default { optimizeDeps: { exclude: ["regauge"] }, worker: { format: "es" }, build: { target: "esnext" } };\n',
        );
        await run(place, process.execPath, ["node_modules/vite/bin/vite.js", "build"]);
        await expectPage(join(place, "dist"));
    },
};

const webpack = {
    name: "webpack 5.112.2",
    how: "as it is",
    packages: { webpack: "5.112.2", "webpack-cli": "7.3.1" },
    async check(place) {
        writePage(place, { folder: "dist", script: "./main.js" });
        writePage(place, { folder: "src" });
        const flags = ["node_modules/webpack/bin/webpack.js", "--mode", "production", "./src/app.js"];
        await run(place, process.execPath, flags);
        await expectPage(join(place, "dist"));
    },
};

/** Runs a bundler that leaves the worker's address as it is, which needs the package's files beside the bundle. */
async function bundledBeside(place, program, flags) {
    await run(place, program, flags);
    cpSync(join(place, "node_modules/regauge/dist"), join(place, "dist"), { recursive: true });
    writePage(place, { folder: "dist", script: "./bundle.js" });
    await expectPage(join(place, "dist"));
}

const esbuild = {
    name: "esbuild 0.28.2",
    how: "`--format=esm`, and `node_modules/regauge/dist` copied into the bundle's folder",
    packages: { esbuild: "0.28.2" },
    async check(place) {
        writePage(place, { folder: "src" });
        const flags = ["src/app.js", "--bundle", "--format=esm", "--outfile=dist/bundle.js"];
        await bundledBeside(place, join(place, "node_modules/.bin/esbuild"), flags);
    },
};

const rollup = {
    name: "Rollup 4.68.8",
    how: "`node-resolve` with `browser: true`, and `node_modules/regauge/dist` copied into the bundle's folder",
    packages: { rollup: "4.68.8", "@rollup/plugin-node-resolve": "16.0.3" },
    async check(place) {
        writePage(place, { folder: "src" });
        writeFileSync(
            join(place, "rollup.config.mjs"),
            'import resolve from "@rollup/plugin-node-resolve";\nexport default { input: "src/app.js", output: { file: "dist/bundle.js", format: "es" }, plugins: [resolve({ browser: true })] };\n',
        );
        await bundledBeside(place, process.execPath, ["node_modules/rollup/dist/bin/rollup", "-c"]);
    },
};

const next = {
    name: "Next.js 16.4.6",
    how: 'pages as it is; route handlers with `serverExternalPackages: ["regauge"]`',
    packages: { next: "16.4.6", react: "19.3.1", "react-dom": "19.3.1" },
    async check(place) {
        mkdirSync(join(place, "app/answer"), { recursive: true });
        writeFileSync(join(place, "next.config.mjs"), 'export default { serverExternalPackages: ["regauge"] };\n');
        writeFileSync(
            join(place, "app/layout.js"),
            "export default function Layout({ children }) { return <html><body>{children}</body></html>; }\n",
        );
        writeFileSync(
            join(place, "app/page.js"),
            `"use client";
import { useEffect } from "react";
export default function Page() {
    useEffect(() => void import("./app.js"), []);
    return <p>regauge</p>;
}
`,
        );
        writeFileSync(join(place, "app/app.js"), pageScript);
        writeFileSync(
            join(place, "app/answer/route.js"),
            `import { align } from "regauge";
export const dynamic = "force-dynamic";
export async function GET() {
    const gauge = await align(${JSON.stringify(evidence("source"))}, ${JSON.stringify(evidence("target"))});
    return new Response(gauge.fingerprint);
}
`,
        );
        mkdirSync(join(place, "public/evidence"), { recursive: true });
        for (const side of ["source", "target"]) cpSync(evidence(side), join(place, "public/evidence", side));
        const program = "node_modules/next/dist/bin/next";
        await run(place, process.execPath, [program, "build"], {
            NEXT_TELEMETRY_DISABLED: "1",
            NODE_ENV: "production",
        });
        const { origin, end } = await started(place, [program, "start", "--port", "0"]);
        try {
            expectFingerprint(await (await fetch(`${origin}/answer`)).text());
            expectFingerprint(await titleOf(`${origin}/`));
        } finally {
            end();
        }
    },
};

const page = {
    name: "plain page",
    how: "`dist` served from the page's own origin; `script-src 'self' 'wasm-unsafe-eval'` is enough",
    packages: {},
    async check(place) {
        writePage(place);
        writeFileSync(
            join(place, "app.js"),
            pageScript.replace('"regauge"', '"./node_modules/regauge/dist/browser.js"'),
        );
        await expectPage(place, "/", strict);
    },
};

const workerInWorker = {
    name: "worker in worker, browser",
    how: "`import` in a module worker of the page's own",
    packages: {},
    async check(place) {
        const imported = pageScript.replace('"regauge"', '"./node_modules/regauge/dist/browser.js"');
        writeFileSync(
            join(place, "worker.js"),
            `const document = { set title(text) { postMessage(text); } };\n${imported}`,
        );
        writePage(place);
        writeFileSync(
            join(place, "app.js"),
            'new Worker("./worker.js", { type: "module" }).onmessage = ({ data }) => (document.title = data);\n',
        );
        await expectPage(place, "/", strict);
    },
};

/** Enough rows that an isolated page takes threads for them (`bytesWorthThreads` in worker-browser.ts). */
const threadsScript = `import { align } from "regauge";
const [rows, d] = [20000, 128];
let state = 1;
const data = Float32Array.from({ length: rows * d }, () => (state = (state * 48271) % 2147483647) / 2147483647 - 0.5);
document.title = (await align({ activations: { data, rows, d } }, { activations: { data, rows, d } }, { threads: 2 })).verdict;
`;

const otherOrigin = {
    name: "another origin (a CDN)",
    how: "where it allows the page to read (CORS), and the page's policy `worker-src blob:` and the origin",
    packages: {},
    async check(place) {
        const from = await serve(join(place, "node_modules/regauge/dist"), {
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
        });
        try {
            writePage(place, { folder: "page" });
            writeFileSync(join(place, "page/app.js"), pageScript.replace('"regauge"', `"${from.origin}/browser.js"`));
            await expectPage(join(place, "page"));
            const policy = `script-src 'self' 'wasm-unsafe-eval' ${from.origin}; worker-src 'self'`;
            const refused = await titleFrom(join(place, "page"), "/", { "content-security-policy": policy });
            expect(refused, /^unsupported regauge cannot start here .*worker-src/);
            writeFileSync(
                join(place, "page/app.js"),
                threadsScript.replace('"regauge"', `"${from.origin}/browser.js"`),
            );
            expect(await titleFrom(join(place, "page"), "/", isolated), "aligned");
        } finally {
            from.close();
        }
    },
};

export const bundlers = [vite, webpack, rollup, esbuild, next, page, workerInWorker, otherOrigin];
