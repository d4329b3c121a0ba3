// A large Blob piece by piece.

const size = 4 * 2 ** 20;

/** The Blob's bytes in order, 4 MB at a time. Throws the signal's reason once it is aborted. */
export async function* chunks(blob: Blob, signal?: AbortSignal): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < blob.size; at += size) {
    signal?.throwIfAborted();
    yield new Uint8Array(await blob.slice(at, at + size).arrayBuffer());
    if (at > 0) hintGarbage();
  }
}

/** Memory that is never touched, so that it is never there: the garbage collector sees that buffers pile up before they are hundreds of megabytes. */
function hintGarbage(): void {
  try {
    Reflect.construct(ArrayBuffer, [8 * size]); // minifiers leave out a `new` whose value is not used
  } catch {
    // No address space to spare: then it comes when it likes.
  }
}
