// What the calls about models and claims take, and the reports they give: the objects that the command prints with --json.

import type { GaugeInput } from "./gauge.js";
import type { FileInput, TokensInput, VectorInput } from "./inputs.js";
import type { OutputFile } from "./memory-files.js";
import type { JobControl } from "./types.js";

export interface VerifyOptions extends JobControl {
    /** Use only the first sequences. */
    sequences?: number | undefined;
    /** The largest logit difference that counts as the same function; default 0.001. */
    tolerance?: number | undefined;
}

/** How far two models' next-token distributions differ over the same tokens. */
export interface Verification {
    /** max_logit_difference <= tolerance. */
    readonly same_function: boolean;
    /** max |a - b| over positions and vocabulary; null where one of them is not finite. */
    readonly max_logit_difference: number | null;
    /** Over positions, of KL(model || moved), in nats; null where a logit is not finite. */
    readonly max_kl: number | null;
    readonly mean_kl: number | null;
    /** Share of positions with the same most likely token. */
    readonly top_agreement: number;
    readonly positions: number;
    readonly tolerance: number;
}

export interface MergeOptions extends JobControl {
    /** From B's coordinates to A's. */
    gauge: GaugeInput;
    /** w in (1 - w) A + w B, or in A + w (B - BASE); default 0.5. */
    weight?: number | undefined;
    /** Default: "task-vector" where a base is given, else "linear". */
    form?: "linear" | "task-vector" | undefined;
    /** The checkpoint that A and B come from, in A's coordinates or moved there by `baseGauge`. */
    base?: FileInput | undefined;
    /** From the base's coordinates to A's. */
    baseGauge?: GaugeInput | undefined;
    /** Where the merged checkpoint goes (Node). Without it the files are handed back. */
    out?: string | URL | undefined;
    /** Overwrite `out`; use a gauge whose verdict is "unrelated". */
    force?: boolean | undefined;
}

/** What was merged, and the merged files. */
export interface Merged {
    /** The model family. */
    readonly kind: string;
    readonly form: "linear" | "task-vector";
    readonly weight: number;
    readonly d: number;
    /** Tensors that were averaged. */
    readonly averaged: number;
    /** Tensors that are no floats, or that no recipe names: equal in all, kept as they are. */
    readonly equal: number;
    /** Rows of the vocabulary that were merged, where one checkpoint's is longer; 0 where they are alike. */
    readonly shared_rows: number;
    /** Of all tensors. */
    readonly bytes: number;
    /** Fingerprint. */
    readonly gauge: string;
    /** With A's names; empty where they were written to `out`. */
    readonly files: readonly OutputFile[];
}

export interface AuditOptions extends JobControl {
    /** One gauge more, for its own numbers and the statement relative to it. */
    gauge?: GaugeInput | undefined;
    /** Of the top-k channels by |value|; default 10. */
    k?: number | undefined;
    /** Random gauges to draw; default 1000. */
    gauges?: number | undefined;
    /** Of the random gauges; default 0. */
    seed?: number | undefined;
    /** Width of the residual stream, where a list of channels is given without a gauge. */
    d?: number | undefined;
    /** What it is, where its content does not tell: "vector" or "neurons". */
    kind?: string | undefined;
}

/** Between a claim and what is true of the moved model; null where the number has no meaning (no signs stated, all values equal). */
export interface Survival<Value> {
    /** Jaccard index of the top-k channels by |value|. */
    readonly overlap: Value | null;
    /** Spearman's, of |value| over all channels. */
    readonly rank_correlation: Value | null;
    /** Share of the top-k whose stated sign is right once the channel itself is found. */
    readonly sign_agreement: Value | null;
}

/** Over the random gauges: mean, 5th and 95th percentile. */
export interface Spread {
    readonly mean: number;
    readonly p5: number;
    readonly p95: number;
}

export interface AuditedGauge {
    readonly fingerprint: string;
    readonly source: string;
    readonly target: string;
    readonly not_moved: Survival<number>;
    readonly moved: Survival<number>;
}

