// What the Node command may do to files that are there already: the same as the native one (tests/cpp/safe_outputs.test.cpp).
import assert from "node:assert/strict";
import fs, {
    chmodSync,
    cpSync,
    existsSync,
    linkSync,
    mkdirSync,
    readdirSync,
    readFileSync,
    renameSync,
    statSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import test from "node:test";

import { Gauge, invert } from "regauge";

import { inside } from "./engine.mjs";
import { ioError } from "./failing-disk.mjs";
import { nativeCommand, nodeCommand, run, runNode, sample, temporaryFolder, withoutNative } from "./helpers.mjs";

const posix = { skip: process.platform === "win32" };

/** A folder with a gauge, a vector and an SAE in it. */
function scratch(t) {
    const folder = temporaryFolder(t);
    const perm = Array.from({ length: 128 }, (_, i) => 127 - i);
    writeFileSync(join(folder, "g"), JSON.stringify(new Gauge(perm, new Array(128).fill(-1))));
    cpSync(join(sample, "source/steering_resid2.npy"), join(folder, "v.npy"));
    cpSync(join(sample, "source/sae_resid2"), join(folder, "sae"), { recursive: true });
    return folder;
}
const move = (folder, object, out, ...more) =>
    runNode(["transport", object, "--gauge", "g", "-o", out, ...more], { cwd: folder });
const names = (folder) => readdirSync(folder, { recursive: true }).sort();

test("no command writes to its input, by whatever name the output is called", posix, async (t) => {
    const folder = scratch(t);
    symlinkSync("v.npy", join(folder, "link.npy"));
    linkSync(join(folder, "v.npy"), join(folder, "hard.npy"));
    symlinkSync(".", join(folder, "here"));
    const before = readFileSync(join(folder, "v.npy"));
    for (const [object, out] of [
        ["v.npy", "./v.npy"],
        ["v.npy", "here/v.npy"],
        ["v.npy", "link.npy"],
        ["v.npy", "hard.npy"],
        ["link.npy", "v.npy"],
        ["v.npy", "g"],
    ]) {
        const { status, err } = await move(folder, object, out, "--force");
        assert.equal(status, 2, `${object} -> ${out}`);
        assert.match(err, /input/);
    }
    assert.deepEqual(readFileSync(join(folder, "v.npy")), before);
});

test("--force replaces a folder of regauge's own, and no folder that holds anything else", posix, async (t) => {
    const folder = scratch(t);
    assert.equal((await move(folder, "sae", "out")).status, 0);
    assert.equal((await move(folder, "sae", "out")).status, 2);
    assert.equal((await move(folder, "sae", "out", "--force")).status, 0);
    mkdirSync(join(folder, "home/photos"), { recursive: true });
    writeFileSync(join(folder, "home/photos/one.jpg"), "mine");
    symlinkSync("out", join(folder, "alias"));
    mkdirSync(join(folder, "big"));
    renameSync(join(folder, "sae"), join(folder, "big/sae"));
    const before = names(folder);
    for (const out of ["home", "alias", "big", "big/sae", "big/sae/", "big/sae/inside", "."]) {
        assert.equal((await move(folder, "big/sae", out, "--force")).status, 2, out);
        assert.deepEqual(names(folder), before);
    }
});

test("a name that is taken meanwhile is not replaced without --force", posix, async (t) => {
    const folder = scratch(t);
    const { DiskFiles } = await inside("host-node.js");
    for (const isFolder of [false, true]) {
        const out = join(folder, isFolder ? "folder" : "file");
        const output = new DiskFiles(() => undefined).create(out, isFolder, false);
        output.begin(isFolder ? "member" : "");
        output.write("", new Uint8Array([1]));
        if (isFolder) mkdirSync(join(out, "theirs"), { recursive: true });
        else writeFileSync(out, "theirs");
        assert.equal(output.commit()?.failure, "outputExists");
        output.abandon();
        assert(isFolder ? existsSync(join(out, "theirs")) : readFileSync(out, "utf8") === "theirs");
    }
    assert.deepEqual(
        readdirSync(folder).filter((name) => name.includes(".regauge-")),
        [],
    );
});

test("an input that is written to while it is read is noticed", async (t) => {
    const folder = scratch(t);
    const { DiskFiles } = await inside("host-node.js");
    const disk = new DiskFiles(() => undefined);
    const input = disk.open(join(folder, "v.npy"));
    const output = disk.create(join(folder, "out"), false, false);
    output.begin("");
    const bytes = readFileSync(join(folder, "v.npy"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    writeFileSync(join(folder, "v.npy"), bytes);
    assert.equal(output.commit()?.failure, "truncated");
    output.abandon();
    input.close();
    assert(!existsSync(join(folder, "out")));
});

test("only regular files are opened, and nothing is waited for", posix, async (t) => {
    const folder = scratch(t);
    await run("mkfifo", [join(folder, "pipe")]);
    symlinkSync("loop", join(folder, "loop"));
    for (const input of ["pipe", "/dev/zero"]) {
        const { status, err } = await runNode(["inspect", input], { cwd: folder });
        assert.equal(status, 2);
        assert.match(err, /regular file/);
        assert.throws(() => invert(input === "pipe" ? join(folder, "pipe") : input), /regular file/);
    }
    const looped = await runNode(["inspect", "loop"], { cwd: folder });
    assert.equal(looped.status, 2);
    assert.doesNotMatch(looped.err, /a defect/);
});

test("what may not be looked at is refused as natively, and is not in the hub's cache", posix, async (t) => {
    // root may look at everything
    const user = process.getuid() === 0 ? { uid: 54321, gid: 54321 } : {};
    if ((await run(process.execPath, [nodeCommand, "--version"], user)).status !== 0)
        return t.skip("others may not read this repository");
    const folder = scratch(t),
        longName = "a".repeat(300);
    chmodSync(folder, 0o755);
    mkdirSync(join(folder, "locked"));
    cpSync(join(folder, "v.npy"), join(folder, "locked/v.npy"));
    symlinkSync("loop", join(folder, "loop"));
    chmodSync(join(folder, "locked"), 0);
    try {
        for (const [home, ...args] of [
            ["-uHOME", "inspect", "sae"],
            ["HOME=locked", "inspect", "sae"],
            ["HF_HUB_CACHE=loop", "inspect", "sae"],
            ["HOME=locked", "inspect", "locked"],
            ["HOME=locked", "inspect", "locked/v.npy"],
            ["HOME=locked", "inspect", "loop/v.npy"],
            ["HOME=locked", "inspect", `${longName}/v.npy`],
            ["HOME=locked", "show", "locked/g"],
            ["HOME=locked", "align", "locked/v.npy", "locked/v.npy"],
            ["HOME=locked", "transport", "v.npy", "--gauge", "g", "-o", "locked/in/out.npy"],
        ]) {
            const said = (program) =>
                run("env", ["-uHF_HOME", "-uXDG_CACHE_HOME", home, ...program, ...args], { cwd: folder, ...user });
            const node = await said([process.execPath, nodeCommand]);
            assert.doesNotMatch(node.err, /a defect/, `${home} ${args.join(" ")}`);
            assert.equal(node.status, args[1] === "sae" ? 0 : 2, node.err);
            if (!withoutNative) assert.deepEqual(node, await said([nativeCommand]), `${home} ${args.join(" ")}`);
        }
    } finally {
        chmodSync(join(folder, "locked"), 0o700);
    }
});

test("a disk that fails under an input is refused in words", async (t) => {
    const folder = scratch(t);
    const { DiskFiles } = await inside("host-node.js");
    for (const [name, expected] of [
        ["statSync", "cannot be opened: Input/output error"],
        ["openSync", "cannot be opened: Input/output error"],
        ["fstatSync", "cannot be opened: Input/output error"],
        ["readSync", "cannot be read: Input/output error"],
        ["closeSync", undefined],
    ]) {
        const whole = fs[name];
        fs[name] = () => {
            throw ioError();
        };
        syncBuiltinESMExports();
        try {
            const input = new DiskFiles(() => undefined).open(join(folder, "v.npy"));
            const failed = "failure" in input ? input : input.read(0, new Uint8Array(8));
            if (!("failure" in input)) input.close();
            assert.equal(failed?.message, expected, name);
        } finally {
            fs[name] = whole;
            syncBuiltinESMExports();
        }
    }
});

test("a private input comes out private, and links out of a folder do not come out", posix, async (t) => {
    const folder = scratch(t);
    chmodSync(join(folder, "v.npy"), 0o600);
    assert.equal((await move(folder, "v.npy", "moved.npy")).status, 0);
    assert.equal(statSync(join(folder, "moved.npy")).mode & 0o077, 0);
    writeFileSync(join(folder, "passwords"), "secret");
    symlinkSync("../passwords", join(folder, "sae/notes.txt"));
    const { status, err } = await move(folder, "sae", "out");
    assert.equal(status, 2);
    assert.match(err, /notes\.txt.*leaves its folder/);
});

test("what killed runs left is collected, and a folder that one had moved aside comes back", posix, async (t) => {
    const folder = scratch(t);
    const nobody = 2 ** 22 + 1; // beyond the largest process number
    writeFileSync(join(folder, `.out.npy.regauge-${nobody}`), "half");
    writeFileSync(join(folder, `.out.npy.regauge-${nobody}-3`), "half");
    writeFileSync(join(folder, `.out.npy.regauge-${process.pid}-3`), "at work");
    writeFileSync(join(folder, ".out.npy.regauge-notes"), "mine");
    assert.equal((await move(folder, "v.npy", "out.npy")).status, 0);
    assert.deepEqual(
        readdirSync(folder).filter((name) => name.includes(".regauge-")),
        [`.out.npy.regauge-${process.pid}-3`, ".out.npy.regauge-notes"].sort(),
    );
    mkdirSync(join(folder, `.kept.regauge-${nobody}-0-old`));
    writeFileSync(join(folder, `.kept.regauge-${nobody}-0-old/sae_weights.safetensors`), "old");
    assert.equal((await move(folder, "sae", "kept")).status, 2); // it is there again
    assert.equal(readFileSync(join(folder, "kept/sae_weights.safetensors"), "utf8"), "old");
});

test("an answer that is lost is a refusal", { skip: !existsSync("/dev/full") }, async (t) => {
    const folder = scratch(t);
    const { status, err } = await run(
        "sh",
        ["-c", `exec "$0" "$@" > /dev/full`, process.execPath, nodeCommand, "show", "g"],
        {
            cwd: folder,
        },
    );
    assert.equal(status, 2);
    assert.match(err, /^regauge: standard output: the answer could not be written/);
});
