/**
 * Where a Redis stands: its URL as kombu and Celery read it, for the transport, the result store and the plain queue.
 */
import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { BadUrlError, maskUrl, schemeOf } from "../url.ts";
import { ClusterTopology } from "./cluster/topology.ts";
import type { ServerFinder } from "./finder.ts";
import type { Replicas } from "./replicas.ts";
import { readSeeds } from "./seeds.ts";
import { Sentinels } from "./sentinel.ts";

/** A Redis database and how to get in. */
export interface RedisPlace {
  /** The URL with its password masked. */
  readonly name: string;
  /** The same for two URLs that lead to the same database: host, port (or socket) and number. */
  readonly identity: string;
  readonly host: string;
  readonly port: number;
  /** Where a server that moves is now, instead of host and port. */
  readonly finder?: ServerFinder;
  /** The cluster that it is, of which one connection reaches a part only: see `cluster/place_of.ts`. */
  readonly cluster?: ClusterTopology;
  /** The path of a Unix socket, instead of host and port. */
  readonly socket?: string;
  readonly db: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: ConnectionOptions;
  /** Put before every key (kombu: `global_keyprefix`). */
  readonly keyPrefix: string;
  /** Seconds, where the URL says so (kombu: `visibility_timeout`). */
  readonly visibilityTimeout?: number;
  /** Replicas that must have what is published before it counts as published, and for how many seconds they are awaited. */
  readonly replicas?: Replicas;
}

/** Seconds that replicas are waited for. */
const REPLICAS_TIMEOUT = 5;

const schemes = ["redis", "rediss", "redis+socket", "socket"];

/** Where a host would stand, in a URL that has none. */
const noHost = /^http:\/\/([^/?#]*@)?(?=(:\d+)?([/?#]|$))/;

/** How strictly a server's certificate is checked, by the words that kombu and Celery take. */
const certificateChecks: Record<string, boolean> = {
  cert_required: true,
  required: true,
  cert_optional: true,
  optional: true,
  cert_none: false,
  none: false,
};

/**
 * Reads `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`, `rediss://...` and `redis+socket:///PATH?virtual_host=DB`,
 * or a master that sentinels know, or a cluster, as `seeds.ts` reads them. Options: `visibility_timeout`, `global_keyprefix`, `replicas`,
 * `replicas_timeout`, `sentinel_username`, `sentinel_password`, `ssl_cert_reqs`, `ssl_ca_certs`, `ssl_certfile`,
 * `ssl_keyfile`, `ssl_check_hostname`. Others belong to other clients and are left alone.
 *
 * @throws {BadUrlError} What is wrong with it, and what would be right.
 */
export function readRedisUrl(url: string): RedisPlace {
  const name = maskUrl(url);
  const seeds = readSeeds(url);
  const plain = seeds?.plain ?? url;
  const scheme = schemeOf(plain);
  if (!schemes.includes(scheme)) {
    throw new BadUrlError(
      `"${name}" is no Redis URL: write redis://HOST:PORT/DB, rediss://, redis+socket:// or redis+sentinel://`,
    );
  }
  let parts: URL;
  try {
    parts = new URL(plain.replace(/^[^:]+:/, "http:").replace(noHost, "$&localhost"));
  } catch (cause) {
    throw new BadUrlError(
      `"${name}" is no Redis URL: write redis://[USER:PASSWORD@]HOST[:PORT][/DB], and %-escapes in the password`,
      { cause },
    );
  }
  const query = parts.searchParams;
  const path = decoded(parts.pathname, name);
  const socket = scheme.endsWith("socket") ? path : undefined;
  const db = databaseNumber(query.get("virtual_host") ?? (socket === undefined ? path : ""), name);
  // URL lowers nothing of use here but drops port 80, the default of the scheme it was read as.
  const port = Number(parts.port || (/:80(?=[/?#]|$)/.test(plain) ? 80 : 6379));
  const host = parts.hostname.replace(/^\[(.*)\]$/, "$1");
  const login = {
    ...(parts.username !== "" && { username: decoded(parts.username, name) }),
    ...(parts.password !== "" && { password: decoded(parts.password, name) }),
  };
  // Servers that are found later have names of their own.
  const tls = scheme === "rediss" ? tlsOptions(query, seeds === undefined ? host : "", name) : undefined;
  const hosts = seeds?.hosts.map((seed) => `${seed.host}:${seed.port}`).sort().join(",");
  return {
    name,
    identity: `${socket ?? (seeds === undefined ? `${host}:${port}` : `${seeds.master}@${hosts}`)}/${db}`,
    host,
    port,
    ...(seeds?.kind === "cluster" && {
      cluster: new ClusterTopology(seeds.hosts, { ...login, tls }),
    }),
    ...(seeds?.kind === "sentinel" && {
      finder: new Sentinels(seeds.hosts, seeds.master, {
        username: query.get("sentinel_username") ?? undefined,
        password: query.get("sentinel_password") ?? undefined,
        tls,
      }),
    }),
    ...(socket !== undefined && { socket }),
    db,
    ...login,
    ...(tls !== undefined && { tls }),
    keyPrefix: query.get("global_keyprefix") ?? "",
    ...(query.has("visibility_timeout") && {
      visibilityTimeout: seconds(query.get("visibility_timeout")!, "visibility_timeout", name),
    }),
    ...(query.has("replicas") && { replicas: readReplicas(query, name) }),
  };
}

function decoded(text: string, name: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new BadUrlError(`"${name}" has a % that is no escape: write %25 for a percent sign`, { cause });
  }
}

function databaseNumber(path: string, name: string): number {
  const text = path.replace(/^\/|\/$/g, "");
  if (text === "") return 0;
  if (!/^\d+$/.test(text)) {
    throw new BadUrlError(
      `"${name}" names the database "${text}": a Redis database is a number, as in redis://HOST/0`,
    );
  }
  return Number(text);
}

function seconds(text: string, option: string, name: string): number {
  const value = Number(text);
  if (!(value > 0)) {
    throw new BadUrlError(`"${name}" has ${option}=${text}: it takes a number of seconds above 0`);
  }
  return value;
}

function readReplicas(query: URLSearchParams, name: string): Replicas | undefined {
  const count = query.get("replicas")!;
  if (!/^\d+$/.test(count)) {
    throw new BadUrlError(`"${name}" has replicas=${count}: it takes how many of them, as in replicas=1`);
  }
  const timeout = query.get("replicas_timeout");
  if (Number(count) === 0) return undefined;
  return {
    count: Number(count),
    timeout: timeout === null ? REPLICAS_TIMEOUT : seconds(timeout, "replicas_timeout", name),
  };
}

function tlsOptions(query: URLSearchParams, host: string, name: string): ConnectionOptions {
  const check = query.get("ssl_cert_reqs") ?? "CERT_REQUIRED";
  const rejectUnauthorized = certificateChecks[check.toLowerCase()];
  if (rejectUnauthorized === undefined) {
    throw new BadUrlError(
      `"${name}" has ssl_cert_reqs=${check}: it takes CERT_REQUIRED, CERT_OPTIONAL or CERT_NONE`,
    );
  }
  const options: ConnectionOptions = { rejectUnauthorized };
  // A name in the greeting lets servers behind one address tell their certificates apart; an address may not stand there.
  if (!/^[\d.]*$|:/.test(host)) options.servername = host;
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
