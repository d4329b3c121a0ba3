// Models behind addresses: whether this build can read them, whether this page may, and what will be fetched.
import { addressesAsked } from "regauge";
import { embedding } from "../engine";
import { size } from "./files";
import type { Inspection, Item } from "./types";

/** False where the page was built to reach no one (REGAUGE_ADDRESSES=none). */
declare const __ADDRESSES__: boolean;
export const offered = __ADDRESSES__;

/** One page may reach servers, by its own content security policy; the other may not. */
export const allowed = offered && location.pathname.endsWith("/addresses.html");
export const otherPage = !offered ? "" : allowed ? "./" : "./addresses.html";

/** What was entered as an address; null where it is none. Without https only this machine is asked. */
export function parse(text: string): URL | null {
  try {
    const url = new URL(text.includes("://") ? text : `https://${text}`);
    const here = ["localhost", "127.0.0.1"].includes(url.hostname);
    return url.protocol === "https:" || (url.protocol === "http:" && here) ? url : null;
  } catch {
    return null;
  }
}

/** What looking at an address does, said before it is done. */
export function announcement(url: URL): string {
  const asked = addressesAsked(url.href).map((address) => new URL(address).pathname.split("/").at(-1));
  return (
    `This page will ask ${url.host} for ${asked.join(", ")}: small files whole, of weights the header. Its server, and any other that it ` +
    "sends the page on to, sees this machine’s network address, your browser’s usual headers and this page’s origin, and which files are " +
    "asked for. Most numbers are fetched when you press Align."
  );
}

const widths: Record<string, number> = { F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1, I8: 1 };

/** The sites to match where the visitor chose none: of a checkpoint on a server its embedding, whose rows are the fewest that suffice. */
export function fewestSites(items: { item: Item; inspection?: Inspection }[]): string[] {
  const far = items.some(({ item }) => item.address);
  const areCheckpoints = items.every(({ inspection }) => inspection?.tensors.some(({ name }) => embedding.test(name)));
  return far && areCheckpoints ? ["embedding"] : [];
}

/** Bytes that aligning fetches of an item. */
export function toFetch({ item, inspection }: { item: Item; inspection?: Inspection }): number {
  if (!item.address || !inspection) return 0;
  const rows = inspection.tensors.find(({ name }) => embedding.test(name));
  if (!rows) return size(item);
  return rows.shape.reduce((a, b) => a * b, 1) * (widths[rows.dtype] ?? 1);
}
