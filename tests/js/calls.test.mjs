// One table of calls: node/src/calls.ts, what Embind binds, what the API offers, and what the package exports on both platforms.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import ts from "typescript";

import * as node from "regauge";

import { inside } from "./engine.mjs";
import { repository } from "./helpers.mjs";

const { calls } = await inside("calls.js");
const { createApi } = await inside("api.js");

test("the module binds the calls of the table, with their parameters in the table's order, and no others", () => {
    for (const name of ["regauge", "regauge-mt"]) {
        const types = readFileSync(join(repository, `node/dist/wasm/${name}.d.mts`), "utf8");
        const bound = [...types.matchAll(/^ {2}(\w+)\(host: [^,)]+\)?[^,)]*,?(.*)\): Outcome;$/gm)].map(
            ([, call, parameters]) => [call, [...parameters.matchAll(/(\w+): /g)].map(([, parameter]) => parameter)],
        );
        assert.deepEqual(Object.fromEntries(bound), { ...calls }, name);
    }
});

test("every call is the API's, by its own name; a plan is what inspect asks for, maps move as gauges do, and align finds hidden units", () => {
    const api = createApi({});
    const asked = Object.keys(calls).map(
        (name) =>
            ({ alignHidden: "align", plan: "inspect", transportMap: "transport", planMap: "transport" })[name] ?? name,
    );
    assert.deepEqual(
        asked.filter((name) => typeof api[name] !== "function"),
        [],
    );
});

test("the package exports the whole API, on both platforms", async () => {
    const offered = Object.keys(createApi({})).sort();
    const exported = (module) =>
        Object.keys(module)
            .filter((name) => offered.includes(name))
            .sort();
    assert.deepEqual(exported(node), offered);
    const browser = await inside("browser.js");
    assert.deepEqual(exported(browser), offered);
    const beside = (module) => Object.keys(module).filter((name) => !offered.includes(name));
    assert.deepEqual(beside(browser), beside(node));
});

test("an editor shows a sentence and the types of every call on hover", () => {
    const program = ts.createProgram([join(repository, "node/dist/node.d.ts")], { skipLibCheck: true });
    const checker = program.getTypeChecker();
    const [file] = program.getRootFileNames();
    const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)));
    for (const name of Object.keys(createApi({}))) {
        const symbol = exported.find((candidate) => candidate.name === name);
        const words = ts.displayPartsToString(symbol.getDocumentationComment(checker));
        assert(words.length > 20, `${name}: ${words}`);
        assert.match(checker.typeToString(checker.getTypeOfSymbol(symbol)), /^\(.*\) => /, name);
    }
});
