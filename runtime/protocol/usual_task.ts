/**
 * Dispatch, the usual case: a call without options, written as the newest Celery and this project write it. One regular
 * expression looks at the whole envelope, and only the arguments are parsed: half of the work of parsing it all. What
 * looks different in any way is left to `task_request.ts`, which says the same of the usual case as of every other.
 */
import { isRecord } from "./envelope.ts";
import { needsCare } from "./python_json.ts";
import type { TaskRequest } from "./task_request.ts";

/** A text of one character or more, without escapes and what JSON allows in no text. */
const SOME = String.raw`([^"\\\x00-\x1f]+)`;
const ANY = String.raw`[^"\\\x00-\x1f]*`;

/** The envelope with the parts that differ from call to call; Celery puts spaces into its headers, this project none. */
function envelope(space: " " | ""): RegExp {
  const headers = [
    ...[`"lang": "${ANY}"`, `"task": "${SOME}"`, `"id": "${SOME}"`, '"shadow": null', '"eta": null'],
    ...['"expires": null', '"group": null', '"group_index": null', '"retries": 0'],
    ...[String.raw`"timelimit": \[null, null\]`, `"root_id": "${SOME}"`, `"parent_id": (?:null|"${SOME}")`],
    ...[`"argsrepr": "${ANY}"`, `"kwargsrepr": "${ANY}"`, `"origin": "${SOME}"`],
    ...['"ignore_result": (true|false)', '"replaced_task_nesting": 0', '"stamped_headers": null'],
    String.raw`"stamps": \{\}`,
  ].join(", ").replaceAll(/(?<=[,:]) /g, space);
  return new RegExp(
    String
      .raw`^\{"body": "([A-Za-z0-9+/=]*)", "content-encoding": "utf-8", "content-type": "application/json", ` +
      String
        .raw`"headers": \{${headers}\}, "properties": \{"correlation_id": "${SOME}", "reply_to": "(${ANY})", ` +
      String.raw`"delivery_mode": 2, "delivery_info": \{"exchange": "", "routing_key": "(${ANY})"\}, ` +
      String.raw`"priority": (\d), "body_encoding": "base64", "delivery_tag": "${ANY}"\}\}$`,
  );
}

const SPACED = envelope(" ");
const COMPACT = envelope("");

/** How a body ends that asks for nothing to follow. */
const NOTHING_FOLLOWS = `, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`;

// deno-lint-ignore no-control-regex
const NOT_ASCII = /[^\x00-\x7f]/;

/** The task that an envelope's text asks for, or undefined where it is not a usual one, or not fit to be run. */
export function readUsualTask(text: string, maxBodyBytes: number): TaskRequest | undefined {
  const parts = COMPACT.exec(text) ?? SPACED.exec(text);
  if (parts === null) return undefined;
  const [, body, task, id, rootId, parentId, origin, ignored, correlationId, replyTo, routingKey, priority] =
    parts;
  const both = argumentsOf(body, maxBodyBytes);
  if (both === undefined) return undefined;
  return {
    id,
    task,
    args: both[0],
    kwargs: both[1],
    eta: null,
    expires: null,
    retries: 0,
    timeLimit: [null, null],
    rootId,
    parentId: parentId ?? null,
    group: null,
    groupIndex: null,
    replyTo: replyTo || null,
    correlationId,
    ignoreResult: ignored === "true",
    shadow: null,
    origin,
    redelivered: false,
    deliveries: 0,
    priority: Number(priority),
    headers: {},
    stamps: {},
    stampedHeaders: null,
    routingKey,
    exchange: "",
    callbacks: null,
    errbacks: null,
    chain: null,
    chord: null,
    replacedTaskNesting: 0,
    protocol: 2,
  };
}

/** The arguments in a body whose third part says that nothing follows; nothing for any other. */
function argumentsOf(base64: string, maxBodyBytes: number): [unknown[], Record<string, unknown>] | undefined {
  if (base64.length * 0.75 > maxBodyBytes) return undefined;
  try {
    const body = atob(base64);
    if (!body.endsWith(NOTHING_FOLLOWS)) return undefined;
    const text = body.slice(0, -NOTHING_FOLLOWS.length) + "]";
    if (NOT_ASCII.test(text) || needsCare(text)) return undefined;
    // What is a list of two with a bracket behind it was the beginning of a list of three.
    const both: unknown = JSON.parse(text);
    return Array.isArray(both) && both.length === 2 && Array.isArray(both[0]) && isRecord(both[1])
      ? both as [unknown[], Record<string, unknown>]
      : undefined;
  } catch {
    return undefined;
  }
}
