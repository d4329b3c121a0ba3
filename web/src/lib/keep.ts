// What survives a reload: the dropped files while they are small and the gauge, in this browser's own storage (IndexedDB) and nowhere else.
import { size } from "./files";
import type { Item, Role } from "./types";

export interface Kept {
  items: { item: Item; role: Role }[];
  /** The result's gauge file, and the ids of the items that it is of. */
  gauge?: { json: string; source: string | undefined; target: string | undefined };
}

/** Items above this are not kept, nor what came of them: 64 MB together. */
export const limit = 64e6;

function open(): Promise<IDBDatabase> {
  return new Promise((done, fail) => {
    const request = indexedDB.open("regauge", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("session");
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
}

async function run<T>(mode: IDBTransactionMode, action: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const database = await open();
  try {
    return await new Promise((done, fail) => {
      const transaction = database.transaction("session", mode);
      const request = action(transaction.objectStore("session"));
      transaction.oncomplete = () => done(request.result);
      transaction.onabort = transaction.onerror = () => fail(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** Stores it; false where there is nothing, the items are too large, or the browser keeps nothing (private windows, full disk). */
export async function keep(what: Kept): Promise<boolean> {
  try {
    if ((what.items.length === 0 && !what.gauge) || what.items.reduce((sum, { item }) => sum + size(item), 0) > limit) {
      await forget();
      return false;
    }
    await run("readwrite", (store) => store.put(what, "session"));
    return true;
  } catch {
    return false;
  }
}

export async function kept(): Promise<Kept> {
  try {
    return (await run("readonly", (store) => store.get("session"))) ?? { items: [] };
  } catch {
    return { items: [] };
  }
}

export async function forget(): Promise<void> {
  try {
    await run("readwrite", (store) => store.clear());
  } catch {
    // Nothing was kept.
  }
}
