import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";

import {
    evidence,
    nodeCommand,
    npy,
    repository,
    run,
    runNative,
    runNode,
    sample,
    temporaryFolder,
    truth,
    withoutNative,
} from "./helpers.mjs";

const vector = join(sample, "source/steering_resid2.npy");

test("the Node and the native command are the same, word for word", { skip: withoutNative }, async (t) => {
    const folders = { node: temporaryFolder(t), native: temporaryFolder(t) };
    for (const folder of Object.values(folders)) {
        writeFileSync(join(folder, "gauge.json"), JSON.stringify(truth("target")));
        writeFileSync(join(folder, "other.json"), JSON.stringify(truth("other_run")));
        writeFileSync(join(folder, "taken.npy"), "taken");
        writeFileSync(join(folder, "broken.npy"), readFileSync(vector).subarray(0, 200));
        writeFileSync(join(folder, "narrow.npy"), npy(new Float32Array(64), [64]));
    }
    const lines = [
        [],
        ["--help"],
        ["--version"],
        ["nonsense"],
        ["align"],
        ["align", "--help"],
        ["show", "--help"],
        ["transport", "--help"],
        ["inspect", "--help"],
        ["align", evidence("source"), evidence("target"), "-o", "aligned.json"],
        ["align", evidence("source"), evidence("target"), "--json"],
        ["align", evidence("source"), evidence("target"), "--group", "odd"],
        ["align", evidence("source"), "nowhere"],
        ["align", sample, evidence("target")],
        ["show", "aligned.json"],
        ["show", "aligned.json", "--json"],
        ["show", "nowhere.json"],
        ["show", vector],
        ["show", "."],
        ["compose", "gauge.json", "other.json", "-o", "composed.json"],
        ["invert", "gauge.json", "-o", "back.json", "--quiet"],
        ["compare", "aligned.json", "gauge.json"],
        ["compare", "gauge.json", "other.json"],
        ["compare", "gauge.json", "other.json", "--json"],
        ["inspect", vector],
        ["inspect", join(sample, "source/sae_resid2")],
        ["inspect", "broken.npy"],
        ["inspect", "nowhere"],
        ["transport", vector, "--gauge", "gauge.json", "-o", "moved.npy"],
        ["transport", vector, "--gauge", "gauge.json", "-o", "taken.npy"],
        ["transport", vector, "--gauge", "gauge.json", "-o", "taken.npy", "--force"],
        ["transport", vector, "--gauge", "gauge.json", "-o", "no/such/folder.npy"],
        ["transport", vector, "--gauge", "gauge.json", "-o", "new.npy/"],
        ["transport", vector, "--gauge", "gauge.json", "-o", "taken.npy/"],
        ["transport", vector, "--gauge", "gauge.json", "-o", "taken.npy/", "--force"],
        ["transport", "narrow.npy", "--gauge", "gauge.json", "-o", "x.npy"],
        ["transport", "moved.npy", "--gauge", "back.json", "-o", "again.npy", "--json"],
        ["transport", join(sample, "source/sae_resid2"), "--gauge", "gauge.json", "-o", "sae"],
        ["transport", vector, "--gauge", "gauge.json"],
        ["transport", join(sample, "source/sae_resid2"), "--gauge", "gauge.json", "--dry-run"],
    ];
    for (const args of lines) {
        const [node, native] = await Promise.all([
            runNode(args, { cwd: folders.node }),
            runNative(args, { cwd: folders.native }),
        ]);
        assert.deepEqual(node, native, `regauge ${args.join(" ")}`);
    }
    const contents = (folder) =>
        readdirSync(folder, { recursive: true, withFileTypes: true })
            .filter((entry) => entry.isFile())
            .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
            .sort()
            .map((path) => [path.slice(folder.length), readFileSync(path).toString("base64")]);
    assert.deepEqual(contents(folders.node), contents(folders.native), "and so are the files they write");
    assert.deepEqual(readFileSync(join(folders.node, "again.npy")), readFileSync(vector));
});

