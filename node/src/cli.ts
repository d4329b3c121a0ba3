// The Node command: the same C++ as the native one, in a worker so that Ctrl-C is heard while it works.

import { dispose, RegaugeError, runCommand } from "./node.js";

/** The shell's convention for a command that SIGINT ended. */
const interrupted = 130;

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => {
        if (!stop.signal.aborted) stop.abort();
        else void dispose(); // asked twice: now
    });
process.on("SIGXFSZ", () => undefined); // a file-size limit is then an error of write, told like a full disk

try {
    process.exitCode = await runCommand(process.argv.slice(2), {
        signal: stop.signal,
        errIsTerminal: process.stderr.isTTY === true,
    });
} catch (error) {
    if (!stop.signal.aborted)
        process.stderr.write(`regauge: ${error instanceof RegaugeError ? error.message : String(error)}\n`);
    process.exitCode = stop.signal.aborted ? interrupted : 2;
}
process.exit(); // sooner than waiting for the worker to be collected
