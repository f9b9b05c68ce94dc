/**
 * What a confined isolate may speak of: the tasks that are in it. Between **run** and **settle**. The code of an isolate
 * keeps its port to itself, but shares its globals with the code of tasks; so what it says is believed of these only. (That
 * it has other tasks run is nothing forged: `ctx.callAfter` does so, under the permissions of these.)
 */
import type { RelayRequest } from "../channel/relay.ts";
import { type IsolateLine, Report } from "../isolate/isolate.ts";
import type { RecallRequest } from "../isolate/recollection.ts";
import { concernsChords, type Following } from "../protocol/chord.ts";
import { decodeTask, peekTask, type TaskRequest } from "../protocol/task_message.ts";
import { placeOf, unreachedAfter } from "../workflow/chord_place.ts";
import type { PoolListener } from "./pool_listener.ts";

/** A listener that hears of its own tasks only. `textOf` gives the message of a task that is in the pool which speaks. */
export function guarded(listener: PoolListener, textOf: (id: string) => string | undefined): PoolListener {
  const holds = (id: string) => textOf(id) !== undefined;
  const forged = (what: string) =>
    listener.log({
      level: "warning",
      text:
        `Ignored ${what} of a task that is not in the isolate which tells it: code of a task has forged it.`,
      task: "",
      id: "",
      own: false,
    });
  const chains = new Chains();
  return {
    ...listener,
    finished(delivery, report, id, text, extra, follow) {
      const own = peekTask(delivery.text)?.id ?? "";
      if (id !== own && (id !== "" || text !== "") && own !== "") {
        forged("a result");
        return listener.finished(
          delivery,
          Report.DEAD,
          own,
          "",
          "its isolate told the result of another task",
        );
      }
      const believed = follow && believedOf(delivery.text, follow, () => forged("a part of a chord"));
      listener.finished(delivery, report, id, text, extra, believed);
    },
    state(state) {
      const [id, , , , , before] = state;
      const isOurs = before === undefined ? holds(id) : chains.has(textOf(before) ?? "", id);
      if (isOurs) listener.state(state);
      else forged("a state");
    },
    relay(answer) {
      return new GuardedLine(listener.relay(answer), holds, () => forged("a message"));
    },
  };
}

/** What follows a task, with those parts of chords alone that end with it, and what its message says of them. */
function believedOf(text: string, follow: Following, forged: () => void): Following {
  if (!concernsChords(follow)) return follow;
  const request = readTask(text);
  if (request === undefined) return { messages: follow.messages };
  const { extended = [], parts = [] } = follow;
  const own = placeOf(request);
  const places = own === undefined
    ? unreachedAfter(request).places
    : [own, ...unreachedAfter(request).places];
  return {
    ...follow,
    extended: extended.filter(({ groupId }) => {
      if (groupId !== request.group) forged();
      return groupId === request.group;
    }),
    parts: parts.flatMap((part) => {
      const place = places.find(({ groupId, taskId }) => groupId === part.groupId && taskId === part.taskId);
      if (place !== undefined) return { ...part, ...place };
      forged();
      return [];
    }),
  };
}

/** What can't be read has not run. */
function readTask(text: string): TaskRequest | undefined {
  try {
    return decodeTask(text, { maxBodyBytes: Infinity });
  } catch {
    return undefined;
  }
}

/** Which tasks come after which in a chain. Those of one message are asked about together. */
class Chains {
  #text = "";
  #ids: ReadonlySet<string> = new Set();

  has(text: string, id: string): boolean {
    if (text !== this.#text) {
      this.#text = text;
      this.#ids = new Set(idsOfChain(text));
    }
    return this.#ids.has(id);
  }
}

function idsOfChain(text: string): readonly string[] {
  const request = readTask(text);
  return request === undefined ? [] : unreachedAfter(request).ids;
}

class GuardedLine implements IsolateLine {
  readonly #line: IsolateLine;
  readonly #holds: (id: string) => boolean;
  readonly #forged: () => void;
  /** The tasks of runs that speak, which are looked for once. */
  readonly #ids = new Map<number, string>();

  constructor(line: IsolateLine, holds: (id: string) => boolean, forged: () => void) {
    this.#line = line;
    this.#holds = holds;
    this.#forged = forged;
  }

  hear(request: RelayRequest | RecallRequest): void {
    if ("id" in request && this.#ids.get(request.run) !== request.id) {
      if (!this.#holds(request.id)) return this.#forged();
      if (request.kind !== "recall") this.#ids.set(request.run, request.id);
    }
    if (request.kind === "finish") this.#ids.delete(request.run);
    this.#line.hear(request);
  }

  close(): void {
    this.#line.close();
  }
}
