// The hidden part of a gauge: heads and MLP neurons, as core/src/hidden/hidden_gauge.cpp and hidden_json.cpp have it.

import { refusal } from "./error.js";
import { gathered, inverted, rounded, weaker } from "./lists.js";
import { identityMatrix, inverseOf, productOf } from "./small-matrix.js";
import { sha256 } from "./sha256.js";

/** How sure each unit of one kind is, by the target's places: [n] each, empty where nobody judged. */
export interface UnitScores {
    /** Similarity of the matched pair, -1 .. 1. */
    readonly score: Float64Array;
    /** How far it stands above the best alternative. */
    readonly margin: Float64Array;
    /** Probability that it is matched right; below one half it is undetermined. */
    readonly confidence: Float64Array;
}

/**
 * One layer: target = H(source), the source's unit at the target's place i. N neurons, H query heads in G key-value groups.
 *
 *     gate[i]   =                     gate[neurons[i]]
 *     up[i]     = scale[i] *          up[neurons[i]]           scale[i] = neuronSign[i] * neuronScale[i]
 *     down[i]   =                     down[neurons[i]] / scale[i]
 *     key[g]    = Z[g] *              key[kvHeads[g]]          Z: turn of every RoPE plane, freeKeys on the other channels
 *     query[h]  = Z[g]^-T *           query[heads[h]]          g = floor(h / (H / G))
 *     value[g]  = M[g] *              value[kvHeads[g]]        M: `value`
 *     output[h] =                     output[heads[h]] M[g]^-1
 */
export interface HiddenLayer {
    /** [N] */
    readonly neurons: Uint32Array;
    /** [N], +1 or -1 */
    readonly neuronSign: Int8Array;
    /** [N], > 0; empty: nothing is scaled. */
    readonly neuronScale: Float32Array;
    /** [G] */
    readonly kvHeads: Uint32Array;
    /** [H]; heads stay with their groups. */
    readonly heads: Uint32Array;
    /** [G, pairs, 2], real and imaginary part; empty: nothing is turned. */
    readonly turn: Float32Array;
    /** [G, free, free], free = headDim - 2 * pairs; empty: identity. */
    readonly freeKeys: Float32Array;
    /** [G, headDim, headDim]; empty: identity. */
    readonly value: Float32Array;
    readonly neuronScores: UnitScores;
    readonly headScores: UnitScores;
}

/** The sizes that a hidden gauge acts on. */
export interface HiddenShape {
    readonly layers: number;
    /** Of one MLP. */
    readonly neurons: number;
    readonly heads: number;
    readonly kvHeads: number;
    /** 0: not said, where heads only change places. */
    readonly headDim: number;
    /** RoPE planes of a head. */
    readonly ropePairs: number;
}

/** How far two hidden gauges agree, as shares of all layers' units. */
export interface HiddenAgreement {
    /** Place and sign. */
    readonly neurons: number;
    /** Query heads. */
    readonly heads: number;
    readonly kvHeads: number;
}

/** How many units stand where the identity has them, and log10 of the chance that an independent model would agree on so many. */
export interface IdentityAgreement {
    readonly agreeing: number;
    readonly of: number;
    readonly log10_chance: number;
}

/** What `align` found out beside the gauge: shares, 0 .. 1. */
export interface HiddenReport {
    readonly fingerprint: string;
    readonly identity: boolean;
    /** The sizes of HiddenShape. */
    readonly shape: {
        readonly layers: number;
        readonly neurons: number;
        readonly heads: number;
        readonly kv_heads: number;
        readonly head_dim: number;
        readonly rope_pairs: number;
    };
    /** Rounds of matching hidden units. */
    readonly rounds: number;
    /** Mean score before the first round of fresh evidence, and of the answer. */
    readonly start: number;
    readonly measure: number;
    /** Units with a confidence of at least one half. */
    readonly neurons_sure: number | null;
    readonly heads_sure: number | null;
    /** Of the target's squared weights, what the source's, moved, explain: near 1 the two share a training history. */
    readonly explained: number;
    readonly identity_channels: IdentityAgreement;
    readonly identity_neurons: IdentityAgreement;
    readonly layers: readonly {
        readonly neurons_sure: number;
        readonly heads_sure: number;
        readonly explained: number;
        readonly neuron_agreement: number;
        readonly head_agreement: number;
    }[];
}

