// What was just done on the page, as lines for a terminal, for JavaScript and for Python, with the real file names.
import type { Floats } from "../engine";
import { movedName } from "./download";
import type { Settings } from "./link";
import type { Item } from "./types";

/** How what moves objects was found. */
export interface Doing {
  /** A gauge of two, a gauge through a series of checkpoints, or maps between two. */
  how: "align" | "trace" | "map";
  /** Source and target, or the series in its order. */
  inputs: Item[];
  settings: Settings;
  /** Heads and neurons too. */
  hidden: boolean;
}

/** An object that was moved with it. */
export interface MovedObject {
  item: Item;
  /** The hook that it lives on, where it is not the residual stream. */
  site?: string | undefined;
  /** What its quantised weights were written as. */
  dequantize?: Floats | undefined;
}

/** The path that stands for an item: its file, or its folder. Files that were dropped without theirs are called as their weights are. */
export const pathOf = ({ name, files }: Item) =>
  files.length > 1 && files.some(({ path }) => path === name.split("/").at(-1)) ? name.replace(/\.\w+$/, "") : name;

const quoted = (text: string) => JSON.stringify(text);
const movedPath = (item: Item) => movedName(pathOf(item));

/** A word of a shell, which neither the shell nor the command takes for anything else. */
function shell(text: string): string {
  const named = text.startsWith("-") ? `./${text}` : text;
  return /^[\w./+=:@%-]+$/.test(named) ? named : `'${named.replaceAll("'", `'\\''`)}'`;
}

function asCommand({ how, inputs, settings: { sites, statistic }, hidden }: Doing, objects: MovedObject[]): string {
  const [flag, file] = how === "map" ? ["--map", "map.safetensors"] : ["--gauge", "gauge.json"];
  const options = [
    ...sites.map((site) => ` --site ${shell(site)}`),
    ...(!statistic || statistic === "auto" ? [] : [` --statistic ${statistic}`]),
    ...(hidden ? [" --hidden"] : []),
  ];
  return [
    `npx regauge ${how} ${inputs.map((item) => shell(pathOf(item))).join(" ")}${options.join("")} -o ${file}`,
    ...objects.map(({ item, site, dequantize }) => {
      const more = [
        ...(site ? [` --site ${shell(site)}`] : []),
        ...(dequantize ? [` --dequantize ${dequantize}`] : []),
      ];
      return `npx regauge transport ${shell(pathOf(item))} ${flag} ${file}${more.join("")} -o ${shell(movedPath(item))}`;
    }),
  ].join("\n");
}

function asJavaScript({ how, inputs, settings: { sites, statistic }, hidden }: Doing, objects: MovedObject[]): string {
  const [call, found, word] = how === "map" ? ["fitMap", "maps", "family"] : [how, "gauge", "verdict"];
  /** JavaScript reads from an address as the page does; the others from a copy. */
  const whence = (item: Item) => quoted(item.address ?? pathOf(item));
  const from = inputs.map(whence).join(", ");
  const options = {
    ...(sites.length > 0 ? { sites } : {}),
    ...(!statistic || statistic === "auto" ? {} : { statistic }),
    ...(hidden ? { hidden } : {}),
  };
  const asked = Object.keys(options).length > 0 ? `, ${JSON.stringify(options)}` : "";
  return [
    `import { ${call}${objects.length > 0 ? ", transport" : ""} } from "regauge";`,
    "",
    `const ${found} = await ${call}(${how === "trace" ? `[${from}]` : from}${asked});`,
    `console.log(${found}.${word}, ${found}.fingerprint);`,
    ...objects.map(({ item, site, dequantize }) => {
      const more = [
        ...(site ? [`site: ${quoted(site)}, `] : []),
        ...(dequantize ? [`dequantize: "${dequantize}", `] : []),
      ];
      return `await transport(${whence(item)}, ${found}, { ${more.join("")}out: ${quoted(movedPath(item))} });`;
    }),
  ].join("\n");
}

function asPython({ how, inputs, settings: { sites, statistic }, hidden }: Doing, objects: MovedObject[]): string {
  const from = inputs.map((item) => quoted(pathOf(item))).join(", ");
  const options = [
    ...(sites.length > 0 ? [`, sites=${JSON.stringify(sites)}`] : []),
    ...(!statistic || statistic === "auto" ? [] : [`, statistic="${statistic}"`]),
    ...(hidden ? [", hidden=True"] : []),
  ];
  return [
    "import regauge",
    "",
    ...(how === "map"
      ? [`maps = regauge.fit_map(${from})`, "print(maps.report.family, maps.report.fingerprint)"]
      : [
          `gauge = regauge.${how}(${how === "trace" ? `[${from}]` : from}${options.join("")})`,
          "print(gauge.verdict, gauge.fingerprint)",
        ]),
    ...objects.map(({ item, site, dequantize }) => {
      const object =
        how === "map" ? `maps.transport(${quoted(pathOf(item))}` : `regauge.transport(${quoted(pathOf(item))}, gauge`;
      const more = [
        ...(site ? [`, site=${quoted(site)}`] : []),
        ...(dequantize ? [`, dequantize="${dequantize}"`] : []),
      ];
      return `${object}${more.join("")}, out=${quoted(movedPath(item))})`;
    }),
  ].join("\n");
}

export const sayAs = { command: asCommand, JavaScript: asJavaScript, Python: asPython };
export type Tongue = keyof typeof sayAs;
