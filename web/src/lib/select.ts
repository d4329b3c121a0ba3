// Small computations over a gauge that several views share.
import type { Gauge } from "../engine";

/** inverse[j]: the target channel that source channel j lands in. */
export function inverse(perm: ArrayLike<number>): Int32Array {
  const out = new Int32Array(perm.length).fill(-1);
  for (let i = 0; i < perm.length; i++) out[perm[i]!] = i;
  return out;
}

/** The share of channels that keep their sign: the most that permutation-only matching can get right. */
export function positiveFraction(gauge: Gauge): number {
  let positive = 0;
  for (let i = 0; i < gauge.d; i++) if (gauge.sign[i]! > 0) positive++;
  return positive / gauge.d;
}

/** The share of channels where two gauges name the same source channel. */
export function samePermutation(a: Gauge, b: Gauge): number {
  let same = 0;
  for (let i = 0; i < a.d; i++) if (a.perm[i] === b.perm[i]) same++;
  return same / a.d;
}

/** The sites whose rows the two files hold: gains are no rows, and "hidden." ones are rows that matched heads and neurons paired. */
export const readSites = ({ sites }: Pick<Gauge, "sites">) =>
  sites.filter(({ name }) => name !== "gains" && !name.startsWith("hidden."));

/** Whether the gauge moves nothing, heads and neurons among it. */
export const isIdentity = ({ summary, hidden }: Gauge) => summary.identity && (hidden?.isIdentity ?? true);

/** Probability below which the page calls a channel doubtful. */
export const enough = 0.95;

/** Whether the gauge is sure of a target channel's partner and sign. Nothing measured is nothing doubted. */
export function isSure(gauge: Gauge, channel: number): boolean {
  return gauge.sign[channel] !== 0 && (gauge.confidence.length === 0 || gauge.confidence[channel]! >= enough);
}

/** Channels in doubt, the most doubtful first. */
export function inDoubt(gauge: Gauge): number[] {
  const channels = Array.from(gauge.perm.keys()).filter((channel) => !isSure(gauge, channel));
  return channels.sort((a, b) => (gauge.confidence[a] ?? 0) - (gauge.confidence[b] ?? 0) || a - b);
}
