import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { align, errorCodes, Gauge, inspect, Maps, RegaugeError, runCommand, trace, transport, version } from "regauge";

import { evidence, npy, plantedPair, repository, sample, sampleRows, temporaryFolder, truth } from "./helpers.mjs";
import { inside, loadEngine } from "./engine.mjs";

const refused = (code, where) => (error) => {
    assert(error instanceof RegaugeError && error instanceof Error, String(error));
    assert.equal(error.name, "RegaugeError");
    assert.equal(error.code, code, error.message);
    if (where !== undefined) assert.match(error.where, where);
    assert(error.where === "" || error.message.startsWith(`${error.where}: `), error.message);
    assert(!error.message.includes("\n"), "one line");
    return true;
};

test("the words of enums and the version are those of C++ and of package.json", async () => {
    const engine = await loadEngine();
    const { groups, statistics, verdicts } = await inside("gauge-json.js");
    assert.deepEqual({ groups, statistics, verdicts, errorCodes }, engine.words);
    assert.equal(version, engine.version);
    assert.equal(version, JSON.parse(readFileSync(join(repository, "node/package.json"), "utf8")).version);
});

test("a missing file is named", async (t) => {
    const path = join(temporaryFolder(t), "nowhere.safetensors");
    await assert.rejects(align(path, evidence("target")), refused("missingFile", /nowhere\.safetensors$/));
    await assert.rejects(inspect(path), refused("missingFile", /nowhere\.safetensors$/));
    await assert.rejects(transport(path, truth("target")), refused("missingFile", /nowhere\.safetensors$/));
    await assert.rejects(
        transport(join(sample, "source/steering_resid2.npy"), path),
        refused("missingFile", /nowhere\.safetensors$/),
    );
});

test("a truncated file is named, on disk and in memory", async (t) => {
    const whole = readFileSync(evidence("target"));
    const path = join(temporaryFolder(t), "half.safetensors");
    writeFileSync(path, whole.subarray(0, whole.length / 2));
    await assert.rejects(align(evidence("source"), path), refused("truncated", /half\.safetensors/));
    await assert.rejects(
        align(evidence("source"), new Uint8Array(whole.subarray(0, whole.length / 2))),
        refused("truncated", /target/),
    );
    await assert.rejects(align(evidence("source"), new Uint8Array(5)), (error) => error instanceof RegaugeError);
});

test("NaN and infinity are named by row and column", async () => {
    for (const value of [NaN, Infinity, -Infinity]) {
        const { source, target } = plantedPair(8, 64);
        target.activations.data[3 * 8 + 5] = value;
        await assert.rejects(
            align(source, target),
            (error) =>
                refused("notFinite", /target/)(error) &&
                /row 3\b/.test(error.message) &&
                /column 5\b/.test(error.message),
        );
    }
});

test("rows, tokens and widths that do not pair are refused", async () => {
    const rows = sampleRows("source");
    const shorter = { data: rows.data.subarray(0, 1000 * 128), rows: 1000, d: 128 };
    await assert.rejects(align({ activations: rows }, { activations: shorter }), refused("rowsMismatch"));
    const narrow = { data: rows.data.slice(0, 1024 * 64), rows: 1024, d: 64 };
    await assert.rejects(align({ activations: rows }, { activations: narrow }), refused("dimensionMismatch"));
    const tokens = (seed) => Array.from({ length: 1024 }, (_, k) => (k * seed) % 97);
    await assert.rejects(
        align({ activations: rows, tokenIds: tokens(1) }, { activations: rows, tokenIds: tokens(2) }),
        refused("tokensDiffer"),
    );
    await assert.rejects(
        align({ activations: { ...rows, rows: 7 } }, { activations: rows }),
        refused("shapeMismatch", /source: activations/),
    );
    await assert.rejects(
        align({ activations: { data: [1, 2], rows: 1, d: 2 } }, { activations: rows }),
        refused("wrongDtype", /source: activations/),
    );
    await assert.rejects(transport(npy(new Float32Array(64), [64]), truth("target")), refused("dimensionMismatch"));
});

test("options are checked", async () => {
    const pair = [evidence("source"), evidence("target")];
    await assert.rejects(align(...pair, { group: "odd" }), refused("usage"));
    await assert.rejects(align(...pair, { statistic: "magic" }), refused("usage"));
    await assert.rejects(align(...pair, { rows: -1 }), refused("usage"));
    await assert.rejects(align(...pair, { rows: 2.5 }), refused("usage"));
    await assert.rejects(align(...pair, { sites: ["resid.99"] }), refused("usage"));
    await assert.rejects(align(...pair, { sites: "resid.2" }), refused("usage"));
    await assert.rejects(align(undefined, pair[1]), refused("usage"));
    await assert.rejects(align({}, pair[1]), refused("usage"));
    await assert.rejects(align([], pair[1]), refused("usage"));
    await assert.rejects(align(new URL("ftp://example.org/x"), pair[1]), refused("usage"));
    await assert.rejects(trace([evidence("source")]), refused("usage"));
});

test("what is of another kind than a call takes is refused in words", async () => {
    const usage = (call) => assert.rejects(call, { name: "RegaugeError", code: "usage" });
    const rows = { activations: { data: new Float32Array(16), rows: 4, d: 4 } };
    await usage(align(rows, rows, { rows: 4n }));
    await usage(align(rows, rows, { gains: 5 }));
    await usage(align(rows, rows, { signal: 5 }));
    await usage(align(rows, rows, { onProgress: 5 }));
    await usage(transport(new Float32Array(4), Gauge.identity(4), { out: 5 }));
    await usage(trace(5));
    await usage(runCommand([5]));
    await usage(inspect("file://elsewhere/vector.npy"));
    await assert.rejects(Maps.from(new File(["x".repeat(16)], "map"), { pairs: [] }), { code: "malformed" });
});

test("an output in a folder that is not there is refused, and nothing appears", async (t) => {
    const folder = temporaryFolder(t);
    await assert.rejects(
        transport(join(sample, "source/steering_resid2.npy"), Gauge.identity(128), {
            out: join(folder, "no/such/place.npy"),
        }),
        refused("writeFailed"),
    );
    assert.deepEqual(readdirSync(folder), []);
});

test("a worker serves on after a refusal", async () => {
    await assert.rejects(inspect("/nowhere"), refused("missingFile"));
    assert.equal((await align(evidence("source"), evidence("target"))).verdict, "aligned");
});
