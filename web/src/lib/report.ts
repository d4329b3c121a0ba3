// One file that says what was found: a page of HTML that stands alone, with its figures inside, and runs nothing.
import { version } from "regauge";
import type { Gauge } from "../engine";
import type { Figure } from "./figure";
import { count, percent } from "./format";
import { explainedTitle, kinship, rows, shares, sureShares } from "./hidden";
import { isIdentity } from "./select";

export interface Report {
  gauge: Gauge;
  title: string;
  names: { source: string; target: string };
  verdict: string;
  facts: readonly (readonly string[])[];
  /** The lines that do the same elsewhere. */
  command: string;
  /** By title, in the page's order; that of explained layers stands with the layers. */
  figures: ReadonlyMap<string, () => Figure>;
}

const escape = (text: string) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

const style = `body{max-width:60rem;margin:2rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif;color:#16191d;background:#fff}
table{border-collapse:collapse}td,th{padding:.25rem 1rem .25rem 0;text-align:left;border-bottom:1px solid #dfe2e5}
code,pre{font-size:.875rem;overflow-wrap:anywhere;white-space:pre-wrap}figure{margin:1.5rem 0;break-inside:avoid}svg{max-width:100%;height:auto}`;

/** A sentence that can stand in a paper. */
export function statement(gauge: Gauge & { version?: string }): string {
  const { d, summary, verdict, rows, statistic, fingerprint, hidden, version: made } = gauge;
  const how = `signed-permutation matching (regauge ${made || version}, ${statistic} statistic, ${count(rows)} paired rows)`;
  if (verdict === "unrelated") return `Under ${how} the two models do not share residual-stream coordinates.`;
  const known = hidden && sureShares(hidden);
  const units = known ? ` ${known} (fingerprint ${hidden.fingerprint.slice(0, 16)}).` : "";
  if (isIdentity(gauge))
    return `Under ${how} the two models share residual-stream coordinates: the gauge is the identity.${units}`;
  return (
    `Residual-stream coordinates (d = ${d}) were related by ${how}; an estimated ${percent(summary.estimate)} of the channels are matched rightly, ` +
    `${count(summary.sign_flips)} with the sign flipped (verdict: ${verdict}; gauge fingerprint ${fingerprint.slice(0, 16)}).${units}`
  );
}

const cells = (tag: "td" | "th", texts: readonly string[]) =>
  `<tr>${texts.map((text) => `<${tag}>${escape(text)}</${tag}>`).join("")}</tr>`;

/** Heads and neurons by layer, and what the two models have in common. */
function hiddenPart({ hidden }: Gauge, names: Report["names"], picture: string): string {
  if (!hidden) return "";
  const { headline, sentences } = kinship(hidden, names);
  return `<h2>Heads and MLP neurons</h2>${headline ? `<p><b>${escape(headline)}.</b></p>` : ""}
${[`${shares(hidden)}.`, ...sentences].map((text) => `<p>${escape(text)}</p>`).join("")}
${picture}
<table>${cells("th", ["layer", "neurons sure", "heads sure", "undetermined", "explained", "what changed"])}
${rows(hidden)
  .map((row) => cells("td", [row.layer, row.neurons, row.heads, row.undetermined, row.explained, row.changes]))
  .join("")}</table>
<p>Fingerprint of heads and neurons: <code>${hidden.fingerprint}</code></p>`;
}

const pictures = (figures: readonly (() => Figure)[]) =>
  figures.map((figure) => `<figure>${figure().svg}</figure>`).join("\n");

export function report({ gauge, title, names, verdict, facts, command, figures }: Report): string {
  const sites = gauge.sites.map(({ name, statistic, rows, agreement, estimate }) =>
    cells("td", [name, statistic, count(rows), percent(agreement), percent(estimate)]),
  );
  const drawn = (ofLayers: boolean) =>
    [...figures].filter(([name]) => (name === explainedTitle) === ofLayers).map(([, figure]) => figure);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>regauge: ${escape(title)}</title><style>${style}</style></head><body>
<h1>${escape(title)}</h1>
<p>${escape(verdict)}</p>
<table>${facts.map(([name, value]) => `<tr><th>${escape(name!)}</th><td>${escape(value!)}</td></tr>`).join("")}
<tr><th>fingerprint</th><td><code>${gauge.fingerprint}</code></td></tr></table>
<h2>A sentence for a paper</h2><p>${escape(statement(gauge))}</p>
${sites.length > 0 ? `<h2>Sites</h2><table>${cells("th", ["site", "statistic", "rows", "halves agree", "right, estimated"])}${sites.join("")}</table>` : ""}
${hiddenPart(gauge, names, pictures(drawn(true)))}
${pictures(drawn(false))}
<h2>Do it again</h2><pre>${escape(command)}</pre>
<p>Made by regauge ${escape(version)}. Everything was computed on the reader’s machine.</p>
</body></html>
`;
}
