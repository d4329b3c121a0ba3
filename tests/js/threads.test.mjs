// The wasm build with threads beside the one without.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { setFlagsFromString } from "node:v8";

import { align, dispose, workers } from "regauge";

import { inside, loadEngine, surroundings } from "./engine.mjs";
import { evidence, npy, plantedPair, repository, run, runNode, temporaryFolder } from "./helpers.mjs";

/** A planted pair as two files, large enough for every loop to use its threads. */
function largePair(test, d = 320, rows = 6000) {
    const folder = temporaryFolder(test);
    const { gauge, source, target } = plantedPair(d, rows);
    const paths = { source: join(folder, "source.npy"), target: join(folder, "target.npy") };
    for (const [side, { activations }] of Object.entries({ source, target }))
        writeFileSync(paths[side], npy(activations.data, [rows, d]));
    return { folder, gauge, ...paths };
}

test("with threads and without, on any number of them, the answer is the same to the last digit", async (t) => {
    const pair = largePair(t);
    const single = await loadEngine(),
        threaded = await loadEngine("regauge-mt");
    await threaded.prepareThreads(4);
    assert.equal(threaded.threadsReady, 4);
    assert.equal(single.threadsReady, 1);
    for (const options of ["{}", '{"statistic":"whitened"}']) {
        const call = { name: "align", source: pair.source, target: pair.target, options };
        const { value } = single.run({ call, wantsProgress: false }, await surroundings());
        for (const threads of [1, 2, 3, 4])
            assert.equal(
                threaded.run({ call, wantsProgress: false, threads }, await surroundings()).value,
                value,
                `${threads} threads, ${options}`,
            );
    }
    const said = {
        call: { name: "align", source: evidence("source"), target: evidence("target"), options: "{}" },
        wantsProgress: false,
    };
    assert.equal(
        threaded.run({ ...said, threads: 4 }, await surroundings()).value,
        single.run(said, await surroundings()).value,
    );
});

test("with relaxed SIMD the answer is the same to the last digit", async (t) => {
    const { hasRelaxedSimd } = await inside("relaxed-simd.js");
    if (!hasRelaxedSimd()) setFlagsFromString("--experimental-wasm-relaxed-simd"); // Node 20
    assert(hasRelaxedSimd());
    const { source, target } = largePair(t),
        plain = await loadEngine("regauge-mt"),
        relaxed = await loadEngine("regauge-mt", "regauge-mt-relaxed");
    for (const options of ["{}", '{"statistic":"whitened"}', '{"statistic":"correlation"}'])
        for (const [from, to] of [
            [source, target],
            [evidence("source"), evidence("target")],
        ]) {
            const job = { call: { name: "align", source: from, target: to, options }, wantsProgress: false };
            assert.equal(
                relaxed.run(job, await surroundings()).value,
                plain.run(job, await surroundings()).value,
                `${from}, ${options}`,
            );
        }
});

test("threads start by themselves, beside a job that is worth them and not beside a small one", async (t) => {
    const { source, target } = largePair(t);
    const engine = await loadEngine("regauge-mt");
    const job = (from, to) => ({
        call: { name: "align", source: from, target: to, options: "{}" },
        wantsProgress: false,
        threads: 3,
    });
    engine.run(job(evidence("source"), evidence("target")), await surroundings());
    assert.equal(engine.threadsReady, 1);
    for (let k = 0; k < 20 && engine.threadsReady < 3; ++k) engine.run(job(source, target), await surroundings());
    assert.equal(engine.threadsReady, 3);
});

test("memory does not grow from one threaded job to the next", async (t) => {
    const { source, target } = largePair(t);
    const engine = await loadEngine("regauge-mt");
    await engine.prepareThreads(3);
    const job = { call: { name: "align", source, target, options: "{}" }, wantsProgress: false, threads: 3 };
    for (let k = 0; k < 2; ++k) engine.run(job, await surroundings());
    const grown = engine.wasmBytes;
    for (let k = 0; k < 5; ++k) engine.run(job, await surroundings());
    assert.equal(engine.wasmBytes, grown);
});

test("a threaded job is aborted midway, and the next one runs", async (t) => {
    const { gauge, source, target } = largePair(t, 320, 12000);
    const stop = new AbortController();
    let reports = 0;
    const job = align(source, target, {
        threads: 3,
        signal: stop.signal,
        onProgress: () => {
            if (++reports === 3) stop.abort();
        },
    });
    await assert.rejects(job, { name: "AbortError" });
    assert.equal((await align(source, target, { threads: 3 })).compare(gauge).both, 1);
    await dispose();
    assert.equal(workers(), 0);
});

test("a process ends by itself after a threaded job", async (t) => {
    const { source, target } = largePair(t);
    const script = `import { align } from "regauge"; for (let k = 0; k < 2; ++k) await align(${JSON.stringify(source)}, ${JSON.stringify(target)}, { threads: 3 }); console.log("done");`;
    const { status, out, err } = await run(process.execPath, ["--input-type=module", "--eval", script], {
        cwd: repository,
    });
    assert.deepEqual({ status, out, err }, { status: 0, out: "done\n", err: "" });
});

test("the Node command writes the same gauge on any number of threads", async (t) => {
    const { folder, source, target } = largePair(t);
    const files = [];
    for (const threads of [1, 2, 5]) {
        const out = join(folder, `${threads}.json`);
        const { status, err } = await runNode([
            "align",
            source,
            target,
            "-o",
            out,
            "--threads",
            String(threads),
            "--quiet",
        ]);
        assert.deepEqual({ status, err }, { status: 0, err: "" });
        files.push(readFileSync(out, "utf8"));
    }
    assert.equal(files[1], files[0]);
    assert.equal(files[2], files[0]);
});
