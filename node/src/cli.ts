// The Node command: the same C++ as the native one, in a worker so that Ctrl-C is heard while it works.

import { readFileSync } from "node:fs";
import { constants } from "node:os";

import { dispose, RegaugeError, runCommand } from "./node.js";

/** The shell's convention for a command that SIGINT ended. */
const interrupted = 130;

/** Whether whoever started us asked that this signal be ignored, as nohup does for SIGHUP. Linux tells; elsewhere it is not known. */
function isIgnored(signal: number): boolean {
    try {
        const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
        return (BigInt(`0x${mask}`) & (1n << BigInt(signal - 1))) !== 0n;
    } catch {
        return false;
    }
}

const stop = new AbortController();
const stopping: NodeJS.Signals[] = ["SIGINT", "SIGTERM"];
if (!isIgnored(constants.signals.SIGHUP)) stopping.push("SIGHUP");
for (const signal of stopping)
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
