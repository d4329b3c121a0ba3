// Rows summed in parts, by Node and by the native command, and what does not fit into memory.
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import {
    evidence,
    nativeCommand,
    nodeCommand,
    npy,
    repository,
    run,
    runNative,
    runNode,
    temporaryFolder,
    truth,
    withoutNative,
} from "./helpers.mjs";

const done = async (ran) => {
    const { status, err } = await ran;
    assert.equal(status, 0, err);
};

test("parts summed by Node and natively, merged by either, give one gauge", { skip: withoutNative }, async (t) => {
    const cwd = temporaryFolder(t);
    const part = (runCommand, k) =>
        runCommand(["stats", evidence("source"), evidence("target"), "--shard", `${k}/3`, "-o", `part-${k}`], { cwd });
    await Promise.all([done(part(runNode, 1)), done(part(runNative, 2)), done(part(runNode, 3))]);
    const merged = await Promise.all([
        runNode(["merge-stats", "part-1", "part-2", "part-3", "-o", "node.stats"], { cwd }),
        runNative(["merge-stats", "part-3", "part-1", "part-2", "-o", "native.stats"], { cwd }),
    ]);
    assert.deepEqual(
        merged.map(({ status, out }) => ({ status, out })),
        Array(2).fill({ status: 0, out: merged[0].out }),
    );
    const bytes = (name) => readFileSync(join(cwd, name));
    assert.deepEqual(bytes("node.stats"), bytes("native.stats"));
    await done(runNode(["align", "native.stats", "-o", "node.json"], { cwd }));
    await done(runNative(["align", evidence("source"), evidence("target"), "-o", "whole.json"], { cwd }));
    assert.deepEqual(bytes("node.json"), bytes("whole.json"));
    for (const args of [
        ["stats", "--help"],
        ["merge-stats", "--help"],
        ["inspect", "node.stats"],
        ["inspect", "part-2", "--json"],
        ["align", "part-2"],
        ["merge-stats", "part-2", "part-2", "-o", "twice"],
    ]) {
        assert.deepEqual(await runNode(args, { cwd }), await runNative(args, { cwd }), `regauge ${args.join(" ")}`);
    }
});

test("the shell loop of docs/scale.md runs as it is", { skip: process.platform === "win32" }, async (t) => {
    const cwd = temporaryFolder(t);
    for (const side of ["source", "target"]) {
        mkdirSync(join(cwd, side));
        copyFileSync(evidence(side), join(cwd, side, "evidence.safetensors"));
    }
    writeFileSync(join(cwd, "regauge"), `#!/bin/sh\nexec "${process.execPath}" "${nodeCommand}" "$@"\n`);
    chmodSync(join(cwd, "regauge"), 0o755);
    const [, loop] = readFileSync(join(repository, "docs/scale.md"), "utf8").match(
        /As a shell loop:\n\n```sh\n([\s\S]*?)```/,
    );
    await done(run("sh", ["-c", `PATH="$PWD:$PATH"\n${loop}`], { cwd }));
    assert.equal(JSON.parse(readFileSync(join(cwd, "gauge.json"), "utf8")).fingerprint, truth("target").fingerprint);
});

test("what cannot fit is refused before it is allocated, in Node and under a limit natively", async (t) => {
    const cwd = temporaryFolder(t);
    const d = 16384;
    writeFileSync(join(cwd, "rows.npy"), npy(new Float32Array(64 * d), [64, d]));
    const { status, err } = await runNode(["align", "rows.npy", "rows.npy", "--quiet"], { cwd });
    assert.equal(status, 2, err);
    assert.match(
        err,
        /^regauge: rows\.npy: d = 16384 with whitening needs \d\.\d GiB of memory, and [34]\.\d GiB is free here; --statistic correlation needs \d\.\d GiB; otherwise use a machine with more memory\n$/,
    );
    if (withoutNative || process.platform !== "linux") return;
    const limited = await run(
        "sh",
        ["-c", `ulimit -v 2000000; exec "$0" "$@"`, nativeCommand, "align", "rows.npy", "rows.npy", "--quiet"],
        { cwd },
    );
    assert.equal(limited.status, 2, limited.err);
    assert.match(
        limited.err,
        /^regauge: rows\.npy: d = 16384 with whitening needs \d\.\d GiB of memory, and 1\.\d GiB is free here/,
    );
});