type Scores = Readonly<Record<"neurons" | "heads", readonly number[]>>;

/** A layer in a gauge file. */
export interface HiddenLayerJson {
    readonly neurons: readonly number[];
    readonly neuron_sign?: readonly number[];
    readonly neuron_scale?: readonly number[];
    readonly kv_heads: readonly number[];
    readonly heads: readonly number[];
    readonly turn?: readonly number[];
    readonly free_keys?: readonly number[];
    readonly value?: readonly number[];
    readonly score?: Scores;
    readonly margin?: Scores;
    readonly confidence?: Scores;
}

/** The hidden part of a gauge file. */
export interface HiddenJson {
    readonly version?: 1;
    readonly head_dim?: number;
    readonly rope_pairs?: number;
    readonly layers: readonly HiddenLayerJson[];
    readonly fingerprint?: string;
}

/** Heads and neurons of every layer. One that exists is valid, and does not change. */
export class Hidden {
    readonly shape: HiddenShape;
    readonly layers: readonly HiddenLayer[];
    /** Of an alignment; undefined where the gauge was read from a file, inverted or composed. */
    readonly report: HiddenReport | undefined;
    #fingerprint: string | undefined;

    /** Throws RegaugeError(invalidGauge), naming the layer and what is wrong in it. Made by `Hidden.from` and `gauge.hidden`. */
    constructor(shape: HiddenShape, layers: readonly HiddenLayer[], where = "gauge", report?: HiddenReport) {
        const refuse = (sentence: string): never => {
            throw refusal("invalidGauge", where, sentence);
        };
        if (!(shape.kvHeads > 0) || shape.heads % shape.kvHeads !== 0 || 2 * shape.ropePairs > shape.headDim)
            refuse("the hidden part's head counts do not fit together");
        layers.forEach((layer, l) => {
            const wrong = fault(layer, shape);
            if (wrong) refuse(`hidden layer ${l}: ${wrong}`);
        });
        this.shape = Object.freeze({ ...shape });
        this.layers = Object.freeze([...layers]);
        this.report = report;
        Object.freeze(this);
    }

    /** From the hidden part of a gauge file. Throws RegaugeError: malformed, unsupported (a later version), invalidGauge. */
    static from(json: HiddenJson | Hidden, where = "gauge", report?: HiddenReport): Hidden {
        if (json instanceof Hidden) return json;
        const malformed = (sentence: string): never => {
            throw refusal("malformed", where, sentence);
        };
        if (!isObject(json)) malformed('"hidden" must be an object');
        if (json.version !== undefined && json.version !== 1)
            throw refusal(
                "unsupported",
                where,
                "its hidden part is of a version that this regauge does not read (it reads version 1); update regauge",
            );
        if (!Array.isArray(json.layers) || json.layers.length === 0)
            malformed('hidden: "layers" must be a list of layers');
        const shape = shapeFrom(json, malformed);
        const layers = json.layers.map((layer) => layerFrom(layer, shape, malformed));
        const hidden = new Hidden(shape, layers, where, report);
        if (json.fingerprint !== undefined && json.fingerprint !== hidden.fingerprint)
            throw refusal(
                "invalidGauge",
                where,
                "the hidden part's fingerprint does not fit it: the file was changed after it was written",
            );
        return hidden;
    }

