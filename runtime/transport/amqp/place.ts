/**
 * Where a RabbitMQ stands: its URLs as kombu and Celery read them, for the transport and for results over AMQP.
 */
import type { ConnectionOptions } from "node:tls";
import { readServerUrl, type ServerUrl, tlsOptions } from "../server_url.ts";
import { BadUrlError, kindOf, maskUrl, schemeOf, urlsOf } from "../url.ts";

/** A virtual host and how to get in. */
export interface AmqpPlace {
  /** The URLs with their passwords masked. */
  readonly name: string;
  /** The same for two URLs that lead to the same virtual host of the same servers. */
  readonly identity: string;
  /** Tried in turn. */
  readonly servers: readonly AmqpServer[];
  /** What queues that it declares are made with. */
  readonly queues: QueueArguments;
}

export interface AmqpServer {
  /** The URL with its password masked. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  readonly vhost: string;
  /** Seconds. */
  readonly heartbeat: number;
  readonly tls?: ConnectionOptions;
}

/** How new queues are declared. */
export interface QueueArguments {
  /** `classic` is RabbitMQ's default. */
  readonly type?: "classic" | "quorum";
  /** The highest priority of a message; without it a queue has none. */
  readonly maxPriority?: number;
  /** Where RabbitMQ puts what it drops itself (expired, over the queue's length). */
  readonly deadLetterExchange?: string;
  readonly deadLetterRoutingKey?: string;
}

/** Seconds: a broker that says nothing for twice as long counts as gone, and so does a client. */
const HEARTBEAT = 30;

/**
 * Reads `amqp://[[USER]:PASSWORD@]HOST[:PORT][/VHOST]`, `amqps://...`, `pyamqp://...`, or several of them joined by `;`.
 * Options: `heartbeat` (seconds), `queue_type`, `max_priority`, `dead_letter_exchange`, `dead_letter_routing_key`,
 * `ssl_cert_reqs`, `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`, `ssl_check_hostname`. Those of queues hold where any of
 * the URLs has them. Others belong to other clients and are left alone.
 *
 * @throws {BadUrlError} What is wrong with it, and what would be right.
 */
export function readAmqpUrl(url: string, given: QueueArguments = {}): AmqpPlace {
  const urls = urlsOf(url);
  const servers = urls.map(readServer);
  const queues = urls.map((each) => queueArguments(partsOf(each).query, maskUrl(each)));
  return {
    name: maskUrl(url),
    identity: servers.map(({ host, port, vhost }) => `${host}:${port}/${vhost}`).join(";"),
    servers,
    queues: refuseMixture(Object.assign({}, ...queues.reverse(), defined(given)), maskUrl(url)),
  };
}

/** @throws {BadUrlError} For what RabbitMQ would refuse, in words that say why. */
function refuseMixture(queues: QueueArguments, name: string): QueueArguments {
  if (queues.type === "quorum" && queues.maxPriority !== undefined) {
    throw new BadUrlError(
      `${name}: a quorum queue has no priorities: leave out max_priority, or take queue_type=classic`,
    );
  }
  return queues;
}

function readServer(url: string): AmqpServer {
  const name = maskUrl(url);
  const { host, port, username, password, path, query } = partsOf(url);
  const secure = schemeOf(url) === "amqps";
  const hasLogin = username !== "" || password !== "";
  return {
    name,
    host,
    port: port ?? (secure ? 5671 : 5672),
    username: hasLogin ? username : "guest",
    password: hasLogin ? password : "guest",
    vhost: path.replace(/^\//, "") || "/",
    heartbeat: whole(query.get("heartbeat"), "heartbeat", name) ?? HEARTBEAT,
    ...(secure && { tls: tlsOptions(query, host, name) }),
  };
}

function partsOf(url: string): ServerUrl {
  const name = maskUrl(url);
  if (kindOf(schemeOf(url)) !== "amqp") {
    throw new BadUrlError(`"${name}" is no AMQP URL: write amqp://HOST:PORT/VHOST or amqps://...`);
  }
  return readServerUrl(url, name, "AMQP URL: write amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST]");
}

function queueArguments(query: URLSearchParams, name: string): QueueArguments {
  const type = query.get("queue_type") ?? undefined;
  if (type !== undefined && type !== "classic" && type !== "quorum") {
    throw new BadUrlError(`"${name}" has queue_type=${type}: it takes classic or quorum`);
  }
  const maxPriority = whole(query.get("max_priority"), "max_priority", name);
  if (maxPriority !== undefined && (maxPriority < 1 || maxPriority > 255)) {
    throw new BadUrlError(`"${name}" has max_priority=${maxPriority}: it takes 1 to 255, and 10 is enough`);
  }
  return defined({
    type,
    maxPriority,
    deadLetterExchange: query.get("dead_letter_exchange") ?? undefined,
    deadLetterRoutingKey: query.get("dead_letter_routing_key") ?? undefined,
  });
}

function defined<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}

function whole(text: string | null, option: string, name: string): number | undefined {
  if (text === null) return undefined;
  if (!/^\d+$/.test(text)) throw new BadUrlError(`"${name}" has ${option}=${text}: it takes a whole number`);
  return Number(text);
}
