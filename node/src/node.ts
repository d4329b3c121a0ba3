// The package in Node. Its types are the package's in browsers too: editors show the words above each call.

import { createApi, type Api } from "./api.js";
import { nodePlatform } from "./platform-node.js";

export * from "./public.js";

const api: Api = /* @__PURE__ */ createApi(nodePlatform);

/**
 * The gauge from the source's coordinates to the target's, from evidence on both sides: `y[i] = sign[i] * x[perm[i]]`. Rows are paired by
 * position. A gauge whose verdict is "unrelated" is an answer, not an error. Of two checkpoints, `{ hidden: true }` matches heads and MLP
 * neurons, too.
 * Rejects with RegaugeError: missingFile, malformed, dimensionMismatch, rowsMismatch, tokensDiffer, notFinite, usage, tooLarge, ...
 */
export const align: Api["align"] = api.align;

/**
 * Moves an object in source coordinates into the target's, by a gauge or by maps: a file or folder (a vector [d], activations [rows, d], an SAE,
 * a checkpoint), or a typed array [d] or tensor [..., d] in memory, which comes back as a .npy file (`gauge.apply` gives an array). A gauge with a
 * hidden part moves heads and neurons as well, and what lives on them (option site).
 */
export const transport: Api["transport"] = api.transport;

/** What an object is, and how each of its tensors would move. */
export const inspect: Api["inspect"] = api.inspect;

/** The gauge from the first of a run's checkpoints to the last, through those between; any of them may be skipped. */
export const trace: Api["trace"] = api.trace;

/** Correlations of every source channel with every target channel at one site: what alignment starts from. */
export const correlation: Api["correlation"] = api.correlation;

/** A look at a tensor's numbers: one file of any format that regauge reads. */
export const firstRow: Api["firstRow"] = api.firstRow;

/** The gains of every norm in the evidence, as the model multiplies with them: by name, d numbers each. */
export const gains: Api["gains"] = api.gains;

/**
 * Maps between sites of any two models, also of other widths: the lowest rung of identity, signed permutation, orthogonal and affine that
 * held-out rows call no worse than the best. Rows are paired by position.
 * Rejects with RegaugeError: usage (no such site, a family that needs one width), rowsMismatch, tokensDiffer, notFinite, ...
 */
export const fitMap: Api["fitMap"] = api.fitMap;

/**
 * The weighted average of two checkpoints of one base, B moved into A's coordinates: (1 - w) A + w B, or with a base A + w (B - BASE). Heads and
 * MLP neurons are averaged by position, but for gauges with a hidden part, which move them, too.
 */
export const merge: Api["merge"] = api.merge;

/** How far a claim about channel numbers (a vector, rows of vectors, a list of channels) survives random gauges, moved and not moved. */
export const audit: Api["audit"] = api.audit;

/** What matching without signs can reach at most, and what matching with signs does: simulated. */
export const ceiling: Api["ceiling"] = api.ceiling;

/**
 * Do two checkpoints compute the same function? Small models (a folder with config.json and .safetensors files, or a GGUF file): weights are held in float32.
 * Rejects with RegaugeError: unsupported (the family), tooLarge, dimensionMismatch, usage (a token beyond the vocabulary), ...
 */
export const verify: Api["verify"] = api.verify;

/**
 * Activation evidence of a small model: a safetensors file with `activations/resid.<place>` [tokens, d] F32 of every place, the norms' gains and the
 * token ids. `align` takes it as it is; `fs.writeFile(path, file.stream())` or a download saves it.
 */
export const activations: Api["activations"] = api.activations;

/** What a small model says after each token of one sequence, with a vector added to its residual stream or without. */
export const logits: Api["logits"] = api.logits;

/** Continues a prompt with a small model, with a vector added to its residual stream or without. */
export const generate: Api["generate"] = api.generate;

/** One prompt in both models, with the vector and without: in the target moved by the gauge, moved by its permutation alone, and not moved. */
export const steer: Api["steer"] = api.steer;

/** The gauges one after the other, the first one first. */
export const compose: Api["compose"] = api.compose;

/** From the target back to the source. */
export const invert: Api["invert"] = api.invert;

/** How far two gauges agree. */
export const compare: Api["compare"] = api.compare;

/** `regauge args...` with this machine's files and streams; the exit status. Node only. */
export const runCommand: Api["runCommand"] = api.runCommand;

/** Ends all workers now. Without it, idle ones stay for the next call; they never keep a Node process alive. */
export const dispose: Api["dispose"] = api.dispose;

/** Workers that exist now. */
export const workers: Api["workers"] = api.workers;
