// A user's folder with the packed package installed beside a tool, and what is expected there.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { evidence, repository, truth } from "../js/helpers.mjs";

export { evidence, repository };

const execute = promisify(execFile);
/** The longest that an installation, a build or a run may take. */
export const patience = 10 * 60_000;

/** What a program prints, on both streams: it must end well. */
export async function run(folder, program, args, environment = {}) {
    const { stdout, stderr } = await execute(program, args, {
        cwd: folder,
        env: { ...process.env, CI: "1", NO_COLOR: "1", NODE_ENV: undefined, ...environment },
        maxBuffer: 2 ** 26,
        timeout: patience,
    });
    return (stdout + stderr).trim();
}

/** A server in `folder` that has said where it listens. */
export async function started(folder, args) {
    const server = spawn(process.execPath, args, { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    const origin = await new Promise((resolve, reject) => {
        server.stdout.setEncoding("utf8").on("data", (text) => {
            said += text;
            const [address] = /http:\/\/localhost:\d+/.exec(said) ?? [];
            if (address) resolve(address);
        });
        server.on("exit", () => reject(new Error(`the server ended: ${said}`)));
    });
    return { origin, end: () => server.kill() };
}

export function expect(said, expected) {
    if (expected instanceof RegExp) assert.match(said, expected);
    else
        assert.equal(
            said
                .split("\n")
                .find((line) => line.trim() === expected)
                ?.trim() ?? said,
            expected,
        );
}

/** The planted gauge's. */
const { fingerprint } = truth("target");
export const expectFingerprint = (said) => expect(said, fingerprint);

/** An empty folder with the tarball and `packages` (name: version) installed. */
export async function placeWith(folder, tarball, packages) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "user", private: true }));
    const wanted = Object.entries(packages).map(([name, version]) => `${name}@${version}`);
    await run(folder, "npm", ["install", "--no-audit", "--no-fund", "--save-exact", tarball, ...wanted]);
}

/** What the package does, as a hash: all that runs or is read by tools, and not its README, which the answers go into. */
export function packageHash() {
    const hash = createHash("sha256");
    const folder = join(repository, "node");
    for (const part of ["package.json", "bin", "dist"])
        for (const name of part === "package.json"
            ? [part]
            : readdirSync(join(folder, part), { recursive: true }).sort()) {
            const path = join(folder, part === "package.json" ? "" : part, name);
            if (statSync(path).isFile()) hash.update(name).update(readFileSync(path));
        }
    return hash.digest("hex");
}

/** Packs node/ into `folder`; the tarball's path. */
export async function pack(folder) {
    mkdirSync(folder, { recursive: true });
    const said = await execute("npm", ["pack", "--json", "--pack-destination", folder], {
        cwd: join(repository, "node"),
    });
    return join(folder, JSON.parse(said.stdout)[0].filename);
}