    /** SHA-256, in hexadecimal, of every layer's lists: the same natively, in Python, in Node and in every browser. */
    get fingerprint(): string {
        return (this.#fingerprint ??= sha256(bytesOf(this.layers)));
    }

    get isIdentity(): boolean {
        const inPlace = (list: Uint32Array): boolean => list.every((from, i) => from === i);
        return this.layers.every(
            (layer) =>
                inPlace(layer.neurons) &&
                layer.neuronSign.every((sign) => sign === 1) &&
                inPlace(layer.kvHeads) &&
                inPlace(layer.heads) &&
                [layer.neuronScale, layer.turn, layer.freeKeys, layer.value].every((list) => list.length === 0),
        );
    }

    /** From the target back to the source. */
    inverse(): Hidden {
        const { kvHeads: groups, headDim, ropePairs } = this.shape;
        return new Hidden(
            this.shape,
            this.layers.map((layer): HiddenLayer => {
                const neurons = inverted(layer.neurons),
                    kvHeads = inverted(layer.kvHeads),
                    heads = inverted(layer.heads);
                return {
                    neurons,
                    neuronSign: gathered(layer.neuronSign, neurons),
                    neuronScale: gathered(layer.neuronScale, neurons).map((scale) => 1 / scale),
                    kvHeads,
                    heads,
                    turn:
                        layer.turn.length === 0
                            ? layer.turn
                            : turns(groups, ropePairs, (g, k) =>
                                  reciprocal(turnAt(layer.turn, kvHeads[g]! * ropePairs + k)),
                              ),
                    freeKeys: matrices(groups, headDim - 2 * ropePairs, layer.freeKeys.length > 0, (g, n) =>
                        inverseOf(blockAt(layer.freeKeys, kvHeads[g]!, n), n)!,
                    ),
                    value: matrices(groups, headDim, layer.value.length > 0, (g, n) =>
                        inverseOf(blockAt(layer.value, kvHeads[g]!, n), n)!,
                    ),
                    neuronScores: gatheredScores(layer.neuronScores, neurons),
                    headScores: gatheredScores(layer.headScores, heads),
                };
            }),
        );
    }

    /** First this, then next. Throws RegaugeError(dimensionMismatch). */
    andThen(next: Hidden): Hidden {
        requireSameShape(this, next);
        const { kvHeads: groups, headDim, ropePairs, neurons } = this.shape;
        return new Hidden(
            this.shape,
            this.layers.map((a, l): HiddenLayer => {
                const b = next.layers[l]!;
                const composed = (first: Float32Array, last: Float32Array, n: number): Float32Array =>
                    matrices(groups, n, first.length + last.length > 0, (g) =>
                        productOf(
                            last.length === 0 ? identityMatrix(n) : blockAt(last, g, n),
                            first.length === 0 ? identityMatrix(n) : blockAt(first, b.kvHeads[g]!, n),
                            n,
                        ),
                    );
                const scales = a.neuronScale.length === 0 ? b.neuronScale : gathered(a.neuronScale, b.neurons);
                const both = a.neuronScale.length > 0 && b.neuronScale.length > 0;
                return {
                    neurons: gathered(a.neurons, b.neurons),
                    neuronSign: Int8Array.from(
                        { length: neurons },
                        (_, i) => b.neuronSign[i]! * a.neuronSign[b.neurons[i]!]!,
                    ),
                    neuronScale: both ? scales.map((scale, i) => scale * b.neuronScale[i]!) : scales,
                    kvHeads: gathered(a.kvHeads, b.kvHeads),
                    heads: gathered(a.heads, b.heads),
                    turn:
                        a.turn.length + b.turn.length === 0
                            ? a.turn
                            : turns(groups, ropePairs, (g, k) =>
                                  times(
                                      turnAt(b.turn, g * ropePairs + k),
                                      turnAt(a.turn, b.kvHeads[g]! * ropePairs + k),
                                  ),
                              ),
                    freeKeys: composed(a.freeKeys, b.freeKeys, headDim - 2 * ropePairs),
                    value: composed(a.value, b.value, headDim),
                    neuronScores: weakerScores(a.neuronScores, b.neuronScores, b.neurons),
                    headScores: weakerScores(a.headScores, b.headScores, b.heads),
                };
            }),
        );
    }

    /** How far it agrees with another. Throws RegaugeError(dimensionMismatch). */
    compare(other: Hidden): HiddenAgreement {
        requireSameShape(this, other);
        const share = (each: number, agrees: (a: HiddenLayer, b: HiddenLayer, i: number) => boolean): number => {
            let count = 0;
            this.layers.forEach((a, l) => {
                for (let i = 0; i < each; ++i) if (agrees(a, other.layers[l]!, i)) ++count;
            });
            return each === 0 ? 1 : count / (each * this.shape.layers);
        };
        return {
            neurons: share(
                this.shape.neurons,
                (a, b, i) => a.neurons[i] === b.neurons[i] && a.neuronSign[i] === b.neuronSign[i],
            ),
            heads: share(this.shape.heads, (a, b, i) => a.heads[i] === b.heads[i]),
            kvHeads: share(this.shape.kvHeads, (a, b, i) => a.kvHeads[i] === b.kvHeads[i]),
        };
    }

    /** The part of a gauge file, in the file's key order. */
    toJSON(): HiddenJson {
        return {
            version: 1,
            head_dim: this.shape.headDim,
            rope_pairs: this.shape.ropePairs,
            layers: this.layers.map(layerJson),
            fingerprint: this.fingerprint,
        };
    }
}

/** How wide a head may be, as core/src/model/head_dim.hpp has it. */
const mostHeadDim = 4096;

/** The largest number that a file is believed, as of its other numbers. */
const believed = 1e12;

type Refuse = (sentence: string) => never;

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);
const isWhole = (value: unknown, low: number, high: number): boolean =>
    Number.isInteger(value) && (value as number) >= low && (value as number) <= high;

