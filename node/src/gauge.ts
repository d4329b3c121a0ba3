// A gauge: an element of the signed permutation group B_d, and how sure its matching is.

import { refusal } from "./error.js";
import { bitsOf, isFloats, isTensor, type Bits, type Floats, type Tensor } from "./floats.js";
import {
    leastAligned,
    parseGauge,
    requireParts,
    verdicts,
    type GaugeJson,
    type Group,
    type Side,
    type SiteSummary,
    type Summary,
    type Verdict,
} from "./gauge-json.js";
import { Hidden, type HiddenAgreement, type HiddenJson } from "./hidden.js";
import { gathered, inverted, isList, requireNumbers, rounded, weaker } from "./lists.js";
import { sha256 } from "./sha256.js";
import { version } from "./version.js";

/** How far two gauges agree, as fractions of d. */
export interface Agreement {
    /** perm[i] equal. */
    readonly permutation: number;
    /** sign[i] equal, whatever perm[i] is. */
    readonly sign: number;
    /** Both equal. */
    readonly both: number;
    /** Of heads and neurons, where both gauges have a hidden part. */
    readonly hidden?: HiddenAgreement;
}

/** A gauge, a gauge file's object or text, or the path of a gauge file (Node). */
export type GaugeInput = Gauge | GaugeJson | string | URL;

/** What a gauge says beyond its permutation and signs, all of it optional. */
export interface GaugeDetails {
    readonly group?: Group;
    readonly verdict?: Verdict;
    readonly score?: ArrayLike<number>;
    readonly margin?: ArrayLike<number>;
    readonly confidence?: ArrayLike<number>;
    readonly summary?: { readonly estimate?: number; readonly agreement?: number };
    readonly source?: Side;
    readonly target?: Side;
    readonly method?: Omit<NonNullable<GaugeJson["method"]>, "version">;
    /** Heads and neurons. */
    readonly hidden?: Hidden | HiddenJson;
}

/** Vectors that a gauge moves; the answer has the same type. */
export type Vector = Floats | number[];

/**
 * y = Q x with `y[i] = sign[i] * x[perm[i]]`: x in source coordinates, y in target coordinates, perm 0-based.
 *
 *     source   x[0]   x[1]   x[2]          perm = [2, 0, 1]
 *                  \      \  /             sign = [+, -, +]
 *                   \     /\
 *     target   y[0] y[1] y[2]   = +x[2], -x[0], +x[1]
 *
 * A Gauge that exists is valid: perm is a permutation of 0 .. d-1, every sign is +1, -1 or 0 (undetermined). Gauges do not change:
 * operations return new ones, and the arrays are to be read only.
 */
export class Gauge {
    /** The width of the residual stream. */
    readonly d: number;
    readonly group: Group;
    readonly perm: Uint32Array;
    readonly sign: Int8Array;
    /** Similarity of the matched pair, per target channel; empty where nothing was measured. */
    readonly score: Float64Array;
    /** How far it stands above the best alternative, per target channel; empty where nothing was measured. */
    readonly margin: Float64Array;
    /** Probability that the channel is matched right; empty where nothing was measured. */
    readonly confidence: Float64Array;
    readonly verdict: Verdict;
    /** Whether it was matched: false of one made by hand, whose verdict, estimate and agreement say nothing. */
    readonly judged: boolean;
    readonly summary: Summary;
    readonly source: Side;
    readonly target: Side;
    /** "correlation", "whitened", "gains", "composed" or "none". */
    readonly statistic: string;
    readonly lambda: number;
    /** Paired rows that were used. */
    readonly rows: number;
    /** What each site said on its own. */
    readonly sites: readonly SiteSummary[];
    /** Where heads and MLP neurons went (`align(a, b, { hidden: true })`); undefined of a gauge of the residual stream alone. */
    readonly hidden: Hidden | undefined;
    #fingerprint: string | undefined;
    #text: string | undefined;

