// A gauge that was traced along checkpoints, and how.

import { Gauge } from "./gauge.js";
import { parseGauge, type GaugeJson, type Verdict } from "./gauge-json.js";

/** A pair of checkpoints that was matched, by their places in the series. */
export interface Hop {
    readonly from: number;
    readonly to: number;
    /** Estimated share of right channels. */
    readonly estimate: number;
    /** Of the answers of two halves of the rows, as a fraction. */
    readonly agreement: number;
    readonly verdict: Verdict;
    readonly on_path: boolean;
    /** The share of channels on which it agrees with the path between its two ends; absent on the path itself, and where an end is off it. */
    readonly cycle?: number;
}

/** How a trace went. Shares are estimated fractions of right channels. */
export interface TraceReport {
    /** The checkpoints that the path goes through, first and last included. */
    readonly path: readonly number[];
    /** Every pair that was matched. */
    readonly hops: readonly Hop[];
    /** The hop of the path with the lowest estimate. */
    readonly weakest: { readonly from: number; readonly to: number };
    /** The share of the direct match of the ends. */
    readonly direct: number;
    /** The share of the composition through every checkpoint. */
    readonly hop_by_hop: number;
    /** Share of channels on which the trace and the direct match answer alike. */
    readonly cycle_agreement: number;
}

export class TracedGauge extends Gauge {
    readonly trace: TraceReport;

    /** From what C++ answers. */
    constructor(file: GaugeJson, trace: TraceReport) {
        const { perm, sign, ...details } = parseGauge(file, "gauge");
        super(perm, sign, details);
        const { path, hops, weakest, direct, hop_by_hop, cycle_agreement } = trace;
        this.trace = Object.freeze({ path, hops, weakest, direct, hop_by_hop, cycle_agreement });
        Object.freeze(this);
    }
}
