// What survives a reload: the dropped files while they are small and the gauge, in this browser's own storage (IndexedDB) and nowhere else.
import type { HiddenReport } from "../engine";
import { newId, size } from "./files";
import type { Settings } from "./link";
import type { Item, Role } from "./types";

export interface Kept {
  items: { item: Item; role: Role }[];
  /** The result's gauge file, and the ids of the items that it is of. */
  gauge?: {
    json: string;
    source: string | undefined;
    target: string | undefined;
    /** Of a traced gauge, the ids of its checkpoints. */
    series?: string[] | undefined;
    /** What it was matched with; sessions of earlier pages do not have it. */
    settings?: Settings | undefined;
    /** What was found out about heads and neurons beside the gauge. */
    hidden?: HiddenReport | undefined;
  };
}

/** Items are kept up to 64 MB together, the gauge always. */
export const limit = 64e6;

function open(): Promise<IDBDatabase> {
  return new Promise((done, fail) => {
    const request = indexedDB.open("regauge", 2);
    request.onupgradeneeded = () => {
      for (const old of [...request.result.objectStoreNames]) request.result.deleteObjectStore(old);
      request.result.createObjectStore("sessions");
    };
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
}

async function run<T>(mode: IDBTransactionMode, action: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const database = await open();
  try {
    return await new Promise((done, fail) => {
      const transaction = database.transaction("sessions", mode);
      const request = action(transaction.objectStore("sessions"));
      transaction.oncomplete = () => done(request.result);
      transaction.onabort = transaction.onerror = () => fail(transaction.error);
    });
  } finally {
    database.close();
  }
}

/**
 * Each tab has a session of its own, by an id that survives a reload (sessionStorage) and a lock that says that the tab is there. A new tab goes
 * on with the latest session that no other tab has.
 */
const idKey = "regauge-session";
const lockOf = (id: string) => `regauge-session-${id}`;
/** Sessions of tabs that are gone are kept this long, in milliseconds: a week. */
const keptFor = 7 * 24 * 3600 * 1000;

interface Session extends Kept {
  saved: number;
}

let session: Promise<string> | undefined;

/** This tab's session. */
const mine = () => (session ??= choose());

async function choose(): Promise<string> {
  const taken = await takenIds();
  const own = sessionStorage.getItem(idKey);
  const free = (await sessions()).filter(([id]) => !taken.has(id));
  // A duplicated tab brings the id of one that is still there.
  const id = own && !taken.has(own) ? own : own ? newId() : (free.at(-1)?.[0] ?? newId());
  sessionStorage.setItem(idKey, id);
  void navigator.locks?.request(lockOf(id), () => new Promise(() => undefined)); // until the tab closes
  for (const [old, { saved }] of free)
    if (old !== id && Date.now() - saved > keptFor) await run("readwrite", (store) => store.delete(old));
  return id;
}

async function takenIds(): Promise<Set<string>> {
  const { held = [] } = (await navigator.locks?.query()) ?? {};
  return new Set(held.map(({ name }) => name!.replace(lockOf(""), "")));
}

/** Every session in the storage, the latest last. */
async function sessions(): Promise<[string, Session][]> {
  const ids = (await run("readonly", (store) => store.getAllKeys())) as string[];
  const values = (await run("readonly", (store) => store.getAll())) as Session[];
  return ids.map((id, k): [string, Session] => [id, values[k]!]).sort((a, b) => a[1].saved - b[1].saved);
}

/** Stores it; false where there is nothing, or the browser keeps nothing (private windows, full disk). Large items are left out. */
export async function keep(what: Kept): Promise<boolean> {
  try {
    let room = limit;
    const items = what.items.filter(({ item }) => size(item) <= room && ((room -= size(item)), true));
    if (items.length === 0 && !what.gauge) {
      await forget();
      return false;
    }
    const id = await mine();
    await run("readwrite", (store) => store.put({ ...what, items, saved: Date.now() }, id));
    return true;
  } catch {
    return false;
  }
}

export async function kept(): Promise<Kept> {
  try {
    const id = await mine();
    return (await run("readonly", (store) => store.get(id))) ?? { items: [] };
  } catch {
    return { items: [] };
  }
}

/** Forgets this tab's session; another tab's stays. */
export async function forget(): Promise<void> {
  try {
    const id = await mine();
    await run("readwrite", (store) => store.delete(id));
  } catch {
    // Nothing was kept.
  }
}
