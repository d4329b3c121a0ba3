// Files on their way to the disk of whoever uses the page.

export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads the blob after the click; a minute is more than it needs to begin.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export const saveText = (text: string, name: string, type = "application/json") => save(new Blob([text], { type }), name);

/** "steering.npy" -> "steering.moved.npy" */
export function movedName(name: string): string {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? `${name.slice(0, dot)}.moved${name.slice(dot)}` : `${name}.moved`;
}
