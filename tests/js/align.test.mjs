import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";

import { align, correlation, firstRow, gains, Gauge, trace } from "regauge";

import {
    evidence,
    plantedPair,
    runNative,
    runNode,
    sample,
    sampleRows,
    temporaryFolder,
    truth,
    withoutNative,
} from "./helpers.mjs";

for (const side of ["target", "other_run"])
    test(`a trained model is aligned with ${side}, every channel right`, async () => {
        const gauge = await align(evidence("source"), evidence(side));
        assert(gauge instanceof Gauge);
        assert.deepEqual(gauge.compare(truth(side)), { permutation: 1, sign: 1, both: 1 });
        assert.equal(gauge.d, 128);
        assert.equal(gauge.group, "signed");
        assert.equal(gauge.verdict, "aligned");
        assert.equal(gauge.score.length, 128);
        assert.equal(gauge.margin.length, 128);
        assert(gauge.sites.length > 0 && gauge.rows > 0);
        assert.match(gauge.source.name, /source\/evidence\.safetensors$/);
    });

test("the permutation group recovers the positive fraction only", async () => {
    for (const [side, expected] of [
        ["target", 0.414],
        ["other_run", 0.555],
    ]) {
        const { permutation } = (await align(evidence("source"), evidence(side), { group: "permutation" })).compare(
            truth(side),
        );
        assert(Math.abs(permutation - expected) <= 0.02, `${side}: ${permutation}`);
    }
});

test(
    "the Node command, the package and the native command give one fingerprint",
    { skip: withoutNative },
    async (t) => {
        const folder = temporaryFolder(t);
        for (const side of ["target", "other_run"]) {
            const { fingerprint } = await align(evidence("source"), evidence(side));
            const files = [];
            for (const [name, run] of [
                ["node", runNode],
                ["native", runNative],
            ]) {
                const out = join(folder, `${side}-${name}.json`);
                const { status, out: text } = await run([
                    "align",
                    evidence("source"),
                    evidence(side),
                    "-o",
                    out,
                    "--json",
                ]);
                assert.equal(status, 0);
                assert.equal(JSON.parse(text).fingerprint, fingerprint, `${side}, ${name}`);
                files.push(readFileSync(out, "utf8"));
            }
            assert.equal(files[0], files[1], "the whole file is the same");
        }
    },
);

test("a file: URL, a Uint8Array, an ArrayBuffer, a Blob, a File, File lists and maps say the same as the path", async () => {
    const bytes = (side) => new Uint8Array(readFileSync(evidence(side)));
    const expected = (await align(evidence("source"), evidence("target"))).fingerprint;
    const source = bytes("source"),
        target = bytes("target");
    const kinds = {
        url: [pathToFileURL(evidence("source")), pathToFileURL(evidence("target"))],
        uint8array: [source, target],
        arrayBuffer: [source.buffer, target.buffer],
        blob: [new Blob([source]), new Blob([target])],
        file: [new File([source], "evidence.safetensors"), new File([target], "evidence.safetensors")],
        "file list": [[new File([source], "evidence.safetensors")], [new File([target], "evidence.safetensors")]],
        mixed: [evidence("source"), target],
    };
    for (const [kind, [from, to]] of Object.entries(kinds))
        assert.equal((await align(from, to)).fingerprint, expected, kind);
    assert.equal(source.length, readFileSync(evidence("source")).length, "the caller's array is still its own");
});

test("files of one name are told apart by their roles", async () => {
    const files = ["source", "target"].map((side) => new File([readFileSync(evidence(side))], "evidence.safetensors"));
    const gauge = await align(...files);
    assert.equal(gauge.source.name, "source/evidence.safetensors");
    assert.equal(gauge.target.name, "target/evidence.safetensors");
});

test("rows in memory are aligned, with and without site names and gains", async () => {
    const expected = truth("target");
    const source = sampleRows("source"),
        target = sampleRows("target");
    for (const pack of [(rows) => ({ activations: rows }), (rows) => ({ activations: { "resid.2": rows } })]) {
        const gauge = await align(pack(source), pack(target));
        assert.equal(gauge.fingerprint, expected.fingerprint);
    }
    const wide = { ...source, data: Float64Array.from(source.data) };
    assert.equal(
        (await align({ activations: wide, tokenIds: new Array(1024).fill(3) }, { activations: target })).fingerprint,
        expected.fingerprint,
    );
});

