/**
 * The timer hub of a worker and what it needs around it: isolates set timers and cancel them, what is due is **published**
 * as a task for any worker, and other workers and clients may list and cancel. See `hub/`.
 */
import { getLogger } from "@logtape/logtape";
import process from "node:process";
import { setImmediate } from "node:timers";
import type { Clock } from "../clock.ts";
import type { MessageDefaults } from "../config/message_defaults.ts";
import { compileRoutes } from "../config/task_routes.ts";
import type { Settings } from "../config/settings.ts";
import { ALL_HUBS, FarCancels, hubAddress, type ListedTimer, type TimersOfWorker } from "../hub/far_hubs.ts";
import { DueTimers } from "../hub/due_timers.ts";
import { Hub, type WaitingTimer } from "../hub/hub.ts";
import {
  type CancelAnswer,
  type HubAnswer,
  HubEnd,
  type HubEntrance,
  type HubHost,
  type HubLink,
  type HubPlace,
} from "../hub/port.ts";
import { readTimerCall, taskOfTimerCall } from "../hub/timer_call.ts";
import { readTimerId, timerId } from "../hub/timer_id.ts";
import { type MessageSurroundings, timerMessage } from "../hub/timer_message.ts";
import { withResolvers } from "../platform.ts";
import { uid } from "../protocol/uid.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import type { Transport } from "../transport/transport.ts";
import type { ControlledTimers } from "./control/command.ts";
import { BATCH, TimerOutlet } from "./timer_outlet.ts";

const log = getLogger(["celeriac", "worker"]);

/** Callbacks that may wait for the broker before a timer that repeats leaves out its turn. */
const REPEATS_WAITING = 10_000;
/** How many timers are told of. */
const LISTED = 100;
const LOGGED = 5;
/** Seconds for which another worker is asked. */
const FAR_TIMEOUT = 1;

/** What the timers have of their worker. */
export interface WorkerTimersParts {
  readonly settings: Settings;
  /** The worker's node name. */
  readonly hostname: string;
  readonly clock: Clock;
  /** There once the worker has connected: no task runs before. */
  transport(): Transport;
  optionsOf(task: string): MessageDefaults | undefined;
  /** Tries until it succeeds, while the broker is away. @throws When the worker is ended meanwhile. */
  retry<T>(run: () => Promise<T>): Promise<T>;
  /** Lets tasks not run any more, and has that kept. */
  revoke(ids: readonly string[]): Promise<void>;
  /** Told of each timer when it is handed out, and by how many ms it is late; for who measures that. */
  handedOut?(late: number): void;
}

/** The timers of one worker. */
export class WorkerTimers implements HubHost, HubEntrance, ControlledTimers {
  readonly hub: Hub;
  /** The hub's own id, a part of those of its timers. */
  readonly #id = uid();
  readonly #parts: WorkerTimersParts;
  readonly #surroundings: MessageSurroundings;
  readonly #far: FarCancels;
  readonly #outlet: TimerOutlet;
  #ends = 0;
  /** Handed out by the hub: no message of them has left. */
  readonly #due = new DueTimers();
  /** How many messages have left, or are about to, and are not with the broker yet. */
  #underWay = 0;
  #publishing: Promise<void> | undefined;
  #isClosed = false;

