/** Tasks of chords that tell how often they ran, and give another result each time. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { currentTask, defaultApp, type Signature } from "../../mod.ts";

/** One run of a task. */
export interface ChordRun {
  readonly id: string;
  readonly again: boolean;
  readonly what: unknown;
}

/** All runs that a file tells of. A line that others are writing just now is none yet. */
export function runsIn(file: string): ChordRun[] {
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
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

/** Lets `part` take its place. */
export function becomes(file: string, name: string): string {
  return currentTask()!.replace(partOf(file, name));
}

/** A part that adds another one. */
export function adds(file: string, name: string): string {
  currentTask()!.addToChord(partOf(file, "added"));
  return part(file, name);
}

/** In the queue of the running task. */
function partOf(file: string, name: string): Signature<[], string> {
  const { part } = defaultApp().module<{ part(file: string, name: string): string }>("chord_tasks");
  return part.s(file, name).set({ queue: currentTask()!.deliveryInfo.routingKey });
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
