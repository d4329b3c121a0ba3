// From what was dropped or chosen to items: a loose file is one, a checkpoint or SAE with its companions is one.
import type { Item } from "./types";

export interface Found {
  path: string;
  file: File;
}

/** Everything in a drop, folders walked. The entries must be taken before the first await: the browser empties the list after the event. */
export async function fromDrop(transfer: DataTransfer): Promise<Found[]> {
  const entries = [...transfer.items]
    .map((item) => item.webkitGetAsEntry?.())
    .filter((entry) => entry !== null && entry !== undefined);
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

const isTensors = (name: string) => /\.(safetensors|npy|npz|pt|pth|bin|gguf)$/i.test(name);
const isData = (name: string) => isTensors(name) || /\.json$/i.test(name);

/** What belongs together in one folder, or among files dropped side by side: the weights, and the small files that are theirs by name. */
const wholes = [
  { weights: /^adapter_model\.\w+$/, own: /^adapter_config\.json$/ },
  {
    weights: /^((sae_weights|sparsity|sae|params(_layer_\d+)?|W_(enc|dec)_\d+)\.(safetensors|npz)|ae\.pt)$/,
    own: /^cfg\.json$/,
  },
  {
    weights: /^((pytorch_)?model\.(safetensors|bin)|.*-\d{5}-of-\d{5}\.\w+)$/,
    own: /^(.*\.index|config|generation_config|tokenizer.*|vocab|special_tokens_map)\.json$/,
  },
];
/** Left by a trainer beside a model; the package knows which move. */
const isTrainers = (name: string) =>
  /^(optimizer|scheduler|fp32|exp_avg(_sq)?|step)\.(pt|bin)$|^training_args\.bin$|^rng_state.*\.pth$/.test(name);

/** Groups files into items: a checkpoint, an adapter or an SAE with its companions is one, any other file is one by itself. */
export function group(found: Found[]): Item[] {
  const folders = new Map<string, Found[]>();
  for (const one of found) {
    if (one.file.name.startsWith(".")) continue;
    const folder = one.path.split("/").slice(0, -1).join("/");
    folders.set(folder, [...(folders.get(folder) ?? []), one]);
  }
  // step-50 before step-100, whatever order the system hands them over in.
  const inOrder = new Intl.Collator("en", { numeric: true }).compare;
  return [...folders.keys()].sort(inOrder).flatMap((folder) =>
    ofOneFolder(
      folder,
      folders.get(folder)!.sort((a, b) => inOrder(a.path, b.path)),
    ),
  );
}

function ofOneFolder(folder: string, files: Found[]): Item[] {
  const items: Item[] = [];
  const own = folder.split("/").at(-1)!;
  let rest = files;
  const present = wholes.filter(({ weights }) => rest.some(({ file }) => weights.test(file.name)));
  for (const { weights, own: companions } of present) {
    // A whole that is alone takes every small file of its folder (tokenizers, model cards) along, as it is copied along.
    const alone = present.length === 1;
    const isPart = ({ file: { name } }: Found) =>
      weights.test(name) || companions.test(name) || (alone && (!isTensors(name) || isTrainers(name)));
    const parts = rest.filter(isPart);
    rest = rest.filter((one) => !parts.includes(one));
    const main = parts.find(({ file }) => weights.test(file.name))!.file.name;
    items.push(item(parts.length > 1 && own && alone ? own : own && !alone ? `${own}/${main}` : main, parts));
  }
  // A single tensor file with a configuration beside it, whatever it is called.
  const tensors = rest.filter(({ file }) => isTensors(file.name));
  if (present.length === 0 && tensors.length === 1 && rest.some(({ file }) => /^(cfg|config)\.json$/.test(file.name))) {
    items.push(item(own || tensors[0]!.file.name, rest));
    rest = [];
  }
  // In a folder, only what can be understood is taken; a file dropped by itself always gets its answer.
  for (const one of rest)
    if (folder === "" || isData(one.file.name))
      items.push(item(own ? `${own}/${one.file.name}` : one.file.name, [one]));
  return items;
}

function item(name: string, files: Found[]): Item {
  return { id: newId(), name, files: files.map(({ file }) => ({ path: file.name, blob: file })) };
}

let made = 0;
/** Unlike any other, also those kept from earlier visits (crypto.randomUUID is for secure pages only). */
export const newId = () => `${Date.now().toString(36)}-${made++}-${Math.random().toString(36).slice(2)}`;

export const size = (item: Item) => item.files.reduce((sum, { blob }) => sum + blob.size, 0);
