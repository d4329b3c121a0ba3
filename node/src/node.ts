// The package in Node.

import { createApi } from "./api.js";
import { nodePlatform } from "./platform-node.js";

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
} = /* @__PURE__ */ createApi(nodePlatform);
