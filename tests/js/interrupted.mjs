// Preloaded into a command, "interrupted.mjs?linkSync=out.npy": Ctrl-C just after the file system's first such call for that path.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const [[name, path]] = new URL(import.meta.url).searchParams,
    call = fs[name];
fs[name] = (...args) => {
    const answer = call(...args);
    if (args.includes(path)) {
        fs[name] = call;
        syncBuiltinESMExports();
        process.kill(process.pid, "SIGINT");
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300); // until the other thread has heard it
    }
    return answer;
};
syncBuiltinESMExports();
