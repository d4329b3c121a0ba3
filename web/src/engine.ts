// The one door between the page and the package `regauge`: items in, the package's own answers out.
import * as regauge from "regauge";
import type { Inspection, Item, Moved } from "./lib/types";

export { Gauge, Maps, type TracedGauge } from "regauge";
export type {
  Hidden,
  HiddenLayer,
  HiddenReport,
  Hop,
  MatchOptions,
  Plan,
  ProgressReport,
  Statistic,
  TensorMove,
} from "regauge";

type Control = regauge.JobControl;
/** What quantised weights can be written as. */
export type Floats = NonNullable<regauge.TransportOptions["dequantize"]>;
export const floats: Floats[] = ["bf16", "f16", "f32"];

/** One file by its name, a folder by the names in it. */
export function input({ name, files }: Item): regauge.FileInput {
  const [first] = files;
  if (files.length === 1 && first!.blob instanceof Blob) return new File([first!.blob], first!.path || name);
  if (files.length === 1) return first!.blob;
  return Object.fromEntries(files.map(({ path, blob }) => [path, blob]));
}

const elements = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

export async function inspect(item: Item, control: Control = {}): Promise<Inspection> {
  let plan: regauge.Plan;
  try {
    plan = await regauge.inspect(input(item), control);
  } catch (error) {
    return packedEvidence(item, error);
  }
  const under = (prefix: string) => plan.tensors.filter(({ name }) => name.startsWith(prefix));
  const sites = under("activations/").map(({ name, shape }) => ({
    name: name.slice("activations/".length),
    rows: elements(shape.slice(0, -1)),
  }));
  const [largest] = [...plan.tensors].sort((a, b) => elements(b.shape) - elements(a.shape));
  return {
    ...plan,
    sites,
    gains: under("gains/").map(({ name }) => name.slice("gains/".length)),
    dtype: largest?.dtype ?? "",
    quantised: plan.tensors.some(({ why }) => /in blocks of|block-quantised/.test(why)),
    evidence: sites.length > 0 || plan.tensors.some(({ name }) => embedding.test(name)) || isRows(plan),
  };
}

/** What packed weights make of a checkpoint: nothing that moves, and evidence all the same where its norms and embedding are floats. */
async function packedEvidence(item: Item, error: unknown): Promise<Inspection> {
  if (!(error instanceof regauge.RegaugeError) || error.code !== "unsupported") throw error;
  const names = await gains(item);
  const [first] = names.values();
  if (!first) throw error;
  const description = "a quantised checkpoint: its norms and embedding are evidence, and it moves only as floats";
  const plan = { kind: "", description, d: first.length, tensors: [], unknown: [] };
  return { ...plan, sites: [], gains: [...names.keys()], dtype: "", quantised: false, evidence: true };
}

/** A checkpoint tells channels apart by its embedding, whatever the family calls it. */
export const embedding = /(embed_tokens|wte|tok_embeddings|embed_in|word_embeddings|token_embd)\.weight$/;

/** A single matrix with more rows than channels is activations rather than a set of directions. */
function isRows({ tensors, d }: regauge.Plan): boolean {
  return tensors.length === 1 && elements(tensors[0]!.shape) > d * d && tensors[0]!.shape.at(-1) === d;
}

/** What is behind an address, as an item. Its small files are fetched, its weights described. */
export async function lookAt(id: string, address: string, control: Control): Promise<Item> {
  const found = await regauge.openUrl(address, control);
  const files = regauge.isUrlFile(found) ? { [fileName(address)]: found } : found;
  return {
    id,
    name: regauge.isUrlFile(found) ? fileName(address) : regauge.modelName(address),
    files: Object.entries(files).map(([path, content]) => ({
      path,
      blob:
        content instanceof Uint8Array ? new Blob([content as Uint8Array<ArrayBuffer>]) : (content as regauge.UrlFile),
    })),
    address,
  };
}

const fileName = (address: string) => decodeURIComponent(new URL(address).pathname.split("/").at(-1)!);

export function align(source: Item, target: Item, options: regauge.AlignOptions): Promise<regauge.Gauge> {
  return regauge.align(input(source), input(target), options);
}

/** r of every target channel (row) with every source channel (column) at one site, d x d. */
export function correlation(
  source: Item,
  target: Item,
  options: regauge.CorrelationOptions,
): Promise<regauge.Correlation> {
  return regauge.correlation(input(source), input(target), options);
}

/** The gains of the evidence's norms by name; none where it is no evidence. */
export async function gains(item: Item): Promise<Map<string, Float32Array>> {
  return regauge.gains(input(item)).catch(() => new Map<string, Float32Array>());
}

/** The first vector of length d along the last axis of a tensor, to look at; null where the file has none. */
export async function firstRow(
  path: string,
  blob: Blob | regauge.UrlFile,
  tensor: string,
  d: number,
): Promise<Float32Array | null> {
  const row = await regauge
    .firstRow(blob instanceof Blob ? new File([blob], path) : blob, { tensor })
    .catch(() => null);
  return row && row.values.length === d ? row.values : null;
}

/** Of a vector or a few: a sentence where the first has elements that are no numbers. */
export async function notNumbers(item: Item, { tensors }: Inspection): Promise<string | undefined> {
  const [only] = tensors;
  if (tensors.length !== 1 || item.files.length !== 1 || elements(only!.shape) > 2 ** 20) return undefined;
  const row = await regauge.firstRow(input(item), { tensor: only!.name }).catch(() => null);
  const bad = row ? row.values.filter((value) => !Number.isFinite(value)).length : 0;
  if (bad === 0) return undefined;
  return `${bad} of ${row!.values.length} channels are NaN or infinite. A gauge moves them as they are, a map spreads them over all channels; no model can be steered with them.`;
}

export function fitMap(source: Item, target: Item, options: regauge.MapOptions): Promise<regauge.Maps> {
  return regauge.fitMap(input(source), input(target), options);
}

export async function transport(
  item: Item,
  gauge: regauge.Gauge | regauge.Maps,
  options: Control & { dequantize?: Floats; site?: string },
): Promise<Moved> {
  const { plan, files, dispose } = await regauge.transport(input(item), gauge, options);
  return { plan, files: files.map(({ name, blob }) => ({ path: name, blob })), dispose };
}

/** A gauge that was kept, with what its alignment said of heads and neurons: the file does not hold that. */
export function keptGauge(json: string, report?: regauge.HiddenReport): regauge.Gauge {
  const file = JSON.parse(json) as regauge.GaugeJson;
  const { hidden } = file;
  if (!hidden || !report) return regauge.Gauge.from(file);
  return regauge.Gauge.from({ ...file, hidden: regauge.Hidden.from(hidden, "gauge", report) });
}

/** From the first of the checkpoints to the last. Two of one file name are told apart by their folders' or cards' names. */
export function trace(checkpoints: Item[], options: regauge.TraceOptions): Promise<regauge.TracedGauge> {
  return regauge.trace(checkpoints.map(input), options);
}

/** The gauge in a gauge file; undefined for any other file. Throws the package's error where the file is one and is broken. */
export async function gaugeIn({ files }: Item): Promise<regauge.Gauge | undefined> {
  const [file] = files;
  if (files.length !== 1 || !file!.path.endsWith(".json") || !(file!.blob instanceof Blob)) return undefined;
  if (file!.blob.size > 64e6) return undefined;
  const text = await file!.blob.text();
  return text.includes('"regauge-gauge"') ? regauge.Gauge.from(text, file!.path) : undefined;
}