/** The sizes that the first layer's lists and the part itself say. */
function shapeFrom(json: HiddenJson, malformed: Refuse): HiddenShape {
    const width = (key: "head_dim" | "rope_pairs"): number => {
        const value = json[key];
        if (value !== undefined && !isWhole(value, 0, mostHeadDim))
            malformed(`hidden: "${key}" must be a whole number from 0 to ${mostHeadDim}: no model's heads are wider`);
        return value ?? 0;
    };
    const first = json.layers[0] as HiddenLayerJson | null;
    const length = (key: "neurons" | "heads" | "kv_heads"): number => {
        const list: unknown = isObject(first) ? first![key] : undefined;
        return Array.isArray(list) ? list.length : 0;
    };
    return {
        layers: json.layers.length,
        neurons: length("neurons"),
        heads: length("heads"),
        kvHeads: length("kv_heads"),
        headDim: width("head_dim"),
        ropePairs: width("rope_pairs"),
    };
}

/** Checks what a file may hold in the order in which the core does, so that both refuse it with the same words. */
function layerFrom(json: HiddenLayerJson, shape: HiddenShape, malformed: Refuse): HiddenLayer {
    if (!isObject(json)) malformed("hidden: a layer must be an object");
    const integers = (
        key: "neurons" | "kv_heads" | "heads" | "neuron_sign",
        low: number,
        high: number,
    ): readonly number[] => {
        const list: unknown = json[key];
        if (!Array.isArray(list)) malformed(`hidden: "${key}" must be a list of whole numbers`);
        if (!(list as unknown[]).every((entry) => isWhole(entry, low, high)))
            malformed(`hidden: "${key}" holds what is no whole number from ${low} to ${high}`);
        return list as number[];
    };
    const places = (key: "neurons" | "kv_heads" | "heads", n: number): Uint32Array =>
        Uint32Array.from(integers(key, 0, n - 1));
    const numbers = (list: unknown, key: string): readonly number[] => {
        if (list === undefined) return [];
        if (!Array.isArray(list)) malformed(`hidden: "${key}" must be a list of numbers`);
        const entries = list as unknown[];
        if (!entries.every((entry) => typeof entry === "number" && Math.abs(entry) <= believed))
            malformed(`hidden: "${key}" holds what is no number within 10^12 of 0`);
        return entries as number[];
    };
    const floats = (key: "neuron_scale" | "turn" | "free_keys" | "value"): Float32Array =>
        Float32Array.from(numbers(json[key], key));
    const scores = (key: "score" | "margin" | "confidence"): { neurons: Float64Array; heads: Float64Array } => {
        const lists = json[key];
        if (lists !== undefined && !isObject(lists))
            malformed(`hidden: "${key}" must be an object with lists of neurons and heads`);
        const of = (kind: "neurons" | "heads"): Float64Array => Float64Array.from(numbers(lists?.[kind], kind));
        const both = { neurons: of("neurons"), heads: of("heads") };
        for (const kind of ["neurons", "heads"] as const)
            if (both[kind].length !== 0 && both[kind].length !== shape[kind])
                malformed(`hidden: "${key}" must hold one number for every neuron and head`);
        return both;
    };
    const layer = {
        neurons: places("neurons", shape.neurons),
        neuronSign:
            json.neuron_sign === undefined
                ? new Int8Array(shape.neurons).fill(1)
                : Int8Array.from(integers("neuron_sign", -1, 1)),
        neuronScale: floats("neuron_scale"),
        kvHeads: places("kv_heads", shape.kvHeads),
        heads: places("heads", shape.heads),
        turn: floats("turn"),
        freeKeys: floats("free_keys"),
        value: floats("value"),
    };
    const score = scores("score"),
        margin = scores("margin"),
        confidence = scores("confidence");
    const unitScores = (kind: "neurons" | "heads"): UnitScores => ({
        score: score[kind],
        margin: margin[kind],
        confidence: confidence[kind],
    });
    return { ...layer, neuronScores: unitScores("neurons"), headScores: unitScores("heads") };
}

