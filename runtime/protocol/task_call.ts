/** Publish: a call of a task becomes a message of Celery's protocol 2. */
import { compress, mimeOf } from "./compression.ts";
import { formatIso } from "./dates.ts";
import { stringifyPythonJson } from "./python_json.ts";
import { reprOfArgs, reprOfKwargs } from "./python_repr.ts";
import { serializerNamed } from "./serializers.ts";
import type { SignatureJson } from "./signature.ts";
import type { WireMessage } from "./wire_message.ts";

/** A signature as it travels inside of messages. */
export type SignatureData = SignatureJson;

/** Everything that a call of a task may say. Times are milliseconds since 1970. */
export interface TaskCall {
  /** The task's name. */
  readonly task: string;
  readonly id: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Not before this time. */
  readonly eta?: number;
  /** Not after this time. */
  readonly expires?: number;
  /** How often it has been retried. Default 0. */
  readonly retries?: number;
  /** Hard and soft limit in seconds. */
  readonly timeLimit?: readonly [number | null, number | null];
  /** As the caller gave it. Default 0. */
  readonly priority?: number;
  /** The queue it goes to, by the default exchange, unless `exchange` and `routingKey` are given. */
  readonly queue: string;
  readonly exchange?: string;
  readonly routingKey?: string;
  readonly replyTo?: string;
  /** A name to show instead of the task's. */
  readonly shadow?: string;
  readonly ignoreResult?: boolean;
  /** The first task of the tree it belongs to. Default: itself. */
  readonly rootId?: string;
  readonly parentId?: string;
  readonly group?: string;
  readonly groupIndex?: number;
  /** The user's own headers. As in Celery one with a name of Celery's own wins over it. */
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly stamps?: Readonly<Record<string, unknown>>;
  readonly stampedHeaders?: readonly string[];
  /** Default `"json"`. */
  readonly serializer?: string;
  /** `"zlib"`, `"gzip"`, `"zstd"` or `"brotli"`. Default none. */
  readonly compression?: string;
  /** Run with the result. */
  readonly callbacks?: readonly SignatureData[];
  /** Run with the error. */
  readonly errbacks?: readonly SignatureData[];
  /** What follows, in reverse: the last one is next. */
  readonly chain?: readonly SignatureData[];
  readonly chord?: SignatureData;
  /** Who sent it, for monitors: `gen123@host`. */
  readonly origin?: string;
  readonly replacedTaskNesting?: number;
  /** What monitors are shown instead of the arguments, when these are secret. */
  readonly argsrepr?: string;
  readonly kwargsrepr?: string;
}

const NO_EMBED = `{"callbacks": null, "errbacks": null, "chain": null, "chord": null}`;

/**
 * Writes a call as Celery writes it.
 * @throws {UnserializableError} For arguments that no message can carry; the path begins with `args` or `kwargs`.
 * @throws {RefusedContentError} For an unknown serializer or compression.
 * @throws {RangeError} For a time outside of the years 1 to 9999.
 */
export function encodeTask(call: TaskCall): WireMessage {
  const headers: Record<string, unknown> = {
    lang: "js",
    task: call.task,
    id: call.id,
    shadow: call.shadow ?? null,
    eta: call.eta === undefined ? null : formatIso(call.eta),
    expires: call.expires === undefined ? null : formatIso(call.expires),
    group: call.group ?? null,
    group_index: call.groupIndex ?? null,
    retries: call.retries ?? 0,
    timelimit: call.timeLimit ?? [null, null],
    root_id: call.rootId ?? call.id,
    parent_id: call.parentId ?? null,
    argsrepr: call.argsrepr ?? reprOfArgs(call.args),
    kwargsrepr: call.kwargsrepr ?? reprOfKwargs(call.kwargs),
    origin: call.origin ?? null,
    ignore_result: call.ignoreResult ?? false,
    replaced_task_nesting: call.replacedTaskNesting ?? 0,
    stamped_headers: call.stampedHeaders ?? null,
    stamps: call.stamps ?? {},
  };
  if (call.headers !== undefined) Object.assign(headers, call.headers);

  const serializer = serializerNamed(call.serializer ?? "json");
  let body = serializer.name === "json"
    ? jsonBody(call)
    : serializer.encode([call.args, call.kwargs, embedOf(call)]);
  if (call.compression !== undefined) {
    headers.compression = mimeOf(call.compression);
    body = compress(call.compression, typeof body === "string" ? new TextEncoder().encode(body) : body);
  }
  return {
    exchange: call.exchange ?? "",
    routingKey: call.routingKey ?? call.queue,
    priority: call.priority ?? 0,
    headers,
    contentType: serializer.contentType,
    contentEncoding: serializer.contentEncoding,
    body,
    correlationId: call.id,
    replyTo: call.replyTo ?? "",
  };
}

function jsonBody(call: TaskCall): string {
  const args = stringifyPythonJson(call.args, "args");
  const kwargs = stringifyPythonJson(call.kwargs, "kwargs");
  const follows = call.callbacks ?? call.errbacks ?? call.chain ?? call.chord;
  return `[${args}, ${kwargs}, ${follows === undefined ? NO_EMBED : stringifyPythonJson(embedOf(call))}]`;
}

function embedOf(call: TaskCall): Record<string, unknown> {
  return {
    callbacks: call.callbacks ?? null,
    errbacks: call.errbacks ?? null,
    chain: call.chain ?? null,
    chord: call.chord ?? null,
  };
}
