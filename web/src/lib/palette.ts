// Colours of the canvases. Blue: sign kept. Orange: sign flipped. Told apart with every common colour vision.

type Rgb = readonly [number, number, number];

const sequential: Record<"light" | "dark", readonly Rgb[]> = {
  light: [
    [255, 255, 255],
    [222, 235, 247],
    [146, 190, 228],
    [49, 120, 190],
    [8, 48, 107],
  ],
  dark: [
    [23, 27, 32],
    [25, 52, 86],
    [38, 100, 166],
    [108, 178, 255],
    [235, 246, 255],
  ],
};

const diverging: Record<"light" | "dark", readonly Rgb[]> = {
  light: [
    [160, 62, 0],
    [226, 116, 34],
    [250, 200, 150],
    [255, 255, 255],
    [165, 200, 232],
    [41, 118, 190],
    [8, 56, 120],
  ],
  dark: [
    [255, 190, 130],
    [226, 116, 34],
    [104, 52, 14],
    [23, 27, 32],
    [24, 56, 96],
    [62, 140, 220],
    [160, 208, 255],
  ],
};

/** 256 opaque colours from 0 to 255, as ImageData's pixels on a little-endian machine (which every browser's is). */
export function ramp(kind: "absolute" | "signed", dark: boolean): Uint32Array {
  const stops = (kind === "absolute" ? sequential : diverging)[dark ? "dark" : "light"];
  return Uint32Array.from({ length: 256 }, (_, k) => {
    const at = (k / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    const [r, g, b] = stops[low]!.map((value, c) => Math.round(value + (stops[low + 1]![c]! - value) * (at - low))) as [
      number,
      number,
      number,
    ];
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
}

/** The same ramp as a CSS gradient's colours, for legends. */
export function rampStops(kind: "absolute" | "signed", dark: boolean): string[] {
  return (kind === "absolute" ? sequential : diverging)[dark ? "dark" : "light"].map((rgb) => `rgb(${rgb.join(" ")})`);
}

/** A CSS variable's colour as it is shown right now. */
export function cssColor(name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}
