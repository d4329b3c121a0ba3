// What an alignment costs, stage by stage: measures bench/stages.bench.cpp, prints Markdown and draws a picture.
//
//     node bench/cost.mjs build/bench/regauge_bench bench/cost.svg
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";

const [program, picture] = process.argv.slice(2);
const repeats = 3; // the least CPU time of them: what a busy machine adds is no part of the cost
const report = JSON.parse(
    execFileSync(
        program,
        [
            "--benchmark_filter=^stages/",
            "--benchmark_format=json",
            "--benchmark_min_time=0.02",
            `--benchmark_repetitions=${repeats}`,
        ],
        { encoding: "utf8", maxBuffer: 2 ** 26, stdio: ["ignore", "pipe", "ignore"] },
    ),
);

/** [stage][d][rows] = { milliseconds of CPU time, floor }; rows are 0 where a stage has none. */
const measured = {};
for (const { name, run_type, cpu_time, floor_ms } of report.benchmarks) {
    if (run_type !== "iteration") continue;
    const [, stage, d, rows] = name.split("/");
    const sizes = ((measured[stage] ??= {})[d] ??= {});
    sizes[rows] = { milliseconds: Math.min(cpu_time, sizes[rows]?.milliseconds ?? Infinity), floor: floor_ms };
}
const widths = Object.keys(measured.cross).map(Number),
    lengths = Object.keys(measured.cross[1024])
        .map(Number)
        .sort((a, b) => a - b);
const at = (stage, d, rows) => measured[stage][d][rows] ?? measured[stage][d][0];

const stages = [
    { name: "hash", key: "hash", colour: "#0891b2", formula: "rows d", work: (d, rows) => rows * d },
    { name: "quantise, 7 bits", key: "quantise", colour: "#6b7280", formula: "rows d", work: (d, rows) => rows * d },
    {
        name: "cross sums, 7 bits",
        key: "cross",
        colour: "#3b82f6",
        formula: "rows d²",
        work: (d, rows) => rows * d ** 2,
    },
    {
        name: "cross and Gram sums, 7 bits",
        key: "cross+gram-coarse",
        colour: "#0d9488",
        formula: "2 rows d²",
        work: (d, rows) => 2 * rows * d ** 2,
    },
    {
        name: "cross and Gram sums, 10 bits",
        key: "cross+gram",
        colour: "#8b5cf6",
        formula: "2 rows d²",
        work: (d, rows) => 2 * rows * d ** 2,
    },
    { name: "correlations from sums", key: "correlate", colour: "#db2777", formula: "d²", work: (d) => d ** 2 },
    { name: "whitening, quick look", key: "whiten-quick", colour: "#ca8a04", formula: "5 d³", work: (d) => 5 * d ** 3 },
    {
        name: "whitening, weakest of the rest",
        key: "whiten",
        colour: "#c2410c",
        formula: "6 d³",
        work: (d) => 6 * d ** 3,
    },
    { name: "assignment, strong matches", key: "assign-strong", colour: "#059669", formula: "d²", work: (d) => d ** 2 },
    { name: "assignment, BOS-dominated", key: "assign-bos", colour: "#dc2626", formula: "d²", work: (d) => d ** 2 },
].map((stage) => ({
    ...stage,
    time: (d, rows) => at(stage.key, d, rows).milliseconds,
    floor: (d, rows) => at(stage.key, d, rows).floor,
}));

const [small, large] = [1024, Math.max(...widths)],
    rows = 4096;
