// A worker's side of the protocol: loads an engine with the first job that needs it, then runs one job after another.

import { internalError, moduleOf, type Engine, type ModuleName } from "./engine.js";
import { RegaugeError } from "./error.js";
import type { Failure, HostFiles } from "./host.js";
import type { MemoryFiles } from "./memory-files.js";
import type { FromWorker, Job } from "./protocol.js";
import { cannotStart } from "./start.js";

/** What a platform lends its workers. */
export interface WorkerPlatform {
    load(module: ModuleName): Promise<Engine>;
    /** What regauge needs of its surroundings, for the message where it cannot start. */
    readonly whereItRuns: string;
    /** What must be done before a job while this thread can still wait. */
    prepare?(engine: Engine, job: Job): Promise<void>;
    memoryFiles(job: Job): MemoryFiles | Promise<MemoryFiles>;
    /** The files of one job: its mounts and, in Node, the disk. onTemporary hears of temporary files. */
    files(memory: MemoryFiles, job: Job, onTemporary: (path: string, gone: boolean) => void): HostFiles;
    out(text: string): Failure | void;
    err(text: string): void;
    send(message: FromWorker): void;
}

/** What takes a platform's jobs. */
export function server(platform: WorkerPlatform): (job: Job) => Promise<void> {
    const engines = new Map<ModuleName, Promise<Engine>>();
    const load = async (module: ModuleName): Promise<Engine> => {
        try {
            return await platform.load(module);
        } catch (error) {
            engines.delete(module); // the next job may find what this one did not
            throw cannotStart(error, platform.whereItRuns);
        }
    };
    return async (job) => {
        const { id, spill } = job;
        const onTemporary = (path: string, gone: boolean): void => platform.send({ type: "temporary", id, path, gone });
        let memory: MemoryFiles | undefined;
        try {
            const module = moduleOf(job.call);
            if (!engines.has(module)) engines.set(module, load(module));
            const loaded = await engines.get(module)!;
            const flag = job.stop && new Int32Array(job.stop);
            if (spill) onTemporary(spill, false);
            memory = await platform.memoryFiles(job);
            const files = platform.files(memory, job, onTemporary);
            await platform.prepare?.(loaded, job);
            const answer = loaded.run(job, {
                files,
                onProgress: (report) => platform.send({ type: "progress", id, report }),
                stopped: () => flag !== undefined && Atomics.load(flag, 0) !== 0,
                out: (text) => platform.out(text),
                err: (text) => platform.err(text),
            });
            const outputs = await memory.finish();
            if (spill) onTemporary(spill, true); // from now on it is the caller's
            platform.send({ type: "done", id, answer: { ...answer, files: outputs }, wasmBytes: loaded.wasmBytes });
        } catch (error) {
            await memory?.discard();
            if (spill) onTemporary(spill, true);
            const known = error instanceof RegaugeError;
            const { code, where, message } = known ? error : internalError(error);
            platform.send({ type: "failed", id, code, where, message, unusable: !known });
        }
    };
}