function layerJson(layer: HiddenLayer): HiddenLayerJson {
    const floats = (key: string, list: Float32Array): object =>
        list.length === 0 ? {} : { [key]: Array.from(list, shortest) };
    const scores = (key: "score" | "margin" | "confidence"): object => {
        const neurons = Array.from(layer.neuronScores[key], rounded),
            heads = Array.from(layer.headScores[key], rounded);
        return neurons.length + heads.length === 0 ? {} : { [key]: { neurons, heads } };
    };
    return {
        neurons: Array.from(layer.neurons),
        neuron_sign: Array.from(layer.neuronSign),
        ...floats("neuron_scale", layer.neuronScale),
        kv_heads: Array.from(layer.kvHeads),
        heads: Array.from(layer.heads),
        ...floats("turn", layer.turn),
        ...floats("free_keys", layer.freeKeys),
        ...floats("value", layer.value),
        ...scores("score"),
        ...scores("margin"),
        ...scores("confidence"),
    };
}

/** What is wrong with a layer; undefined where nothing is. */
function fault(layer: HiddenLayer, shape: HiddenShape): string | undefined {
    const { kvHeads: groups, headDim, ropePairs } = shape;
    const each = shape.heads / groups,
        free = headDim - 2 * ropePairs;
    const permutes = (list: Uint32Array, n: number): boolean =>
        list.length === n && new Set(list).size === n && list.every((entry) => entry < n);
    const lengths = (list: Float32Array, n: number): boolean =>
        (list.length === 0 || list.length === n) && list.every(Number.isFinite);
    const invertible = (list: Float32Array, n: number): boolean =>
        lengths(list, groups * n * n) &&
        (list.length === 0 ||
            Array.from({ length: groups }, (_, g) => inverseOf(blockAt(list, g, n), n)).every((one) => one));
    if (!permutes(layer.neurons, shape.neurons)) return '"neurons" is no permutation of the layer\'s neurons';
    if (layer.neuronSign.length !== shape.neurons || !layer.neuronSign.every((sign) => sign === 1 || sign === -1))
        return '"neuron_sign" must hold +1 or -1 for every neuron';
    if (!lengths(layer.neuronScale, shape.neurons) || !layer.neuronScale.every((scale) => scale > 0))
        return '"neuron_scale" must hold a positive number for every neuron';
    if (!permutes(layer.kvHeads, groups)) return '"kv_heads" is no permutation of the key-value heads';
    if (!permutes(layer.heads, shape.heads)) return '"heads" is no permutation of the query heads';
    const strayed = layer.heads.findIndex((from, h) => Math.floor(from / each) !== layer.kvHeads[Math.floor(h / each)]);
    if (strayed >= 0) return `"heads"[${strayed}] is not in the group that "kv_heads" says`;
    if (!lengths(layer.turn, groups * ropePairs * 2))
        return '"turn" must hold two finite numbers for every RoPE plane of every key-value head';
    if (layer.turn.some((x, k) => k % 2 === 0 && x === 0 && layer.turn[k + 1] === 0))
        return '"turn" holds a zero, which cannot be undone';
    if (!invertible(layer.freeKeys, free)) return '"free_keys" must hold an invertible matrix for every key-value head';
    if (!invertible(layer.value, headDim)) return '"value" must hold an invertible matrix for every key-value head';
    for (const [scores, n] of [
        [layer.neuronScores, shape.neurons],
        [layer.headScores, shape.heads],
    ] as const)
        for (const list of [scores.score, scores.margin, scores.confidence])
            if (list.length !== 0 && list.length !== n)
                return "its scores must hold one number for every neuron and head";
    return undefined;
}

