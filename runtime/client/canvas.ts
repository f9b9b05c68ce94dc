/**
 * Calls put together (Celery: canvas): one after another, side by side, one task over many items. Values until they are
 * called; then what begins is **published**, and workers send what follows.
 */
import {
  chainOf,
  chordOf,
  chunksOf,
  groupOf,
  groupOfChunks,
  mapOf,
  starmapOf,
  upgraded,
} from "../workflow/compose.ts";
import { parsePythonJson } from "../protocol/python_json.ts";
import { kindOf, readSignature, type SignatureJson } from "../protocol/signature.ts";
import type { AsyncResult } from "./async_result.ts";
import type { GroupResult } from "./group_result.ts";
import { type AnySignature, senderOf, Signature, type SignatureSender } from "./signature.ts";
import { defaultApp } from "./task.ts";

/** A step that takes the result of the one before. */
export type Step<Before, Result = unknown, Sent = unknown> = Signature<[Before], Result, Sent>;

/** What a signature takes. */
export type TakesOf<One> = One extends Signature<infer Takes, unknown, unknown> ? Takes : never;

/** What a signature gives. */
export type GivesOf<One> = One extends Signature<never, infer Result, unknown> ? Result : never;

/** What the call of a signature returns. */
export type SentOf<One> = One extends Signature<never, unknown, infer Sent> ? Sent : never;

/** The last of several. */
export type LastOf<All extends readonly unknown[]> = All extends readonly [...unknown[], infer Last] ? Last
  : All[number];

/** Steps each of which takes what the one before it gives. */
export type CheckedSteps<Steps extends readonly AnySignature[]> = Steps extends
  readonly [infer First, ...infer Rest] ? StepsAfter<First, Rest, [First]>
  : Steps extends readonly [] ? [AnySignature]
  : readonly Step<GivesOf<Steps[number]>>[];

/** What comes after a step; `Done` is in front of it. */
export type StepsAfter<Before, Left extends readonly unknown[], Done extends readonly unknown[]> =
  Left extends readonly [infer Next, ...infer Rest] ? StepsAfter<Next, Rest, [...Done, Step<GivesOf<Before>>]>
    : Left extends readonly [] ? Done
    : [...Done, ...Step<GivesOf<Before> | GivesOf<Left[number]>>[]];

/** What a chain of steps is. */
export type ChainOf<Steps extends readonly unknown[]> = Signature<
  TakesOf<Steps[0]>,
  GivesOf<LastOf<Steps>>,
  SentOf<LastOf<Steps>>
>;

/** What all of them take. */
export type TakenBy<Parts extends readonly AnySignature[]> = Parts[number] extends
  Signature<infer Takes, unknown, unknown> ? Takes : never;

/** What they give, one by one. */
export type GivenBy<Parts extends readonly AnySignature[]> = {
  -readonly [Part in keyof Parts]: Parts[Part] extends Signature<never, infer Result, unknown> ? Result
    : never;
};

/** What the header of a chord may be: a list of its parts, or what ends in a group. */
export type HeaderParts =
  | readonly AnySignature[]
  | Signature<never, readonly unknown[], GroupResult<readonly unknown[]>>;

/** What the body of a chord is called with. */
export type GivenByHeader<Header extends HeaderParts> = Header extends readonly AnySignature[]
  ? GivenBy<Header>
  : GivesOf<Header>;

/**
 * Calls one after another, each with the result of the one before in front of its arguments (Celery: `chain`). It is checked
 * step by step; its result is that of the last step, whose `parent` is that of the step before.
 *
 * @example
 * ```ts
 * import { App, chain } from "../../mod.ts";
 *
 * const app = new App({ broker: "redis://localhost" });
 * const { add } = app.module<typeof import("../../tasks/math.ts")>("math");
 * console.log(await chain(add.s(1, 2), add.s(4), add.s(8)).delay()); // 15
 * await app.disconnect();
 * ```
 */
export function chain<Steps extends readonly AnySignature[]>(
  ...steps: Steps extends CheckedSteps<Steps> ? Steps : CheckedSteps<Steps>
): ChainOf<Steps>;
/** The same of a list of steps. */
export function chain<const Steps extends readonly AnySignature[]>(
  steps: Steps extends CheckedSteps<Steps> ? Steps : CheckedSteps<Steps>,
): ChainOf<Steps>;
/** What the signatures above come down to. */
export function chain(...given: unknown[]): unknown {
  const steps = (Array.isArray(given[0]) ? given[0] : given) as readonly AnySignature[];
  if (steps.length === 0) throw new TypeError("a chain needs a step");
  return new Signature(chainOf(steps.map((step) => step.toJSON())), senderOf(steps));
}

