// What a canvas shows, as a stand-alone SVG with title, axes and units around it.
import { cssColor } from "./palette";

export interface Tick {
  /** Along the axis, from 0 to 1. */
  at: number;
  text: string;
}

/** Ticks for the channels of a window, at round numbers. name: what channel `k` of the axis is called. */
export function ticks(start: number, size: number, name: (k: number) => number = (k) => k): Tick[] {
  const rough = size / 5;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, rough)));
  const step = Math.max(
    1,
    [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!,
  );
  const out: Tick[] = [];
  for (let k = Math.ceil(start / step) * step; k < start + size - 0.5; k += step)
    out.push({ at: (k + 0.5 - start) / size, text: String(name(k)) });
  return out;
}

const escape = (text: string) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** Text at a place; anchor: start, middle or end. */
const label = (x: number, y: number, text: string, anchor = "start", more = "") =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" ${more}>${escape(text)}</text>`;

function page(width: number, height: number, title: string, parts: string[]): string {
  const [ink, surface] = [cssColor("--ink"), cssColor("--surface")];
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12" fill="${ink}">` +
    `<title>${escape(title)}</title><rect width="${width}" height="${height}" fill="${surface}"/>${parts.join("")}</svg>`
  );
}

export interface HeatFigure {
  canvas: HTMLCanvasElement;
  title: string;
  about: string;
  x: { label: string; ticks: Tick[] };
  y: { label: string; ticks: Tick[] };
  /** Colours from low to high. */
  scale: { stops: string[]; low: string; high: string; label: string };
}

export interface Figure {
  svg: string;
  width: number;
  height: number;
}

export function heatFigure({ canvas, title, about, x, y, scale }: HeatFigure): Figure {
  const [side, left, top] = [480, 64, 48];
  const [width, height] = [left + side + 24, top + side + 92];
  const [soft, line] = [cssColor("--soft"), cssColor("--line-strong")];
  const gradient = scale.stops
    .map((stop, k) => `<stop offset="${k / (scale.stops.length - 1)}" stop-color="${stop}"/>`)
    .join("");
  const svg = page(width, height, title, [
    label(left, 20, title, "start", 'font-weight="600" font-size="15"'),
    label(left, 38, about, "start", `fill="${soft}"`),
    `<image x="${left}" y="${top}" width="${side}" height="${side}" image-rendering="pixelated" href="${canvas.toDataURL("image/png")}"/>`,
    `<rect x="${left}" y="${top}" width="${side}" height="${side}" fill="none" stroke="${line}"/>`,
    ...x.ticks.map(({ at, text }) => label(left + at * side, top + side + 16, text, "middle")),
    ...y.ticks.map(({ at, text }) => label(left - 6, top + at * side + 4, text, "end")),
    label(left + side / 2, top + side + 34, x.label, "middle", `fill="${soft}"`),
    label(0, 0, y.label, "middle", `fill="${soft}" transform="translate(16 ${top + side / 2}) rotate(-90)"`),
    `<defs><linearGradient id="scale">${gradient}</linearGradient></defs>`,
    `<rect x="${left}" y="${top + side + 52}" width="160" height="10" fill="url(#scale)" stroke="${line}" stroke-width="0.5"/>`,
    label(left, top + side + 78, scale.low, "start"),
    label(left + 160, top + side + 78, scale.high, "end"),
    label(left + 172, top + side + 61, scale.label, "start", `fill="${soft}"`),
  ]);
  return { svg, width, height };
}

/** One bar a channel: up for a kept sign, down for a flipped one, across the middle for an unknown one. */
export function signFigure(sign: ArrayLike<number>, title: string, about: string): Figure {
  const [perRow, cell, rowHeight, left, top] = [128, 6, 22, 52, 48];
  const rows = Math.ceil(sign.length / perRow);
  const [width, height] = [left + perRow * cell + 24, top + rows * rowHeight + 40];
  const colors = { 1: cssColor("--plus"), [-1]: cssColor("--minus"), 0: cssColor("--neutral") } as Record<
    number,
    string
  >;
  const bars = Array.from(sign, (s, i) => {
    const [x, y] = [left + (i % perRow) * cell, top + Math.floor(i / perRow) * rowHeight];
    return `<rect x="${x + 0.5}" y="${y + (s > 0 ? 0 : s < 0 ? 9 : 4.5)}" width="${cell - 1}" height="9" fill="${colors[s]!}"/>`;
  });
  const soft = cssColor("--soft");
  const svg = page(width, height, title, [
    label(left, 20, title, "start", 'font-weight="600" font-size="15"'),
    label(left, 38, about, "start", `fill="${soft}"`),
    ...bars,
    ...Array.from({ length: rows }, (_, row) =>
      label(left - 8, top + row * rowHeight + 13, String(row * perRow), "end"),
    ),
    label(
      left,
      top + rows * rowHeight + 20,
      `target channel, ${Math.min(perRow, sign.length)} a row`,
      "start",
      `fill="${soft}"`,
    ),
  ]);
  return { svg, width, height };
}
