// What passes between the caller's thread and a worker: one job in, progress and one answer out.

import type { ErrorCode } from "./error.js";
import type { Mount, OutputFile } from "./memory-files.js";

/** One coarse call of wasm/bindings.cpp. Paths are names of mounts or, in Node, files on disk; options are JSON. */
export type Call =
    | { readonly name: "align"; readonly source: string; readonly target: string; readonly options: string }
    | { readonly name: "correlation"; readonly source: string; readonly target: string; readonly options: string }
    | { readonly name: "trace"; readonly checkpoints: readonly string[]; readonly options: string }
    | {
          readonly name: "transport";
          readonly object: string;
          readonly gauge: string;
          readonly out: string;
          readonly options: string;
      }
    | { readonly name: "plan"; readonly object: string; readonly options: string; readonly d: number }
    | {
          readonly name: "merge";
          readonly a: string;
          readonly b: string;
          readonly gauge: string;
          readonly out: string;
          readonly options: string;
      }
    | { readonly name: "audit"; readonly object: string; readonly gauge: string; readonly options: string }
    | { readonly name: "ceiling"; readonly options: string }
    | {
          readonly name: "verify";
          readonly model: string;
          readonly moved: string;
          readonly tokens: string;
          readonly options: string;
      }
    | { readonly name: "activations"; readonly model: string; readonly tokens: string; readonly out: string }
    | { readonly name: "logits"; readonly model: string; readonly tokens: string; readonly options: string }
    | { readonly name: "generate"; readonly model: string; readonly prompt: string; readonly options: string }
    | {
          readonly name: "steer";
          readonly source: string;
          readonly target: string;
          readonly gauge: string;
          readonly prompt: string;
          readonly options: string;
      }
    | { readonly name: "run"; readonly args: readonly string[]; readonly errIsTerminal: boolean };

export interface Job {
    readonly id: number;
    readonly call: Call;
    readonly mounts: readonly Mount[];
    /** Outputs are handed back instead of written to disk. */
    readonly outputsInMemory: boolean;
    /** Where outputs go that memory is too small for; browsers. */
    readonly spill?: string;
    readonly wantsProgress: boolean;
    /** Threads to use where the call does not say. */
    readonly threads: number;
    /** One int32, non-zero once the caller wants the job to stop; absent where memory cannot be shared. */
    readonly stop?: SharedArrayBuffer;
}

/** How far a job is. */
export interface ProgressReport {
    /** E.g. "reading rows". */
    readonly stage: string;
    readonly done: number;
    readonly total: number;
}

export interface Answer {
    /** JSON; for `run` the exit status. */
    readonly value: string;
    readonly files: readonly OutputFile[];
    readonly array?: Float32Array;
}

export type FromWorker =
    | { readonly type: "progress"; readonly id: number; readonly report: ProgressReport }
    /** A temporary file that the caller must remove should the worker die before it says that it is gone. */
    | { readonly type: "temporary"; readonly id: number; readonly path: string; readonly gone: boolean }
    | { readonly type: "done"; readonly id: number; readonly answer: Answer; readonly wasmBytes: number }
    /** unusable: the worker's wasm trapped, so that nothing more may run in it. */
    | {
          readonly type: "failed";
          readonly id: number;
          readonly code: ErrorCode;
          readonly where: string;
          readonly message: string;
          readonly unusable: boolean;
      };
