// Numbers as people read them.

const units = ["bytes", "KB", "MB", "GB", "TB"];

export function bytes(n: number): string {
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${unit === 0 || n >= 100 ? n.toFixed(0) : n.toFixed(1)} ${units[unit]}`;
}

/** 0.414 -> "41.4 %". Whole where it is whole, and never rounded up to 100 or down to 0. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return "unknown";
  const text = (share * 100).toFixed(1);
  if (share < 1 && text === "100.0") return ">\u00a099.9\u00a0%";
  if (share > 0 && text === "0.0") return "<\u00a00.1\u00a0%";
  return `${text.replace(/\.0$/, "")}\u00a0%`;
}

export const signed = (value: number, digits = 3) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);

/** -0.214 -> "−0.21", -0.001 -> "0.00", nothing -> "–". */
export const hundredths = (value: number | null | undefined) =>
  value === null || value === undefined ? "–" : (Math.abs(value) < 0.005 ? 0 : value).toFixed(2).replace("-", "−");

/** +1, -1 or 0 (undetermined). */
export const signText = (sign: number) => (sign > 0 ? "+" : sign < 0 ? "−" : "?");

export const count = (n: number) => n.toLocaleString("en-US");

export const plural = (n: number, one: string, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** Names as a card has room for: all of a dozen, else the first ones and how many more there are. */
export function listed(names: readonly string[]): string {
  const shown = names.length > 12 ? names.slice(0, 8) : names;
  return shown.join(", ") + (shown.length < names.length ? ` and ${count(names.length - shown.length)} more` : "");
}

/** Seconds that are left, in words that do not jump about. */
export function timeLeft(seconds: number): string {
  if (seconds < 2) return "a moment left";
  if (seconds < 60) return `about ${Math.ceil(seconds / 5) * 5} s left`;
  return `about ${plural(Math.round(seconds / 60), "minute")} left`;
}

export const shape = (dims: readonly number[]) => (dims.length ? dims.join(" × ") : "scalar");
