// The calls that run small models, and the audit: items in, the package's own reports out. (engine.ts is the door for the rest.)
import * as regauge from "regauge";
import { input } from "./engine";
import type { Item, MovedFile } from "./lib/types";

export type { Audit, Continuation, Gauge, JobControl, SteerArm, SteerReport, Survival, Verification } from "regauge";

export const audit = (item: Item, options: regauge.AuditOptions) => regauge.audit(input(item), options);

/** An evidence file, which align takes as it is. */
export const activations = (model: Item, tokens: number[][], control: regauge.JobControl) =>
  regauge.activations(input(model), tokens, control);

export const align = (source: File, target: File, control: regauge.JobControl) =>
  regauge.align(source, target, control);

export async function move(model: Item, gauge: regauge.Gauge, control: regauge.JobControl): Promise<MovedFile[]> {
  const { files } = await regauge.transport(input(model), gauge, control);
  return files.map(({ name, blob }) => ({ path: name, blob }));
}

export const verify = (model: Item, other: Item, tokens: number[][], control: regauge.JobControl) =>
  regauge.verify(input(model), input(other), tokens, control);

export type SteerWords = Omit<regauge.SteerOptions, "vector" | "prompt" | keyof regauge.JobControl> & {
  vector: Item;
  prompt: number[];
};

export function steer(
  source: Item,
  target: Item,
  { vector, ...words }: SteerWords,
  control: regauge.JobControl,
): Promise<regauge.SteerReport> {
  return regauge.steer(input(source), input(target), { ...words, vector: input(vector), ...control });
}
