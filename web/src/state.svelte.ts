// The page's whole state and every action on it. Components read from `bench` and call its methods; nothing else is kept anywhere.
import * as engine from "./engine";
import type { Gauge, MatchOptions, ProgressReport, TracedGauge } from "./engine";
import { destination } from "./lib/download";
import { newId } from "./lib/files";
import { forget, keep, kept } from "./lib/keep";
import { positiveFraction, samePermutation } from "./lib/select";
import type { Inspection, Item, Moved, MovedFile, Role } from "./lib/types";
import { zip } from "./lib/zip";

/** An item on the bench, what is in it and what became of it. */
export interface Entry {
  item: Item;
  role: Role;
  inspection?: Inspection;
  error?: string;
  moved?: Moved;
}

/** Work that is under way, with the button that ends it. */
export interface Job {
  title: string;
  progress: ProgressReport | null;
  started: number;
  controller: AbortController;
}

/** A gauge with what the plots need beside it; those parts come a moment later than the gauge, and never for a gauge that came as a file. */
export interface Result {
  gauge: Gauge;
  evidence: { source: Item; target: Item } | null;
  baseline: Gauge | null;
  correlation: { site: string; r: Float32Array } | null;
  gains: { source: Map<string, Float32Array>; target: Map<string, Float32Array> } | null;
}

/** A gauge traced along the series, with the names of its checkpoints as they were then. */
export interface Traced {
  gauge: TracedGauge;
  items: Item[];
}

interface JobOptions {
  onProgress: (progress: ProgressReport) => void;
  signal: AbortSignal;
}

/** What a link carries: settings, never data. */
export type Settings = Pick<MatchOptions, "statistic"> & { sites: string[] };

class Bench {
  entries: Entry[] = $state([]);
  job: Job | null = $state(null);
  error: string | null = $state(null);
  result: Result | null = $state.raw(null);
  traced: Traced | null = $state.raw(null);
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
  /** The checkpoints to trace through, in their order. */
  series = $derived(this.entries.filter((entry) => entry.role === "series"));
  ready = $derived(Boolean(this.source?.inspection && this.target?.inspection));
  marked = $derived(this.hovered ?? this.selected);

