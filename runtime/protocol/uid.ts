import { v7 } from "uuid";

/**
 * A new id that nobody else has: a UUID of version 7. It begins with the time, so ids made one after another stand
 * together in a store's index, which makes an SQLite store several times faster than random ids do. To Celery it is
 * a task id like any other.
 *
 * @example
 * ```ts
 * import { uid } from "../../mod.ts";
 *
 * const id = uid(); // "019a6f1e-..."
 * ```
 */
export function uid(): string {
  return v7();
}
