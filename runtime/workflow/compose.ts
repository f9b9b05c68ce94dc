/**
 * Signatures put together as Celery puts them together: plain values, before anything is **published**. A chain is flat, a
 * group with one member is that member, and a group with something after it is a chord's header.
 */
import { stringifyPythonJson } from "../protocol/python_json.ts";
import { kindOf, linksOf, type SignatureJson, tasksOf } from "../protocol/signature.ts";

type Options = Readonly<Record<string, unknown>>;

/** The task that chunks are, until they are sent. */
const CHUNKS = "celery.chunks";

/** The signature of a call. */
export function callOf(
  task: string,
  args: readonly unknown[] = [],
  kwargs: Readonly<Record<string, unknown>> = {},
  options: Options = {},
  immutable = false,
): SignatureJson {
  return { task, args, kwargs, options, subtask_type: null, immutable };
}

/** What runs one after another, each step with the result of the one before. One step alone is itself. */
export function chainOf(parts: readonly SignatureJson[]): SignatureJson {
  const steps = stepsOf(parts);
  return steps.length === 1 ? steps[0] : composed("chain", { tasks: steps });
}

/** What runs side by side. */
export function groupOf(parts: readonly SignatureJson[]): SignatureJson {
  return composed("group", { tasks: parts });
}

/** A group whose results, as one list, are what `body` is called with. */
export function chordOf(header: readonly SignatureJson[], body: SignatureJson): SignatureJson {
  return composed("chord", { kwargs: {}, header, body });
}

/** One task that calls another with each of `items`. */
export function mapOf(task: SignatureJson, items: readonly unknown[]): SignatureJson {
  return callOf("celery.map", [], { task, it: items }, {}, true);
}

/** One task that calls another with each list of arguments. */
export function starmapOf(task: SignatureJson, items: readonly (readonly unknown[])[]): SignatureJson {
  return callOf("celery.starmap", [], { task, it: items }, {}, true);
}

/** Many calls in parts of `size`, each of which one task makes. */
export function chunksOf(
  task: SignatureJson,
  items: readonly (readonly unknown[])[],
  size: number,
): SignatureJson {
  return callOf(CHUNKS, [], { task, it: items, n: size }, {}, true);
}

/** The group that chunks come to when they are sent. */
export function groupOfChunks({ kwargs, options }: SignatureJson): SignatureJson {
  const { task, it, n } = kwargs as { task: SignatureJson; it: readonly (readonly unknown[])[]; n: number };
  const parts: SignatureJson[] = [];
  for (let i = 0; i < it.length; i += n) parts.push(starmapOf(task, it.slice(i, i + n)));
  return { ...groupOf(parts), kwargs: { tasks: parts, chunks: true }, options };
}

/** The steps of a chain of `parts`, as one flat list. */
export function stepsOf(parts: readonly SignatureJson[]): SignatureJson[] {
  const steps: SignatureJson[] = [];
  for (const part of parts.flatMap(unchained).map(unrolled)) {
    const last = steps.at(-1);
    if (isEmptyGroup(part) && last !== undefined) continue;
    if (last === undefined) steps.push(part);
    else if (isEmptyGroup(last)) steps[steps.length - 1] = part;
    else if (kindOf(last) === "group") steps[steps.length - 1] = upgraded(last, part);
    else if (kindOf(last) === "chord" && kindOf(part) !== "chord") {
      steps[steps.length - 1] = withBody(last, (body) => body === null ? part : chainOf([body, part]));
    } else steps.push(part);
  }
  return steps;
}

/**
 * Steps in which no chord has a chain as its body: what comes after the body's first step are steps of their own. Each part of
 * a chord carries its body along, so the shorter that is, the less is sent.
 */
