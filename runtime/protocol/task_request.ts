/**
 * Dispatch: a received message becomes the request of a task, decoded whole inside the isolate that runs it. Reads
 * Celery's protocol 2 and 1, and the bare `{"task", "id", "args"}` that anything can send. What is wrong with a message
 * is always a {@linkcode BadMessageError}.
 */
import { BadMessageError, quoted } from "./bad_message.ts";
import { decodeBase64, decodeBase64Text } from "./base64.ts";
import { decompress } from "./compression.ts";
import { parseIso } from "./dates.ts";
import { isRecord, parseEnvelope, type RawEnvelope } from "./envelope.ts";
import { put } from "./plain_value.ts";
import { needsCare, parsePlainJson } from "./python_json.ts";
import { serializerFor } from "./serializers.ts";
import { readFollowing } from "./signature.ts";
import type { SignatureData } from "./task_call.ts";
import { readUsualTask } from "./usual_task.ts";

export { BadMessageError } from "./bad_message.ts";

/** What a message may cost before it is refused. */
export interface MessageLimits {
  /** Bytes of a body, decompressed. Default 16 MiB. */
  readonly maxBodyBytes?: number;
  /** Headers, counting every value nested in them. Default 1000. */
  readonly maxHeaders?: number;
  /** Names or content types of the serializers that may be read. Default: all there are. */
  readonly accept?: readonly string[];
}

/** A task to run, as its message says. Times are milliseconds since 1970, limits seconds. */
export interface TaskRequest {
  readonly id: string;
  readonly task: string;
  readonly args: unknown[];
  readonly kwargs: Record<string, unknown>;
  readonly eta: number | null;
  readonly expires: number | null;
  readonly retries: number;
  /** Hard and soft. */
  readonly timeLimit: [number | null, number | null];
  readonly rootId: string;
  readonly parentId: string | null;
  readonly group: string | null;
  readonly groupIndex: number | null;
  readonly replyTo: string | null;
  readonly correlationId: string | null;
  readonly ignoreResult: boolean;
  readonly shadow: string | null;
  readonly origin: string | null;
  /** It may have run before, in part. */
  readonly redelivered: boolean;
  /** How often it was restored because nobody settled it. */
  readonly deliveries: number;
  readonly priority: number;
  /** The user's own headers. */
  readonly headers: Record<string, unknown>;
  readonly stamps: Record<string, unknown>;
  readonly stampedHeaders: string[] | null;
  readonly routingKey: string;
  readonly exchange: string;
  readonly callbacks: SignatureData[] | null;
  readonly errbacks: SignatureData[] | null;
  /** In reverse: the last one is next. */
  readonly chain: SignatureData[] | null;
  readonly chord: SignatureData | null;
  readonly replacedTaskNesting: number;
  readonly protocol: 1 | 2;
}

const MAX_BODY_BYTES = 16 * 1024 * 1024;
const MAX_HEADERS = 1000;

/** Headers that are not the user's: Celery's, kombu's and the marks of a restore. */
const RESERVED = new Set(
  ("lang task id shadow eta expires group group_index retries timelimit root_id parent_id argsrepr kwargsrepr origin " +
    "ignore_result replaced_task_nesting stamped_headers stamps compression redelivered celeriac_deliveries")
    .split(" "),
);

type Fields = Record<string, unknown>;

/**
 * Decodes an envelope's text, or a bare message's.
 * @throws {BadMessageError} Always this one, with a short `reason`, and the task's id and name where they can be read.
 */
export function decodeTask(text: string, limits: MessageLimits = {}): TaskRequest {
  const { accept, maxBodyBytes = MAX_BODY_BYTES } = limits;
  const usual = accept === undefined || accept.includes("json")
    ? readUsualTask(text, maxBodyBytes)
    : undefined;
  return usual ?? decodeAnyTask(text, limits);
}

