// What publishers' tools say of the package's manifest and types.
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { run } from "./place.mjs";

const publint = {
    name: "publint 0.3.25",
    how: "no finding (`--strict`)",
    packages: { publint: "0.3.25" },
    check: (place) => run(place, join(place, "node_modules/.bin/publint"), ["run", "--strict", "node_modules/regauge"]),
};

/** The tarball that npm installed here. */
const tarballOf = (place) =>
    join(
        place,
        JSON.parse(readFileSync(join(place, "package.json"), "utf8")).dependencies.regauge.replace("file:", ""),
    );

const typesWrong = {
    name: "are-the-types-wrong 0.18.5",
    how: "no finding for ES modules (`--profile esm-only`)",
    packages: { "@arethetypeswrong/cli": "0.18.5" },
    check: (place) => run(place, join(place, "node_modules/.bin/attw"), ["--profile", "esm-only", tarballOf(place)]),
};

export const manifests = [publint, typesWrong];
