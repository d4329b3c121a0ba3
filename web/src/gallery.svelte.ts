// What can be shown with one press: small files that come with the page, and what is done with them.
import { tick } from "svelte";
import { live } from "./live.svelte";
import { bench, fetchItem } from "./state.svelte";
import type { Item, Role } from "./lib/types";

export const exhibits = [
  { id: "steering", title: "A vector steers another model", about: "Refusal, moved from one run into another." },
  { id: "sae", title: "An SAE in another run", about: "Encoder, decoder and biases, moved as one." },
  { id: "partial", title: "Only partly the same", about: "A third of the channels went their own ways." },
  { id: "unrelated", title: "Not related", about: "The mistake of two texts, and how it shows." },
  { id: "history", title: "A shared history", about: "Two checkpoints down to heads and neurons." },
  { id: "layernorm", title: "LayerNorm", about: "Two GPT-2s: order moves, signs stay." },
  { id: "trace", title: "A trace", about: "Three states of a run, one gauge through them." },
] as const;

type Placed = [name: string, role: Role, files: string[]];

const evidence = (folder: string) => [`${folder}/evidence.safetensors`];
const model = (folder: string) => [`${folder}/config.json`, `${folder}/model.safetensors`];
const runA: Placed = ["tales-d64, run A", "source", evidence("source")];

const files: Record<string, Placed[]> = {
  sae: [
    runA,
    ["tales-d64, run B", "target", evidence("other_run")],
    ["sae_resid1", "object", ["source/sae_resid1/sae_weights.safetensors", "source/sae_resid1/cfg.json"]],
  ],
  partial: [runA, ["run B, a third of it replaced", "target", evidence("partial")]],
  unrelated: [runA, ["run A, on another text", "target", evidence("other_text")]],
  history: [
    ["tales-d64, run A", "source", model("source")],
    ["tales-d64, run B", "target", model("other_run")],
  ],
  layernorm: [
    ["a small GPT-2", "source", model("gpt2/source")],
    ["the same, reordered", "target", model("gpt2/target")],
    ["a small GPT-2 to move", "object", model("gpt2/source")],
  ],
  trace: [
    ["run A, earlier", "series", evidence("target")],
    ["run A", "series", evidence("source")],
    ["run B", "series", evidence("other_run")],
  ],
};

/** Loads an exhibit and does with it what it shows. Words that name none do nothing. */
export async function show(id: string | null): Promise<void> {
  if (!exhibits.some((one) => one.id === id) || bench.job) return;
  if (id === "steering") {
    scrollTo("live");
    return live.useSample();
  }
  const placed = files[id!]!;
  const loaded = await bench.exhibit(() =>
    Promise.all(
      placed.map(async ([name, role, paths]): Promise<{ item: Item; role: Role }> => ({
        item: await fetchItem(name, paths),
        role,
      })),
    ),
  );
  if (!loaded) return;
  if (id === "trace") await bench.trace();
  else await bench.align();
  if (id === "history") await bench.alignHidden();
  if (bench.mover) await bench.move(bench.objects.filter(({ item }) => item.sample));
  history.replaceState(null, "", `#show=${id}`);
  await tick();
  scrollTo(id === "trace" ? "traced" : id === "history" ? "heads-and-neurons" : "found");
}

const scrollTo = (id: string) => document.getElementById(id)?.scrollIntoView();