/** The same for any message whatever, without a look at whether it is a usual one. @throws {BadMessageError} */
export function decodeAnyTask(text: string, limits: MessageLimits = {}): TaskRequest {
  let raw = parseEnvelope(text, parsePlainJson);
  let headers = isRecord(raw.headers) ? raw.headers : {};
  const bare = raw.body === undefined && raw.task !== undefined;
  const hasOwn = hasOwnHeaders(headers);
  if ((bare || hasOwn) && needsCare(text)) {
    raw = parseEnvelope(text);
    headers = isRecord(raw.headers) ? raw.headers : {};
  }
  let fields: Fields = bare ? raw : headers;
  try {
    if (bare) return bareRequest(raw, text, limits);
    const own = hasOwn ? ownHeaders(headers, limits.maxHeaders ?? MAX_HEADERS) : {};
    const body = decodeBody(raw, headers, limits);
    if (Array.isArray(body)) return requestOf(fields, body, raw, own, 2);
    if (!isRecord(body)) {
      throw new BadMessageError("body is not a task", { detail: "it is no list and no object" });
    }
    fields = headers.task === undefined ? body : { ...body, ...headers };
    if (headers.task !== undefined && body.args === undefined && body.kwargs === undefined) {
      throw new BadMessageError("body is not a triple", {
        detail: "it is an object without args and kwargs",
      });
    }
    return requestOf(fields, tripleOf(body), raw, own, 1);
  } catch (error) {
    throw blame(error, fields);
  }
}

/** A bare message is its own body; the marks of a restore then stand at its top level. */
function bareRequest(raw: RawEnvelope, text: string, limits: MessageLimits): TaskRequest {
  if (text.length > (limits.maxBodyBytes ?? MAX_BODY_BYTES)) throw tooLarge(limits);
  serializerFor("application/json", limits.accept);
  return requestOf(raw, tripleOf(raw), { headers: raw }, {}, 1);
}

function tripleOf(body: Fields): unknown[] {
  return [body.args ?? [], body.kwargs ?? {}, body];
}

function decodeBody(raw: RawEnvelope, headers: Fields, limits: MessageLimits): unknown {
  const body = raw.body;
  if (typeof body !== "string") throw new BadMessageError("not an envelope", { detail: "it has no body" });
  const maxBytes = limits.maxBodyBytes ?? MAX_BODY_BYTES;
  const type = raw["content-type"];
  const serializer = serializerFor(
    typeof type === "string" && type !== "" ? type : "application/json",
    limits.accept,
  );
  const isBase64 = isRecord(raw.properties) && raw.properties.body_encoding === "base64";
  if ((isBase64 ? body.length * 0.75 - 2 : body.length) > maxBytes) throw tooLarge(limits);
  if (!isBase64) return serializer.decode(body);
  const encoding = raw["content-encoding"];
  const compression = headers.compression;
  try {
    if (compression === undefined && encoding === "utf-8") return serializer.decode(decodeBase64Text(body));
  } catch (cause) {
    throw cause instanceof BadMessageError ? cause : new BadMessageError("wrong base64", { cause });
  }
  let bytes = base64Bytes(body);
  if (compression !== undefined && compression !== null) {
    bytes = decompress(String(compression), bytes, maxBytes);
  }
  return serializer.decode(serializer.contentEncoding === "binary" ? bytes : textOf(bytes, encoding));
}

function base64Bytes(body: string): Uint8Array {
  try {
    return decodeBase64(body);
  } catch (cause) {
    throw new BadMessageError("wrong base64", { cause });
  }
}

