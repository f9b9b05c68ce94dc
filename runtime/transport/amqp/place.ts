/**
 * Where a RabbitMQ stands: its URLs as kombu and Celery read them, for the transport and for results over AMQP.
 */
import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { BadUrlError, maskUrl, schemeOf, urlsOf } from "../url.ts";

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

const certificateChecks: Record<string, boolean> = {
  cert_required: true,
  required: true,
  cert_optional: true,
  optional: true,
  cert_none: false,
  none: false,
};

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
  const queues = urls.map((each) => queueArguments(partsOf(each).searchParams, maskUrl(each)));
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
  const parts = partsOf(url);
  const query = parts.searchParams;
  const secure = schemeOf(url) === "amqps";
  const host = parts.hostname.replace(/^\[(.*)\]$/, "$1");
  const path = decoded(parts.pathname.replace(/^\//, ""), name);
  const hasLogin = parts.username !== "" || parts.password !== "";
  return {
    name,
    host,
    // URL drops port 80, the default of the scheme that it was read as.
    port: Number(parts.port || (/:80(?=[/?#]|$)/.test(url) ? 80 : secure ? 5671 : 5672)),
    username: hasLogin ? decoded(parts.username, name) : "guest",
    password: hasLogin ? decoded(parts.password, name) : "guest",
    vhost: path === "" ? "/" : path,
    heartbeat: whole(query.get("heartbeat"), "heartbeat", name) ?? HEARTBEAT,
    ...(secure && { tls: tlsOptions(query, name) }),
  };
}

/** Where a host would stand, in a URL that has none. */
const noHost = /^http:\/\/([^/?#]*@)?(?=(:\d+)?([/?#]|$))/;

function partsOf(url: string): URL {
  const name = maskUrl(url);
  if (!["amqp", "amqps", "pyamqp"].includes(schemeOf(url))) {
    throw new BadUrlError(`"${name}" is no AMQP URL: write amqp://HOST:PORT/VHOST or amqps://...`);
  }
  try {
    return new URL(url.replace(/^[^:]+:/, "http:").replace(noHost, "$&localhost"));
  } catch (cause) {
    throw new BadUrlError(
      `"${name}" is no AMQP URL: write amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST], and %-escapes in the password`,
      { cause },
    );
  }
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

function decoded(text: string, name: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new BadUrlError(`"${name}" has a % that is no escape: write %25 for a percent sign`, { cause });
  }
}

function whole(text: string | null, option: string, name: string): number | undefined {
  if (text === null) return undefined;
  if (!/^\d+$/.test(text)) throw new BadUrlError(`"${name}" has ${option}=${text}: it takes a whole number`);
  return Number(text);
}

function tlsOptions(query: URLSearchParams, name: string): ConnectionOptions {
  const check = query.get("ssl_cert_reqs") ?? "CERT_REQUIRED";
  const rejectUnauthorized = certificateChecks[check.toLowerCase()];
  if (rejectUnauthorized === undefined) {
    throw new BadUrlError(
      `"${name}" has ssl_cert_reqs=${check}: it takes CERT_REQUIRED, CERT_OPTIONAL or CERT_NONE`,
    );
  }
  const options: ConnectionOptions = { rejectUnauthorized };
  const files = { ca: "ssl_ca_certs", cert: "ssl_certfile", key: "ssl_keyfile" } as const;
  for (const [part, option] of Object.entries(files) as [keyof typeof files, string][]) {
    const path = query.get(option);
    if (path !== null) options[part] = contents(path, option, name);
  }
  if (query.get("ssl_check_hostname")?.toLowerCase() === "false") {
    options.checkServerIdentity = () => undefined;
  }
  return options;
}

function contents(path: string, option: string, name: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new BadUrlError(`"${name}" has ${option}=${path}, and that file cannot be read`, { cause });
  }
}
