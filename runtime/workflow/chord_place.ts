/**
 * Where tasks stand in chords: which parts end with a task, and which tasks will never run because one before them has failed.
 * Between **run** and **settle**.
 */
import type { EndedPart } from "../protocol/chord.ts";
import { kindOf, linksOf, type SignatureJson, tasksOf } from "../protocol/signature.ts";
import type { TaskRequest } from "../protocol/task_message.ts";
import { bodyOf, headerOf } from "./compose.ts";

/** A part of a chord, by its task, and what is called when all parts have ended. */
export interface ChordPlace {
  readonly groupId: string;
  readonly taskId: string;
  readonly index: number | null;
  readonly body: SignatureJson;
}

/** What will not run. */
export interface Unreached {
  /** The tasks; the members of groups, not the groups. */
  readonly ids: readonly string[];
  /** The parts of chords among them: they have failed with what was before them. */
  readonly places: readonly ChordPlace[];
}

/** The place of a task that has ended; undefined for one that is no part of a chord. */
export function placeOf({ id, group, groupIndex, chord }: TaskRequest): ChordPlace | undefined {
  if (chord === null || group === null) return undefined;
  return { groupId: group, taskId: id, index: groupIndex, body: chord };
}

/** The tasks of a chain that will not run, because the one before them has failed. */
export function unreachedAfter({ chain }: Pick<TaskRequest, "chain">): Unreached {
  const unreached = { ids: [], places: [] };
  // In reverse: the last one would have been next.
  for (const step of (chain ?? []).toReversed()) walk(step, unreached);
  return unreached;
}

/** All that will not run when a frozen signature is not called, what comes after it included. */
export function unreachedIn(signature: SignatureJson): Unreached {
  const unreached = { ids: [], places: [] };
  walk(signature, unreached);
  return unreached;
}

/** The tasks that would have begun with a frozen signature, with the error callbacks of each. Of a chord these are its body's. */
export function errbacksOf(signature: SignatureJson): { id: string; errbacks: readonly SignatureJson[] }[] {
  switch (kindOf(signature)) {
    case "chain":
      return tasksOf(signature).slice(0, 1).flatMap(errbacksOf);
    case "group":
      return tasksOf(signature).flatMap(errbacksOf);
    case "chord":
      return linksOf(bodyOf(signature)).flatMap(errbacksOf);
    default: {
      const { task_id: id, link_error } = signature.options;
      return typeof id === "string" ? [{ id, errbacks: linksOf(link_error) }] : [];
    }
  }
}

/**
 * A part that has ended.
 *
 * @param json Its result, as it is stored.
 * @param ttl Seconds to keep it.
 */
export function endedPart(
  { groupId, taskId, index, body }: ChordPlace,
  state: string,
  json: string,
  ttl: number,
  { rootId, replyTo, redelivered }: Pick<TaskRequest, "rootId" | "replyTo" | "redelivered">,
): EndedPart {
  const text = `[1, ${JSON.stringify(taskId)}, ${JSON.stringify(state)}, ${json}]`;
  return { groupId, taskId, index, body, text, ttl, rootId, redelivered, replyTo: replyTo ?? undefined };
}

function walk(signature: SignatureJson, unreached: { ids: string[]; places: ChordPlace[] }): void {
  const { task_id: id, group_id: groupId, group_index: index, chord, chain } = signature.options;
  switch (kindOf(signature)) {
    case "chain":
    case "group":
      for (const task of tasksOf(signature)) walk(task, unreached);
      break;
    case "chord": {
      // The parts of its header have nothing to complete: the chord was not begun.
      for (const task of headerOf(signature).tasks) walk(task, { ids: unreached.ids, places: [] });
      for (const body of linksOf(bodyOf(signature))) walk(body, unreached);
      break;
    }
    default:
      if (typeof id !== "string") break;
      unreached.ids.push(id);
      if (typeof groupId === "string" && chord !== undefined && chord !== null) {
        const place = typeof index === "number" ? index : null;
        unreached.places.push({ groupId, taskId: id, index: place, body: chord as SignatureJson });
      }
  }
  for (const step of linksOf(chain).toReversed()) walk(step, unreached);
}
