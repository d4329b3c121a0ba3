// The calls of wasm/bindings.cpp: one table. The protocol's `Call`, the engine's dispatch and the module's generated types follow from it
// or are checked against it by tsc; tests/js/calls.test.mjs compares the bindings' own names and the package's exports.

/** The parameters of each call after the host, in order. Paths are names of mounts or, in Node, files on disk; options are JSON. */
export const calls = {
    align: ["source", "target", "options"],
    alignHidden: ["source", "target", "options"],
    trace: ["checkpoints", "options"],
    transport: ["object", "gauge", "out", "options"],
    plan: ["object", "gauge", "options"],
    correlation: ["source", "target", "options"],
    firstRow: ["file", "tensor"],
    gains: ["evidence"],
    fitMap: ["source", "target", "out", "options"],
    transportMap: ["object", "maps", "out", "options"],
    planMap: ["object", "maps", "options"],
    merge: ["a", "b", "gauge", "out", "options"],
    audit: ["object", "gauge", "options"],
    ceiling: ["options"],
    verify: ["model", "moved", "tokens", "options"],
    activations: ["model", "tokens", "out"],
    logits: ["model", "tokens", "options"],
    generate: ["model", "prompt", "options"],
    steer: ["source", "target", "gauge", "prompt", "options"],
} as const;

export type CallName = keyof typeof calls;

/** What is no text. */
interface Values {
    checkpoints: string[];
}
type ValueOf<Parameter> = Parameter extends keyof Values ? Values[Parameter] : string;

type ValuesOf<Parameters extends readonly string[]> = { -readonly [K in keyof Parameters]: ValueOf<Parameters[K]> };

/** The arguments of a call, in order. */
export type Arguments<Name extends CallName> = ValuesOf<(typeof calls)[Name]>;

/** A call's arguments by name. */
type Named<Name extends CallName> = { readonly [K in (typeof calls)[Name][number]]: ValueOf<K> };

/** One call: its name and its arguments. */
export type ModuleCall = { [Name in CallName]: { readonly name: Name } & Named<Name> }[CallName];

/** The arguments of a call in the table's order. */
export function argumentsOf<Name extends CallName>(call: Extract<ModuleCall, { name: Name }>): Arguments<Name> {
    const named = call as unknown as Record<string, unknown>;
    return calls[call.name as Name].map((parameter) => named[parameter]) as Arguments<Name>;
}
