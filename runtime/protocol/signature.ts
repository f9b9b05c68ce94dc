/**
 * Signatures as they travel in messages: a task to be called, or a chain, group or chord of such (Celery: canvas). Read
 * strictly, because whoever may send a message may send one of these: before **run**, what follows a task is known to be fit
 * to be **published**.
 */
import { BadMessageError, quoted } from "./bad_message.ts";
import { parseIso } from "./dates.ts";
import { isRecord } from "./envelope.ts";
import { put } from "./plain_value.ts";

/** A signature with all its fields, in Celery's order. */
export interface SignatureJson {
  /** The task's name; `celery.chain` and the like for what consists of others. */
  readonly task: string;
  /** Its positional arguments. */
  readonly args: readonly unknown[];
  /** Its keyword arguments; of a chain or group its `tasks`. */
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Options of the call in Celery's spelling: `task_id`, `queue`, `countdown`, `link`, ... */
  readonly options: Readonly<Record<string, unknown>>;
  /** `"chain"`, `"group"`, `"chord"`, or null for a task. */
  readonly subtask_type: string | null;
  /** It gets its own arguments alone, without the result of what went before. */
  readonly immutable: boolean;
}

/** How deep signatures may stand in one another. Celery's protocol 1 nests one level for each step of a chain. */
export const MAX_DEPTH = 500;
/** How many signatures may stand in one. */
export const MAX_SIGNATURES = 1_000_000;

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === "string" && value !== "";
const isNumber: Check = (value) => typeof value === "number" && Number.isFinite(value);
const isWhole: Check = (value) => Number.isInteger(value) && (value as number) >= 0;
const isFlag: Check = (value) => typeof value === "boolean";
const isTime: Check = (value) => value instanceof Date || isDateText(value);
const isTexts: Check = (value) => Array.isArray(value) && value.every((item) => typeof item === "string");

/** What the options that are looked at must be, where they are not null. */
const OPTIONS: Readonly<Record<string, Check>> = {
  task_id: isText,
  group_id: isText,
  root_id: isText,
  parent_id: isText,
  queue: isText,
  exchange: (value) => typeof value === "string",
  routing_key: (value) => typeof value === "string",
  reply_to: (value) => typeof value === "string",
  shadow: isText,
  serializer: isText,
  compression: isText,
  argsrepr: isText,
  kwargsrepr: isText,
  priority: (value) => isWhole(value) && (value as number) <= 255,
  group_index: isWhole,
  retries: isWhole,
  replaced_task_nesting: isWhole,
  countdown: isNumber,
  eta: isTime,
  expires: (value) => isNumber(value) || isTime(value),
  time_limit: isNumber,
  soft_time_limit: isNumber,
  ignore_result: isFlag,
  headers: isRecord,
  stamped_headers: isTexts,
};

/** The subtask types that there are, with the name of the task that each stands in. */
const TYPES: Readonly<Record<string, string>> = {
  chain: "celery.chain",
  group: "celery.group",
  chord: "celery.chord",
  xmap: "celery.map",
  xstarmap: "celery.starmap",
  chunks: "celery.chunks",
};

/** What a signature consists of. */
export function kindOf({ subtask_type }: SignatureJson): "task" | "chain" | "group" | "chord" {
  return subtask_type === "chain" || subtask_type === "group" || subtask_type === "chord"
    ? subtask_type
    : "task";
}

/** The signatures that a chain or group consists of; whoever has read it knows that they are. */
export function tasksOf({ kwargs }: SignatureJson): readonly SignatureJson[] {
  return kwargs.tasks as readonly SignatureJson[];
}

/** The signatures of an option that may hold one or several: `link`, `link_error`. */
export function linksOf(value: unknown): readonly SignatureJson[] {
  if (value === undefined || value === null) return [];
  return (Array.isArray(value) ? value : [value]) as readonly SignatureJson[];
}

/**
 * Reads a signature with all that stand in it. What it leaves out is filled in.
 *
 * @param name What it is, for the error: `chain`, `callbacks`.
 * @throws {BadMessageError} For anything that is none: its reason is `bad NAME`.
 */
export function readSignature(value: unknown, name = "signature"): SignatureJson {
  return new Reader(name).read(value, 0);
}

/** The same for what a message says is to follow it: several, or one, or none. They count together. */
export function readFollowing(value: unknown, name: string): SignatureJson[] | null {
  if (value === null || value === undefined) return null;
  const reader = new Reader(name);
  return (Array.isArray(value) ? value : [value]).map((each) => reader.read(each, 0));
}

