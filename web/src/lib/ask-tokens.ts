// Token ids of files and prompts, read beside the page, which stays awake; a thread for each question.
import type { ModelFacts } from "./tokens";

export interface TokensAsked extends Pick<ModelFacts, "json" | "vocabulary"> {
  /** What messages call it. */
  name: string;
  /** A file of ids or text, or a text. */
  file?: Blob;
  text?: string;
}
export type TokensAnswer = { ids: number[][] } | { refused: string };

/** Ids by sequence. Throws a sentence, or the signal's reason. */
export async function askTokens(
  { json, vocabulary }: ModelFacts,
  what: Pick<TokensAsked, "name" | "file" | "text">,
  signal: AbortSignal,
): Promise<number[][]> {
  signal.throwIfAborted();
  const worker = new Worker(new URL("./tokens.worker.ts", import.meta.url), { type: "module", name: "tokens" });
  return new Promise<number[][]>((done, fail) => {
    signal.addEventListener("abort", () => fail(signal.reason as Error));
    worker.onmessage = ({ data }: MessageEvent<TokensAnswer>) =>
      "ids" in data ? done(data.ids) : fail(new Error(data.refused));
    worker.onerror = ({ message }) => fail(new Error(`${what.name}: cannot be read: ${message}`));
    worker.postMessage({ json, vocabulary, ...what } satisfies TokensAsked);
  }).finally(() => worker.terminate());
}
