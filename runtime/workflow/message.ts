/** A planned call becomes a message: **publish**, with what its own options, its task's, its route and the settings say. */
import { messageChoices, type MessageDefaults } from "../config/message_defaults.ts";
import type { TaskRoute } from "../config/task_routes.ts";
import type { Settings } from "../config/settings.ts";
import { parseIso } from "../protocol/dates.ts";
import { linksOf, type SignatureJson } from "../protocol/signature.ts";
import { encodeTask } from "../protocol/task_message.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import type { PlannedCall } from "./plan.ts";

/** What surrounds a call when its message is made. */
export interface CallSurroundings {
  readonly settings: Settings;
  /** Who sends, in Celery's words. */
  readonly origin: string | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Where results are waited for, unless the call names another place. */
  readonly replyTo?: string;
  /** The first task of the tree, and the one that calls. */
  readonly rootId?: string;
  readonly parentId?: string;
  route(
    task: string,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
  ): TaskRoute | null;
  /** The options of a task that is known here. */
  defaultsOf(task: string): MessageDefaults | undefined;
}

/** The options that are looked at, once they were read or written by Celery's rules. */
interface CallOptionsJson {
  readonly queue?: string | null;
  readonly exchange?: string | null;
  readonly routing_key?: string | null;
  readonly priority?: number | null;
  readonly countdown?: number | null;
  readonly eta?: string | Date | null;
  readonly expires?: number | string | Date | null;
  readonly time_limit?: number | null;
  readonly soft_time_limit?: number | null;
  readonly serializer?: string | null;
  readonly compression?: string | null;
  readonly ignore_result?: boolean | null;
  readonly headers?: Record<string, unknown> | null;
  readonly shadow?: string | null;
  readonly reply_to?: string | null;
  readonly root_id?: string | null;
  readonly parent_id?: string | null;
  readonly group_id?: string | null;
  readonly group_index?: number | null;
  readonly retries?: number | null;
  readonly argsrepr?: string | null;
  readonly kwargsrepr?: string | null;
  readonly stamped_headers?: readonly string[] | null;
  readonly chain?: readonly SignatureJson[] | null;
  readonly chord?: SignatureJson | null;
  readonly replaced_task_nesting?: number | null;
  readonly [option: string]: unknown;
}

/**
 * The message of a planned call.
 *
 * @throws {UnserializableError} For arguments or headers that no message can carry.
 */
export function messageOf(
  { id, task: name, args, kwargs, options: given }: PlannedCall,
  surroundings: CallSurroundings,
): WireMessage {
  const options = given as CallOptionsJson;
  const { settings, now } = surroundings;
  const task = surroundings.defaultsOf(name) ?? {};
  const route = surroundings.route(name, args, kwargs);
  const expires = options.expires ?? task.expires ?? route?.expires;
  const eta = options.eta ?? undefined;
  const countdown = options.countdown ?? undefined;
  const timeLimit = options.time_limit ?? null, softTimeLimit = options.soft_time_limit ?? null;
  const stamps = (options.stamped_headers ?? []).map((stamp) => [stamp, options[stamp]]);
  return encodeTask({
    id,
    task: name,
    args,
    kwargs,
    origin: surroundings.origin,
    ...messageChoices({ ...options, ignoreResult: options.ignore_result }, task, route, settings),
    eta: eta !== undefined ? timeOf(eta) : countdown !== undefined ? now + countdown * 1000 : undefined,
    expires: typeof expires === "number"
      ? now + expires * 1000
      : expires === undefined
      ? undefined
      : timeOf(expires),
    timeLimit: timeLimit === null && softTimeLimit === null ? undefined : [timeLimit, softTimeLimit],
    exchange: options.exchange ?? undefined,
    routingKey: options.routing_key ?? undefined,
    headers: options.headers ?? undefined,
    shadow: options.shadow ?? undefined,
    replyTo: options.reply_to ?? surroundings.replyTo,
    rootId: options.root_id ?? surroundings.rootId,
    parentId: options.parent_id ?? surroundings.parentId,
    group: options.group_id ?? undefined,
    groupIndex: options.group_index ?? undefined,
    retries: options.retries ?? undefined,
    argsrepr: options.argsrepr ?? undefined,
    kwargsrepr: options.kwargsrepr ?? undefined,
    stampedHeaders: options.stamped_headers ?? undefined,
    stamps: Object.fromEntries(stamps),
    callbacks: listed(linksOf(options.link)),
    errbacks: listed(linksOf(options.link_error)),
    chain: listed(options.chain ?? []),
    chord: options.chord ?? undefined,
    replacedTaskNesting: options.replaced_task_nesting ?? undefined,
  });
}

/** An empty list is no list: what is called alone looks like any call. */
function listed(signatures: readonly SignatureJson[]): readonly SignatureJson[] | undefined {
  return signatures.length === 0 ? undefined : signatures;
}

function timeOf(time: string | Date): number {
  return typeof time === "string" ? parseIso(time) : time.getTime();
}
