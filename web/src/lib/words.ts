// What the page's words mean; one name for each thing.
export const meaning = {
  gauge:
    "for every channel of the target, the channel of the source that it is, and whether its sign is turned: y[i] = sign[i] · x[perm[i]].",
  site: "a place in the model where activations are read, such as the residual stream after layer 2 (resid.2).",
  margin: "how far the matched channel’s score stands above the best other one. Near 0, it could be either.",
  whitened:
    "correlation after directions that many channels share are scaled down, so that each channel stands out by itself.",
  evidence: "what tells channels apart: activations of both models on the same tokens, or both checkpoints.",
  estimate: "the share of channels that have their right partner and sign, as the pair’s own rows tell it.",
} as const;

export type Word = keyof typeof meaning;
