/** Why a RabbitMQ does not let us in or answer, in words that say what to do. */

export interface Refusal {
  readonly why: string;
  /** Trying again is of no use. */
  readonly permanent: boolean;
  readonly cause: Error;
}

const permanent: [RegExp, string][] = [
  [/ACCESS.REFUSED|403 \(/, "wrong user name or password"],
  [/ConnectionOpenOk|530 \(/, "it has no such virtual host, or this user may not use it"],
  [
    /SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|CERT_|ERR_TLS_CERT|certificate|UnknownIssuer/i,
    "its certificate is not to be trusted: give its authority with ?ssl_ca_certs=FILE",
  ],
];

const passing: [RegExp, string][] = [
  [/ECONNREFUSED|ConnectionRefused/, "it refused the connection: is RabbitMQ running there?"],
  [/ENOTFOUND|EAI_AGAIN|getaddrinfo/, "there is no host of that name"],
  [/EHOSTUNREACH|ENETUNREACH/, "there is no way to that host"],
  [/ETIMEDOUT/, "it does not answer"],
  [/Heartbeat timeout/, "it has stopped answering"],
  [/Socket closed abruptly|ECONNRESET|EPIPE|Unexpected close|hang up/, "the connection was cut"],
  [/CONNECTION.FORCED/, "it is shutting down"],
];

/** What an error of a connection means. */
export function reasonOf(error: Error & { code?: unknown }): Refusal {
  const text = `${error.code ?? ""} ${error.message}`.trim();
  for (const [pattern, why] of permanent) {
    if (pattern.test(text)) return { why: `${why} (${brief(error)})`, permanent: true, cause: error };
  }
  for (const [pattern, why] of passing) {
    if (pattern.test(text)) return { why: `${why} (${brief(error)})`, permanent: false, cause: error };
  }
  return { why: brief(error), permanent: false, cause: error };
}

/** The reply code of a channel or connection that the server has closed, or undefined for any other error. */
export function replyCode(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "number" ? code : undefined;
}

/** Reply codes of AMQP. */
export const NO_ACCESS = 403;
export const NOT_FOUND = 404;
export const PRECONDITION_FAILED = 406;

function brief(error: Error & { code?: unknown }): string {
  // An AggregateError, one for each address of a host, has an empty message.
  const text = error.message || String(error.code ?? error.name);
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
