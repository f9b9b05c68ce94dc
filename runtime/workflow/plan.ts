/**
 * What a signature comes to when it is called: the tasks that are **published** at once, with what follows each of them
 * inside its message, and where the results will be. Nothing is sent here, and all ids are fixed here.
 */
import type { ChordStart } from "../protocol/chord.ts";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import { kindOf, linksOf, type SignatureJson, tasksOf } from "../protocol/signature.ts";
import {
  bodyOf,
  groupOf,
  headerOf,
  mergedOptions,
  stepsOf,
  unrolledSteps,
  upgraded,
  withArguments,
  withErrorLink,
  withLink,
  withTasks,
} from "./compose.ts";

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

/** A chord that begins with what is published; how long it is kept is for whoever begins it to say. */
export type PlannedChord = Omit<ChordStart, "ttl">;

/** A workflow, ready to be published. */
export interface Plan {
  readonly calls: readonly PlannedCall[];
  /** What has to be begun before the calls are published. */
  readonly chords: readonly PlannedChord[];
  /** Whether a chord begins with it, or in what follows. */
  readonly hasChords: boolean;
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
  return { calls: planner.calls, chords: planner.chords, hasChords: planner.hasChords, result };
}

/** A result behind others: `first` is in front of the first of them. */
export function withFirst(planned: PlannedResult, first: PlannedResult): PlannedResult {
  return { ...planned, parent: planned.parent === undefined ? first : withFirst(planned.parent, first) };
}

/** A step whose ids are fixed, and where its result will be. */
interface Frozen {
  readonly signature: SignatureJson;
  readonly result: PlannedResult;
}

/** Where a part stands in what is around it, and what comes after it, in Celery's words. */
interface Place {
  readonly task_id?: unknown;
  readonly group_id?: unknown;
  readonly group_index?: unknown;
  readonly chord?: unknown;
  readonly chain?: unknown;
}

class Planner {
  readonly calls: PlannedCall[] = [];
  readonly chords: PlannedChord[] = [];
  hasChords = false;
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
    const options = mergedOptions(signature.options, given);
    switch (kindOf(signature)) {
      case "chain":
        return this.#callChain(signature, args, kwargs, options);
      case "group":
        return this.#callGroup(signature, args, kwargs, options);
      case "chord":
        return this.#callChord(signature, args, kwargs, options);
      default:
        return this.#callTask(signature, args, kwargs, options);
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
    const [first, ...rest] = unrolledSteps(stepsOf([whole]));
    if (first === undefined) throw new WorkflowError("the chain has no steps");
    const last = { task_id, group_id, group_index, chord };
    // Python's may have some of their own.
    const before = chain.immutable ? chain.args : [...args, ...chain.args];
    if (rest.length === 0) return this.call(first, before, kwargs, { ...options, ...last });
    const steps = rest.map((step, i) => this.#frozen(step, i === rest.length - 1 ? last : {}));
    const after = options.chain as readonly SignatureJson[] | undefined ?? [];
    const next = steps.map(({ signature }) => signature).reverse();
    const began = this.call(first, before, kwargs, { ...options, chain: [...after, ...next] });
    return steps.reduce((parent, { result }) => withFirst(result, parent), began);
  }

  #callGroup(
    group: SignatureJson,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
    { task_id, group_id, group_index: _, link, link_error, chord, ...options }: Options,
  ): PlannedResult {
    if (link !== undefined && link !== null) {
      throw new WorkflowError(
        "a group can't be linked to: what is to be called with all its results is a chord",
      );
    }
    const [next, ...after] = (options.chain as readonly SignatureJson[] | undefined ?? []).toReversed();
    if (next !== undefined) {
      // Celery would call what comes after it once for each part.
      const chain = after.length > 0 ? after.toReversed() : undefined;
      const whole = upgraded({ ...group, options: { ...options, task_id, link_error, chain: null } }, next);
      return this.#callChord(whole, args, kwargs, { chain });
    }
    const id = task_id as string | undefined ?? this.#newId();
    // The parts of a group that ends a part of a chord are parts of that chord.
    const place = isGiven(chord) ? { group_id, chord } : { group_id: id };
    const results = membersOf(group).map((member, index) => {
      const whole = linksOf(link_error).reduce(withErrorLink, member);
      return this.call(whole, args, kwargs, { ...options, ...place, group_index: index });
    });
    return { kind: "group", id, results };
  }

