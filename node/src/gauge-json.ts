// The gauge file: its JSON object and its checks, as core/src/gauge_file/gauge_json.cpp has them.

import { refusal, shown } from "./error.js";
import type { Hidden, HiddenJson } from "./hidden.js";
import { isList } from "./lists.js";
import { whyNotGauge } from "./not-files.js";

export const groups = ["signed", "permutation", "layernorm"] as const;
/** signed: B_d, what RMSNorm leaves free; permutation: S_d, the baseline; layernorm: S_d and one global sign. */
export type Group = (typeof groups)[number];

export const statistics = ["auto", "correlation", "whitened"] as const;
export type Statistic = (typeof statistics)[number];

/** From sure to unsure. */
export const verdicts = ["aligned", "partial", "unrelated"] as const;
export type Verdict = (typeof verdicts)[number];
/** "aligned" says that at least this share of the channels is estimated right. */
export const leastAligned = 0.9;

/** "signed, permutation or layernorm". */
const either = (words: readonly string[]): string => `${words.slice(0, -1).join(", ")} or ${words.at(-1)!}`;

export interface Side {
    readonly name: string;
    readonly sha256?: string;
}

/** What one site said on its own. */
export interface SiteSummary {
    /** A site, or "gains". */
    readonly name: string;
    readonly statistic: string;
    readonly rows: number;
    /** Massive rows (BOS, attention sinks) that were left out. */
    readonly set_aside: number;
    readonly mean_score: number;
    /** Of the answers of two halves of its rows, as a fraction. */
    readonly agreement: number;
    /** Estimated share of right channels if it were used alone. */
    readonly estimate: number;
    /** In the fused score; 0: left out. */
    readonly weight: number;
}

export interface Summary {
    /** Estimated share of right channels. */
    readonly estimate: number;
    /** Of the answers of two halves of the rows, as a fraction. */
    readonly agreement: number;
    readonly mean_score: number;
    /** Channels with sign -1. */
    readonly sign_flips: number;
    /** Channels with sign 0. */
    readonly undetermined: number;
    readonly identity: boolean;
}

/** A gauge file. */
export interface GaugeJson {
    readonly format: "regauge-gauge";
    readonly version: 1;
    readonly d: number;
    readonly group: Group;
    readonly perm: readonly number[];
    readonly sign: readonly number[];
    readonly score?: readonly number[];
    readonly margin?: readonly number[];
    readonly confidence?: readonly number[];
    readonly verdict?: Verdict;
    readonly summary?: Partial<Summary>;
    readonly source?: Side;
    readonly target?: Side;
    readonly method?: {
        readonly statistic?: string;
        readonly lambda?: number;
        readonly rows?: number;
        readonly sites?: readonly SiteSummary[];
        readonly version?: string;
    };
    readonly fingerprint?: string;
    /** Heads and neurons; a Hidden stands for its JSON. */
    readonly hidden?: HiddenJson | Hidden;
}

/** Numbers that are believed. */
interface Range {
    readonly low: number;
    readonly high: number;
    readonly words: string;
}
const share: Range = { low: 0, high: 1, words: "a number from 0 to 1" };
const magnitude: Range = { low: -1e12, high: 1e12, words: "a number within 10^12 of 0" };
const count: Range = { low: 0, high: Number.MAX_SAFE_INTEGER, words: "a whole number" };

const within = (value: unknown, range: Range): boolean =>
    typeof value === "number" &&
    value >= range.low &&
    value <= range.high &&
    (range !== count || Number.isInteger(value));

type Kind = "text" | "boolean" | Range;