export function unrolledSteps(steps: readonly SignatureJson[]): SignatureJson[] {
  const unrolled: SignatureJson[] = [];
  const left = steps.toReversed();
  for (let step = left.pop(); step !== undefined; step = left.pop()) {
    const body = kindOf(step) === "chord" ? bodyOf(step) : null;
    if (kindOf(step) === "group" && left.length > 0) left.push(upgraded(step, left.pop()!));
    else if (body === null) unrolled.push(step);
    else if (kindOf(body) === "chain" && tasksOf(body).length > 0) {
      const { link: _, link_error: __, ...options } = body.options;
      const [first, ...rest] = unchained(body);
      const begun = { ...first, options: mergedOptions(first.options, options) };
      for (const next of rest.toReversed()) left.push(next);
      left.push(withBody(step, () => begun));
    } else if (kindOf(body) === "group" && left.length > 0) {
      // What comes next is called once, with the results of all.
      const next = left.pop()!;
      left.push(withBody(step, () => chainOf([body, next])));
    } else unrolled.push(step);
  }
  return unrolled;
}

/** The header of a chord: a list of parts, or a group that may have options of its own. */
export function headerOf({ kwargs }: SignatureJson): {
  readonly tasks: readonly SignatureJson[];
  readonly options: Options;
} {
  const header = kwargs.header as SignatureJson | readonly SignatureJson[];
  if (Array.isArray(header)) return { tasks: header, options: {} };
  const signature = header as SignatureJson;
  return kindOf(signature) === "group"
    ? { tasks: tasksOf(signature), options: signature.options }
    : { tasks: [signature], options: {} };
}

/** A chord with other parts in its header. */
export function withHeader(chord: SignatureJson, parts: readonly SignatureJson[]): SignatureJson {
  const { options } = headerOf(chord);
  const header = Object.keys(options).length === 0 ? parts : { ...groupOf(parts), options };
  return { ...chord, kwargs: { ...chord.kwargs, header } };
}

/** The body of a chord, which may still be missing. */
export function bodyOf({ kwargs }: SignatureJson): SignatureJson | null {
  return kwargs.body as SignatureJson | null ?? null;
}

/** Options put over those that a signature has, but for those that must stay: its group and its stamps. */
export function mergedOptions(own: Options, given: Options): Options {
  const keys = Object.keys(given);
  if (keys.length === 0) return own;
  const stamped = (own.stamped_headers ?? []) as readonly string[];
  const merged: Record<string, unknown> = { ...own };
  for (const key of keys) {
    const value = given[key];
    if (value === undefined || value === null) continue;
    const stays = key === "group_id" || key === "stamped_headers" || stamped.includes(key);
    if (!stays || own[key] === undefined) merged[key] = value;
  }
  return merged;
}

/**
 * A signature with arguments in front of its own; an immutable one keeps its own alone. Of a chain its first step has them, of
 * a group each part, of a chord each part of its header.
 */
export function withArguments(
  signature: SignatureJson,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>> = {},
): SignatureJson {
  if (signature.immutable) return signature;
  switch (kindOf(signature)) {
    case "chain": {
      const [first, ...rest] = tasksOf(signature);
      return first === undefined
        ? signature
        : withTasks(signature, [withArguments(first, args, kwargs), ...rest]);
    }
    case "group":
      return withTasks(signature, tasksOf(signature).map((task) => withArguments(task, args, kwargs)));
    case "chord": {
      const own = signature.kwargs.kwargs as Options | undefined;
      return {
        ...signature,
        args: [...args, ...signature.args],
        kwargs: { ...signature.kwargs, kwargs: { ...own, ...kwargs } },
      };
    }
    default:
      return {
        ...signature,
        args: [...args, ...signature.args],
        kwargs: { ...signature.kwargs, ...kwargs },
      };
  }
}

/** A signature that gets its own arguments alone, or not any more: the same parts of it as have arguments. */
export function withImmutability(signature: SignatureJson, immutable: boolean): SignatureJson {
  const each = (tasks: readonly SignatureJson[]) => tasks.map((task) => withImmutability(task, immutable));
  switch (kindOf(signature)) {
    case "chain": {
      const tasks = tasksOf(signature);
      return { ...withTasks(signature, [...each(tasks.slice(0, 1)), ...tasks.slice(1)]), immutable };
    }
    case "group":
      return withTasks(signature, each(tasksOf(signature)));
    case "chord":
      return withHeader(signature, each(headerOf(signature).tasks));
    default:
      return { ...signature, immutable };
  }
}

