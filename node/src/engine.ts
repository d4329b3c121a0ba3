// Runs jobs in the wasm module of this thread. Used inside workers, where a job may take its time.

import { argumentsOf, type Arguments, type CallName, type ModuleCall } from "./calls.js";
import { refusal, RegaugeError, type ErrorCode } from "./error.js";
import { inOptions } from "./flags.js";
import type { Failure, Host, HostFiles } from "./host.js";
import type { Answer, Call, Job, ProgressReport } from "./protocol.js";
import type { MainModule as Calls } from "./wasm/regauge.mjs";
import type { MainModule as CommandLine } from "./wasm/regauge-command.mjs";

/** What a job needs: the package's calls (with threads, regauge-mt, where memory can be shared), or the command line. */
export type ModuleName = "regauge" | "regauge-command";
export const moduleOf = (call: Call): ModuleName => (call.name === "run" ? "regauge-command" : "regauge");

/** Emscripten's factory of either. */
export type Factory = (options: object) => Promise<Calls | CommandLine>;

/** A worker for one of the module's threads, as Emscripten uses it. */
export interface ThreadWorker {
    onmessage: ((event: MessageEvent) => unknown) | null;
    onerror: ((error: never) => unknown) | null;
    postMessage(message: unknown): void;
    terminate(): unknown;
}

/** What the module with threads needs. */
export interface Threading {
    readonly memory: WebAssembly.Memory;
    /** A worker whose global `self.name` is "em-pthread" and whose script is the module. */
    readonly newThread: () => ThreadWorker;
}

const pagesAtFirst = 256; // INITIAL_MEMORY of cmake/Wasm.cmake

/** Memory that threads share; undefined where there is none. Its maximum is reserved at once: what phones refuse, desktops grant. */
export function sharedMemory(): WebAssembly.Memory | undefined {
    for (let maximum = 65536; maximum >= 8192; maximum /= 2) {
        try {
            return new WebAssembly.Memory({ initial: pagesAtFirst, maximum, shared: true });
        } catch {
            // Half of it, then.
        }
    }
    return undefined;
}

/** What a job is lent besides its words. */
export interface Surroundings {
    readonly files: HostFiles;
    readonly onProgress: (report: ProgressReport) => void;
    readonly stopped: () => boolean;
    readonly out: (text: string) => Failure | void;
    readonly err: (text: string) => void;
}

/** One instance of the module. */
export class Engine {
    readonly #module: Partial<Calls & CommandLine>;
    readonly #memory: () => number;

    private constructor(module: Calls | CommandLine, memory: () => number) {
        this.#module = module;
        this.#memory = memory;
    }

    /** compile: WebAssembly.compileStreaming in browsers, from a file in Node. threading: for the modules with threads. */
    static async load(
        create: Factory,
        compile: () => Promise<WebAssembly.Module>,
        threading?: Threading,
    ): Promise<Engine> {
        const compiled = await compile();
        let memory = threading?.memory;
        const module = await create({
            ...(threading ? { wasmMemory: threading.memory, newThread: threading.newThread } : {}),
            // Ours, not Emscripten's loader: one way to find the file in Node, in browsers and after bundling.
            instantiateWasm: (
                imports: WebAssembly.Imports,
                received: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
            ) => {
                const instance = new WebAssembly.Instance(compiled, imports);
                memory ??= Object.values(instance.exports).find((value) => value instanceof WebAssembly.Memory);
                received(instance, compiled);
                return instance.exports;
            },
        });
        return new Engine(module, () => memory?.buffer.byteLength ?? 0);
    }

    /** Bytes of wasm memory, which grows and never shrinks. */
    get wasmBytes(): number {
        return this.#memory();
    }

    get version(): string {
        return this.#calls().version();
    }

