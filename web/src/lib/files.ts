// From what was dropped or chosen to items: a loose file is one, a checkpoint or SAE with its companions is one.
import type { Item } from "./types";

export interface Found {
  path: string;
  file: File;
}

/** Everything in a drop, folders walked. The entries must be taken before the first await: the browser empties the list after the event. */
export async function fromDrop(transfer: DataTransfer): Promise<Found[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null && entry !== undefined);
  if (entries.length === 0) return fromList(transfer.files);
  return (await Promise.all(entries.map(walk))).flat();
}

/** Files of an <input>; a chosen folder gives them paths. */
export function fromList(files: FileList): Found[] {
  return [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

async function walk(entry: FileSystemEntry): Promise<Found[]> {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const file = await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail));
    return [{ path, file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: Found[] = [];
  // readEntries answers in portions, and with an empty one at the end.
  for (;;) {
    const portion = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (portion.length === 0) return found;
    for (const child of portion) found.push(...(await walk(child)));
  }
}

const isCompanion = (path: string) => /(^|\/)(config|cfg|adapter_config|.*\.index)\.json$/.test(path);
const isShard = (path: string) => /-\d{5}-of-\d{5}\.\w+$/.test(path);
const isData = (path: string) => /\.(safetensors|npy|npz|pt|pth|bin|gguf|json)$/i.test(path);

/** Groups files into items. Files of one folder belong together where a companion (config.json, cfg.json, an index) or shards say so. */
export function group(found: Found[]): Item[] {
  const folders = new Map<string, Found[]>();
  for (const one of found) {
    if (one.file.name.startsWith(".")) continue;
    const folder = one.path.split("/").slice(0, -1).join("/");
    folders.set(folder, [...(folders.get(folder) ?? []), one]);
  }
  const items: Item[] = [];
  for (const [folder, files] of folders) {
    const together = files.length > 1 && files.some(({ path }) => isCompanion(path) || isShard(path));
    if (together) {
      const name = folder.split("/").at(-1) || files.find(({ path }) => !path.endsWith(".json"))?.file.name || files[0]!.file.name;
      items.push(item(name, files));
    } else {
      // In a folder, only what can be understood is taken; a file dropped by itself always gets its answer.
      for (const one of files) if (folder === "" || isData(one.path)) items.push(item(one.file.name, [one]));
    }
  }
  return items;
}

function item(name: string, files: Found[]): Item {
  return { id: crypto.randomUUID(), name, files: files.map(({ file }) => ({ path: file.name, blob: file })) };
}

export const size = (item: Item) => item.files.reduce((sum, { blob }) => sum + blob.size, 0);
