// The calls, for either platform.

import { refusal } from "./error.js";
import type { GaugeJson } from "./gauge-json.js";
import { Gauge, type Agreement } from "./gauge.js";
import { Inputs, type EvidenceInput, type FileInput } from "./inputs.js";
import type { Platform } from "./platform.js";
import { Pool } from "./pool.js";
import type { Answer, Call } from "./protocol.js";
import { TracedGauge, type TraceReport } from "./traced-gauge.js";
import type {
    AlignOptions, Correlation, CorrelationOptions, InspectOptions, JobControl, MatchOptions, Moved, Plan, TraceOptions, TransportOptions,
} from "./types.js";

/** A gauge, a gauge file's object or text, or the path of a gauge file (Node). */
export type GaugeInput = Gauge | string | URL | object;

export interface Api {
    /**
     * The gauge from the source's coordinates to the target's, from evidence on both sides: `y[i] = sign[i] * x[perm[i]]`. Rows are paired by
     * position. A gauge whose verdict is "unrelated" is an answer, not an error.
     * Rejects with RegaugeError: missingFile, malformed, dimensionMismatch, rowsMismatch, tokensDiffer, notFinite, usage, tooLarge, ...
     */
    align(source: EvidenceInput, target: EvidenceInput, options?: AlignOptions): Promise<Gauge>;

    /** Moves an object (a vector, an SAE, activations: a file or folder in source coordinates) into the target's coordinates. */
    transport(object: FileInput, gauge: GaugeInput, options?: TransportOptions): Promise<Moved>;

    /** What an object is, and how each of its tensors would move. */
    inspect(object: FileInput, options?: InspectOptions): Promise<Plan>;

    /** The gauge from the first of a run's checkpoints to the last, through those between; any of them may be skipped. */
    trace(checkpoints: readonly EvidenceInput[], options?: TraceOptions): Promise<TracedGauge>;

    /** Correlations of every source channel with every target channel at one site: what alignment starts from. */
    correlation(source: EvidenceInput, target: EvidenceInput, options?: CorrelationOptions): Promise<Correlation>;

    /** The gauges one after the other, the first one first. */
    compose(...gauges: readonly (GaugeInput | readonly GaugeInput[])[]): Gauge;

    /** From the target back to the source. */
    invert(gauge: GaugeInput): Gauge;

    /** How far two gauges agree. */
    compare(gauge: GaugeInput, reference: GaugeInput): Agreement;

    /** `regauge args...` with this machine's files and streams; the exit status. Node only. */
    runCommand(args: readonly string[], options?: Pick<JobControl, "signal"> & { readonly errIsTerminal?: boolean }): Promise<number>;

    /** Ends all workers now. Without it, idle ones stay for the next call; they never keep a Node process alive. */
    dispose(): Promise<void>;

    /** Workers that exist now. */
    workers(): number;
}

export function createApi(platform: Platform): Api {
    const pool = new Pool(platform);

    const gaugeFrom = (input: GaugeInput): Gauge => {
        if (typeof input === "string" && !input.trimStart().startsWith("{") || input instanceof URL) {
            const path = platform.path(input);
            return Gauge.from(platform.readText(path), path);
        }
        return Gauge.from(input);
    };
    const run = (call: Call, inputs: Inputs, control: JobControl, outputsInMemory = true): Promise<Answer> =>
        pool.run(call, { mounts: inputs.mounts, transfer: inputs.transfer, outputsInMemory, onProgress: control.onProgress, signal: control.signal });

    return {
        async align(source, target, options = {}) {
            const { gains = [] } = options;
            const inputs = new Inputs(platform, [source, target, ...gains]);
            const paths = { source: await inputs.add(source, "source"), target: await inputs.add(target, "target") };
            const roles = ["source gains", "target gains"];
            const more: string[] = [];
            for (const [k, input] of gains.entries()) more.push(await inputs.add(input, roles[k] ?? "gains"));
            const answer = await run({ name: "align", ...paths, options: matchOptions(options, more) }, inputs, options);
            return Gauge.from(answer.value);
        },

        async transport(object, gauge, options = {}) {
            const { out, kind, copyUnknown, force, dryRun } = options;
            const moving = gaugeFrom(gauge);
            const inputs = new Inputs(platform, [object, out]);
            const path = await inputs.add(object, "object");
            const words = JSON.stringify({ kind, copyUnknown, force });
            if (dryRun) {
                const answer = await run({ name: "plan", object: path, options: words, d: moving.d }, inputs, options);
                return { plan: JSON.parse(answer.value) as Plan, files: [] };
            }
            const call: Call = {
                name: "transport",
                object: path,
                gauge: JSON.stringify(moving),
                out: out === undefined ? besideNothing(path) : platform.path(out),
                options: words,
            };
            const answer = await run(call, inputs, options, out === undefined);
            return { plan: JSON.parse(answer.value) as Plan, files: answer.files };
        },

        async inspect(object, options = {}) {
            const inputs = new Inputs(platform, [object]);
            const path = await inputs.add(object, "object");
            const answer = await run({ name: "plan", object: path, options: JSON.stringify({ kind: options.kind }), d: 0 }, inputs, options);
            return JSON.parse(answer.value) as Plan;
        },

        async trace(checkpoints, options = {}) {
            const inputs = new Inputs(platform, checkpoints);
            const paths: string[] = [];
            for (const [k, checkpoint] of checkpoints.entries()) paths.push(await inputs.add(checkpoint, `checkpoint ${k + 1}`));
            const answer = await run({ name: "trace", checkpoints: paths, options: matchOptions(options) }, inputs, options);
            const { gauge, trace } = JSON.parse(answer.value) as { gauge: GaugeJson; trace: TraceReport };
            return new TracedGauge(gauge, trace);
        },

        async correlation(source, target, options = {}) {
            const inputs = new Inputs(platform, [source, target]);
            const paths = { source: await inputs.add(source, "source"), target: await inputs.add(target, "target") };
            const { site, ...others } = options;
            const words = matchOptions({ ...others, ...(site === undefined ? {} : { sites: [site] }) });
            const answer = await run({ name: "correlation", ...paths, options: words }, inputs, options);
            return { ...(JSON.parse(answer.value) as Omit<Correlation, "values">), values: answer.array! };
        },

        compose(...gauges) {
            const list = gauges.flat().map(gaugeFrom);
            const [first, ...others] = list;
            if (!first) throw refusal("usage", "", "compose needs at least one gauge");
            return others.reduce((composed, next) => composed.andThen(next), first);
        },

        invert: (gauge) => gaugeFrom(gauge).inverse(),

        compare: (gauge, reference) => gaugeFrom(gauge).compare(gaugeFrom(reference)),

        async runCommand(args, options = {}) {
            const call: Call = { name: "run", args, errIsTerminal: options.errIsTerminal ?? false };
            const answer = await run(call, new Inputs(platform, []), { signal: options.signal }, false);
            return Number(answer.value);
        },

        dispose: () => pool.dispose(),
        workers: () => pool.size,
    };
}

/** Where an output goes that is handed back: the object's own name, in a folder that nobody has. */
function besideNothing(path: string): string {
    return `.regauge-moved/${path.replace(/\/+$/, "").split("/").at(-1)!}`;
}

/** Only what C++ knows; undefined drops out. */
function matchOptions({ group, statistic, sites, rows, skipFirst, threads }: MatchOptions, gains: readonly string[] = []): string {
    return JSON.stringify({ group, statistic, sites, rows, skipFirst, threads, ...(gains.length > 0 ? { gains } : {}) });
}
