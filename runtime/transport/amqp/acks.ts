/**
 * Acknowledgements of one channel: **settle**. Finished messages that follow one another from the oldest on are
 * acknowledged by one frame; those beyond a message that is still at work each by their own, a moment later: the gap may
 * close, but nothing waits for it.
 */
import type { Channel, Message } from "amqplib";
import type { Clock, TimerHandle } from "../../clock.ts";

/** Finished messages beyond a gap that wait for it to close. */
const MOST_BEYOND = 64;
/** Milliseconds for which they wait. */
const PATIENCE = 5;

export class Acks {
  readonly #channel: Channel;
  readonly #clock: Clock;
  /** The oldest tag that is not settled. */
  #next = 1;
  /** Finished, not told yet. */
  readonly #finished = new Set<number>();
  /** Settled, beyond a gap. */
  readonly #gone = new Set<number>();
  #timer: TimerHandle | undefined;

  constructor(channel: Channel, clock: Clock) {
    this.#channel = channel;
    this.#clock = clock;
  }

  /** A message is done with; {@linkcode Acks.send} tells. */
  add(tag: number): void {
    this.#finished.add(tag);
  }

  /** A message was settled otherwise. */
  skip(tag: number): void {
    this.#gone.add(tag);
  }

  /** Tells what is finished. */
  send(): void {
    let last = 0;
    for (;; this.#next++) {
      if (this.#finished.delete(this.#next)) last = this.#next;
      else if (!this.#gone.delete(this.#next)) break;
    }
    if (last > 0) this.#channel.ack(withTag(last), true);
    if (this.#finished.size > MOST_BEYOND) this.sendAll();
    else if (this.#finished.size > 0) this.#timer ??= this.#clock.after(PATIENCE, () => this.sendAll());
  }

  /** Tells all that is finished, also what lies beyond a gap. */
  sendAll(): void {
    this.close();
    try {
      for (const tag of this.#finished) {
        this.#channel.ack(withTag(tag), false);
        this.#gone.add(tag);
      }
    } catch {
      // The channel is gone, and the broker hands its messages out again.
    }
    this.#finished.clear();
  }

  /** Ends the waiting. */
  close(): void {
    if (this.#timer !== undefined) this.#clock.cancel(this.#timer);
    this.#timer = undefined;
  }
}

/** As much of a message as amqplib looks at. */
export function withTag(deliveryTag: number): Message {
  return { fields: { deliveryTag } } as Message;
}
