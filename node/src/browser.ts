// The package in browsers. node.ts has its types and the words on each call.

import { createApi } from "./api.js";
import { browserPlatform } from "./platform-browser.js";

export * from "./public.js";
export const {
    align,
    transport,
    inspect,
    trace,
    correlation,
    firstRow,
    gains,
    fitMap,
    merge,
    audit,
    ceiling,
    verify,
    activations,
    logits,
    generate,
    steer,
    compose,
    invert,
    compare,
    runCommand,
    dispose,
    workers,
} = /* @__PURE__ */ createApi(browserPlatform);
