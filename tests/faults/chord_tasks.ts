/** Tasks of chords that tell how often they ran, and give another result each time. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { currentTask } from "../../mod.ts";

/** One run of a task. */
export interface ChordRun {
  readonly id: string;
  readonly again: boolean;
  readonly what: unknown;
}

/** All runs that a file tells of. */
export function runsIn(file: string): ChordRun[] {
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

function note(file: string, what: unknown): ChordRun[] {
  const { id, redelivered } = currentTask()!;
  appendFileSync(file, `${JSON.stringify({ id, again: redelivered, what })}\n`);
  return runsIn(file).filter((run) => run.id === id);
}

/** `NAME of run N`. */
export function part(file: string, name: string): string {
  return `${name} of run ${note(file, name).length}`;
}

/** What it was called with. */
export function body(values: string[], file: string): string[] {
  note(file, values);
  return values;
}

/** Fails. */
export function broken(file: string): never {
  note(file, "broken");
  throw new RangeError("broken");
}

/** Is told of what failed. */
export function told(id: string, file: string): void {
  note(file, id);
}
