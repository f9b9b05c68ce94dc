/**
 * URLs that name servers to ask where the Redis is: sentinels, or some nodes of a cluster. `place.ts` reads the rest of
 * them as if it were a plain Redis.
 */
import { BadUrlError, maskUrl, schemeOf, urlsOf } from "../url.ts";
import type { ServerAddress } from "./finder.ts";

/** What such a URL says beyond a plain one. */
export interface Seeds {
  readonly kind: "sentinel" | "cluster";
  /** Whom to ask. */
  readonly hosts: readonly ServerAddress[];
  /** The name of the master, as the sentinels know it; of a cluster empty. */
  readonly master: string;
  /** The rest, as the URL of a plain Redis on the first of the hosts. */
  readonly plain: string;
}

const kinds: Readonly<Record<string, { kind: Seeds["kind"]; tls: boolean; port: number }>> = {
  "sentinel": { kind: "sentinel", tls: false, port: 26379 },
  "redis+sentinel": { kind: "sentinel", tls: false, port: 26379 },
  "rediss+sentinel": { kind: "sentinel", tls: true, port: 26379 },
  "redis+cluster": { kind: "cluster", tls: false, port: 6379 },
  "rediss+cluster": { kind: "cluster", tls: true, port: 6379 },
};

const PARTS = /^[^:]+:\/\/(?:([^/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?(.*))?$/;

/**
 * Reads `sentinel://HOST:PORT;sentinel://HOST:PORT` (kombu's form), `redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB` and
 * `redis+cluster://HOST:PORT,HOST:PORT`.
 * Gives nothing for the URL of a plain Redis.
 *
 * @throws {BadUrlError}
 */
export function readSeeds(url: string): Seeds | undefined {
  const { kind, tls, port } = kinds[schemeOf(url)] ?? {};
  if (kind === undefined || port === undefined) return undefined;
  const name = maskUrl(url);
  let login = "", path = "";
  const queries: string[] = [];
  const hosts: ServerAddress[] = [];
  for (const each of urlsOf(url)) {
    const [, ownLogin, ownHosts, ownPath, query] = PARTS.exec(each) ?? [];
    if (ownHosts === undefined || kinds[schemeOf(each)]?.kind !== kind) throw unreadable(name, kind);
    login ||= ownLogin ?? "";
    path ||= ownPath ?? "";
    if (query) queries.push(query);
    for (const host of ownHosts.split(",")) hosts.push(addressOf(host, port, name, kind));
  }
  const segments = path.split("/").filter((segment) => segment !== "");
  const db = segments.length > 0 && /^\d+$/.test(segments[segments.length - 1]) ? segments.pop() : "0";
  if (kind === "cluster" && (db !== "0" || segments.length > 0)) {
    throw new BadUrlError(
      `"${name}" names the database "${path}": a Redis Cluster has no databases, leave it out`,
    );
  }
  const master = kind === "cluster" ? "" : new URLSearchParams(queries.join("&")).get("master_name") ??
    decodeURIComponent(segments.shift() ?? "");
  if (segments.length > 0) throw unreadable(name, kind);
  if (kind === "sentinel" && master === "") {
    throw new BadUrlError(
      `"${name}" does not say which master its sentinels watch: write ?master_name=NAME, or the setting ` +
        `brokerTransportOptions.masterName`,
    );
  }
  const { host, port: first } = hosts[0];
  const at = `${host.includes(":") ? `[${host}]` : host}:${first}`;
  const plain = `${tls ? "rediss" : "redis"}://${login === "" ? "" : `${login}@`}${at}/${db}`;
  return { kind, hosts, master, plain: queries.length === 0 ? plain : `${plain}?${queries.join("&")}` };
}

function addressOf(text: string, defaultPort: number, name: string, kind: Seeds["kind"]): ServerAddress {
  const [, host, port] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(text) ?? [];
  if (host === undefined) throw unreadable(name, kind);
  return { host: host.replace(/^\[|\]$/g, "") || "localhost", port: Number(port ?? defaultPort) };
}

function unreadable(name: string, kind: Seeds["kind"]): BadUrlError {
  return new BadUrlError(
    `"${name}" can't be read: write redis+${kind}://[USER:PASSWORD@]HOST:PORT,HOST:PORT` +
      (kind === "sentinel" ? "/DB?master_name=NAME" : ""),
  );
}
