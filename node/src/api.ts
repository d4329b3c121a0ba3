// The calls, for either platform.

import { refusal } from "./error.js";
import type { GaugeJson } from "./gauge-json.js";
import { Gauge, requireFollows, type Agreement, type GaugeInput } from "./gauge.js";
import { Hidden, type HiddenJson, type HiddenReport } from "./hidden.js";
import { Inputs, type EvidenceInput, type FileInput, type ObjectInput, type TokensInput } from "./inputs.js";
import { Maps, type MapsReport } from "./maps.js";
import { gaugeNotFetched, isWebAddress } from "./not-files.js";
import { checkOptions } from "./options.js";
import type { Platform } from "./platform.js";
import { Pool } from "./pool.js";
import type { Answer, Call } from "./protocol.js";
import type {
    Audit,
    AuditOptions,
    Ceiling,
    CeilingOptions,
    Continuation,
    GenerateOptions,
    Logits,
    Merged,
    MergeOptions,
    SteeringOptions,
    SteerOptions,
    SteerReport,
    Survival,
    Verification,
    VerifyOptions,
} from "./reports.js";
import { TracedGauge, type TraceReport } from "./traced-gauge.js";
import type {
    AlignOptions,
    Correlation,
    CorrelationOptions,
    FirstRow,
    FirstRowOptions,
    InspectOptions,
    JobControl,
    MapOptions,
    MatchOptions,
    Moved,
    Plan,
    TraceOptions,
    TransportOptions,
} from "./types.js";

/** The calls; node.ts, which exports them, documents each. */
export interface Api {
    align(source: EvidenceInput, target: EvidenceInput, options?: AlignOptions): Promise<Gauge>;
    fitMap(source: EvidenceInput, target: EvidenceInput, options?: MapOptions): Promise<Maps>;
    transport(object: ObjectInput, gauge: GaugeInput | Maps, options?: TransportOptions): Promise<Moved>;
    inspect(object: ObjectInput, options?: InspectOptions): Promise<Plan>;
    trace(checkpoints: readonly EvidenceInput[], options?: TraceOptions): Promise<TracedGauge>;
    correlation(source: EvidenceInput, target: EvidenceInput, options?: CorrelationOptions): Promise<Correlation>;
    firstRow(file: FileInput, options?: FirstRowOptions): Promise<FirstRow>;
    gains(evidence: EvidenceInput, options?: JobControl): Promise<Map<string, Float32Array>>;
    merge(a: FileInput, b: FileInput, options: MergeOptions): Promise<Merged>;
    audit(object: ObjectInput, options?: AuditOptions): Promise<Audit>;
    ceiling(options?: CeilingOptions): Promise<Ceiling>;
    verify(model: FileInput, moved: FileInput, tokens: TokensInput, options?: VerifyOptions): Promise<Verification>;
    activations(model: FileInput, tokens: TokensInput, options?: JobControl): Promise<File>;
    logits(model: FileInput, tokens: TokensInput, options?: SteeringOptions): Promise<Logits>;
    generate(model: FileInput, prompt: TokensInput, options?: GenerateOptions): Promise<Continuation>;
    steer(source: FileInput, target: FileInput, options: SteerOptions): Promise<SteerReport>;
    compose(...gauges: readonly (GaugeInput | readonly GaugeInput[])[]): Gauge;
    invert(gauge: GaugeInput): Gauge;
    compare(gauge: GaugeInput, reference: GaugeInput): Agreement;
    runCommand(
        args: readonly string[],
        options?: Pick<JobControl, "signal"> & { readonly errIsTerminal?: boolean },
    ): Promise<number>;
    dispose(): Promise<void>;
    workers(): number;
}

