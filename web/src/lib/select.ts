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

/** Channels of which the gauge does not claim to know the partner, or the sign. */
export function undetermined(gauge: Gauge): number[] {
  const out: number[] = [];
  for (let i = 0; i < gauge.d; i++) if (gauge.sign[i] === 0 || !(gauge.confidence[i]! >= 0.95)) out.push(i);
  return out;
}