    /** Throws RegaugeError(invalidGauge), naming the first entry that is wrong. `where`: the file, for the message. */
    constructor(perm: ArrayLike<number>, sign: ArrayLike<number>, details: GaugeDetails = {}, where = "gauge") {
        checkEntries(perm, sign, where);
        const d = perm.length;
        this.d = d;
        this.perm = Uint32Array.from(perm);
        this.sign = Int8Array.from(sign);
        this.group = details.group ?? "signed";
        this.verdict = details.verdict ?? "aligned";
        const measured = (list: unknown): unknown => (isList(list) && list.length === 0 ? undefined : list);
        const { score, margin, confidence } = details;
        requireParts(
            {
                ...details,
                group: this.group,
                score: measured(score),
                margin: measured(margin),
                confidence: measured(confidence),
            },
            d,
            where,
        );
        this.judged = details.verdict !== undefined && details.summary?.estimate !== undefined;
        this.score = Float64Array.from(details.score ?? []);
        this.margin = Float64Array.from(details.margin ?? []);
        this.confidence = Float64Array.from(details.confidence ?? []);
        this.source = sideOf(details.source);
        this.target = sideOf(details.target);
        this.statistic = details.method?.statistic ?? "none";
        this.lambda = details.method?.lambda ?? 0;
        this.rows = details.method?.rows ?? 0;
        this.sites = Object.freeze((details.method?.sites ?? []).map(siteOf));
        this.hidden = details.hidden === undefined ? undefined : Hidden.from(details.hidden, where);
        let signFlips = 0,
            undetermined = 0,
            identity = true;
        for (let i = 0; i < d; ++i) {
            if (this.sign[i] === -1) ++signFlips;
            if (this.sign[i] === 0) ++undetermined;
            identity &&= this.perm[i] === i && this.sign[i] === 1;
        }
        this.summary = Object.freeze({
            estimate: rounded((this.judged ? details.summary?.estimate : undefined) ?? 1),
            agreement: rounded((this.judged ? details.summary?.agreement : undefined) ?? 1),
            mean_score: rounded(mean(this.score)),
            sign_flips: signFlips,
            undetermined,
            identity,
        });
        if (new.target === Gauge) Object.freeze(this);
    }

    static identity(d: number): Gauge {
        if (!Number.isSafeInteger(d) || d < 0)
            throw refusal("invalidGauge", "gauge", `d is ${d}; it must be a whole number`);
        return new Gauge(
            Uint32Array.from({ length: d }, (_, i) => i),
            new Int8Array(d).fill(1),
        );
    }

    /**
     * A gauge from a gauge file's text, its parsed JSON, or another gauge. Only format, version, d, group, perm and sign are required.
     * `where` names the file in messages. Throws RegaugeError: usage (a promise, a file's bytes), malformed, unsupported (a later version), invalidGauge (also when the
     * fingerprint disagrees).
     */
    static from(json: string | object, where = "gauge"): Gauge {
        if (json instanceof Gauge) return json;
        const file = parseGauge(json, where);
        const hasFingerprint = file.fingerprint !== undefined;
        // Without its fingerprint, the verdict need not be of this perm and sign.
        const gauge = new Gauge(file.perm, file.sign, hasFingerprint ? file : { ...file, summary: {} }, where);
        if (hasFingerprint && file.fingerprint !== gauge.fingerprint)
            throw refusal(
                "invalidGauge",
                where,
                "the fingerprint does not fit perm and sign: the file was changed after it was written",
            );
        return gauge;
    }

    /** SHA-256, in hexadecimal, of perm as u32 little-endian followed by sign as i8: the same natively, in Node and in every browser. */
    get fingerprint(): string {
        if (this.#fingerprint === undefined) {
            const bytes = new Uint8Array(5 * this.d);
            const view = new DataView(bytes.buffer);
            this.perm.forEach((channel, i) => view.setUint32(4 * i, channel, true));
            bytes.set(new Uint8Array(this.sign.buffer), 4 * this.d);
            this.#fingerprint = sha256(bytes);
        }
        return this.#fingerprint;
    }

    get isIdentity(): boolean {
        return this.summary.identity;
    }

