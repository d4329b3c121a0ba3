// Every report has the keys of its TypeScript type, all the way down and both ways: tsc's own view of node.d.ts beside what C++ writes.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import ts from "typescript";

import {
    align,
    audit,
    ceiling,
    correlation,
    firstRow,
    fitMap,
    Gauge,
    generate,
    inspect,
    logits,
    merge,
    steer,
    transport,
    verify,
} from "regauge";

import {
    npy,
    plantedPair,
    randomNumbers,
    repository,
    runCommand,
    sample,
    shipped,
    temporaryFolder,
    truth,
} from "./helpers.mjs";
import { safetensors } from "./safetensors.mjs";

const program = ts.createProgram([join(repository, "node/dist/node.d.ts")], { skipLibCheck: true, strict: true });
const checker = program.getTypeChecker();
const [file] = program.getRootFileNames();
const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)));
const typeOf = (name) => {
    const symbol = exported.find((candidate) => candidate.name === name);
    const isAlias = symbol.flags & ts.SymbolFlags.Alias;
    return checker.getDeclaredTypeOfSymbol(isAlias ? checker.getAliasedSymbol(symbol) : symbol);
};

/** Compares values with types; `known` are the keys of all objects that were met, `held` those of them that held something. */
class Comparison {
    faults = new Set();
    known = new Map();
    held = new Set();

    /** at: "Audit.moved" */
    compare(value, type, at) {
        const kinds = type.isUnion() ? type.types : [type];
        const words = {
            string: ts.TypeFlags.StringLike,
            number: ts.TypeFlags.NumberLike,
            boolean: ts.TypeFlags.BooleanLike,
        };
        const flags = value === null ? ts.TypeFlags.Null : words[typeof value];
        if (flags !== undefined) {
            const fits = kinds.some((kind) => kind.flags & flags && (!kind.isLiteral() || kind.value === value));
            if (!fits) this.faults.add(`${at} is ${JSON.stringify(value)}, and its type ${checker.typeToString(type)}`);
            return;
        }
        const list = kinds.find((kind) => checker.isArrayType(kind));
        const object = kinds.find((kind) => kind.flags & ts.TypeFlags.Object && kind !== list && !kind.isClass());
        if (Array.isArray(value) && list)
            for (const entry of value) this.compare(entry, checker.getTypeArguments(list)[0], `${at}[]`);
        else if (Object.getPrototypeOf(value) === Object.prototype && object) this.compareKeys(value, object, at);
        else if (object?.symbol.name !== value.constructor.name)
            this.faults.add(`${at} is a ${value.constructor.name}, and its type ${checker.typeToString(type)}`);
    }

    compareKeys(value, type, at) {
        const properties = new Map(checker.getPropertiesOfType(type).map((one) => [one.name, one]));
        for (const [key, property] of properties) {
            this.known.set(property.valueDeclaration, `${at}.${key}`);
            if (!(key in value) && !(property.flags & ts.SymbolFlags.Optional)) this.faults.add(`no ${at}.${key}`);
        }
        for (const [key, entry] of Object.entries(value)) {
            const property = properties.get(key);
            if (!property) {
                this.faults.add(`${at}.${key} is not in the type`);
                continue;
            }
            if (entry !== null && !(Array.isArray(entry) && entry.length === 0))
                this.held.add(property.valueDeclaration);
            this.compare(entry, checker.getTypeOfSymbol(property), `${at}.${key}`);
        }
    }
}

/** The reports must hold something under every key of the type between them, or what is below it was not compared. */
function requireFit(name, ...reports) {
    const comparison = new Comparison();
    for (const report of reports) comparison.compare(report, typeOf(name), name);
    const { faults, known, held } = comparison;
    for (const [property, at] of known) if (!held.has(property)) faults.add(`${at} is empty in all reports`);
    assert.deepEqual([...faults], []);
}

const [source, target] = ["source", "target"].map((side) => join(shipped, side));
const evidence = (side) => join(shipped, side, "evidence.safetensors");
const tokens = join(shipped, "source/tokens.npy");
const vector = join(shipped, "source/refusal_resid2.npy");
const gauge = truth("target", shipped);
const command = async (...args) => JSON.parse((await runCommand([...args, "--json"])).out);
const zeros = (...shape) => ({ shape, data: new Float32Array(shape.reduce((product, length) => product * length)) });
const folder = (config, name, tensors) => ({ ...config, [name]: new Blob([safetensors(tensors)]) });
const json = (value) => new Blob([JSON.stringify(value)]);

test("the comparison finds what one side has alone, at any depth, and what is of another kind", () => {
    const plan = { kind: "vector", description: "a vector", d: 2, tensors: [], unknown: [] };
    const found = (report) => {
        const comparison = new Comparison();
        comparison.compare(report, typeOf("Plan"), "Plan");
        return [...comparison.faults];
    };
    const move = { name: "x", dtype: "F32", shape: [2], moves: [{ axis: 0, action: "odd" }], why: "it does" };
    assert.deepEqual(found({ ...plan, tensors: [move] }), []);
    assert.deepEqual(found({ ...plan, more: 1 }), ["Plan.more is not in the type"]);
    assert.deepEqual(found({ ...plan, tensors: [{ ...move, moves: [{ axis: 0, action: "none", by: 1 }] }] }), [
        'Plan.tensors[].moves[].action is "none", and its type Action',
        "Plan.tensors[].moves[].by is not in the type",
    ]);
    const { why, ...others } = move;
    assert.deepEqual(found({ ...plan, tensors: [others], d: why }), [
        'Plan.d is "it does", and its type number',
        "no Plan.tensors[].why",
    ]);
    assert.throws(() => requireFit("Plan", plan), /Plan\.tensors is empty/);
});

