// The page's whole state and every action on it. Components read from `bench` and call its methods; nothing else is kept anywhere.
import * as engine from "./engine";
import type { Gauge, MatchOptions, ProgressReport } from "./engine";
import { forget, keep, kept } from "./lib/keep";
import { positiveFraction, samePermutation } from "./lib/select";
import * as peek from "./lib/peek";
import type { Inspection, Item, MovedFile, Role } from "./lib/types";

/** An item on the bench, what is in it and what became of it. */
export interface Entry {
  item: Item;
  role: Role;
  inspection?: Inspection;
  error?: string;
  moved?: MovedFile[];
}

/** Work that is under way, with the button that ends it. */
export interface Job {
  title: string;
  progress: ProgressReport | null;
  started: number;
  controller: AbortController;
}

/** An alignment with what the plots need beside it; those parts come a moment later than the gauge. */
export interface Result {
  gauge: Gauge;
  source: Item;
  target: Item;
  baseline: Gauge | null;
  correlation: { site: string; r: Float32Array } | null;
  gains: { source: Map<string, Float64Array>; target: Map<string, Float64Array> } | null;
}

/** What a link carries: settings, never data. */
export type Settings = Pick<MatchOptions, "statistic"> & { sites: string[] };

class Bench {
  entries: Entry[] = $state([]);
  job: Job | null = $state(null);
  error: string | null = $state(null);
  result: Result | null = $state.raw(null);
  settings: Settings = $state(fromLink());
  /** The channel that is marked in every plot, as a target channel. */
  selected: number | null = $state(null);
  /** The channel under the pointer; it is marked lightly. */
  hovered: number | null = $state(null);
  /** True while this browser keeps the dropped files for a reload. */
  remembered = $state(false);
  /** For screen readers: what just happened. */
  announcement = $state("");

  source = $derived(this.entries.find((entry) => entry.role === "source"));
  target = $derived(this.entries.find((entry) => entry.role === "target"));
  objects = $derived(this.entries.filter((entry) => entry.role === "object"));
  ready = $derived(Boolean(this.source?.inspection && this.target?.inspection));
  marked = $derived(this.hovered ?? this.selected);

  /**
   * Takes items in. role: where they were dropped; without it, evidence fills the free places in order and the rest are objects.
   * Of several that are dropped as one side, the first evidence is it, and the rest are objects.
   */
  async add(items: Item[], role?: Role): Promise<void> {
    this.error = null;
    let free = role;
    for (const item of items) {
      const entry: Entry = { item, role: items.length === 1 ? (role ?? "object") : "object" };
      try {
        entry.inspection = await engine.inspect(item);
        if (entry.inspection.evidence && entry.role !== role) {
          entry.role = role ? (free ?? "object") : !this.source ? "source" : !this.target ? "target" : "object";
          free = undefined;
        }
      } catch (error) {
        entry.error = sentence(error);
      }
      this.place(entry);
      this.announcement = entry.error ?? `${item.name} added as ${entry.role}: ${entry.inspection?.description}`;
    }
    void this.remember();
  }

  async loadSample(): Promise<void> {
    this.error = null;
    try {
      const [source, target] = await Promise.all([
        fetchItem("shakespeare-d128, step 1450", ["source/evidence.safetensors"]),
        fetchItem("shakespeare-d128, step 1500", ["target/evidence.safetensors"]),
      ]);
      await this.add([source], "source");
      await this.add([target], "target");
      await this.loadSampleObjects();
    } catch (error) {
      this.error = sentence(error);
    }
  }

  async loadSampleObjects(): Promise<void> {
    const names = new Set(this.objects.map(({ item }) => item.name));
    const all = await Promise.all([
      fetchItem("steering_resid2.npy", ["source/steering_resid2.npy"]),
      fetchItem("sae_resid2", ["source/sae_resid2/sae_weights.safetensors", "source/sae_resid2/cfg.json"]),
    ]);
    await this.add(all.filter((item) => !names.has(item.name)), "object");
  }

  remove(entry: Entry): void {
    this.entries = this.entries.filter((other) => other.item.id !== entry.item.id);
    if (entry.role !== "object") this.clearResult();
    this.announcement = `${entry.item.name} removed`;
    void this.remember();
  }

  setRole(entry: Entry, role: Role): void {
    const before = entry.role;
    if (role === before) return;
    // Source and target change places rather than push each other out.
    const occupant = role === "object" ? undefined : this.entries.find((other) => other.role === role);
    if (occupant) occupant.role = before;
    entry.role = role;
    entry.moved = undefined;
    this.clearResult();
    this.announcement = `${entry.item.name} is now the ${role}`;
    void this.remember();
  }

  async align(): Promise<void> {
    const [source, target] = [this.source, this.target];
    if (!source || !target || this.job) return;
    this.clearResult();
    await this.run("Aligning", async (options) => {
      const [from, to] = [$state.snapshot(source.item) as Item, $state.snapshot(target.item) as Item];
      const chosen = $state.snapshot(this.settings);
      history.replaceState(null, "", link(this.settings));
      const gauge = await engine.align(from, to, { ...chosen, group: "signed", ...options });
      this.result = { gauge, source: from, target: to, baseline: null, correlation: null, gains: null };
      this.announcement = `Verdict: ${gauge.verdict}`;
      // The rest is for the plots: a failure there leaves the gauge standing.
      const site = bestSite(gauge);
      if (site) this.patch({ correlation: { site, r: await engine.correlation(from, to, { site, signal: options.signal }) } });
      this.patch({ gains: { source: await peek.gains(from.files[0]!.blob, gauge.d), target: await peek.gains(to.files[0]!.blob, gauge.d) } });
      this.patch({ baseline: await engine.align(from, to, { ...chosen, group: "permutation", ...options }) });
    });
  }

