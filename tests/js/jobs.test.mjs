import assert from "node:assert/strict";
import { closeSync, ftruncateSync, openSync, readdirSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { align, dispose, Gauge, RegaugeError, transport, workers } from "regauge";

import { inside, loadEngine, surroundings } from "./engine.mjs";
import { evidence, npy, plantedPair, repository, run, sample, temporaryFolder, truth } from "./helpers.mjs";

/** A large .npy, a hole but for its header. */
function largeRows(path, rows, d) {
    const header = npy(new Float32Array(0), [rows, d]);
    const file = openSync(path, "w");
    writeSync(file, header);
    ftruncateSync(file, header.length + 4 * rows * d);
    closeSync(file);
}

test("progress comes in stages, each from little to all of it", async () => {
    const { source, target } = plantedPair(96, 4000);
    const reports = [];
    await align(source, target, { onProgress: (report) => reports.push(report) });
    assert(reports.length > 0);
    const last = new Map();
    for (const { stage, done, total } of reports) {
        assert(stage.length > 0 && done >= 0 && done <= total, JSON.stringify({ stage, done, total }));
        assert(done >= (last.get(stage) ?? 0), `${stage} went back`);
        last.set(stage, done);
    }
});

test("a job that was aborted before it began does not begin", async () => {
    const reason = new Error("not today");
    await assert.rejects(align(evidence("source"), evidence("target"), { signal: AbortSignal.abort(reason) }), reason);
});

test("aborting an alignment midway rejects with the signal's reason", async () => {
    const { source, target } = plantedPair(512, 12000);
    const stop = new AbortController();
    let reports = 0;
    const job = align(source, target, {
        signal: stop.signal,
        onProgress: () => {
            if (++reports === 1) stop.abort();
        },
    });
    await assert.rejects(job, { name: "AbortError" });
    assert.equal((await align(evidence("source"), evidence("target"))).verdict, "aligned");
});

test("aborting a transport midway leaves nothing, on disk or in the way", async (t) => {
    const folder = temporaryFolder(t),
        big = join(folder, "big.npy"),
        out = join(folder, "moved.npy");
    largeRows(big, 400_000, 256);
    const stop = new AbortController();
    const seen = new Set();
    const job = transport(big, Gauge.identity(256), {
        out,
        signal: stop.signal,
        onProgress: () => {
            // once it has begun to write
            for (const name of readdirSync(folder)) seen.add(name);
            if ([...seen].some((name) => name.startsWith(".moved.npy.regauge-"))) stop.abort();
        },
    });
    await assert.rejects(job, { name: "AbortError" });
    assert.deepEqual(readdirSync(folder), ["big.npy"]);
});

test("a signal that comes when an output is on disk, or a command has spoken, changes nothing", async () => {
    const { Pool } = await inside("pool.js");
    const done = { value: "0", files: [] },
        reason = new Error("not today");
    for (const outputsInMemory of [false, true])
        for (const who of ["the signal", "onProgress"]) {
            const stop = new AbortController();
            const pool = new Pool({
                parallelism: 1,
                canShare: true,
                start: (onMessage) => ({
                    post({ id }) {
                        if (who === "the signal") stop.abort(reason);
                        else onMessage({ type: "progress", id, report: {} });
                        onMessage({ type: "done", id, answer: done, wasmBytes: 0 });
                    },
                    terminate: async () => undefined,
                    keepsProcess: () => undefined,
                }),
            });
            const onProgress = () => {
                throw reason;
            };
            const job = pool.run({ name: "run" }, { mounts: [], outputsInMemory, onProgress, signal: stop.signal });
            if (who === "the signal" && !outputsInMemory) assert.equal(await job, done);
            else await assert.rejects(job, reason);
        }
});

test("a worker that is ended at once leaves nothing either", async (t) => {
    const folder = temporaryFolder(t),
        big = join(folder, "big.npy"),
        out = join(folder, "moved.npy");
    largeRows(big, 400_000, 256);
    let began;
    const beginning = new Promise((resolve) => (began = resolve));
    const job = transport(big, Gauge.identity(256), { out, onProgress: began });
    const refusal = assert.rejects(job, (error) => error instanceof RegaugeError && error.code === "cancelled");
    await beginning;
    await dispose();
    await refusal;
    assert.deepEqual(readdirSync(folder), ["big.npy"]);
    assert.equal(workers(), 0);
});

test("what onProgress throws ends the job and reaches the caller", async () => {
    const { source, target } = plantedPair(256, 8000);
    await assert.rejects(
        align(source, target, {
            onProgress: () => {
                throw new TypeError("mine");
            },
        }),
        { name: "TypeError", message: "mine" },
    );
});

test("calls at the same time do not disturb one another", async () => {
    const sides = ["target", "other_run", "target", "other_run", "target", "other_run"];
    const gauges = await Promise.all(sides.map((side) => align(evidence("source"), evidence(side))));
    gauges.forEach((gauge, k) => assert.equal(gauge.fingerprint, truth(sides[k]).fingerprint));
});

test("a file larger than 2 GiB is read by range", async (t) => {
    const folder = temporaryFolder(t),
        big = join(folder, "huge.npy");
    largeRows(big, 9_000_000, 64);
    assert(statSync(big).size > 2 ** 31);
    const before = process.memoryUsage().rss;
    const { plan } = await transport(big, Gauge.identity(64), { dryRun: true });
    assert.deepEqual(plan.tensors[0].shape, [9_000_000, 64]);
    assert(process.memoryUsage().rss - before < 300 * 2 ** 20);
});

test("no file, output or worker is left when all is done", async (t) => {
    const folder = temporaryFolder(t);
    const engine = await loadEngine(),
        command = await loadEngine("regauge-command");
    const jobs = [
        [{ name: "align", source: evidence("source"), target: evidence("target"), options: "{}" }, true],
        [{ name: "align", source: evidence("source"), target: join(folder, "nowhere"), options: "{}" }, false],
        [{ name: "correlation", source: evidence("source"), target: evidence("target"), options: "{}" }, true],
        [{ name: "plan", object: join(sample, "source/sae_resid2"), gauge: "", options: "{}" }, true],
        [
            {
                name: "transport",
                object: join(sample, "source/sae_resid2"),
                gauge: JSON.stringify(truth("target")),
                out: join(folder, "sae"),
                options: "{}",
            },
            true,
        ],
        [
            {
                name: "transport",
                object: join(sample, "source/sae_resid2"),
                gauge: JSON.stringify(Gauge.identity(64)),
                out: join(folder, "no"),
                options: "{}",
            },
            false,
        ],
        [
            {
                name: "verify",
                model: join(sample, "source"),
                moved: join(sample, "target"),
                tokens: join(sample, "source/tokens.npy"),
                options: '{"sequences":1}',
            },
            true,
        ],
        [
            {
                name: "verify",
                model: join(sample, "source"),
                moved: join(folder, "nowhere"),
                tokens: join(sample, "source/tokens.npy"),
                options: "{}",
            },
            false,
        ],
        [
            { name: "audit", object: join(sample, "source/steering_resid2.npy"), gauge: "", options: '{"gauges":10}' },
            true,
        ],
        [{ name: "run", args: ["show", join(folder, "nowhere")], errIsTerminal: false }, true],
    ];
    for (const [call, succeeds] of jobs) {
        const around = await surroundings();
        const work = () => (call.name === "run" ? command : engine).run({ call, wantsProgress: true }, around);
        if (succeeds) work();
        else assert.throws(work, RegaugeError);
        assert.deepEqual([around.disk.handles, around.memory.handles, around.temporaries.size], [0, 0, 0], call.name);
    }
    const around = await surroundings({ stopped: () => true });
    assert.throws(() => engine.run({ call: jobs[0][0], wantsProgress: false }, around), { code: "cancelled" });
    assert.deepEqual([around.disk.handles, around.memory.handles], [0, 0]);
    assert.deepEqual(readdirSync(folder), ["sae"]);
    const grown = engine.wasmBytes;
    for (let k = 0; k < 20; ++k) engine.run({ call: jobs[0][0], wantsProgress: false }, await surroundings());
    assert.equal(engine.wasmBytes, grown, "memory does not grow from call to call");
    await dispose();
    assert.equal(workers(), 0);
});

test("an idle worker does not keep the process alive", { timeout: 300_000 }, async () => {
    const script = `import { align } from "regauge"; await align(${JSON.stringify(evidence("source"))}, ${JSON.stringify(evidence("target"))}); console.log("done");`;
    const { status, out } = await run(process.execPath, ["--input-type=module", "--eval", script], { cwd: repository });
    assert.equal(status, 0);
    assert.equal(out, "done\n");
});
