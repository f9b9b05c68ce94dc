/** What a scheduler tells its log. Beside **publish**. */
import { getLogger } from "@logtape/logtape";
import { BrokerUnavailableError } from "../transport/transport.ts";
import type { Entry } from "./entries.ts";

const log = getLogger(["celeriac", "beat"]);

export class BeatNotices {
  /** How much was held at the last look, and what was said of it. */
  #seen = -1;
  #told = "";

  /** A task was sent for the time `at`; `isLate` where that may surprise. */
  sent({ name, task }: Entry, id: string | undefined, at: number, isLate: boolean): void {
    const due = new Date(at).toISOString();
    const late = isLate ? `, due at ${due}` : "";
    log.info(`Scheduler: Sending due task ${name} (${task})${late}`, { entry: name, task, id, due });
  }

  unsent({ name, task }: Entry, { message }: Error): void {
    log.error(`Scheduler: ${name} (${task}) could not be sent: ${message}`, { entry: name, task });
  }

  missed({ name }: Entry, at: number): void {
    log.info(`Scheduler: ${name} was missed at ${new Date(at).toISOString()}; it is not made up for.`);
  }

  setBack({ name }: Entry, last: number): void {
    log.warning(
      `Scheduler: ${name} was last sent for ${
        new Date(last).toISOString()
      }, which has not come yet: the clock was set ` +
        `back. It begins anew.`,
    );
  }

  /** How many of all entries are held after a look. */
  held(held: number, all: number): void {
    const entries = all === 1 ? "entry" : "entries";
    const text = held === all
      ? `sends ${all} ${entries}`
      : held === 0
      ? `stands by: another one sends ${all} ${entries}`
      : `sends ${held} of ${all} ${entries}; another one sends the rest`;
    // Less than all may be more in a moment: it is said when it is still so.
    const lasts = held === all || held === this.#seen;
    this.#seen = held;
    if (!lasts || text === this.#told || all === 0) return;
    this.#told = text;
    log.info(`Scheduler: this one ${text}.`);
  }

  /** The broker at `place` can't be reached, or something else keeps the scheduler from its work. */
  away(place: string, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    const rest = why.startsWith(`${place}: `) ? why.slice(place.length + 2) : why;
    log.error(
      error instanceof BrokerUnavailableError
        ? `Lost ${place}, trying again until it is back: ${rest}`
        : `Scheduler: ${why}. Trying again until that is mended.`,
    );
  }

  back(place: string): void {
    log.info(`Connected to ${place} again.`);
  }

  /** The place could not be left in order. */
  unclosed(error: unknown): void {
    log.warning(`Scheduler: ${error}`);
  }
}