/** How far a claim about channel numbers survives random gauges. */
export interface Audit {
    readonly object: string;
    readonly description: string;
    readonly d: number;
    readonly k: number;
    /** Vectors in the object, or 1 list; the numbers are means over them. */
    readonly claims: number;
    readonly gauges: number;
    readonly seed: number;
    /** The claim read in the moved model as it stands. */
    readonly not_moved: Survival<Spread>;
    /** Transported: 1. */
    readonly moved: Survival<Spread>;
    /** Expected where nothing survives. */
    readonly chance: Survival<number>;
    /** The gauge that was given. */
    readonly gauge?: AuditedGauge;
    /** Every `moved` is exactly 1. */
    readonly survives: boolean;
    /** To paste into a paper. */
    readonly statement: string;
    /** What `not_moved` summarises: [gauges] numbers each, in the order they were drawn; null as there. */
    readonly drawn: Survival<Float32Array>;
}

export interface CeilingOptions extends JobControl {
    /** Channels; default 128. */
    d?: number | undefined;
    /** Paired rows; default 1024. */
    rows?: number | undefined;
    /** Standard deviation of the target's noise; channels have 1. Default 0.5. */
    noise?: number | undefined;
    /** Positive fractions 0, 1/steps, ..., 1; default 10. */
    steps?: number | undefined;
    seed?: number | undefined;
    /** The answer does not depend on it. */
    threads?: number | undefined;
}

/** Shares of channels matched right where a share `positive` of the signs is positive. */
export interface CeilingPoint {
    readonly positive: number;
    /** Raw signed matching: at most `positive`, but for chance. */
    readonly permutation_only: number;
    readonly sign_marginalized: number;
}

export interface Ceiling {
    readonly d: number;
    readonly rows: number;
    readonly noise: number;
    readonly seed: number;
    readonly points: readonly CeilingPoint[];
}

/** A vector that is added to the residual stream of every token: residual += strength * vector. */
export interface SteeringOptions extends JobControl {
    /** [d]; without it nothing is added. */
    vector?: VectorInput | undefined;
    /** Which vector of a file that holds several, from 0. */
    row?: number | undefined;
    /** "resid.0" is the embedding, "resid.l" what layer l - 1 puts out (hook_resid_pre of layer l). Needed where there is a vector. */
    site?: string | undefined;
    /** Default 1. */
    strength?: number | undefined;
}

/** What a model says after each token. */
export interface Logits {
    readonly tokens: number;
    readonly vocabulary: number;
    /** [tokens, vocabulary], row-major. */
    readonly values: Float32Array;
}

export interface GenerateOptions extends SteeringOptions {
    /** Tokens to add; default 40. */
    length?: number | undefined;
    /** Default 0: the most likely token each time. */
    temperature?: number | undefined;
    /** Of the sampling; one random number a token, so that two models are asked alike. Default 0. */
    seed?: number | undefined;
}

export interface Continuation {
    readonly tokens: readonly number[];
    /** Of each token, in nats, at temperature 1. */
    readonly log_probabilities: readonly number[];
    /** Where a tokenizer.json or a GGUF vocabulary lies beside the model; `steer` takes the source's. */
    readonly text?: string;
}

export interface SteerOptions extends GenerateOptions {
    vector: VectorInput;
    site: string;
    /** From the source's coordinates to the target's. */
    gauge: GaugeInput;
    /** Token ids; of several sequences the first. */
    prompt: TokensInput;
    /** How many tokens stand for what the vector promotes; default 10. */
    promoted?: number | undefined;
}

/** One model with one vector, or with none. */
export interface SteerArm {
    readonly name: "source" | "source-steered" | "target" | "target-moved" | "target-permuted" | "target-not-moved";
    /** Mean rise of the promoted tokens' log-probability over the same model without the vector, in nats. */
    readonly effect: number;
    /** Correlation, over the vocabulary, of the rises with those in the source. */
    readonly agreement: number;
    readonly continuation: Continuation;
}

/** A prompt continued by both models with a vector and without, and what the vector does. */
export interface SteerReport {
    readonly site: string;
    readonly strength: number;
    /** Over which effects are means. */
    readonly positions: number;
    /**
     * The tokens whose log-probability the vector raises most in the source, in nats, the largest rise first; with
     * their text where a vocabulary lies beside the source model.
     */
    readonly promoted: readonly { readonly token: number; readonly rise: number; readonly text?: string }[];
    /** In the order of SteerArm's names. */
    readonly arms: readonly SteerArm[];
}
