/**
 * The owner's end of the port that an isolate speaks through, whatever the isolate lives in: between **run** and
 * **settle**, and before that, while it loads its modules.
 */
import type { RelayAnswer } from "../channel/relay.ts";
import type { HubAnswer, HubLink } from "../hub/port.ts";
import { withResolvers } from "../platform.ts";
import type { InsideMessage } from "./inside.ts";
import type { Death, IsolateLine, IsolateListener } from "./isolate.ts";
import { TaskModuleError } from "./load_modules.ts";
import type { RecallAnswer } from "./recollection.ts";
import type { TaskDescription } from "./task_definition.ts";

/** What comes out of an isolate's port. */
export type PortMessage = InsideMessage | readonly [busy: number, ...reports: (number | string)[]];

/** What an isolate hears of its timers: it comes by the port to the hub. */
export interface HubMessage {
  readonly kind: "hub";
  readonly answer: HubAnswer;
}

/** Hears an isolate and tells its listener. */
export class PortEnd {
  readonly #listener: IsolateListener;
  readonly #answer: (answer: RelayAnswer | RecallAnswer | HubMessage) => void;
  readonly #ended: (reason: string, how?: Death) => void;
  readonly #ready: PromiseWithResolvers<readonly TaskDescription[]> = withResolvers();
  #relay: IsolateLine | undefined;
  #hub: HubLink | undefined;

  /** `answer` reaches the isolate; `ended` is called when it says that it ends. */
  constructor(
    listener: IsolateListener,
    answer: (answer: RelayAnswer | RecallAnswer | HubMessage) => void,
    ended: (reason: string, how?: Death) => void,
  ) {
    this.#listener = listener;
    this.#answer = answer;
    this.#ended = ended;
    // Whoever ends an isolate while it starts may not wait for it.
    this.#ready.promise.catch(() => {});
  }

  /** Its tasks, once it has loaded them. @throws {TaskModuleError} */
  get ready(): Promise<readonly TaskDescription[]> {
    return this.#ready.promise;
  }

  hear(message: PortMessage): void {
    if (Array.isArray(message)) {
      const busy = message[0] as number;
      return this.#listener.finished(message.slice(1), busy);
    }
    const said = message as InsideMessage;
    switch (said.kind) {
      case "ready":
        return this.#ready.resolve(said.tasks);
      case "unusable":
        return this.fail(said.reason);
      case "follow":
        return this.#listener.follow(said.follow);
      case "state":
        return this.#listener.state(said.state);
      case "relay":
        this.#relay ??= this.#listener.relay(this.#answer);
        return this.#relay.hear(said.request);
      case "hub":
        this.#hub ??= this.#listener.hub?.((answer) => this.#answer({ kind: "hub", answer }));
        return this.#hub?.hear(said.request);
      case "log":
        return this.#listener.log(said.line);
      case "died":
        this.fail(`the task modules ended their isolate while loading: ${said.reason}`);
        return this.#ended(said.reason, said.how);
    }
  }

  /** The isolate will not be ready, if it is not yet. */
  fail(why: string): void {
    this.#ready.reject(new TaskModuleError(why));
  }

  /** Nothing more comes. */
  close(): void {
    this.#relay?.close();
    this.#hub?.close();
    this.#relay = this.#hub = undefined;
  }
}
