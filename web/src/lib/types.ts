// The page's own words beside the package's.
import type { Plan, UrlFile } from "regauge";

/** A file or a folder that was dropped: the unit that has a role. */
export interface Item {
  id: string;
  /** File name, or the folder's name. */
  name: string;
  files: { path: string; blob: Blob | UrlFile }[];
  /** Where it was looked at, on a server: its files are read from there by range, and nowhere kept. */
  address?: string;
  /** Came with the page: nothing to keep over a reload but its name. */
  sample?: boolean;
}

/** series: one of a run's checkpoints, to trace through. */
export type Role = "source" | "target" | "object" | "series";

/** What is in an item, as the package says it, and what it can be used for here. */
export interface Inspection extends Plan {
  /** Can tell channels apart: activations, rows, a checkpoint. */
  evidence: boolean;
  /** Its weights are in blocks that moving would mix: they are written as floats. */
  quantised: boolean;
  dtype: string;
  sites: { name: string; rows: number }[];
  gains: string[];
}

/** A file of a moved object. */
export interface MovedFile {
  path: string;
  blob: Blob;
}

/** A moved object. Large ones lie on the disk that the browser lends the page, until they are disposed of. */
export interface Moved {
  /** How it moved; with a gauge of heads and neurons, these too. */
  plan: Plan;
  files: MovedFile[];
  dispose(): Promise<void>;
}
