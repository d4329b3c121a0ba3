// Preloaded into a command: the disk never confirms the entries of the folder that it works in.
import { ioError, onDisk, syncsFolder } from "./failing-disk.mjs";

onDisk((name, args) => {
    if (syncsFolder(name, args, ".")) throw ioError();
});
