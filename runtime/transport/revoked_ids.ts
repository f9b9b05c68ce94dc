/**
 * The contract for ids of tasks that are not to run any more. No queue can hold them, so they stand beside the queues
 * where the broker is SQLite, Redis or memory, else in the result store, else in a file of the worker's own. Workers
 * read them when they start and now and then; before the step **dispatch** they look at their own copy.
 */

/** How many ids are kept, and for how long. */
export interface RevokedBounds {
  /** Seconds. */
  readonly seconds: number;
  /** The newest ones. */
  readonly most: number;
}

/** What a look found. */
export interface RevokedLook {
  /** Oldest first; what was known before may be among them. */
  readonly ids: readonly string[];
  /** For the next look. */
  readonly cursor: number;
  /** How many are kept in all. */
  readonly count: number;
}

/** Where such ids are kept. */
export interface RevokedIds {
  /** Adds ids, and drops what the bounds leave no room for. Again is harmless. */
  add(ids: readonly string[], bounds: RevokedBounds): Promise<void>;
  /** Takes ids out that are needed no more. */
  remove(ids: readonly string[]): Promise<void>;
  /** What was added since the look that gave `cursor`; without one all that is kept. */
  read(cursor?: number): Promise<RevokedLook>;
}
