/**
 * What a signature comes to when it is called: the tasks that are **published** at once, with what follows each of them
 * inside its message, and where the results will be. Nothing is sent here, and all ids are fixed here.
 */
import { kindOf, linksOf, type SignatureJson, tasksOf } from "../protocol/signature.ts";
import { mergedOptions, stepsOf, withArguments, withErrorLink, withTasks } from "./compose.ts";

type Options = Readonly<Record<string, unknown>>;

/** One task to be published. Its options are spelled as Celery spells them. */
export interface PlannedCall {
  readonly id: string;
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly options: Options;
}

/** Where the result of a part of a workflow will be. */
export type PlannedResult =
  | { readonly kind: "task"; readonly id: string; readonly task: string; readonly parent?: PlannedResult }
  | {
    readonly kind: "group";
    readonly id: string;
    readonly results: readonly PlannedResult[];
    readonly parent?: PlannedResult;
  };

/** A workflow, ready to be published. */
export interface Plan {
  readonly calls: readonly PlannedCall[];
  /** Of the last step; it has those before it as its parents. */
  readonly result: PlannedResult;
}

/** What a call of a signature brings along. */
export interface PlanOptions {
  /** Arguments before its own: the result of what went before. */
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  /** Options over its own. */
  readonly options?: Options;
  /** The id of the next part that has none; asked in an order that only the workflow decides. */
  readonly newId: () => string;
  /** Where the results are waited for; each part says so, as in Celery. */
  readonly replyTo?: string;
}

/** A workflow, or a part of one, that can't be sent. */
export class WorkflowError extends Error {
  /** `"WorkflowError"`. */
  override readonly name = "WorkflowError";
}

/** Plans the call of a signature. @throws {WorkflowError} For what can't be sent. */
export function planCall(
  signature: SignatureJson,
  { args = [], kwargs = {}, options = {}, newId, replyTo }: PlanOptions,
): Plan {
  const planner = new Planner(newId, replyTo);
  const result = planner.call(signature, args, kwargs, options);
  return { calls: planner.calls, result };
}

/** The ids of all tasks that a frozen signature is going to run, those of its groups' members and not of its groups. */
export function idsOf(signature: SignatureJson): string[] {
  if (kindOf(signature) !== "task") {
    const { tasks = [], header, body } = signature.kwargs as {
      tasks?: SignatureJson[];
      header?: SignatureJson | SignatureJson[];
      body?: SignatureJson | null;
    };
    return [...tasks, ...linksOf(header), ...linksOf(body)].flatMap(idsOf);
  }
  const { task_id: id } = signature.options;
  return typeof id === "string" ? [id] : [];
}

class Planner {
  readonly calls: PlannedCall[] = [];
  readonly #newId: () => string;
  readonly #replyTo: string | undefined;

  constructor(newId: () => string, replyTo: string | undefined) {
    this.#newId = newId;
    this.#replyTo = replyTo;
  }

  call(
    signature: SignatureJson,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
    given: Options,
  ): PlannedResult {
    switch (kindOf(signature)) {
      case "chain":
        return this.#callChain(signature, args, kwargs, mergedOptions(signature.options, given));
      case "group":
        return this.#callGroup(signature, args, kwargs, mergedOptions(signature.options, given));
      case "chord":
        throw noChords();
      default:
        return this.#callTask(signature, args, kwargs, mergedOptions(signature.options, given));
    }
  }

