// deno-lint-ignore-file require-await -- the contract is asynchronous; nothing in a process's own memory waits
/** A worker's view of a memory broker's queues: on a task's way, the steps receive and settle in one process. */
import type { Clock, TimerHandle } from "../../clock.ts";
import { MemoryResults } from "../../results/memory.ts";
import { Lease, type OwnerBeat } from "../lease.ts";
import { takeTurns } from "../turns.ts";
import {
  type Delivery,
  QUICK_PACE,
  type Receiver,
  type ReceiverOptions,
  type Settlement,
  type TransportOptions,
} from "../transport.ts";
import type { HeldMessage, MemoryBroker, MemoryMessage, Owner } from "./broker.ts";

export class MemoryReceiver implements Receiver {
  readonly storesResults: boolean;
  readonly pace = QUICK_PACE;
  readonly #broker: MemoryBroker;
  readonly #clock: Clock;
  readonly #limits: TransportOptions;
  readonly #options: ReceiverOptions;
  readonly #results: MemoryResults | undefined;
  readonly #lease: Lease;
  readonly #closed = new AbortController();
  #owner = 0;
  #lastHeld: Owner["held"] | undefined;
  #lastTag = 0;
  #turn = 0;

  constructor(broker: MemoryBroker, limits: TransportOptions, options: ReceiverOptions) {
    this.#broker = broker;
    this.#clock = limits.clock;
    this.#limits = limits;
    this.#options = options;
    this.#results = options.results instanceof MemoryResults ? options.results : undefined;
    this.storesResults = this.#results !== undefined;
    for (const queue of options.queues) broker.declare(queue);
    this.#lease = new Lease(limits.clock, limits.lease, {
      renew: async () => void this.#own().beat++,
      others: async () => this.#others(),
      bury: async (dead) => this.#bury(dead),
    }, (error) => options.events.trouble(String(error)));
    this.#lease.start();
  }

  async exchange(settlements: readonly Settlement[], room: number): Promise<Delivery[]> {
    this.#closed.signal.throwIfAborted();
    const owner = this.#own();
    const back: [HeldMessage, Settlement][] = [];
    for (const settlement of settlements) {
      const held = owner.held.get(settlement.delivery.tag);
      if (held === undefined) continue;
      owner.held.delete(settlement.delivery.tag);
      if (settlement.follow !== undefined) this.#broker.publish(settlement.follow);
      if (settlement.result !== undefined) this.#results?.put(settlement.result);
      if (settlement.outcome === "delay") this.#broker.delay(held.message, settlement.due ?? 0);
      else if (settlement.outcome === "dead") {
        this.#broker.bury(held.message, settlement.reason ?? "", this.#clock.now());
      } else if (settlement.outcome !== "ack") back.push([held, settlement]);
    }
    // The last one first: what goes back to the front keeps its order there.
    for (const [{ message }, { outcome }] of back.reverse()) {
      if (outcome === "return") this.#broker.handBack(message);
      else if (outcome === "again") this.#broker.handBack(this.#broker.marked(message, 0));
      else this.#restore(message);
    }
    return this.#fetch(owner, room);
  }

  async countStart({ tag }: Delivery): Promise<boolean> {
    const held = this.#own().held.get(tag);
    if (held === undefined) return false;
    held.message = this.#broker.marked(held.message, 1);
    held.delivery.text = held.message.text;
    return true;
  }

  #fetch(owner: Owner, room: number): Delivery[] {
    const deliveries: Delivery[] = [];
    this.#broker.moveDue(this.#clock.now());
    takeTurns(this.#options.queues, this.#turn++, room, (queue, most) => {
      let taken = 0;
      while (taken < most) {
        const message = this.#broker.take(queue);
        if (message === undefined) break;
        const wrong = this.#refusal(message);
        if (wrong !== undefined) {
          this.#broker.bury(message, wrong, this.#clock.now());
          this.#options.events.dead(queue, wrong);
          continue;
        }
        const delivery = { tag: ++this.#lastTag, queue, text: message.text };
        owner.held.set(delivery.tag, { delivery, message });
        deliveries.push(delivery);
        taken++;
      }
      return taken;
    });
    return deliveries;
  }

  #refusal(message: MemoryMessage): string | undefined {
    const limit = this.#limits.maxMessageBytes;
    // A text of UTF-16 units takes one to three bytes each: most are judged by their length alone.
    const tooLarge = message.text.length > limit ||
      message.text.length * 3 > limit && new TextEncoder().encode(message.text).length > limit;
    if (tooLarge) return `larger than the ${limit} bytes that a message may have`;
    return message.text.startsWith("{") ? undefined : "not an envelope";
  }

  #restore(message: MemoryMessage): void {
    const reason = this.#broker.restore(message, this.#limits.maxDeliveries, this.#clock.now());
    if (reason !== undefined) this.#options.events.dead(message.queue, reason, { text: message.text });
  }

  /** This receiver as the owner of what it holds; anew when its peers took it for dead. */
  #own(): Owner {
    const owner = this.#broker.owners.get(this.#owner);
    if (owner !== undefined) return owner;
    const lost = this.#lastHeld;
    this.#owner = this.#broker.newOwner();
    const fresh = this.#broker.owners.get(this.#owner)!;
    this.#lastHeld = fresh.held;
    if (lost !== undefined && lost.size > 0) {
      this.#options.events.lost([...lost.values()].map(({ delivery }) => delivery));
    }
    return fresh;
  }

  #others(): OwnerBeat[] {
    const others: OwnerBeat[] = [];
    for (const [owner, { beat }] of this.#broker.owners) {
      if (owner !== this.#owner) others.push({ owner, beat });
    }
    return others;
  }

  #bury({ owner, beat }: OwnerBeat): void {
    const dead = this.#broker.owners.get(owner);
    if (dead?.beat !== beat) return;
    this.#broker.owners.delete(owner);
    const messages = [...dead.held.values()].map(({ message }) => message);
    for (const message of messages.reverse()) this.#restore(message);
    if (messages.length > 0) this.#options.events.restored(messages.length);
  }

  arrival(signal: AbortSignal): Promise<void> {
    const closed = this.#closed.signal;
    return new Promise((resolve, reject) => {
      let timer: TimerHandle;
      const end = () => {
        this.#clock.cancel(timer);
        this.#broker.offChange(check);
        signal.removeEventListener("abort", check);
        closed.removeEventListener("abort", check);
      };
      const check = () => {
        end();
        if (signal.aborted) return reject(signal.reason);
        if (closed.aborted) return reject(closed.reason);
        const now = this.#clock.now();
        this.#broker.moveDue(now);
        if (this.#broker.hasReady(this.#options.queues)) return resolve();
        signal.addEventListener("abort", check);
        closed.addEventListener("abort", check);
        this.#broker.onChange(check);
        const due = this.#broker.nextDue();
        if (due < Infinity) timer = this.#clock.after(Math.min(due - now, MAX_WAIT), check);
      };
      check();
    });
  }

  /** What is still held is restored at once: nobody knows whether it has run in part. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort(new Error(`the receiver of ${this.#options.worker} is closed`));
    await this.#lease.stop();
    const beat = this.#broker.owners.get(this.#owner)?.beat;
    if (beat !== undefined) this.#bury({ owner: this.#owner, beat });
  }
}

/** Milliseconds: the longest that timers of all runtimes can be set to, rounded down to days. */
const MAX_WAIT = 24 * 86_400_000;
