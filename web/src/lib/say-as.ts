// What was just done on the page, as lines for a terminal, for JavaScript and for Python, with the real file names.
import type { Item } from "./types";

export interface Doing {
  source: string;
  target: string;
  sites: string[];
  statistic: string;
  /** Heads and neurons too. */
  hidden: boolean;
  /** Objects to move; site: the hook that one lives on, where it is not the residual stream. */
  objects: { from: string; to: string; site?: string | undefined }[];
}

/** The path that stands for an item: its file, or its folder. */
export const pathOf = ({ name, files }: Item) => (files.length === 1 ? name : name.replace(/\.\w+$/, ""));

/** A word of a shell, which neither the shell nor the command takes for anything else. */
function shell(text: string): string {
  const named = text.startsWith("-") ? `./${text}` : text;
  return /^[\w./+=:@%-]+$/.test(named) ? named : `'${named.replaceAll("'", `'\\''`)}'`;
}

function asCommand({ source, target, sites, statistic, hidden, objects }: Doing): string {
  const chosen = [
    ...sites.map((site) => ` --site ${shell(site)}`),
    ...(statistic === "auto" ? [] : [` --statistic ${statistic}`]),
    ...(hidden ? [" --hidden"] : []),
  ];
  return [
    `npx regauge align ${shell(source)} ${shell(target)}${chosen.join("")} -o gauge.json`,
    ...objects.map(
      ({ from, to, site }) =>
        `npx regauge transport ${shell(from)} --gauge gauge.json${site ? ` --site ${shell(site)}` : ""} -o ${shell(to)}`,
    ),
  ].join("\n");
}

function asJavaScript({ source, target, sites, statistic, hidden, objects }: Doing): string {
  const options = {
    ...(sites.length > 0 ? { sites } : {}),
    ...(statistic === "auto" ? {} : { statistic }),
    ...(hidden ? { hidden } : {}),
  };
  const more = Object.keys(options).length > 0 ? `, ${JSON.stringify(options)}` : "";
  return [
    `import { align${objects.length > 0 ? ", transport" : ""} } from "regauge";`,
    "",
    `const gauge = await align(${JSON.stringify(source)}, ${JSON.stringify(target)}${more});`,
    "console.log(gauge.verdict, gauge.fingerprint);",
    ...objects.map(
      ({ from, to, site }) =>
        `await transport(${JSON.stringify(from)}, gauge, { ${site ? `site: ${JSON.stringify(site)}, ` : ""}out: ${JSON.stringify(to)} });`,
    ),
  ].join("\n");
}

function asPython({ source, target, sites, statistic, hidden, objects }: Doing): string {
  const options = [
    ...(sites.length > 0 ? [`sites=${JSON.stringify(sites)}`] : []),
    ...(statistic === "auto" ? [] : [`statistic=${JSON.stringify(statistic)}`]),
    ...(hidden ? ["hidden=True"] : []),
  ];
  return [
    "import regauge",
    "",
    `gauge = regauge.align(${[JSON.stringify(source), JSON.stringify(target), ...options].join(", ")})`,
    "print(gauge.verdict, gauge.fingerprint)",
    ...objects.map(
      ({ from, to, site }) =>
        `regauge.transport(${JSON.stringify(from)}, gauge, ${site ? `site=${JSON.stringify(site)}, ` : ""}out=${JSON.stringify(to)})`,
    ),
  ].join("\n");
}

export const sayAs = { command: asCommand, JavaScript: asJavaScript, Python: asPython };
export type Tongue = keyof typeof sayAs;