  constructor(parts: WorkerTimersParts) {
    const { settings, hostname, clock } = parts;
    this.#parts = parts;
    this.#far = new FarCancels(() => parts.transport(), clock, { timeout: FAR_TIMEOUT });
    this.#outlet = new TimerOutlet(() => parts.transport(), (run) => parts.retry(run));
    this.#surroundings = {
      settings,
      origin: `${process.pid}@${hostname}`,
      route: compileRoutes(settings.taskRoutes),
      optionsOf: (task) => parts.optionsOf(task),
    };
    this.hub = new Hub(clock, (number, occurrence, text, late) => {
      parts.handedOut?.(late);
      this.#handedOut(number, occurrence, text);
    });
  }

  /** Whether callbacks that are due are not with the broker yet. */
  get busy(): boolean {
    return this.#publishing !== undefined;
  }

  /** Resolves when all that is due is with the broker. */
  async idle(): Promise<void> {
    while (this.#publishing !== undefined) await this.#publishing;
  }

  get room(): number {
    return this.#parts.settings.workerMaxTimers - this.hub.size - this.#waiting;
  }

  /** How many are due and not published yet. */
  get #waiting(): number {
    return this.#due.size + this.#underWay;
  }

  newEnd(): number {
    return ++this.#ends;
  }

  place(): HubPlace {
    return { hub: this.#id, end: this.newEnd(), limit: this.#parts.settings.workerMaxTimers };
  }

  open(place: HubPlace, answer: (answer: HubAnswer) => void): HubLink {
    return new HubEnd(place, this, () => this.#parts.clock.monotonic(), answer);
  }

  async keep(id: string, due: number, text: string): Promise<void> {
    await this.#outlet.keep(timerMessage(id, readTimerCall(text), due, true, this.#surroundings));
  }

  async cancelElsewhere(id: string): Promise<CancelAnswer> {
    const { clock, revoke } = this.#parts;
    const place = readTimerId(id);
    if (place === undefined) return "too late";
    try {
      if (place.kind === "memory") return await this.#far.cancel(place.hub, id);
      if (place.due <= clock.now()) return "too late";
      await revoke([id]);
      return place.due > clock.now() ? "cancelled" : "too late";
    } catch (error) {
      log.warning(
        `The timer ${id} could not be cancelled: ${error instanceof Error ? error.message : error}`,
      );
      return "unknown";
    }
  }

  isCalled(destination: string): boolean {
    return destination === ALL_HUBS || destination === hubAddress(this.#id);
  }

  cancel(ids: readonly string[]): Readonly<Record<string, CancelAnswer>> {
    const answers: Record<string, CancelAnswer> = {};
    for (const id of ids) {
      const place = readTimerId(id);
      if (place?.kind !== "memory" || place.hub !== this.#id) continue;
      answers[id] = this.hub.cancel(place.number) ? "cancelled" : "too late";
    }
    return answers;
  }

  report(): TimersOfWorker {
    return { count: this.hub.size, timers: this.hub.first(LISTED).map((timer) => this.#listed(timer)) };
  }

  /** Ends; what would still have been due is told of. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.hub.close();
    const { size } = this.hub;
    const due = this.#waiting;
    if (due > 0) {
      log.warning(`${counted(due, "timer")} due may not have been published when this worker ended.`);
    }
    if (size === 0) return;
    const first = this.hub.first(LOGGED).map((timer) => this.#listed(timer)).map(({ task, due, every }) =>
      `${task} at ${due}${every === null ? "" : ` and every ${every} s`}`
    );
    const more = size > first.length ? `, and ${size - first.length} more` : "";
    log.warning(
      `${counted(size, "timer")} of this worker's memory ended with it, and will not be due: ${
        first.join(", ")
      }` +
        `${more}. Durable ones ({ durable: true }) are kept by the broker.`,
    );
  }

  #listed({ number, due, every, text }: WaitingTimer): ListedTimer {
    return {
      id: timerId(this.#id, number),
      task: taskOfTimerCall(text),
      due: new Date(due).toISOString(),
      every: every === 0 ? null : every / 1000,
    };
  }

  /** Due: its message leaves with those of the same moment. */
  #handedOut(number: number, occurrence: number, text: string): void {
    if (occurrence > 1 && this.#waiting >= REPEATS_WAITING) return;
    this.#due.add(number, occurrence, text);
    if (this.#publishing !== undefined) return;
    const { promise, resolve } = withResolvers();
    this.#publishing = promise;
    queueMicrotask(() => this.#publishAll(resolve));
  }

  /**
   * Publishes batch by batch: the messages of one are made while the one before is on its way. The hub does not wait for that:
   * what has come due meanwhile is handed out between two batches.
   */
  async #publishAll(done: () => void): Promise<void> {
    let sent = Promise.resolve(true);
    while (!this.#isClosed) {
      const messages = this.#takeMessages();
      this.hub.handOutDue();
      const goesOn = await sent;
      if (!goesOn || messages.length + this.#due.size === 0) break;
      sent = this.#publish(messages);
      this.hub.handOutDue();
    }
    await sent;
    this.#publishing = undefined;
    done();
  }

  /** Publishes a batch, and lets the loop go on once, so that tasks are reported; false when the worker was ended. */
  async #publish(messages: readonly WireMessage[]): Promise<boolean> {
    try {
      const turn = new Promise<void>((resolve) => setImmediate(resolve));
      const failures = await this.#outlet.publish(messages);
      for (const [index, { message }] of failures) {
        log.error(
          `The timer ${messages[index].correlationId} was due and could not be published: ${message}`,
        );
      }
      this.#underWay -= messages.length;
      await turn;
      return true;
    } catch {
      return false;
    }
  }

  /** The messages of those that are due, a batch at the most. */
  #takeMessages(): WireMessage[] {
    const now = this.#parts.clock.now();
    const messages: WireMessage[] = [];
    this.#due.take(BATCH, (number, occurrence, text) => {
      const timer = timerId(this.#id, number);
      const id = occurrence === 1 ? timer : `${timer}.${occurrence}`;
      try {
        messages.push(timerMessage(id, readTimerCall(text), now, false, this.#surroundings));
      } catch (error) {
        log.error(`The timer ${id} of ${taskOfTimerCall(text)} was due and has no message: ${error}`);
      }
    });
    this.#underWay += messages.length;
    return messages;
  }
}

function counted(count: number, what: string): string {
  return count === 1 ? `One ${what}` : `${count.toLocaleString("en-US")} ${what}s`;
}
