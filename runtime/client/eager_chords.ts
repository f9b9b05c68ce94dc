/** Chords of an app that runs tasks itself: their parts are counted here, and the last one calls the body. */
import type { Clock } from "../clock.ts";
import type { MessageDefaults } from "../config/message_defaults.ts";
import type { Settings } from "../config/settings.ts";
import type { ChordStart, EndedPart, Following } from "../protocol/chord.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import { MemoryChords } from "../results/memory_chords.ts";
import { ChordBodies } from "../workflow/chord_bodies.ts";
import { Follow } from "../workflow/follow.ts";

/** What chords have of their app. */
export interface EagerChordsParts {
  readonly settings: Settings;
  readonly clock: Clock;
  defaultsOf(task: string): MessageDefaults | undefined;
  /** Runs messages. */
  run(messages: readonly WireMessage[]): void;
  /** Tells whoever waits for a task of its failure. */
  fail(id: string, text: string): void;
  /** Says why a body is not called. */
  trouble(text: string): void;
}

export class EagerChords {
  readonly #parts: EagerChordsParts;
  readonly #store: MemoryChords;
  readonly #bodies: ChordBodies;

  constructor(parts: EagerChordsParts) {
    const { settings, clock, defaultsOf, trouble } = parts;
    const now = () => clock.now();
    this.#parts = parts;
    this.#store = new MemoryChords(clock);
    this.#bodies = new ChordBodies({
      follow: new Follow({ settings, origin: "eager", now, defaultsOf, countsChords: true }),
      now,
      ttl: settings.resultExpires,
      trouble: (_, text) => trouble(text),
    });
  }

  /** From here on their parts count: what is in memory is there at once. */
  begin(chords: readonly ChordStart[]): void {
    void this.#store.begin(chords);
  }

  /** What follows a task, but for the messages. */
  async follow({ chords = [], extended = [], parts = [] }: Following): Promise<void> {
    await this.#store.extend(extended);
    await this.#store.begin(chords);
    const counts = await this.#store.count(parts);
    const complete = parts.filter((_, i) => counts[i] === "complete");
    for (const part of complete) await this.#call(part);
  }

  async #call(last: EndedPart): Promise<void> {
    const texts = await this.#store.parts(last.groupId);
    if (texts.length === 0) return;
    const { results, messages, ...following } = this.#bodies.of(
      last,
      texts,
      await this.#store.restore(last.groupId),
    );
    await this.#store.end([last]);
    for (const { id, text } of results) this.#parts.fail(id, text);
    await this.follow({ ...following, messages });
    this.#parts.run(messages);
  }
}
