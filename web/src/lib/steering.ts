// How the six continuations are called and drawn; the names are the package's.

export type ArmName = "source" | "source-steered" | "target" | "target-moved" | "target-permuted" | "target-not-moved";

interface Look {
  title: string;
  short: string;
  /** A vector is added. */
  vector: boolean;
  color: string;
  dash: string;
  symbol: "circle" | "triangle" | "square" | "diamond";
}

export const arms: Record<ArmName, Look> = {
  source: { title: "Source", short: "source", vector: false, color: "var(--soft)", dash: "", symbol: "circle" },
  "source-steered": {
    title: "Source + vector",
    short: "source",
    vector: true,
    color: "var(--ink)",
    dash: "2 4",
    symbol: "diamond",
  },
  target: { title: "Target", short: "target", vector: false, color: "var(--soft)", dash: "", symbol: "circle" },
  "target-moved": {
    title: "Target + vector, moved",
    short: "moved with signs",
    vector: true,
    color: "var(--plus)",
    dash: "",
    symbol: "circle",
  },
  "target-permuted": {
    title: "Target + vector, permutation only",
    short: "permutation only",
    vector: true,
    color: "var(--minus)",
    dash: "7 3",
    symbol: "triangle",
  },
  "target-not-moved": {
    title: "Target + vector, not moved",
    short: "not moved",
    vector: true,
    color: "var(--soft)",
    dash: "1 3",
    symbol: "square",
  },
};
