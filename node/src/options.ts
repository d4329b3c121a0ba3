// The options of every call, by name: what is misspelt is refused instead of ignored.

import { refusal, shown } from "./error.js";
import type {
    AuditOptions,
    CeilingOptions,
    GenerateOptions,
    MergeOptions,
    SteeringOptions,
    SteerOptions,
    VerifyOptions,
} from "./reports.js";
import type {
    AlignOptions,
    CorrelationOptions,
    FirstRowOptions,
    InspectOptions,
    JobControl,
    MapOptions,
    TraceOptions,
    TransportOptions,
} from "./types.js";

/** Every option of a type and no other: tsc compares the two. */
type Names<Options> = Readonly<Record<keyof Options, true>>;

const control: Names<JobControl> = { onProgress: true, signal: true };
const match: Names<TraceOptions> = {
    group: true,
    statistic: true,
    sites: true,
    rows: true,
    skipFirst: true,
    threads: true,
    ...control,
};
const steering: Names<SteeringOptions> = { vector: true, row: true, site: true, strength: true, ...control };
const generating: Names<GenerateOptions> = { length: true, temperature: true, seed: true, ...steering };
const known = {
    align: { gains: true, hidden: true, ...match } satisfies Names<AlignOptions>,
    trace: match,
    fitMap: {
        family: true,
        sites: true,
        ridge: true,
        rows: true,
        skipFirst: true,
        threads: true,
        ...control,
    } satisfies Names<MapOptions>,
    transport: {
        out: true,
        kind: true,
        force: true,
        copyUnknown: true,
        dequantize: true,
        site: true,
        keepStrength: true,
        dryRun: true,
        ...control,
    } satisfies Names<TransportOptions>,
    inspect: { kind: true, ...control } satisfies Names<InspectOptions>,
    correlation: {
        site: true,
        rows: true,
        skipFirst: true,
        threads: true,
        ...control,
    } satisfies Names<CorrelationOptions>,
    firstRow: { tensor: true, ...control } satisfies Names<FirstRowOptions>,
    gains: control,
    merge: {
        gauge: true,
        weight: true,
        form: true,
        base: true,
        baseGauge: true,
        out: true,
        force: true,
        ...control,
    } satisfies Names<MergeOptions>,
    audit: {
        gauge: true,
        kind: true,
        k: true,
        gauges: true,
        seed: true,
        d: true,
        ...control,
    } satisfies Names<AuditOptions>,
    ceiling: {
        d: true,
        rows: true,
        noise: true,
        steps: true,
        seed: true,
        threads: true,
        ...control,
    } satisfies Names<CeilingOptions>,
    verify: { sequences: true, tolerance: true, ...control } satisfies Names<VerifyOptions>,
    activations: control,
    logits: steering,
    generate: generating,
    steer: { gauge: true, prompt: true, promoted: true, ...generating } satisfies Names<SteerOptions>,
    runCommand: { signal: true, errIsTerminal: true },
};

/** Options without which a call has nothing to do; of a vector without a site steeringWords says more. */
const needed: Partial<Readonly<Record<keyof typeof known, readonly string[]>>> = {
    merge: ["gauge"],
    steer: ["vector", "gauge", "prompt"],
};

/** An AbortSignal, be it another library's. */
const isSignal = (value: unknown): boolean => {
    if (typeof value !== "object" || value === null) return false;
    const { aborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>;
    return (
        typeof aborted === "boolean" &&
        typeof addEventListener === "function" &&
        typeof removeEventListener === "function"
    );
};

/** What an option should be, where it is something else. */
const kinds: Readonly<Record<string, (value: unknown) => string | undefined>> = {
    // null as fetch takes it
    signal: (value) => (value === null || isSignal(value) ? undefined : "an AbortSignal"),
    onProgress: (value) => (value === null || typeof value === "function" ? undefined : "a function"),
    gains: (value) => (Array.isArray(value) ? undefined : "a list of evidence"),
    out: (value) => (typeof value === "string" || value instanceof URL ? undefined : "a path or a file: URL"),
};

/** Throws RegaugeError(usage) where `options` is no object, or has one that the call does not know. */
export function checkOptions(call: keyof typeof known, options: unknown): void {
    if (typeof options !== "object" || options === null || Array.isArray(options))
        throw refusal("usage", call, `expected an object of options, and found ${shown(options)}`);
    for (const [name, value] of Object.entries(options)) {
        if (value === undefined) continue;
        if (!Object.hasOwn(known[call], name))
            throw refusal("usage", call, `has no option ${name}; it has ${Object.keys(known[call]).sort().join(", ")}`);
        // The rest is checked where it is read, as JSON, which these are not.
        const expected = kinds[name]?.(value) ?? (typeof value === "bigint" ? "a number" : undefined);
        if (expected !== undefined)
            throw refusal("usage", call, `option ${name} is ${shown(value)}; expected ${expected}`);
    }
    for (const name of needed[call] ?? [])
        if ((options as Readonly<Record<string, unknown>>)[name] === undefined)
            throw refusal("usage", call, `needs option ${name}`);
}