    /** Q^-1: perm^-1[perm[i]] = i, and the sign goes with its channel. Scores and margins go along; source and target change places. */
    inverse(): Gauge {
        const perm = inverted(this.perm);
        return new Gauge(perm, gathered(this.sign, perm), {
            ...this.#details(),
            score: gathered(this.score, perm),
            margin: gathered(this.margin, perm),
            confidence: gathered(this.confidence, perm),
            source: this.target,
            target: this.source,
            ...(this.hidden ? { hidden: this.hidden.inverse() } : {}),
        });
    }

    /**
     * next * this: first this, then next. (C++ calls it `then`; a JavaScript object with a method of that name would be taken for a promise
     * by `await`.) Throws RegaugeError: dimensionMismatch where d differs, usage where only one has a hidden part.
     */
    andThen(next: Gauge): Gauge {
        requireSameWidth(this, next);
        if ((this.hidden === undefined) !== (next.hidden === undefined))
            throw refusal(
                "usage",
                "gauge",
                `${next.hidden ? "has a" : "has no"} hidden part (heads and neurons), unlike the gauges before it; all must have one ` +
                    "(align(source, target, { hidden: true })), or none",
            );
        const sign = gathered(this.sign, next.perm).map((own, i) => own * next.sign[i]!);
        const judged = this.judged && next.judged,
            estimate = this.summary.estimate * next.summary.estimate;
        return new Gauge(gathered(this.perm, next.perm), sign, {
            group: this.group === next.group ? this.group : "signed",
            verdict: weakest(this.verdict, next.verdict, judged && estimate < leastAligned ? "partial" : "aligned"),
            score: weaker(this.score, next.score, next.perm),
            margin: weaker(this.margin, next.margin, next.perm),
            confidence: weaker(this.confidence, next.confidence, next.perm),
            ...(judged
                ? { summary: { estimate, agreement: Math.min(this.summary.agreement, next.summary.agreement) } }
                : {}),
            source: this.source,
            target: next.target,
            method: { statistic: "composed", rows: Math.min(this.rows, next.rows) },
            ...(this.hidden && next.hidden ? { hidden: this.hidden.andThen(next.hidden) } : {}),
        });
    }

    /**
     * `y[i] = sign[i] * x[perm[i]]`. Of a Float16Array, Float32Array, Float64Array or list of numbers the answer has the same type; of other
     * typed arrays (integers) it is a Float64Array. Of a tensor `{ data, dims }` with the channels in its last axis [..., d] every row is
     * moved, and the answer is `{ ...its type, data, dims }`.
     * Throws RegaugeError: dimensionMismatch, undeterminedSign, wrongDtype (a BigInt64Array, strings).
     */
    apply<Numbers extends Vector>(x: Numbers): Numbers;
    apply(x: Tensor): Tensor;
    apply(x: ArrayLike<number>): Float64Array;
    apply(x: ArrayLike<number> | Tensor): Vector | Tensor {
        if (!isTensor(x)) return this.#moved(x, 1);
        const { data, dims, type } = x;
        const half = type === "float16" && data instanceof Uint16Array;
        const expected = dims.reduce((product, length) => product * length, 1);
        if (dims.at(-1) !== this.d || data.length !== expected)
            throw refusal(
                "dimensionMismatch",
                "tensor",
                `has ${data.length} elements and shape [${dims.join(", ")}], and the gauge moves [..., ${this.d}]`,
            );
        const rows = expected / (this.d || 1);
        return {
            ...(type === undefined ? {} : { type }),
            data: half ? this.#movedBits(data) : this.#moved(data as ArrayLike<number>, rows),
            dims: [...dims],
        };
    }

    /** The same of `rows` vectors that lie one after the other. */
    applyRows<Numbers extends Vector>(x: Numbers, rows: number): Numbers;
    applyRows(x: ArrayLike<number>, rows: number): Float64Array;
    applyRows(x: ArrayLike<number>, rows: number): Vector {
        return this.#moved(x, rows);
    }

