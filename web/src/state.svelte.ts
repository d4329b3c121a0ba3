// The page's whole state and every action on it. Components read from `bench` and call its methods; nothing else is kept anywhere.
import * as engine from "./engine";
import type { Gauge, Maps, ProgressReport, TracedGauge } from "./engine";
import { destination } from "./lib/download";
import { newId, size } from "./lib/files";
import { plural } from "./lib/format";
import { announcement, fewestSites, offered } from "./lib/addresses";
import type { Figure } from "./lib/figure";
import { forget, keep, kept } from "./lib/keep";
import { fromLink, mostChannels, pack, toLink, unpack, type Settings } from "./lib/link";
import type { Doing } from "./lib/say-as";
import { positiveFraction, readSites, samePermutation } from "./lib/select";
import { isModel } from "./lib/tokens";
import type { Inspection, Item, Moved, MovedFile, Role } from "./lib/types";
import { zip } from "./lib/zip";

/** An item on the bench, what is in it and what became of it. */
export interface Entry {
  item: Item;
  role: Role;
  inspection?: Inspection;
  error?: string;
  /** What is odd about it and no reason not to move it. */
  caution?: string;
  moved?: Moved;
  /** What a quantised object's weights are written as. */
  dequantize?: engine.Floats;
  /** The hook that it lives on, where that is not the residual stream and it does not say so itself. */
  site?: string;
}

/** Work that is under way, with the button that ends it. */
export interface Job {
  title: string;
  progress: ProgressReport | null;
  started: number;
  controller: AbortController;
}

/** A question with what "yes" does in its own words. */
export interface Question {
  text: string;
  action: string;
  /** The answer that changes nothing. */
  otherwise: string;
  answer: (yes: boolean) => void;
}

/** What a gauge was found from; series: where it was traced, from the source to the target. */
interface Sides {
  source: Item;
  target: Item;
  series?: Item[] | undefined;
}

/** A gauge with what the plots need beside it; those parts come a moment later than the gauge, and never for a gauge that came as a file. */
export interface Result {
  gauge: Gauge;
  evidence: Sides | null;
  /** What the gauge was matched with: whatever else is matched for it, is matched with the same. */
  settings: Settings;
  /** Matching that ignores signs; for large evidence only where it was asked for. */
  baseline: Gauge | null;
  correlation: { site: string; r: Float32Array } | null;
  gains: { source: Map<string, Float32Array>; target: Map<string, Float32Array> } | null;
}

/** A gauge traced along the series, with the names of its checkpoints as they were then. */
export interface Traced {
  gauge: TracedGauge;
  items: Item[];
  settings: Settings;
}

interface JobOptions {
  onProgress: (progress: ProgressReport) => void;
  signal: AbortSignal;
}

class Bench {
  entries: Entry[] = $state([]);
  job: Job | null = $state(null);
  error: string | null = $state(null);
  /** What the plots still wait for, after the verdict: nothing else does. */
  behind: { title: string; controller: AbortController } | null = $state(null);
  /** A question that has to be answered before something is lost. */
  question: Question | null = $state.raw(null);
  /** What was done with a file otherwise than asked, and why. */
  notice: string | null = $state(null);
  result: Result | null = $state.raw(null);
  traced: Traced | null = $state.raw(null);
  /** Maps between sites, for models that no gauge relates. */
  maps: Maps | null = $state.raw(null);
  settings: Settings = $state(fromLink().settings);
  /** The figures on the page by their titles, for a report. */
  readonly figures = new Map<string, () => Figure>();
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
  /** The sites that are matched; none: all that both have. */
  sites = $derived(
    this.settings.sites.length > 0
      ? this.settings.sites
      : fewestSites([this.source, this.target].filter((entry) => entry !== undefined)),
  );
  /** Nothing moves by channel numbers here: other widths, or a verdict that says so. A map may still be worth something. */
  apart = $derived(
    this.maps !== null ||
      this.result?.gauge.verdict === "unrelated" ||
      (this.ready && this.source!.inspection!.d !== this.target!.inspection!.d),
  );
  /** What moves objects: the gauge, or else a map that helps. */
  mover = $derived(
    this.result && this.result.gauge.verdict !== "unrelated"
      ? this.result.gauge
      : this.maps?.report.helps
        ? this.maps
        : null,
  );
  /** The result's two sides where they are checkpoints whose heads and neurons can be matched as well, in most families. */
  checkpoints = $derived.by(() => {
    const { source, target } = this;
    const { evidence } = this.result ?? {};
    if (!source || !target || evidence?.source.id !== source.item.id || evidence.target.id !== target.item.id)
      return null;
    return hasUnits(source) && hasUnits(target) ? [source, target] : null;
  });
  /** Heads and neurons of what moves objects. */
  hidden = $derived(this.mover !== null && this.mover === this.result?.gauge ? this.mover.hidden : undefined);
  marked = $derived(this.hovered ?? this.selected);

