import { v5, v7 } from "uuid";

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

/** Of ids that are derived from others. */
const NAMESPACE = "019aa1f0-7c3e-7d5a-9b1e-5d2f6c4a8e37";

/** The id of the `position`th of those that follow a task and have none of their own: the same whenever it is asked for. */
export function derivedId(id: string, position: number): string {
  return v5(`${id}/${position}`, NAMESPACE);
}