test("of what an object is and how it moves", async () => {
    const streams = folder({ "config.json": json({ hidden_size: 8, model_type: "qwen3_5" }) }, "model.safetensors", {
        "model.embed_tokens.weight": zeros(5, 8),
        "mtp.fc.weight": zeros(8, 16),
        "what.is.this": zeros(8),
    });
    const centred = folder(
        { "cfg.json": json({ d_in: 8, d_sae: 20, model_name: "gpt2-small", hook_point: "blocks.8.hook_resid_pre" }) },
        "sae_weights.safetensors",
        { W_enc: zeros(8, 20), W_dec: zeros(20, 8), b_dec: zeros(8), b_enc: zeros(20) },
    );
    requireFit("Plan", await inspect(streams), await inspect(centred), (await transport(vector, gauge)).plan);
});

test("of gauge files, with and without heads and neurons", async (t) => {
    const at = temporaryFolder(t);
    const path = (name) => join(at, `${name}.json`);
    const read = (name) => JSON.parse(readFileSync(path(name), "utf8"));
    await command("align", evidence("source"), evidence("target"), "-o", path("aligned"));
    // The freedoms of a head that the samples do not use, as C++ writes them.
    const scores = { neurons: [1, 1], heads: [1, 1] };
    const layer = {
        neurons: [1, 0],
        neuron_sign: [1, -1],
        neuron_scale: [1, 2],
        kv_heads: [0],
        heads: [1, 0],
        turn: [0.6, 0.8],
        free_keys: [1, 0, 0, 2],
        value: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2],
        score: scores,
        margin: scores,
        confidence: scores,
    };
    const hidden = { version: 1, head_dim: 4, rope_pairs: 1, layers: [layer] };
    writeFileSync(path("hidden"), JSON.stringify({ ...Gauge.identity(4).toJSON(), hidden }));
    await command("invert", path("hidden"), "-o", path("inverse"));
    requireFit("GaugeJson", read("aligned"), read("inverse"));
});

test("of traces, beside what is said of any alignment", async (t) => {
    const at = temporaryFolder(t),
        [rows, d] = [40, 16];
    const next = randomNumbers(3);
    const normal = () => next() + next() + next() + next() - 2;
    const run = [Float32Array.from({ length: rows * d }, normal)];
    for (let k = 0; k < 2; ++k) run.push(run[k].map((value) => value + normal()));
    const paths = run.map((_, k) => join(at, `${k}.npy`));
    paths.forEach((path, k) => writeFileSync(path, npy(run[k], [rows, d])));
    const { hops, ...found } = await command("trace", ...paths, "-o", join(at, "traced.json"));
    for (const key of Object.keys(await command("align", paths[0], paths[2], "-o", join(at, "aligned.json"))))
        delete found[key];
    requireFit("TraceReport", { hops, ...found });
});

test("of an alignment of heads and neurons", async () => {
    const { hidden } = await align(source, target, { hidden: true });
    requireFit("HiddenReport", hidden.report);
});

test("of maps", async () => {
    const pairs = [1, 2].map((seed) => plantedPair(12, 600, seed));
    const [from, to] = ["source", "target"].map((side) => ({
        activations: Object.fromEntries(pairs.map((pair, l) => [`resid.${l}`, pair[side].activations])),
    }));
    requireFit("MapsReport", (await fitMap(from, to)).report);
});

test("of numbers: correlations, a tensor's first row, logits", async () => {
    requireFit("Correlation", await correlation(evidence("source"), evidence("target")));
    requireFit("FirstRow", await firstRow(vector));
    requireFit("Logits", await logits(source, [[1, 2, 3]]));
});

test("of claims: merges, audits, ceilings", async () => {
    requireFit("Merged", await merge(target, source, { gauge }));
    requireFit("Audit", await audit(vector, { gauge, k: 5, gauges: 20 }));
    requireFit("Ceiling", await ceiling({ d: 16, rows: 64, steps: 2 }));
});

test("of models: verifications, continuations, steering, with text where there is a vocabulary", async () => {
    requireFit("Verification", await verify(source, target, tokens, { sequences: 1 }));
    const spelling = {
        ...Object.fromEntries(
            ["config.json", "model.safetensors"].map((name) => [
                name,
                new Blob([readFileSync(join(sample, "source", name))]),
            ]),
        ),
        "tokenizer.json": new Blob([readFileSync(join(sample, "tokenizer.json"))]),
    };
    const prompt = [[3, 1, 4, 1, 5]];
    requireFit("Continuation", await generate(spelling, prompt, { length: 2 }));
    const steered = await steer(spelling, join(sample, "target"), {
        vector: join(sample, "source/steering_resid2.npy"),
        gauge: truth("target"),
        site: "resid.2",
        prompt,
        length: 2,
    });
    requireFit("SteerReport", steered);
});
