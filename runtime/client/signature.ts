/** A call that is not made yet (Celery: signature): kept, changed, put together with others, and then **published**. */
import {
  chainOf,
  groupOfChunks,
  mergedOptions,
  skewed,
  withArguments,
  withErrorLink,
  withImmutability,
  withLink,
} from "../workflow/compose.ts";
import { withStamps } from "../workflow/stamps.ts";
import { kindOf, type SignatureJson } from "../protocol/signature.ts";
import { formatIso } from "../protocol/dates.ts";
import type { AsyncResult } from "./async_result.ts";
import type { CallOptions } from "./call.ts";
import { asking, isVisitor, type StampingVisitor } from "./stamping_visitor.ts";
import { defaultApp } from "./task.ts";

/** What a call of a signature may say: arguments in front of its own, and options over its own. */
export interface SignatureCall<Takes extends readonly unknown[] = readonly unknown[]>
  extends SignatureOptions {
  /** Positional arguments, before its own. */
  readonly args?: Takes;
  /** Keyword arguments, over its own. */
  readonly kwargs?: Readonly<Record<string, unknown>>;
}

/** The options that a signature may have; the links are methods of its own. */
export type SignatureOptions = Omit<CallOptions, "link" | "linkError" | "retry" | "publishTimeout">;

/** What sends a signature. */
export interface SignatureSender {
  /** Sends it. */
  apply(
    signature: SignatureJson,
    call: {
      readonly args?: readonly unknown[];
      readonly kwargs?: Readonly<Record<string, unknown>>;
      readonly options?: Readonly<Record<string, unknown>>;
    },
  ): unknown;
}

/** The ends of a list of arguments: what may be given ahead when the first ones come from the step before. */
export type Tails<Args extends readonly unknown[]> = number extends Args["length"] ? Args
  : Args extends readonly [unknown?, ...infer Rest] ? Args extends readonly [] ? [] : Args | Tails<Rest>
  : Args;

/** What is left to be given, where `Given` are the last ones. */
export type Heads<Args extends readonly unknown[], Given extends readonly unknown[]> = number extends
  Args["length"] ? [...Args]
  :
    | (Given extends Args ? [] : never)
    | (Args extends readonly [] ? never
      : Args extends readonly [(infer First)?, ...infer Rest] ? HeadsAfter<First, Heads<Rest, Given>>
      : never);

/** Those lists with one more in front. */
export type HeadsAfter<First, Rest extends unknown[]> = Rest extends unknown[] ? [First, ...Rest] : never;

/** Any signature. */
export type AnySignature = Signature<never, unknown, unknown>;

/**
 * A call of a task, or of several in a chain, a group or a chord, that is still to be made. It never changes: what changes
 * it gives another one. As JSON it is Celery's, so that either side can run what the other has made.
 *
 * `Takes` are the arguments that are still to be given in front: in a chain, the result of the step before. `Sent` is what
 * its call returns.
 *
 * @example
 * ```ts
 * import { App, chain } from "../../mod.ts";
 *
 * const app = new App({ broker: "redis://localhost" });
 * const { add } = app.module<typeof import("../../tasks/math.ts")>("math");
 * console.log(await chain(add.s(1, 2), add.s(4)).delay()); // 7
 * await app.disconnect();
 * ```
 */
export class Signature<
  Takes extends readonly unknown[] = unknown[],
  Result = unknown,
  Sent = AsyncResult<Result>,
