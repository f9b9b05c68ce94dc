/**
 * Where a Redis stands: its URL as kombu and Celery read it, for the transport, the result store and the plain queue.
 */
import type { ConnectionOptions } from "node:tls";
import { readServerUrl, tlsOptions } from "../server_url.ts";
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
  const { host, port = 6379, username, password, path, query } = readServerUrl(
    plain,
    name,
    "Redis URL: write redis://[USER:PASSWORD@]HOST[:PORT][/DB]",
  );
  const socket = scheme.endsWith("socket") ? path : undefined;
  const db = databaseNumber(query.get("virtual_host") ?? (socket === undefined ? path : ""), name);
  const login = { ...(username !== "" && { username }), ...(password !== "" && { password }) };
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
