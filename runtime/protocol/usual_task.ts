/**
 * Dispatch, the usual case: a call without options, alone or in a workflow, written as the newest Celery and this project
 * write it. One regular expression looks at the whole envelope, and only the body is parsed, of a call alone only its
 * arguments: half of the work of parsing it all. What looks different in any way is left to `task_request.ts`, which says the
 * same of the usual case as of every other.
 */
import { isRecord } from "./envelope.ts";
import { needsCare } from "./python_json.ts";
import { readFollowing } from "./signature.ts";
import type { TaskRequest } from "./task_request.ts";

/** A text of one character or more, without escapes and what JSON allows in no text. */
const SOME = String.raw`([^"\\\x00-\x1f]+)`;
const ANY = String.raw`[^"\\\x00-\x1f]*`;

/** The envelope with the parts that differ from call to call; Celery puts spaces into its headers, this project none. */
function envelope(space: " " | ""): RegExp {
  const headers = [
    ...[`"lang": "${ANY}"`, `"task": "${SOME}"`, `"id": "${SOME}"`, '"shadow": null', '"eta": null'],
    ...[
      '"expires": null',
      `"group": (?:null|"${SOME}")`,
      String.raw`"group_index": (?:null|(0|[1-9]\d{0,8}))`,
    ],
    '"retries": 0',
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

const NOTHING = {};

// deno-lint-ignore no-control-regex
const NOT_ASCII = /[^\x00-\x7f]/;

/** The task that an envelope's text asks for, or undefined where it is not a usual one, or not fit to be run. */
export function readUsualTask(text: string, maxBodyBytes: number): TaskRequest | undefined {
  const parts = COMPACT.exec(text) ?? SPACED.exec(text);
  if (parts === null) return undefined;
  const [
    ,
    body,
    task,
    id,
    group,
    groupIndex,
    rootId,
    parentId,
    origin,
    ignored,
    correlationId,
    replyTo,
    ...rest
  ] = parts;
  const [routingKey, priority] = rest;
  const content = contentOf(body, maxBodyBytes);
  if (content === undefined) return undefined;
  return {
    id,
    task,
    args: content.args,
    kwargs: content.kwargs,
    eta: null,
    expires: null,
    retries: 0,
    timeLimit: [null, null],
    rootId,
    parentId: parentId ?? null,
    group: group ?? null,
    groupIndex: groupIndex === undefined ? null : Number(groupIndex),
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
    callbacks: content.callbacks,
    errbacks: content.errbacks,
    chain: content.chain,
    chord: content.chord,
    replacedTaskNesting: 0,
    protocol: 2,
  };
}

type Content = Pick<TaskRequest, "args" | "kwargs" | "callbacks" | "errbacks" | "chain" | "chord">;

/** What stands in a body; nothing where it needs care, or is not as it should be. */
function contentOf(base64: string, maxBodyBytes: number): Content | undefined {
  if (base64.length * 0.75 > maxBodyBytes) return undefined;
  try {
    const body = atob(base64);
    const isAlone = body.endsWith(NOTHING_FOLLOWS);
    const text = isAlone ? body.slice(0, -NOTHING_FOLLOWS.length) + "]" : body;
    if (NOT_ASCII.test(text) || needsCare(text)) return undefined;
    const parts: unknown = JSON.parse(text);
    // What is a list of two with a bracket behind it was the beginning of a list of three.
    if (!Array.isArray(parts) || parts.length !== (isAlone ? 2 : 3)) return undefined;
    const [args, kwargs, follow = NOTHING] = parts;
    if (!Array.isArray(args) || !isRecord(kwargs) || !isRecord(follow)) return undefined;
    return {
      args,
      kwargs,
      callbacks: readFollowing(follow.callbacks, "callbacks"),
      errbacks: readFollowing(follow.errbacks, "errbacks"),
      chain: readFollowing(follow.chain, "chain"),
      chord: readFollowing(follow.chord, "chord")?.[0] ?? null,
    };
  } catch {
    return undefined;
  }
}
