/**
 * Between an isolate and the timer hub: the hub's end of a `MessagePort`, and the isolate's. What crosses are plain values,
 * many timers a message, so that a bridge between processes can carry it as well. An isolate gives its timers their numbers
 * itself: a task has a timer's id at once, and the hub answers later.
 */
import { withResolvers } from "../platform.ts";
import { uid } from "../protocol/uid.ts";
import type { Hub } from "./hub.ts";
import { durableTimerId, PER_END, readTimerId, timerId, timerNumber } from "./timer_id.ts";

/** What an isolate has to know to make ids. */
export interface HubPlace {
  /** The hub's own id. */
  readonly hub: string;
  /** A number that no other end of this hub has. */
  readonly end: number;
  /** How many timers the hub holds at the most. */
  readonly limit: number;
}

/** What became of cancelling a timer. `"unknown"`: where it is can't be reached. */
export type CancelAnswer = "cancelled" | "too late" | "unknown";

/** From an isolate; each has a number of its own for its answer. */
export type HubRequest =
  | {
    readonly kind: "set";
    readonly question: number;
    /** Of the isolate: a part of the numbers of these timers. */
    readonly end: number;
    /** The isolate's monotonic clock: the times below are by that. */
    readonly now: number;
    /** {@linkcode SET_STRIDE} entries each: count, due, every, 1 for a time of the day (then `due` is one), text. */
    readonly timers: readonly (number | string)[];
  }
  /** A timer for the broker to keep; `due` in ms since 1970. */
  | {
    readonly kind: "keep";
    readonly question: number;
    readonly id: string;
    readonly due: number;
    readonly text: string;
  }
  /** Timers of this hub, by their numbers. */
  | { readonly kind: "cancel"; readonly question: number; readonly numbers: readonly number[] }
  /** A timer that this hub does not hold. */
  | { readonly kind: "find"; readonly question: number; readonly id: string }
  /** The numbers of this end will soon be used up: another one. */
  | { readonly kind: "end"; readonly question: number };

/** To an isolate. */
export type HubAnswer =
  /** The first so many of a message are set; for the others there is no room. */
  | { readonly kind: "set"; readonly question: number; readonly count: number }
  | { readonly kind: "kept"; readonly question: number }
  /** 1 for each number that was cancelled, 0 for each that was not there. */
  | { readonly kind: "cancelled"; readonly question: number; readonly were: readonly number[] }
  | { readonly kind: "found"; readonly question: number; readonly answer: CancelAnswer }
  | { readonly kind: "end"; readonly question: number; readonly end: number }
  | {
    readonly kind: "failed";
    readonly question: number;
    readonly error: { readonly name: string; readonly message: string };
  };

/** The hub's end of a port, as an isolate's owner sees it. */
export interface HubLink {
  readonly place: HubPlace;
  /** From the isolate. */
  hear(request: HubRequest): void;
  /** The isolate is gone; its timers stay. */
  close(): void;
}

/** Where isolates find the hub of their worker. */
export interface HubEntrance {
  /** A place that no isolate has had before. */
  place(): HubPlace;
  /** Opens the end of the isolate at that place, whom `answer` reaches. */
  open(place: HubPlace, answer: (answer: HubAnswer) => void): HubLink;
}

/** What stands around a hub. */
export interface HubHost {
  readonly hub: Hub;
  /** How many timers there is room for. */
  readonly room: number;
  /** An end that no isolate has had before. */
  newEnd(): number;
  /** Hands a timer to the broker. */
  keep(id: string, due: number, text: string): Promise<void>;
  /** Cancels a timer that is not in this hub. */
  cancelElsewhere(id: string): Promise<CancelAnswer>;
}

/** There is no room for another timer. */
export class TimerLimitError extends Error {
  /** Always `"TimerLimitError"`. */
  override readonly name = "TimerLimitError";

  /** `limit` is how many there may be. */
  constructor(limit: number) {
    super(
      `this worker holds ${limit} timers already, as many as it may: cancel some, raise the setting workerMaxTimers, ` +
        "or let the broker keep them ({ durable: true })",
    );
  }
}

export const SET_STRIDE = 5;
/** Timers, or numbers to cancel, that cross together. */
const BATCH = 256;
/** Milliseconds after a message within which what follows waits for the end of the turn. */
const GATHER_MS = 1;

/** The hub's end. */
export class HubEnd implements HubLink {
  readonly place: HubPlace;
  readonly #host: HubHost;
  readonly #monotonic: () => number;
  readonly #answer: (answer: HubAnswer) => void;
  #isClosed = false;

