// Why regauge's engine or its worker cannot start: the surroundings, and no defect.

import { refusal, RegaugeError } from "./error.js";

/** What it needs in Node, and in what takes Node's place. */
export const inNode =
    "its files must lie beside one another as installed: leave regauge out of server bundles (Next.js: serverExternalPackages: " +
    '["regauge"]; others: external), and let Deno read them (--allow-read)';

/** What it needs in browsers. */
export const inBrowsers =
    "its worker and .wasm files must be where the package has them, and the page's content security policy allow them (script-src 'self' " +
    "'wasm-unsafe-eval'; worker-src 'self'): bundle regauge or serve its dist folder from the page's own origin; from another one, such as a " +
    "CDN's, that must allow it (CORS), and the policy the origin and worker-src blob:";

/** What else keeps Node from starting a worker, by what it then says, and what it needs. */
const besidesFiles: readonly (readonly [RegExp, string])[] = [
    [/\buv_cwd\b/, "the current directory is not there any more: change to one that is"],
    [/\bEAGAIN\b/, "the system gives it no more threads: raise the limit on processes"],
];

/** A refusal where the worker or the engine could not be loaded; refusals stay as they are. */
export function cannotStart(error: unknown, needs: string): RegaugeError {
    if (error instanceof RegaugeError) return error;
    if (error instanceof RangeError)
        return refusal("tooLarge", "", `there is not enough memory for regauge to start (${error.message})`);
    const reason = error instanceof Error ? error.message : String(error);
    const [, other] = besidesFiles.find(([said]) => said.test(reason)) ?? [];
    return refusal(
        "unsupported",
        "",
        `regauge cannot start here (${reason.split("\n")[0]!.trim()}); ${other ?? needs}`,
    );
}