class Reader {
  readonly #name: string;
  #count = 0;

  constructor(name: string) {
    this.#name = name;
  }

  read(value: unknown, depth: number): SignatureJson {
    if (++this.#count > MAX_SIGNATURES) this.#refuse(`it has more than ${MAX_SIGNATURES} signatures`);
    if (depth > MAX_DEPTH) {
      this.#refuse(`signatures stand in one another more than ${MAX_DEPTH} deep, perhaps in a circle`);
    }
    if (!isRecord(value)) this.#refuse("it holds what is no signature");
    const { task, args = [], kwargs = {}, options = {}, subtask_type = null, immutable = false } = value;
    if (!isText(task)) this.#refuse("it names no task");
    const said = `of ${quoted(task)}`;
    if (!Array.isArray(args)) this.#refuse(`args ${said} is no list`);
    if (!isRecord(kwargs)) this.#refuse(`kwargs ${said} is no object`);
    if (!isRecord(options)) this.#refuse(`options ${said} is no object`);
    if (!isFlag(immutable)) this.#refuse(`immutable ${said} is neither true nor false`);
    if (subtask_type !== null) {
      const is = typeof subtask_type === "string" && Object.hasOwn(TYPES, subtask_type)
        ? TYPES[subtask_type]
        : this.#refuse(`subtask_type ${said} is unknown: ${quoted(subtask_type)}`);
      if (is !== task) this.#refuse(`subtask_type ${quoted(subtask_type)} ${said} belongs to ${is}`);
    }
    return {
      task: task as string,
      args,
      kwargs: this.#readKwargs(kwargs, subtask_type as string | null, task as string, depth),
      options: this.#readOptions(options, said, depth),
      subtask_type: subtask_type as string | null,
      immutable: immutable as boolean,
    };
  }

  #readKwargs(
    kwargs: Record<string, unknown>,
    type: string | null,
    task: string,
    depth: number,
  ): Record<string, unknown> {
    if (type === "chain" || type === "group") {
      return { ...kwargs, tasks: this.#readList(kwargs.tasks, `tasks of ${task}`, depth) };
    }
    if (type === "chord") {
      const { header, body } = kwargs;
      return {
        ...kwargs,
        header: Array.isArray(header)
          ? this.#readList(header, `header of ${task}`, depth)
          : this.read(header, depth + 1),
        body: body === null || body === undefined ? null : this.read(body, depth + 1),
      };
    }
    if (task === "celery.map" || task === "celery.starmap" || task === "celery.chunks") {
      if (!Array.isArray(kwargs.it)) this.#refuse(`it of ${task} is no list`);
      if (task === "celery.chunks" && !(isWhole(kwargs.n) && (kwargs.n as number) > 0)) {
        this.#refuse(`n of ${task} is no number of items`);
      }
      return { ...kwargs, task: this.read(kwargs.task, depth + 1) };
    }
    return kwargs;
  }

  #readOptions(options: Record<string, unknown>, said: string, depth: number): Record<string, unknown> {
    const read: Record<string, unknown> = {};
    for (const key of Object.keys(options)) put(read, key, this.#readOption(key, options[key], said, depth));
    return read;
  }

  #readOption(key: string, value: unknown, said: string, depth: number): unknown {
    if (value === null || value === undefined) return null;
    if (key === "link" || key === "link_error") {
      return this.#readList(Array.isArray(value) ? value : [value], key, depth);
    }
    if (key === "chain") return this.#readList(value, key, depth);
    if (key === "chord") return this.read(value, depth + 1);
    if (Object.hasOwn(OPTIONS, key) && !OPTIONS[key](value)) {
      this.#refuse(`the option ${key} ${said} can't be ${quoted(value)}`);
    }
    return value;
  }

  #readList(value: unknown, what: string, depth: number): SignatureJson[] {
    if (!Array.isArray(value)) this.#refuse(`${what} is no list`);
    return value.map((each) => this.read(each, depth + 1));
  }

  #refuse(detail: string): never {
    throw new BadMessageError(`bad ${this.#name}`, { detail });
  }
}

function isDateText(value: unknown): boolean {
  if (typeof value !== "string") return false;
  try {
    parseIso(value);
    return true;
  } catch {
    return false;
  }
}
