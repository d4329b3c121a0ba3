// Workers and the jobs that run in them: one job a worker at a time, idle workers kept for the next one.

import { RegaugeError, refusal } from "./error.js";
import type { Mount } from "./memory-files.js";
import type { Answer, Call, FromWorker, Job, ProgressReport } from "./protocol.js";
import { cannotStart } from "./start.js";

/** A worker of either platform. */
export interface WorkerHandle {
    post(job: Job, transfer: readonly ArrayBuffer[]): void;
    /** Ends it at once, whatever it does. */
    terminate(): Promise<void>;
    /** While busy it keeps a Node process alive, while idle it does not. */
    keepsProcess(busy: boolean): void;
}

export interface WorkerStarter {
    start(onMessage: (message: FromWorker) => void, onCrash: (error: Error) => void): WorkerHandle;
    /** How many threads are worth having, be they jobs of one or one job of many. */
    readonly parallelism: number;
    /** Whether memory can be shared: with threads, and to reach a worker that is busy. */
    readonly canShare: boolean;
    removeTemporary(path: string): void;
    /** What regauge needs of its surroundings, for the message where no worker starts. */
    readonly whereItRuns: string;
}

export interface JobOptions {
    readonly mounts: readonly Mount[];
    /** Arrays among the mounts that the job may have for itself. */
    readonly transfer?: readonly ArrayBuffer[];
    readonly outputsInMemory: boolean;
    readonly spill?: string | undefined;
    readonly onProgress?: ((report: ProgressReport) => void) | undefined;
    readonly signal?: AbortSignal | undefined;
}

/** The most threads that a job gets which does not ask for more. */
const mostThreads = 16;
/** Workers kept while there is nothing to do. */
const idleKept = 2;
/** Wasm memory does not shrink: a worker that grew beyond this is not kept. */
const wasmBytesKept = 256 * 2 ** 20;
/** How long a job that was told to stop may take to put its things away. */
const graceMilliseconds = 1000;

interface Running {
    readonly job: Omit<Job, "threads">;
    readonly options: JobOptions;
    readonly resolve: (answer: Answer) => void;
    readonly reject: (reason: unknown) => void;
    readonly stop: Int32Array | undefined;
    /** Set once the job is to stop; what the caller gets instead of the answer, or where none comes any more. */
    refused?: { readonly reason: unknown; readonly evenIfDone: boolean };
    grace?: ReturnType<typeof setTimeout>;
    onAbort?: () => void;
}

interface Member {
    handle: WorkerHandle;
    running: Running | undefined;
    readonly temporaries: Set<string>;
    /** Whether it has said anything: until then it may be that it could not be loaded. */
    speaks: boolean;
}

export class Pool {
    readonly #starter: WorkerStarter;
    readonly #members = new Set<Member>();
    readonly #queue: Running[] = [];
    #jobs = 0;

    constructor(starter: WorkerStarter) {
        this.#starter = starter;
    }

    /** Workers that exist now, busy or idle. */
    get size(): number {
        return this.#members.size;
    }

    /**
     * Rejects with RegaugeError, with the signal's reason once it is aborted, or with what onProgress threw. A signal that comes when the job is
     * done changes nothing where there is something to see of it: outputs on disk, or what a command said.
     */
    run(call: Call, options: JobOptions): Promise<Answer> {
        return new Promise((resolve, reject) => {
            const { signal } = options;
            if (signal?.aborted) return reject(signal.reason);
            const stop = this.#starter.canShare ? new SharedArrayBuffer(4) : undefined;
            const job: Running["job"] = {
                id: ++this.#jobs,
                call,
                mounts: options.mounts,
                outputsInMemory: options.outputsInMemory,
                wantsProgress: options.onProgress !== undefined,
                ...(options.spill ? { spill: options.spill } : {}),
                ...(stop ? { stop } : {}),
            };
            const running: Running = { job, options, resolve, reject, stop: stop && new Int32Array(stop) };
            if (signal) {
                running.onAbort = () => this.#cancel(running, signal.reason, options.outputsInMemory);
                signal.addEventListener("abort", running.onAbort, { once: true });
            }
            this.#queue.push(running);
            this.#next();
        });
    }