  /** Shows another site's correlations in the heat maps. */
  async showSite(site: string): Promise<void> {
    const result = this.result;
    if (!result || result.correlation?.site === site) return;
    await this.run(`Correlating ${site}`, async ({ signal }) => {
      const r = await engine.correlation(result.source, result.target, { site, signal });
      if (this.result?.gauge === result.gauge) this.patch({ correlation: { site, r } });
    });
  }

  /** Moves objects into the target's coordinates. */
  async move(entries: Entry[]): Promise<void> {
    const gauge = this.result?.gauge;
    if (!gauge) return;
    for (const entry of entries) {
      await this.run(`Moving ${entry.item.name}`, async (options) => {
        try {
          entry.error = undefined;
          entry.moved = await engine.transport($state.snapshot(entry.item) as Item, gauge, options);
          this.announcement = `${entry.item.name} moved`;
        } catch (error) {
          if (options.signal.aborted) throw error;
          entry.error = sentence(error);
        }
      });
    }
  }

  cancel(): void {
    this.job?.controller.abort();
  }

  select(channel: number | null): void {
    this.selected = channel;
  }

  async restore(): Promise<void> {
    for (const { item, role } of await kept()) await this.add([item], role);
    this.remembered = this.entries.length > 0;
  }

  async forget(): Promise<void> {
    this.cancel();
    this.entries = [];
    this.clearResult();
    this.error = null;
    await forget();
    this.remembered = false;
    this.announcement = "Everything is forgotten";
  }

  private async remember(): Promise<void> {
    const items = this.entries.filter(({ error }) => !error).map(({ item, role }) => ({ item: $state.snapshot(item) as Item, role }));
    this.remembered = items.length > 0 && (await keep(items));
    if (items.length === 0) await forget();
  }

  /** Puts an entry in its place; a source or target that was there before becomes the new one's predecessor and goes. */
  private place(entry: Entry): void {
    if (entry.role !== "object") {
      this.entries = this.entries.filter(({ role }) => role !== entry.role);
      this.clearResult();
    }
    this.entries.push(entry);
  }

  private clearResult(): void {
    this.result = null;
    this.selected = this.hovered = null;
    for (const entry of this.entries) entry.moved = undefined;
  }

  private patch(part: Partial<Result>): void {
    if (this.result) this.result = { ...this.result, ...part };
  }

  /** Runs one job, a component's own too: progress, cancel, and the error as its sentence. */
  async run(title: string, work: (options: { onProgress: (progress: ProgressReport) => void; signal: AbortSignal }) => Promise<void>): Promise<void> {
    const controller = new AbortController();
    this.error = null;
    this.job = { title, progress: null, started: performance.now(), controller };
    const onProgress = (progress: ProgressReport) => {
      if (this.job) this.job.progress = progress;
    };
    try {
      await work({ onProgress, signal: controller.signal });
    } catch (error) {
      if (controller.signal.aborted) this.announcement = "Cancelled";
      else this.error = sentence(error);
    } finally {
      this.job = null;
    }
  }
}

/** `#statistic=whitened&site=resid.2&site=resid.4` */
function fromLink(): Settings {
  const words = new URLSearchParams(location.hash.slice(1));
  const statistic = statistics.find((word) => word === words.get("statistic"));
  return { statistic: statistic ?? "auto", sites: words.getAll("site") };
}

function link({ statistic, sites }: Settings): string {
  const words = new URLSearchParams(sites.map((site) => ["site", site]));
  if (statistic !== "auto") words.set("statistic", statistic!);
  return words.size > 0 ? `#${words}` : location.pathname;
}

const statistics = ["auto", "correlation", "whitened"] as const;

export const bench = new Bench();

/** What the sign flips cost the permutation-only baseline. */
export function ceiling(result: Result): { positive: number; recovered: number } | null {
  if (!result.baseline) return null;
  return { positive: positiveFraction(result.gauge), recovered: samePermutation(result.gauge, result.baseline) };
}

function bestSite(gauge: Gauge): string | undefined {
  return gauge.sites.filter(({ name }) => name !== "gains").sort((a, b) => b.weight - a.weight || b.estimate - a.estimate)[0]?.name;
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Files of the shipped sample, fetched from where the page itself came from. */
export async function fetchItem(name: string, paths: string[]): Promise<Item> {
  const files = paths.map(async (path) => {
    const response = await fetch(`./sample/${path}`);
    if (!response.ok) throw new Error(`the sample file ${path} is not here (${response.status}); build the page again`);
    return { path: path.split("/").at(-1)!, blob: await response.blob() };
  });
  return { id: crypto.randomUUID(), name, files: await Promise.all(files), sample: true };
}
