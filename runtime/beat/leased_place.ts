/**
 * A place where leases are written down: each scheduler counts its beat up, and its peers take what it held once they have
 * themselves watched that beat stand still for a whole lease. Who takes too early does no harm: what is sent is sent by the
 * one whose name stands at the entry, for a time that nobody has sent before.
 */
import type { WireMessage } from "../protocol/wire_message.ts";
import { uid } from "../protocol/uid.ts";
import { OwnerWatch } from "../transport/lease.ts";
import type { Transport } from "../transport/transport.ts";
import type { Holding, Ledger, Place, PlaceOptions, Sending, Sent, Wanted } from "./place.ts";

/** Where a scheduler that ends says so to the others. */
const EXCHANGE = "celeriac.beat";
const RELEASED: WireMessage = {
  exchange: EXCHANGE,
  routingKey: "",
  priority: 0,
  headers: {},
  contentType: "application/json",
  contentEncoding: "utf-8",
  body: '{"released": true}',
  deliveryMode: 1,
};

export class LeasedPlace implements Place {
  readonly name: string;
  readonly #ledger: Ledger;
  /** For what all others are told, and for queues that are to be known to the broker. */
  readonly #transport: Transport;
  readonly #options: PlaceOptions;
  readonly #interval: number;
  readonly #watch: OwnerWatch<string>;
  readonly #me = uid();
  readonly #declared = new Set<string>();
  #listening: AsyncDisposable | undefined;

  constructor(ledger: Ledger, transport: Transport, options: PlaceOptions) {
    this.name = ledger.name;
    this.#ledger = ledger;
    this.#transport = transport;
    this.#options = options;
    const lease = options.lease * 1000;
    this.#interval = Math.min(5_000, Math.floor(lease / 3));
    this.#watch = new OwnerWatch(lease, this.#interval);
  }

  async connect(signal?: AbortSignal): Promise<void> {
    await Promise.all([this.#ledger.connect(signal), this.#transport.connect(signal)]);
    this.#listening ??= await this.#transport.listen(EXCHANGE, () => this.#options.changed());
  }

  async hold(wanted: readonly Wanted[]): Promise<Holding> {
    try {
      const others = await this.#ledger.renew(this.#me);
      const { dead, again } = this.#watch.look(others, this.#options.clock.monotonic());
      for (const { owner, beat } of dead) await this.#ledger.bury(owner, beat);
      const gone = new Set(dead.map(({ owner }) => owner));
      const alive = others.map(({ owner }) => owner).filter((owner) => !gone.has(owner));
      const held = await this.#ledger.claim(this.#me, alive, wanted);
      return { held, again };
    } catch (error) {
      // What was not watched without a gap does not count.
      this.#watch.forget();
      throw error;
    }
  }

  async send(batch: readonly Sending[]): Promise<readonly Sent[]> {
    const direct = batch.filter(({ message }) => message.exchange === "");
    const queues = new Set(direct.map(({ message }) => message.routingKey));
    const unknown = [...queues].filter((queue) => !this.#declared.has(queue));
    if (unknown.length > 0) await this.#transport.declare(unknown);
    for (const queue of unknown) this.#declared.add(queue);
    return await this.#ledger.send(this.#me, batch);
  }

  read(wanted: readonly Wanted[]): Promise<ReadonlyMap<string, number>> {
    return this.#ledger.read(wanted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening?.[Symbol.asyncDispose]();
    try {
      await this.#ledger.bury(this.#me);
      await this.#transport.broadcast(EXCHANGE, RELEASED);
    } catch {
      // The broker is away: the lease runs out.
    }
    await Promise.all([this.#ledger.close(), this.#transport[Symbol.asyncDispose]()]);
  }
}
