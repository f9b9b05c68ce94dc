/** The ledger on Redis and on a Redis Cluster: a script sends a task and writes it down. */
import { getLogger } from "@logtape/logtape";
import { encodeEnvelope } from "../protocol/envelope.ts";
import type { OwnerBeat } from "../transport/lease.ts";
import { ClusterNodes } from "../transport/redis/cluster/nodes.ts";
import { placeOf, SHARED } from "../transport/redis/cluster/place_of.ts";
import { type Argument, type ConnectionOptions, RedisConnection } from "../transport/redis/connection.ts";
import { stepOf } from "../transport/redis/keys.ts";
import { readRedisUrl, type RedisPlace } from "../transport/redis/place.ts";
import { awaitReplicas } from "../transport/redis/replicas.ts";
import type { Script } from "../transport/redis/script.ts";
import { UnreplicatedError } from "../transport/transport.ts";
import type { Ledger, Sending, Sent, Wanted } from "./place.ts";
import { buryScript, claimScript, readScript, renewScript, sendScript } from "./redis_scripts.ts";

const log = getLogger(["celeriac", "beat"]);

type Run = (script: Script, key: string, args: Argument[]) => Promise<unknown>;

/** Runs scripts, each where its key is. */
interface Server {
  connect(signal?: AbortSignal): Promise<void>;
  /** Has `work` run scripts; resolves when all are answered and replicas have what they wrote, where that is asked for. */
  call<T>(work: (run: Run) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export class RedisLedger implements Ledger {
  readonly name: string;
  readonly #place: RedisPlace;
  readonly #server: Server;
  /** The hashes of the entries that were wanted last. */
  #known: ReadonlySet<string> = new Set();

  /** @throws {BadUrlError} */
  constructor(url: string, options: ConnectionOptions) {
    const place = readRedisUrl(url);
    this.name = place.name;
    this.#place = place;
    this.#server = place.cluster === undefined
      ? oneServer(place, options)
      : severalServers(new ClusterNodes(place, place.cluster, options));
  }

  connect(signal?: AbortSignal): Promise<void> {
    return this.#server.connect(signal);
  }

  async renew(me: string): Promise<readonly OwnerBeat<string>[]> {
    const flat = await this.#server.call((run) => run(renewScript, this.#schedulers, [me])) as string[];
    const beats: OwnerBeat<string>[] = [];
    for (let i = 0; i < flat.length; i += 2) {
      if (flat[i] !== me) beats.push({ owner: flat[i], beat: Number(flat[i + 1]) });
    }
    return beats;
  }

  async bury(owner: string, beat?: number): Promise<void> {
    await this.#server.call((run) => run(buryScript, this.#schedulers, [owner, beat ?? ""]));
  }

  async claim(
    me: string,
    alive: readonly string[],
    wanted: readonly Wanted[],
  ): Promise<ReadonlyMap<string, number>> {
    const parts = new Map<string, Wanted[]>();
    for (const each of wanted) {
      const key = this.#entriesOf(each.queue);
      const part = parts.get(key);
      if (part === undefined) parts.set(key, [each]);
      else part.push(each);
    }
    // What is held and not wanted any more is let go where nothing else is wanted, too.
    for (const key of this.#known) if (!parts.has(key)) parts.set(key, []);
    const answers = await this.#server.call((run) =>
      Promise.all([...parts].map(([key, entries]) => {
        const args = entries.flatMap(({ key, timetable, first }) => [key, timetable, first]);
        return run(claimScript, key, [me, alive.length, ...alive, ...args]) as Promise<string[]>;
      }))
    );
    this.#known = new Set([...parts].filter(([, entries]) => entries.length > 0).map(([key]) => key));
    const held = new Map<string, number>();
    for (const answer of answers) {
      for (let i = 0; i < answer.length; i += 2) held.set(answer[i], Number(answer[i + 1]));
    }
    return held;
  }

  async send(me: string, batch: readonly Sending[]): Promise<readonly Sent[]> {
    let sent: readonly Sent[] | undefined;
    try {
      return await this.#server.call(async (run) => sent = await this.#sendAll(run, me, batch));
    } catch (error) {
      if (sent === undefined || !(error instanceof UnreplicatedError)) throw error;
      log.warning(error.message);
      return sent;
    }
  }

  async read(wanted: readonly Wanted[]): Promise<ReadonlyMap<string, number>> {
    const texts = await this.#server.call((run) =>
      Promise.all(wanted.map(({ key, queue }) => run(readScript, this.#entriesOf(queue), [key])))
    ) as (readonly [last?: string, timetable?: string])[];
    const known = wanted.map(({ key, timetable }, i): [string, number, boolean] => {
      const [last, text] = texts[i];
      return [key, Number(last), text === timetable];
    });
    return new Map(known.filter(([, , same]) => same).map(([key, last]) => [key, last]));
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  #sendAll(run: Run, me: string, batch: readonly Sending[]): Promise<Sent[]> {
    return Promise.all(batch.map(async ({ key, queue, before, at, timetable, message }): Promise<Sent> => {
      const { exchange, routingKey, priority } = message;
      if (exchange !== "" && this.#place.cluster !== undefined) {
        return new TypeError(
          `on a Redis Cluster a schedule sends to queues, not to the exchange "${exchange}"`,
        );
      }
      const where = [this.#prefixOf(queue), exchange, routingKey, stepOf(priority)];
      const args = [key, me, before, at, timetable, ...where, encodeEnvelope(message)];
      return await run(sendScript, this.#entriesOf(queue), args) === 1 ? "sent" : "lost";
    }));
  }

  get #schedulers(): string {
    return `${placeOf(this.#place, SHARED).keyPrefix}celeriac.beat.schedulers`;
  }

  #entriesOf(queue: string): string {
    return `${this.#prefixOf(queue)}celeriac.beat.entries`;
  }

  #prefixOf(queue: string): string {
    return placeOf(this.#place, queue).keyPrefix;
  }
}

function oneServer(place: RedisPlace, options: ConnectionOptions): Server {
  const connection = new RedisConnection(place, options);
  return {
    connect: (signal) => connection.connect(signal),
    async call(work) {
      if (!connection.ready) await connection.connect();
      const { generation } = connection;
      const result = await work((script, key, args) => connection.run(script, 1, [key, ...args]));
      if (place.replicas !== undefined) await awaitReplicas(connection, place.replicas, generation);
      return result;
    },
    close: () => connection.close(),
  };
}

function severalServers(nodes: ClusterNodes): Server {
  return {
    connect: (signal) => nodes.connect(signal),
    call: (work) => nodes.call((call) => work((script, key, args) => call.run(script, key, args))),
    close: () => nodes.close(),
  };
}
