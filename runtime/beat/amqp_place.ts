/**
 * The place on RabbitMQ: a queue for each entry, of which every scheduler is a consumer, but RabbitMQ gives its messages to
 * one at a time (single active consumer). Who gets them holds the entry; when it goes, the next one gets them at once. What
 * stands there is the last time: the newest message that was sent, which RabbitMQ has put there together with the queue of
 * its task, in one step.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Channel, ConsumeMessage } from "amqplib";
import { uid } from "../protocol/uid.ts";
import { AmqpConnection } from "../transport/amqp/connection.ts";
import { type Outgoing, outgoing } from "../transport/amqp/message.ts";
import { type AmqpPlace, readAmqpUrl } from "../transport/amqp/place.ts";
import { AmqpPublisher } from "../transport/amqp/publisher.ts";
import { exists, QueueMissingError, Topology } from "../transport/amqp/topology.ts";
import type { Holding, Place, PlaceOptions, Sending, Sent, Wanted } from "./place.ts";

/**
 * Milliseconds after which the last time is written again. RabbitMQ closes the channel on which a message is held for its
 * `consumer_timeout`, 30 minutes, and an entry may be due once a year.
 */
const REWRITE = 300_000;
/** Queues that are declared at once, each on a channel of its own. */
const AT_ONCE = 100;

/** What a message says, if it is no mark. */
interface LastTime {
  readonly last: number;
  readonly timetable: string;
}

/** A message that was delivered here and is not acknowledged. */
interface InHand {
  readonly tag: number;
  readonly mark: unknown;
  readonly time: LastTime | undefined;
}

/** An entry whose queue is listened to. */
interface Attended {
  readonly queue: string;
  wanted: Wanted;
  readonly hand: InHand[];
  /** What was published to learn whether all that was there before has come. */
  mark: string | undefined;
  /** What is written down, once this scheduler holds the entry. */
  held: LastTime | undefined;
  /** By the monotonic clock. */
  writtenAt: number;
}

export class AmqpSchedulePlace implements Place {
  readonly name: string;
  readonly #options: PlaceOptions;
  readonly #queueType: "classic" | "quorum" | undefined;
  readonly #connection: AmqpConnection;
  readonly #publisher: AmqpPublisher;
  readonly #topology: Topology;
  #entries = new Map<string, Attended>();
  #opening: Promise<Channel> | undefined;

  /** @throws {BadUrlError} */
  constructor(url: string, options: PlaceOptions) {
    const place = withHeartbeat(readAmqpUrl(url), options.lease);
    this.name = place.name;
    this.#options = options;
    this.#queueType = place.queues.type;
    this.#connection = new AmqpConnection(place, options);
    this.#publisher = new AmqpPublisher(this.#connection);
    this.#topology = new Topology(this.#connection, place.queues);
  }

  connect(signal?: AbortSignal): Promise<void> {
    return this.#connection.connect(signal);
  }

