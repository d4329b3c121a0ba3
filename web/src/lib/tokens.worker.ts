// Text to token ids on a thread that can be ended: the pattern that cuts text into words is a stranger's, and may take for ever.
import type { TokensAnswer, TokensAsked } from "./ask-tokens";
import { encode, readTokens, tokenizerOf } from "./tokens";

async function answer({ json, vocabulary, name, file, text }: TokensAsked): Promise<TokensAnswer> {
  try {
    const tokenizer = tokenizerOf(json, vocabulary);
    return { ids: file ? await readTokens(file, name, tokenizer) : [encode(text ?? "", tokenizer, name)] };
  } catch (error) {
    return { refused: error instanceof Error ? error.message : String(error) };
  }
}

self.onmessage = async ({ data }: MessageEvent<TokensAsked>) => self.postMessage(await answer(data));
