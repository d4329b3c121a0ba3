// The small models that run on the page: what is loaded, what was sampled and verified, and the steering that is shown.
import * as models from "./models";
import type { Gauge, SteerReport, Verification } from "./models";
import { askTokens } from "./lib/ask-tokens";
import { isModel, modelFacts, type ModelFacts } from "./lib/tokens";
import type { Item } from "./lib/types";
import { bench, fetchItem } from "./state.svelte";

/** What came of running both models. */
export interface Ran {
  source: Item;
  target: Item;
  facts: ModelFacts;
  tokens: number[][];
  evidence: { source: File; target: File };
  gauge: Gauge;
  /** The source moved by the gauge, against the source: the same function, or the gauge is no symmetry. */
  moved: Verification;
  /** The target against the source: what training changed. */
  trained: Verification;
}

/** Effects of a vector over strengths of one sign: what it promotes is another set of tokens where it is taken away. */
export type Sweep = { strength: number; name: string; effect: number }[];

const sweepStrengths = [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];

class Live {
  /** The sample's models, tokens, vector, and the request that the vector is tried on, once they are fetched. */
  sample: { source: Item; target: Item; tokens: Blob; vector: Item; request: Blob } | null = $state.raw(null);
  tokens: { name: string; blob: Blob } | null = $state.raw(null);
  ran: Ran | null = $state.raw(null);
  report: SteerReport | null = $state.raw(null);
  sweep: Sweep = $state.raw([]);
  steering = $state(false);
  /** Of the last steering that could not be done. */
  refusal: string | null = $state(null);

  // What a person chooses.
  prompt = $state("");
  site = $state("");
  strength = $state(1);
  length = $state(32);
  temperature = $state(0);
  vectorId = $state("");

  /** The models: those on the bench where both are checkpoints, else the sample's. */
  pair = $derived.by(() => {
    const [source, target] = [bench.source?.item, bench.target?.item];
    if (source && target && isModel(source) && isModel(target)) return { source, target, own: true };
    return this.sample ? { source: this.sample.source, target: this.sample.target, own: false } : null;
  });
  /** Objects of the source's width that may be steering vectors, and the sample's. */
  vectors = $derived([
    ...bench.objects.filter(({ inspection }) => inspection && isVectors(inspection.tensors)).map(({ item }) => item),
    ...(this.sample && !this.pair?.own && !bench.objects.some(({ item }) => item.name === this.sample!.vector.name)
      ? [this.sample.vector]
      : []),
  ]);
  vector = $derived(this.vectors.find(({ id }) => id === this.vectorId) ?? this.vectors[0]);

  #steering: AbortController | null = null;

  async useSample(): Promise<void> {
    if (!this.sample) {
      await bench.run("Fetching the sample’s models", async () => {
        const model = (name: string, folder: string) =>
          fetchItem(name, [`${folder}/config.json`, `${folder}/model.safetensors`]);
        const [source, target, vector, tokens, request] = await Promise.all([
          model("tales-d64, run A", "source"),
          model("tales-d64, run B", "other_run"),
          fetchItem("refusal_resid2.npy", ["source/refusal_resid2.npy"]),
          fetchItem("tokens.npy", ["source/tokens.npy"]),
          fetchItem("requests.json", ["source/requests.json"]),
        ]);
        this.sample = { source, target, vector, tokens: tokens.files[0]!.blob, request: request.files[0]!.blob };
        this.strength = 0.9; // refuses, and still spells
      });
    }
    if (this.sample) await this.run();
  }