test("a planted gauge of another width is found", async () => {
    const { gauge, source, target } = plantedPair(48, 600);
    assert.equal((await align(source, target)).fingerprint, gauge.fingerprint);
});

test("one site can be chosen", async () => {
    const gauge = await align(evidence("source"), evidence("target"), { sites: ["resid.4"], statistic: "correlation" });
    assert.deepEqual(
        gauge.sites.filter(({ name, weight }) => weight > 0 && name !== "gains").map(({ name }) => name),
        ["resid.4"],
    );
    assert.equal(gauge.fingerprint, truth("target").fingerprint);
});

test("a tensor's first row and a side's gains are the numbers in the files", async () => {
    const file = readFileSync(join(sample, "source/steering_resid2.npy"));
    const { shape, values } = await firstRow(file);
    const d = shape.at(-1);
    const bytes = file.subarray(file.length - 4 * d);
    assert.deepEqual(
        values,
        Float32Array.from({ length: d }, (_, k) => bytes.readFloatLE(4 * k)),
    );
    const bundle = evidence("source");
    const found = await gains(bundle);
    assert(found.size > 0);
    for (const [name, numbers] of found)
        assert.deepEqual(numbers, (await firstRow(bundle, { tensor: `gains/${name}` })).values);
    await assert.rejects(firstRow(bundle, { tensor: "nothing" }), /there is no tensor 'nothing'/);
});

test("correlation gives r of every target channel with every source channel", async () => {
    const { d, site, rows, values } = await correlation(evidence("source"), evidence("target"), { site: "resid.2" });
    assert.equal(d, 128);
    assert.equal(site, "resid.2");
    assert(rows > 1000 && rows <= 1024);
    assert.equal(values.length, d * d);
    const { perm, sign } = truth("target");
    for (let i = 0; i < d; ++i) assert(sign[i] * values[i * d + perm[i]] > 0.5, `channel ${i}`);
    const x = sampleRows("source"),
        y = sampleRows("target");
    const column = ({ data, rows: n }, channel) => Array.from({ length: n }, (_, row) => data[row * d + channel]);
    const pearson = (a, b) => {
        const mean = (v) => v.reduce((s, e) => s + e, 0) / v.length,
            ma = mean(a),
            mb = mean(b);
        const sum = (f) => a.reduce((s, _, k) => s + f(a[k] - ma, b[k] - mb), 0);
        return sum((p, q) => p * q) / Math.sqrt(sum((p) => p * p) * sum((_, q) => q * q));
    };
    for (const [i, j] of [
        [0, perm[0]],
        [5, perm[5]],
        [17, 3],
    ])
        assert(Math.abs(values[i * d + j] - pearson(column(x, j), column(y, i))) < 0.03, `r(${i}, ${j})`);
});

test("gains from other files count in place of the evidence's own", async () => {
    const bare = (side) => ({ activations: sampleRows(side) });
    const gauge = await align(bare("source"), bare("target"), { gains: [evidence("source"), evidence("target")] });
    assert.equal(gauge.fingerprint, truth("target").fingerprint);
    await assert.rejects(align(bare("source"), bare("target"), { gains: [evidence("source")] }), { code: "usage" });
});

test("a trace goes from the first checkpoint to the last, and says how", async () => {
    const gauge = await trace(["source", "target", "other_run"].map(evidence));
    assert(gauge instanceof Gauge);
    assert.equal(gauge.fingerprint, truth("other_run").fingerprint);
    assert.deepEqual([gauge.trace.path[0], gauge.trace.path.at(-1)], [0, 2]);
    assert(gauge.trace.hops.length >= 2 && gauge.trace.direct > 0.9);
    assert.deepEqual(
        Object.keys(gauge.toJSON()),
        Object.keys((await align(evidence("source"), evidence("target"))).toJSON()),
    );
});
