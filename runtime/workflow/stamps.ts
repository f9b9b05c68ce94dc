/**
 * Stamps: headers on the tasks of a workflow, by which monitors and revokes know them (Celery: canvas stamping). Put on before
 * anything is **published**.
 */
import { isRecord } from "../protocol/envelope.ts";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import { kindOf, linksOf, type SignatureJson, tasksOf } from "../protocol/signature.ts";
import { bodyOf, headerOf, withHeader, withTasks } from "./compose.ts";

/** Stamps by their names. */
export type Stamps = Readonly<Record<string, unknown>>;

/** When a visitor is asked for more stamps, or told that there are no more parts. */
export type StampingMoment =
  | "onSignature"
  | "onGroupStart"
  | "onGroupEnd"
  | "onChainStart"
  | "onChainEnd"
  | "onChordHeaderStart"
  | "onChordHeaderEnd"
  | "onChordBody"
  | "onCallback"
  | "onErrback";

/** How a workflow is stamped. */
export interface Stamping {
  /** Gives what a part and all in it are stamped with beside `stamps`, which come from outside of it. */
  readonly ask?: (moment: StampingMoment, part: SignatureJson, stamps: Stamps) => unknown;
  /** What one has when there are two of a name: the one from outside, its own, or a list of both. Default `"outer"`. */
  readonly keep?: "outer" | "own" | "both";
}

/** A signature whose tasks have stamps, those that are linked to it included. @throws {UnserializableError} */
export function withStamps(signature: SignatureJson, stamps: Stamps, stamping: Stamping = {}): SignatureJson {
  stringifyPythonJson(stamps, "stamps");
  return new Stamper(stamping).stamp(signature, stamps);
}

class Stamper {
  readonly #ask: NonNullable<Stamping["ask"]>;
  readonly #keep: Stamping["keep"];

  constructor({ ask = () => undefined, keep = "outer" }: Stamping) {
    this.#ask = ask;
    this.#keep = keep;
  }

  stamp(signature: SignatureJson, outer: Stamps): SignatureJson {
    switch (kindOf(signature)) {
      case "chain":
        return this.#stampParts(signature, outer, "onChainStart", "onChainEnd");
      case "group":
        return this.#stampParts(signature, outer, "onGroupStart", "onGroupEnd");
      case "chord":
        return this.#stampChord(signature, outer);
      default:
        return this.#stampTask(signature, outer);
    }
  }

  #stampTask(task: SignatureJson, outer: Stamps): SignatureJson {
    const linked = this.#withLinks(task, outer);
    const stamps = this.#merged(this.#more("onSignature", task, outer), stampsOf(task));
    return {
      ...linked,
      options: { ...linked.options, ...stamps, stamped_headers: Object.keys(stamps) },
    };
  }

  #stampParts(
    whole: SignatureJson,
    outer: Stamps,
    start: StampingMoment,
    end: StampingMoment,
  ): SignatureJson {
    const stamps = this.#more(start, whole, outer);
    const parts = tasksOf(whole).map((part) => this.stamp(part, stamps));
    const stamped = withTasks(this.#withLinks(whole, stamps), parts);
    this.#ask(end, stamped, stamps);
    return stamped;
  }

  #stampChord(chord: SignatureJson, outer: Stamps): SignatureJson {
    const stamps = this.#more("onChordHeaderStart", chord, outer);
    const parts = headerOf(chord).tasks.map((part) => this.stamp(part, stamps));
    const begun = withHeader(this.#withLinks(chord, stamps), parts);
    this.#ask("onChordHeaderEnd", begun, stamps);
    const body = bodyOf(chord);
    if (body === null) return begun;
    const stamped = this.stamp(body, this.#more("onChordBody", begun, stamps));
    return { ...begun, kwargs: { ...begun.kwargs, body: stamped } };
  }

  #withLinks(signature: SignatureJson, outer: Stamps): SignatureJson {
    const options: Record<string, unknown> = { ...signature.options };
    for (const [key, moment] of [["link", "onCallback"], ["link_error", "onErrback"]] as const) {
      if (options[key] === undefined || options[key] === null) continue;
      options[key] = linksOf(options[key]).map((link) => this.stamp(link, this.#more(moment, link, outer)));
    }
    return { ...signature, options };
  }

  /** Those from outside, and those that the visitor adds. */
  #more(moment: StampingMoment, part: SignatureJson, outer: Stamps): Stamps {
    const added = this.#ask(moment, part, outer);
    if (added === undefined || added === null) return outer;
    if (!isRecord(added)) {
      throw new TypeError(`${moment} of a stamping visitor gives an object of stamps, or nothing`);
    }
    stringifyPythonJson(added, `stamps of ${moment}`);
    return this.#merged(outer, added);
  }

  #merged(outer: Stamps, own: Stamps): Stamps {
    const merged: Record<string, unknown> = { ...outer };
    for (const [name, value] of Object.entries(own)) {
      merged[name] = Object.hasOwn(outer, name) ? this.#both(outer[name], value) : value;
    }
    return merged;
  }

  /** As in Celery lists become one, and objects, too. */
  #both(outer: unknown, own: unknown): unknown {
    if (this.#keep === "own") return own;
    if (Array.isArray(outer) && Array.isArray(own)) return [...outer, ...own];
    if (isRecord(outer) && isRecord(own)) return this.#merged(outer, own);
    if (this.#keep === "outer") return outer;
    return [...(Array.isArray(outer) ? outer : [outer]), own];
  }
}

/** Those that a task has already. */
function stampsOf({ options }: SignatureJson): Stamps {
  const names = (options.stamped_headers ?? []) as readonly string[];
  return Object.fromEntries(names.map((name) => [name, options[name]]));
}
