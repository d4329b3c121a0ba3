import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { compare, compose, Gauge, invert, RegaugeError, transport } from "regauge";

import { randomGauge, randomNumbers, runNode, temporaryFolder, truth } from "./helpers.mjs";

/** Every gauge of width d, d! 2^d of them. */
function* allGauges(d) {
    const permutations = (left) =>
        left.length === 0
            ? [[]]
            : left.flatMap((first) => permutations(left.filter((x) => x !== first)).map((rest) => [first, ...rest]));
    for (const perm of permutations(Array.from({ length: d }, (_, i) => i)))
        for (let bits = 0; bits < 2 ** d; ++bits)
            yield new Gauge(
                perm,
                perm.map((_, i) => ((bits >> i) & 1 ? -1 : 1)),
            );
}
const same = (a, b) => a.fingerprint === b.fingerprint;

test("gauges are a group, exhaustively to d = 3", () => {
    for (let d = 0; d <= 3; ++d) {
        const gauges = [...allGauges(d)],
            identity = Gauge.identity(d);
        for (const a of gauges) {
            assert(same(a.andThen(identity), a) && same(identity.andThen(a), a));
            assert(same(a.andThen(a.inverse()), identity) && same(a.inverse().andThen(a), identity));
            for (const b of gauges) {
                const ab = a.andThen(b);
                assert(same(ab.inverse(), b.inverse().andThen(a.inverse())));
                for (const c of d < 3 ? gauges : gauges.slice(0, 7))
                    assert(same(ab.andThen(c), a.andThen(b.andThen(c))));
            }
        }
    }
});

test("apply is the definition, keeps the type, and composes", () => {
    const random = randomNumbers(7);
    for (const d of [1, 2, 5, 64, 257]) {
        const a = randomGauge(d, random),
            b = randomGauge(d, random);
        const x = Float32Array.from({ length: d }, random);
        const y = a.apply(x);
        assert(y instanceof Float32Array);
        for (let i = 0; i < d; ++i) assert.equal(y[i], a.sign[i] * x[a.perm[i]]);
        assert.deepEqual(a.andThen(b).apply(x), b.apply(a.apply(x)));
        assert.deepEqual(a.inverse().apply(y), x);
        assert(a.apply(Float64Array.from(x)) instanceof Float64Array);
        assert(Array.isArray(a.apply(Array.from(x))));
    }
});

test("a zero changes its sign with its channel, as the bits in files do", () => {
    assert.deepEqual(new Gauge([0], [-1]).apply([0]), [-0]);
});

test("a NaN keeps its bits on the way, but for its sign", () => {
    const gauge = new Gauge([2, 0, 1], [1, -1, 1]);
    for (const [Floats, Bits, source, target] of [
        [globalThis.Float16Array, Uint16Array, [0x7c01, 0x7e02, 0xfc03], [0xfc03, 0xfc01, 0x7e02]],
        [Float32Array, Uint32Array, [0x7f800001, 0x7fc00002, 0xff800003], [0xff800003, 0xff800001, 0x7fc00002]],
        [
            Float64Array,
            BigUint64Array,
            [0x7ff0000000000001n, 0x7ff8000000000002n, 0xfff0000000000003n],
            [0xfff0000000000003n, 0xfff0000000000001n, 0x7ff8000000000002n],
        ],
    ]) {
        if (!Floats) continue; // Node 20 has no Float16Array
        const rows = 2000; // enough to be compiled meanwhile
        const many = (of, length) => Bits.from({ length }, (_, k) => of[k % 3]);
        const x = new Floats(many(source, 3 * rows + 3).buffer, 3 * Floats.BYTES_PER_ELEMENT); // not at the memory's beginning
        assert.deepEqual(new Bits(gauge.applyRows(x, rows).buffer), many(target, 3 * rows), Floats.name);
    }
});

test("rows move one by one, and channel lists by the inverse permutation", () => {
    const gauge = new Gauge([2, 0, 1], [1, -1, 1]);
    assert.deepEqual(gauge.applyRows([1, 2, 3, 4, 5, 6], 2), [3, -1, 2, 6, -4, 5]);
    assert.deepEqual(gauge.applyToIndices([2, 0, 1]), [0, 1, 2]);
});

test("a gauge can be awaited: it is not taken for a promise", async () => {
    const gauge = Gauge.identity(2);
    assert.equal(await gauge, gauge);
    assert.equal("then" in gauge, false);
});

test("the fingerprint is the SHA-256 of perm as u32 little-endian and sign as i8", async () => {
    for (const d of [0, 1, 11, 12, 13, 128, 1000]) {
        const gauge = randomGauge(d, randomNumbers(d));
        const bytes = Buffer.concat(
            [...gauge.perm]
                .map((channel) => {
                    const b = Buffer.alloc(4);
                    b.writeUInt32LE(channel);
                    return b;
                })
                .concat(Buffer.from(gauge.sign.buffer)),
        );
        const digest = Buffer.from(await crypto.subtle.digest("SHA-256", bytes)).toString("hex");
        assert.equal(gauge.fingerprint, digest);
    }
});