  /**
   * Takes items in. role: where they were dropped; without it, evidence fills the free places in order and the rest are objects.
   * Of several that are dropped as one side, the first evidence is it, and the rest are objects. A gauge file is no item: it becomes the result.
   * What was dropped first is taken in first, however long it takes: places and names follow the visitor, not the files' sizes.
   */
  add(items: Item[], role?: Role): Promise<void> {
    this.question?.answer(false); // what comes now is newer than what the question is about
    const taken = this.adding.then(() => this.takeIn(items, role));
    this.adding = taken.catch(() => undefined);
    return taken;
  }
  private adding = Promise.resolve();

  private async takeIn(items: Item[], role?: Role): Promise<void> {
    this.error = this.notice = null;
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
        if (entry.inspection.quantised) entry.dequantize = "bf16";
        if (entry.inspection.evidence && entry.role !== role) {
          entry.role = role ? (free ?? "object") : !this.source ? "source" : !this.target ? "target" : "object";
          if (role !== "series") free = undefined;
        }
        if (entry.role !== "object" && !canBeEvidence(entry.inspection)) this.refuse(entry);
        if (entry.role === "object") entry.caution = await engine.notNumbers(item, entry.inspection);
      } catch (error) {
        entry.error = sentence(error);
        if (this.at(entry.role)) entry.role = "object"; // what is there is worth more
      }
      entry.item = { ...item, name: this.ownName(entry) };
      if (!(await this.mayReplace(entry))) continue;
      this.place(entry);
      this.announcement = entry.error ?? `${entry.item.name} added as ${entry.role}: ${entry.inspection?.description}`;
    }
    void this.remember();
  }

  /** Evidence is a question of content: what holds none is an object, wherever it was dropped. */
  private refuse(entry: Entry): void {
    this.notice =
      `${entry.item.name} is no evidence (${entry.inspection!.description}): it was put among the objects. ` +
      "Evidence is activations of a model on the same tokens as the other’s, or its checkpoint.";
    entry.role = "object";
  }

  /** The item's name, with a number where another has it already; not the one whose place it takes. */
  private ownName({ item: { id, name }, role }: Entry): string {
    const others = new Set(
      this.entries.filter((one) => one.item.id !== id && one !== this.at(role)).map(({ item }) => item.name),
    );
    let own = name;
    for (let k = 2; others.has(own); k++) own = `${name} (${k})`;
    return own;
  }

  /** The entry that has a place which only one can have. */
  private at(role: Role): Entry | undefined {
    return role === "source" ? this.source : role === "target" ? this.target : undefined;
  }

  private async mayReplace({ item, role }: Entry): Promise<boolean> {
    const occupant = this.at(role);
    if (!occupant || (occupant.item.sample && item.sample) || !this.result?.evidence) return true;
    return this.ask(
      `${item.name} takes the place of ${occupant.item.name}, and the gauge between the two models goes with it.`,
      "Replace it",
    );
  }

  /** Asks before something is lost; true where the answer is yes. */
  ask(text: string, action: string, otherwise = "Keep what is here"): Promise<boolean> {
    this.question?.answer(false);
    return new Promise((done) => {
      this.question = {
        text,
        action,
        otherwise,
        answer: (yes) => {
          this.question = null;
          done(yes);
        },
      };
    });
  }

  async loadSample(): Promise<void> {
    if (!(await this.makeRoom(({ role }) => role === "source" || role === "target"))) return;
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

  /** Asks where something of the visitor's stands in a place that is needed, and clears it; false where it stays. */
  private async makeRoom(needed: (entry: Entry) => boolean): Promise<boolean> {
    this.error = null;
    const own = this.entries.filter((entry) => needed(entry) && !entry.item.sample);
    const lost = own.map(({ item }) => item.name).join(" and ");
    if (own.length > 0 && !(await this.ask(`The sample takes the place of ${lost}.`, "Load the sample"))) return false;
    for (const entry of own) this.remove(entry);
    return true;
  }

  /** Puts files that come with the page in the places that they are shown in; false where that was not wanted, or failed. */
  async exhibit(fetched: () => Promise<{ item: Item; role: Role }[]>): Promise<boolean> {
    try {
      const placed = await fetched();
      const roles = new Set(placed.map(({ role }) => role));
      if (!(await this.makeRoom(({ role }) => role !== "object" && roles.has(role)))) return false;
      for (const entry of this.entries.filter(({ item }) => item.sample)) this.remove(entry);
      for (const { item, role } of placed) await this.add([item], role);
      return true;
    } catch (error) {
      this.error = sentence(error);
      return false;
    }
  }

  /** Looks at a model behind an address, once the visitor has agreed to what will be asked for; true where it was added. */
  async lookAt(url: URL, role: Role): Promise<boolean> {
    if (!offered || this.job || !(await this.ask(announcement(url), `Ask ${url.host}`, "Ask no one"))) return false;
    return this.run(`Asking ${url.host}`, async ({ signal }) => {
      await this.add([await engine.lookAt(newId(), url.href, { signal })], role);
    });
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
    this.notice = null;
    if (role === before) return;
    if (role !== "object" && entry.inspection && !canBeEvidence(entry.inspection)) return this.refuse(entry);
    // Source and target change places rather than push each other out, and the gauge turns round with them.
    const occupant = this.at(role);
    const turned = occupant && this.at(before) && this.result?.evidence ? this.result : null;
    if (occupant) occupant.role = before;
    entry.role = role;
    this.unmove(entry);
    this.outdate(before);
    this.outdate(role);
    if (turned) {
      const { gauge, evidence, settings } = turned;
      const { source, target, series } = evidence!;
      this.show(gauge.inverse(), { source: target, target: source, series: series?.toReversed() }, settings);
    }
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
      history.replaceState(null, "", toLink(this.settings));
      const settings = this.chosen();
      const gauge = await engine.align(from, to, { ...settings, group: "signed", ...options });
      this.show(gauge, { source: from, target: to }, settings);
    });
  }

  /** Heads and neurons of the result's two checkpoints: the gauge that is shown stands until the whole one is there. */
  async alignHidden(): Promise<void> {
    const shown = this.result;
    if (!shown?.evidence || this.job) return;
    const { settings } = shown;
    const { source, target } = shown.evidence;
    await this.run("Matching heads and neurons", async (options) => {
      const gauge = await engine.align(source, target, { ...settings, group: "signed", hidden: true, ...options });
      if (this.result?.gauge !== shown.gauge) return;
      this.forgetMoved(); // by a gauge without heads and neurons
      this.patch({ gauge });
      await this.remember();
      this.announcement = `Heads and neurons are matched; verdict: ${gauge.verdict}`;
    });
  }

  private chosen(): Settings {
    return { ...$state.snapshot(this.settings), sites: $state.snapshot(this.sites) };
  }

  /** The lowest rung of the ladder that held-out rows call enough, for each source site. */
  async fitMap(): Promise<void> {
    const [source, target] = [this.source, this.target];
    if (!source || !target || this.job) return;
    this.maps = null;
    await this.run("Fitting a map", async (options) => {
      const [from, to] = [$state.snapshot(source.item) as Item, $state.snapshot(target.item) as Item];
      const maps = await engine.fitMap(from, to, options);
      this.maps = maps;
      this.announcement = maps.report.helps
        ? `A map explains ${Math.round(100 * maps.report.r2)} % of ${maps.report.target_site}`
        : "No map helps";
    });
  }

  /** The gauge from the first checkpoint of the series to the last. */
  async trace(): Promise<void> {
    if (this.series.length < 2 || this.job) return;
    this.traced = null;
    await this.run("Tracing", async (options) => {
      const items = this.series.map(({ item }) => $state.snapshot(item) as Item);
      const settings = { statistic: this.settings.statistic, sites: [] };
      const gauge = await engine.trace(items, { statistic: settings.statistic, ...options });
      this.traced = { gauge, items, settings };
      this.announcement = `Traced: ${gauge.verdict}`;
    });
  }

  /** Makes the traced gauge the result: the plots show it, and objects move with it. */
  useTraced(): void {
    const traced = this.traced;
    if (!traced || this.job) return;
    this.clearResult();
    const { gauge, items, settings } = traced;
    this.show(gauge, { source: items[0]!, target: items.at(-1)!, series: items }, settings);
  }

  /** Makes a gauge that came as a file the result. */
  adopt(gauge: Gauge): void {
    this.clearResult();
    this.result = { gauge, evidence: null, settings: this.chosen(), baseline: null, correlation: null, gains: null };
    this.announcement = `A gauge file, d = ${gauge.d}, verdict ${gauge.verdict}: objects can be moved with it`;
    void this.remember();
  }

  /** Shows a gauge: objects can be moved with it at once, and what the plots need beside it comes behind. */
  private show(gauge: Gauge, evidence: Sides, settings: Settings): void {
    this.clearResult();
    this.result = { gauge, evidence, settings, baseline: null, correlation: null, gains: null };
    this.announcement = `Verdict: ${gauge.verdict}`;
    void this.remember();
    void this.runBehind("The plots", async (signal) => {
      const { source, target } = evidence;
      const site = bestSite(gauge);
      if (source.address || target.address) return this.showGains(evidence, signal); // rows are not fetched twice
      const correlation = await engine.correlation(source, target, { ...(site ? { site } : {}), signal });
      if (signal.aborted) return;
      this.patch({ correlation: { site: correlation.site, r: correlation.values } });
      await this.showGains(evidence, signal);
      if (signal.aborted) return;
      if (size(source) + size(target) <= lightEvidence) await this.matchWithoutSigns(evidence, settings, signal);
    });
  }

  private async showGains({ source, target }: Sides, signal: AbortSignal): Promise<void> {
    const gains = { source: await engine.gains(source), target: await engine.gains(target) };
    if (!signal.aborted) this.patch({ gains });
  }

  /** The baseline for evidence that is too large to have it unasked. */
  async compare(): Promise<void> {
    const { evidence, settings } = this.result ?? {};
    if (!evidence || !settings) return;
    await this.runBehind("Matching without signs", (signal) => this.matchWithoutSigns(evidence, settings, signal));
  }

  private async matchWithoutSigns(evidence: Sides, settings: Settings, signal: AbortSignal) {
    const { source, target } = evidence;
    const baseline = await engine.align(source, target, { ...settings, group: "permutation", signal });
    if (!signal.aborted) this.patch({ baseline });
  }

  /** Work for the result's plots; it ends with the result, and a failure leaves the gauge standing. */
  private async runBehind(title: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const controller = new AbortController();
    this.behind?.controller.abort();
    const mine = (this.behind = { title, controller });
    try {
      await work(controller.signal);
    } catch (error) {
      if (!controller.signal.aborted) this.error = sentence(error);
    } finally {
      if (this.behind?.controller === mine.controller) this.behind = null;
    }
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

  /** Says where an object lives that does not say so itself: a hook, or nothing for the residual stream. */
  setSite(entry: Entry, site: string | undefined): void {
    entry.site = site;
    this.unmove(entry);
  }

  /** Says what an object's quantised weights are written as. */
  setFloats(entry: Entry, floats: engine.Floats): void {
    entry.dequantize = floats;
    this.unmove(entry);
  }

  /** Moves objects into the target's coordinates. */
  async move(entries: Entry[]): Promise<void> {
    const { mover } = this;
    if (!mover) return;
    for (const entry of entries) {
      const whole = await this.run(`Moving ${entry.item.name}`, async (options) => {
        try {
          entry.error = undefined;
          this.unmove(entry);
          const item = $state.snapshot(entry.item) as Item;
          const { dequantize } = entry;
          const site = this.hidden ? entry.site : undefined;
          entry.moved = await engine.transport(item, mover, { ...options, dequantize, ...(site ? { site } : {}) });
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

  /** A link to the gauge itself, which opens as a result; null where it is too large for one. Heads and neurons would make it so: they stay out. */
  async share(): Promise<string | null> {
    const gauge = this.result?.gauge;
    if (!gauge || gauge.d > mostChannels) return null;
    const stream = JSON.stringify({ ...(JSON.parse(gauge.toString()) as object), hidden: undefined });
    return new URL(toLink(this.settings, await pack(stream)), location.href).href;
  }

  /** Takes over what the address says: settings, and a gauge where one is in it. True where there was one. */
  async follow(): Promise<boolean> {
    const { settings, gauge } = fromLink();
    this.settings = settings;
    if (!gauge) return false;
    try {
      this.adopt(engine.Gauge.from(await unpack(gauge), "the gauge in the link"));
      return true;
    } catch (error) {
      this.error = sentence(error);
      return false;
    }
  }

  async restore(): Promise<void> {
    if (await this.follow()) return;
    const { items, gauge } = await kept();
    for (const { item, role } of items) await this.add([item], role);
    if (gauge) {
      const found = engine.keptGauge(gauge.json, gauge.hidden);
      const itemOf = (id?: string) => items.find(({ item }) => item.id === id)?.item;
      const [source, target] = [gauge.source, gauge.target].map(itemOf);
      const series = gauge.series?.map(itemOf).filter((item) => item !== undefined);
      const whole = source && target && series?.length === gauge.series?.length;
      if (whole) this.show(found, { source, target, series }, gauge.settings ?? this.chosen());
      else this.adopt(found);
    }
    this.remembered = items.length > 0 || gauge !== undefined;
  }

  async forget(): Promise<void> {
    const own = this.entries.filter(({ item }) => !item.sample).length;
    const [files, gauge] = [own > 0 ? plural(own, "file") : "", this.result ? "the gauge" : ""];
    const what = [files, gauge].filter(Boolean).join(" and ");
    if (own > 0 && !(await this.ask(`This forgets ${what}, here and in this browser’s storage.`, "Forget everything")))
      return;
    this.cancel();
    this.clearResult();
    this.entries = [];
    this.traced = null;
    this.error = this.notice = null;
    await forget();
    this.remembered = false;
    this.announcement = "Everything is forgotten";
  }

  private async remember(): Promise<void> {
    const items = this.entries
      .filter(({ error, item }) => !error && !item.address)
      .map(({ item, role }) => ({ item: $state.snapshot(item) as Item, role }));
    const { gauge, evidence, settings } = this.result ?? {};
    const kept = {
      items,
      ...(gauge
        ? {
            gauge: {
              json: gauge.toString(),
              source: evidence?.source.id,
              target: evidence?.target.id,
              series: evidence?.series?.map(({ id }) => id),
              settings,
              hidden: gauge.hidden?.report,
            },
          }
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
    this.behind?.controller.abort();
    this.behind = null;
    this.result = null;
    this.maps = null;
    this.selected = this.hovered = null;
    this.forgetMoved();
  }

  private forgetMoved(): void {
    for (const entry of this.entries) this.unmove(entry);
  }

  private unmove(entry: Entry): void {
    void entry.moved?.dispose();
    entry.moved = undefined;
  }

  private patch(part: Partial<Result>): void {
    if (this.result) this.result = { ...this.result, ...part };
  }
}

/** Evidence up to this many bytes, both sides together, is matched without signs unasked: a second or two. */
const lightEvidence = 64e6;

/** Whether it may stand on a side: evidence, or a matrix that can be taken for rows of activations. */
function canBeEvidence({ evidence, tensors }: Inspection): boolean {
  const [only] = tensors;
  return evidence || (tensors.length === 1 && only!.shape.length > 1 && only!.shape[0]! > 1);
}

/** Whether heads and neurons can be looked for in it: a folder of safetensors with its config.json, and no LayerNorm model. */
function hasUnits({ item, inspection }: Entry): boolean {
  return isModel(item) && Boolean(inspection?.kind) && !inspection!.permutation_only; // no kind: packed weights
}

export const bench = new Bench();

/** What the sign flips cost the permutation-only baseline. */
export function ceiling(result: Result): { positive: number; recovered: number } | null {
  if (!result.baseline) return null;
  return { positive: positiveFraction(result.gauge), recovered: samePermutation(result.gauge, result.baseline) };
}

/** How a result was found; null where it came as a file. */
export function doingOf({ gauge, evidence, settings }: Result): Doing | null {
  if (!evidence) return null;
  const { source, target, series } = evidence;
  const hidden = gauge.hidden !== undefined;
  return { how: series ? "trace" : "align", inputs: series ?? [source, target], settings, hidden };
}

/** What the two sides are called: the items, or what the gauge file says. */
export function sides({ gauge, evidence }: Result): { source: string; target: string } {
  const { source, target } = evidence ?? gauge;
  return { source: source.name || "the source", target: target.name || "the target" };
}

function bestSite(gauge: Gauge): string | undefined {
  return readSites(gauge).sort((a, b) => b.weight - a.weight || b.estimate - a.estimate)[0]?.name;
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Files of the shipped sample, fetched from where the page itself came from. */
export async function fetchItem(name: string, paths: string[]): Promise<Item & { files: { blob: Blob }[] }> {
  const files = paths.map(async (path) => {
    const response = await fetch(`./sample/${path}`);
    if (!response.ok) throw new Error(`the sample file ${path} is not here (${response.status}); build the page again`);
    return { path: path.split("/").at(-1)!, blob: await response.blob() };
  });
  return { id: newId(), name, files: await Promise.all(files), sample: true };
}
