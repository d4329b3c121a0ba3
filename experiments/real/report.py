"""RESULTS.md out of what was measured; what was not run is said to be not run."""

from collections import defaultdict

from study import POSITIVE_SHARES

NOT_RUN = "Not run.\n"
VERDICTS = ("aligned", "partial", "unrelated")


def table(head, rows):
    if not rows:
        return NOT_RUN
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join(lines + [f"| {' | '.join(map(str, row))} |" for row in rows]) + "\n"


def percent(value):
    return f"{100 * value:.1f}"


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def keyed(kept, study):
    """The rest of the key, split, and the result."""
    return [(key.split()[1:], value) for key, value in kept.items() if key.split()[0] == study]


def recovery(kept):
    """One table for each kind of prompt: a row for each drift, depth columns inside, mean over seeds."""
    out = []
    entries = keyed(kept, "recovery")
    for prompts, words in (("_long", "8 prompts of 128 tokens"), ("_short", "256 prompts of 4 tokens")):
        cells = defaultdict(list)
        for (_, rate, step, kind, place, rows), value in entries:
            if kind == prompts:
                cells[float(rate), int(step), int(place), int(rows)].append(value)
        lines = []
        for (rate, step, place, rows), values in sorted(cells.items()):
            part = lambda pick: percent(mean(map(pick, values)))
            lines.append(
                [
                    f"{rate:g}",
                    step,
                    f"resid.{place}",
                    rows,
                    part(lambda v: v["plain"]),
                    part(lambda v: v["rows"]["right"]),
                    part(lambda v: v["rows"]["estimate"]),
                    ", ".join(v["rows"]["verdict"] for v in values),
                    part(lambda v: v["gains"]["right"]),
                    part(lambda v: v["gains"]["estimate"]),
                    ", ".join(v["gains"]["verdict"] for v in values),
                ]
            )
        head = [
            "lr",
            "step",
            "site",
            "rows",
            "plain",
            "rows: right",
            "says",
            "verdict",
            "with gains: right",
            "says",
            "verdict",
        ]
        out.append(f"### {words}\n\n" + table(head, lines))
    return "\n".join(out)


def calibration(kept):
    """Over all pairs, as issue 14 asks: is the estimate near, is `aligned` deserved, are sure channels right?"""
    lines = []
    for evidence in ("rows", "gains"):
        for prompts in ("_long", "_short"):
            judged = [
                value[evidence] | {"plain": value["plain"]}
                for (*_, kind, _, _), value in keyed(kept, "recovery")
                if kind == prompts
            ]
            for verdict in VERDICTS:
                some = [j for j in judged if j["verdict"] == verdict]
                if not some:
                    continue
                sure = [j for j in some if j["sure"] > 0]
                shares = [j["sure_right"] / j["sure"] for j in sure]
                lines.append(
                    [
                        "rows alone" if evidence == "rows" else "with gains",
                        prompts[1:],
                        verdict,
                        len(some),
                        percent(min(j["right"] for j in some)),
                        percent(mean(j["right"] for j in some)),
                        percent(mean(j["estimate"] for j in some)),
                        percent(mean(abs(j["estimate"] - j["right"]) <= 0.05 for j in some)),
                        (
                            percent(sum(j["sure_right"] for j in sure) / sum(j["sure"] for j in sure))
                            if sure
                            else "none sure"
                        ),
                        percent(min(shares)) if sure else "none sure",
                        sum(j["right"] < j["plain"] - 0.01 for j in some),
                    ]
                )
    return table(
        [
            "evidence",
            "prompts",
            "verdict",
            "pairs",
            "least right",
            "mean right",
            "mean estimate",
            "estimate within 5 points, % of pairs",
            "of channels above 0.9: right",
            "the worst pair",
            "pairs below plain by more than a point",
        ],
        lines,
    )


