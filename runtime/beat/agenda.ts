/** What a scheduler knows of its entries: which of them it holds, their last times and the next. Before **publish**. */
import type { Entry } from "./entries.ts";
import { type Look, lookAt } from "./occurrence.ts";
import type { Sending, Wanted } from "./place.ts";

/** An entry as others see it. */
export interface BeatEntry {
  /** Its name in the schedule. */
  readonly name: string;
  /** The task's name. */
  readonly task: string;
  /** When it runs, in words. */
  readonly schedule: string;
  /** By the clock of which zone, where a clock matters. */
  readonly timezone: string | undefined;
  /** Where it was given: a file, or `the settings`. */
  readonly from: string;
  /** The last time that it was sent for, or else when it was first seen; as far as this scheduler knows. */
  readonly last: Date | undefined;
  /**
   * When it runs next; undefined when it does not. That is now, where a time was missed that is made up for. Without a last
   * time it is what it would be if it began now.
   */
  readonly next: Date | undefined;
}

/** An entry on an agenda. Times are milliseconds since 1970. */
export interface Item {
  readonly entry: Entry;
  /** The last time as the broker keeps it; undefined while another scheduler holds the entry. */
  kept: number | undefined;
  /** The last time, which may be one that was missed and is not made up for. */
  last: number;
  next: number;
}

/** The entries of one schedule. */
export class Agenda {
  readonly #items: ReadonlyMap<string, Item>;
  readonly #late: number;

  /** `late` are milliseconds that are not taken for missed. What is on the agenda `before` goes on, unless it has changed. */
  constructor(late: number, entries: readonly Entry[] = [], before?: Agenda) {
    const known = before === undefined ? undefined : before.#items;
    this.#late = late;
    this.#items = new Map(entries.map((entry): [string, Item] => {
      const same = known?.get(entry.key);
      const goesOn = same?.entry.timetable.text === entry.timetable.text;
      return [entry.key, goesOn ? { ...same!, entry } : { entry, kept: undefined, last: 0, next: Infinity }];
    }));
  }

  get size(): number {
    return this.#items.size;
  }

  /** All of it, as others see it. */
  list(now: number): BeatEntry[] {
    return [...this.#items.values()].map(({ entry, kept }) => {
      const { name, task, timetable, from } = entry;
      const next = nextTime(entry, this.#look(entry, kept ?? timetable.first(now), now), now);
      return {
        name,
        task,
        schedule: timetable.text,
        timezone: timetable.timezone,
        from,
        last: kept === undefined ? undefined : new Date(kept),
        next: next === Infinity ? undefined : new Date(next),
      };
    });
  }

  /** What a place is asked for. */
  wanted(now: number): Wanted[] {
    return [...this.#items.values()].map(({ entry }) => wantedOf(entry, now));
  }

  /** The last times as the broker keeps them, without holding anything. */
  know(last: ReadonlyMap<string, number>): void {
    for (const [key, item] of this.#items) item.kept = last.get(key);
  }

  /** These are held from now on, and no others. */
  hold(held: ReadonlyMap<string, number>): void {
    for (const [key, item] of this.#items) {
      const kept = held.get(key);
      if (kept !== undefined && kept !== item.kept) setLast(item, kept);
      item.kept = kept;
    }
  }

  /** Those that are to be looked at now: held, and their time has come, or the clock was set back. */
  ripe(now: number): Item[] {
    return [...this.#items.values()].filter(({ entry, kept, last, next }) =>
      kept !== undefined && (now >= next || last - now > entry.timetable.ahead)
    );
  }

  /** What is to be done about an entry. */
  look({ entry, last }: Item, now: number): Look {
    return this.#look(entry, last, now);
  }

  /** The next time of all that is held; Infinity without any. */
  get next(): number {
    let first = Infinity;
    for (const { kept, next } of this.#items.values()) if (kept !== undefined && next < first) first = next;
    return first;
  }

  #look({ timetable, catchUp }: Entry, last: number, now: number): Look {
    return lookAt(timetable, last, now, { catchUp, late: this.#late });
  }
}

/** A task to be sent for the time `at`. @throws {UnserializableError} */
export function sendingOf({ entry, kept }: Item, at: number, now: number): Sending {
  return { ...wantedOf(entry, now), before: kept!, at, message: entry.message(at, now) };
}

/** From here on that is the last time of an entry. */
export function setLast(item: Item, last: number): void {
  item.last = last;
  item.next = item.entry.timetable.next(last);
}

function wantedOf({ key, queue, timetable }: Entry, now: number): Wanted {
  return { key, queue, timetable: timetable.text, first: timetable.first(now) };
}

function nextTime({ timetable }: Entry, look: Look, now: number): number {
  switch (look.kind) {
    case "due":
      return now;
    case "wait":
      return look.next;
    case "missed":
      return timetable.next(look.at);
    case "anew":
      return timetable.next(look.first);
  }
}
