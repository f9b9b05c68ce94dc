/**
 * Who holds deliveries. A claim belongs to the owner whose row it names: taking that one row away takes all of its
 * claims away, in one step and for good, because numbers of owners are never used again.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { OwnerBeat } from "../lease.ts";
import type { ClaimedMessage } from "./settle_step.ts";

export class Owners {
  readonly #add: StatementSync;
  readonly #exists: StatementSync;
  readonly #renew: StatementSync;
  readonly #all: StatementSync;
  readonly #remove: StatementSync;
  readonly #orphans: StatementSync;

  constructor(db: DatabaseSync) {
    this.#add = db.prepare("insert into owner(worker, beat) values(?, 0) returning id");
    this.#exists = db.prepare("select 1 from owner where id = ?");
    this.#renew = db.prepare("update owner set beat = beat + 1 where id = ?");
    this.#all = db.prepare("select id as owner, beat from owner");
    this.#remove = db.prepare("delete from owner where id = ? and (beat = ? or ? is null)");
    this.#orphans = db.prepare(
      "select id, queue, priority from claimed where owner not in (select id from owner) order by id limit ?",
    );
  }

  /** A number for a worker; inside of the write transaction that makes its first claim. */
  add(worker: string): number {
    return (this.#add.get(worker) as { id: number }).id;
  }

  /** Whether this owner is still taken for alive; in a write transaction, nobody can bury it before the commit. */
  exists(owner: number): boolean {
    return this.#exists.get(owner) !== undefined;
  }

  /** Counts the beat up; false when the owner was buried. */
  renew(owner: number): boolean {
    return Number(this.#renew.run(owner).changes) > 0;
  }

  /** All owners as they stand. Only reads. */
  beats(): OwnerBeat[] {
    return this.#all.all() as unknown as OwnerBeat[];
  }

  /** Takes an owner's claims away unless its beat has moved on; whatever its beat, when none is given. */
  remove(owner: number, beat: number | null = null): void {
    this.#remove.run(owner, beat, beat);
  }

  /** Claims of nobody: found again by any peer if the one that restores them dies in the middle. */
  orphans(limit: number): ClaimedMessage[] {
    return this.#orphans.all(limit) as unknown as ClaimedMessage[];
  }
}