/** A signature with a link more: of a group its first part has it, without the result; of a chord its body. */
export function withLink(signature: SignatureJson, link: SignatureJson): SignatureJson {
  if (hasBody(signature)) return withBody(signature, (body) => withLink(body!, link));
  if (kindOf(signature) !== "group") return withListed(signature, "link", link);
  const [first, ...rest] = tasksOf(signature);
  return first === undefined
    ? signature
    : withTasks(signature, [withLink(first, { ...link, immutable: true }), ...rest]);
}

/** A signature with an error callback more: of a group each part has it, of a chord its body. */
export function withErrorLink(signature: SignatureJson, link: SignatureJson): SignatureJson {
  if (hasBody(signature)) return withBody(signature, (body) => withErrorLink(body!, link));
  return kindOf(signature) === "group"
    ? withTasks(signature, tasksOf(signature).map((task) => withErrorLink(task, link)))
    : withListed(signature, "link_error", link);
}

/** A group whose parts have countdowns: `start`, and `step` more each, up to `stop`. */
export function skewed(
  group: SignatureJson,
  { start = 1, stop = Infinity, step = 1 }: { start?: number; stop?: number; step?: number },
): SignatureJson {
  if (!(step > 0)) throw new RangeError(`a group can't be skewed by steps of ${step} s`);
  const last = Math.max(0, Math.floor((stop - start) / step));
  return withTasks(
    group,
    tasksOf(group).map((task, i) => ({
      ...task,
      options: { ...task.options, countdown: start + step * Math.min(i, last) },
    })),
  );
}

/** A chain or group with other parts. */
export function withTasks(signature: SignatureJson, tasks: readonly SignatureJson[]): SignatureJson {
  return { ...signature, kwargs: { ...signature.kwargs, tasks } };
}

function composed(
  type: "chain" | "group" | "chord",
  kwargs: Readonly<Record<string, unknown>>,
): SignatureJson {
  return { task: `celery.${type}`, args: [], kwargs, options: {}, subtask_type: type, immutable: false };
}

/** The steps of a chain: its last one has the chain's links, each of them its error callbacks. */
function unchained(part: SignatureJson): SignatureJson[] {
  if (kindOf(part) !== "chain") return [part];
  const steps = tasksOf(part).flatMap(unchained);
  const errbacks = linksOf(part.options.link_error);
  const last = steps.length - 1;
  return steps.map((step, i) => {
    const linked = i === last ? linksOf(part.options.link).reduce(withLink, step) : step;
    return errbacks.reduce(withErrorLink, linked);
  });
}

/** A group with one member is that member; chunks are a group, however many they come to. */
function unrolled(part: SignatureJson): SignatureJson {
  if (part.task === CHUNKS) return groupOfChunks(part);
  return kindOf(part) === "group" && !isOfChunks(part) && tasksOf(part).length === 1
    ? unrolled(tasksOf(part)[0])
    : part;
}

function isEmptyGroup(part: SignatureJson): boolean {
  return kindOf(part) === "group" && !isOfChunks(part) && tasksOf(part).length === 0;
}

function isOfChunks({ kwargs }: SignatureJson): boolean {
  return kwargs.chunks === true;
}

/** A group with a step after it. */
export function upgraded(group: SignatureJson, body: SignatureJson): SignatureJson {
  const header = Object.keys(group.options).length === 0 ? tasksOf(group) : group;
  return composed("chord", { kwargs: {}, header, body });
}

function hasBody(signature: SignatureJson): boolean {
  return kindOf(signature) === "chord" && bodyOf(signature) !== null;
}

function withBody(
  chord: SignatureJson,
  change: (body: SignatureJson | null) => SignatureJson,
): SignatureJson {
  return {
    ...chord,
    kwargs: { ...chord.kwargs, body: change(bodyOf(chord)) },
  };
}

function withListed(signature: SignatureJson, key: string, link: SignatureJson): SignatureJson {
  const listed = linksOf(signature.options[key]);
  // The same one is called once, as in Celery.
  const text = stringifyPythonJson(link);
  if (listed.some((other) => stringifyPythonJson(other) === text)) return signature;
  return { ...signature, options: { ...signature.options, [key]: [...listed, link] } };
}
