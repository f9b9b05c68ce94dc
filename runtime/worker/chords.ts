/**
 * **Settle**, for tasks that are parts of chords and those that begin some: parts are counted before anything of them is
 * stored or acknowledged, and whoever counts the last one sends the body.
 *
 * The order makes it safe to die between any two steps: extend, count, begin what follows, send the body and hear that the
 * broker has it, end the chord, and only then settle the part. Until it is settled the part comes again, counts as it did, and
 * finds its chord complete (then the body is sent once more, under the same ids) or sent.
 */
import type { ChordPart, ChordStart, EndedPart, Following } from "../protocol/chord.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import type { ChordStore, GroupStore } from "../results/chord_store.ts";
import type { StoredResult } from "../results/result_store.ts";
import type { Settlement } from "../transport/transport.ts";
import type { ChordBodies } from "../workflow/chord_bodies.ts";

/** Settlements whose parts are counted together, at most. */
const BATCH = 256;

/** What chords need of their worker. */
export interface ChordsParts {
  /** The stores of chords and groups, where the result store has them. */
  readonly chords: ChordStore | undefined;
  readonly groups: GroupStore | undefined;
  readonly bodies: ChordBodies;
  /** Runs a step again until it is done. @throws When the worker was ended. */
  retry<T>(run: () => Promise<T>): Promise<T>;
  /** Publishes until the broker has it. @throws When the worker was ended. */
  publish(messages: readonly WireMessage[]): Promise<void>;
  store(results: readonly StoredResult[]): Promise<void>;
  /** All that comes before a settlement is done. */
  settle(settlement: Settlement): void;
  /** Some were settled. */
  settled(): void;
  /** Parts were counted that belong to no chord. */
  unknown(parts: readonly ChordPart[], hasStore: boolean): void;
}

interface Waiting {
  readonly settlement: Settlement | undefined;
  readonly following: Following;
}

export class Chords {
  readonly #parts: ChordsParts;
  #waiting: Waiting[] = [];
  #working: Promise<void> | undefined;

  constructor(parts: ChordsParts) {
    this.#parts = parts;
  }

  /** Settles a delivery once all that comes before it is done; without one, publishes what follows. */
  hold(settlement: Settlement | undefined, following: Following): void {
    this.#waiting.push({ settlement, following });
    this.#working ??= this.#work();
  }

  /** Resolves when nothing is held. Undefined when nothing is. */
  get working(): Promise<void> | undefined {
    return this.#working;
  }

  async #work(): Promise<void> {
    // A turn later, so that what one message from an isolate brings is counted together.
    await Promise.resolve();
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting.splice(0, BATCH);
        await this.#prepare(batch.map(({ following }) => following));
        for (const { settlement, following: { messages } } of batch) {
          if (settlement !== undefined) this.#parts.settle(settlement);
          else if (messages.length > 0) await this.#parts.publish(messages);
        }
        this.#parts.settled();
      }
    } catch {
      // The worker was ended: what is not settled stays with the broker, which restores it.
      this.#waiting = [];
    }
    this.#working = undefined;
    this.#parts.settled();
  }

  async #prepare(followings: readonly Following[]): Promise<void> {
    const { chords, retry, unknown } = this.#parts;
    const parts = followings.flatMap(({ parts = [] }) => parts);
    if (chords === undefined) {
      if (parts.length > 0) unknown(parts, false);
      return;
    }
    const extended = followings.flatMap(({ extended = [] }) => extended);
    if (extended.length > 0) await retry(() => chords.extend(extended));
    await this.#begin(chords, followings.flatMap(({ chords = [] }) => chords));
    if (parts.length > 0) await this.#count(chords, parts);
  }

  async #begin(chords: ChordStore, starts: readonly ChordStart[]): Promise<void> {
    if (starts.length > 0) await this.#parts.retry(() => chords.begin(starts));
  }

  /** Counts parts, and sends the bodies of those chords that are complete now. */
  async #count(chords: ChordStore, parts: readonly EndedPart[]): Promise<void> {
    const { retry, unknown } = this.#parts;
    const counts = await retry(() => chords.count(parts));
    const strangers = parts.filter((part, i) => counts[i] === "unknown" && !part.redelivered);
    if (strangers.length > 0) unknown(strangers, true);
    const complete = new Map<string, EndedPart>();
    parts.forEach((part, i) => {
      if (counts[i] === "complete") complete.set(part.groupId, part);
    });
    if (complete.size > 0) await this.#send(chords, [...complete.values()]);
  }

  async #send(chords: ChordStore, lasts: readonly EndedPart[]): Promise<void> {
    const { groups, bodies, retry, publish, store } = this.#parts;
    const ends = await Promise.all(lasts.map(async (last) => {
      const [texts, group] = await retry(() =>
        Promise.all([chords.parts(last.groupId), groups?.restore(last.groupId) ?? null])
      );
      // Another worker has sent it meanwhile.
      return texts.length === 0 ? undefined : bodies.of(last, texts, group);
    }));
    const sent = ends.filter((end) => end !== undefined);
    await this.#begin(chords, sent.flatMap(({ chords = [] }) => chords));
    const messages = sent.flatMap(({ messages }) => messages);
    if (messages.length > 0) await publish(messages);
    const results = sent.flatMap(({ results }) => results);
    if (results.length > 0) await retry(() => store(results));
    // A body that fails ends a part of the chord around it.
    const outer = sent.flatMap(({ parts = [] }) => parts);
    if (outer.length > 0) await this.#count(chords, outer);
    await retry(() => chords.end(lasts));
  }
}