  /** Its parts are called, each with the body that is called when all have ended. */
  #callChord(
    chord: SignatureJson,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
    { task_id, group_id, group_index, chord: outer, chain, countdown, eta, ...options }: Options,
  ): PlannedResult {
    const { header, body: own, id } = this.#partsOf(chord, options);
    const { link: _, link_error: __, parent_id, ...shared } = options;
    const body = this.#frozen({ ...own, options: mergedOptions(own.options, shared) }, {
      // Python gives a frozen chord that of its header.
      task_id: task_id === header.options.task_id ? undefined : task_id,
      group_id,
      group_index,
      chord: outer,
      chain,
    });
    const { task_id: ___, group_id: ____, chord: _____, link_error: errbacks, ...headerOptions } =
      header.options;
    const every = mergedOptions(headerOptions, { ...shared, parent_id, countdown, eta });
    const { args: before, kwargs: { kwargs: keywords } } = withArguments(chord, args, kwargs);
    const members = membersOf(header);
    const size = sum(members.map(sizeOf));
    if (members.length > 0 && size === 0) {
      throw new WorkflowError(
        "the body of the chord would never be called: each part of its header ends in a group without parts",
      );
    }
    const results = members.map((member, index) =>
      this.call(linksOf(errbacks).reduce(withErrorLink, member), before, keywords as Options ?? {}, {
        ...every,
        group_id: id,
        group_index: index,
        chord: body.signature,
      })
    );
    const group: PlannedResult = { kind: "group", id, results };
    if (members.length === 0) this.call(body.signature, [[]], {}, {});
    else this.chords.push({ groupId: id, size, ...(results.some(isGroup) && { group: textOf(group) }) });
    return withFirst(body.result, group);
  }

  /** Header and body of a chord, to which what is linked to the chord is linked. */
  #partsOf(chord: SignatureJson, { link, link_error }: Options) {
    this.hasChords = true;
    const header = headerOf(chord);
    const body = bodyOf(chord);
    if (body === null) throw new WorkflowError("the chord has no body");
    const linked = linksOf(link_error).reduce(withErrorLink, linksOf(link).reduce(withLink, body));
    const id = header.options.task_id as string | undefined ?? this.#newId();
    return { header: { ...groupOf(header.tasks), options: header.options }, body: linked, id };
  }

  /** A step whose ids are fixed before it is its turn. */
  #frozen(signature: SignatureJson, place: Place): Frozen {
    switch (kindOf(signature)) {
      case "chord":
        return this.#frozenChord(signature, place);
      case "chain":
        return this.#frozenChain(signature, place);
      case "group":
        return this.#frozenGroup(signature, place);
      default: {
        const options = placed(signature.options, place);
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

  #frozenChain(chain: SignatureJson, { chain: after, ...place }: Place): Frozen {
    const steps = unrolledSteps(stepsOf([chain]));
    if (steps.length === 0) throw new WorkflowError("a chain in the workflow has no steps");
    const frozen = steps.map((step, i) => this.#frozen(step, i === steps.length - 1 ? place : {}));
    // Its steps have its links already.
    const { link: _, link_error: __, ...options } = chain.options;
    const [first, ...rest] = frozen.map(({ result }) => result);
    const result = rest.reduce((parent, result) => withFirst(result, parent), first);
    const whole = withTasks(
      // By its id Python tells that it will not run.
      { ...chain, options: mergedOptions(options, { chain: after, task_id: result.id }) },
      frozen.map(({ signature }) => signature),
    );
    return { signature: whole, result };
  }

  #frozenGroup(group: SignatureJson, place: Place): Frozen {
    const options = placed(group.options, place);
    const id = options.task_id as string | undefined ?? this.#newId();
    const { group_id, chord } = options;
    const inner = isGiven(chord) ? { group_id, chord } : {};
    const members = membersOf(group).map((member, index) =>
      this.#frozen(member, { ...inner, group_index: index })
    );
    return {
      signature: {
        ...withTasks(group, members.map(({ signature }) => signature)),
        options: { root_id: null, parent_id: null, ...options, task_id: id },
      },
      result: { kind: "group", id, results: members.map(({ result }) => result) },
    };
  }

  /** Its parts do not carry its body yet: it stands beside them, and they get it when they are called. */
  #frozenChord(chord: SignatureJson, place: Place): Frozen {
    const { header, body, id } = this.#partsOf(chord, chord.options);
    const { link: _, link_error: __, task_id, ...options } = chord.options;
    const group = this.#frozenGroup(
      { ...header, options: { ...header.options, task_id: id, chord: null } },
      {},
    );
    const frozen = this.#frozen(body, {
      task_id: task_id === header.options.task_id ? undefined : task_id,
      ...place,
    });
    const { chord: ___, ...groupOptions } = group.signature.options;
    return {
      signature: {
        ...chord,
        kwargs: {
          kwargs: {},
          ...chord.kwargs,
          header: { ...group.signature, options: groupOptions },
          body: frozen.signature,
        },
        // By its id Python tells that it will not run.
        options: { ...options, task_id: frozen.result.id },
      },
      result: withFirst(frozen.result, group.result),
    };
  }
}

/** An id of its own stays with a part; the rest is where the part stands now. */
function placed(own: Options, place: Place): Options {
  return mergedOptions(own, own.task_id === undefined ? { ...place } : { ...place, task_id: undefined });
}

/** The parts of a group; groups in it are parts of it, and what is empty is none. */
function membersOf(group: SignatureJson): SignatureJson[] {
  return tasksOf(group).flatMap((member) => {
    if (kindOf(member) === "group") return membersOf(member);
    return kindOf(member) === "chain" && tasksOf(member).length === 0 ? [] : [member];
  });
}

/** How many tasks have to end for a part of a chord to have ended. */
function sizeOf(signature: SignatureJson): number {
  switch (kindOf(signature)) {
    case "chain":
      return sizeOf(stepsOf([signature]).at(-1)!);
    case "group":
      return sum(membersOf(signature).map(sizeOf));
    case "chord": {
      const body = bodyOf(signature);
      return body === null ? 0 : sizeOf(body);
    }
    default:
      return 1;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((one, other) => one + other, 0);
}

function isGroup({ kind }: PlannedResult): boolean {
  return kind === "group";
}

/** The shape of a header's results, as Celery saves it. */
function textOf(group: PlannedResult): string {
  const shape = (result: PlannedResult): unknown => [
    [result.id, null],
    result.kind === "group" ? result.results.map(shape) : null,
  ];
  return stringifyPythonJson({ result: shape(group) });
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}