    #moved(x: ArrayLike<number>, rows: number): Vector {
        requireNumbers(x, rows * this.d, `the gauge moves ${rows === 1 ? "" : `${rows} rows of `}${this.d}`);
        this.#requireSigns();
        const y = emptyLike(x),
            from = bitsOf(x),
            to = bitsOf(y);
        if (from && to) this.#gatherBits(from, to);
        else this.#gather(x, y);
        return y;
    }

    /** Of float16 as bits. */
    #movedBits(x: Uint16Array): Uint16Array {
        this.#requireSigns();
        const y = new Uint16Array(x.length);
        this.#gatherBits(x, y);
        return y;
    }

    #requireSigns(): void {
        const unknown = this.sign.indexOf(0);
        if (unknown >= 0)
            throw refusal(
                "undeterminedSign",
                "gauge",
                `the sign of target channel ${unknown} is undetermined, so no vector can be moved`,
            );
    }

    #gather(x: ArrayLike<number>, y: Float64Array | number[]): void {
        const { d, perm, sign } = this;
        for (let start = 0; start < x.length; start += d)
            for (let i = 0; i < d; ++i) {
                const value = x[start + perm[i]!]!;
                y[start + i] = sign[i] === 1 ? value : -value;
            }
    }

    /** The same of floats' bits, whose highest is the sign. */
    #gatherBits(x: Bits, y: Bits): void {
        const { d, perm, sign } = this;
        const signBit = 1 << (8 * x.BYTES_PER_ELEMENT - 1);
        for (let start = 0; start < x.length; start += d)
            for (let i = 0; i < d; ++i) {
                const bits = x[start + perm[i]!]!;
                y[start + i] = sign[i] === 1 ? bits : bits ^ signBit;
            }
    }

    /** Where channels of the source are in the target: j -> perm^-1[j]. */
    applyToIndices(channels: readonly number[]): number[] {
        if (!Array.isArray(channels))
            throw refusal("usage", "channels", `expected a list of channels, and found ${String(channels)}`);
        const place = inverted(this.perm);
        return channels.map((channel) => {
            if (!Number.isInteger(channel) || channel < 0 || channel >= this.d)
                throw refusal(
                    "dimensionMismatch",
                    "channels",
                    `${channel} is not a channel of a gauge with d = ${this.d}`,
                );
            return place[channel]!;
        });
    }

    /** How far this gauge agrees with another. Throws RegaugeError(dimensionMismatch). */
    compare(other: Gauge): Agreement {
        requireSameWidth(this, other);
        let permutation = 0,
            sign = 0,
            both = 0;
        for (let i = 0; i < this.d; ++i) {
            const samePlace = this.perm[i] === other.perm[i],
                sameSign = this.sign[i] === other.sign[i];
            if (samePlace) ++permutation;
            if (sameSign) ++sign;
            if (samePlace && sameSign) ++both;
        }
        const share = (count: number): number => (this.d === 0 ? 1 : count / this.d);
        return {
            permutation: share(permutation),
            sign: share(sign),
            both: share(both),
            ...(this.hidden && other.hidden ? { hidden: this.hidden.compare(other.hidden) } : {}),
        };
    }

    /** The gauge file's object, in the file's key order: `JSON.stringify(gauge)` is a gauge file. */
    toJSON(): GaugeJson {
        const list = (key: "score" | "margin" | "confidence"): object =>
            this[key].length === 0 ? {} : { [key]: Array.from(this[key], rounded) };
        const { mean_score, sign_flips, undetermined, identity } = this.summary;
        return {
            format: "regauge-gauge",
            version: 1,
            d: this.d,
            group: this.group,
            perm: Array.from(this.perm),
            sign: Array.from(this.sign),
            ...list("score"),
            ...list("margin"),
            ...list("confidence"),
            ...(this.judged || this.verdict !== "aligned" ? { verdict: this.verdict } : {}),
            summary: this.judged ? this.summary : { mean_score, sign_flips, undetermined, identity },
            source: this.source,
            target: this.target,
            method: { statistic: this.statistic, lambda: this.lambda, rows: this.rows, sites: this.sites, version },
            fingerprint: this.fingerprint,
            ...(this.hidden ? { hidden: this.hidden.toJSON() } : {}),
        };
    }

    /** The gauge file's text. Written once: with the heads and neurons of a large model it is megabytes of numbers. */
    toString(): string {
        return (this.#text ??= JSON.stringify(this));
    }

    #details(): GaugeDetails {
        return {
            group: this.group,
            verdict: this.verdict,
            ...(this.judged ? { summary: this.summary } : {}),
            method: { statistic: this.statistic, lambda: this.lambda, rows: this.rows, sites: this.sites },
        };
    }
}

