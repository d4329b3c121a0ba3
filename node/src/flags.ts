// Messages are the command's, word for word, but for the flags that they advise: a program in JavaScript is told its own options.

import type { CallName } from "./calls.js";

/** Whole command lines and what they stand for here, tried in this order. */
const commandLines: readonly (readonly [RegExp, string])[] = [
    [/'?(?:regauge )?align --hidden'?/g, "align(source, target, { hidden: true })"],
    [/'?regauge align SOURCE TARGET -o gauge\.json'?/g, "align(source, target)"],
    [
        /regauge map SOURCE TARGET --site ([^\s=]+)=T(?: --site \.\.\.)?/g,
        'fitMap(source, target, { sites: [["$1", "T"], ...] })',
    ],
    [/'regauge map(?: SOURCE TARGET -o map\.safetensors)?'/g, "fitMap"],
    [/--site ([^\s=]+)=(\S+) when fitting/g, '{ sites: [["$1", "$2"]] } when fitting'],
    [/--family orthogonal, affine or auto/g, '{ family: "orthogonal" } or "affine", or leave it out'],
    [/transport --dequantize bf16/g, 'transport with { dequantize: "bf16" }'],
    [/one --site/g, "one site only (option sites)"],
    [/move it with --gauge/g, "move it with that gauge"],
];

/** Options by flag, where the name is not the flag's in camel case. */
const renamed: Readonly<Record<string, string>> = { unknown: "copyUnknown", o: "out", output: "out" };

/** Flags that take no value here, or whose value is true here. */
const switches: ReadonlySet<string> = new Set(["force", "unknown", "keep-strength", "dry-run", "hidden"]);

/** Flags that are options of calls; any other is left as it stands. */
const flags = [
    ...["kind", "group", "statistic", "family", "dequantize", "unknown", "force", "keep-strength", "dry-run"],
    ...["site", "rows", "skip-first", "threads", "ridge", "gains", "base", "base-gauge", "weight", "form", "output"],
    ...["gauge", "gauges", "k", "seed", "d", "noise", "steps", "sequences", "tolerance", "row", "strength", "length"],
    ...["temperature", "promoted", "prompt", "vector", "hidden"],
];
/** Words that follow a flag in a sentence and are not its value. */
const prose = ["a", "and", "does", "is", "of", "or", "to", "when", "where", "which", "with", "would"];
const flag = new RegExp(
    `(?<=^|[\\s(';])(?:--(${flags.join("|")})|-(o))(?![\\w-])(?: ((?!(?:${prose.join("|")})\\b)[A-Za-z0-9][\\w.=-]*))?`,
    "g",
);

const callsWithOneSite: ReadonlySet<CallName> = new Set([
    "transport",
    "transportMap",
    "plan",
    "planMap",
    "correlation",
]);

/** The text with the package's options in place of the command's flags. `regauge stats` has no call, so its sentences keep theirs. */
export function inOptions(text: string, call: CallName): string {
    if (text.includes("regauge stats")) return text;
    const known = commandLines.reduce((said, [line, instead]) => said.replace(line, instead), text);
    return known.replace(flag, (_, long: string | undefined, short: string | undefined, value: string | undefined) => {
        const name = long ?? short!;
        const option =
            name === "site" && !callsWithOneSite.has(call)
                ? "sites"
                : (renamed[name] ?? name.replace(/-(\w)/g, (_dash, letter: string) => letter.toUpperCase()));
        if (switches.has(name))
            return `{ ${option}: true }${value === undefined || value === "copy" ? "" : ` ${value}`}`;
        if (value === undefined) return `option ${option}`;
        const given = value === "N" || /^\d/.test(value) ? value : JSON.stringify(value);
        return `{ ${option}: ${option === "sites" ? `[${given}]` : given} }`;
    });
}
