// Files on their way to the disk of whoever uses the page.
import type { ProgressReport } from "../engine";
import { chunks } from "./chunks";

export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName(name);
  link.click();
  // The browser reads the blob after the click; a minute is more than it needs to begin.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export const saveText = (text: string, name: string, type = "application/json") =>
  save(new Blob([text], { type }), name);

/** Not in TypeScript's library; where a browser has it, a file of any size can be streamed to a place that the person chooses. */
declare global {
  interface Window {
    showSaveFilePicker?: (options: { suggestedName: string }) => Promise<FileSystemFileHandle>;
  }
}

/** Files above this are streamed to a chosen place where the browser can; below, and elsewhere, they go to the downloads. */
const large = 256e6;

export interface SaveControl {
  onProgress: (progress: ProgressReport) => void;
  signal: AbortSignal;
}

/**
 * Where a file of about this size goes: a function that writes it there. Called within a click, before any work: browsers let a page ask for
 * a place only then. Null where the person changed their mind.
 */
export async function destination(
  name: string,
  size: number,
): Promise<((blob: Blob, control: SaveControl) => Promise<void>) | null> {
  if (size < large || !window.showSaveFilePicker) return async (blob) => save(blob, name);
  let handle: FileSystemFileHandle;
  try {
    handle = await window.showSaveFilePicker({ suggestedName: fileName(name) });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return null;
    return async (blob) => save(blob, name);
  }
  return async (blob, { onProgress, signal }) => {
    let done = 0;
    const file = await handle.createWritable();
    try {
      for await (const bytes of chunks(blob, signal)) {
        await file.write(bytes);
        onProgress({ stage: "writing", done: (done += bytes.length), total: blob.size });
      }
      await file.close();
    } catch (error) {
      await file.abort(); // what was written becomes the file only when it is closed
      throw error;
    }
  };
}

const fileName = (path: string) => path.split("/").at(-1)!;

/** "steering.npy" -> "steering.moved.npy" */
export function movedName(name: string): string {
  const dot = name.lastIndexOf(".");
  return dot > name.lastIndexOf("/") + 1 ? `${name.slice(0, dot)}.moved${name.slice(dot)}` : `${name}.moved`;
}
