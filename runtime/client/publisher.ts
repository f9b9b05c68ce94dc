/**
 * Where calls become batches: everything sent in one tick, or while a batch is under way, is **published** together.
 * While the broker is away the calls wait here, each within its own time.
 */
import { getConfig, getLogger } from "@logtape/logtape";
import { type Clock, sleep } from "../clock.ts";
import { withResolvers } from "../platform.ts";
import { secondCopy, type WireMessage } from "../protocol/wire_message.ts";
import { BrokerUnavailableError, PublishError, type Transport } from "../transport/transport.ts";

const log = getLogger(["celeriac", "client"]);

/** How many messages one batch carries. */
const BATCH = 1000;
/** How many messages may wait; more are refused, because the caller outruns its broker. */
const LIMIT = 250_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/** How long the answer may take to a call that is tried once. */
const ONE_TRY_MS = 10_000;
/** How soon a call is told that its time is over while the broker keeps it waiting. */
const LOOK_MS = 250;

interface Waiting {
  message: WireMessage;
  /** By the monotonic clock, in ms. */
  readonly deadline: number;
  /** In ms. */
  readonly patience: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Publishes what is given to it, in order. */
export class Publisher {
  readonly #transport: () => Promise<Transport>;
  readonly #clock: Clock;
  readonly #random: () => number;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  /** `transport` tries to connect once; how often it is tried depends on what waits. */
  constructor(transport: () => Promise<Transport>, clock: Clock, random: () => number) {
    this.#transport = transport;
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Publishes a message soon; resolves when the broker has it.
   *
   * @param timeout Seconds for which a broker that is away is tried.
   * @throws {BrokerUnavailableError} When it was away all that time.
   */
  publish(message: WireMessage, timeout: number): Promise<void> {
    if (this.#waiting.length >= LIMIT) {
      return Promise.reject(
        new RangeError(
          `${LIMIT} calls wait to be published already: await some (\`await result.published\`) first`,
        ),
      );
    }
    const { promise, resolve, reject } = withResolvers();
    const patience = timeout * 1000;
    const deadline = this.#clock.monotonic() + patience;
    this.#waiting.push({ message, deadline, patience, resolve, reject });
    this.#running ??= this.#run();
    return promise;
  }

  /** Resolves when nothing waits any more. */
  async flushed(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // Lets the tick end, so that all its calls go together.
    await Promise.resolve();
    let pause = FIRST_PAUSE_MS;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.length <= BATCH ? this.#waiting : this.#waiting.slice(0, BATCH);
      this.#waiting = this.#waiting.length <= BATCH ? [] : this.#waiting.slice(BATCH);
      let sent = false;
      try {
        const transport = await this.#transport();
        sent = true;
        await this.#confirmed(batch, transport);
        for (const { resolve } of batch) resolve();
        pause = FIRST_PAUSE_MS;
      } catch (error) {
        if (error instanceof PublishError) {
          batch.forEach(({ resolve, reject }, i) => {
            const failure = error.failures.get(i);
            failure === undefined ? resolve() : reject(failure);
          });
          continue;
        }
        if (!(error instanceof BrokerUnavailableError) || error.permanent) {
          for (const { reject } of batch) reject(error);
          continue;
        }
        // The broker may have them although its answer never came: what is sent now may be a second copy, and says so.
        if (sent) { for (const waiting of batch) waiting.message = secondCopy(waiting.message); }
        this.#waiting = [...batch, ...this.#waiting];
        const left = this.#rejectLate(error);
        if (left > 0) await sleep(this.#clock, Math.min(left, pause * (0.5 + this.#random())));
        pause = Math.min(LONGEST_PAUSE_MS, pause * 2);
      }
    }
    this.#running = undefined;
  }

  /**
   * Publishes a batch. When the broker keeps it waiting for longer than a call wants to wait, that call is told so, be it
   * in the batch or behind it; as long as one batch after the other is taken, none is late.
   */
  async #confirmed(batch: readonly Waiting[], transport: Transport): Promise<void> {
    const publishing = transport.publish(batch.map(({ message }) => message));
    const over = withResolvers();
    const began = this.#clock.monotonic();
    let waits = batch;
    const late = () => {
      const error = new BrokerUnavailableError(
        `${transport.name} has not confirmed it in time: it may still arrive`,
      );
      const now = this.#clock.monotonic();
      const isLate = ({ deadline, patience }: Waiting) =>
        now - Math.max(began, deadline - patience) >= (patience || ONE_TRY_MS);
      for (const each of [...waits, ...this.#waiting]) if (isLate(each)) each.reject(error);
      waits = waits.filter((each) => !isLate(each));
      this.#waiting = this.#waiting.filter((each) => !isLate(each));
      if (waits.length === 0) over.resolve();
      else timer = this.#clock.after(LOOK_MS, late);
    };
    let timer = this.#clock.after(LOOK_MS, late);
    publishing.catch(() => {});
    try {
      await Promise.race([publishing, over.promise]);
    } finally {
      this.#clock.cancel(timer);
    }
  }

  /** Gives up what has waited its time; tells how many ms the next has left, 0 if there is none. */
  #rejectLate(error: unknown): number {
    const now = this.#clock.monotonic();
    let next = Infinity;
    this.#waiting = this.#waiting.filter(({ deadline, reject }) => {
      if (deadline <= now) reject(error);
      else if (deadline < next) next = deadline;
      return deadline > now;
    });
    return next === Infinity ? 0 : next - now;
  }
}

/** A lost task is told of even by a program that has set up no log. */
export function tellLost(task: string, error: unknown): void {
  const text = `${task} could not be published: ${error}`;
  if (getConfig() === null) console.error(text);
  else log.error(text);
}