    /** The words of C++'s enums, to compare with those of this package. */
    get words(): Record<"groups" | "statistics" | "verdicts" | "errorCodes", string[]> {
        return JSON.parse(String(this.#calls().words())) as Engine["words"];
    }

    /**
     * Starts the workers that a job of so many threads will want, and waits for them: in a browser none starts while this thread works. Where
     * they take too long, the job does without.
     */
    async prepareThreads(threads: number): Promise<void> {
        const module = this.#calls();
        module.prepareThreads(threads);
        for (const began = performance.now(); module.threadsReady() < threads && performance.now() - began < patience;)
            await new Promise((resolve) => setTimeout(resolve, 1));
    }

    /** Threads that a job could use now. */
    get threadsReady(): number {
        return this.#calls().threadsReady();
    }

    /** Throws RegaugeError; anything else that it throws is a trap, after which the engine must not be used again. */
    run(
        job: Pick<Job, "call" | "wantsProgress"> & Partial<Pick<Job, "threads">>,
        surroundings: Surroundings,
    ): Omit<Answer, "files"> {
        let array: Float32Array | undefined;
        const { files } = surroundings;
        const host: Host = {
            exists: (path) => files.exists(path),
            isFolder: (path) => files.isFolder(path),
            list: (folder) => files.list(folder),
            open: (path) => files.open(path),
            create: (path, folder, overwrite) => files.create(path, folder, overwrite),
            withoutSync: () => files.withoutSync?.(),
            progress: throttled(job.wantsProgress ? surroundings.onProgress : undefined, surroundings.stopped),
            cancelled: surroundings.stopped,
            array: (values) => void (array = values.slice()),
            out: surroundings.out,
            err: surroundings.err,
            errIsTerminal: job.call.name === "run" && job.call.errIsTerminal,
            threads: job.threads ?? 1,
        };
        const value = this.#dispatch(job.call, host);
        return { value, ...(array ? { array } : {}) };
    }

    #dispatch(call: Job["call"], host: Host): string {
        if (call.name === "run") return String(this.#commandLine().runCommand(host, [...call.args]));
        const { ok, value, code, where, message } = this.#call(call, host);
        if (ok) return String(value);
        const said = (text: unknown): string => inOptions(String(text), call.name as CallName);
        throw new RegaugeError(String(code) as ErrorCode, said(where), said(message));
    }

    #call<Name extends CallName>(call: Extract<ModuleCall, { name: Name }>, host: Host): Outcome {
        const bindings: Bindings = this.#calls();
        return bindings[call.name as Name](host, ...argumentsOf<Name>(call));
    }

    #calls(): Calls {
        if (!("align" in this.#module)) throw new Error("the module regauge was not loaded");
        return this.#module as Calls;
    }

    #commandLine(): CommandLine {
        if (!("runCommand" in this.#module)) throw new Error("the module regauge-command was not loaded");
        return this.#module as CommandLine;
    }
}

type Outcome = ReturnType<Calls["align"]>;

/** The module as the table of calls has it: tsc compares it with the types that Embind generates. */
type Bindings = { [Name in CallName]: (host: Host, ...args: Arguments<Name>) => Outcome };

/** Milliseconds that threads may take to start. */
const patience = 2000;

/** Milliseconds between reports of one stage. */
const interval = 50;

/** Passes on a stage's first and last report and what lies 50 ms apart: a report crosses threads, a question whether to go on does not. */
function throttled(
    onProgress: ((report: ProgressReport) => void) | undefined,
    stopped: () => boolean,
): Host["progress"] {
    let lastStage: string | undefined,
        last = -Infinity;
    return (stage, done, total) => {
        if (onProgress) {
            const now = performance.now();
            if (stage !== lastStage || now - last >= interval || done === total) {
                lastStage = stage;
                last = now;
                onProgress({ stage, done, total });
            }
        }
        return !stopped();
    };
}

/** A trap's or a defect's error as a refusal. */
export function internalError(error: unknown): RegaugeError {
    return refusal(
        "internal",
        "",
        `a defect of regauge: ${error instanceof Error ? error.message : String(error)}; please report it with the call you made`,
    );
}