  async hold(wanted: readonly Wanted[]): Promise<Holding> {
    const channel = await this.#channel();
    const keys = new Set(wanted.map(({ key }) => key));
    const unwanted = [...this.#entries].filter(([key]) => !keys.has(key));
    await Promise.all(unwanted.map(([key, entry]) => this.#leave(key, entry)));
    for (let i = 0; i < wanted.length; i += AT_ONCE) {
      await Promise.all(wanted.slice(i, i + AT_ONCE).map((each) => this.#attend(channel, each)));
    }
    const held = new Map<string, number>();
    for (const [key, entry] of this.#entries) if (entry.held !== undefined) held.set(key, entry.held.last);
    return { held, again: Math.min(5_000, this.#options.lease * 1000 / 3) };
  }

  async send(batch: readonly Sending[]): Promise<readonly Sent[]> {
    const missing = await this.#declare(batch);
    const sent: Sent[] = batch.map(({ key, before, message }) =>
      this.#entries.get(key)?.held?.last === before ? missing.get(message.routingKey) ?? "sent" : "lost"
    );
    const direct = batch.map((_, i) => i).filter((i) =>
      sent[i] === "sent" && batch[i].message.exchange === ""
    );
    const routed = batch.map((_, i) => i).filter((i) =>
      sent[i] === "sent" && batch[i].message.exchange !== ""
    );
    try {
      const failures = await this.#publisher.publish(direct.map((i) => this.#withLastTime(batch[i])));
      for (const [i, error] of failures) sent[direct[i]] = error;
      // Another exchange may not lead to the entry's queue: what is sent there is written down a moment later.
      const others = await this.#publisher.publish(routed.map((i) => outgoing(batch[i].message, true)));
      for (const [i, error] of others) sent[routed[i]] = error;
      const done = routed.filter((i) => sent[i] === "sent");
      await this.#publisher.publish(done.map((i) => {
        const { key, at, timetable } = batch[i];
        return lastTimeMessage(this.#entries.get(key)!.queue, { last: at, timetable });
      }));
    } catch (error) {
      // What has become of them is known when the entries' queues have been read anew.
      await this.#startAnew();
      throw error;
    }
    const writtenAt = this.#options.clock.monotonic();
    batch.forEach(({ key, at, timetable }, i) => {
      const entry = this.#entries.get(key);
      if (sent[i] === "sent" && entry !== undefined) {
        Object.assign(entry, { held: { last: at, timetable }, writtenAt });
      }
    });
    return sent;
  }

  /** Who holds an entry has its last time in hand, where nobody else can read it. */
  read(): Promise<ReadonlyMap<string, number>> {
    return Promise.resolve(new Map());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#startAnew();
    await this.#connection.close();
  }

  async #channel(): Promise<Channel> {
    if (!this.#connection.ready) await this.#connection.connect();
    if (this.#opening === undefined) {
      const opening = this.#opening = this.#connection.channel();
      const lost = () => this.#lost(opening);
      opening.then((channel) => channel.once("close", lost), lost);
    }
    return await this.#opening;
  }

  /** All that was held on a channel is another's. */
  #lost(opening: Promise<Channel>): void {
    if (this.#opening !== opening) return;
    this.#opening = undefined;
    this.#entries = new Map();
    this.#options.changed();
  }

  /** Gives back all that is in hand. */
  async #startAnew(): Promise<void> {
    const opening = this.#opening;
    this.#opening = undefined;
    this.#entries = new Map();
    await opening?.then((channel) => channel.close()).catch(() => {});
  }

  /** Listens to an entry's queue, or looks after what is held of it. */
  async #attend(channel: Channel, wanted: Wanted): Promise<void> {
    const { key, timetable, first } = wanted;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const queue = queueOf(key);
      entry = { queue, wanted, hand: [], mark: undefined, held: undefined, writtenAt: 0 };
      this.#entries.set(key, entry);
      try {
        await this.#listen(channel, entry);
      } catch (error) {
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
        throw error instanceof QueueMissingError ? error : this.#connection.unavailable(error);
      }
      return;
    }
    entry.wanted = wanted;
    const { held, writtenAt } = entry;
    if (held === undefined) {
      if (entry.hand.length > 0 && entry.mark === undefined) await this.#check(entry);
    } else if (held.timetable !== timetable) await this.#write(entry, { last: first, timetable });
    else if (this.#options.clock.monotonic() - writtenAt >= REWRITE) await this.#write(entry, held);
  }

  async #listen(channel: Channel, entry: Attended): Promise<void> {
    const { queue } = entry;
    await this.#topology.queue(queue, {
      arguments: {
        ...(this.#queueType !== undefined && { "x-queue-type": this.#queueType }),
        "x-single-active-consumer": true,
      },
    });
    await channel.consume(queue, (message) => this.#arrive(channel, entry, message), { consumerTag: queue });
    // In a queue with nothing in it nobody would learn that he is the one.
    await this.#publish([markMessage(queue, uid())]);
  }

  /** The entry is not in the schedule any more; if it is held here, nothing is to be left of it. */
  async #leave(key: string, { queue, held }: Attended): Promise<void> {
    this.#entries.delete(key);
    this.#topology.forget(queue);
    const channel = await this.#channel();
    try {
      if (held === undefined) await channel.cancel(queue);
      else await this.#connection.once((own) => own.deleteQueue(queue));
    } catch (error) {
      throw this.#connection.unavailable(error);
    }
  }

  #arrive(channel: Channel, entry: Attended, message: ConsumeMessage | null): void {
    const { key } = entry.wanted;
    if (this.#entries.get(key) !== entry) return;
    if (message === null) {
      // The queue was deleted.
      this.#entries.delete(key);
      this.#topology.forget(entry.queue);
      return this.#options.changed();
    }
    const arrived = inHand(message);
    entry.hand.push(arrived);
    if (entry.held !== undefined) tidy(channel, entry);
    else if (entry.mark === undefined) void this.#check(entry).catch(() => {});
    else if (arrived.mark === entry.mark) void this.#take(channel, entry).catch(() => {});
  }

  /** Messages come here: once a mark has come back, all that was before it has come, too. */
  async #check(entry: Attended): Promise<void> {
    const mark = entry.mark = uid();
    try {
      await this.#publish([markMessage(entry.queue, mark)]);
    } catch (error) {
      entry.mark = undefined;
      throw error;
    }
  }

  async #take(channel: Channel, entry: Attended): Promise<void> {
    const { timetable, first } = entry.wanted;
    const kept = entry.hand.findLast(({ time }) => time !== undefined)?.time;
    try {
      // Written anew, since some queues count how often a message is given back, and drop it in the end.
      await this.#write(entry, kept?.timetable === timetable ? kept : { last: first, timetable });
      tidy(channel, entry);
      this.#options.changed();
    } finally {
      entry.mark = undefined;
    }
  }

