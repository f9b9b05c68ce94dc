/** What becomes of a chord's body once all parts have ended: it is called with their results, or fails with the first that failed. */
import type { EndedPart, Following } from "../protocol/chord.ts";
import { ChordError } from "../protocol/errors.ts";
import { encodeError, encodeFailure } from "../protocol/result_meta.ts";
import { endedPart, unreachedIn } from "./chord_place.ts";
import { chordResults } from "./chord_results.ts";
import type { Follow } from "./follow.ts";

/** Where Python finds the class of a chord's error. */
const MODULE = "celery.exceptions";

/** The failure of a task that will not run. */
export interface UnrunTask {
  readonly id: string;
  readonly state: "FAILURE";
  /** As it is stored. */
  readonly text: string;
  /** Seconds. */
  readonly ttl: number;
  /** Where its caller waits for it. */
  readonly replyTo: string | undefined;
}

/** What is sent and stored when a chord is complete. */
export interface BodySent extends Following {
  /** Of tasks that will not run. */
  readonly results: readonly UnrunTask[];
}

/** What bodies have of whoever counts their parts. */
export interface ChordBodiesParts {
  readonly follow: Follow;
  /** Milliseconds since 1970. */
  now(): number;
  /** Seconds that the failure of a body is kept. */
  readonly ttl: number;
  /** A body fails, or what is to be told of that can't be sent. */
  trouble(last: EndedPart, text: string): void;
}

export class ChordBodies {
  readonly #parts: ChordBodiesParts;

  constructor(parts: ChordBodiesParts) {
    this.#parts = parts;
  }

  /** `texts` and `group` as the store keeps them; `last` is the part that completed the chord. */
  of(last: EndedPart, texts: readonly string[], group: string | null): BodySent {
    try {
      return { ...this.#parts.follow.body(last, chordResults(texts, group)), results: [] };
    } catch (error) {
      const failed = error instanceof ChordError
        ? error
        : new ChordError(`the body can't be sent: ${(error as Error).message}`, { cause: error });
      this.#parts.trouble(last, `The body of chord ${last.groupId} is not called: ${failed.message}`);
      return this.#failed(last, failed);
    }
  }

  /** Its tasks and what comes after them fail, with the parts of chords among them; its error callbacks are sent. */
  #failed(last: EndedPart, error: ChordError): BodySent {
    const { now, ttl } = this.#parts;
    const { ids, places } = unreachedIn(last.body);
    const options = { taskModule: MODULE, traceback: null, retries: -1 };
    const results = ids.map((id) => {
      const text = encodeFailure(id, error, now(), options);
      return { id, state: "FAILURE" as const, text, ttl, replyTo: last.replyTo };
    });
    const json = encodeError(error, MODULE);
    const origin = { rootId: last.rootId, replyTo: last.replyTo ?? null, redelivered: last.redelivered };
    const parts = places.map((place) => endedPart(place, "FAILURE", json, last.ttl, origin));
    return { ...this.#errbacks(last), results, parts };
  }

  #errbacks(last: EndedPart): Following {
    try {
      return this.#parts.follow.bodyFailure(last);
    } catch (error) {
      const text = `The body of chord ${last.groupId} has an error callback that can't be sent: ${
        String(error)
      }`;
      this.#parts.trouble(last, text);
      return { messages: [] };
    }
  }
}
