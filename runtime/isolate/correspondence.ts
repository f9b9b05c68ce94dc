/**
 * What one run says and hears beside its result: messages to whoever knows its id and from them, and how far it has come.
 * Part of **run**; a task that does nothing of it has none. Messages cross to the main thread in batches, whose relay
 * (`channel/relay.ts`) answers when they are stored; so much may be ahead of these answers, and whoever sends more waits.
 */
import { ChannelFullError, ChannelTakenError, END } from "../channel/channel.ts";
import { messageOf, messageText } from "../channel/message.ts";
import type { RelayAnswer, RelayedError, RelayRequest, SendLimits } from "../channel/relay.ts";
import { orAborted, systemClock, type TimerHandle } from "../clock.ts";
import { withResolvers } from "../platform.ts";

/** How far a task has come: what Celery's users store as `meta` of the state PROGRESS. */
export interface TaskProgress {
  /** Steps done. */
  readonly current: number;
  /** Steps in all, where that is known. */
  readonly total?: number;
  /** Anything else that a caller may want to show. */
  readonly [more: string]: unknown;
}

/** What a correspondence is made with. */
export interface CorrespondenceOptions {
  /** A number of its own for this run. */
  readonly run: number;
  /** The task's id. */
  readonly id: string;
  readonly limits: SendLimits;
  /** To the relay. */
  readonly post: (request: RelayRequest) => void;
  readonly storeProgress: (progress: TaskProgress) => void;
  /** Milliseconds between two stored progresses, at least. */
  readonly progressEvery: number;
}

/** Texts that cross together. */
const BATCH = 256;
/** Milliseconds that a text waits for others: the first goes at once. */
const GATHER_MS = 1;
/** Texts, and their characters, that may be on their way before a sender has to wait. */
const WINDOW = { texts: 4_096, length: 4 * 1024 * 1024 };
/** Texts that may be on their way if nobody waits. */
const LIMIT = 100_000;

const nothingToWaitFor = Promise.resolve();

/** What a run of a task says and hears. */
export class Correspondence {
  readonly #options: CorrespondenceOptions;
  readonly #out = new Outbox();
  #inbox: readonly string[] = [];
  /** How many of them the task has had. */
  #at = 0;
  /** Batches that came. */
  #heard = 0;
  #isEnded = false;
  #taking: PromiseWithResolvers<void> | undefined;
  #finishing: PromiseWithResolvers<void> | undefined;
  #isUsed = false;
  #failure: Error | undefined;
  #gathering: TimerHandle;
  #progress: TaskProgress | undefined;
  #progressAt = -Infinity;
  #progressTimer: TimerHandle;

  constructor(options: CorrespondenceOptions) {
    this.#options = options;
  }

  /** Sends a message; resolves when there is room for the next one. */
  send(message: unknown): Promise<void> {
    this.#check();
    const text = messageText(message);
    const out = this.#out;
    if (out.count >= LIMIT) {
      throw new ChannelFullError(`${out.count} messages of this task wait to be stored: await ctx.send()`);
    }
    this.#isUsed = true;
    out.add(text);
    if (out.ready >= BATCH || (out.ready === 1 && systemClock.monotonic() - out.last >= GATHER_MS)) {
      this.#post();
    } else this.#gathering ??= systemClock.after(GATHER_MS, () => this.#post());
    if (!out.isFull) return nothingToWaitFor;
    this.#post();
    return out.room();
  }