  async #write(entry: Attended, time: LastTime): Promise<void> {
    await this.#publish([lastTimeMessage(entry.queue, time)]);
    entry.held = time;
    entry.writtenAt = this.#options.clock.monotonic();
  }

  async #publish(messages: readonly Outgoing[]): Promise<void> {
    const [failure] = (await this.#publisher.publish(messages)).values();
    if (failure !== undefined) throw failure;
  }

  /** Makes the queues of tasks where they are missing; gives why some can't be. */
  async #declare(batch: readonly Sending[]): Promise<ReadonlyMap<string, Error>> {
    const missing = new Map<string, Error>();
    const direct = batch.filter(({ message }) => message.exchange === "");
    const queues = new Set(direct.map(({ message }) => message.routingKey));
    // Asked for each time: a message whose queue is gone would go to the entry's queue alone, and count as sent.
    await Promise.all([...queues].map(async (queue) => {
      if (await exists(this.#connection, (channel) => channel.checkQueue(queue))) return;
      this.#topology.forget(queue);
      try {
        await this.#topology.queue(queue);
      } catch (error) {
        if (!(error instanceof QueueMissingError)) throw error;
        missing.set(queue, error);
      }
    }));
    return missing;
  }

  /** A task's message that goes to the entry's queue as well; the header that says so is taken off on the way. */
  #withLastTime({ key, message, timetable }: Sending): Outgoing {
    const { queue } = this.#entries.get(key)!;
    const headers = { ...message.headers, celeriac_timetable: timetable };
    const out = outgoing({ ...message, headers }, true);
    return { ...out, options: { ...out.options, headers: { ...out.options.headers, BCC: [queue] } } };
  }
}

/** Acknowledges what newer messages have made old. */
function tidy(channel: Channel, { hand }: Attended): void {
  const newest = hand.findLastIndex(({ time }) => time !== undefined);
  const old = hand.filter(({ time }, i) => i < newest || time === undefined);
  hand.splice(0, hand.length, ...hand.filter((each) => !old.includes(each)));
  try {
    for (const { tag } of old) channel.ack({ fields: { deliveryTag: tag } } as ConsumeMessage);
  } catch {
    // The channel has gone, and with it what was in hand.
  }
}

function inHand({ fields, properties }: ConsumeMessage): InHand {
  const { celeriac_mark: mark, celeriac_due: due, celeriac_timetable: timetable } = properties.headers ?? {};
  const last = typeof due === "string" ? Date.parse(due) : NaN;
  const isTime = mark === undefined && !Number.isNaN(last) && typeof timetable === "string";
  return { tag: fields.deliveryTag, mark, time: isTime ? { last, timetable } : undefined };
}

function markMessage(queue: string, mark: string): Outgoing {
  return ownMessage(queue, { celeriac_mark: mark });
}

function lastTimeMessage(queue: string, { last, timetable }: LastTime): Outgoing {
  return ownMessage(queue, { celeriac_due: new Date(last).toISOString(), celeriac_timetable: timetable });
}

function ownMessage(routingKey: string, headers: Readonly<Record<string, string>>): Outgoing {
  return { exchange: "", routingKey, content: Buffer.from(""), options: { headers, persistent: true } };
}

/** Where an entry's last time stands. The names of queues are bounded. */
function queueOf(key: string): string {
  const name = Buffer.byteLength(key) <= 200 ? key : createHash("sha256").update(key).digest("hex");
  return `celeriac.beat.${name}`;
}

/** A scheduler that has gone without a word is to be missed when its lease would be over. */
function withHeartbeat(place: AmqpPlace, lease: number): AmqpPlace {
  const most = Math.max(1, Math.floor(lease / 2));
  const servers = place.servers.map((server) => ({
    ...server,
    heartbeat: server.heartbeat === 0 ? most : Math.min(server.heartbeat, most),
  }));
  return { ...place, servers };
}
