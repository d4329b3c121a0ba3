// The package as a user gets it: packed, installed in an empty folder, imported, run and type-checked there.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { before } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

import { evidence, repository, shipped, temporaryFolder, truth } from "../js/helpers.mjs";

const execute = promisify(execFile);
const quiet = {
    ...process.env,
    npm_config_audit: "false",
    npm_config_fund: "false",
    npm_config_update_notifier: "false",
    npm_config_loglevel: "error",
};
let user, installed;

before(async (t) => {
    const folder = temporaryFolder(t);
    const { stdout } = await execute("npm", ["pack", "--json", "--pack-destination", folder], {
        cwd: join(repository, "node"),
        env: quiet,
    });
    const [{ filename }] = JSON.parse(stdout);
    user = join(folder, "user");
    mkdirSync(user);
    writeFileSync(join(user, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
    await execute("npm", ["install", "--offline", join(folder, filename)], { cwd: user, env: quiet });
    installed = join(user, "node_modules/regauge");
});

const inUser = (program, args) => execute(program, args, { cwd: user, env: quiet, maxBuffer: 2 ** 26 });

test("installing brings one package and runs no script", () => {
    assert.deepEqual(
        readdirSync(join(user, "node_modules")).filter((name) => !name.startsWith(".")),
        ["regauge"],
    );
    const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
    assert.deepEqual(Object.keys(manifest.dependencies ?? {}), []);
    for (const script of ["preinstall", "install", "postinstall", "prepare"])
        assert.equal(manifest.scripts?.[script], undefined);
    assert.equal(manifest.sideEffects, false);
});

test("the package holds what it needs and nothing else", () => {
    assert.deepEqual(readdirSync(installed).sort(), [
        "LICENSE",
        "README.md",
        "bin",
        "dist",
        "licenses",
        "package.json",
    ]);
    assert.deepEqual(
        readdirSync(join(installed, "dist/wasm")).sort(),
        ["regauge-command.mjs", "regauge-command.wasm"].concat([
            "regauge-mt-relaxed.wasm",
            "regauge-mt.mjs",
            "regauge-mt.wasm",
            "regauge.mjs",
            "regauge.wasm",
        ]),
    );
    for (const name of readdirSync(join(installed, "dist"))) assert.match(name, /^wasm$|\.js$|\.d\.ts$/);
});

// A page loads one of the first three; the last, with the command line and every subcommand in it, is only ever read from a disk.
for (const [module, kilobytes] of [
    ["regauge", 611],
    ["regauge-mt", 618],
    ["regauge-mt-relaxed", 622],
    ["regauge-command", 761],
])
    test(`${module}.wasm is at most ${kilobytes} KB gzipped`, (t) => {
        const wasm = readFileSync(join(installed, `dist/wasm/${module}.wasm`));
        const size = gzipSync(wasm, { level: 9 }).length;
        t.diagnostic(`${module}.wasm: ${wasm.length} bytes, ${size} gzipped`);
        assert(size <= kilobytes * 1000, `${size} bytes gzipped`);
    });

test("nothing is evaluated from text: a strict content security policy is enough", () => {
    for (const name of [
        ...["regauge", "regauge-mt", "regauge-command"].map((module) => `dist/wasm/${module}.mjs`),
        ...readdirSync(join(installed, "dist"))
            .filter((file) => file.endsWith(".js"))
            .map((file) => `dist/${file}`),
    ])
        assert.doesNotMatch(readFileSync(join(installed, name), "utf8"), /\beval\(|new Function\(/, name);
});

test("npx regauge works from the installed package", async () => {
    const { stdout } = await inUser("npx", ["--offline", "regauge", "--help"]);
    assert.match(stdout, /align/);
    const said = JSON.parse(
        (
            await inUser("npx", [
                "--offline",
                "regauge",
                "align",
                evidence("source"),
                evidence("target"),
                "-o",
                "gauge.json",
                "--json",
            ])
        ).stdout,
    );
    assert.equal(said.fingerprint, truth("target").fingerprint);
    assert.equal(JSON.parse(readFileSync(join(user, "gauge.json"), "utf8")).fingerprint, said.fingerprint);
});

test("npx regauge works in the repository", async () => {
    const { stdout } = await execute("npx", ["--offline", "regauge", "--version"], { cwd: repository, env: quiet });
    assert.match(stdout, /^regauge \d+\.\d+\.\d+\n$/);
});

test("the README's snippet runs as it is", async () => {
    const [, snippet] = readFileSync(join(installed, "README.md"), "utf8").match(/```js\n([\s\S]*?)```/);
    writeFileSync(join(user, "snippet.mjs"), snippet);
    for (const side of ["source", "target"]) cpSync(join(shipped, side), join(user, side), { recursive: true });
    const { stdout } = await inUser(process.execPath, ["snippet.mjs"]);
    assert.match(stdout, new RegExp(`^aligned \\d+ ${truth("target", shipped).fingerprint}\n.*SAE`, "s"));
    assert(statSync(join(user, "moved_sae")).isDirectory());
});

const usesTypes = `
import { align, compare, compose, correlation, errorCodes, gains, Gauge, inspect, invert, RegaugeError, trace, transport, dispose } from "regauge";
import type { AlignOptions, Agreement, ErrorCode, EvidenceInput, GaugeJson, Moved, Plan, ProgressReport, Tensor } from "regauge";

const stop = new AbortController();
const options: AlignOptions = { group: "signed", statistic: "auto", sites: ["resid.2"], rows: 10, skipFirst: 1, signal: stop.signal,
    onProgress: ({ stage, done, total }: ProgressReport) => console.log(stage, done / total) };
const memory: EvidenceInput = { activations: { data: new Float32Array(4), rows: 2, d: 2 }, gains: { final: new Float32Array(2) } };
const gauge: Gauge = await align("a.safetensors", memory, options);
const floats: Float32Array = gauge.apply(new Float32Array(2));
const doubles: Float64Array = gauge.inverse().andThen(gauge).apply(new Float64Array(2));
const numbers: number[] = gauge.apply([1, 2]);
const whole: Float64Array = gauge.apply(new Int8Array(2));
const tensor: Tensor = gauge.apply({ data: new Float32Array(4), dims: [2, 2] });
await align(tensor, await fetch("https://example.org/x.safetensors"));
await transport(floats, gauge);
const json: GaugeJson = gauge.toJSON();
const agreement: Agreement = compare(compose(gauge, json, "b.json"), invert(gauge));
const moved: Moved = await transport({ "cfg.json": new Blob([]) }, gauge, { dryRun: true });
const plan: Plan = await inspect(new File([], "x.npy"));
const verdict: "aligned" | "partial" | "unrelated" = gauge.verdict;
const { values } = await correlation(new Uint8Array(8), new URL("file:///x"), { site: "resid.2" });
await trace(["a", "b"], options);
try { Gauge.from("{}"); } catch (error) { if (error instanceof RegaugeError) { const code: ErrorCode = error.code; console.log(code, error.where, errorCodes.length); } }
await dispose();
console.log(floats, doubles, numbers, whole, agreement.both, moved.files, plan.tensors[0]?.moves, verdict, values.length);
// @ts-expect-error a group that there is not
await align("a", "b", { group: "unsigned" });
// @ts-expect-error nobody awaits it
transport(floats, align("a", "b"));
await align({ activations: tensor, gains: await gains("a"), tokenIds: [[1, 2]], attentionMask: new Uint8Array(2) }, "b");
// @ts-expect-error a key that evidence has not
await align({ activations: tensor, token_ids: [1, 2] }, "b");
// @ts-expect-error strings do not move
gauge.apply("vector");
`;

for (const [name, flags] of [
    ["nodenext", ["--module", "nodenext", "--moduleResolution", "nodenext"]],
    ["bundler", ["--module", "esnext", "--moduleResolution", "bundler"]],
    [
        "nodenext, without DOM types",
        [
            ...["--module", "nodenext", "--moduleResolution", "nodenext", "--lib", "es2023"],
            ...["--types", "node", "--typeRoots", join(repository, "node_modules/@types")],
        ],
    ],
])
    test(`the types serve a strict user whose modules resolve as ${name}`, async () => {
        writeFileSync(join(user, "types.mts"), usesTypes);
        const tsc = join(repository, "node_modules/typescript/bin/tsc");
        const job = inUser(process.execPath, [
            tsc,
            "--strict",
            "--noEmit",
            "--target",
            "es2022",
            "--exactOptionalPropertyTypes",
            ...flags,
            "types.mts",
        ]);
        await assert.doesNotReject(
            job.catch((error) => {
                throw new Error(error.stdout);
            }),
        );
    });
