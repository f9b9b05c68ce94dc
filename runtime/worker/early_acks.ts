/** Which messages are acknowledged before their run (`acksLate: false`), right after they were **received**. */
import type { Settings } from "../config/settings.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";
import { decodeTask, peekTask } from "../protocol/task_message.ts";
import type { Delivery } from "../transport/transport.ts";

/** What is given to {@linkcode EarlyAcks}. */
export interface EarlyAcksParts {
  readonly settings: Settings;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** A new map whenever it changes. */
  readonly tasks: () => ReadonlyMap<string, TaskDescription>;
}

/** Picks them out. */
export class EarlyAcks {
  readonly #settings: Settings;
  readonly #now: () => number;
  readonly #tasks: () => ReadonlyMap<string, TaskDescription>;
  #asked: ReadonlyMap<string, TaskDescription> | undefined;
  #any = false;

  constructor({ settings, now, tasks }: EarlyAcksParts) {
    this.#settings = settings;
    this.#now = now;
    this.#tasks = tasks;
  }

  /** Those of them that are to be acknowledged now. */
  among(deliveries: readonly Delivery[]): Delivery[] {
    const tasks = this.#tasks();
    if (tasks !== this.#asked) {
      this.#asked = tasks;
      this.#any = !this.#settings.taskAcksLate ||
        [...tasks.values()].some((task) => task.options.acksLate === false);
    }
    return this.#any ? deliveries.filter((delivery) => this.#isDue(delivery, tasks)) : [];
  }

  /** Only what is about to run: a time still to come would be lost with its message. */
  #isDue({ text }: Delivery, tasks: ReadonlyMap<string, TaskDescription>): boolean {
    const name = peekTask(text)?.task;
    if (name === undefined) return false;
    const { taskAcksLate, brokerTransportOptions } = this.#settings;
    if (tasks.get(name)?.options.acksLate ?? taskAcksLate) return false;
    try {
      const { eta } = decodeTask(text, { maxBodyBytes: brokerTransportOptions.maxMessageBytes });
      return eta === null || eta <= this.#now();
    } catch {
      return false;
    }
  }
}
