/**
 * The message that runs a task again, made of the one that ran it: from **run** back to **publish**. What a retry does
 * not change stays as it came, byte for byte where it can: arguments that only Python can write survive any number of
 * retries, and so do headers that nobody here knows.
 */
import { decodeEnvelope, isRecord, parseEnvelope } from "../protocol/envelope.ts";
import { formatIso } from "../protocol/dates.ts";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import { serializerFor } from "../protocol/serializers.ts";
import type { TaskCall } from "../protocol/task_call.ts";
import { encodeTask, type TaskRequest } from "../protocol/task_message.ts";
import type { WireMessage } from "../protocol/wire_message.ts";

/** What is different the next time. Times are milliseconds since 1970; what is not named stays as it was. */
export interface RetryChange {
  /** Null: as soon as there is room for it. */
  readonly eta: number | null;
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  readonly expires?: number;
  /** Hard and soft, in seconds. */
  readonly timeLimit?: readonly [number | null, number | null];
  /** Put over those that the message has. */
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly priority?: number;
  readonly queue?: string;
  readonly exchange?: string;
  readonly routingKey?: string;
}

/** What a broker adds to a message on its way: no part of it. */
const BROKERS_OWN = /^x-(death|first-death-|last-death-|delivery-count$|acquired-count$)/;

/**
 * The message for one more try of the task that `text` asked for.
 *
 * @throws {UnserializableError} For arguments or headers that no message can carry.
 */
export function retryMessage(text: string, request: TaskRequest, change: RetryChange): WireMessage {
  const { args, kwargs, headers } = change;
  // Refused here: later it would fail the whole batch that it goes out with.
  if (headers !== undefined) stringifyPythonJson(headers, "headers");
  const isKept = request.protocol === 2 && args === undefined && kwargs === undefined;
  const message = isKept ? keptMessage(text, request, change) : newMessage(text, request, change);
  return request.redelivered
    // Its first delivery may have been retried, too: this may be a second copy.
    ? { ...message, headers: { ...message.headers, redelivered: true } }
    : message;
}

/** The body as it came, under new headers. */
function keptMessage(text: string, request: TaskRequest, change: RetryChange): WireMessage {
  const { headers, contentType, contentEncoding, body } = decodeEnvelope(text);
  const { eta, expires, timeLimit } = change;
  return {
    ...addressOf(request, change),
    headers: {
      ...headersOf(headers),
      eta: eta === null ? null : formatIso(eta),
      retries: request.retries + 1,
      ...(expires !== undefined && { expires: formatIso(expires) }),
      ...(timeLimit !== undefined && { timelimit: timeLimit }),
      ...change.headers,
    },
    contentType: contentType || "application/json",
    contentEncoding: contentEncoding || "utf-8",
    body,
    correlationId: request.correlationId ?? request.id,
    replyTo: request.replyTo ?? "",
  };
}

/** The call written anew, in the serializer and compression that it came in. */
function newMessage(text: string, request: TaskRequest, change: RetryChange): WireMessage {
  const raw = parseEnvelope(text);
  const before = isRecord(raw.headers) ? raw.headers : {};
  const type = raw["content-type"];
  const { compression } = before;
  const message = encodeTask({
    ...callOf(request, change),
    serializer: serializerFor(typeof type === "string" && type !== "" ? type : "application/json").name,
    ...(typeof compression === "string" && { compression }),
  });
  const kept = request.protocol === 2 ? headersOf(before) : {};
  return {
    ...message,
    ...addressOf(request, change),
    headers: { ...kept, ...message.headers, ...change.headers },
  };
}

function callOf(request: TaskRequest, change: RetryChange): TaskCall {
  return {
    task: request.task,
    id: request.id,
    args: change.args ?? request.args,
    kwargs: change.kwargs ?? request.kwargs,
    eta: change.eta ?? undefined,
    expires: change.expires ?? request.expires ?? undefined,
    retries: request.retries + 1,
    timeLimit: change.timeLimit ?? request.timeLimit,
    queue: request.routingKey,
    replyTo: request.replyTo ?? undefined,
    shadow: request.shadow ?? undefined,
    ignoreResult: request.ignoreResult,
    rootId: request.rootId,
    parentId: request.parentId ?? undefined,
    group: request.group ?? undefined,
    groupIndex: request.groupIndex ?? undefined,
    headers: request.headers,
    stamps: request.stamps,
    stampedHeaders: request.stampedHeaders ?? undefined,
    callbacks: request.callbacks ?? undefined,
    errbacks: request.errbacks ?? undefined,
    chain: request.chain ?? undefined,
    chord: request.chord ?? undefined,
    origin: request.origin ?? undefined,
    replacedTaskNesting: request.replacedTaskNesting,
  };
}

/** Headers without those that say how the message has fared so far. */
function headersOf(headers: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { redelivered: _, celeriac_deliveries: __, ...rest } = headers;
  return Object.fromEntries(Object.entries(rest).filter(([name]) => !BROKERS_OWN.test(name)));
}

/** Where it goes: back to where it came from, unless the retry names another place. */
function addressOf(
  request: TaskRequest,
  { queue, exchange, routingKey, priority = request.priority }: RetryChange,
): Pick<WireMessage, "exchange" | "routingKey" | "priority"> {
  if (queue !== undefined) return { exchange: "", routingKey: queue, priority };
  return {
    exchange: exchange ?? request.exchange,
    routingKey: routingKey ?? request.routingKey,
    priority,
  };
}