  #callTask(
    signature: SignatureJson,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
    options: Options,
  ): PlannedResult {
    const id = options.task_id as string | undefined ?? this.#newId();
    const { task, args: all, kwargs: both } = withArguments(signature, args, kwargs);
    this.calls.push({ id, task, args: all, kwargs: both, options });
    return { kind: "task", id, task };
  }

  #callChain(
    chain: SignatureJson,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
    { task_id, group_id, group_index, chord, link, link_error, ...options }: Options,
  ): PlannedResult {
    // Those of the chain itself, and what came with the call.
    const whole = { ...chain, options: { link, link_error } };
    const [first, ...rest] = stepsOf([whole]);
    if (first === undefined) throw new WorkflowError("the chain has no steps");
    const last = { task_id, group_id, group_index, chord };
    if (rest.length === 0) return this.call(first, args, kwargs, { ...options, ...last });
    const steps = rest.map((step, i) => this.#frozen(step, i === rest.length - 1 ? last : {}));
    const before = options.chain as readonly SignatureJson[] | undefined ?? [];
    const next = steps.map(({ signature }) => signature).reverse();
    const began = this.call(first, args, kwargs, { ...options, chain: [...before, ...next] });
    return steps.reduce((parent, { result }) => ({ ...result, parent }), began);
  }

  #callGroup(
    group: SignatureJson,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
    { task_id, group_id: _, group_index: __, link, link_error, chord, ...options }: Options,
  ): PlannedResult {
    if (link !== undefined && link !== null) {
      throw new WorkflowError(
        "a group can't be linked to: what is to be called with all its results is a chord",
      );
    }
    if (chord !== undefined && chord !== null) throw noChords();
    const id = task_id as string | undefined ?? this.#newId();
    const { root_id, parent_id, ...rest } = options;
    const lineage = { root_id, parent_id };
    const members = membersOf(group).map((member, index) => {
      const whole = linksOf(link_error).reduce(withErrorLink, member);
      return this.call(whole, args, kwargs, { ...rest, ...lineage, group_id: id, group_index: index });
    });
    return { kind: "group", id, results: members };
  }

  /** A step whose ids are fixed before it is its turn. */
  #frozen(signature: SignatureJson, place: Options): { signature: SignatureJson; result: PlannedResult } {
    switch (kindOf(signature)) {
      case "chord":
        throw noChords();
      case "chain":
        return this.#frozenChain(signature, place);
      case "group":
        return this.#frozenGroup(signature, place);
      default: {
        const options = mergedOptions(signature.options, place);
        const id = options.task_id as string | undefined ?? this.#newId();
        const reply = options.reply_to ?? this.#replyTo;
        return {
          signature: {
            ...signature,
            options: { ...options, task_id: id, ...(reply !== undefined && { reply_to: reply }) },
          },
          result: { kind: "task", id, task: signature.task },
        };
      }
    }
  }

  #frozenChain(chain: SignatureJson, place: Options): { signature: SignatureJson; result: PlannedResult } {
    const steps = stepsOf([chain]);
    if (steps.length === 0) throw new WorkflowError("a chain in the workflow has no steps");
    const frozen = steps.map((step, i) => this.#frozen(step, i === steps.length - 1 ? place : {}));
    // Its steps have its links already.
    const { link: _, link_error: __, ...options } = chain.options;
    const whole = withTasks({ ...chain, options }, frozen.map(({ signature }) => signature));
    const [first, ...rest] = frozen.map(({ result }) => result);
    return { signature: whole, result: rest.reduce((parent, result) => ({ ...result, parent }), first) };
  }

  #frozenGroup(group: SignatureJson, place: Options): { signature: SignatureJson; result: PlannedResult } {
    const options = mergedOptions(group.options, place);
    if (options.chord !== undefined && options.chord !== null) throw noChords();
    const id = options.task_id as string | undefined ?? this.#newId();
    const members = membersOf(group).map((member, index) => this.#frozen(member, { group_index: index }));
    return {
      signature: {
        ...withTasks(group, members.map(({ signature }) => signature)),
        options: { root_id: null, parent_id: null, ...options, task_id: id },
      },
      result: { kind: "group", id, results: members.map(({ result }) => result) },
    };
  }
}

/** The parts of a group; groups in it are parts of it, and what is empty is none. */
function membersOf(group: SignatureJson): SignatureJson[] {
  return tasksOf(group).flatMap((member) => {
    if (kindOf(member) === "group") return membersOf(member);
    return kindOf(member) === "chain" && tasksOf(member).length === 0 ? [] : [member];
  });
}

function noChords(): WorkflowError {
  return new WorkflowError(
    "chords can't be sent yet, nor a group with a step after it, which is one: await the group's results, and send the " +
      "next task with them",
  );
}
