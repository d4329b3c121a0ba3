// Observable Plot under a strict content security policy, and plots on their way to a file.
import { plot, type Markish, type PlotOptions } from "@observablehq/plot";
import type { Figure } from "./figure";

export type Drawn = SVGSVGElement & { scale(name: "x" | "y"): { apply(value: number): number } | undefined };

/** Draws with the page's type and colours. Plot's own <style> is taken out before it reaches the document (styles/parts.css has its rules). */
export function draw(options: PlotOptions): Drawn {
  const svg = plot({
    marginTop: 30,
    marginRight: 20,
    marginBottom: 44,
    marginLeft: 48,
    ...options,
  }) as unknown as Drawn;
  svg.querySelector("style")?.remove();
  svg.setAttribute("font-size", "12");
  return svg;
}

export interface Dots {
  points: { x: number; y: number }[];
  r: number;
  symbol?: "circle" | "triangle";
  fill: string;
  stroke?: string;
}

/** Points of one look as a single path: thousands of elements would hold up the page. They add nothing to the scales' domains. */
export function dots({ points, r, symbol = "circle", fill, stroke = fill }: Dots): Markish {
  const outline =
    symbol === "circle"
      ? `m${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`
      : `m0,${-1.3 * r}l${1.2 * r},${2.1 * r}h${-2.4 * r}z`;
  return (_index, { x, y }) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const place = (value: number) => value.toFixed(1);
    path.setAttribute("d", points.map((point) => `M${place(x!(point.x))},${place(y!(point.y))}${outline}`).join(""));
    for (const [name, value] of Object.entries({ fill, stroke, "stroke-width": 1.2, "fill-opacity": 0.7 }))
      path.setAttribute(name, String(value));
    return path;
  };
}

/** From the least value to the largest, as a scale's domain. */
export function extent(values: number[], ...more: number[]): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of [...more, ...values]) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}

const titleHeight = 30;

/** A stand-alone copy: colours resolved, a background, the title above. */
export function standalone(svg: SVGSVGElement, title: string): Figure {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const live = [svg, ...svg.querySelectorAll<SVGElement>("*")];
  const copies = [copy, ...copy.querySelectorAll<SVGElement>("*")];
  live.forEach((element, k) => {
    const style = getComputedStyle(element);
    for (const name of ["fill", "stroke"] as const)
      if (element === svg || element.hasAttribute(name)) copies[k]!.setAttribute(name, style[name]);
    copies[k]!.removeAttribute("class");
  });
  const { width, height } = svg.viewBox.baseVal;
  const element = (name: string, attributes: Record<string, string>, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  const color = getComputedStyle(svg).color;
  const whole = height + titleHeight;
  for (const [name, value] of Object.entries({ color, height: whole, viewBox: `0 ${-titleHeight} ${width} ${whole}` }))
    copy.setAttribute(name, String(value));
  copy.prepend(
    element("title", {}, title),
    element("rect", {
      y: String(-titleHeight),
      width: String(width),
      height: String(whole),
      fill: background(svg),
      stroke: "none",
    }),
    element("text", { x: "8", y: "-8", "font-size": "15", "font-weight": "600", fill: color }, title),
  );
  return { svg: new XMLSerializer().serializeToString(copy), width, height: whole };
}

function background(element: Element | null): string {
  for (; element; element = element.parentElement) {
    const color = getComputedStyle(element).backgroundColor;
    if (color !== "rgba(0, 0, 0, 0)" && color !== "transparent") return color;
  }
  return "white";
}

/** The SVG as a PNG at twice its size. */
export async function toPng(source: string, width: number, height: number): Promise<Blob> {
  const url = URL.createObjectURL(new Blob([source], { type: "image/svg+xml" }));
  try {
    const image = new Image(width, height);
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = width * 2;
    canvas.height = height * 2;
    canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await canvasPng(canvas);
  } finally {
    URL.revokeObjectURL(url);
  }
}

export function canvasPng(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((done, fail) =>
    canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("the browser made no picture"))), "image/png"),
  );
}
