/** A part of the bench: one question, its contestants in turn, and what came of it. */
import type { BenchRedis } from "./redis_server.ts";

/** What a part is run with. */
export interface Setting {
  /** Fewer tasks and rounds, for a look in passing. */
  readonly quick: boolean;
  /** Fresh for this part. */
  readonly redis: BenchRedis;
  /** An empty folder, deleted afterwards. */
  readonly folder: string;
  /** Aborts when the part is given up. */
  readonly signal: AbortSignal;
  /** Shows a line of progress. */
  say(line: string): void;
}

/** One thing asked for, and what was reached. */
export interface Target {
  readonly what: string;
  /** Times as much. */
  readonly reached: number;
  readonly wanted: number;
  /** Whether the figure is to be as large (`at least`) or as small (`at most`) as wanted. */
  readonly is: "at least" | "at most";
  /** How it is written. */
  readonly as: "x" | "%";
}

/** What came of a part; plain data, kept as JSON. */
export interface Outcome {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly targets: readonly Target[];
  /** Its share of the one line of ratios. */
  readonly ratios: string;
  /** How to read the figures. */
  readonly notes: readonly string[];
  /** Every round's figures, for who doubts the medians. */
  readonly rounds: unknown;
}

export interface Part {
  /** As `make bench ONLY=` names it. */
  readonly name: string;
  readonly title: string;
  /** Whether it belongs to a quick run, too. */
  readonly inQuick: boolean;
  /** Seconds after which it is given up. */
  readonly limit: number;
  run(setting: Setting): Promise<Outcome>;
}

/** A target that is met by `wanted` or more. */
export function atLeast(what: string, reached: number, wanted: number, as: Target["as"] = "x"): Target {
  return { what, reached, wanted, is: "at least", as };
}

/** A target that is met by `wanted` or less. */
export function atMost(what: string, reached: number, wanted: number, as: Target["as"] = "x"): Target {
  return { what, reached, wanted, is: "at most", as };
}

/** Whether a target is met. */
export function isMet({ reached, wanted, is }: Target): boolean {
  return is === "at least" ? reached >= wanted : reached <= wanted;
}
