// Options of the calls: none is ignored, and messages advise them instead of the command's flags.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { align, audit, ceiling, Gauge, inspect, merge, steer, transport } from "regauge";

import { inside } from "./engine.mjs";
import { evidence, npy, sample, temporaryFolder, truth } from "./helpers.mjs";

const vector = join(sample, "source/steering_resid2.npy");

test("an option that a call does not know is refused by name, with those that it knows", async () => {
    for (const [call, name, known] of [
        [() => align(evidence("source"), evidence("target"), { row: 4 }), "row", "skipFirst"],
        [() => transport(vector, truth("target"), { copyUnkown: true }), "copyUnkown", "copyUnknown"],
        [() => inspect(vector, { dryRun: true }), "dryRun", "kind"],
        [() => ceiling({ toString: 1 }), "toString", "noise"],
    ])
        await assert.rejects(call(), (error) => {
            assert.equal(error.code, "usage");
            assert.match(error.message, new RegExp(`has no option ${name}; it has .*\\b${known}\\b`));
            return true;
        });
    await inspect(vector, { dryRun: undefined });
});

test("what is no object of options is refused", async () => {
    for (const options of ["signed", null, [1], 3])
        await assert.rejects(align(evidence("source"), evidence("target"), options), { code: "usage" });
    await assert.rejects(merge("a", "b"), { code: "usage" });
});

test("what is no signal is refused before the job begins", async () => {
    const listens = { addEventListener() {} };
    for (const signal of [{}, listens, { ...listens, removeEventListener() {} }, { ...listens, aborted: false }])
        await assert.rejects(align(evidence("source"), evidence("target"), { signal }), {
            code: "usage",
            message: /option signal.*AbortSignal/,
        });
});

test("an option that a call cannot do without is asked for", async () => {
    const steering = { vector: [1], site: "resid.1", gauge: truth("target"), prompt: [1] };
    for (const name of ["vector", "gauge", "prompt"])
        await assert.rejects(steer("a", "b", { ...steering, [name]: undefined }), {
            code: "usage",
            message: `steer: needs option ${name}`,
        });
    await assert.rejects(merge("a", "b", {}), { code: "usage", message: "merge: needs option gauge" });
});

test("messages advise options and not flags", async (t) => {
    const folder = temporaryFolder(t);
    const out = join(folder, "moved.npy");
    writeFileSync(out, "mine");
    const channels = Array.from({ length: 8 }, (_, k) => k);
    for (const [call, advice] of [
        [() => transport(vector, truth("target"), { out }), /\{ force: true \} overwrites it, or .* option out$/],
        [() => transport(vector, { ...truth("target").toJSON(), verdict: "unrelated" }), /\{ force: true \}/],
        [() => inspect(vector, { kind: "bogus" }), /^\{ kind: "bogus" \}: is not a kind/],
        [() => audit(new TextEncoder().encode(JSON.stringify(channels))), /option d|\{ d: N \}/],
        [() => transport(npy(new Float32Array([0, 1, 2, 3]), [4]), Gauge.identity(4)), undefined],
    ])
        await call().then(
            () => assert.equal(advice, undefined),
            (error) => {
                if (advice) assert.match(error.message, advice);
                assert.doesNotMatch(error.message, /(^|\s)--?[a-z]/);
            },
        );
});

test("every flag that a sentence of the core advises becomes an option", async () => {
    const { inOptions } = await inside("flags.js");
    for (const [call, said, meant] of [
        [
            "plan",
            "give --kind, or --kind vector where every tensor's",
            'give option kind, or { kind: "vector" } where every tensor\'s',
        ],
        [
            "plan",
            "be a (--kind llama) or b (--kind gemma2), whose",
            'be a ({ kind: "llama" }) or b ({ kind: "gemma2" }), whose',
        ],
        ["transport", "; --unknown copy copies them", "; { copyUnknown: true } copies them"],
        [
            "transport",
            "no hidden part ('align --hidden'); leave out --site to move it",
            "no hidden part (align(source, target, { hidden: true })); leave out option site to move it",
        ],
        [
            "transport",
            "find one with 'regauge align SOURCE TARGET -o gauge.json', and",
            "find one with align(source, target), and",
        ],
        ["align", "are read; align without --hidden", "are read; align without { hidden: true }"],
        ["transportMap", "say which with --site S=T", 'say which with { site: "S=T" }'],
        [
            "transportMap",
            "(regauge map SOURCE TARGET --site resid.2=T)",
            '(fitMap(source, target, { sites: [["resid.2", "T"], ...] }))',
        ],
        ["align", "with --statistic correlation or", 'with { statistic: "correlation" } or'],
        ["align", "choose sites with --site", "choose sites with option sites"],
        [
            "fitMap",
            "take --family orthogonal, affine or auto",
            'take { family: "orthogonal" } or "affine", or leave it out',
        ],
        ["audit", "give --d N, or a gauge", "give { d: N }, or a gauge"],
        // What only looks like one.
        ["align", "/x/models--openai-community--gpt2/a", "/x/models--openai-community--gpt2/a"],
        ["align", "give every 'regauge stats' the same --site", "give every 'regauge stats' the same --site"],
    ])
        assert.equal(inOptions(said, call), meant);
});