  /** The messages to the task, until their sender ends them. */
  async *messages(signal?: AbortSignal): AsyncGenerator<unknown, undefined> {
    while (!this.#isEnded) {
      if (this.#at === this.#inbox.length) {
        await this.#take(signal);
        continue;
      }
      const text = this.#inbox[this.#at++];
      this.#isEnded = text === END;
      if (!this.#isEnded) yield messageOf(text);
    }
  }

  /** Stores how far the run has come, now or, if it has done so just before, in a moment. */
  progress(progress: TaskProgress): void {
    const { progressEvery } = this.#options;
    const now = systemClock.monotonic();
    this.#progress = progress;
    if (now - this.#progressAt >= progressEvery) return this.#storeProgress(now);
    const left = this.#progressAt + progressEvery - now;
    this.#progressTimer ??= systemClock.after(left, () => this.#storeProgress(systemClock.monotonic()));
  }

  /**
   * The run is over: resolves when all that it has sent is stored, which its result must not overtake; with nothing to wait
   * for it gives nothing.
   *
   * @param ends Whether it is over for good, so that whoever reads its messages is told.
   * @throws {ChannelFullError} @throws {BrokerUnavailableError} When something could not be stored.
   */
  finish(ends: boolean): Promise<void> | undefined {
    systemClock.cancel(this.#progressTimer);
    if (!this.#isUsed) return undefined;
    this.#post();
    this.#finishing = withResolvers();
    const { run, post } = this.#options;
    const unread = this.#inbox.length - this.#at;
    // Where there is no room for messages, there is none for their end.
    const tellsEnd = ends && this.#out.hasSent && this.#failure === undefined;
    post({ kind: "finish", run, ends: tellsEnd, heard: this.#heard, unread });
    return this.#finishing.promise.then(() => {
      if (this.#failure !== undefined) throw this.#failure;
    });
  }

  /** From the relay. */
  hear(answer: RelayAnswer): void {
    switch (answer.kind) {
      case "stored":
        return this.#out.stored();
      case "texts":
        this.#inbox = answer.texts;
        this.#at = 0;
        this.#heard++;
        this.#taking?.resolve();
        return void (this.#taking = undefined);
      case "finished":
        return this.#finishing?.resolve();
      case "failed":
        return this.#fail(answer.of, errorOf(answer.error));
    }
  }

  #fail(of: RelayRequest["kind"], error: Error): void {
    if (of === "take") {
      this.#taking?.reject(error);
      this.#taking = undefined;
    } else if (of === "finish") this.#finishing?.reject(this.#failure ?? error);
    else {
      this.#failure ??= error;
      this.#out.fail(this.#failure);
    }
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#finishing !== undefined) {
      throw new Error(`the task ${this.#options.id} has ended: it sends no more`);
    }
  }

  #post(): void {
    systemClock.cancel(this.#gathering);
    this.#gathering = undefined;
    const texts = this.#out.take();
    const { run, id, limits, post } = this.#options;
    if (texts.length > 0) post({ kind: "send", run, id, lines: texts.join("\n"), limits });
  }

  #take(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#finishing !== undefined) {
      throw new Error(`the task ${this.#options.id} has ended: it reads no more`);
    }
    if (this.#taking === undefined) {
      const { run, id, post } = this.#options;
      this.#isUsed = true;
      this.#taking = withResolvers();
      // Whoever waits may have given up.
      this.#taking.promise.catch(() => {});
      post({ kind: "take", run, id });
    }
    return orAborted(this.#taking.promise, signal);
  }

  #storeProgress(now: number): void {
    systemClock.cancel(this.#progressTimer);
    this.#progressTimer = undefined;
    this.#progressAt = now;
    this.#options.storeProgress(this.#progress!);
  }
}

/** Texts on their way. */
class Outbox {
  /** When the last ones left, by `systemClock`. */
  last = -Infinity;
  /** How many are not stored yet. */
  count = 0;
  hasSent = false;
  #length = 0;
  #texts: string[] = [];
  #waiting = 0;
  /** Texts and characters of each batch that was not answered yet. */
  readonly #batches: { readonly count: number; readonly length: number }[] = [];
  #room: PromiseWithResolvers<void> | undefined;

  /** How many have not left. */
  get ready(): number {
    return this.#texts.length;
  }

  /** Whether who sends has to wait. */
  get isFull(): boolean {
    return this.count >= WINDOW.texts || this.#length >= WINDOW.length;
  }

  add(text: string): void {
    this.#texts.push(text);
    this.#waiting += text.length;
    this.#length += text.length;
    this.count++;
    this.hasSent = true;
  }

  take(): readonly string[] {
    const texts = this.#texts;
    if (texts.length === 0) return texts;
    this.#batches.push({ count: texts.length, length: this.#waiting });
    this.#texts = [];
    this.#waiting = 0;
    this.last = systemClock.monotonic();
    return texts;
  }

  /** Resolves when who sends has to wait no more. */
  room(): Promise<void> {
    if (this.#room === undefined) {
      this.#room = withResolvers();
      // Not everybody awaits what it sends. The failure is the task's all the same.
      this.#room.promise.catch(() => {});
    }
    return this.#room.promise;
  }

  /** The oldest batch is stored. */
  stored(): void {
    const { count, length } = this.#batches.shift()!;
    this.count -= count;
    this.#length -= length;
    if (this.isFull) return;
    this.#room?.resolve();
    this.#room = undefined;
  }

  fail(error: Error): void {
    this.#room?.reject(error);
    this.#room = undefined;
  }
}

/** An error of the main thread, as one of here. */
function errorOf({ name, message }: RelayedError): Error {
  if (name === "ChannelFullError") return new ChannelFullError(message);
  if (name === "ChannelTakenError") return new ChannelTakenError(message);
  const error = new Error(message);
  error.name = name;
  return error;
}