export function createApi(platform: Platform): Api {
    const pool = new Pool(platform);

    const gaugeFrom = (input: GaugeInput): Gauge => {
        if ((typeof input === "string" && !input.trimStart().startsWith("{")) || input instanceof URL) {
            if (isWebAddress(input)) throw refusal("usage", String(input), gaugeNotFetched);
            const path = platform.path(input);
            return Gauge.from(platform.readText(path), path);
        }
        return Gauge.from(input);
    };
    const run = (
        call: Call,
        inputs: Inputs,
        control: JobControl,
        outputsInMemory = true,
        spill?: string,
    ): Promise<Answer> =>
        pool.run(call, {
            mounts: inputs.mounts,
            transfer: inputs.transfer,
            outputsInMemory,
            spill,
            onProgress: control.onProgress,
            signal: control.signal,
        });
    const report = async <T>(call: Call, inputs: Inputs, control: JobControl): Promise<T> =>
        JSON.parse((await run(call, inputs, control)).value) as T;
    /** Of a call that hands its numbers over beside its report. */
    const withValues = async <T extends { readonly values: Float32Array }>(
        call: Call,
        inputs: Inputs,
        control: JobControl,
    ): Promise<Omit<T, "values"> & Pick<T, "values">> => {
        const answer = await run(call, inputs, control);
        return { ...(JSON.parse(answer.value) as Omit<T, "values">), values: answer.array! };
    };

    return {
        async align(source, target, options = {}) {
            checkOptions("align", options);
            const { gains = [], hidden = false } = options;
            if (hidden && gains.length > 0)
                throw refusal(
                    "usage",
                    "align",
                    "hidden: true takes two checkpoints, which hold their gains; leave out option gains",
                );
            const inputs = new Inputs(platform, [source, target, ...gains], options.signal);
            const paths = { source: await inputs.add(source, "source"), target: await inputs.add(target, "target") };
            const roles = ["source gains", "target gains"];
            if (hidden) {
                const call: Call = { name: "alignHidden", ...paths, options: matchOptions(options) };
                const found = await report<HiddenAnswer>(call, inputs, options);
                return Gauge.from({
                    ...found.gauge,
                    hidden: Hidden.from(found.gauge.hidden, "gauge", found.report.hidden),
                });
            }
            const more: string[] = [];
            for (const [k, input] of gains.entries()) more.push(await inputs.add(input, roles[k] ?? "gains"));
            const answer = await run(
                { name: "align", ...paths, options: matchOptions(options, more) },
                inputs,
                options,
            );
            return Gauge.from(answer.value);
        },

        async fitMap(source, target, options = {}) {
            checkOptions("fitMap", options);
            const inputs = new Inputs(platform, [source, target], options.signal);
            const call: Call = {
                name: "fitMap",
                source: await inputs.add(source, "source"),
                target: await inputs.add(target, "target"),
                out: "map.safetensors",
                options: mapOptions(options),
            };
            const { value, files } = await run(call, inputs, options);
            const file = new File([files[0]!.blob], "map.safetensors", { type: "application/octet-stream" });
            return Maps.from(file, JSON.parse(value) as MapsReport);
        },

        async transport(object, gauge, options = {}) {
            checkOptions("transport", options);
            const { out, kind, copyUnknown, dequantize, force, site, keepStrength, dryRun } = options;
            const moving = gauge instanceof Maps ? undefined : gaugeFrom(gauge);
            const inputs = new Inputs(
                platform,
                [object, out, ...(gauge instanceof Maps ? [gauge.file] : [])],
                options.signal,
            );
            const path = await inputs.addObject(object, "object", out);
            const maps = gauge instanceof Maps ? await inputs.add(gauge.file, "maps") : "";
            const words = JSON.stringify({ kind, copyUnknown, dequantize, force, site, keepStrength });
            if (dryRun) {
                const plan: Call = moving
                    ? { name: "plan", object: path, gauge: moving.toString(), options: words }
                    : { name: "planMap", object: path, maps, options: words };
                return { plan: await report(plan, inputs, options), files: [], dispose: async () => undefined };
            }
            const goes = {
                object: path,
                out: out === undefined ? besideNothing(path) : platform.path(out),
                options: words,
            };
            const call: Call = moving
                ? { name: "transport", ...goes, gauge: moving.toString() }
                : { name: "transportMap", ...goes, maps };
            const spill = out === undefined && inputs.bytes > memoryForOutputs ? await platform.spillPath() : undefined;
            const answer = await run(call, inputs, options, out === undefined, spill);
            const dispose = async (): Promise<void> => void (spill && platform.removeTemporary(spill));
            return { plan: JSON.parse(answer.value) as Plan, files: answer.files, dispose };
        },

        async inspect(object, options = {}) {
            checkOptions("inspect", options);
            const inputs = new Inputs(platform, [object], options.signal);
            const path = await inputs.addObject(object, "object");
            const words = JSON.stringify({ kind: options.kind });
            return report({ name: "plan", object: path, gauge: "", options: words }, inputs, options);
        },

        async trace(checkpoints, options = {}) {
            checkOptions("trace", options);
            if (!Array.isArray(checkpoints))
                throw refusal("usage", "checkpoints", `expected a list, and found ${String(checkpoints)}`);
            const inputs = new Inputs(platform, checkpoints, options.signal);
            const paths: string[] = [];
            for (const [k, checkpoint] of checkpoints.entries())
                paths.push(await inputs.add(checkpoint, `checkpoint ${k + 1}`));
            const call: Call = { name: "trace", checkpoints: paths, options: matchOptions(options) };
            const found = await report<{ gauge: GaugeJson; trace: TraceReport }>(call, inputs, options);
            return new TracedGauge(found.gauge, found.trace);
        },

        async correlation(source, target, options = {}) {
            checkOptions("correlation", options);
            const inputs = new Inputs(platform, [source, target], options.signal);
            const paths = { source: await inputs.add(source, "source"), target: await inputs.add(target, "target") };
            const { site, ...others } = options;
            const words = matchOptions({ ...others, ...(site === undefined ? {} : { sites: [site] }) });
            return withValues<Correlation>({ name: "correlation", ...paths, options: words }, inputs, options);
        },

        async firstRow(file, options = {}) {
            checkOptions("firstRow", options);
            const inputs = new Inputs(platform, [file], options.signal);
            const call: Call = {
                name: "firstRow",
                file: await inputs.add(file, "file"),
                tensor: options.tensor ?? "",
            };
            return withValues<FirstRow>(call, inputs, options);
        },

        async gains(evidence, options = {}) {
            checkOptions("gains", options);
            const inputs = new Inputs(platform, [evidence], options.signal);
            const call: Call = { name: "gains", evidence: await inputs.add(evidence, "evidence") };
            const answer = await run(call, inputs, options);
            const { names } = JSON.parse(answer.value) as { names: string[] };
            const values = answer.array!;
            const d = values.length / names.length;
            return new Map(names.map((name, k) => [name, values.slice(k * d, (k + 1) * d)]));
        },

        async merge(a, b, options) {
            checkOptions("merge", options);
            const { gauge, weight, form, base, baseGauge, out, force } = options;
            const inputs = new Inputs(platform, [a, b, base, out], options.signal);
            const paths = { a: await inputs.add(a, "A"), b: await inputs.add(b, "B") };
            const words = {
                weight,
                form,
                force,
                ...(base === undefined ? {} : { base: await inputs.add(base, "base") }),
                ...(baseGauge === undefined ? {} : { baseGauge: gaugeFrom(baseGauge).toString() }),
            };
            const call: Call = {
                name: "merge",
                ...paths,
                gauge: gaugeFrom(gauge).toString(),
                out: out === undefined ? besideNothing(paths.a) : platform.path(out),
                options: JSON.stringify(words),
            };
            const answer = await run(call, inputs, options, out === undefined);
            return { ...(JSON.parse(answer.value) as Omit<Merged, "files">), files: answer.files };
        },

        async audit(object, options = {}) {
            checkOptions("audit", options);
            const { gauge, kind, k, gauges, seed, d } = options;
            const inputs = new Inputs(platform, [object], options.signal);
            const call: Call = {
                name: "audit",
                object: await inputs.addObject(object, "object"),
                gauge: gauge === undefined ? "" : gaugeFrom(gauge).toString(),
                options: JSON.stringify({ kind, k, gauges, seed, d }),
            };
            const answer = await run(call, inputs, options);
            const found = JSON.parse(answer.value) as Omit<Audit, "drawn">;
            return { ...found, drawn: drawnOf(answer.array!, found.not_moved) };
        },

        async ceiling(options = {}) {
            checkOptions("ceiling", options);
            const { d, rows, noise, steps, seed, threads } = options;
            const call: Call = { name: "ceiling", options: JSON.stringify({ d, rows, noise, steps, seed, threads }) };
            return report(call, new Inputs(platform, []), options);
        },

        async verify(model, moved, tokens, options = {}) {
            checkOptions("verify", options);
            const { sequences, tolerance } = options;
            const inputs = new Inputs(platform, [model, moved, tokens], options.signal);
            const call: Call = {
                name: "verify",
                model: await inputs.add(model, "model"),
                moved: await inputs.add(moved, "moved"),
                tokens: await inputs.addTokens(tokens, "tokens"),
                options: JSON.stringify({ sequences, tolerance }),
            };
            return report(call, inputs, options);
        },

        async activations(model, tokens, options = {}) {
            checkOptions("activations", options);
            const inputs = new Inputs(platform, [model, tokens], options.signal);
            const call: Call = {
                name: "activations",
                model: await inputs.add(model, "model"),
                tokens: await inputs.addTokens(tokens, "tokens"),
                out: besideNothing("evidence.safetensors"),
            };
            const [evidence] = (await run(call, inputs, options)).files;
            return new File([evidence!.blob], evidence!.name);
        },

        async logits(model, tokens, options = {}) {
            checkOptions("logits", options);
            const inputs = new Inputs(platform, [model, tokens, options.vector], options.signal);
            const call: Call = {
                name: "logits",
                model: await inputs.add(model, "model"),
                tokens: await inputs.addTokens(tokens, "tokens"),
                options: JSON.stringify(await steeringWords(inputs, options)),
            };
            return withValues<Logits>(call, inputs, options);
        },

        async generate(model, prompt, options = {}) {
            checkOptions("generate", options);
            const inputs = new Inputs(platform, [model, prompt, options.vector], options.signal);
            const call: Call = {
                name: "generate",
                model: await inputs.add(model, "model"),
                prompt: await inputs.addTokens(prompt, "prompt"),
                options: JSON.stringify(await steeringWords(inputs, options)),
            };
            return report(call, inputs, options);
        },

        async steer(source, target, options) {
            checkOptions("steer", options);
            const inputs = new Inputs(platform, [source, target, options.vector, options.prompt], options.signal);
            const call: Call = {
                name: "steer",
                source: await inputs.add(source, "source"),
                target: await inputs.add(target, "target"),
                gauge: gaugeFrom(options.gauge).toString(),
                prompt: await inputs.addTokens(options.prompt, "prompt"),
                options: JSON.stringify({ ...(await steeringWords(inputs, options)), promoted: options.promoted }),
            };
            return report(call, inputs, options);
        },

        compose(...gauges) {
            const list = gauges.flat().map(gaugeFrom);
            const [first, ...others] = list;
            if (!first) throw refusal("usage", "", "compose needs at least one gauge");
            return others.reduce((composed, next) => {
                requireFollows(composed, next);
                return composed.andThen(next);
            }, first);
        },

        invert: (gauge) => gaugeFrom(gauge).inverse(),

        compare: (gauge, reference) => gaugeFrom(gauge).compare(gaugeFrom(reference)),

        async runCommand(args, options = {}) {
            checkOptions("runCommand", options);
            if (!Array.isArray(args) || !args.every((word) => typeof word === "string"))
                throw refusal("usage", "runCommand", "expected a list of words");
            const call: Call = { name: "run", args, errIsTerminal: options.errIsTerminal ?? false };
            const answer = await run(call, new Inputs(platform, []), { signal: options.signal }, false);
            return Number(answer.value);
        },

        dispose: () => pool.dispose(),
        workers: () => pool.size,
    };
}