test("a gauge survives its file, and its file's numbers are checked", () => {
    const gauge = new Gauge([1, 0], [1, -1], {
        score: [0.5, 0.25],
        margin: [0.5, 0.125],
        confidence: [1, 0.5],
        verdict: "partial",
        source: { name: "a" },
    });
    assert.equal(String(gauge), JSON.stringify(gauge));
    const again = Gauge.from(JSON.stringify(gauge));
    assert.deepEqual(again.toJSON(), gauge.toJSON());
    assert.deepEqual(Object.keys(gauge.toJSON()).slice(0, 6), ["format", "version", "d", "group", "perm", "sign"]);
    const minimal = { format: "regauge-gauge", version: 1, d: 2, group: "signed", perm: [1, 0], sign: [1, -1] };
    assert.equal(Gauge.from(minimal).fingerprint, gauge.fingerprint);
    for (const [change, code] of [
        [{ perm: [0, 0] }, "invalidGauge"],
        [{ sign: [1, 257] }, "invalidGauge"],
        [{ version: 2 }, "unsupported"],
        [{ format: "x" }, "malformed"],
        [{ group: ["signed"] }, "malformed"],
        [{ fingerprint: "00" }, "invalidGauge"],
    ])
        assert.throws(
            () => Gauge.from({ ...minimal, ...change }, "g.json"),
            (error) => error instanceof RegaugeError && error.code === code && error.where === "g.json",
            JSON.stringify(change),
        );
    assert.throws(() => Gauge.from("{", "g.json"), { code: "malformed", where: "g.json" });
});

test("what is given in place of a gauge file is said to be what it is", async () => {
    const gauge = new Gauge([1, 0], [1, -1]);
    const text = new TextEncoder().encode(String(gauge));
    for (const [given, sentence] of [
        [Promise.resolve(gauge), /is a promise; await it/],
        [text, /give its text, new TextDecoder/],
        [text.buffer, /give its text, new TextDecoder/],
        [new Blob([text]), /give its text, await file\.text\(\)/],
        [new Response(text), /give its text, await file\.text\(\)/],
        [structuredClone(gauge), /send gauge\.toJSON\(\)/],
    ])
        for (const call of [() => Gauge.from(given), () => compose(given), () => transport("x.npy", given)])
            await assert.rejects(async () => call(), { name: "RegaugeError", code: "usage", message: sentence });
    assert.equal(Gauge.from(structuredClone(gauge.toJSON())).fingerprint, gauge.fingerprint);
    assert.throws(() => Gauge.from({ ...gauge.toJSON(), group: 5n }), { name: "RegaugeError", code: "malformed" });
});

test("a gauge file that was read is written as the core writes it", async (t) => {
    const site = { name: "resid.1", statistic: "correlation", rows: 4, mean_score: 0.12345678, weight: 1 / 3, more: 1 };
    const given = {
        ...Gauge.identity(2).toJSON(),
        source: { name: "a", sha256: "", more: 1 },
        target: {},
        summary: { estimate: 0.5, agreement: 0.25 },
        method: { sites: [site] },
    };
    const gauge = Gauge.from(given);
    assert.deepEqual([gauge.judged, gauge.summary.estimate, gauge.summary.agreement], [false, 1, 1]);
    const path = join(temporaryFolder(t), "given.json"),
        out = join(temporaryFolder(t), "inverse.json");
    writeFileSync(path, JSON.stringify(given));
    assert.equal((await runNode(["invert", path, "-o", out])).status, 0);
    assert.deepEqual(gauge.inverse().toJSON(), JSON.parse(readFileSync(out, "utf8")));
});

const changes = JSON.parse(readFileSync(new URL("../fixtures/gauge_changes.json", import.meta.url), "utf8"));

/** A copy in which the place of a JSON pointer holds another value. */
function changed(object, [pointer, value]) {
    const copy = structuredClone(object),
        keys = pointer.split("/").slice(1),
        last = keys.pop();
    keys.reduce((at, key) => at[key], copy)[last] = value;
    return copy;
}

test("a gauge file is refused where the core refuses it, and read where the core reads it", () => {
    assert.equal(Gauge.from(changes.whole).hidden.layers.length, 1);
    assert.equal(Gauge.from(`\uFEFF${JSON.stringify(changes.whole)}`).d, 3);
    for (const change of [...changes.refused, ...changes.refused_beyond_the_schema])
        assert.throws(() => Gauge.from(changed(changes.whole, change)), RegaugeError, JSON.stringify(change));
    for (const change of changes.accepted) assert.equal(Gauge.from(changed(changes.whole, change)).d, 3);
});

