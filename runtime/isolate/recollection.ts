/**
 * Whether a task that may have run before is done with already: just before **run**. Its isolate asks the main thread,
 * which asks the result store. Only redelivered messages are asked about, and those marked as perhaps a second copy.
 */
import { withResolvers } from "../platform.ts";
import { type DecodedResult, decodeResult, isReady } from "../protocol/result_meta.ts";
import type { TaskRequest } from "../protocol/task_message.ts";

/** From an isolate: what is stored of a task? `run` is a number of its own for each question. */
export interface RecallRequest {
  readonly kind: "recall";
  readonly run: number;
  readonly id: string;
}

/** The answer: what is stored, or null for nothing. */
export interface RecallAnswer {
  readonly kind: "recalled";
  readonly run: number;
  readonly text: string | null;
}

/** The questions of one isolate. */
export class Recollection {
  readonly #post: (request: RecallRequest) => void;
  readonly #waiting = new Map<number, (text: string | null) => void>();
  #asked = 0;

  constructor(post: (request: RecallRequest) => void) {
    this.#post = post;
  }

  /** The final result that is stored of this very try of a task, or undefined where there is none. */
  async finalResult(request: TaskRequest): Promise<DecodedResult | undefined> {
    const run = ++this.#asked;
    const { promise, resolve } = withResolvers<string | null>();
    this.#waiting.set(run, resolve);
    this.#post({ kind: "recall", run, id: request.id });
    return finalResultIn(await promise, request);
  }

  hear({ run, text }: RecallAnswer): void {
    this.#waiting.get(run)?.(text);
    this.#waiting.delete(run);
  }
}

/** A result of an earlier try is not the end of this one. */
function finalResultIn(text: string | null, { retries }: TaskRequest): DecodedResult | undefined {
  if (text === null) return undefined;
  try {
    const result = decodeResult(text);
    return isReady(result.status) && (result.retries ?? 0) >= retries ? result : undefined;
  } catch {
    // What nobody can read is no result to rely on.
    return undefined;
  }
}
