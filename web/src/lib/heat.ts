// A square matrix as pixels. Where several cells fall on one pixel, the strongest shows: a thin diagonal must not fade when zoomed out.

/** A square window on the matrix, in cells. */
export interface View {
  x: number;
  y: number;
  size: number;
}

export interface HeatOptions {
  /** d x d row-major, r[i * d + j] = r(target channel i, source channel j). */
  r: Float32Array;
  d: number;
  /** columns[k] is the source channel drawn in column k; without it, its own order. */
  columns?: ArrayLike<number>;
  view: View;
  /** Side of the output, in pixels. */
  pixels: number;
  /** 256 colours: of |r| from 0 to 1, or of r from -1 to 1. */
  colors: Uint32Array;
  signed: boolean;
}

/** The share of rows whose strongest entry is on the diagonal. columns: as in HeatOptions. */
export function onDiagonal(r: Float32Array, d: number, columns?: ArrayLike<number>): number {
  let strongest = 0;
  for (let i = 0; i < d; i++) {
    const own = columns ? columns[i]! : i;
    let [best, most] = [own, Math.abs(r[i * d + own]!)];
    for (let j = 0; j < d; j++) {
      const value = Math.abs(r[i * d + j]!);
      if (value > most) [best, most] = [j, value];
    }
    if (best === own) strongest++;
  }
  return strongest / d;
}

/** Paints row by row: whoever runs it may rest after any row. The pixels are its return value. */
export function* paint({
  r,
  d,
  columns,
  view,
  pixels,
  colors,
  signed,
}: HeatOptions): Generator<void, Uint32Array<ArrayBuffer>> {
  const out = new Uint32Array(pixels * pixels);
  const edges = (start: number) =>
    Int32Array.from({ length: pixels + 1 }, (_, p) => Math.min(d, Math.floor(start + (p / pixels) * view.size)));
  const xs = edges(view.x);
  const ys = edges(view.y);
  const row = new Float32Array(d); // the strongest of the rows of one pixel, by column
  let drawn = -1;
  for (let py = 0; py < pixels; py++) {
    const y0 = ys[py]!;
    const y1 = Math.max(y0 + 1, ys[py + 1]!);
    if (y1 - y0 === 1 && y0 === drawn) {
      out.copyWithin(py * pixels, (py - 1) * pixels, py * pixels);
      continue;
    }
    yield;
    drawn = y1 - y0 === 1 ? y0 : -1;
    for (let k = xs[0]!; k < Math.min(d, xs[pixels]! + 1); k++) {
      const j = columns ? columns[k]! : k;
      let best = r[y0 * d + j]!;
      for (let i = y0 + 1; i < y1; i++) {
        const value = r[i * d + j]!;
        if (Math.abs(value) > Math.abs(best)) best = value;
      }
      row[k] = best;
    }
    for (let px = 0; px < pixels; px++) {
      const x0 = xs[px]!;
      let best = row[x0]!;
      for (let k = x0 + 1; k < xs[px + 1]!; k++) if (Math.abs(row[k]!) > Math.abs(best)) best = row[k]!;
      const level = signed ? (best + 1) * 127.5 : Math.abs(best) * 255;
      out[py * pixels + px] = colors[Math.max(0, Math.min(255, Math.round(level)))]!;
    }
  }
  return out;
}

/** The window zoomed by a factor about a point (in cells), kept inside the matrix; never closer than 4 cells. */
export function zoom(view: View, d: number, factor: number, cx: number, cy: number): View {
  const size = Math.min(d, Math.max(Math.min(4, d), view.size * factor));
  const scale = size / view.size;
  return inside({ x: cx - (cx - view.x) * scale, y: cy - (cy - view.y) * scale, size }, d);
}

export function inside(view: View, d: number): View {
  const clamp = (at: number) => Math.max(0, Math.min(d - view.size, at));
  return { x: clamp(view.x), y: clamp(view.y), size: view.size };
}