def ways(kept):
    lines = []
    for (seed, rate), v in sorted(keyed(kept, "ways"), key=lambda e: (float(e[0][1]), e[0][0])):
        plain = [f"{percent(v[kind]['15'])} / {percent(v[kind]['30'])}" for kind in ("plain_ends", "plain_hops")]
        lines.append(
            [
                seed,
                f"{float(rate):g}",
                *plain,
                percent(v["ends"]["right"]),
                percent(v["hops"]),
                percent(v["base"]),
                percent(v["trace"]["right"]),
                percent(v["trace"]["estimate"]),
                v["trace"]["verdict"],
                f"{v['trace_seconds']:.0f}",
            ]
        )
    return table(
        [
            "seed",
            "lr",
            "plain ends, resid.15 / 30",
            "plain hops, resid.15 / 30",
            "ends",
            "hop by hop",
            "via base",
            "trace",
            "trace says",
            "verdict",
            "CPU s",
        ],
        lines,
    )


def unrelated(kept):
    return table(
        ["evidence", "verdict", "estimate", "CPU s"],
        [
            [" ".join(key).replace("_", ""), v["verdict"], percent(v["estimate"]), f"{v['seconds']:.1f}"]
            for key, v in keyed(kept, "unrelated")
        ],
    )


STEERED = ("moved", "permutation", "no_signs", "unmoved")


def steering(kept):
    return table(
        [
            "seed",
            "effect at home, nats",
            "on the target, true gauge",
            *(f"{name.replace('_', ' ')}, % of true" for name in STEERED),
        ],
        [
            [
                seed,
                f"{v['source']:.2f}",
                f"{v['truth']:.2f}",
                *(f"{100 * v[name] / v['truth']:.0f}" for name in STEERED),
            ]
            for (seed,), v in sorted(keyed(kept, "steering"))
        ],
    )


def sweep(kept):
    groups = defaultdict(list)
    for (_, share, _), v in keyed(kept, "sweep"):
        groups[float(share)].append(v)
    lines = []
    for share in POSITIVE_SHARES:
        some = groups.get(share)
        if some:
            kept_share = lambda name: mean(v[name] / v["truth"] for v in some)
            lines.append(
                [
                    f"{share:g}",
                    len(some),
                    percent(mean(v["right"] for v in some)),
                    percent(mean(v["permutation_right"] for v in some)),
                    *(f"{100 * kept_share(name):.0f}" for name in STEERED),
                    *(sum(v[name] / v["truth"] < 0 for v in some) for name in ("permutation", "no_signs")),
                ]
            )
    return table(
        [
            "positive signs",
            "gauges",
            "right, signed",
            "right, permutation only",
            *(f"{name.replace('_', ' ')}, % of effect" for name in STEERED),
            "reversed: permutation",
            "reversed: no signs",
        ],
        lines,
    )


def write(path, kept, regauge, command):
    path.write_text(f"""# SmolLM2-135M-Instruct under hard fine-tuning: what was measured

Written by `{command}`, with {regauge}. How it is made: [README.md](README.md).
Figures are percent of channels unless said otherwise; "says" is regauge's own estimate.

## Recovery over drift, depth and rows
One site, its first rows. **plain**: Pearson over the rows and SciPy's assignment. **rows**: `regauge align` on the same
rows. **with gains**: on the same rows and the norm gains. Means over the seeds.

{recovery(kept)}
## Calibration
Every pair of the tables above, by regauge's verdict.

{calibration(kept)}
## From the last checkpoint of run A to the last of run B
`align` with every site and the gains;
hops run from A's last checkpoint back to the base, over to the moved base, and on to B's last.

{ways(kept)}
## Unrelated: the base and a random initialisation

{unrelated(kept)}
## Sentiment steering, at the lightest learning rate
A vector of resid.15 made in run A, added in run B at every token;
the effect is the change of the log odds of good words against bad ones.

{steering(kept)}
## Gauge sweep
Run B put into other random gauges of a stated share of positive signs, found anew from its evidence.

{sweep(kept)}
## Not run
SAE reconstruction, refusal, merge and AdamW resume are not part of this experiment yet;
the [toy models](../RESULTS.md) have them.
""")
