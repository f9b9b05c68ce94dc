/**
 * Results by their ids alone, as Celery writes them among the children of another and where a group is saved: from
 * **publish** to whoever looks for them later.
 */
import { AsyncResult, type ResultSource } from "./async_result.ts";
import { GroupResult } from "./group_result.ts";
import type { PartResult } from "./result_set.ts";

/** `[[ID, the step before it or null], the parts of a group or null]`. */
export type ResultTuple = readonly [readonly [string, ResultTuple | null], readonly ResultTuple[] | null];

/** How deep results may stand in one another, before those that came from outside are taken for a circle. */
const MAX_DEPTH = 500;

/** The results that such a value names; what names none is left out. */
export function resultsOf(tuple: unknown, source: ResultSource, depth = 0): PartResult[] {
  if (depth > MAX_DEPTH || !Array.isArray(tuple) || !Array.isArray(tuple[0])) return [];
  const [[id, before], parts] = tuple as [[unknown, unknown], unknown];
  if (typeof id !== "string") return [];
  const [known] = resultsOf(before, source, depth + 1);
  const parent = known && (() => known);
  if (Array.isArray(parts)) {
    const results = parts.flatMap((part) => resultsOf(part, source, depth + 1));
    return [new GroupResult(id, results, source, parent)];
  }
  const published = Promise.resolve();
  return [new AsyncResult(id, source, { task: undefined, published, lost: () => {}, parent })];
}
