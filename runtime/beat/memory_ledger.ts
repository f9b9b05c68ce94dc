// deno-lint-ignore-file require-await -- the contract is asynchronous; nothing in a process's own memory waits
/** The ledger of `memory:` brokers, for tests and for programs that need not outlive their process. */
import type { OwnerBeat } from "../transport/lease.ts";
import { MemoryBroker } from "../transport/memory/broker.ts";
import type { Ledger, Sending, Sent, Wanted } from "./place.ts";

interface Kept {
  owner: string;
  last: number;
  timetable: string;
}

/** What all schedulers of one URL in this process share. */
interface Shared {
  readonly beats: Map<string, number>;
  readonly entries: Map<string, Kept>;
}

const ledgers = new Map<string, Shared>();

export class MemoryLedger implements Ledger {
  readonly name: string;
  readonly #shared: Shared;

  constructor(url: string) {
    this.name = url;
    let shared = ledgers.get(url);
    if (shared === undefined) ledgers.set(url, shared = { beats: new Map(), entries: new Map() });
    this.#shared = shared;
  }

  async connect(): Promise<void> {}

  async renew(me: string): Promise<readonly OwnerBeat<string>[]> {
    const { beats } = this.#shared;
    beats.set(me, (beats.get(me) ?? 0) + 1);
    return [...beats].filter(([owner]) => owner !== me).map(([owner, beat]) => ({ owner, beat }));
  }

  async bury(owner: string, beat?: number): Promise<void> {
    const { beats } = this.#shared;
    if (beat === undefined || beats.get(owner) === beat) beats.delete(owner);
  }

  async claim(
    me: string,
    alive: readonly string[],
    wanted: readonly Wanted[],
  ): Promise<ReadonlyMap<string, number>> {
    const { entries } = this.#shared;
    const held = new Map<string, number>();
    const before = new Set([me]);
    for (const { key, timetable, first } of wanted) {
      const kept = entries.get(key);
      if (kept !== undefined && kept.owner !== me && alive.includes(kept.owner)) continue;
      if (kept !== undefined) before.add(kept.owner);
      const last = kept?.timetable === timetable ? kept.last : first;
      entries.set(key, { owner: me, last, timetable });
      held.set(key, last);
    }
    for (const [key, { owner }] of entries) if (before.has(owner) && !held.has(key)) entries.delete(key);
    return held;
  }

  async send(me: string, batch: readonly Sending[]): Promise<readonly Sent[]> {
    return batch.map(({ key, before, at, message }): Sent => {
      const kept = this.#shared.entries.get(key);
      if (kept?.owner !== me || kept.last !== before) return "lost";
      MemoryBroker.named(this.name).publish([message]);
      kept.last = at;
      return "sent";
    });
  }

  async read(wanted: readonly Wanted[]): Promise<ReadonlyMap<string, number>> {
    const { entries } = this.#shared;
    const known = wanted.filter(({ key, timetable }) => entries.get(key)?.timetable === timetable);
    return new Map(known.map(({ key }) => [key, entries.get(key)!.last]));
  }

  async close(): Promise<void> {}
}
