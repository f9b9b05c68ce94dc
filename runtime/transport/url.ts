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

/** The URL with its password replaced by `**`; every URL that a log or an error shows goes through here. */
export function maskUrl(url: string): string {
  return url.replace(/(:\/\/[^/@:]*):[^/]*@(?=[^@]*$)/, "$1:**@").replace(/([?&]password=)[^&]*/gi, "$1**");
}