const howTos = ["sae-to-another-run", "control-vector", "run-with-checkpoints"];
for (const page of ["README.md", ...howTos.map((name) => `docs/${name}.md`)]) {
    test(
        `the commands of ${page} run as they stand there, natively and in Node`,
        { skip: withoutNative },
        async (t) => {
            const text = readFileSync(join(repository, page), "utf8");
            const lines = text.split("\n").filter((line) => line.startsWith("build/native/regauge "));
            assert(lines.length >= 4);
            const folders = { node: temporaryFolder(t), native: temporaryFolder(t) };
            for (const folder of Object.values(folders))
                symlinkSync(join(repository, "examples"), join(folder, "examples"));
            for (const line of lines) {
                const args = line.split(" ").slice(1);
                const [node, native] = await Promise.all([
                    runNode(args, { cwd: folders.node }),
                    runNative(args, { cwd: folders.native }),
                ]);
                assert.equal(native.status, 0, native.err);
                assert.deepEqual(node, native, line);
            }
        },
    );
}

test("the exit status is 0 when done, 1 when the answer is no, 2 when refused with one line why", async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, "a.json"), JSON.stringify(truth("target")));
    writeFileSync(join(folder, "b.json"), JSON.stringify(truth("other_run")));
    assert.equal((await runNode(["compare", "a.json", "a.json"], { cwd: folder })).status, 0);
    assert.equal((await runNode(["compare", "a.json", "b.json"], { cwd: folder })).status, 1);
    const refused = await runNode(["show", "c.json"], { cwd: folder });
    assert.deepEqual([refused.status, refused.out, refused.err.split("\n").length], [2, "", 2]);
});

test("a full disk is told, and nothing is left", { skip: process.platform === "win32" }, async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, "gauge.json"), JSON.stringify({ ...truth("target").toJSON() }));
    writeFileSync(join(folder, "rows.npy"), npy(new Float32Array(128 * 4096), [4096, 128]));
    const line = `ulimit -f 16; exec "$0" "$@"`;
    const { status, err } = await run(
        "sh",
        ["-c", line, process.execPath, nodeCommand, "transport", "rows.npy", "--gauge", "gauge.json", "-o", "out.npy"],
        { cwd: folder },
    );
    assert.equal(status, 2, err);
    assert.match(err, /^regauge: out\.npy: cannot be written: File too large; nothing was written\n$/);
    assert.deepEqual(readdirSync(folder).sort(), ["gauge.json", "rows.npy"]);
});

for (const signal of ["SIGINT", "SIGTERM"])
    test(`${signal} ends it with status 130 and leaves nothing`, { skip: process.platform === "win32" }, async (t) => {
        const folder = temporaryFolder(t);
        writeFileSync(join(folder, "gauge.json"), JSON.stringify(truth("target")));
        writeFileSync(join(folder, "rows.npy"), npy(new Float32Array(128 * 600_000), [600_000, 128]));
        const { status, out } = await runNode(["transport", "rows.npy", "--gauge", "gauge.json", "-o", "out.npy"], {
            cwd: folder,
            onStart: (child) => {
                const watch = setInterval(() => {
                    if (!readdirSync(folder).some((name) => name.startsWith(".out.npy.regauge-"))) return;
                    clearInterval(watch);
                    child.kill(signal);
                }, 1);
                child.on("close", () => clearInterval(watch));
            },
        });
        assert.equal(status, 130);
        assert.equal(out, "");
        assert.deepEqual(readdirSync(folder).sort(), ["gauge.json", "rows.npy"]);
    });

for (const [when, out, call, expected] of [
    ["its output is in its place", "out.npy", "linkSync", 0],
    ["it is refused", "gauge.json", "lstatSync", 2],
])
    test(`SIGINT once ${when} changes nothing`, { skip: process.platform === "win32" }, async (t) => {
        const folder = temporaryFolder(t),
            preload = pathToFileURL(join(repository, `tests/js/interrupted.mjs`)).href;
        writeFileSync(join(folder, "gauge.json"), JSON.stringify(truth("target")));
        const { status, err } = await run(
            "env",
            [
                `NODE_OPTIONS=--import=${preload}?${call}=${out}`,
                process.execPath,
                ...[nodeCommand, "transport", vector, "--gauge", "gauge.json", "-o", out],
            ],
            { cwd: folder },
        );
        assert.equal(status, expected);
        assert.equal(err.includes("wrote out.npy"), expected === 0, err);
        assert.equal(existsSync(join(folder, "out.npy")), expected === 0);
    });

test("a reader that goes away is no error", { skip: process.platform === "win32" }, async (t) => {
    const folder = temporaryFolder(t);
    const { status, out, err } = await run(
        "bash",
        ["-c", `set -o pipefail; "$0" "$@" | head -1`, process.execPath, nodeCommand, "--help"],
        { cwd: folder },
    );
    assert.deepEqual([status, err], [0, ""]);
    assert.equal(out.split("\n").length, 2);
});
