/**
 * A workflow that takes the place of a task while it runs (Celery: `Task.replace`), and parts that it adds to its chord
 * (`Task.add_to_chord`): from **run** back to **publish**. Whatever knows the task by its id, or comes after it, then waits
 * for the last step of what has taken its place.
 */
import { kindOf, type SignatureJson, tasksOf } from "../protocol/signature.ts";
import type { TaskRequest } from "../protocol/task_message.ts";
import { callOf, chordOf, withErrorLink, withLink, withTasks } from "./compose.ts";
import { WorkflowError } from "./plan.ts";
import { withStamps } from "./stamps.ts";

type Options = Readonly<Record<string, unknown>>;

/** A signature, and the options that it is called with. */
export type PlacedCall = readonly [signature: SignatureJson, options: Options];

/**
 * The call of a signature in the place of a task: under its id, with its place in a group or chord, its callbacks, its stamps,
 * and the rest of its chain.
 *
 * @throws {WorkflowError} For what can take no task's place.
 */
export function inPlaceOf(request: TaskRequest, signature: SignatureJson): PlacedCall {
  if (isGiven(signature.options.chord)) {
    throw new WorkflowError("a part of a chord can't take the place of a task: it has its own place");
  }
  const { callbacks, errbacks, chain, chord, group, groupIndex, rootId, stamps } = request;
  // What gathers a group runs where the task has run: nobody may serve the default queue.
  const queue = request.exchange === "" && request.routingKey !== "" ? { queue: request.routingKey } : {};
  const gather = callOf("celery.accumulate", [], { index: 0 }, queue);
  const replaced_task_nesting = request.replacedTaskNesting + 1;
  const nested = (step: SignatureJson) => withOptions(step, { replaced_task_nesting });
  // Stamps of its own win over those that are handed down.
  let whole = withOneResult(signature, gather);
  if (Object.keys(stamps).length > 0) whole = withStamps(whole, stamps, { keep: "own" });
  for (const callback of callbacks ?? []) whole = withLink(whole, callback);
  for (const errback of errbacks ?? []) whole = withErrorLink(whole, errback);
  if (kindOf(whole) === "chain") whole = withTasks(whole, tasksOf(whole).map(nested));
  const options: Options = {
    ...placeIn(chord, group, groupIndex),
    task_id: request.id,
    root_id: rootId,
    replaced_task_nesting,
    ...(chain !== null && chain.length > 0 && { chain: chain.map(nested) }),
  };
  // An id of its own would keep those away who wait for the task.
  const { task_id: _, ...own } = whole.options;
  return [{ ...whole, options: own }, options];
}

/**
 * The call of a signature as one more part of the chord that a task is a part of.
 *
 * @throws {WorkflowError} When the task is a part of none, or what is added would end in several results.
 */
export function besideOf(
  { chord, group, groupIndex, rootId }: TaskRequest,
  signature: SignatureJson,
): PlacedCall {
  if (chord === null || group === null) {
    throw new WorkflowError("the task is no part of a chord: there is nothing to add to");
  }
  if (endsInGroup(signature)) {
    throw new WorkflowError("a group can't be added to a chord as one part: add its parts one by one");
  }
  return [signature, { ...placeIn(chord, group, groupIndex), root_id: rootId }];
}

/** A group has no result of its own that could be the task's: the list of its results is. */
function withOneResult(signature: SignatureJson, gather: SignatureJson): SignatureJson {
  switch (kindOf(signature)) {
    case "group":
      return {
        ...chordOf(tasksOf(signature), gather),
        options: signature.options,
      };
    case "chain": {
      const steps = tasksOf(signature);
      const last = steps.at(-1);
      if (last === undefined) throw new WorkflowError("a chain without steps can't take the place of a task");
      return withTasks(signature, [...steps.slice(0, -1), withOneResult(last, gather)]);
    }
    default:
      return signature;
  }
}

function endsInGroup(signature: SignatureJson): boolean {
  switch (kindOf(signature)) {
    case "group":
      return true;
    case "chain": {
      const last = tasksOf(signature).at(-1);
      return last !== undefined && endsInGroup(last);
    }
    default:
      return false;
  }
}

function placeIn(chord: SignatureJson | null, group: string | null, index: number | null): Options {
  return {
    ...(chord !== null && { chord }),
    ...(group !== null && { group_id: group }),
    ...(index !== null && { group_index: index }),
  };
}

function withOptions(signature: SignatureJson, options: Options): SignatureJson {
  return { ...signature, options: { ...signature.options, ...options } };
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}
