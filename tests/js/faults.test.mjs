// What a failing disk and a killed process leave of Node's outputs: the same as of the native ones (tests/cpp/native_faults.test.cpp).
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { isDeepStrictEqual } from "node:util";

import { inside } from "./engine.mjs";
import { ioError, onDisk, syncsFolder } from "./failing-disk.mjs";
import { nodeCommand, repository, run, sample, temporaryFolder, truth } from "./helpers.mjs";

const posix = { skip: process.platform === "win32" };
const { DiskFiles } = await inside("host-node.js");
const jobs = ["file", "folder"].flatMap((kind) => [
    { name: kind, isFolder: kind === "folder", replaces: false },
    { name: `${kind} again`, isFolder: kind === "folder", replaces: true },
]);
const nothingWritten = /^cannot be written: Input\/output error; nothing was written$/;
const unconfirmed = /^is in its place, but the disk does not confirm it; check it, and write it again if need be/;

/** Every file and folder below, with what is in it. */
const treeAt = (folder) =>
    Object.fromEntries(
        readdirSync(folder, { recursive: true }).map((name) => {
            const path = join(folder, name);
            return [name, statSync(path).isDirectory() ? "a folder" : readFileSync(path, "utf8")];
        }),
    );
const withoutStaged = (tree) =>
    Object.fromEntries(Object.entries(tree).filter(([name]) => !name.startsWith(".out.regauge-")));

const create = (out, { isFolder, replaces }) => new DiskFiles(() => undefined).create(out, isFolder, replaces);

/** Writes a file, or a folder of two, as a job does. What it was refused for. */
function write(out, job) {
    const output = create(out, job);
    if ("failure" in output) return output;
    const put = (member) => output.begin(member) ?? output.write(member, Buffer.from("new"));
    const failed = (job.isFolder ? (put("one") ?? put("in/two")) : put("")) ?? output.commit();
    if (failed) output.abandon();
    return failed;
}

/** Does the job in a new folder, where every call that writes asks `fault` first. */
function work(t, job, fault) {
    const folder = temporaryFolder(t),
        out = join(folder, "out");
    if (job.replaces) {
        if (job.isFolder) mkdirSync(out);
        writeFileSync(job.isFolder ? join(out, "one") : out, "old");
    }
    const before = treeAt(folder);
    const whole = onDisk((name, args) => fault(name, args, folder));
    try {
        return { folder, out, before, failed: write(out, job) };
    } finally {
        whole();
    }
}

/** The calls of a job that nothing fails, and what it leaves. */
function plainly(t, job) {
    const calls = [];
    const { folder, failed } = work(t, job, (name) => void calls.push(name));
    assert.equal(failed, undefined);
    return { calls, done: treeAt(folder) };
}

test("whichever call fails, an output is refused and leaves nothing, or the call did not matter", posix, (t) => {
    for (const job of jobs) {
        const { calls, done } = plainly(t, job);
        let refusals = 0;
        for (const [failing, name] of calls.entries()) {
            let call = 0;
            const { folder, before, failed } = work(t, job, () => {
                if (call++ === failing) throw ioError();
            });
            const which = `${job.name}, call ${failing} of ${calls.length}, ${name}`;
            if (failed) assert.match(failed.message, nothingWritten, which);
            if (failed) assert.deepEqual(treeAt(folder), before, which);
            else assert.deepEqual(withoutStaged(treeAt(folder)), done, which);
            refusals += failed ? 1 : 0;
        }
        assert(refusals > 5, job.name);
    }
});

test("killed at any call, a job leaves the old or the new, or the next one puts the old back", posix, (t) => {
    const nobody = 2 ** 22 + 1; // beyond the largest process number
    for (const job of jobs) {
        const { calls, done } = plainly(t, job);
        for (const [last, name] of calls.entries()) {
            let call = 0;
            const { folder, out, before } = work(t, job, () => {
                if (call++ >= last) throw ioError();
            });
            for (const left of readdirSync(folder))
                renameSync(join(folder, left), join(folder, left.replace(`-${process.pid}-`, `-${nobody}-`)));
            const next = create(out, job);
            if (!("failure" in next)) next.abandon();
            const now = treeAt(folder);
            assert(
                isDeepStrictEqual(now, before) || isDeepStrictEqual(now, done),
                `${job.name}, call ${last} of ${calls.length}, ${name}: ${JSON.stringify(now)}`,
            );
        }
    }
});

