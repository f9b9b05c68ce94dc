/**
 * Receive and settle on a cluster: a receiver for each queue, because a script reaches no more than one queue there. Each
 * step goes to all of them at once; the room is shared out, and what one queue leaves of it goes to the others.
 */
import type { WireMessage } from "../../../protocol/wire_message.ts";
import type { Delivery, Pace, Receiver, ReceiverEvents, Settlement } from "../../transport.ts";

/** What a receiver on a cluster is made of. */
export interface ClusterReceiverContext {
  /** The receiver of one queue, which tells `events`. */
  open(queue: string, events: ReceiverEvents): Promise<Receiver>;
  publish(messages: readonly WireMessage[]): Promise<void>;
  /** Those that nobody else has taken over. */
  stillHeld(deliveries: readonly Delivery[]): Promise<ReadonlySet<Delivery>>;
  /** Called once it is closed. */
  readonly closed: () => Promise<void>;
}

export class ClusterReceiver implements Receiver {
  /** A result is in a slot of its own: it is stored before the script that acknowledges. */
  readonly storesResults = false;
  readonly pace: Pace;
  readonly #context: ClusterReceiverContext;
  readonly #queues: readonly string[];
  readonly #receivers: ReadonlyMap<string, Receiver>;
  /** What this receiver has handed out and not settled. */
  readonly #held: Set<Delivery>;
  /** What follows these is published, though a later part of their step failed. */
  readonly #followed = new WeakSet<Settlement>();
  /** Fetched in a step of which another part failed: for the next one. */
  #arrived: Delivery[] = [];
  #firstInTurn = 0;

  private constructor(
    context: ClusterReceiverContext,
    queues: readonly string[],
    receivers: ReadonlyMap<string, Receiver>,
    held: Set<Delivery>,
  ) {
    this.#context = context;
    this.#queues = queues;
    this.#receivers = receivers;
    this.#held = held;
    const [first] = receivers.values();
    this.pace = first.pace;
  }

  /** Opens the receivers of all queues. @throws {BrokerUnavailableError} */
  static async open(
    queues: readonly string[],
    events: ReceiverEvents,
    context: ClusterReceiverContext,
  ): Promise<ClusterReceiver> {
    const held = new Set<Delivery>();
    const lost = (deliveries: readonly Delivery[]) => {
      for (const delivery of deliveries) held.delete(delivery);
      events.lost(deliveries);
    };
    const own: Omit<ReceiverEvents, "away"> = {
      lost,
      dead: (queue, reason, message) => events.dead(queue, reason, message),
      restored: (count) => events.restored(count),
      trouble: (message) => events.trouble(message),
    };
    /** Queues whose nodes are away: what has to be said of the broker is said once. */
    const away = new Set<string>();
    const eventsOf = (queue: string): ReceiverEvents => ({
      ...own,
      away(broker, why) {
        const before = away.size;
        why === undefined ? away.delete(queue) : away.add(queue);
        if ((before === 0) !== (away.size === 0)) events.away(broker, why);
      },
    });
    const opening = queues.map(async (queue) => [queue, await context.open(queue, eventsOf(queue))] as const);
    const opened = await Promise.allSettled(opening);
    const failed = opened.find((each) => each.status === "rejected");
    if (failed !== undefined) {
      for (const each of opened) {
        if (each.status === "fulfilled") await each.value[1][Symbol.asyncDispose]();
      }
      throw failed.reason;
    }
    return new ClusterReceiver(context, queues, new Map(await Promise.all(opening)), held);
  }

  async exchange(settlements: readonly Settlement[], room: number): Promise<Delivery[]> {
    const held = settlements.filter(({ delivery }) => this.#held.has(delivery));
    await this.#publishFollowing(held);
    const settling = new Map<string, Settlement[]>();
    for (const { follow: _, ...settlement } of held) {
      const { queue } = settlement.delivery;
      const same = settling.get(queue);
      if (same === undefined) settling.set(queue, [settlement]);
      else same.push(settlement);
    }
    let deliveries = this.#arrived.splice(0, room);
    let rich: readonly string[] = this.#inTurn();
    while (settling.size > 0 || (deliveries.length < room && rich.length > 0)) {
      const shares = shareOut(room - deliveries.length, rich);
      const parts = [...new Set([...settling.keys(), ...shares.keys()])];
      const answers = await Promise.allSettled(
        parts.map((queue) => this.#part(queue, settling.get(queue) ?? [], shares.get(queue) ?? 0)),
      );
      const fetched = answers.flatMap((answer) => answer.status === "fulfilled" ? answer.value : []);
      deliveries = deliveries.concat(fetched);
      const failed = answers.find((answer, i) => answer.status === "rejected" && settling.has(parts[i])) ??
        // Others go on while some queues are away.
        (answers.every(({ status }) => status === "rejected") ? answers[0] : undefined);
      if (failed?.status === "rejected") {
        this.#arrived = deliveries.concat(this.#arrived);
        throw failed.reason;
      }
      settling.clear();
      // Those that filled their share may have more, and so may those that were given none.
      rich = rich.filter((queue) => {
        const answer = answers[parts.indexOf(queue)];
        const share = shares.get(queue);
        return share === undefined || answer.status === "fulfilled" && answer.value.length >= share;
      });
    }
    return deliveries;
  }

  async countStart(delivery: Delivery): Promise<boolean> {
    return this.#held.has(delivery) && await this.#receivers.get(delivery.queue)!.countStart!(delivery);
  }

  async arrival(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#arrived.length > 0) return;
    const over = new AbortController();
    const stop = () => over.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    const waits = [...this.#receivers.values()].map((receiver) => receiver.arrival(over.signal));
    try {
      await Promise.race(waits);
    } finally {
      signal.removeEventListener("abort", stop);
      over.abort(new Error("something has arrived"));
      await Promise.allSettled(waits);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#receivers.values()].map((receiver) => receiver[Symbol.asyncDispose]()));
    await this.#context.closed();
  }

  async #part(queue: string, settlements: Settlement[], room: number): Promise<Delivery[]> {
    const deliveries = await this.#receivers.get(queue)!.exchange(settlements, room);
    for (const { delivery } of settlements) this.#held.delete(delivery);
    for (const delivery of deliveries) this.#held.add(delivery);
    return deliveries;
  }

  /** What follows goes to other slots, so it is published first, and for what is known to be still ours. */
  async #publishFollowing(settlements: readonly Settlement[]): Promise<void> {
    const followed = settlements.filter((settlement) =>
      settlement.follow !== undefined && settlement.follow.length > 0 && !this.#followed.has(settlement)
    );
    if (followed.length === 0) return;
    const ours = await this.#context.stillHeld(followed.map(({ delivery }) => delivery));
    const follow = followed.filter(({ delivery }) => ours.has(delivery)).flatMap(({ follow }) => follow!);
    await this.#context.publish(follow);
    for (const settlement of followed) this.#followed.add(settlement);
  }

  /** All queues, another one first each time. */
  #inTurn(): string[] {
    const first = this.#firstInTurn;
    this.#firstInTurn = (first + 1) % this.#queues.length;
    return [...this.#queues.slice(first), ...this.#queues.slice(0, first)];
  }
}

/** The room of each queue; those that come first have what can't be divided. */
function shareOut(room: number, queues: readonly string[]): Map<string, number> {
  const shares = new Map<string, number>();
  let left = room;
  for (const [i, queue] of queues.entries()) {
    const share = Math.ceil(left / (queues.length - i));
    if (share > 0) shares.set(queue, share);
    left -= share;
  }
  return shares;
}
