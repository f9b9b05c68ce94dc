/** Why a Redis does not let us in or answer, in words that say what to do. */
import { NotFoundError } from "./finder.ts";

export interface Refusal {
  readonly why: string;
  /** Trying again is of no use. */
  readonly permanent: boolean;
  /** Something that servers and networks do, as opposed to a mistake in what was asked. */
  readonly expected: boolean;
  readonly cause?: Error;
}

const permanent: [RegExp, string][] = [
  [/WRONGPASS|invalid password/, "wrong user name or password"],
  [/NOAUTH/, "it asks for a password: write redis://:PASSWORD@HOST or redis://USER:PASSWORD@HOST"],
  [/NOPERM/, "this user may not do that"],
  [/DB index|invalid DB/, "it has no such database: the number after the host is too large"],
  [
    /SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|CERT_|ERR_TLS_CERT|certificate|UnknownIssuer/i,
    "its certificate is not to be trusted: give its authority with ?ssl_ca_certs=FILE",
  ],
];

const passing: [RegExp, string][] = [
  [/ECONNREFUSED|ConnectionRefused/, "it refused the connection: is Redis running there?"],
  [/ENOTFOUND|EAI_AGAIN|getaddrinfo/, "there is no host of that name"],
  [/ENOENT/, "there is no such socket"],
  [/EACCES|EPERM/, "this process may not open it"],
  [/EHOSTUNREACH|ENETUNREACH/, "there is no way to that host"],
  [/ETIMEDOUT|Socket timeout/, "it does not answer"],
  [/ECONNRESET|EPIPE|socket hang up|ended by the other/, "the connection was cut"],
  [/\bOOM\b/, "its memory is full (maxmemory)"],
  [/MISCONF/, "it cannot save to its disk and takes no writes"],
  [/LOADING/, "it is still loading its data"],
  [/READONLY|with replica instances/, "it is a replica and takes no writes"],
  [/MASTERDOWN|NOREPLICAS|CLUSTERDOWN|TRYAGAIN/, "it has lost its master or its replicas"],
  [/\bMOVED\b|\bASK \d|non local key/, "the cluster has moved these keys to another node"],
  [/BUSY/, "a script keeps it busy"],
  [/max number of clients/, "it has too many clients"],
  [
    /Connection is closed|Command timed out|isn't writeable|Max retries|max retries|UNBLOCKED/,
    "the connection was lost",
  ],
];

/** What an error of a connection or an answer means. */
export function reasonOf(error: Error & { code?: string }): Refusal {
  if (error instanceof NotFoundError) {
    return { why: error.message, permanent: error.permanent, expected: true, cause: error };
  }
  const text = `${error.code ?? ""} ${error.message}`.trim();
  for (const [pattern, why] of permanent) {
    if (pattern.test(text)) {
      return { why: `${why} (${brief(error)})`, permanent: true, expected: true, cause: error };
    }
  }
  for (const [pattern, why] of passing) {
    if (pattern.test(text)) {
      return { why: `${why} (${brief(error)})`, permanent: false, expected: true, cause: error };
    }
  }
  return { why: brief(error), permanent: false, expected: false, cause: error };
}

function brief(error: Error & { code?: string }): string {
  // An AggregateError, one for each address of a host, has an empty message.
  const text = error.message || error.code || error.name;
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