function requireSameShape(a: Hidden, b: Hidden): void {
    const keys = Object.keys(a.shape) as (keyof HiddenShape)[];
    if (keys.some((key) => a.shape[key] !== b.shape[key]))
        throw refusal(
            "dimensionMismatch",
            "",
            `the hidden gauges are of models of different shapes: ${a.shape.layers} layers of ${a.shape.neurons} neurons against ` +
                `${b.shape.layers} of ${b.shape.neurons}`,
        );
}

/** Every layer's lists one after the other, little-endian. */
function bytesOf(layers: readonly HiddenLayer[]): Uint8Array {
    const lists = layers.flatMap((layer) => [
        ...[layer.neurons, layer.neuronSign, layer.neuronScale, layer.kvHeads, layer.heads],
        ...[layer.turn, layer.freeKeys, layer.value],
    ]);
    const bytes = new Uint8Array(lists.reduce((sum, list) => sum + list.byteLength, 0));
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const list of lists)
        for (const value of list) {
            if (list instanceof Uint32Array) view.setUint32(at, value, true);
            else if (list instanceof Float32Array) view.setFloat32(at, value, true);
            else view.setInt8(at, value);
            at += list.BYTES_PER_ELEMENT;
        }
    return bytes;
}

function gatheredScores({ score, margin, confidence }: UnitScores, from: Uint32Array): UnitScores {
    return { score: gathered(score, from), margin: gathered(margin, from), confidence: gathered(confidence, from) };
}

/** The lower of two in the second's places; the one there is, where there is one. */
function weakerScores(first: UnitScores, next: UnitScores, from: Uint32Array): UnitScores {
    return {
        score: weaker(first.score, next.score, from),
        margin: weaker(first.margin, next.margin, from),
        confidence: weaker(first.confidence, next.confidence, from),
    };
}

type Complex = readonly [number, number];

function turnAt(turn: Float32Array, index: number): Complex {
    return turn.length === 0 ? [1, 0] : [turn[2 * index]!, turn[2 * index + 1]!];
}

function times([a, b]: Complex, [c, d]: Complex): Complex {
    return [a * c - b * d, a * d + b * c];
}

function reciprocal([a, b]: Complex): Complex {
    const square = a * a + b * b;
    return [a / square, -b / square];
}

/** [groups, pairs, 2] of what `of` says for every plane. */
function turns(groups: number, pairs: number, of: (g: number, k: number) => Complex): Float32Array {
    const all = new Float32Array(groups * pairs * 2);
    for (let g = 0; g < groups; ++g) for (let k = 0; k < pairs; ++k) all.set(of(g, k), 2 * (g * pairs + k));
    return all;
}

/** The n x n matrix of one group, in doubles. */
function blockAt(list: Float32Array, g: number, n: number): Float64Array {
    return Float64Array.from(list.subarray(g * n * n, (g + 1) * n * n));
}

/** [groups, n, n]; nothing where there are none. */
function matrices(groups: number, n: number, some: boolean, of: (g: number, n: number) => Float64Array): Float32Array {
    const all = new Float32Array(some ? groups * n * n : 0);
    for (let g = 0; some && g < groups; ++g) all.set(of(g, n), g * n * n);
    return all;
}

/** The shortest number that reads back as the same float. */
function shortest(value: number): number {
    const short = (digits: number): number => Number(value.toPrecision(digits));
    const reads = (digits: number): boolean => Math.fround(short(digits)) === value;
    const most = 9; // digits, enough for every float
    const usual = 6; // digits that most floats need more than: asked first, so that few are tried
    let digits = reads(usual) ? 1 : usual + 1;
    while (digits < most && !reads(digits)) ++digits;
    return short(digits);
}
