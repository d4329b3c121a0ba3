#!/usr/bin/env node
// The npm package in its users' tools: packed, installed beside each in an empty folder (build/environments), run.
// Usage: tests/environments/run.mjs [--again] [--write] [name ...]
//   A row that passed with this very package is not run again, so an interrupted run goes on where it was; --again runs
//   the rows that are asked for. --write puts the table into node/README.md.
// The tools come from the npm registry, in the versions that the rows name, and Chromium is the system's. Node itself is
// the one that runs this. The last line is `N passed, N failed`.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { bundlers } from "./bundlers.mjs";
import { manifests } from "./manifests.mjs";
import { pack, packageHash, placeWith, repository } from "./place.mjs";
import { runtimes } from "./runtimes.mjs";

const rows = [...runtimes, ...bundlers, ...manifests];
const folder = join(repository, "build/environments");
const readme = join(repository, "node/README.md");
const flags = process.argv.slice(2).filter((word) => word.startsWith("--"));
const names = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const asked = names.length ? rows.filter(({ name }) => names.some((part) => name.includes(part))) : rows;

const tarball = await pack(folder);
const hash = packageHash();
const record = join(folder, "results.json");
const recorded = () => (existsSync(record) ? JSON.parse(readFileSync(record, "utf8")) : {});
let results = recorded();

for (const { name, packages, check } of asked) {
    if (!flags.includes("--again") && results[name]?.hash === hash && results[name].works) continue;
    const place = join(folder, name.toLowerCase().replace(/[^a-z0-9.]+/g, "-"));
    let problem;
    try {
        await placeWith(place, tarball, packages);
        await check(place);
    } catch (error) {
        problem = [error.message, error.stdout, error.stderr].filter(Boolean).join("\n");
    }
    results = { ...recorded(), [name]: { works: !problem, hash } }; // another run may have written meanwhile
    writeFileSync(record, JSON.stringify(results, undefined, 2));
    console.log(problem ? `not ok ${name}\n${problem}` : `ok ${name}`);
}

const works = ({ name }) => results[name]?.hash === hash && results[name].works;
if (flags.includes("--write")) {
    const answer = (row) => (works(row) ? row.how : results[row.name]?.hash === hash ? "does not work" : "not tried");
    const lines = rows.map((row) => `| ${row.name} | ${answer(row)} |`);
    const table = ["| in | works |", "| --- | --- |", ...lines].join("\n");
    const [start, end] = ["<!-- written by tests/environments/run.mjs -->", "<!-- until here -->"];
    const text = readFileSync(readme, "utf8");
    writeFileSync(readme, `${text.split(start)[0]}${start}\n${table}\n${end}${text.split(end)[1]}`);
}
const passed = asked.filter(works).length;
console.log(`${passed} passed, ${asked.length - passed} failed`);
process.exitCode = passed === asked.length ? 0 : 1;
