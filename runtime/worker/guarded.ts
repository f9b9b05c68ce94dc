/**
 * What a confined isolate may speak of: the tasks that are in it. Between **run** and **settle**. The code of an isolate
 * keeps its port to itself, but shares its globals with the code of tasks; so what it says is believed of these only. (That
 * it has other tasks run is nothing forged: `ctx.callAfter` does so, under the permissions of these.)
 */
import type { RelayRequest } from "../channel/relay.ts";
import { type IsolateLine, Report } from "../isolate/isolate.ts";
import type { RecallRequest } from "../isolate/recollection.ts";
import { decodeTask, peekTask } from "../protocol/task_message.ts";
import { unreachedAfter } from "../workflow/chord_place.ts";
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
      listener.finished(delivery, report, id, text, extra, follow);
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
  try {
    return unreachedAfter(decodeTask(text, { maxBodyBytes: Infinity })).ids;
  } catch {
    // What can't be read has not run.
    return [];
  }
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