> {
  /** For the compiler alone. */
  declare readonly takes?: (args: Takes) => void;
  /** For the compiler alone. */
  declare readonly gives?: Result;
  readonly #json: SignatureJson;
  readonly #sender: () => SignatureSender;

  /** Made by `.s()` of a task, {@linkcode App.signature}, {@linkcode chain} and the like. */
  constructor(json: SignatureJson, sender: () => SignatureSender) {
    this.#json = json;
    this.#sender = sender;
  }

  /** The task's name; `celery.chain` and the like for what consists of several. */
  get task(): string {
    return this.#json.task;
  }

  /** What sends it. @internal */
  get sender(): () => SignatureSender {
    return this.#sender;
  }

  /** Calls it (Celery: `delay`). */
  delay(...args: Takes): Sent {
    return this.#sender().apply(this.#json, { args }) as Sent;
  }

  /**
   * Calls it with options (Celery: `apply_async`). Those of a chain are for its first step, but `taskId` is that of its last.
   *
   * @throws {UnserializableError} When an argument can't be written; names its path.
   * @throws {WorkflowError} For what can't be sent: a chord where no store can count its parts, a chain without steps.
   */
  applyAsync(call: SignatureCall<Takes> = {}): Sent {
    const { args, kwargs, ...options } = call;
    return this.#sender().apply(this.#json, { args, kwargs, options: celeryOptions(options) }) as Sent;
  }

  /** With options over those that it has (Celery: `set`). What is `immutable` gets its own arguments alone. */
  set(options: SignatureOptions & { readonly immutable: true }): Signature<unknown[], Result, Sent>;
  /** As above. */
  set(options: SignatureOptions & { readonly immutable?: boolean }): Signature<Takes, Result, Sent>;
  /** As above. */
  set(options: SignatureOptions & { readonly immutable?: boolean }): Signature<never, Result, Sent> {
    const { immutable, ...others } = options;
    const json = immutable === undefined ? this.#json : withImmutability(this.#json, immutable);
    return this.#with({ ...json, options: { ...json.options, ...celeryOptions(others) } });
  }

  /**
   * Another one with arguments in front, keyword arguments and options over its own (Celery: `clone`). An immutable one keeps
   * its arguments; of a chain the first step gets them, of a group each part, of a chord each part of its header.
   */
  clone(call: SignatureCall = {}): Signature<unknown[], Result, Sent> {
    const { args = [], kwargs = {}, ...options } = call;
    const json = withArguments(this.#json, args, kwargs);
    return this.#with({ ...json, options: mergedOptions(json.options, celeryOptions(options)) });
  }

  /** A chain of this and another step, which gets its result (Celery: `|`). */
  pipe<Next, NextSent>(next: Signature<[Result], Next, NextSent>): Signature<Takes, Next, NextSent> {
    return new Signature(chainOf([this.#json, next.toJSON()]), senderOf([this, next]));
  }

  /**
   * Also calls `callback` with its result when it succeeds (Celery: `link`). Of a chain that is its last step, of a chord its
   * body; of a group its first part, which has no result of all to give.
   */
  link(callback: Signature<[Result], unknown, unknown>): Signature<Takes, Result, Sent> {
    return this.#with(withLink(this.#json, callback.toJSON()));
  }

  /**
   * Calls `errback` when it fails (Celery: `link_error`): each step of a chain, each part of a group, of a chord its body, which
   * fails when a part does. A task of the same
   * worker that takes more than one argument is called there and then with the failed task's context, the error and its
   * trace; any other is sent as a task, with the id of the failed one.
   */
  linkError(errback: AnySignature): Signature<Takes, Result, Sent> {
    return this.#with(withErrorLink(this.#json, errback.toJSON()));
  }

  /**
   * With stamps on all of its tasks and on what is linked to them (Celery: `stamp`): headers that a task finds in `ctx.stamps`,
   * and by which {@linkcode Control.revokeByStampedHeaders} knows it. Where a task has one of that name, the new one takes
   * its place; lists become one.
   *
   * @param stamps By their names; or a visitor, which is asked for those of each part.
   * @param options With `append` a task keeps what it had, too: both stand in a list (Celery: `append_stamps`).
   * @throws {UnserializableError} For stamps that no message can carry.
   */
  stamp(
    stamps: Readonly<Record<string, unknown>> | StampingVisitor,
    options: { readonly append?: boolean } = {},
  ): Signature<Takes, Result, Sent> {
    const keep = options.append ? "both" : "outer";
    const ask = isVisitor(stamps) ? asking(stamps, (json) => new Signature(json, this.#sender)) : undefined;
    return this.#with(
      withStamps(this.#json, ask === undefined ? stamps as Readonly<Record<string, unknown>> : {}, {
        ask,
        keep,
      }),
    );
  }

  /**
   * A group whose parts start one after another instead of all at once (Celery: `skew`): the first in `start` seconds, each
   * next one `step` seconds later, and those that would start after `stop` together with the last one before. Of {@linkcode chunks}, too.
   *
   * @param skew Seconds. Default: from 1 on, 1 apart, without end.
   * @throws {TypeError} For what is no group.
   * @throws {RangeError} For a `step` that is not above 0.
   */
  skew(
    skew: { readonly start?: number; readonly stop?: number; readonly step?: number } = {},
  ): Signature<Takes, Result, Sent> {
    const json = this.task === "celery.chunks" ? groupOfChunks(this.#json) : this.#json;
    if (kindOf(json) !== "group") throw new TypeError(`only a group can be skewed, and ${this.task} is none`);
    return this.#with(skewed(json, skew));
  }

  /** Celery's own form of it. */
  toJSON(): SignatureJson {
    return this.#json;
  }

  /** What it is: one task, or several. */
  get kind(): "task" | "chain" | "group" | "chord" {
    return kindOf(this.#json);
  }

  #with<Now extends readonly unknown[]>(json: SignatureJson): Signature<Now, Result, Sent> {
    return new Signature(json, this.#sender);
  }
}

/** What sends a workflow of these parts: the first app that one of them names, else the default one. */
export function senderOf(parts: readonly AnySignature[]): () => SignatureSender {
  return parts.find(({ sender }) => sender !== defaultApp)?.sender ?? defaultApp;
}

/** Options as Celery spells them. */
export function celeryOptions(options: SignatureOptions): Readonly<Record<string, unknown>> {
  const spelled: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const name = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    spelled[name] = value instanceof Date ? formatIso(value.getTime()) : value;
  }
  return spelled;
}
