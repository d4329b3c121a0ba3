// What passes between the caller's thread and a worker: one job in, progress and one answer out.

import type { ModuleCall } from "./calls.js";
import type { ErrorCode } from "./error.js";
import type { Mount, OutputFile } from "./memory-files.js";

/** A call of the package's module, or a command line. */
export type Call =
    ModuleCall | { readonly name: "run"; readonly args: readonly string[]; readonly errIsTerminal: boolean };

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
