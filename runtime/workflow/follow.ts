/**
 * What follows a task, from **run** back to **publish**: its callbacks and the next step of its chain, or its error
 * callbacks. Ids come from the signatures, or else from the id of the task that they follow, so that a second run of it sends
 * nothing new: what follows it is known by its ids, and marked as perhaps a second copy.
 */
import type { Settings } from "../config/settings.ts";
import { compileRoutes } from "../config/task_routes.ts";
import type { SignatureJson } from "../protocol/signature.ts";
import type { TaskRequest } from "../protocol/task_message.ts";
import { derivedId } from "../protocol/uid.ts";
import { secondCopy, type WireMessage } from "../protocol/wire_message.ts";
import { type CallSurroundings, messageOf, type TaskDefaults } from "./message.ts";
import { idsOf, planCall, type PlannedResult } from "./plan.ts";

/** What follows a task. */
export interface Followed {
  readonly messages: readonly WireMessage[];
  /** The results of what follows, as Celery writes them. */
  readonly children: readonly unknown[];
}

/** What surrounds those that follow. */
export interface FollowOptions {
  readonly settings: Settings;
  /** Who sends, in Celery's words. */
  readonly origin: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The options of a task that is known here. */
  readonly defaultsOf: (task: string) => TaskDefaults | undefined;
}

/** Whether anything follows a task that succeeds. */
export function followsSuccess({ callbacks, chain }: TaskRequest): boolean {
  return isFilled(callbacks) || isFilled(chain);
}

/** Whether anything follows a task that fails. */
export function followsFailure({ errbacks, chain }: TaskRequest): boolean {
  return isFilled(errbacks) || isFilled(chain);
}

/** The tasks of a chain that will not run, because the one before them has failed. */
export function idsAfter({ chain }: TaskRequest): string[] {
  return (chain ?? []).flatMap(idsOf);
}

export class Follow {
  readonly #options: FollowOptions;
  readonly #route: CallSurroundings["route"];

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#route = compileRoutes(options.settings.taskRoutes);
  }

  /**
   * What follows a task that returned `value`.
   *
   * @throws {WorkflowError} When it can't be sent.
   * @throws {UnserializableError} When no message can carry the value.
   */
  success(request: TaskRequest, value: unknown): Followed {
    const { callbacks, chain } = request;
    const calls: [SignatureJson, Readonly<Record<string, unknown>>][] = (callbacks ?? []).map((
      each,
    ) => [each, {}]);
    // In reverse: the last one is next, and takes the rest along.
    const next = chain?.at(-1);
    if (next !== undefined) calls.push([next, { chain: chain!.slice(0, -1) }]);
    return this.#call(request, calls, [value]);
  }

  /** The error callbacks that are sent: they are told which task has failed. @throws As {@linkcode Follow.success}. */
  failure(request: TaskRequest, errbacks: readonly SignatureJson[]): Followed {
    return this.#call(request, errbacks.map((each) => [each, {}]), [request.id]);
  }

  #call(
    request: TaskRequest,
    calls: readonly (readonly [SignatureJson, Readonly<Record<string, unknown>>])[],
    args: readonly unknown[],
  ): Followed {
    let position = 0;
    const newId = () => derivedId(request.id, position++);
    const surroundings = this.#surroundings(request);
    const messages: WireMessage[] = [];
    const children: unknown[] = [];
    for (const [signature, options] of calls) {
      const replyTo = request.replyTo ?? undefined;
      const plan = planCall(signature, { args, options, newId, replyTo });
      for (const call of plan.calls) {
        const message = messageOf(call, surroundings);
        messages.push(request.redelivered ? secondCopy(message) : message);
      }
      children.push(tupleOf(plan.result));
    }
    return { messages, children };
  }

  #surroundings({ id, rootId, replyTo }: TaskRequest): CallSurroundings {
    const { settings, origin, now, defaultsOf } = this.#options;
    return {
      settings,
      origin,
      now: now(),
      replyTo: replyTo ?? undefined,
      rootId,
      parentId: id,
      route: this.#route,
      defaultsOf,
    };
  }
}

/** A result as Celery writes it among the children of another. */
function tupleOf(result: PlannedResult): unknown {
  const parent = result.parent === undefined ? null : tupleOf(result.parent);
  return [[result.id, parent], result.kind === "group" ? result.results.map(tupleOf) : null];
}

function isFilled(list: readonly unknown[] | null): boolean {
  return list !== null && list.length > 0;
}
