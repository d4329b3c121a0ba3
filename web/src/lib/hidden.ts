// Heads and MLP neurons in words: what is sure, what changed, and what the two models have in common, said as the command says it.
import type { Hidden, HiddenLayer, HiddenReport } from "../engine";
import { count, percent, plural } from "./format";

type Scores = HiddenLayer["neuronScores"];

/** Probability from which a unit counts as matched; below it, it is undetermined. */
const even = 0.5;

/** How many are sure; null where nobody judged. */
const sure = ({ confidence }: Scores): number | null =>
  confidence.length === 0 ? null : confidence.reduce((sum, each) => sum + (each >= even ? 1 : 0), 0);

/** The picture's title, on the page and in a report. */
export const explainedTitle = "How much of each layer is explained";

/** A layer, or all of them, as a row of the table. */
export interface Row {
  layer: string;
  neurons: string;
  heads: string;
  undetermined: string;
  explained: string;
  changes: string;
}

const moved = (from: Uint32Array) => from.reduce((sum, place, i) => sum + (place === i ? 0 : 1), 0);

/** What the gauge does to a layer's heads and neurons. */
function changes(layer: HiddenLayer): string {
  const [neurons, heads] = [moved(layer.neurons), moved(layer.heads)];
  const signs = layer.neuronSign.reduce((sum, sign) => sum + (sign < 0 ? 1 : 0), 0);
  const list = [
    neurons > 0 && `${plural(neurons, "neuron")} moved`,
    signs > 0 && `${plural(signs, "sign")} flipped`,
    layer.neuronScale.length > 0 && "neurons scaled",
    heads > 0 && `${plural(heads, "head")} moved`,
    layer.turn.length > 0 && "queries and keys turned",
    layer.freeKeys.length > 0 && "queries and keys mixed",
    layer.value.length > 0 && "values mixed",
  ].filter((change) => change !== false);
  return list.join(", ") || "nothing";
}

const of = (known: number | null, all: number) => (known === null ? "not said" : `${count(known)} of ${count(all)}`);

export function rows({ layers, shape, report }: Hidden): Row[] {
  return layers.map((layer, l) => {
    const [neurons, heads] = [sure(layer.neuronScores), sure(layer.headScores)];
    return {
      layer: String(l),
      neurons: of(neurons, shape.neurons),
      heads: of(heads, shape.heads),
      undetermined:
        neurons === null || heads === null ? "not said" : count(shape.neurons + shape.heads - neurons - heads),
      explained: report ? percent(report.layers[l]!.explained) : "not said",
      changes: changes(layer),
    };
  });
}

const sum = (values: (number | null)[]) =>
  values.reduce((all, value) => (all === null || value === null ? null : all + value), 0);

/** "98.4 % of the neurons and 100 % of the heads are sure; the rest are undetermined"; null where nobody judged. */
export function sureShares({ layers, shape }: Hidden): string | null {
  const neurons = sum(layers.map(({ neuronScores }) => sure(neuronScores)));
  const heads = sum(layers.map(({ headScores }) => sure(headScores)));
  if (neurons === null || heads === null) return null;
  const share = (known: number, each: number) => percent(known / (shape.layers * each));
  return `${share(neurons, shape.neurons)} of the neurons and ${share(heads, shape.heads)} of the heads are sure; the rest are undetermined`;
}

/** The shares that are sure, or how many there are. */
export function shares(hidden: Hidden): string {
  const { layers, neurons, heads } = hidden.shape;
  const size = `${plural(layers, "layer")} of ${plural(neurons, "neuron")} and ${plural(heads, "head")}`;
  return sureShares(hidden) ?? `${size}; how sure they are, the file does not say`;
}

/** log10 of one in a thousand million: beyond it, agreement is no chance. */
const beyondChance = -9;

/** Share of sure neurons above which models share a history in other places, as the command has it: independent ones have none. */
const mostNeurons = 0.5;

/** "10^-143.2"; "0.41" where it is not small. */
const chance = (log10: number) =>
  log10 > -3 ? String(Number((10 ** log10).toPrecision(2))) : `10^${log10.toFixed(1)}`;

const agreement = ({ agreeing, of, log10_chance }: HiddenReport["identity_neurons"], what: string) =>
  `${agreeing} of ${of} ${what} stand where the identity has them; an independent model, whose gauge is as likely any other, ` +
  `would agree on so many with a chance of ${chance(log10_chance)}`;

/** What the pair has in common, in words that say no more than is known; only an alignment tells. */
export function kinship(
  { report }: Hidden,
  { source, target }: { source: string; target: string },
): { headline: string | null; sentences: string[] } {
  if (!report) return { headline: null, sentences: [] };
  const { identity_channels: channels, identity_neurons: neurons } = report;
  const places = channels.log10_chance < beyondChance || neurons.log10_chance < beyondChance;
  const elsewhere = !places && (report.neurons_sure ?? 0) > mostNeurons;
  const shared = `${target} shares a training history with ${source}`;
  return {
    headline: places
      ? shared
      : elsewhere
        ? `${shared}, in other places`
        : `Nothing here says that ${target} shares a training history with ${source}`,
    sentences: [
      `The source’s weights explain ${percent(report.explained)} of the target’s.`,
      ...(elsewhere ? ["Independent models have no sure neurons, measured on tiny random models only."] : []),
      `${agreement(channels, "channels")}.`,
      `${agreement(neurons, "neurons")}.`,
    ],
  };
}

/** Where objects can live beside the residual stream, by TransformerLens' names of the hooks; {l}: the layer. */
export const places = [
  { name: "on MLP neurons", hook: "blocks.{l}.mlp.hook_post" },
  { name: "on MLP neurons, before the activation", hook: "blocks.{l}.mlp.hook_pre" },
  { name: "on what heads put out", hook: "blocks.{l}.attn.hook_z" },
  { name: "on queries", hook: "blocks.{l}.attn.hook_q" },
  { name: "on keys", hook: "blocks.{l}.attn.hook_k" },
  { name: "on values", hook: "blocks.{l}.attn.hook_v" },
];

export const hookAt = (hook: string, layer: number) => hook.replace("{l}", String(layer));

/** The other way: of a hook its name without the layer, and the layer; of none the residual stream. */
export function placeOf(site: string | undefined): { hook: string; layer: number } {
  const [, layer, rest] = /^blocks\.(\d+)(\..*)$/.exec(site ?? "") ?? [];
  return rest ? { hook: `blocks.{l}${rest}`, layer: Number(layer) } : { hook: "", layer: 0 };
}

/** Kinds of objects whose files need not say where they live. */
export const placeless = ["vector", "probe", "neurons"];