  constructor(place: HubPlace, host: HubHost, monotonic: () => number, answer: (answer: HubAnswer) => void) {
    this.place = place;
    this.#host = host;
    this.#monotonic = monotonic;
    this.#answer = answer;
  }

  hear(request: HubRequest): void {
    const { kind, question } = request;
    switch (kind) {
      case "set":
        return this.#set(request);
      case "end":
        return this.#tell({ kind: "end", question, end: this.#host.newEnd() });
      case "cancel":
        return this.#cancel(question, request.numbers);
      case "keep":
        return this.#later(
          question,
          this.#host.keep(request.id, request.due, request.text).then(() => ({ kind: "kept", question })),
        );
      case "find":
        return this.#later(
          question,
          this.#host.cancelElsewhere(request.id).then((answer) => ({ kind: "found", question, answer })),
        );
    }
  }

  close(): void {
    this.#isClosed = true;
  }

  #set({ question, end, now, timers }: HubRequest & { kind: "set" }): void {
    const { hub, room } = this.#host;
    const ahead = this.#monotonic() - now;
    const count = Math.max(0, Math.min(room, timers.length / SET_STRIDE));
    for (let i = 0; i < count * SET_STRIDE; i += SET_STRIDE) {
      const isWallTime = timers[i + 3] === 1;
      hub.set({
        number: timerNumber(end, timers[i] as number),
        due: timers[i + 1] as number + (isWallTime ? 0 : ahead),
        every: timers[i + 2] as number,
        isWallTime,
        text: timers[i + 4] as string,
      });
    }
    this.#tell({ kind: "set", question, count });
  }

  #cancel(question: number, numbers: readonly number[]): void {
    const { hub } = this.#host;
    this.#tell({ kind: "cancelled", question, were: numbers.map((number) => hub.cancel(number) ? 1 : 0) });
  }

  #later(question: number, answering: Promise<HubAnswer>): void {
    answering.then((answer) => this.#tell(answer), (error) => {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      this.#tell({ kind: "failed", question, error: { name, message } });
    });
  }

  #tell(answer: HubAnswer): void {
    if (!this.#isClosed) this.#answer(answer);
  }
}

/** A timer that was set, from where it was set. */
export interface SetTimer {
  readonly id: string;
  /** How many timers of its message the hub holds, once it has answered: the first ones. */
  readonly held: Promise<number>;
  /** Its place among them, from 0. */
  readonly index: number;
}

/** The timers of one message to the hub. */
interface Batch {
  readonly timers: (number | string)[];
  readonly held: PromiseWithResolvers<number>;
}

/** The isolate's end. */
export class HubPort {
  readonly #place: HubPlace;
  readonly #post: (request: HubRequest) => void;
  readonly #monotonic: () => number;
  readonly #asked = new Map<number, (answer: HubAnswer) => void>();
  readonly #half: number;
  #questions = 0;
  #end: number;
  /** Numbers of this end that are used. */
  #count = 0;
  /** The number of the last timer that has left. */
  #posted = 0;
  /** Timers that were not answered yet. */
  #underWay = 0;
  #batch: Batch | undefined;
  #cancels: { readonly numbers: number[]; readonly answers: ((answer: CancelAnswer) => void)[] } | undefined;
  #last = -Infinity;
  #isGathering = false;

  /** `numbers` is how many timers an end is good for. */
  constructor(
    place: HubPlace,
    post: (request: HubRequest) => void,
    monotonic: () => number,
    numbers = PER_END,
  ) {
    this.#place = place;
    this.#end = place.end;
    this.#half = Math.ceil(numbers / 2);
    this.#post = post;
    this.#monotonic = monotonic;
  }

  /** The isolate's monotonic clock, by which {@linkcode HubPort.set} counts. */
  get now(): number {
    return this.#monotonic();
  }

  /** How many timers the hub holds at the most. */
  get limit(): number {
    return this.#place.limit;
  }