/**
 * Calls side by side (Celery: `group`). Calling it returns a {@linkcode GroupResult}, whose value is the list of their
 * results. A group in a group is part of it.
 *
 * @example
 * ```ts
 * import { App, group } from "../../mod.ts";
 *
 * const app = new App({ broker: "redis://localhost" });
 * const { add } = app.module<typeof import("../../tasks/math.ts")>("math");
 * console.log(await group(add.s(1, 2), add.s(3, 4)).delay()); // [3, 7]
 * await app.disconnect();
 * ```
 */
export function group<const Parts extends readonly AnySignature[]>(
  parts: Parts,
): Signature<TakenBy<Parts>, GivenBy<Parts>, GroupResult<GivenBy<Parts>>>;
/** The same, with the parts one by one. */
export function group<Parts extends readonly AnySignature[]>(
  ...parts: Parts
): Signature<TakenBy<Parts>, GivenBy<Parts>, GroupResult<GivenBy<Parts>>>;
/** What the signatures above come down to. */
export function group(...given: unknown[]): unknown {
  const parts = (Array.isArray(given[0]) ? given[0] : given) as readonly AnySignature[];
  return new Signature(groupOf(parts.map((part) => part.toJSON())), senderOf(parts));
}

/**
 * A group whose results, as one list in the order of its parts, are what `body` is called with (Celery: `chord`). Its result is
 * that of the body, with the group's as its `parent`. A part that fails makes the body fail, with a {@linkcode ChordError}.
 *
 * @param header The parts: a list, a group, or {@linkcode chunks}.
 *
 * @example
 * ```ts
 * import { App, chord } from "../../mod.ts";
 *
 * const app = new App({ broker: "redis://localhost" });
 * const { add } = app.module<typeof import("../../tasks/math.ts")>("math");
 * const total = app.signature<number>("py.sum");
 * console.log(await chord([add.s(1, 2), add.s(3, 4)], total).delay()); // 10
 * await app.disconnect();
 * ```
 */
export function chord<const Header extends HeaderParts, Result, Sent>(
  header: Header,
  body: Signature<[GivenByHeader<Header>], Result, Sent>,
): Signature<Header extends readonly AnySignature[] ? TakenBy<Header> : TakesOf<Header>, Result, Sent>;
/** What the signatures above come down to. */
export function chord(header: readonly AnySignature[] | AnySignature, body: AnySignature): unknown {
  const json = "toJSON" in header
    ? afterGroup(header.toJSON(), body.toJSON())
    : chordOf(header.map((part) => part.toJSON()), body.toJSON());
  return new Signature(json, senderOf([body, ...("toJSON" in header ? [header] : header)]));
}

/** One task that calls `task` with each of `items`, in order, and gives the list of what it returns (Celery: `map`). */
export function map<Item, R>(
  task: Signature<[Item], R, unknown>,
  items: readonly Item[],
): Signature<unknown[], R[]> {
  return new Signature(mapOf(task.toJSON(), items), task.sender);
}

/** One task that calls `task` with each list of arguments in `items`, in order (Celery: `starmap`). */
export function starmap<Args extends readonly unknown[], R>(
  task: Signature<Args, R, unknown>,
  items: readonly Args[],
): Signature<unknown[], R[]> {
  return new Signature(starmapOf(task.toJSON(), items), task.sender);
}

/**
 * Many calls of `task` in a group of tasks, each of which makes `size` of them (Celery: `chunks`): for work so short that a
 * message each would cost more than it does.
 *
 * @throws {RangeError} For a size that is none.
 */
export function chunks<Args extends readonly unknown[], R>(
  task: Signature<Args, R, unknown>,
  items: readonly Args[],
  size: number,
): Signature<unknown[], R[][], GroupResult<R[][]>> {
  if (!Number.isInteger(size) || size < 1) {
    throw new RangeError(`chunks of ${size} can't be: a size is a whole number from 1 on`);
  }
  return new Signature(chunksOf(task.toJSON(), items, size), task.sender);
}

/**
 * Reads Celery's JSON of a signature: as Python's `json.dumps` writes one, or the value that was parsed from it.
 *
 * @param json As it came from outside: it is checked.
 * @param app What sends it. Default: the default app, see {@linkcode setDefaultApp}.
 * @throws {SyntaxError} For a text that is no JSON.
 * @throws {BadMessageError} For anything that is no signature, or one of absurd size or depth.
 */
export function signatureFromJson<Result = unknown>(
  json: unknown,
  app?: SignatureSender,
): Signature<unknown[], Result, AsyncResult<Result>> {
  const value = typeof json === "string" ? parsePythonJson(json) : json;
  return new Signature(readSignature(value), app === undefined ? defaultApp : () => app);
}

/** A group's parts are the header's, also when it has only one; what ends in a group goes on as a chain does. */
function afterGroup(header: SignatureJson, body: SignatureJson): SignatureJson {
  const group = header.task === "celery.chunks" ? groupOfChunks(header) : header;
  return kindOf(group) === "group" ? upgraded(group, body) : chainOf([group, body]);
}
