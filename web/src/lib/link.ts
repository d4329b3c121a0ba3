// What a link carries after the #: settings, and a small model's gauge where that was asked for. Never rows, never files.
import type { MatchOptions } from "../engine";

export type Settings = Pick<MatchOptions, "statistic"> & { sites: string[] };

const statistics = ["auto", "correlation", "whitened"] as const;
/** A gauge above this many channels makes a link that mail and chat programs cut: 1024 with their scores make about 10 KB. */
export const mostChannels = 1024;

/** `#statistic=whitened&site=resid.2&site=resid.4&gauge=...` */
export function fromLink(hash = location.hash): { settings: Settings; gauge: string | null; show: string | null } {
  const words = new URLSearchParams(hash.slice(1));
  const statistic = statistics.find((word) => word === words.get("statistic"));
  return {
    settings: { statistic: statistic ?? "auto", sites: words.getAll("site") },
    gauge: words.get("gauge"),
    show: words.get("show"),
  };
}

export function toLink({ statistic, sites }: Settings, gauge?: string): string {
  const words = new URLSearchParams(sites.map((site) => ["site", site]));
  if (statistic && statistic !== "auto") words.set("statistic", statistic);
  if (gauge) words.set("gauge", gauge);
  return words.size > 0 ? `#${words}` : location.pathname;
}

/** Bytes of a link's gauge at most: 1024 channels with all scores take 30 KB. A few letters of a link unfold into a thousand times as many bytes. */
const mostBytes = 2 ** 20;

/** Throws where more comes out than a link's gauge can be. */
async function through(
  bytes: Uint8Array<ArrayBuffer>,
  transform: ReadableWritablePair<Uint8Array<ArrayBuffer>, BufferSource>,
): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  const reader = new Blob([bytes]).stream().pipeThrough(transform).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    pieces.push(piece.value);
    length += piece.value.length;
    if (length > mostBytes) {
      await reader.cancel();
      throw new Error("too large for a link");
    }
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/** A gauge file's JSON as text for a link: its numbers to three places, deflated, base64 of the URL kind. */
export async function pack(json: string): Promise<string> {
  const short = JSON.stringify(JSON.parse(json), (_, value: unknown) =>
    typeof value === "number" ? Number(value.toFixed(3)) : value,
  );
  const bytes = await through(new TextEncoder().encode(short), new CompressionStream("deflate-raw"));
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The other way; throws where the text is none that `pack` makes. Bounded: a link cannot fill the memory. */
export async function unpack(text: string): Promise<string> {
  const sentence = "the gauge in this link is damaged: copy the link again, or ask for the gauge file";
  try {
    if (text.length > 2 * mostBytes) throw new Error(sentence);
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    const json = await through(bytes, new DecompressionStream("deflate-raw"));
    return new TextDecoder("utf-8", { fatal: true }).decode(json);
  } catch {
    throw new Error(sentence);
  }
}