  /**
   * Sets a timer: its parts are those of a {@linkcode TimerToSet}, by the isolate's clock.
   *
   * @throws {TimerLimitError} When more are under way than a hub can hold.
   */
  set(due: number, every: number, isWallTime: boolean, text: string): SetTimer {
    const { hub, limit } = this.#place;
    if (this.#underWay >= limit) throw new TimerLimitError(limit);
    const count = ++this.#count;
    if (count === this.#half) queueMicrotask(() => this.#askForEnd());
    const batch = this.#batch ??= newBatch();
    const index = batch.timers.length / SET_STRIDE;
    batch.timers.push(count, due, every, isWallTime ? 1 : 0, text);
    this.#underWay++;
    if (index + 1 >= BATCH) this.#postTimers();
    else this.#soon();
    return { id: timerId(hub, timerNumber(this.#end, count)), held: batch.held.promise, index };
  }

  /** Has the broker keep a timer. @throws {TimerLimitError} As {@linkcode HubPort.set} does. */
  keep(due: number, text: string): SetTimer {
    const { limit } = this.#place;
    if (this.#underWay >= limit) throw new TimerLimitError(limit);
    const id = durableTimerId(due, uid());
    this.#underWay++;
    const held = this.#ask((question) => ({ kind: "keep", question, id, due, text }))
      .finally(() => this.#underWay--).then(() => 1);
    return { id, held, index: 0 };
  }

  /** Cancels a timer, wherever it is. */
  async cancel(id: string): Promise<CancelAnswer> {
    const place = readTimerId(id);
    if (place === undefined) return "too late";
    if (place.kind === "memory" && place.hub === this.#place.hub) return await this.#cancelHere(place.number);
    const answer = await this.#ask((question) => ({ kind: "find", question, id }));
    return (answer as HubAnswer & { kind: "found" }).answer;
  }

  /** From the hub. */
  hear(answer: HubAnswer): void {
    const heard = this.#asked.get(answer.question);
    this.#asked.delete(answer.question);
    heard?.(answer);
  }

  #cancelHere(number: number): Promise<CancelAnswer> {
    // It may have been set just now.
    if (number > this.#posted) this.#postTimers();
    const cancels = this.#cancels ??= { numbers: [], answers: [] };
    return new Promise((resolve) => {
      cancels.numbers.push(number);
      cancels.answers.push(resolve);
      if (cancels.numbers.length >= BATCH) this.#postCancels();
      else this.#soon();
    });
  }

  /** Posts now, or with what else comes in this turn if a message has just left. */
  #soon(): void {
    // A task that blocks its isolate lets nothing wait for the end of the turn.
    if (this.#monotonic() - this.#last >= GATHER_MS) return this.#postAll();
    if (this.#isGathering) return;
    this.#isGathering = true;
    queueMicrotask(() => {
      this.#isGathering = false;
      this.#postAll();
    });
  }

  #postAll(): void {
    this.#postTimers();
    this.#postCancels();
  }

  #postTimers(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    // These make room.
    this.#postCancels();
    this.#batch = undefined;
    this.#posted = timerNumber(this.#end, this.#count);
    const { timers, held } = batch;
    const question = this.#question((answer) => {
      this.#underWay -= timers.length / SET_STRIDE;
      held.resolve((answer as HubAnswer & { kind: "set" }).count);
    });
    this.#send({ kind: "set", question, end: this.#end, now: this.#monotonic(), timers });
  }

  #postCancels(): void {
    const cancels = this.#cancels;
    if (cancels === undefined) return;
    this.#cancels = undefined;
    const { numbers, answers } = cancels;
    const question = this.#question((answer) => {
      const { were } = answer as HubAnswer & { kind: "cancelled" };
      for (let i = 0; i < answers.length; i++) answers[i](were[i] === 1 ? "cancelled" : "too late");
    });
    this.#send({ kind: "cancel", question, numbers });
  }

  /** Half of the numbers are left until the answer comes. */
  #askForEnd(): void {
    const question = this.#question((answer) => {
      this.#postTimers();
      this.#end = (answer as HubAnswer & { kind: "end" }).end;
      this.#count = 0;
    });
    this.#send({ kind: "end", question });
  }

  #ask(request: (question: number) => HubRequest): Promise<HubAnswer> {
    return new Promise((resolve, reject) => {
      const question = this.#question((answer) => {
        if (answer.kind !== "failed") return resolve(answer);
        const error = new Error(answer.error.message);
        error.name = answer.error.name;
        reject(error);
      });
      this.#send(request(question));
    });
  }

  #question(heard: (answer: HubAnswer) => void): number {
    this.#asked.set(++this.#questions, heard);
    return this.#questions;
  }

  #send(request: HubRequest): void {
    this.#last = this.#monotonic();
    this.#post(request);
  }
}

function newBatch(): Batch {
  return { timers: [], held: withResolvers<number>() };
}
