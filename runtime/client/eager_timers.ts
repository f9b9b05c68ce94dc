/** The timers of tasks that run where they are called (`alwaysEager`): a hub in this process, whose callbacks run here, too. */
import type { Clock } from "../clock.ts";
import type { MessageDefaults } from "../config/message_defaults.ts";
import { compileRoutes } from "../config/task_routes.ts";
import type { Settings } from "../config/settings.ts";
import type { TimersOfWorker } from "../hub/far_hubs.ts";
import { Hub } from "../hub/hub.ts";
import {
  type CancelAnswer,
  type HubAnswer,
  HubEnd,
  type HubHost,
  type HubLink,
  type HubPlace,
} from "../hub/port.ts";
import { readTimerCall, taskOfTimerCall } from "../hub/timer_call.ts";
import { readTimerId, timerId, timerNumber } from "../hub/timer_id.ts";
import { timerMessage } from "../hub/timer_message.ts";
import { uid } from "../protocol/uid.ts";
import type { WireMessage } from "../protocol/wire_message.ts";

/** What these timers have around them. */
export interface EagerTimersParts {
  readonly settings: Settings;
  readonly clock: Clock;
  optionsOf(task: string): MessageDefaults | undefined;
  /** Runs a task by its message. */
  run(id: string, task: string, message: WireMessage): void;
}

/** Durable timers have an end of their own: where nothing survives the process, they wait as the others do. */
const DURABLE_END = 0;

/** The timers of one app. */
export class EagerTimers implements HubHost {
  readonly place: HubPlace;
  readonly #parts: EagerTimersParts;
  readonly #durable = new Map<string, number>();
  readonly #idsOfDurable = new Map<number, string>();
  #count = 0;
  #ends = DURABLE_END;
  #hub: Hub;

  constructor(parts: EagerTimersParts) {
    this.#parts = parts;
    this.place = { hub: uid(), end: this.newEnd(), limit: parts.settings.workerMaxTimers };
    this.#hub = this.#newHub();
  }

  get hub(): Hub {
    return this.#hub;
  }

  get room(): number {
    return this.place.limit - this.#hub.size;
  }

  newEnd(): number {
    return ++this.#ends;
  }

  /** For the place where its tasks run. */
  open(answer: (answer: HubAnswer) => void): HubLink {
    return new HubEnd(this.place, this, () => this.#parts.clock.monotonic(), answer);
  }

  keep(id: string, due: number, text: string): Promise<void> {
    const number = timerNumber(DURABLE_END, ++this.#count);
    this.#durable.set(id, number);
    this.#idsOfDurable.set(number, id);
    this.#hub.set({ number, due, every: 0, isWallTime: true, text });
    return Promise.resolve();
  }

  cancelElsewhere(id: string): Promise<CancelAnswer> {
    return Promise.resolve(this.cancel(id));
  }

  /** Cancels any timer of this app. */
  cancel(id: string): CancelAnswer {
    const place = readTimerId(id);
    if (place?.kind === "memory" && place.hub !== this.place.hub) return "unknown";
    const number = place?.kind === "memory" ? place.number : this.#forget(this.#durable.get(id) ?? 0);
    return number !== undefined && this.#hub.cancel(number) ? "cancelled" : "too late";
  }

  /** What a worker would tell of them, under no name. */
  report(): Record<string, TimersOfWorker> {
    const timers = this.#hub.first(100).map(({ number, due, every, text }) => ({
      id: this.#idOf(number),
      task: taskOfTimerCall(text),
      due: new Date(due).toISOString(),
      every: every === 0 ? null : every / 1000,
    }));
    return { "": { count: this.#hub.size, timers } };
  }

  /** Drops all of them. */
  clear(): void {
    this.#hub.close();
    this.#hub = this.#newHub();
    this.#durable.clear();
    this.#idsOfDurable.clear();
  }

  #newHub(): Hub {
    const { settings, clock, optionsOf, run } = this.#parts;
    const surroundings = { settings, origin: "eager", route: compileRoutes(settings.taskRoutes), optionsOf };
    return new Hub(clock, (number, occurrence, text) => {
      const id = occurrence === 1 ? this.#idOf(number) : `${this.#idOf(number)}.${occurrence}`;
      this.#forget(number);
      const call = readTimerCall(text);
      run(id, call.task, timerMessage(id, call, clock.now(), false, surroundings));
    });
  }

  #idOf(number: number): string {
    return this.#idsOfDurable.get(number) ?? timerId(this.place.hub, number);
  }

  #forget(number: number): number | undefined {
    const id = this.#idsOfDurable.get(number);
    if (id === undefined) return undefined;
    this.#durable.delete(id);
    this.#idsOfDurable.delete(number);
    return number;
  }
}
