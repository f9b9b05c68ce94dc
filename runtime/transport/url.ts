/** Broker and store URLs as users write them, and as logs may show them. */

/** A URL that can't be used, with what is wrong and what would be right. */
export class BadUrlError extends Error {
  /** `"BadUrlError"`. */
  override readonly name = "BadUrlError";
}

/** The scheme of a URL in lower case, without its colon. @throws {BadUrlError} when there is none. */
export function schemeOf(url: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1];
  if (scheme === undefined) {
    throw new BadUrlError(
      `"${maskUrl(url)}" is not a URL: write memory:, sqlite:PATH, redis://HOST:PORT/DB or rediss://...`,
    );
  }
  return scheme.toLowerCase();
}

/** What stands behind a URL; a cluster is a Redis in many places, which have to be told apart. */
export type ServerKind = "memory" | "sqlite" | "redis" | "cluster" | "amqp";

const kinds: Readonly<Record<string, ServerKind>> = {
  memory: "memory",
  sqlite: "sqlite",
  redis: "redis",
  rediss: "redis",
  "redis+socket": "redis",
  sentinel: "redis",
  "redis+sentinel": "redis",
  "rediss+sentinel": "redis",
  "redis+cluster": "cluster",
  "rediss+cluster": "cluster",
  amqp: "amqp",
  amqps: "amqp",
  pyamqp: "amqp",
};

/** The kind that a scheme leads to, or undefined for one that nobody here knows. */
export function kindOf(scheme: string): ServerKind | undefined {
  return Object.hasOwn(kinds, scheme) ? kinds[scheme] : undefined;
}

/**
 * The URL with its password replaced by `**`; every URL that a log or an error shows goes through here. Several URLs
 * joined by `;` each lose theirs.
 */
export function maskUrl(url: string): string {
  return url.split(ANOTHER_URL).map(maskOne).join(";");
}

/** What parts the URLs of a broker that has several: never a part of a password, which would be `%3B` there. */
const ANOTHER_URL = /;(?=[a-z][a-z0-9+.-]*:\/\/)/i;

/** The single URLs of `URL;URL`. */
export function urlsOf(url: string): string[] {
  return url.split(ANOTHER_URL);
}

function maskOne(url: string): string {
  const [head] = url.split("?", 1);
  const isPlain = /:\/\/([^/@:]+|\[[^\]]*\])(:\d+)?(\/[^@]*)?$/.test(head);
  // Characters that had to be escaped in a password, and were not, must not show the rest of it.
  const end = head.includes("@") || isPlain ? head.length : url.length;
  return (url.slice(0, end).replace(/(:\/\/[^/@:]*):.*@/, "$1:**@") + url.slice(end))
    .replace(/([?&](?:[a-z]+_)?password=)[^&]*/gi, "$1**");
}
