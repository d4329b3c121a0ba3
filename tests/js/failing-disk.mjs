// Node's disk, failing: tests/cpp/failing_system.hpp for JavaScript.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const calls = ["open", "write", "fsync", "close", "rename", "link", "unlink", "mkdir", "rmdir", "rm"].map(
    (name) => `${name}Sync`,
);

/** Before every call that writes, `fault` gets its name and arguments and may throw. Returns what ends that. */
export function onDisk(fault) {
    const whole = Object.fromEntries(calls.map((name) => [name, fs[name]]));
    for (const name of calls)
        fs[name] = (...args) => {
            try {
                fault(name, args);
            } catch (error) {
                if (name === "closeSync") whole.closeSync(...args); // the system closes it all the same
                throw error;
            }
            return whole[name](...args);
        };
    syncBuiltinESMExports();
    return () => {
        Object.assign(fs, whole);
        syncBuiltinESMExports();
    };
}

export const ioError = () => Object.assign(new Error("EIO: i/o error"), { code: "EIO" });

/** Whether the call waits for the disk to have the entries of `folder`. */
export function syncsFolder(name, [descriptor], folder) {
    if (name !== "fsyncSync") return false;
    const [one, other] = [fs.fstatSync(descriptor), fs.statSync(folder)];
    return one.dev === other.dev && one.ino === other.ino;
}
