/**
 * The transport of `sqlite:PATH`: queues in a database file that any number of processes of one machine share, without
 * a server. Publish, receive and settle are transactions; `sqlite/` holds one step a file.
 */
import type { WireMessage } from "../protocol/wire_message.ts";
import { encodeEnvelope } from "../protocol/envelope.ts";
import { Broadcasts } from "./sqlite/broadcasts.ts";
import { BuryStep } from "./sqlite/bury_step.ts";
import { Database } from "./sqlite/database.ts";
import { Follower } from "./sqlite/follower.ts";
import { type DatabaseLocation, locate } from "./sqlite/location.ts";
import { encodeMessage, PublishStep } from "./sqlite/publish_step.ts";
import { Queues } from "./sqlite/queues.ts";
import { SqliteReceiver } from "./sqlite/receiver.ts";
import { ReviveStep } from "./sqlite/revive_step.ts";
import { SqliteRevokedIds } from "./sqlite/revoked_ids.ts";
import type { RevokedIds } from "./revoked_ids.ts";
import type {
  DeadLetter,
  QueueLength,
  Receiver,
  ReceiverOptions,
  Transport,
  TransportOptions,
} from "./transport.ts";

/** @throws {BadUrlError} When the URL names no place where a database of ours can be. */
export function openSqliteTransport(url: string, options: TransportOptions): Transport {
  return new SqliteTransport(url, options);
}

class SqliteTransport implements Transport {
  readonly name: string;
  readonly urgentPriority = 0;
  readonly revoked: RevokedIds;
  readonly #location: DatabaseLocation;
  readonly #options: TransportOptions;
  readonly #open = new Set<AsyncDisposable>();
  #connected: Promise<Database> | undefined;

  constructor(url: string, options: TransportOptions) {
    this.name = url;
    this.#location = locate(url);
    this.#options = options;
    this.revoked = new SqliteRevokedIds(() => this.#database(), options.clock);
  }

  async connect(signal?: AbortSignal): Promise<void> {
    await this.#database(signal);
  }

  #database(signal?: AbortSignal): Promise<Database> {
    if (this.#connected === undefined) {
      const connecting = this.#connected = Database.use(this.#location, this.#options, signal);
      connecting.catch(() => {
        if (this.#connected === connecting) this.#connected = undefined;
      });
    }
    return this.#connected;
  }

  async declare(queues: readonly string[]): Promise<void> {
    const db = await this.#database();
    await db.write(() => db.part(PublishStep).declare(queues));
  }

  async publish(messages: readonly WireMessage[]): Promise<void> {
    if (messages.length === 0) return;
    const encoded = messages.map(encodeMessage);
    const db = await this.#database();
    await db.write(() => db.part(PublishStep).publish(encoded));
  }

  async bind(exchange: string, routingKey: string, queue: string): Promise<void> {
    const db = await this.#database();
    await db.write(() => db.part(PublishStep).bind(exchange, routingKey, queue));
  }

  async receive(options: ReceiverOptions): Promise<Receiver> {
    await this.declare(options.queues);
    const receiver = new SqliteReceiver(await this.#database(), this.#options, options);
    this.#open.add(receiver);
    return receiver;
  }

  async broadcast(exchange: string, message: WireMessage): Promise<void> {
    const text = encodeEnvelope({ ...message, exchange });
    const db = await this.#database();
    await db.write(() => db.part(Broadcasts).add(exchange, text, this.#options.clock.now()));
  }

  async listen(exchange: string, listener: (text: string) => void): Promise<AsyncDisposable> {
    const db = await this.#database();
    const broadcasts = db.part(Broadcasts);
    let last = await db.read(() => broadcasts.last());
    const follower = new Follower(db.wakeUp, async () => {
      for (let more = true; more;) {
        const news = await db.read(() => broadcasts.after(last, exchange));
        more = news.length > 0;
        for (const { n, body } of news) {
          last = n;
          if (this.#open.has(listening)) listener(body);
        }
      }
    }, false);
    const listening = {
      [Symbol.asyncDispose]: async () => {
        this.#open.delete(listening);
        await follower.close();
      },
    };
    this.#open.add(listening);
    return listening;
  }

  async lengths(queues?: readonly string[]): Promise<QueueLength[]> {
    const db = await this.#database();
    return await db.snapshot(() => db.part(Queues).lengths(queues));
  }

  async purge(queue: string): Promise<number> {
    const db = await this.#database();
    for (let purged = 0;;) {
      const dropped = await db.write(() => db.part(Queues).drop(queue));
      if (dropped === 0) return purged;
      purged += dropped;
    }
  }

  async deleteQueue(queue: string): Promise<void> {
    await this.purge(queue);
    const db = await this.#database();
    await db.write(() => {
      db.part(Queues).drop(queue);
      db.part(Queues).delete(queue);
    });
  }

  async deadLetters(queue: string, limit: number): Promise<DeadLetter[]> {
    const db = await this.#database();
    return await db.read(() => db.part(BuryStep).newest(queue, limit));
  }

  async requeueDead(letters: readonly DeadLetter[]): Promise<number> {
    const db = await this.#database();
    return await db.write(() => db.part(ReviveStep).requeue(letters.map(({ tag }) => Number(tag))));
  }

  async dropDead(letters: readonly DeadLetter[]): Promise<number> {
    const db = await this.#database();
    return await db.write(() => db.part(ReviveStep).drop(letters.map(({ tag }) => Number(tag))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#open].map((open) => open[Symbol.asyncDispose]()));
    this.#open.clear();
    const connected = this.#connected;
    this.#connected = undefined;
    await connected?.then((db) => db.release(), () => {});
  }
}
