// Surroundings in which regauge cannot start, as server bundles and runtimes with permissions make them: a true error, and no defect.
import assert from "node:assert/strict";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { inside } from "./engine.mjs";
import { evidence, nodeCommand, repository, run, temporaryFolder } from "./helpers.mjs";

/** What align says in a copy of the package that lacks `missing`, run with these flags. */
async function said(t, missing, flags = []) {
    const folder = temporaryFolder(t);
    cpSync(join(repository, "node/dist"), join(folder, "dist"), { recursive: true });
    for (const file of missing) rmSync(join(folder, "dist", file));
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
    const program = `import { align } from "./dist/node.js";
        const pair = [${JSON.stringify(evidence("source"))}, ${JSON.stringify(evidence("target"))}];
        for (let k = 0; k < 2; ++k)
            await align(...pair).then(({ verdict }) => console.log(verdict), (error) => console.log(error.code, error.message));`;
    writeFileSync(join(folder, "program.js"), program);
    const { status, out, err } = await run(process.execPath, [...flags, "program.js"], { cwd: folder });
    assert.equal(status, 0, err);
    return out.trim().split("\n");
}

const trueError = /^unsupported regauge cannot start here \(.+\); .*serverExternalPackages.*--allow-read/;

const permission = process.allowedNodeEnvironmentFlags.has("--permission")
    ? "--permission"
    : "--experimental-permission"; // Node 20

for (const [what, missing, flags] of [
    ["a bundle without the worker", ["worker-node.js"]],
    ["a bundle without the module", ["wasm/regauge-mt.mjs", "wasm/regauge.mjs"]],
    ["a bundle without the .wasm file", ["wasm/regauge-mt.wasm", "wasm/regauge-mt-relaxed.wasm", "wasm/regauge.wasm"]],
    ["no permission to start a worker", [], [permission, "--allow-fs-read=*"]],
])
    test(`${what} is told each time it is tried`, async (t) => {
        const lines = await said(t, missing, flags);
        assert.equal(lines.length, 2);
        for (const line of lines) {
            assert.match(line, trueError);
            assert.doesNotMatch(line, /defect/);
        }
    });

test("in a folder that was removed it works, or says so", { skip: process.platform === "win32" }, async (t) => {
    const gone = `mkdir gone; cd gone; rmdir ../gone; exec "$0" "$@"`,
        version = [process.execPath, nodeCommand, "--version"];
    const { err } = await run("sh", ["-c", gone, ...version], { cwd: temporaryFolder(t) });
    assert.match(err, /^$|the current directory is not there any more: change to one that is\n$/);
});

test("where the system gives no more threads, it is not the files that are blamed", async () => {
    const { cannotStart } = await inside("start.js");
    const { message } = cannotStart(new Error("EAGAIN"), "its files");
    assert.match(message, /^regauge cannot start here \(EAGAIN\); the system gives it no more threads/);
});

test("an untouched copy starts", async (t) => {
    assert.deepEqual(await said(t, []), ["aligned", "aligned"]);
});

test("require gives a promise of the package where Node cannot require a module at once", async (t) => {
    const folder = temporaryFolder(t);
    const entry = JSON.stringify(join(repository, "node/dist/node.js"));
    writeFileSync(
        join(folder, "program.cjs"),
        `import(${entry}).then(({ align }) => console.log("import", typeof align));
        try { console.log("require", typeof require(${entry}).align); } catch (error) { console.log(error.code); }`,
    );
    const { out } = await run(process.execPath, ["program.cjs"], { cwd: folder });
    assert.match(out, /import function/);
    assert.match(out, /require function|ERR_REQUIRE_ESM/);
});
