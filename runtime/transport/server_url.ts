/**
 * The parts of a URL that leads to a server over TCP: what Redis and RabbitMQ have in common, as kombu and Celery read it.
 */
import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { BadUrlError } from "./url.ts";

/** A URL taken apart. */
export interface ServerUrl {
  readonly host: string;
  /** Where the URL has one. */
  readonly port: number | undefined;
  readonly username: string;
  readonly password: string;
  /** Decoded, with its slash. */
  readonly path: string;
  readonly query: URLSearchParams;
}

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
 * Takes `SCHEME://[[USER]:PASSWORD@][HOST][:PORT][/PATH][?OPTIONS]` apart; without a host it is localhost. `name` is the
 * masked URL that errors show, `otherwise` what they say when it can't be read.
 *
 * @throws {BadUrlError}
 */
export function readServerUrl(url: string, name: string, otherwise: string): ServerUrl {
  let parts: URL;
  try {
    parts = new URL(url.replace(/^[^:]+:/, "http:").replace(noHost, "$&localhost"));
  } catch (cause) {
    throw new BadUrlError(`"${name}" is no ${otherwise}, and %-escapes in the password`, { cause });
  }
  // URL drops port 80, the default of the scheme that it was read as.
  const port = parts.port || (/:80(?=[/?#]|$)/.test(url) ? "80" : "");
  return {
    host: parts.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? undefined : Number(port),
    username: decoded(parts.username, name),
    password: decoded(parts.password, name),
    path: decoded(parts.pathname, name),
    query: parts.searchParams,
  };
}

/**
 * What the options `ssl_cert_reqs`, `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` and `ssl_check_hostname` say. `host` is
 * what the server's certificate is for, `""` where that is known later.
 *
 * @throws {BadUrlError}
 */
export function tlsOptions(query: URLSearchParams, host: string, name: string): ConnectionOptions {
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

function decoded(text: string, name: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new BadUrlError(`"${name}" has a % that is no escape: write %25 for a percent sign`, { cause });
  }
}

function contents(path: string, option: string, name: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new BadUrlError(`"${name}" has ${option}=${path}, and that file cannot be read`, { cause });
  }
}