test("where the disk does not confirm the name, the old comes back, or it is said where things are", posix, (t) => {
    for (const job of jobs) {
        const { done } = plainly(t, job);
        // Which rename of the way back fails: none, the first, the second that only an old folder needs.
        for (const failing of [0, 1, 2]) {
            let back; // renames since the disk did not confirm
            const { folder, out, before, failed } = work(t, job, (name, args, at) => {
                if (syncsFolder(name, args, at)) {
                    back ??= 0;
                    throw ioError();
                }
                if (name === "renameSync" && back !== undefined && ++back === failing) throw ioError();
            });
            const which = `${job.name}, way back ${failing}`,
                now = treeAt(folder),
                aside = Object.keys(now).find((name) => name.endsWith("-old"));
            if (failing === 0 || back < failing) {
                assert.match(failed.message, nothingWritten, which);
                assert.deepEqual(now, before, which);
                continue;
            }
            if (failing === 1) {
                assert.match(failed.message, unconfirmed, which);
                assert.deepEqual(withoutStaged(now), done, which);
            } else {
                assert.match(failed.message, /^cannot be written: Input\/output error; what was there/, which);
                assert(!existsSync(out), which);
            }
            if (!job.replaces) continue;
            assert(failed.message.endsWith(`; what was there is now at ${join(folder, aside)}`), which);
            assert.equal(readFileSync(join(folder, aside, job.isFolder ? "one" : ""), "utf8"), "old", which);
        }
    }
});

test("where a file can have no second name, it is said that the disk does not confirm the new one", posix, (t) => {
    const { folder, failed } = work(t, { isFolder: false, replaces: true }, (name, args, at) => {
        if (name === "linkSync" || syncsFolder(name, args, at)) throw ioError();
    });
    assert.match(failed.message, unconfirmed);
    assert.deepEqual(treeAt(folder), { out: "new" });
});

test("what a killed process of the same number left is in nobody's way, and stays", posix, (t) => {
    for (const job of jobs) {
        const folder = temporaryFolder(t),
            out = join(folder, "out");
        create(out, job);
        const [first] = readdirSync(folder),
            next = first.replace(/\d+$/, (k) => Number(k) + 1),
            aside = first.replace(/\d+$/, (k) => `${Number(k) + 2}-old`);
        for (const left of [next, aside]) mkdirSync(join(folder, left));
        assert.equal(write(out, job), undefined);
        assert.deepEqual(readdirSync(folder).sort(), [first, next, aside, "out"].sort());
    }
});

test("the command ends with 2 where the disk does not confirm the name, and the old is there", posix, async (t) => {
    const folder = temporaryFolder(t),
        preload = pathToFileURL(join(repository, "tests/js/unconfirmed.mjs")).href;
    writeFileSync(join(folder, "g"), JSON.stringify(truth("target")));
    cpSync(join(sample, "source/steering_resid2.npy"), join(folder, "vector"));
    cpSync(join(sample, "source/sae_resid2"), join(folder, "sae"), { recursive: true });
    writeFileSync(join(folder, "old_vector"), "old");
    mkdirSync(join(folder, "old_sae"));
    writeFileSync(join(folder, "old_sae/cfg.json"), "old");
    const before = treeAt(folder);
    for (const object of ["vector", "sae"])
        for (const [out, ...more] of [[`new_${object}`], [`old_${object}`, "--force"]]) {
            const command = [nodeCommand, "transport", object, "--gauge", "g", "-o", out, ...more];
            const { status, err } = await run(
                "env",
                [`NODE_OPTIONS=--import=${preload}`, process.execPath, ...command],
                {
                    cwd: folder,
                },
            );
            assert.equal(status, 2, out);
            assert.equal(err, `regauge: ${out}: cannot be written: Input/output error; nothing was written\n`);
            assert.deepEqual(treeAt(folder), before, out);
        }
});