  /**
   * Takes items in. role: where they were dropped; without it, evidence fills the free places in order and the rest are objects.
   * Of several that are dropped as one side, the first evidence is it, and the rest are objects. A gauge file is no item: it becomes the result.
   */
  async add(items: Item[], role?: Role): Promise<void> {
    this.error = null;
    let free = role;
    for (const item of items) {
      const entry: Entry = { item, role: items.length === 1 ? (role ?? "object") : "object" };
      try {
        const gauge = await engine.gaugeIn(item);
        if (gauge) {
          this.adopt(gauge);
          continue;
        }
        entry.inspection = await engine.inspect(item);
        if (entry.inspection.evidence && entry.role !== role) {
          entry.role = role ? (free ?? "object") : !this.source ? "source" : !this.target ? "target" : "object";
          if (role !== "series") free = undefined;
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
        fetchItem("tales-d64, run A", ["source/evidence.safetensors"]),
        fetchItem("tales-d64, run B", ["other_run/evidence.safetensors"]),
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
      fetchItem("refusal_resid2.npy", ["source/refusal_resid2.npy"]),
      fetchItem("sae_resid1", ["source/sae_resid1/sae_weights.safetensors", "source/sae_resid1/cfg.json"]),
    ]);
    await this.add(
      all.filter((item) => !names.has(item.name)),
      "object",
    );
  }

  remove(entry: Entry): void {
    this.entries = this.entries.filter((other) => other.item.id !== entry.item.id);
    void entry.moved?.dispose();
    this.outdate(entry.role);
    this.announcement = `${entry.item.name} removed`;
    void this.remember();
  }

  setRole(entry: Entry, role: Role): void {
    const before = entry.role;
    if (role === before) return;
    // Source and target change places rather than push each other out.
    const occupant =
      role === "source" || role === "target" ? this.entries.find((other) => other.role === role) : undefined;
    if (occupant) occupant.role = before;
    entry.role = role;
    void entry.moved?.dispose();
    entry.moved = undefined;
    this.outdate(before);
    this.outdate(role);
    this.announcement = `${entry.item.name} is now the ${role}`;
    void this.remember();
  }

  /** Moves a checkpoint of the series to another place in it. */
  reorder(entry: Entry, place: number): void {
    const series = this.series.filter((other) => other.item.id !== entry.item.id);
    const to = Math.max(0, Math.min(series.length, place));
    series.splice(to, 0, entry);
    this.entries = [...this.entries.filter(({ role }) => role !== "series"), ...series];
    this.outdate("series");
    this.announcement = `${entry.item.name} is now checkpoint ${to + 1} of ${series.length}`;
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
      await this.show(gauge, { source: from, target: to }, options);
    });
  }

  /** The gauge from the first checkpoint of the series to the last. */
  async trace(): Promise<void> {
    if (this.series.length < 2 || this.job) return;
    this.traced = null;
    await this.run("Tracing", async (options) => {
      const items = this.series.map(({ item }) => $state.snapshot(item) as Item);
      const gauge = await engine.trace(items, { statistic: this.settings.statistic, ...options });
      this.traced = { gauge, items };
      this.announcement = `Traced: ${gauge.verdict}`;
    });
  }

  /** Makes the traced gauge the result: the plots show it, and objects move with it. */
  async useTraced(): Promise<void> {
    const traced = this.traced;
    if (!traced || this.job) return;
    this.clearResult();
    await this.run("Looking at the traced gauge", (options) =>
      this.show(traced.gauge, { source: traced.items[0]!, target: traced.items.at(-1)! }, options),
    );
  }

  /** Makes a gauge that came as a file the result. */
  adopt(gauge: Gauge): void {
    this.clearResult();
    this.result = { gauge, evidence: null, baseline: null, correlation: null, gains: null };
    this.announcement = `A gauge file, d = ${gauge.d}, verdict ${gauge.verdict}: objects can be moved with it`;
    void this.remember();
  }

  /** Shows a gauge, and then brings what the plots need beside it: a failure there leaves the gauge standing. */
  private async show(gauge: Gauge, evidence: { source: Item; target: Item }, options: JobOptions): Promise<void> {
    const { source, target } = evidence;
    this.result = { gauge, evidence, baseline: null, correlation: null, gains: null };
    this.announcement = `Verdict: ${gauge.verdict}`;
    void this.remember();
    const site = bestSite(gauge);
    const correlation = await engine.correlation(source, target, { ...(site ? { site } : {}), signal: options.signal });
    this.patch({ correlation: { site: correlation.site, r: correlation.values } });
    this.patch({ gains: { source: await engine.gains(source), target: await engine.gains(target) } });
    const settings = $state.snapshot(this.settings);
    this.patch({ baseline: await engine.align(source, target, { ...settings, group: "permutation", ...options }) });
  }

  /** Shows another site's correlations in the heat maps. */
  async showSite(site: string): Promise<void> {
    const result = this.result;
    if (!result?.evidence || result.correlation?.site === site) return;
    const { source, target } = result.evidence;
    await this.run(`Correlating ${site}`, async (options) => {
      const { values } = await engine.correlation(source, target, { site, ...options });
      if (this.result?.gauge === result.gauge) this.patch({ correlation: { site, r: values } });
    });
  }

  /** Moves objects into the target's coordinates. */
  async move(entries: Entry[]): Promise<void> {
    const gauge = this.result?.gauge;
    if (!gauge) return;
    for (const entry of entries) {
      const whole = await this.run(`Moving ${entry.item.name}`, async (options) => {
        try {
          entry.error = undefined;
          void entry.moved?.dispose();
          entry.moved = undefined;
          entry.moved = await engine.transport($state.snapshot(entry.item) as Item, gauge, options);
          this.announcement = `${entry.item.name} moved`;
        } catch (error) {
          if (options.signal.aborted) throw error;
          entry.error = sentence(error);
        }
      });
      if (!whole) return;
    }
  }

  /** Saves files as `name`: one as it is, several as a zip. */
  async download(name: string, files: MovedFile[]): Promise<void> {
    const total = files.reduce((sum, { blob }) => sum + blob.size, 0);
    const write = await destination(name, total);
    if (!write) return;
    await this.run(`Saving ${name}`, async (control) => {
      let done = 0;
      const onBytes = (count: number) => control.onProgress({ stage: "packing", done: (done += count), total });
      await write(files.length === 1 ? files[0]!.blob : await zip(files, onBytes, control.signal), control);
      this.announcement = `${name} saved`;
    });
  }

  /** A job that a component brings; false where it was cancelled or failed. */
  async run(title: string, work: (options: JobOptions) => Promise<void>): Promise<boolean> {
    const controller = new AbortController();
    this.error = null;
    this.job = { title, progress: null, started: performance.now(), controller };
    const onProgress = (progress: ProgressReport) => {
      if (this.job) this.job.progress = progress;
    };
    try {
      await work({ onProgress, signal: controller.signal });
      return true;
    } catch (error) {
      if (controller.signal.aborted) this.announcement = "Cancelled";
      else this.error = sentence(error);
      return false;
    } finally {
      this.job = null;
    }
  }

  cancel(): void {
    this.job?.controller.abort();
  }

  select(channel: number | null): void {
    this.selected = channel;
  }

  async restore(): Promise<void> {
    const { items, gauge } = await kept();
    for (const { item, role } of items) await this.add([item], role);
    if (gauge) {
      const found = engine.Gauge.from(gauge.json);
      const [source, target] = [gauge.source, gauge.target].map((id) => items.find(({ item }) => item.id === id)?.item);
      if (source && target)
        await this.run("Looking at the kept gauge", (options) => this.show(found, { source, target }, options));
      else this.adopt(found);
    }
    this.remembered = items.length > 0 || gauge !== undefined;
  }

  async forget(): Promise<void> {
    this.cancel();
    this.clearResult();
    this.entries = [];
    this.traced = null;
    this.error = null;
    await forget();
    this.remembered = false;
    this.announcement = "Everything is forgotten";
  }

  private async remember(): Promise<void> {
    const items = this.entries
      .filter(({ error }) => !error)
      .map(({ item, role }) => ({ item: $state.snapshot(item) as Item, role }));
    const { gauge, evidence } = this.result ?? {};
    const kept = {
      items,
      ...(gauge
        ? { gauge: { json: JSON.stringify(gauge), source: evidence?.source.id, target: evidence?.target.id } }
        : {}),
    };
    this.remembered = await keep(kept);
  }

  /** Puts an entry in its place; a source or target that was there before becomes the new one's predecessor and goes. */
  private place(entry: Entry): void {
    if (entry.role === "source" || entry.role === "target")
      this.entries = this.entries.filter(({ role }) => role !== entry.role);
    this.outdate(entry.role);
    this.entries.push(entry);
  }

  /** Drops what was computed from the items of a role that has changed. */
  private outdate(role: Role): void {
    if (role === "series") this.traced = null;
    else if (role !== "object") this.clearResult();
  }

  private clearResult(): void {
    this.result = null;
    this.selected = this.hovered = null;
    for (const entry of this.entries) {
      void entry.moved?.dispose();
      entry.moved = undefined;
    }
  }

  private patch(part: Partial<Result>): void {
    if (this.result) this.result = { ...this.result, ...part };
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
  return gauge.sites
    .filter(({ name }) => name !== "gains")
    .sort((a, b) => b.weight - a.weight || b.estimate - a.estimate)[0]?.name;
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
  return { id: newId(), name, files: await Promise.all(files), sample: true };
}
