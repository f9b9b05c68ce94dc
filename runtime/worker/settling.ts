/**
 * **Settle**: brings what becomes of deliveries to the broker and the result store. Usually that is one step of the
 * `exchange.ts`; a delivery that was acknowledged before its run (`acksLate: false`) is the broker's no more, and has only
 * its state and what follows it to be kept.
 */
import type { StateReport } from "../isolate/isolate.ts";
import { concernsChords, type Following } from "../protocol/chord.ts";
import { isReady } from "../protocol/result_meta.ts";
import type { StoredResult } from "../results/result_store.ts";
import type { Delivery, Receiver, Settlement } from "../transport/transport.ts";
import type { Chords } from "./chords.ts";
import type { Exchange } from "./exchange.ts";
import type { StateWriter } from "./state_writer.ts";

/** Where a worker's deliveries end. */
export class Settling {
  readonly #acknowledged = new Set<Delivery>();
  /** Failures of what the broker had put to the dead letters before all was set up, and what follows them. */
  readonly #untold: StoredResult[] = [];
  readonly #unsent: Following[] = [];
  /** Called when something was settled by itself. */
  readonly #settled: () => void;
  #exchange!: Exchange;
  #states!: StateWriter;
  #chords!: Chords;

  constructor(settled: () => void) {
    this.#settled = settled;
  }

  /** From here on it can bring them somewhere. */
  open(exchange: Exchange, states: StateWriter, chords: Chords): void {
    this.#exchange = exchange;
    this.#states = states;
    this.#chords = chords;
    for (const result of this.#untold.splice(0)) states.write(result);
    for (const following of this.#unsent.splice(0)) this.#send(following);
  }

  /** How many that were acknowledged before their run are not settled. */
  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** Whether it was acknowledged before its run: it can't be given back. */
  isAcknowledged(delivery: Delivery): boolean {
    return this.#acknowledged.has(delivery);
  }

  /** Whether anything waits to be stored or acknowledged. */
  get busy(): boolean {
    return this.#acknowledged.size > 0 || this.holds || this.#exchange.busy ||
      this.#states.written() !== undefined;
  }

  /** Whether parts of chords are counted, which may send their bodies. */
  get holds(): boolean {
    return this.#chords.working !== undefined;
  }

  /** Acknowledges deliveries that are about to run; false when the worker was ended before the broker was there. */
  async acknowledge(deliveries: readonly Delivery[], receiver: Receiver): Promise<boolean> {
    // From here on a stop waits for them.
    for (const delivery of deliveries) this.#acknowledged.add(delivery);
    const acks = deliveries.map((delivery) => ({ delivery, outcome: "ack" as const }));
    try {
      await this.#exchange.retry(() => receiver.exchange(acks, 0));
      return true;
    } catch {
      return false;
    }
  }

  /** A task has run to an end of its own: what of it concerns chords, what follows it, its state, and its message, in this order. */
  finish(settlement: Settlement, following?: Following): void {
    if (following !== undefined && concernsChords(following)) this.#chords.hold(settlement, following);
    else this.settle(settlement);
  }

  /** The same once all that concerns chords is done. */
  settle(settlement: Settlement): void {
    if (this.#acknowledged.has(settlement.delivery)) void this.#finishAcknowledged(settlement);
    else this.#exchange.settle(settlement);
  }

  /** The same for what does not run any more: what follows it, if anything does, are its error callbacks. */
  conclude(settlement: Settlement, following: Following = { messages: [] }): void {
    const { delivery, result } = settlement;
    const { messages } = following;
    if (messages.length > 0) this.finish({ ...settlement, follow: messages }, following);
    else if (concernsChords(following)) this.finish(settlement, following);
    else if (!this.#acknowledged.delete(delivery)) this.#exchange.settle(settlement);
    else if (result !== undefined) this.#states.write(result);
  }

  /** Gives deliveries back to the broker; those that were acknowledged can't be, and are told. */
  giveBack(deliveries: readonly Delivery[], outcome: "again" | "return" | "delay", due?: number): Delivery[] {
    const left: Delivery[] = [];
    for (const delivery of deliveries) {
      if (this.#acknowledged.has(delivery)) left.push(delivery);
      else this.#exchange.settle({ delivery, outcome, due });
    }
    return left;
  }

  /** A state that a task has while it runs. */
  store([id, state, text, ttl, replyTo]: StateReport): void {
    this.#write({ id, state, text, ttl, replyTo });
  }

  /** What a caller is told of a message that the broker itself has settled, and what follows that. */
  tell(result: StoredResult | undefined, following: Following): void {
    if (result !== undefined) this.#write(result);
    if (this.#exchange === undefined) this.#unsent.push(following);
    else this.#send(following);
  }

  #write(result: StoredResult): void {
    if (this.#states === undefined) this.#untold.push(result);
    else this.#states.write(result);
  }

  #send(following: Following): void {
    if (concernsChords(following)) this.#chords.hold(undefined, following);
    // Only the end of the worker ends the tries.
    else if (following.messages.length > 0) this.#exchange.publish(following.messages).catch(() => {});
  }

  /** Resolves when all that is finished is settled and stored. */
  async idle(): Promise<void> {
    await this.#chords.working;
    await this.#exchange.idle();
    await this.#states.written();
  }

  async #finishAcknowledged({ delivery, result, follow }: Settlement): Promise<void> {
    if (follow !== undefined) {
      try {
        if (result !== undefined && !isReady(result.state)) {
          // It must not take the place of what becomes of the message that follows.
          this.#states.write(result);
          result = undefined;
          await this.#states.written();
        }
        await this.#exchange.publish(follow);
      } catch {
        // The worker was ended while the broker was away.
      }
    }
    this.#acknowledged.delete(delivery);
    if (result !== undefined) this.#states.write(result);
    if (follow !== undefined) this.#settled();
  }
}
