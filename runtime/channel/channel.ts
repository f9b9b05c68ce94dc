/**
 * The contract of channels: messages beside a task's way, between its run and whoever knows its id, a line of them in
 * each direction. `memory.ts`, `sqlite.ts` and `redis.ts` implement it; nothing else in the code knows which one runs.
 * What waits, tries again and parses stands above it, once for all of them: `intake.ts` and `outflow.ts`.
 */

/** Which way messages of a task's id go: from the task to its caller, or back. */
export type Direction = "to-client" | "to-task";

/** What a line is called: the Redis list of its messages has this name, behind the URL's `global_keyprefix`. */
export function lineName(id: string, direction: Direction): string {
  return `celeriac.${direction}.${id}`;
}

/** The end of a stream: a message without any text, which no JSON value is. */
export const END = "";

/** How much a line may hold, and for how long. */
export interface LineLimits {
  /** Messages that a line holds, those in its reader's hands as well. */
  readonly maxMessages: number;
  /** What becomes of more: the sender waits for room, or the oldest ones go. */
  readonly whenFull: "wait" | "drop-oldest";
  /** Seconds after the last message was sent, 0 for ever. */
  readonly ttl: number;
}

/** Lines of messages in one place, a database or this process, shared by all that have its URL. */
export interface ChannelStore {
  /** The URL with passwords masked: fit for logs. */
  readonly name: string;
  /** The sending end of a line. */
  writer(line: string, limits: LineLimits): LineWriter;
  /** The reading end of a line; `ttl` is for what it gives back. */
  reader(line: string, ttl: number): LineReader;
  /** Keeps the connection, once there is one, until the result is called; otherwise it closes soon after its last use. */
  keep(): () => void;
  /** Closes the connection now, unless somebody uses it. */
  rest(): Promise<void>;
}

/** What both ends of a line have. */
export interface LineEnd {
  /** Whether changes are told by {@linkcode LineEnd.watch}; otherwise one has to look. */
  readonly pushes: boolean;
  /**
   * Calls `wake` when the line may have changed since the next look at it, which arms it; to be called before that look.
   * It may be called in vain. The result takes it back.
   */
  watch(wake: () => void): () => void;
}

/** The sending end of a line. */
export interface LineWriter extends LineEnd {
  /**
   * Adds as many of `texts` as there is room for, in order, and tells how many. `sender` names who sends and `first` counts
   * what it has sent so far, plus one: a push that is repeated, because its answer was lost, adds nothing twice.
   *
   * @throws {BrokerUnavailableError} When it is not known whether they are stored.
   */
  push(sender: string, first: number, texts: readonly string[]): Promise<number>;
}

/**
 * The reading end of a line, which has one reader at a time: a new one takes over, and what the former one had not done
 * with comes again to it, in order.
 */
export interface LineReader extends LineEnd {
  /**
   * Says that all that was taken before is done with, and takes up to `most` more; none when there is none. One at a time.
   *
   * @throws {ChannelTakenError} When another reader has taken over.
   * @throws {BrokerUnavailableError} The same call may be repeated: nothing is lost by it.
   */
  take(most: number): Promise<string[]>;
  /**
   * Reads no more: the first `done` of what was taken last are done with, the others go back to the front of the line.
   *
   * @throws {BrokerUnavailableError}
   */
  release(done: number): Promise<void>;
}

/** Another consumer reads these messages now, which one at a time can. */
export class ChannelTakenError extends Error {
  /** `"ChannelTakenError"`. */
  override readonly name = "ChannelTakenError";
}

/** Messages that nobody reads left no room for more in the time that was given. */
export class ChannelFullError extends Error {
  /** `"ChannelFullError"`. */
  override readonly name = "ChannelFullError";
}

/** A reader that another one has taken the place of. */
export function takenOver(line: string, name: string): ChannelTakenError {
  return new ChannelTakenError(`another consumer has taken over ${line} at ${name}: it has one at a time`);
}
