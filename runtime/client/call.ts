/** A call of a task on its way to be **published**: its options, what fills the gaps, and the message it becomes. */
import { hostname } from "node:os";
import process from "node:process";
import { messageChoices } from "../config/message_defaults.ts";
import type { TaskRoute } from "../config/task_routes.ts";
import type { Settings } from "../config/settings.ts";
import { currentTask } from "../isolate/task_context.ts";
import type { TaskOptions } from "../isolate/task_definition.ts";
import { millisecondsOf, priorityOf, timeOf } from "../protocol/call_options.ts";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import type { SignatureData, TaskCall } from "../protocol/task_message.ts";
import { callOf } from "../workflow/compose.ts";
import { type AnySignature, Signature } from "./signature.ts";

/** Who sends, in Celery's words. */
let origin: string | undefined;

/** Who sends, as kombu writes it. A task with permissions of its own may not be permitted to know where it is. */
export function originOfCalls(): string {
  if (origin !== undefined) return origin;
  let host = "confined";
  try {
    host = hostname();
  } catch {
    // It is not.
  }
  return origin = `gen${process.pid}@${host}`;
}

/** What a call may say, beside the task's name and arguments (Celery: the options of `apply_async`). */
export interface CallOptions {
  /** The task's id. Default: a new one, see {@linkcode uid}. */
  readonly taskId?: string;
  /** Seconds to wait before it starts. */
  readonly countdown?: number;
  /** The earliest time it starts; wins over `countdown`. */
  readonly eta?: Date;
  /** Seconds from now, or the time, after which it is no longer started; its state is then REVOKED. */
  readonly expires?: number | Date;
  /** The queue. Default: the task's own, else by `taskRoutes`, else `taskDefaultQueue`. */
  readonly queue?: string;
  /** The exchange to publish to. Default `""`, which leads straight to the queue. */
  readonly exchange?: string;
  /** The routing key. Default: the queue's name. */
  readonly routingKey?: string;
  /** 0 to 9; 0 is served first on Redis, SQLite and memory. */
  readonly priority?: number;
  /** Your own headers: the task finds them in `ctx.headers`. */
  readonly headers?: Readonly<Record<string, unknown>>;
  /** `"json"` or `"msgpack"`. Default: the setting `taskSerializer`. */
  readonly serializer?: string;
  /** `"zlib"`, `"gzip"`, `"zstd"` or `"brotli"`. Default: the setting `taskCompression`. */
  readonly compression?: string;
  /** Stores no result. */
  readonly ignoreResult?: boolean;
  /** Seconds after which the run is ended. */
  readonly timeLimit?: number;
  /** Seconds after which the run is asked to end. */
  readonly softTimeLimit?: number;
  /** Another name to show for it in logs and monitors. */
  readonly shadow?: string;
  /** The queue that replies are sent to. */
  readonly replyTo?: string;
  /** What is called with the result when it succeeds (Celery: `link`). A {@linkcode Signature} has it as a method. */
  readonly link?: Linked | readonly Linked[];
  /** What is called when it fails (Celery: `link_error`). */
  readonly linkError?: Linked | readonly Linked[];
  /** The group it belongs to. */
  readonly groupId?: string;
  /** Its place in that group, from 0. */
  readonly groupIndex?: number;
  /** The first task of its tree. Default: that of the running task, if there is one, else itself. */
  readonly rootId?: string;
  /** The task that calls it. Default: the running one. */
  readonly parentId?: string;
  /** How often it has been tried before. Default 0. */
  readonly retries?: number;
  /** What monitors show in place of its positional arguments, when these are secret. */
  readonly argsrepr?: string;
  /** What they show in place of its keyword arguments. */
  readonly kwargsrepr?: string;
  /** Whether publishing is tried again while the broker is away. Default true. */
  readonly retry?: boolean;
  /** Seconds for which it is tried. Default: the setting of that name. */
  readonly publishTimeout?: number;
}

/** What is called after a task: a signature, or the parts of one. */
export type Linked = CallLink | AnySignature;

/** A task to be called after another one, as it travels inside of that one's message (Celery: a signature). */
export interface CallLink {
  /** The task's name. */
  readonly task: string;
  /** Positional arguments, after the result of what went before. */
  readonly args?: readonly unknown[];
  /** Keyword arguments. */
  readonly kwargs?: Readonly<Record<string, unknown>>;
  /** Options of the call in Celery's spelling: `{ queue: "mails", task_id: "..." }`. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** It gets its own arguments alone, without the result. Default false. */
  readonly immutable?: boolean;
}

/** The options of `applyAsync`, which brings the arguments along. */
export interface ApplyOptions<Args extends readonly unknown[] = readonly unknown[]> extends CallOptions {
  /** Positional arguments. */
  readonly args?: Args;
  /** Keyword arguments, for a task that names its parameters or for Python. */
  readonly kwargs?: Readonly<Record<string, unknown>>;
}

/**
 * What a call says goes before what its task says, that before its route, that before the settings. `replyTo`: where
 * the app hears results, unless the call names another queue.
 */
export function completeCall(
  call: { id: string; task: string; args: readonly unknown[]; kwargs: Readonly<Record<string, unknown>> },
  options: CallOptions,
  task: TaskOptions,
  route: TaskRoute | null,
  settings: Settings,
  now: number,
  replyTo?: string,
): TaskCall {
  const { eta, countdown, timeLimit, softTimeLimit } = options;
  const parent = currentTask();
  const expires = options.expires ?? task.expires ?? route?.expires;
  const choices = messageChoices(options, task, route, settings);
  return {
    ...call,
    ...choices,
    priority: priorityOf(choices.priority),
    eta: eta !== undefined
      ? timeOf(eta, "eta")
      : countdown !== undefined
      ? now + millisecondsOf(countdown, "countdown")
      : undefined,
    expires: expires === undefined
      ? undefined
      : typeof expires === "number"
      ? now + millisecondsOf(expires, "expires")
      : timeOf(expires, "expires"),
    timeLimit: timeLimit === undefined && softTimeLimit === undefined
      ? undefined
      : [timeLimit ?? null, softTimeLimit ?? null],
    exchange: options.exchange,
    routingKey: options.routingKey,
    headers: options.headers && writable(options.headers),
    shadow: options.shadow,
    replyTo: options.replyTo ?? replyTo,
    origin: originOfCalls(),
    callbacks: signatures(options.link, "link"),
    errbacks: signatures(options.linkError, "linkError"),
    group: options.groupId,
    groupIndex: options.groupIndex,
    retries: options.retries,
    argsrepr: options.argsrepr,
    kwargsrepr: options.kwargsrepr,
    rootId: options.rootId ?? parent?.rootId ?? parent?.id,
    parentId: options.parentId ?? parent?.id,
  };
}

function signatures(
  links: Linked | readonly Linked[] | undefined,
  option: string,
): SignatureData[] | undefined {
  if (links === undefined) return undefined;
  return (Array.isArray(links) ? links as readonly Linked[] : [links as Linked]).map((link) => {
    if (link instanceof Signature) return link.toJSON();
    const { task, args, kwargs, options, immutable } = link as CallLink;
    if (typeof task !== "string" || task === "") throw new TypeError(`${option} names no task`);
    return callOf(task, args, kwargs, options, immutable);
  });
}

/** A header that can't be written is refused here: later it would fail the whole batch that it goes out with. */
function writable(headers: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  stringifyPythonJson(headers, "headers");
  return headers;
}