test("a gauge that was made writes a file that is read", () => {
    const { summary, source, method, score } = changes.whole;
    for (const details of [
        { summary: { ...summary, estimate: 5 } },
        { score: [NaN, 1, 1] },
        { score: score.slice(1) },
        { source: { ...source, name: 5 } },
        { method: { ...method, rows: -1 } },
        { method: { ...method, statistic: 7 } },
        { method: { ...method, sites: [5] } },
    ])
        assert.throws(
            () => new Gauge([0, 1, 2], [1, 1, 1], details),
            (error) => error instanceof RegaugeError && error.code === "malformed",
            JSON.stringify(details),
        );
    const made = new Gauge([0, 1, 2], [1, 1, 1], {
        summary,
        source,
        method,
        score: Float32Array.of(1, 0.5, 0),
        margin: [],
    });
    assert.equal(String(Gauge.from(String(made))), String(made));
});

test("gauges are composed in the order that their evidence says, and a composition is as sure as its estimate", () => {
    const between = (source, target) =>
        new Gauge([1, 0], [1, -1], {
            verdict: "aligned",
            summary: { estimate: 0.92 },
            source: { name: source, sha256: source },
            target: { name: target, sha256: target },
        });
    const ab = between("a", "b"),
        bc = between("b", "c");
    assert.deepEqual([ab.andThen(bc).verdict, ab.andThen(Gauge.identity(2)).verdict], ["partial", "aligned"]);
    assert.equal(compose(ab, between("b", "a")).target.name, "a");
    assert.equal(compose(ab, between("x", "y")).target.name, "y");
    assert.equal(ab.andThen(ab).target.name, "b"); // the group is closed
    for (const wrong of [
        [bc, ab],
        [ab, ab],
    ])
        assert.throws(
            () => compose(wrong),
            (error) => error.code === "usage" && error.message.includes("each once"),
        );
});

test("what is no gauge, no list and no vector is refused in words", () => {
    const gauge = Gauge.identity(2);
    for (const [wrong, code] of [
        [() => new Gauge(5, 5), "invalidGauge"],
        [() => new Gauge(null, null), "invalidGauge"],
        [() => new Gauge([0], [1], { group: "x" }), "malformed"],
        [() => new Gauge([0], [1], { verdict: "x" }), "malformed"],
        [() => gauge.apply(null), "usage"],
        [() => gauge.apply(new DataView(new ArrayBuffer(16))), "usage"],
        [() => gauge.applyToIndices(1), "usage"],
        [() => gauge.andThen("gauge.json"), "usage"],
        [() => gauge.compare(null), "usage"],
    ])
        assert.throws(wrong, (error) => error instanceof RegaugeError && error.code === code, String(wrong));
});

test("widths must agree, and an undetermined sign moves no vector", () => {
    assert.throws(() => Gauge.identity(2).andThen(Gauge.identity(3)), { code: "dimensionMismatch" });
    assert.throws(() => Gauge.identity(2).compare(Gauge.identity(3)), { code: "dimensionMismatch" });
    assert.throws(() => Gauge.identity(2).apply([1, 2, 3]), { code: "dimensionMismatch" });
    assert.throws(() => new Gauge([0, 1], [1, 0]).apply([1, 2]), { code: "undeterminedSign" });
});

test("a gauge does not change", () => {
    const gauge = Gauge.identity(2);
    assert.throws(() => {
        gauge.d = 3;
    }, TypeError);
    const perm = [1, 0],
        kept = new Gauge(perm, [1, 1]);
    perm[0] = 0;
    assert.equal(kept.perm[0], 1);
});

test("compose, invert and compare say what the command says", async (t) => {
    const folder = temporaryFolder(t);
    const a = truth("target"),
        b = randomGauge(128, randomNumbers(3));
    const detailed = new Gauge(a.perm, a.sign, {
        score: Array.from({ length: 128 }, (_, i) => i / 128),
        margin: Array.from({ length: 128 }, (_, i) => (i % 7) / 8),
        verdict: "partial",
        summary: { estimate: 0.75, agreement: 0.5 },
        source: { name: "one" },
        target: { name: "two" },
        method: { statistic: "whitened", lambda: 1, rows: 9 },
    });
    const [one, two, out, back] = ["one.json", "two.json", "out.json", "back.json"].map((name) => join(folder, name));
    writeFileSync(one, JSON.stringify(detailed));
    writeFileSync(two, JSON.stringify(b));
    assert.equal((await runNode(["compose", one, two, "-o", out])).status, 0);
    assert.deepEqual(JSON.parse(readFileSync(out, "utf8")), JSON.parse(JSON.stringify(compose(one, two))));
    assert.equal(compose([detailed, b]).fingerprint, compose(detailed, b.toJSON()).fingerprint);
    assert.equal((await runNode(["invert", one, "-o", back])).status, 0);
    assert.deepEqual(JSON.parse(readFileSync(back, "utf8")), JSON.parse(JSON.stringify(invert(one))));
    const said = JSON.parse((await runNode(["compare", one, two, "--json"])).out);
    const { permutation, sign, both } = compare(one, two);
    assert.deepEqual({ permutation: said.permutation, sign: said.sign, both: said.both }, { permutation, sign, both });
});
