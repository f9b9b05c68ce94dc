// deno-lint-ignore-file require-await -- the contract is asynchronous; nothing in a process's own memory waits
/** Ids of tasks that are not to run any more, of a memory broker: for as long as its process lives. */
import type { Clock } from "../../clock.ts";
import type { RevokedBounds, RevokedIds, RevokedLook } from "../revoked_ids.ts";

/** When each was added, oldest first. */
export type RevokedTimes = Map<string, number>;

export class MemoryRevokedIds implements RevokedIds {
  readonly #times: RevokedTimes;
  readonly #clock: Clock;

  constructor(times: RevokedTimes, clock: Clock) {
    this.#times = times;
    this.#clock = clock;
  }

  async add(ids: readonly string[], { seconds, most }: RevokedBounds): Promise<void> {
    const now = this.#clock.now();
    for (const id of ids) {
      this.#times.delete(id);
      this.#times.set(id, now);
    }
    for (const [id, at] of this.#times) {
      if (at > now - seconds * 1000 && this.#times.size <= most) break;
      this.#times.delete(id);
    }
  }

  async remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#times.delete(id);
  }

  async read(): Promise<RevokedLook> {
    return { ids: [...this.#times.keys()], cursor: 0, count: this.#times.size };
  }
}
