// What the calls take and give.

import type { Group, Statistic } from "./gauge-json.js";
import type { EvidenceInput } from "./inputs.js";
import type { MapFamily } from "./maps.js";
import type { OutputFile } from "./memory-files.js";
import type { ProgressReport } from "./protocol.js";

/** Every long call can be watched and stopped. */
export interface JobControl {
    /** Called about twenty times a second while the job runs. */
    onProgress?: ((progress: ProgressReport) => void) | undefined;
    /** Stops the job: it rejects with the signal's reason, and nothing is left behind. */
    signal?: AbortSignal | undefined;
}

/** How evidence is matched; the words are the command's. */
export interface MatchOptions {
    /** Default "signed". */
    group?: Group | undefined;
    /** Default "auto". */
    statistic?: Statistic | undefined;
    /** Default: every site that both sides have. */
    sites?: readonly string[] | undefined;
    /** Use only the first `rows` rows of each site. */
    rows?: number | undefined;
    /** Leave out the first rows of each sequence (BOS). */
    skipFirst?: number | undefined;
    /** The answer does not depend on it. Default: the processors there are, at most 16, shared by the jobs under way; 1 in a page that is not cross-origin isolated. */
    threads?: number | undefined;
}

export interface TraceOptions extends MatchOptions, JobControl {}

export interface AlignOptions extends TraceOptions {
    /** More RMSNorm gains: of the source, and of the target. */
    gains?: readonly [EvidenceInput, EvidenceInput] | undefined;
    /**
     * Match MLP neurons and attention heads of every layer, too: source and target are checkpoints of one architecture (folders with
     * config.json and safetensors). The gauge's `hidden` has them, and `hidden.report` says how much of the target's weights the source
     * explains. Default false.
     */
    hidden?: boolean | undefined;
}

export interface MapOptions extends JobControl {
    /** Default: the lowest rung that is not worse than the best by more than the rows can tell. */
    family?: MapFamily | undefined;
    /** Pairs of source and target sites. Default: for each source site the target site that knows most of it. */
    sites?: readonly (readonly [string, string])[] | undefined;
    /** The penalty of affine maps in the units of scikit-learn's alpha. Default: from the data. */
    ridge?: number | undefined;
    rows?: number | undefined;
    skipFirst?: number | undefined;
    threads?: number | undefined;
}

export interface CorrelationOptions extends JobControl {
    /** Default: the first site that both sides have. */
    site?: string | undefined;
    rows?: number | undefined;
    skipFirst?: number | undefined;
    threads?: number | undefined;
}

/** Pearson correlations of source and target channels over paired rows. */
export interface Correlation {
    readonly d: number;
    readonly site: string;
    /** Rows summed. */
    readonly rows: number;
    /** d x d, row-major: `values[i * d + j]` = r(target channel i, source channel j); 0 where a channel is constant. */
    readonly values: Float32Array;
}

export interface FirstRowOptions extends JobControl {
    /** Which tensor, in a file that holds several. */
    tensor?: string | undefined;
}

/** The first vector along a tensor's last axis. */
export interface FirstRow {
    readonly tensor: string;
    /** Of the tensor. */
    readonly shape: readonly number[];
    readonly values: Float32Array;
}

/** How one axis moves: odd `out[i] = sign[i] * in[perm[i]]`, even without the sign, index `j -> perm^-1[j]`, copy not at all. */
export type Action = "odd" | "even" | "index" | "copy";

export interface TensorMove {
    readonly name: string;
    readonly dtype: string;
    readonly shape: readonly number[];
    /** Empty for a tensor that is copied. */
    readonly moves: readonly {
        readonly axis: number;
        readonly action: Action;
        /** Residual streams that the axis holds, one after the other, each of which moves; absent where it is one. */
        readonly blocks?: number;
    }[];
    /** "reads the residual stream". */
    readonly why: string;
}

/** What an object is and how each of its tensors moves. */
export interface Plan {
    /** "saelens", "vector", "activations", "llama", ... */
    readonly kind: string;
    readonly description: string;
    readonly d: number;
    readonly tensors: readonly TensorMove[];
    /** Tensors that no rule names: transport refuses them. */
    readonly unknown: readonly string[];
    /** Why signs are not a symmetry here; absent where they are. */
    readonly permutation_only?: string;
}

export interface InspectOptions extends JobControl {
    /** What it is, where its content does not tell. */
    kind?: string | undefined;
}

export interface TransportOptions extends InspectOptions {
    /** Where the moved object goes (Node). Without it the moved files are handed back. */
    out?: string | URL | undefined;
    /** Overwrite `out`; use a gauge whose verdict is "unrelated". */
    force?: boolean | undefined;
    /** Copy tensors that no recipe names, instead of refusing them. */
    copyUnknown?: boolean | undefined;
    /** Write quantised weights (GGUF blocks, FP8) as these floats; without it, blocks along the residual axis are refused. */
    dequantize?: "bf16" | "f16" | "f32" | undefined;
    /**
     * With maps: which of them, "resid.8=resid.12". With a gauge that has a hidden part: the hook that the object lives on, where it does not
     * say so itself, "blocks.3.mlp.hook_post".
     */
    site?: string | undefined;
    /** With maps: scale directions to the strength that they had, in standard deviations of the stream. */
    keepStrength?: boolean | undefined;
    /** Only say how each tensor would move. */
    dryRun?: boolean | undefined;
}

/** A moved object. */
export interface Moved {
    readonly plan: Plan;
    /**
     * The moved files; empty where they were written to `out`, and after a dry run. In browsers, those of a large object lie on disk, in the
     * origin's private file system, and not in memory.
     */
    readonly files: readonly OutputFile[];
    /** Frees what a browser keeps of the files on disk; they can no longer be read. Closing the page does the same. */
    dispose(): Promise<void>;
}