/** What the parts of a gauge file hold, where they hold it. */
const side = { name: "text", sha256: "text" } as const;
const site = {
    name: "text",
    statistic: "text",
    rows: count,
    set_aside: count,
    mean_score: magnitude,
    agreement: share,
    estimate: share,
    weight: magnitude,
} as const;
const parts: Readonly<Record<string, Readonly<Record<string, Kind>>>> = {
    summary: {
        estimate: share,
        agreement: share,
        mean_score: magnitude,
        sign_flips: count,
        undetermined: count,
        identity: "boolean",
    },
    source: side,
    target: side,
    method: { statistic: "text", lambda: magnitude, rows: count, version: "text" },
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
    typeof value === "object" && value !== null && !Array.isArray(value);

/** Throws RegaugeError(malformed). */
function requireOneOf(key: string, value: unknown, words: readonly string[], where: string): void {
    if (!words.includes(value as string))
        throw refusal("malformed", where, `"${key}" is ${shown(value)}; it must be ${either(words)}`);
}

/** Checks what a gauge of d channels says beside its perm, its sign and its hidden part. Throws RegaugeError(malformed). */
export function requireParts(gauge: Readonly<Record<string, unknown>>, d: number, where: string): void {
    const malformed = (sentence: string): never => {
        throw refusal("malformed", where, sentence);
    };
    requireOneOf("group", gauge["group"], groups, where);
    requireOneOf("verdict", gauge["verdict"] === undefined ? "aligned" : gauge["verdict"], verdicts, where);
    for (const key of ["score", "margin", "confidence"]) {
        const list = gauge[key];
        if (
            list !== undefined &&
            !(isList(list) && list.length === d && Array.from(list).every((value) => within(value, magnitude)))
        )
            malformed(`"${key}" must be a list of d numbers`);
    }
    const check = (of: Readonly<Record<string, unknown>>, expected: Readonly<Record<string, Kind>>): void => {
        for (const [key, kind] of Object.entries(expected)) {
            const value = of[key];
            if (value === undefined) continue;
            if (typeof kind === "object") {
                if (!within(value, kind)) malformed(`"${key}" holds ${shown(value)}; it must be ${kind.words}`);
            } else if (typeof value !== (kind === "text" ? "string" : kind))
                malformed(`"${key}" has the wrong type: ${shown(value)}`);
        }
    };
    for (const [key, expected] of Object.entries(parts)) {
        const part = gauge[key];
        if (part === undefined) continue;
        if (!isObject(part)) return malformed(`"${key}" has the wrong type: ${shown(part)}`);
        check(part, expected);
        const sites = key === "method" ? part["sites"] : undefined;
        if (sites === undefined) continue;
        if (!Array.isArray(sites) || !sites.every(isObject)) return malformed('"sites" must be a list of objects');
        for (const one of sites) check(one, site);
    }
}

/** Checks everything but the entries of perm and sign and the hidden part, which a Gauge checks. Throws RegaugeError: usage (a file's contents), malformed, unsupported, invalidGauge. */
export function parseGauge(json: string | object, where: string): GaugeJson {
    const malformed = (sentence: string): never => {
        throw refusal("malformed", where, sentence);
    };
    let parsed: unknown = json;
    if (typeof json === "string") {
        try {
            parsed = JSON.parse(json.replace(/^\uFEFF/, "")); // a byte order mark
        } catch {
            malformed("a gauge file is JSON, and this is not");
        }
    }
    const why = whyNotGauge(parsed);
    if (why !== undefined) throw refusal("usage", where, why);
    if (typeof parsed !== "object" || parsed === null || !("format" in parsed) || parsed.format !== "regauge-gauge")
        malformed('not a gauge file: expected a JSON object with "format": "regauge-gauge"');
    const file = parsed as Readonly<Record<string, unknown>>;
    for (const key of ["version", "d", "group", "perm", "sign"])
        if (!(key in file)) malformed(`a gauge file needs "${key}", and there is none`);
    if (file["version"] !== 1)
        throw refusal(
            "unsupported",
            where,
            `is version ${String(file["version"])} of gauge files, and this regauge reads version 1` +
                (Number(file["version"]) > 1
                    ? "; a later regauge wrote it, so update this one"
                    : "; there is no such version"),
        );
    const d = file["d"];
    if (typeof d !== "number" || !Number.isInteger(d) || d < 0) malformed('"d" must be a whole number');
    for (const key of ["perm", "sign"]) {
        const list = file[key];
        if (!Array.isArray(list) || list.length !== d)
            throw refusal("invalidGauge", where, `"${key}" must be a list of d = ${String(d)} whole numbers`);
    }
    requireParts(file, d as number, where);
    return file as unknown as GaugeJson;
}