  /** Samples both, aligns, verifies, and steers once. */
  async run(): Promise<void> {
    const pair = $state.snapshot(this.pair) as typeof this.pair;
    if (!pair || bench.job) return;
    this.ran = this.report = this.refusal = null;
    this.sweep = [];
    await bench.run("Running both models", async (control) => {
      const { source, target } = pair;
      const facts = await modelFacts(source);
      const given = this.tokens ?? (pair.own ? null : { name: "tokens.npy", blob: this.sample!.tokens });
      if (!given) throw new Error("tokens: choose a text or token file that both models read");
      const read = (file: Blob, name: string) => askTokens(facts, { file, name }, control.signal);
      const tokens = (await read(given.blob, given.name)).filter(({ length }) => length > 0).slice(0, 64);
      if (tokens.length === 0) throw new Error(`${given.name}: has no token`);
      const evidence = {
        source: await models.activations(source, tokens, control),
        target: await models.activations(target, tokens, control),
      };
      const gauge = await models.align(evidence.source, evidence.target, control);
      const some = tokens.slice(0, 4);
      const moved: Item = {
        id: "moved",
        name: `${source.name}, moved`,
        files: await models.move(source, gauge, control),
      };
      const verified = {
        moved: await models.verify(source, moved, some, control),
        trained: await models.verify(source, target, some, control),
      };
      this.ran = { source, target, facts, tokens, evidence, gauge, ...verified };
      bench.announcement = `Sampled and aligned: ${gauge.verdict}`;
      this.prompt = pair.own
        ? beginning(tokens[0]!, facts)
        : facts.tokenizer!.decode((await read(this.sample!.request, "requests.json"))[0]!);
      this.site =
        /resid[._]?(\d+)/.exec(this.vector?.name ?? "")?.[1]?.replace(/^/, "resid.") ??
        `resid.${Math.ceil(facts.layers / 2)}`;
    });
    await this.steer(true);
  }

  /** Steers anew with what is chosen now; a steering that is under way makes room. all: the range of strengths too, as it is where their sign has changed. */
  async steer(all: boolean): Promise<void> {
    const [ran, vector] = [this.ran, $state.snapshot(this.vector) as Item | undefined];
    if (!ran || !vector) return;
    this.#steering?.abort();
    const controller = (this.#steering = new AbortController());
    this.steering = true;
    this.refusal = null;
    try {
      const prompt = await encodePrompt(this.prompt, ran, controller.signal);
      const words = { vector, prompt, gauge: ran.gauge, site: this.site, temperature: this.temperature };
      const control = { signal: controller.signal };
      this.report = await models.steer(
        ran.source,
        ran.target,
        { ...words, strength: this.strength, length: this.length },
        control,
      );
      const side = this.strength < 0 ? -1 : 1;
      if (all || !this.sweep.some(({ strength }) => strength * side > 0)) {
        const sweep: Sweep = [];
        for (const strength of sweepStrengths.map((size) => side * size)) {
          const { arms } = await models.steer(ran.source, ran.target, { ...words, strength, length: 0 }, control);
          for (const { name, effect } of arms) sweep.push({ strength, name, effect });
        }
        this.sweep = sweep;
      }
      bench.announcement = "Steered";
    } catch (error) {
      if (!controller.signal.aborted) this.refusal = error instanceof Error ? error.message : String(error);
    } finally {
      if (this.#steering === controller) {
        this.#steering = null;
        this.steering = false;
      }
    }
  }

  stop(): void {
    this.#steering?.abort();
  }

  /** Puts the sampled activations on the bench, as if they had been dropped there. */
  async toBench(): Promise<void> {
    if (!this.ran) return;
    for (const role of ["source", "target"] as const)
      await bench.add(
        [
          {
            id: crypto.randomUUID(),
            name: `${this.ran[role].name}, activations`,
            files: [{ path: "evidence.safetensors", blob: this.ran.evidence[role] }],
          },
        ],
        role,
      );
  }
}

/** Vectors: every tensor's only residual axis is its last. */
function isVectors(
  tensors: readonly { shape: readonly number[]; moves: readonly { axis: number; action: string }[] }[],
): boolean {
  const odd = tensors.filter(({ moves }) => moves.length > 0);
  return (
    odd.length > 0 &&
    odd.every(
      ({ shape, moves }) => moves.length === 1 && moves[0]!.action === "odd" && moves[0]!.axis === shape.length - 1,
    )
  );
}

/** A prompt to start with: whole lines where there are any. */
function beginning(tokens: number[], { tokenizer }: ModelFacts): string {
  const first = tokens.slice(0, 48);
  if (!tokenizer) return first.slice(0, 24).join(", ");
  const text = tokenizer.decode(first);
  return text.slice(0, text.lastIndexOf("\n") + 1) || text;
}

async function encodePrompt(text: string, { facts }: Ran, signal: AbortSignal): Promise<number[]> {
  const [ids = []] = await askTokens(facts, { text, name: "prompt" }, signal);
  if (ids.length === 0) throw new Error("prompt: is empty; give at least one token");
  return ids;
}

export const live = new Live();