/** What alignHidden answers. */
interface HiddenAnswer {
    readonly gauge: GaugeJson & { readonly hidden: HiddenJson };
    readonly report: { readonly hidden: HiddenReport };
}

/** Outputs of inputs larger than this are not held in memory where there is another place. */
const memoryForOutputs = 64 * 2 ** 20;

/** Where an output goes that is handed back: the object's own name, in a folder that nobody has. */
function besideNothing(path: string): string {
    return `.regauge-moved/${path.replace(/\/+$/, "").split("/").at(-1)!}`;
}

/** [gauges, 3] numbers as columns; a number that the report has not has no column either. */
function drawnOf(numbers: Float32Array, reported: Survival<unknown>): Survival<Float32Array> {
    const column = (k: number, of: unknown): Float32Array | null =>
        of === null ? null : numbers.filter((_, at) => at % 3 === k);
    return {
        overlap: column(0, reported.overlap),
        rank_correlation: column(1, reported.rank_correlation),
        sign_agreement: column(2, reported.sign_agreement),
    };
}

/** What is added, where, how strongly, and how a prompt is continued; only what C++ knows. */
async function steeringWords(
    inputs: Inputs,
    { vector, row, site, strength, length, temperature, seed }: GenerateOptions,
): Promise<object> {
    if (vector !== undefined && site === undefined)
        throw refusal("usage", "", "option site says where the vector is added: resid.0, resid.1, ...");
    return {
        row,
        site,
        strength,
        length,
        temperature,
        seed,
        ...(vector === undefined ? {} : { vector: await inputs.addVector(vector, "vector") }),
    };
}

function mapOptions({ family, sites, ridge, rows, skipFirst, threads }: MapOptions): string {
    return JSON.stringify({ family, sites, ridge, rows, skipFirst, threads });
}

/** Only what C++ knows; undefined drops out. */
function matchOptions(
    { group, statistic, sites, rows, skipFirst, threads }: MatchOptions,
    gains: readonly string[] = [],
): string {
    return JSON.stringify({
        group,
        statistic,
        sites,
        rows,
        skipFirst,
        threads,
        ...(gains.length > 0 ? { gains } : {}),
    });
}
