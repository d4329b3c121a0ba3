// What the tests of the package share.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Gauge } from "regauge";

export const repository = fileURLToPath(new URL("../..", import.meta.url));
export const sample = join(repository, "tests/shakespeare-d128");
export const shipped = join(repository, "examples/tales-d64");
export const fixtures = join(repository, "tests/fixtures");
export const nodeCommand = join(repository, "node/bin/regauge.js");
export const nativeCommand = process.env.REGAUGE_NATIVE ?? join(repository, "build/native/regauge");

/** The reason to skip a test that needs the native command, or false. `make test` builds it first. */
export const withoutNative = existsSync(nativeCommand) ? false : "build/native/regauge is not built";

export const evidence = (side) => join(sample, side, "evidence.safetensors");

/** The planted gauge from the source to a side. */
export function truth(side, folder = sample) {
    const { perm, sign } = JSON.parse(readFileSync(join(folder, "truth.json"), "utf8")).gauges[side];
    return Gauge.from({ format: "regauge-gauge", version: 1, d: perm.length, group: "signed", perm, sign });
}

/** A folder that goes away with the test. */
export function temporaryFolder(test) {
    const folder = mkdtempSync(join(tmpdir(), "regauge-test-"));
    test.after(() => rmSync(folder, { recursive: true, force: true }));
    return folder;
}

/** A program's exit status and its streams. onStart gets the process; the rest is for spawn. */
export function run(program, args, { onStart, ...options } = {}) {
    return new Promise((resolve, reject) => {
        const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
        let out = "",
            err = "";
        child.stdout.setEncoding("utf8").on("data", (text) => (out += text));
        child.stderr.setEncoding("utf8").on("data", (text) => (err += text));
        child.on("error", reject);
        child.on("close", (status, signal) => resolve({ status, signal, out, err }));
        onStart?.(child);
    });
}
export const runNode = (args, options) => run(process.execPath, [nodeCommand, ...args], options);
export const runNative = (args, options) => run(nativeCommand, args, options);
/** The native command, or Node's where that is not built: both say the same. */
export const runCommand = withoutNative ? runNode : runNative;

/** A reproducible stream of numbers in [0, 1): mulberry32. */
export function randomNumbers(seed) {
    let state = seed >>> 0;
    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let word = Math.imul(state ^ (state >>> 15), state | 1);
        word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
        return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
    };
}

export function randomGauge(d, random) {
    const perm = Array.from({ length: d }, (_, i) => i);
    for (let i = d - 1; i > 0; --i) {
        const j = Math.floor(random() * (i + 1));
        [perm[i], perm[j]] = [perm[j], perm[i]];
    }
    return new Gauge(
        perm,
        perm.map(() => (random() < 0.5 ? -1 : 1)),
    );
}

/** Rows of about normal numbers, and the same rows in another gauge's coordinates with a little noise. */
export function plantedPair(d, rows, seed = 1) {
    const random = randomNumbers(seed);
    const gauge = randomGauge(d, random);
    const normal = () => random() + random() + random() + random() - 2;
    const source = Float32Array.from({ length: d * rows }, normal);
    const target = gauge.applyRows(source, rows).map((value) => value + 0.1 * normal());
    return {
        gauge,
        source: { activations: { data: source, rows, d } },
        target: { activations: { data: target, rows, d } },
    };
}

/** The rows of one site of the sample, as float32. */
export function sampleRows(side, site = "resid.2") {
    const { tensor, shape } = readTensor(evidence(side), `activations/${site}`);
    const data = Float32Array.from(
        new Uint16Array(tensor.buffer, tensor.byteOffset, tensor.byteLength / 2),
        halfToNumber,
    );
    return { data, rows: shape[0], d: shape[1] };
}

/** A tensor's bytes out of a safetensors file. */
export function readTensor(path, name) {
    const file = readFileSync(path);
    const headerLength = Number(file.readBigUInt64LE(0));
    const {
        shape,
        dtype,
        data_offsets: [begin, end],
    } = JSON.parse(file.toString("utf8", 8, 8 + headerLength))[name];
    return { shape, dtype, tensor: Uint8Array.from(file.subarray(8 + headerLength + begin, 8 + headerLength + end)) };
}

function halfToNumber(bits) {
    const sign = bits & 0x8000 ? -1 : 1,
        exponent = (bits >> 10) & 31,
        fraction = bits & 1023;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** A version-1 .npy file of float32. */
export function npy(data, shape) {
    let header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
    header = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + "\n";
    const file = Buffer.alloc(10 + header.length + data.byteLength);
    file.write("\x93NUMPY\x01\x00", "latin1");
    file.writeUInt16LE(header.length, 8);
    file.write(header, 10, "latin1");
    Buffer.from(data.buffer, data.byteOffset, data.byteLength).copy(file, 10 + header.length);
    return new Uint8Array(file);
}
