// Observable Plot under a strict content security policy, and plots on their way to a file.
import { plot, type PlotOptions } from "@observablehq/plot";

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

/** A stand-alone copy: colours resolved, a background, a title. */
export function standalone(svg: SVGSVGElement, title: string): string {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const live = [svg, ...svg.querySelectorAll<SVGElement>("*")];
  const copies = [copy, ...copy.querySelectorAll<SVGElement>("*")];
  live.forEach((element, k) => {
    const style = getComputedStyle(element);
    for (const name of ["fill", "stroke"] as const) if (element === svg || element.hasAttribute(name)) copies[k]!.setAttribute(name, style[name]);
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
  copy.setAttribute("color", getComputedStyle(svg).color);
  copy.prepend(
    element("title", {}, title),
    element("rect", { width: String(width), height: String(height), fill: background(svg), stroke: "none" }),
  );
  return new XMLSerializer().serializeToString(copy);
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
  return new Promise((done, fail) => canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("the browser made no picture"))), "image/png"));
}
