/**
 * What comes after a run: the next steps and callbacks of a task that returned, the error callbacks of one that failed and the
 * tasks that will not run because of it, and the parts of chords that have ended with it. Between **run** and **settle**.
 */
import { resolveSettings } from "../config/resolve.ts";
import type { EndedPart, Following } from "../protocol/chord.ts";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import { encodeError } from "../protocol/result_meta.ts";
import type { SignatureJson } from "../protocol/signature.ts";
import type { TaskRequest } from "../protocol/task_message.ts";
import { type ChordPlace, endedPart, placeOf, unreachedAfter } from "../workflow/chord_place.ts";
import { type Addition, Follow, type Followed, followsFailure, followsSuccess } from "../workflow/follow.ts";
import { type CalledErrback, isCalledHere } from "./errbacks.ts";
import type { IsolateSettings, StateReport } from "./isolate.ts";
import { moduleOf, type Outcomes } from "./outcomes.ts";
import type { RegisteredTask, TaskOptions } from "./task_definition.ts";

/** What an aftermath has of its runner. */
export interface AftermathParts {
  readonly settings: IsolateSettings;
  readonly outcomes: Outcomes;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** A task that runs in this isolate. */
  find(name: string): RegisteredTask | undefined;
  /** The options of a task that can be found elsewhere; default: of one that runs in this isolate. */
  defaultsOf?(name: string): TaskOptions | undefined;
  /** Stores a state beside the reports. */
  state(state: StateReport): void;
  /** Logs that error callbacks can't be sent. */
  unsent(request: TaskRequest, error: unknown): void;
}

/** A task, or what is known of one that is none of ours. */
type KnownTask = Pick<RegisteredTask, "name" | "options">;

/** What there is to be done after a run. */
export class Aftermath {
  readonly #parts: AftermathParts;
  #follow: Follow | undefined;

  constructor(parts: AftermathParts) {
    this.#parts = parts;
  }

  /** Whether there is anything after a task that returned. */
  followsSuccess(request: TaskRequest): boolean {
    return followsSuccess(request) || request.chord !== null;
  }

  /**
   * After a task that returned `value`.
   *
   * @param json The value, where it was written already; else "".
   * @throws {WorkflowError} When what follows can't be sent.
   * @throws {UnserializableError} When no message can carry the value.
   */
  success(request: TaskRequest, task: KnownTask, value: unknown, json: string): Followed {
    const place = placeOf(request);
    const followed = followsSuccess(request)
      ? this.follow.success(request, value)
      : { messages: [], children: [] };
    if (place === undefined) return followed;
    const text = json === "" ? stringifyPythonJson(value) : json;
    return { ...followed, parts: [this.#ended(place, "SUCCESS", text, request, task)] };
  }

  /**
   * After a task that failed, with the error callbacks that are to be sent. Who waits for what will not run is told at once.
   * Undefined for nothing.
   */
  failure(
    request: TaskRequest,
    task: KnownTask,
    error: unknown,
    traceback: string | null,
    errbacks: readonly SignatureJson[],
  ): Following | undefined {
    const { outcomes, state } = this.#parts;
    for (const each of outcomes.neverReached(request, task, error, traceback)) state(each);
    const parts = this.#failedParts(request, task, "FAILURE", error);
    const sent = errbacks.length > 0 ? this.#sendErrbacks(request, errbacks) : undefined;
    if (sent === undefined && parts.length === 0) return undefined;
    return { messages: [], ...sent, parts };
  }

  /**
   * After a task that was not run, or rejected its message: those after it in its chain are told nothing, as in Celery, but
   * chords count it.
   */
  unrun(
    request: TaskRequest,
    task: KnownTask,
    state: "FAILURE" | "REVOKED",
    error: unknown,
  ): Following | undefined {
    const parts = this.#failedParts(request, task, state, error);
    return parts.length === 0 ? undefined : { messages: [], parts };
  }

  /** What takes the place of a running task. @throws As {@linkcode Aftermath.success}. */
  replacement(request: TaskRequest, signature: SignatureJson): Following {
    const { children: _, ...following } = this.follow.replacement(request, signature);
    return following;
  }

  /** The `position`th part that a running task adds to its chord. @throws As {@linkcode Aftermath.success}. */
  addition(request: TaskRequest, signature: SignatureJson, position: number): Addition {
    return this.follow.addition(request, signature, position);
  }

  /** Error callbacks: those that are called here, and those that are sent. */
  errbacksOf({ errbacks }: TaskRequest): readonly [CalledErrback[], SignatureJson[]] {
    const here: CalledErrback[] = [];
    const others: SignatureJson[] = [];
    for (const signature of errbacks ?? []) {
      const task = this.#parts.find(signature.task);
      if (task !== undefined && isCalledHere(task)) here.push({ signature, task });
      else others.push(signature);
    }
    return [here, others];
  }

  /** The parts of chords that have failed with a task: its own, and those of the tasks that would have come after it. */
  #failedParts(request: TaskRequest, task: KnownTask, state: string, error: unknown): EndedPart[] {
    if (request.chord === null && !followsFailure(request)) return [];
    const own = placeOf(request);
    const { places } = unreachedAfter(request);
    const all = own === undefined ? places : [own, ...places];
    if (all.length === 0) return [];
    const json = encodeError(error, moduleOf(task.name));
    return all.map((place) => this.#ended(place, state, json, request, task));
  }

  #ended(place: ChordPlace, state: string, json: string, request: TaskRequest, task: KnownTask): EndedPart {
    return endedPart(place, state, json, this.#parts.outcomes.ttl(task), request);
  }

  #sendErrbacks(request: TaskRequest, errbacks: readonly SignatureJson[]): Following | undefined {
    try {
      const { children: _, ...following } = this.follow.failure(request, errbacks);
      return following;
    } catch (error) {
      this.#parts.unsent(request, error);
      return undefined;
    }
  }

  /** Made when first a task is followed by anything. */
  get follow(): Follow {
    const { settings, now, find, defaultsOf } = this.#parts;
    return this.#follow ??= new Follow({
      settings: resolveSettings({ from: "the worker", settings: settings.client }),
      origin: `${settings.pid}@${settings.hostname}`,
      now,
      defaultsOf: defaultsOf ?? ((task) => find(task)?.options),
      // Outside of a worker they are counted where they run.
      countsChords: settings.hostname === "",
    });
  }
}