const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toPrecision(2));
const picoseconds = (value) => (value < 100 ? `${value.toPrecision(2)} ps` : `${(value / 1000).toPrecision(2)} ns`);
const exponent = (f, a, b) => (Math.log(f(b) / f(a)) / Math.log(b / a)).toFixed(2);
console.log(
    `| stage (CPU time of one thread, ${rows} rows) | d = ${small}, ms | d = ${large}, ms | grows with d as | with rows as | cost | floor at d = ${large}, ms | of the peak rate |`,
);
console.log("| --- | --- | --- | --- | --- | --- | --- | --- |");
for (const { name, time, floor, formula, work } of stages) {
    const lowest = floor(large, rows);
    const cells = [
        name,
        digits(time(small, rows)),
        digits(time(large, rows)),
        `d^${exponent((d) => time(d, rows), small, large)}`,
        formula.includes("rows") ? `rows^${exponent((n) => time(small, n), lengths[0], lengths.at(-1))}` : "",
        `${picoseconds((time(large, rows) * 1e9) / work(large, rows))} x ${formula}`,
        lowest ? digits(lowest) : "",
        lowest ? `${((100 * lowest) / time(large, rows)).toFixed(0)} %` : "",
    ];
    console.log(`| ${cells.join(" | ")} |`);
}

const [width, height, bottom] = [300, 320, 370];
const decades = [-1, 0, 1, 2, 3, 4, 5];
const y = (milliseconds) => bottom - (height * (Math.log10(Math.max(milliseconds, 0.1)) + 1)) / (decades.length - 1);
const text = (x, at, anchor, words, colour = "#6b7280") =>
    `<text x="${x.toFixed(1)}" y="${at.toFixed(1)}" text-anchor="${anchor}" fill="${colour}">${words}</text>\n`;

/** Time against one of the two sizes. */
function panel(left, title, axis, sizes, stagesHere, timeAt) {
    const x = (size) => left + (width * Math.log(size / sizes[0])) / Math.log(sizes.at(-1) / sizes[0]);
    let svg = text(left, 24, "start", title);
    for (const decade of decades) {
        const at = y(10 ** decade);
        svg += `<line x1="${left}" x2="${left + width}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}" stroke="#9ca3af" stroke-opacity="0.35"/>\n`;
        svg += text(
            left - 8,
            at + 4,
            "end",
            { "-1": "0.1 ms", 0: "1 ms", 1: "10 ms", 2: "0.1 s", 3: "1 s", 4: "10 s", 5: "100 s" }[decade],
        );
    }
    for (const size of sizes) svg += text(x(size), bottom + 20, "middle", size);
    svg += text(left + width / 2, bottom + 44, "middle", axis);
    for (const stage of stagesHere) {
        const points = (f) => sizes.map((size) => `${x(size).toFixed(1)},${y(timeAt(f, size)).toFixed(1)}`).join(" ");
        if (stage.floor(small, rows))
            svg += `<polyline fill="none" stroke="${stage.colour}" stroke-width="1.5" stroke-dasharray="4 4" points="${points(stage.floor)}"/>\n`;
        svg += `<polyline fill="none" stroke="${stage.colour}" stroke-width="2.5" points="${points(stage.time)}"/>\n`;
        for (const size of sizes)
            svg += `<circle cx="${x(size).toFixed(1)}" cy="${y(timeAt(stage.time, size)).toFixed(1)}" r="3" fill="${stage.colour}"/>\n`;
    }
    return svg;
}

let svg =
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 990 430" font-family="system-ui, sans-serif" font-size="13" role="img">\n';
svg += "<title>Time of each stage of an alignment against d and against the number of rows, on log axes</title>\n";
svg += panel(60, `CPU time of one thread, ${rows} rows`, "d", widths, stages, (f, d) => f(d, rows));
svg += panel(
    440,
    `d = ${small}`,
    "rows",
    lengths,
    stages.filter(({ formula }) => formula.includes("rows")),
    (f, n) => f(small, n),
);
stages.forEach(({ name, colour }, k) => (svg += text(760, 70 + 24 * k, "start", name, colour)));
svg += text(760, 70 + 24 * stages.length, "start", "dashed: the floor, at the peak");
svg += text(760, 70 + 24 * stages.length + 18, "start", "rate of one core");
writeFileSync(picture, `${svg}</svg>\n`);