function textOf(bytes: Uint8Array, encoding: unknown): string {
  const label = typeof encoding === "string" && encoding !== "" && encoding !== "binary" ? encoding : "utf-8";
  try {
    return new TextDecoder(label, { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new BadMessageError("wrong content encoding", {
      detail: `the body is not ${quoted(label)}`,
      cause,
    });
  }
}

function tooLarge(limits: MessageLimits): BadMessageError {
  return new BadMessageError("too large", {
    detail: `the body is more than ${limits.maxBodyBytes ?? MAX_BODY_BYTES} bytes`,
  });
}

/** Whether there is any header of the user's, or a stamp: a plain parse might have changed it. */
function hasOwnHeaders(headers: Fields): boolean {
  for (const key in headers) if (!RESERVED.has(key)) return true;
  const stamps = headers.stamps;
  return typeof stamps === "object" && stamps !== null && Object.keys(stamps).length > 0;
}

/** The user's headers. Counts all headers; those of Celery's names are looked into only where they are kept. */
function ownHeaders(headers: Fields, max: number): Fields {
  const own: Fields = {};
  let count = 0;
  for (const key in headers) {
    count++;
    const reserved = RESERVED.has(key);
    if (reserved && key !== "stamps") continue;
    const value = headers[key];
    if (typeof value === "object" && value !== null) count += sizeOf(value, max - count);
    if (!reserved) put(own, key, value);
    if (count > max) throw new BadMessageError("too many headers", { detail: `more than ${max}` });
  }
  return own;
}

/** How many values an object holds, at all depths; stops soon after `max`. */
function sizeOf(value: object, max: number): number {
  let size = 0;
  const left: object[] = [value];
  for (let next = left.pop(); next !== undefined && size <= max; next = left.pop()) {
    for (const key in next) {
      if (++size > max) break;
      const inner = (next as Fields)[key];
      if (typeof inner === "object" && inner !== null) left.push(inner);
    }
  }
  return size;
}

function requestOf(
  fields: Fields,
  triple: unknown[],
  raw: RawEnvelope,
  own: Fields,
  protocol: 1 | 2,
): TaskRequest {
  const args = triple[0];
  const kwargs = triple[1];
  const task = fields.task;
  if (typeof task !== "string" || task === "") throw new BadMessageError("missing task");
  if (triple.length !== 3) {
    throw new BadMessageError("body is not a triple", { detail: `of ${triple.length} items` });
  }
  if (!Array.isArray(args)) throw new BadMessageError("args is not a list");
  if (!isRecord(kwargs)) throw new BadMessageError("kwargs is not an object");
  const follow = triple[2] ?? {};
  if (!isRecord(follow)) throw new BadMessageError("embed is not an object");
  const headers = isRecord(raw.headers) ? raw.headers : {};
  const properties = isRecord(raw.properties) ? raw.properties : {};
  const info = isRecord(properties.delivery_info) ? properties.delivery_info : {};
  const id = idOf(fields.id);
  if (id === null) throw new BadMessageError("missing id");
  const stamps = isRecord(fields.stamps) ? fields.stamps : {};
  const stampedHeaders = Array.isArray(fields.stamped_headers) ? fields.stamped_headers as string[] : null;
  if (stampedHeaders !== null) { for (const name of stampedHeaders) delete own[name]; }
  return {
    id,
    task,
    args,
    kwargs,
    eta: timeOf(fields.eta, "eta"),
    expires: timeOf(fields.expires, "expires"),
    retries: numberOf(fields.retries) ?? 0,
    timeLimit: limitsOf(fields.timelimit),
    rootId: idOf(fields.root_id) ?? id,
    parentId: idOf(fields.parent_id),
    group: idOf(fields.group) ?? idOf(fields.taskset),
    groupIndex: numberOf(fields.group_index),
    replyTo: idOf(properties.reply_to),
    correlationId: idOf(properties.correlation_id),
    ignoreResult: fields.ignore_result === true,
    shadow: idOf(fields.shadow),
    origin: idOf(fields.origin),
    redelivered: headers.redelivered === true || info.redelivered === true || raw.redelivered === true,
    deliveries: numberOf(headers.celeriac_deliveries ?? raw.celeriac_deliveries) ?? 0,
    priority: numberOf(properties.priority) ?? 0,
    headers: own,
    stamps,
    stampedHeaders,
    routingKey: typeof info.routing_key === "string" ? info.routing_key : "",
    exchange: typeof info.exchange === "string" ? info.exchange : "",
    callbacks: readFollowing(follow.callbacks, "callbacks"),
    errbacks: readFollowing(follow.errbacks, "errbacks"),
    chain: readFollowing(follow.chain, "chain"),
    chord: readFollowing(follow.chord, "chord")?.[0] ?? null,
    replacedTaskNesting: numberOf(fields.replaced_task_nesting) ?? 0,
    protocol,
  };
}

/** Ids are text; a number, which a plain message may have, is taken by its text. */
function idOf(value: unknown): string | null {
  if (typeof value === "string") return value === "" ? null : value;
  return typeof value === "number" || typeof value === "bigint" ? String(value) : null;
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function timeOf(value: unknown, name: string): number | null {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value.getTime();
  try {
    if (typeof value === "string") return parseIso(value);
  } catch (cause) {
    throw new BadMessageError(`bad ${name}`, { detail: (cause as Error).message, cause });
  }
  throw new BadMessageError(`bad ${name}`, { detail: `${quoted(value)} is no date` });
}

function limitsOf(value: unknown): [number | null, number | null] {
  if (value === null || value === undefined) return [null, null];
  if (Array.isArray(value) && value.length === 2 && isLimit(value[0]) && isLimit(value[1])) {
    return value as [number | null, number | null];
  }
  throw new BadMessageError("bad timelimit", { detail: "it is not [hard, soft] in seconds" });
}

function isLimit(value: unknown): boolean {
  return value === null || numberOf(value) !== null;
}

function blame(error: unknown, fields: Fields): BadMessageError {
  const bad = error instanceof BadMessageError
    ? error
    : new BadMessageError("unreadable", { detail: String(error), cause: error });
  bad.id ??= idOf(fields.id) ?? undefined;
  bad.task ??= typeof fields.task === "string" ? fields.task : undefined;
  return bad;
}

/** What a fast look at a message tells. */
export interface TaskPeek {
  readonly id: string;
  readonly task: string;
}

const PEEK = '"headers": {"lang":';

/**
 * The task's id and name, for logs and routing: found without parsing in what Celery and this project write, else by
 * decoding the whole. The truth is what {@linkcode decodeTask} says.
 */
export function peekTask(text: string): TaskPeek | undefined {
  return quickPeek(text) ?? peekByDecoding(text);
}

/** Relies on the order in which Celery writes headers: lang, task, id. A separator is followed by a space, or none. */
function quickPeek(text: string): TaskPeek | undefined {
  const at = text.indexOf(PEEK) + PEEK.length;
  if (at < PEEK.length) return undefined;
  const spaced = text.charCodeAt(at) === 0x20;
  const beforeTask = spaced ? '", "task": "' : '","task":"';
  const beforeId = spaced ? '", "id": "' : '","id":"';
  const langEnd = text.indexOf('"', at + (spaced ? 2 : 1));
  const taskStart = langEnd + beforeTask.length;
  const taskEnd = text.indexOf('"', taskStart);
  const idStart = taskEnd + beforeId.length;
  const idEnd = text.indexOf('"', idStart);
  if (idEnd < 0 || !text.startsWith(beforeTask, langEnd) || !text.startsWith(beforeId, taskEnd)) {
    return undefined;
  }
  const task = text.slice(taskStart, taskEnd);
  const id = text.slice(idStart, idEnd);
  return task.includes("\\") || id.includes("\\") ? undefined : { id, task };
}

function peekByDecoding(text: string): TaskPeek | undefined {
  try {
    const { id, task } = decodeTask(text);
    return { id, task };
  } catch (error) {
    const { id, task } = error as BadMessageError;
    return id !== undefined && task !== undefined ? { id, task } : undefined;
  }
}