    /** Ends every worker. Jobs under way are rejected (cancelled) and leave nothing behind; a later job starts anew. */
    async dispose(): Promise<void> {
        const reason = refusal("cancelled", "", "regauge was disposed of");
        for (const queued of this.#queue.splice(0)) this.#settle(queued, () => queued.reject(reason));
        await Promise.all([...this.#members].map((member) => this.#end(member, reason)));
    }

    #next(): void {
        while (this.#queue.length > 0) {
            let member = [...this.#members].find(({ running }) => !running);
            if (!member && this.#members.size >= this.#starter.parallelism) return;
            const running = this.#queue.shift()!;
            try {
                member ??= this.#start();
            } catch (error) {
                this.#settle(running, () => running.reject(cannotStart(error, this.#starter.whereItRuns)));
                continue;
            }
            member.running = running;
            member.handle.keepsProcess(true);
            try {
                member.handle.post({ ...running.job, threads: this.#threads() }, running.options.transfer ?? []);
            } catch (error) {
                // an input that cannot be cloned
                member.running = undefined;
                member.handle.keepsProcess(false);
                this.#settle(running, () => running.reject(error));
            }
        }
    }

    /** A job's share of the machine: all of it for one that is alone. */
    #threads(): number {
        if (!this.#starter.canShare) return 1;
        const busy = [...this.#members].filter(({ running }) => running).length;
        return Math.max(1, Math.min(mostThreads, Math.floor(this.#starter.parallelism / busy)));
    }

    #start(): Member {
        const member: Member = {
            handle: undefined as unknown as WorkerHandle,
            running: undefined,
            temporaries: new Set(),
            speaks: false,
        };
        member.handle = this.#starter.start(
            (message) => this.#receive(member, message),
            (error) => void this.#end(member, this.#stopped(member, error)),
        );
        this.#members.add(member);
        return member;
    }

    #stopped(member: Member, error: Error): RegaugeError {
        if (!member.speaks) return cannotStart(error, this.#starter.whereItRuns);
        return refusal("internal", "", `a worker of regauge stopped: ${error.message}`);
    }

    #receive(member: Member, message: FromWorker): void {
        member.speaks = true;
        const { running } = member;
        if (message.type === "temporary") {
            if (message.gone) member.temporaries.delete(message.path);
            else member.temporaries.add(message.path);
        }
        if (!running || running.job.id !== message.id) return;
        switch (message.type) {
            case "progress":
                if (running.refused) return;
                try {
                    running.options.onProgress?.(message.report);
                } catch (error) {
                    this.#cancel(running, error, true);
                }
                return;
            case "done":
                this.#settle(running, () =>
                    running.refused?.evenIfDone
                        ? running.reject(running.refused.reason)
                        : running.resolve(message.answer),
                );
                this.#free(member, message.wasmBytes <= wasmBytesKept);
                return;
            case "failed": {
                const error = new RegaugeError(message.code, message.where, message.message);
                this.#settle(running, () => running.reject(running.refused ? running.refused.reason : error));
                this.#free(member, !message.unusable);
            }
        }
    }

    /** The job is over, whichever way. */
    #settle(running: Running, tell: () => void): void {
        clearTimeout(running.grace);
        if (running.onAbort) running.options.signal?.removeEventListener("abort", running.onAbort);
        tell();
    }

    #cancel(running: Running, reason: unknown, evenIfDone: boolean): void {
        running.refused ??= { reason, evenIfDone };
        const place = this.#queue.indexOf(running);
        if (place >= 0) {
            this.#queue.splice(place, 1);
            return this.#settle(running, () => running.reject(reason));
        }
        const member = [...this.#members].find((candidate) => candidate.running === running);
        if (!member) return;
        if (!running.stop) return void this.#end(member, reason);
        Atomics.store(running.stop, 0, 1);
        running.grace ??= setTimeout(() => void this.#end(member, reason), graceMilliseconds);
    }

    #free(member: Member, keep: boolean): void {
        member.running = undefined;
        member.handle.keepsProcess(false);
        const idle = [...this.#members].filter(({ running }) => !running).length;
        if (!keep || (idle > idleKept && this.#queue.length === 0)) void this.#end(member, undefined);
        this.#next();
    }

    /** Ends a worker; what its job left on disk is removed before the caller hears of it. */
    async #end(member: Member, reason: unknown): Promise<void> {
        if (!this.#members.delete(member)) return;
        await member.handle.terminate();
        for (const path of member.temporaries) this.#starter.removeTemporary(path);
        const { running } = member;
        if (running) this.#settle(running, () => running.reject(running.refused ? running.refused.reason : reason));
        this.#next();
    }
}
