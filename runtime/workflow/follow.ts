/**
 * What follows a task, from **run** back to **publish**: its callbacks and the next step of its chain, or its error
 * callbacks. Ids come from the signatures, or else from the id of the task that they follow, so that a second run of it sends
 * nothing new: what follows it is known by its ids, and marked as perhaps a second copy.
 */
import type { MessageDefaults } from "../config/message_defaults.ts";
import { compileRoutes } from "../config/task_routes.ts";
import type { Settings } from "../config/settings.ts";
import type { ChordStart, EndedPart, Following } from "../protocol/chord.ts";
import type { SignatureJson } from "../protocol/signature.ts";
import type { TaskRequest } from "../protocol/task_message.ts";
import { derivedId } from "../protocol/uid.ts";
import { secondCopy, type WireMessage } from "../protocol/wire_message.ts";
import { type CallSurroundings, messageOf } from "./message.ts";
import { errbacksOf } from "./chord_place.ts";
import { type Plan, planCall, type PlannedResult, WorkflowError } from "./plan.ts";
import { besideOf, inPlaceOf } from "./replace.ts";

/** What follows a task. */
export interface Followed extends Following {
  /** The results of what follows, as Celery writes them. */
  readonly children: readonly unknown[];
}

/** A part that is added to a chord. */
export interface Addition extends Followed {
  /** The task that ends it. */
  readonly id: string;
}

/** What surrounds those that follow. */
export interface FollowOptions {
  readonly settings: Settings;
  /** Who sends, in Celery's words. */
  readonly origin: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The options of a task that is known here. */
  readonly defaultsOf: (task: string) => MessageDefaults | undefined;
  /** Parts of chords are counted, wherever results go. Default: the settings tell. */
  readonly countsChords?: boolean;
}

/** Whether anything follows a task that succeeds. */
export function followsSuccess({ callbacks, chain }: TaskRequest): boolean {
  return isFilled(callbacks) || isFilled(chain);
}

/** Whether anything follows a task that fails. */
export function followsFailure({ errbacks, chain }: TaskRequest): boolean {
  return isFilled(errbacks) || isFilled(chain);
}

/** Nobody could count the parts of a chord where results go to their callers. @throws {WorkflowError} There. */
export function refuseChordsOf({ brokerUrl, resultBackend }: Settings): void {
  if (!/^(rpc|amqps?|pyamqp):/i.test(resultBackend ?? brokerUrl)) return;
  throw new WorkflowError(
    "a chord, or a group with a step after it, needs a result store that can count its parts, and results by rpc:// go to " +
      "their callers: set resultBackend to redis://, sqlite: or the like, for the workers, too",
  );
}

/** A signature that follows, and the options that it is called with. */
type Call = readonly [SignatureJson, Readonly<Record<string, unknown>>];

/** What is known of a task that others follow. */
type Followable = Pick<TaskRequest, "id" | "rootId" | "redelivered"> & { readonly replyTo?: string | null };

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
    const calls: Call[] = (callbacks ?? []).map((each) => [each, {}]);
    // In reverse: the last one is next, and takes the rest along.
    const next = chain?.at(-1);
    if (next !== undefined) calls.push([next, { chain: chain!.slice(0, -1) }]);
    return this.#call(request, calls, [value], request.id);
  }

  /** The error callbacks that are sent: they are told which task has failed. @throws As {@linkcode Follow.success}. */
  failure(request: Followable, errbacks: readonly SignatureJson[]): Followed {
    return this.#call(request, errbacks.map((each) => [each, {}]), [request.id], request.id);
  }

  /**
   * The body of a chord, called with what its parts have given, once all of them have ended. Whichever was the last one, it
   * has the same ids.
   *
   * @param part The one that made it complete.
   * @throws As {@linkcode Follow.success}.
   */
  body(part: EndedPart, values: readonly unknown[]): Followed {
    return this.#call({ ...part, id: part.taskId }, [[part.body, {}]], [values], part.groupId);
  }

  /** The error callbacks of a body that can't be called, because a part has failed. @throws As {@linkcode Follow.success}. */
  bodyFailure(part: EndedPart): Following {
    const each = errbacksOf(part.body).map(({ id, errbacks }) => this.failure({ ...part, id }, errbacks));
    return {
      messages: each.flatMap(({ messages }) => messages),
      chords: each.flatMap(({ chords = [] }) => chords),
    };
  }

  /** What takes the place of a running task. @throws As {@linkcode Follow.success}. */
  replacement(request: TaskRequest, signature: SignatureJson): Followed {
    const origin = `${request.id}/replaced/${request.replacedTaskNesting}`;
    return this.#call(request, [inPlaceOf(request, signature)], [], origin);
  }

  /**
   * A part that a running task adds to its chord; `position` tells it from others that it adds. Its result is its only child.
   *
   * @throws As {@linkcode Follow.success}.
   */
  addition(request: TaskRequest, signature: SignatureJson, position: number): Addition {
    const call = besideOf(request, signature);
    const followed = this.#call(request, [call], [], `${request.id}/added/${position}`);
    const [[id]] = followed.children[0] as [[string]];
    const ttl = this.#options.settings.resultExpires;
    return { ...followed, id, extended: [{ groupId: request.group!, taskIds: [id], ttl }] };
  }

  /** `origin` is what ids are derived from. */
  #call(request: Followable, calls: readonly Call[], args: readonly unknown[], origin: string): Followed {
    let position = 0;
    const newId = () => derivedId(origin, position++);
    const surroundings = this.#surroundings(request);
    const messages: WireMessage[] = [];
    const chords: ChordStart[] = [];
    const children: unknown[] = [];
    for (const [signature, options] of calls) {
      const replyTo = request.replyTo ?? undefined;
      const plan = this.#allowed(planCall(signature, { args, options, newId, replyTo }));
      for (const call of plan.calls) {
        const message = this.#fitting(messageOf(call, surroundings), call.task);
        messages.push(request.redelivered ? secondCopy(message) : message);
      }
      for (const chord of plan.chords) {
        chords.push({ ...chord, ttl: this.#options.settings.resultExpires });
      }
      children.push(tupleOf(plan.result));
    }
    return chords.length === 0 ? { messages, children } : { messages, children, chords };
  }

  #allowed(plan: Plan): Plan {
    const { countsChords = false, settings } = this.#options;
    if (plan.hasChords && !countsChords) refuseChordsOf(settings);
    return plan;
  }

  /** Workers put what is too large to the dead letters, where nobody who waits would hear of it. */
  #fitting(message: WireMessage, task: string): WireMessage {
    const { maxMessageBytes } = this.#options.settings.brokerTransportOptions;
    // In an envelope it is base64.
    const bytes = Math.ceil(message.body.length / 3) * 4;
    if (bytes <= maxMessageBytes) return message;
    throw new WorkflowError(
      `what ${task} is called with takes ${bytes} bytes, and a message may have ${maxMessageBytes} ` +
        `(brokerTransportOptions.maxMessageBytes): let tasks keep results of that size elsewhere, and hand on where they are`,
    );
  }

  #surroundings({ id, rootId, replyTo }: Followable): CallSurroundings {
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