/** Room for as many numbers, of the type that a moved vector has. */
function emptyLike(x: ArrayLike<number>): Float64Array | number[] {
    if (Array.isArray(x)) return new Array<number>(x.length);
    // of a Float16Array too, whatever made it
    if (isFloats(x)) return new (x.constructor as Float64ArrayConstructor)(x.length);
    return new Float64Array(x.length);
}

/** What a gauge file says of a side. */
const sideOf = ({ name = "", sha256 }: Partial<Side> = {}): Side =>
    Object.freeze({ name, ...(sha256 ? { sha256 } : {}) });

/** What it says of a site. */
const siteOf = (site: Partial<SiteSummary>): SiteSummary =>
    Object.freeze({
        name: site.name ?? "",
        statistic: site.statistic ?? "",
        rows: site.rows ?? 0,
        set_aside: site.set_aside ?? 0,
        mean_score: rounded(site.mean_score ?? 0),
        agreement: rounded(site.agreement ?? 0),
        estimate: rounded(site.estimate ?? 0),
        weight: rounded(site.weight ?? 0),
    });

function checkEntries(perm: ArrayLike<number>, sign: ArrayLike<number>, where: string): void {
    const refuse = (sentence: string): never => {
        throw refusal("invalidGauge", where, sentence);
    };
    for (const list of [perm, sign])
        if (!isList(list)) refuse(`expected lists perm and sign of d whole numbers, and found ${String(list)}`);
    const d = perm.length;
    if (sign.length !== d) refuse(`perm has ${d} entries and sign has ${sign.length}; both must have d`);
    const seen = new Uint8Array(d);
    for (let i = 0; i < d; ++i) {
        const channel = perm[i]!,
            s = sign[i]!;
        if (!Number.isInteger(channel) || channel < 0 || channel >= d)
            refuse(`perm[${i}] is ${channel}; it must be a whole number from 0 to ${d - 1}`);
        if (seen[channel])
            refuse(`perm names channel ${channel} twice (again at entry ${i}); it must be a permutation`);
        seen[channel] = 1;
        if (s !== 1 && s !== -1 && s !== 0) refuse(`sign[${i}] is ${s}; it must be 1, -1 or 0 (undetermined)`);
    }
}

function requireSameWidth(a: Gauge, b: Gauge): void {
    if (!(b instanceof Gauge)) throw refusal("usage", "gauge", `expected a Gauge, and found ${String(b)}`);
    if (a.d !== b.d)
        throw refusal("dimensionMismatch", "", `the gauges act on different widths, d = ${a.d} and d = ${b.d}`);
}

const weakest = (...words: readonly Verdict[]): Verdict =>
    verdicts[Math.max(...words.map((word) => verdicts.indexOf(word)))]!;

/** Refuses gauges of a chain of models of which the evidence says that they are in the wrong order, or twice the same. */
export function requireFollows(first: Gauge, next: Gauge): void {
    const same = (a: Side, b: Side): boolean => a.sha256 !== undefined && a.sha256 !== "" && a.sha256 === b.sha256;
    const reversed = same(next.target, first.source),
        twice = same(first.source, next.source) && same(first.target, next.target);
    if (same(first.target, next.source) || (!reversed && !twice)) return;
    throw refusal(
        "usage",
        "gauge",
        `goes from ${next.source.name} to ${next.target.name}, and what is before it from ${first.source.name} to ${first.target.name}; ` +
            "give gauges in the order in which they are applied, each once",
    );
}

function mean(values: Float64Array): number {
    return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
