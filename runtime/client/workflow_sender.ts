/**
 * A signature on its way to be **published**: what it begins with is sent, with what follows inside of it, and its result knows
 * where all that ends. A chord is begun before any part of it is sent.
 */
import type { TaskRoute } from "../config/task_routes.ts";
import type { Settings } from "../config/settings.ts";
import { currentTask } from "../isolate/task_context.ts";
import type { ChordStart } from "../protocol/chord.ts";
import type { SignatureJson } from "../protocol/signature.ts";
import { uid } from "../protocol/uid.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import { groupOfChunks } from "../workflow/compose.ts";
import { refuseChordsOf } from "../workflow/follow.ts";
import { type CallSurroundings, messageOf } from "../workflow/message.ts";
import { type Plan, planCall, type PlannedResult, withFirst } from "../workflow/plan.ts";
import { AsyncResult, type ResultSource } from "./async_result.ts";
import { originOfCalls } from "./call.ts";
import type { Eager } from "./eager.ts";
import { GroupResult } from "./group_result.ts";
import type { PartResult } from "./result_set.ts";
import { knownTask } from "./known_tasks.ts";
import { tellLost } from "./publisher.ts";

/** What is sent of a workflow comes from and goes to its app. */
export interface WorkflowSenderParts {
  readonly settings: Settings;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The queue of the app's own results, where results are sent to their callers. */
  readonly replyTo: string | undefined;
  readonly source: ResultSource;
  /** Runs tasks instead, where the app does so. */
  readonly eager: Eager | undefined;
  route(
    task: string,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
  ): TaskRoute | null;
  publish(message: WireMessage): Promise<void>;
  /** Resolves when the result store has them. */
  begin(chords: readonly ChordStart[]): Promise<void>;
}

/** What a call brings along. */
export interface WorkflowCall {
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  /** In Celery's spelling. */
  readonly options?: Readonly<Record<string, unknown>>;
}

export class WorkflowSender {
  readonly #parts: WorkflowSenderParts;
  /** Chords that are being begun; their parts wait for it. */
  readonly #beginning = new Set<Promise<void>>();

  constructor(parts: WorkflowSenderParts) {
    this.#parts = parts;
  }

  /**
   * Sends what a signature begins with.
   *
   * @throws {WorkflowError} For what can't be sent: nothing of it is.
   * @throws {UnserializableError} For arguments that no message can carry.
   */
  apply(signature: SignatureJson, { args, kwargs, options }: WorkflowCall): PartResult {
    const { replyTo, settings, eager } = this.#parts;
    const whole = signature.task === "celery.chunks" ? groupOfChunks(signature) : signature;
    const plan = planCall(whole, { args, kwargs, options, newId: uid, replyTo });
    if (plan.hasChords && eager === undefined) refuseChordsOf(settings);
    const messages = this.#written(plan);
    const published = eager === undefined
      ? this.#publish(plan, messages)
      : run(eager, plan, messages, settings);
    return this.#resultOf(plan.result, published, true);
  }

  /** Resolves when no chord is being begun any more: what waited for it is with the publisher. */
  async flushed(): Promise<void> {
    while (this.#beginning.size > 0) await Promise.allSettled(this.#beginning);
  }

  /** All messages are written before the first one goes: what can't be written is sent in no part. */
  #written({ calls }: Plan): WireMessage[] {
    const { settings, now, replyTo, route, eager } = this.#parts;
    const parent = currentTask();
    const surroundings: CallSurroundings = {
      settings,
      origin: originOfCalls(),
      now: now(),
      replyTo,
      rootId: parent?.rootId ?? parent?.id,
      parentId: parent?.id,
      route,
      defaultsOf: (task) => knownTask(task)?.options,
    };
    return calls.map((call) => {
      const { countdown: _, eta: __, ...atOnce } = call.options;
      return messageOf(eager === undefined ? call : { ...call, options: atOnce }, surroundings);
    });
  }

  #publish({ calls, chords }: Plan, messages: readonly WireMessage[]): Map<string, Promise<void>> {
    const { publish, settings } = this.#parts;
    const begun = chords.length === 0 ? undefined : this.#begin(startsOf(chords, settings));
    return new Map(
      calls.map(({ id }, i) => [id, begun?.then(() => publish(messages[i])) ?? publish(messages[i])]),
    );
  }

  #begin(chords: readonly ChordStart[]): Promise<void> {
    const beginning = this.#parts.begin(chords);
    const forget = () => void this.#beginning.delete(beginning);
    this.#beginning.add(beginning);
    beginning.then(forget, forget);
    return beginning;
  }

  /** The result of a plan. What is not sent at once is sent with what it follows; the last one tells of what was lost. */
  #resultOf(
    planned: PlannedResult,
    published: ReadonlyMap<string, Promise<void>>,
    isLast = false,
  ): PartResult {
    const { source } = this.#parts;
    const parent = planned.parent && (() => this.#resultOf(planned.parent!, published));
    if (planned.kind === "group") {
      // The parts of one that follows something begin when that has ended.
      const parts = planned.results.map((part) => parent ? withFirst(part, planned.parent!) : part);
      return new GroupResult(
        planned.id,
        parts.map((part) => this.#resultOf(part, published, isLast)),
        source,
        parent,
      );
    }
    const { id, task } = planned;
    return new AsyncResult(id, source, {
      task,
      published: publishedOf(planned, published),
      lost: (error) => isLast && tellLost(`Task ${task}[${id}]`, error),
      parent,
    });
  }
}

function startsOf(chords: Plan["chords"], { resultExpires: ttl }: Settings): ChordStart[] {
  return chords.map((chord) => ({ ...chord, ttl }));
}

/** Runs what a plan begins with here and now. */
function run(
  eager: Eager,
  { calls, chords, result }: Plan,
  messages: readonly WireMessage[],
  settings: Settings,
): Map<string, Promise<void>> {
  expectAll(result, (id) => eager.expect(id));
  eager.begin(startsOf(chords, settings));
  return new Map(calls.map(({ id, task }, i) => {
    const own = knownTask(task);
    return [id, eager.run(id, task, messages[i], own && { name: task, module: task, ...own })];
  }));
}

/** When the broker has what leads to this result. */
function publishedOf(planned: PlannedResult, published: ReadonlyMap<string, Promise<void>>): Promise<void> {
  let first = planned;
  while (first.parent !== undefined) first = first.parent;
  if (first.kind === "task") return published.get(first.id) ?? Promise.resolve();
  // The body of a chord without parts is called at once.
  if (first.results.length === 0 && planned.kind === "task") {
    return published.get(planned.id) ?? Promise.resolve();
  }
  return Promise.all(first.results.map((part) => publishedOf(part, published))).then(() => {});
}

/** Tells of every task in a plan, also of those that are sent later. */
function expectAll(planned: PlannedResult, expect: (id: string) => void): void {
  for (let next: PlannedResult | undefined = planned; next !== undefined; next = next.parent) {
    if (next.kind === "task") expect(next.id);
    else for (const part of next.results) expectAll(part, expect);
  }
}
