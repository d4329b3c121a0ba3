// merge, audit and ceiling: the native command's numbers, and numbers worked out here.
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { audit, ceiling, Gauge, merge, transport } from "regauge";

import { readTensor, runNative, sample, temporaryFolder, truth, withoutNative } from "./helpers.mjs";

const vector = join(sample, "source/steering_resid2.npy");
const values = new Float32Array(Uint8Array.from(readFileSync(vector).subarray(-512)).buffer);

test(
    "an audit says what the native command says, and hands over what it summarises",
    { skip: withoutNative },
    async () => {
        const { drawn, ...ours } = await audit(vector, { k: 8, gauges: 200, seed: 5 });
        const { status, out } = await runNative([
            "audit",
            vector,
            "--k",
            "8",
            "--gauges",
            "200",
            "--seed",
            "5",
            "--json",
        ]);
        assert.equal(status, 0);
        assert.deepEqual(ours, JSON.parse(out));
        for (const key of ["overlap", "rank_correlation", "sign_agreement"]) {
            assert.equal(drawn[key].length, 200);
            const mean = drawn[key].reduce((a, b) => a + b, 0) / 200;
            assert(Math.abs(mean - ours.not_moved[key].mean) < 1e-6, key);
            assert.equal(ours.moved[key].mean, 1);
        }
        assert.equal(Math.fround([...drawn.overlap].sort((a, b) => a - b)[9]), Math.fround(ours.not_moved.overlap.p5));
    },
);

test("the numbers of one gauge are those of the definition", async () => {
    const gauge = truth("target");
    const { gauge: one, statement } = await audit(new Uint8Array(readFileSync(vector)), { gauge, k: 10, gauges: 20 });
    const y = gauge.apply(values);
    const top = (x) => new Set([...x.keys()].sort((a, b) => Math.abs(x[b]) - Math.abs(x[a]) || a - b).slice(0, 10));
    const [mine, real] = [top(values), top(y)];
    const shared = [...mine].filter((i) => real.has(i)).length;
    assert.equal(one.not_moved.overlap, shared / (20 - shared));
    assert.equal(one.fingerprint, gauge.fingerprint);
    assert.deepEqual(one.moved, { overlap: 1, rank_correlation: 1, sign_agreement: 1 });
    assert(statement.includes(gauge.fingerprint));
});

test("a list of channels is audited with d, and says so without", async () => {
    const list = new TextEncoder().encode("[3, 17, 99]");
    const found = await audit(list, { d: 256, kind: "neurons", k: 3, gauges: 50 });
    assert.equal(found.d, 256);
    assert.equal(found.not_moved.sign_agreement, null);
    assert.equal(found.drawn.sign_agreement, null);
    assert.equal(found.drawn.overlap.length, 50);
    await assert.rejects(audit(list, { kind: "neurons" }), { code: "usage" });
    await assert.rejects(audit(vector, { k: 0 }), { code: "usage" });
    await assert.rejects(audit(vector, { gauge: Gauge.identity(64) }), { code: "dimensionMismatch" });
});

test("an audit is cancelled midway", async () => {
    const stop = new AbortController();
    await assert.rejects(
        audit(vector, {
            gauges: 10_000_000,
            signal: stop.signal,
            onProgress: ({ done }) => {
                if (done > 0) stop.abort();
            },
        }),
        { name: "AbortError" },
    );
});

test("merging a checkpoint with itself, moved, gives it back; half and half is the mean", async (t) => {
    const folder = temporaryFolder(t),
        gauge = truth("target"),
        source = join(sample, "source"),
        target = join(sample, "target");
    const moved = join(folder, "moved");
    await transport(source, gauge, { out: moved });
    const back = await merge(source, moved, { gauge: gauge.inverse(), weight: 0.25 });
    assert.deepEqual(
        back.files.map(({ name }) => name).sort(),
        readdirSync(source)
            .filter((name) => /^(config|model)/.test(name))
            .sort(),
    );
    assert.equal(back.form, "linear");
    const weights = (path, name) => new Float32Array(readTensor(path, name).tensor.buffer);
    const written = async (files, name) => {
        const path = join(folder, "weights.safetensors");
        writeFileSync(
            path,
            Buffer.from(await files.find((file) => file.name === "model.safetensors").blob.arrayBuffer()),
        );
        return weights(path, name);
    };
    const name = "model.embed_tokens.weight";
    assert.deepEqual(await written(back.files, name), weights(join(source, "model.safetensors"), name));

    const { files, averaged } = await merge(target, source, { gauge });
    assert.equal(averaged, 38);
    const a = weights(join(target, "model.safetensors"), name),
        b = gauge.applyRows(weights(join(source, "model.safetensors"), name), 512);
    assert.deepEqual(
        await written(files, name),
        a.map((x, k) => 0.5 * x + 0.5 * b[k]),
    );
});

test(
    "a merge on disk is the native command's, byte for byte, linear and as a task vector",
    { skip: withoutNative },
    async (t) => {
        const folder = temporaryFolder(t),
            gauge = join(folder, "gauge.json"),
            [a, b] = [join(sample, "target"), join(sample, "source")];
        writeFileSync(gauge, JSON.stringify(truth("target")));
        for (const [form, extra, flags] of [
            ["linear", {}, []],
            ["task-vector", { form: "task-vector", base: a, weight: 0.3 }, ["--base", a, "--weight", "0.3"]],
        ]) {
            const [ours, theirs] = [join(folder, `ours-${form}`), join(folder, `theirs-${form}`)];
            const { files, ...report } = await merge(a, b, { gauge, out: ours, ...extra });
            assert.deepEqual(files, []);
            const { out } = await runNative(["merge", a, b, "--gauge", gauge, "-o", theirs, "--json", ...flags]);
            assert.deepEqual(report, JSON.parse(out));
            assert.equal(report.form, form);
            assert.deepEqual(
                readFileSync(join(ours, "model.safetensors")),
                readFileSync(join(theirs, "model.safetensors")),
            );
            await assert.rejects(merge(a, b, { gauge, out: ours, ...extra }), { code: "outputExists" });
        }
        await assert.rejects(merge(a, b, { gauge, form: "task-vector" }), { code: "usage" });
        await assert.rejects(merge(a, b, { gauge, form: "linear", base: a }), { code: "usage" });
        await assert.rejects(merge(a, b, { gauge, weight: NaN }), { code: "usage" });
    },
);

test(
    "the ceiling is the native command's, and matching without signs stays below it",
    { skip: withoutNative },
    async () => {
        const found = await ceiling({ d: 64, rows: 300, steps: 4, seed: 2 });
        const { out } = await runNative([
            "ceiling",
            "--d",
            "64",
            "--rows",
            "300",
            "--steps",
            "4",
            "--seed",
            "2",
            "--json",
        ]);
        assert.deepEqual(found, JSON.parse(out));
        assert.deepEqual(
            found.points.map(({ positive }) => positive),
            [0, 0.25, 0.5, 0.75, 1],
        );
        for (const { positive, permutation_only, sign_marginalized } of found.points) {
            assert.equal(sign_marginalized, 1);
            assert(permutation_only <= positive + 0.05, `${permutation_only} of ${positive}`);
        }
        await assert.rejects(ceiling({ d: 1 }), { code: "usage" });
        await assert.rejects(ceiling({ noise: -1 }), { code: "usage" });
    },
);
