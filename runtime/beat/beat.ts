/**
 * The scheduler: it **publishes** tasks at their times, again and again. Any number of them may run; the broker says who
 * sends which entry (`place.ts`), and what is sent is sent for one time once. Read {@linkcode Beat} from `#run` on.
 */
import { getLogger } from "@logtape/logtape";
import { type Clock, orAborted, systemClock } from "../clock.ts";
import { readEnvironment } from "../config/environment.ts";
import { resolveSettings } from "../config/resolve.ts";
import type { Schedule } from "../config/schedule.ts";
import type { Settings } from "../config/settings.ts";
import { findModules } from "../isolate/load_modules.ts";
import { withResolvers } from "../platform.ts";
import { BrokerUnavailableError } from "../transport/transport.ts";
import { type Entry, type GivenSchedule, readEntries, readScheduleFile } from "./entries.ts";
import { exportedSchedules } from "./exported_schedules.ts";
import { lookAt } from "./occurrence.ts";
import { openPlace, type Place, type PlaceOptions, type Sending, type Wanted } from "./place.ts";

const log = getLogger(["celeriac", "beat"]);

/** Milliseconds between two tries while the broker is away, at first and at most. */
const PAUSE = { first: 250, longest: 5_000 };
/** So many leases late is late because a scheduler died, and counts as in time. */
const LATE = 2;

/** What a scheduler is started with. */
export interface BeatOptions {
  /**
   * Files, folders and globs of task modules whose `schedule` exports are read, and JSON files that are a schedule. Default
   * none.
   */
  readonly modules?: readonly string[];
  /** Put in front of the names of the modules' tasks, with a dot; as the workers have it. Default: nothing. */
  readonly prefix?: string;
  /** Entries beside those of the modules and of the setting `beatSchedule`; their tasks are given by name. */
  readonly schedule?: Schedule;
  /** The app's settings. Default: those of `new App()`. */
  readonly settings?: Settings;
  /**
   * Opens the place where schedulers meet.
   *
   * @internal
   */
  readonly place?: (url: string, options: PlaceOptions) => Promise<Place>;
  /** Time, for tests. */
  readonly clock?: Clock;
  /** Randomness, for tests; as `Math.random`. */
  readonly random?: () => number;
}

/** An entry as others see it. */
export interface BeatEntry {
  /** Its name in the schedule. */
  readonly name: string;
  /** The task's name. */
  readonly task: string;
  /** When it runs, in words. */
  readonly schedule: string;
  /** By the clock of which zone, where a clock matters. */
  readonly timezone: string | undefined;
  /** Where it was given: a file, or `the settings`. */
  readonly from: string;
  /** The last time that it was sent for, or else when it was first seen; as far as this scheduler knows. */
  readonly last: Date | undefined;
  /**
   * When it runs next; undefined when it does not. That is now, where a time was missed that is made up for. Without a last
   * time it is what it would be if it began now.
   */
  readonly next: Date | undefined;
}

/** What is known of an entry. Times are milliseconds since 1970. */
interface State {
  readonly entry: Entry;
  /** The last time as the broker keeps it; undefined while another scheduler holds the entry. */
  kept: number | undefined;
  /** The last time, which may be one that was missed and is not made up for. */
  last: number;
  next: number;
}

/**
 * Sends the tasks of a schedule at their times (Celery: `celery beat`). The command line's `beat` is one of these; a
 * service may start one in its own process. Several of them share the work, so that none is missed when one is killed.
 *
 * @example
 * ```ts
 * import { App, Beat, every } from "../../mod.ts";
 *
 * const app = new App({ broker: "sqlite:./celeriac.db" });
 * const schedule = { "add now and then": { task: "math.add", args: [1, 2], schedule: every({ minutes: 5 }) } };
 * const beat = new Beat({ settings: app.settings, schedule });
 * await beat.start();
 * console.log(beat.entries[0].next);
 * beat.stop();
 * await beat.done;
 * ```
 */
export class Beat implements AsyncDisposable {
  /** Resolves when it has let go of its entries and closed all that it opened. */
  readonly done: Promise<void>;
  readonly #options: BeatOptions;
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #ended: PromiseWithResolvers<void>;
  readonly #stopping = new AbortController();
  #states = new Map<string, State>();
  #place: Place | undefined;
  /** By the monotonic clock: when the place is looked at again. */
  #lookAt = -Infinity;
  #phase: "new" | "running" | "stopping" | "ended" = "new";
  /** Ends the waiting between two rounds. */
  #wake: () => void = () => {};
  #isWoken = false;
  #failures = 0;
  /** How much was held at the last look, and what was said of it. */
  #seen = -1;
  #told = "";

  /** Takes its options; {@linkcode Beat.start} does the rest. */
  constructor(options: BeatOptions = {}) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#settings = options.settings ??
      resolveSettings({ from: "the environment", settings: readEnvironment().settings });
    this.#ended = withResolvers();
    this.done = this.#ended.promise;
  }

  /** The schedule, once it is loaded; with the next times. */
  get entries(): readonly BeatEntry[] {
    const now = this.#clock.now();
    return [...this.#states.values()].map(({ entry, kept }) => {
      const { name, task, timetable, from } = entry;
      const next = nextTime(entry, kept ?? timetable.first(now), now, this.#late);
      return {
        name,
        task,
        schedule: timetable.text,
        timezone: timetable.timezone,
        from,
        last: kept === undefined ? undefined : new Date(kept),
        next: next === Infinity ? undefined : new Date(next),
      };
    });
  }

  /**
   * Loads the schedule and asks the broker for the last times, without sending anything.
   *
   * @internal
   * @throws {BrokerUnavailableError} When the broker cannot be reached.
   */
  async read(): Promise<readonly BeatEntry[]> {
    await this.load();
    const place = await this.#openPlace();
    try {
      await place.connect();
      const last = await place.read(this.#wanted(this.#clock.now()));
      for (const [key, state] of this.#states) state.kept = last.get(key);
    } finally {
      await place[Symbol.asyncDispose]();
    }
    return this.entries;
  }

  /**
   * Loads the schedule, connects, and begins to send.
   *
   * @throws {ScheduleError} For a schedule that can't be used.
   * @throws {TaskModuleError} For modules that can't be used.
   * @throws {BadUrlError} For a broker's URL that can't be used.
   * @throws {BrokerUnavailableError} When the broker cannot be reached.
   */
  async start(): Promise<void> {
    try {
      await this.load();
      this.#place = await this.#openPlace();
      await this.#place.connect(this.#stopping.signal);
    } catch (error) {
      await this.#close();
      throw error;
    }
    if (this.#phase !== "new") return await this.#close();
    this.#phase = "running";
    void this.#run(this.#place);
  }

  /**
   * Loads the schedule, anew if it has been before: what has changed begins anew, all else goes on. What can't be loaded
   * leaves all as it was.
   *
   * @throws {ScheduleError} For a schedule that can't be used.
   * @throws {TaskModuleError} For modules that can't be used.
   */
  async load(): Promise<void> {
    const { modules = [], prefix, schedule } = this.#options;
    const plain = modules.filter((name) => name.endsWith(".json"));
    const given: GivenSchedule[] = [
      { from: "the settings", schedule: this.#settings.beatSchedule },
      ...(schedule === undefined ? [] : [{ from: "new Beat()", schedule }]),
      ...await Promise.all(plain.map(readScheduleFile)),
    ];
    const files = await findModules(modules.filter((name) => !plain.includes(name)), { prefix });
    const exported = files.length === 0 ? [] : await exportedSchedules(files, this.#settings);
    const states = readEntries(exported, given, this.#settings).map((entry): [string, State] => {
      const before = this.#states.get(entry.key);
      const same = before?.entry.timetable.text === entry.timetable.text ? before : undefined;
      return [entry.key, same ? { ...same, entry } : { entry, kept: undefined, last: 0, next: Infinity }];
    });
    this.#states = new Map(states);
    this.#look();
  }

  /** Ends it: another scheduler goes on at once. */
  stop(): void {
    if (this.#phase === "running" || this.#phase === "new") this.#phase = "stopping";
    this.#stopping.abort(new Error("the scheduler ends"));
    this.#wakeUp();
  }

  /** The same as {@linkcode Beat.stop}, waited for. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#phase === "new") return;
    this.stop();
    await this.done;
  }

  #openPlace(): Promise<Place> {
    const { place = openPlace, random = Math.random } = this.#options;
    return place(this.#settings.brokerUrl, {
      clock: this.#clock,
      random,
      lease: this.#settings.beatLease,
      changed: () => this.#look(),
    });
  }

  #wanted(now: number): Wanted[] {
    return [...this.#states.values()].map(({ entry: { key, queue, timetable } }) => (
      { key, queue, timetable: timetable.text, first: timetable.first(now) }
    ));
  }

  async #run(place: Place): Promise<void> {
    while (this.#phase === "running") {
      let pause: number;
      try {
        // A broker that does not answer holds up no end: what is sent is sent whole or not at all.
        const { signal } = this.#stopping;
        if (this.#clock.monotonic() >= this.#lookAt) await orAborted(this.#hold(place), signal);
        await orAborted(this.#sendDue(place), signal);
        this.#tellBack(place);
        pause = this.#untilNext();
      } catch (error) {
        if (this.#phase !== "running") break;
        pause = this.#tellAway(place, error);
      }
      await this.#wait(pause);
    }
    await this.#close();
  }

  /** Looks which entries are this scheduler's to send. */
  async #hold(place: Place): Promise<void> {
    const now = this.#clock.now();
    this.#isWoken = false;
    const states = this.#states;
    const { held, again } = await place.hold(this.#wanted(now));
    this.#lookAt = this.#isWoken ? -Infinity : this.#clock.monotonic() + again;
    for (const [key, state] of states) {
      const kept = held.get(key);
      if (kept !== undefined && kept !== state.kept) setLast(state, kept);
      state.kept = kept;
    }
    this.#tellHeld(held.size);
  }

  async #sendDue(place: Place): Promise<void> {
    const now = this.#clock.now();
    const batch: { state: State; sending: Sending }[] = [];
    for (const state of this.#states.values()) {
      const at = this.#dueTime(state, now);
      if (at === undefined) continue;
      const { key, queue, timetable, message } = state.entry;
      const wanted = { key, queue, timetable: timetable.text, first: timetable.first(now) };
      try {
        batch.push({ state, sending: { ...wanted, before: state.kept!, at, message: message(at, now) } });
      } catch (error) {
        this.#tellUnsent(state, at, error as Error);
      }
    }
    if (batch.length === 0) return;
    const sent = await place.send(batch.map(({ sending }) => sending));
    for (const [i, { state, sending }] of batch.entries()) {
      const outcome = sent[i];
      if (outcome === "lost") {
        state.kept = undefined;
        this.#look();
        continue;
      }
      if (outcome !== "sent") {
        this.#tellUnsent(state, sending.at, outcome);
        continue;
      }
      state.kept = sending.at;
      setLast(state, sending.at);
      const { name, task } = state.entry;
      const due = new Date(sending.at).toISOString();
      const late = now - sending.at > this.#late ? `, due at ${due}` : "";
      log.info(`Scheduler: Sending due task ${name} (${task})${late}`, {
        entry: name,
        task,
        id: sending.message.correlationId,
        due,
      });
    }
  }

  /** It is the fault of this one entry, and would be the same if it were tried again. */
  #tellUnsent(state: State, at: number, { message }: Error): void {
    const { name, task } = state.entry;
    log.error(`Scheduler: ${name} (${task}) could not be sent: ${message}`, { entry: name, task });
    setLast(state, at);
  }

  /** The time for which an entry is to be sent now. */
  #dueTime(state: State, now: number): number | undefined {
    const { entry, kept, last, next } = state;
    if (kept === undefined || now < next && last - now <= entry.timetable.ahead) return undefined;
    const look = lookAt(entry.timetable, last, now, { catchUp: entry.catchUp, late: this.#late });
    switch (look.kind) {
      case "due":
        return look.at;
      case "missed":
        log.info(
          `Scheduler: ${entry.name} was missed at ${new Date(look.at).toISOString()}; it is not made up for.`,
        );
        setLast(state, look.at);
        break;
      case "anew":
        log.warning(
          `Scheduler: ${entry.name} was last sent for ${
            new Date(last).toISOString()
          }, which has not come yet: ` +
            `the clock was set back. It begins anew.`,
        );
        setLast(state, look.first);
        break;
    }
    return undefined;
  }

  /** Milliseconds that are not taken for missed. */
  get #late(): number {
    return LATE * this.#settings.beatLease * 1000;
  }

  /** Milliseconds until the next round. */
  #untilNext(): number {
    let next = Infinity;
    for (const state of this.#states.values()) {
      if (state.kept !== undefined && state.next < next) next = state.next;
    }
    const { beatMaxLoopInterval } = this.#settings;
    const pause = Math.min(
      next - this.#clock.now(),
      this.#lookAt - this.#clock.monotonic(),
      beatMaxLoopInterval === 0 ? Infinity : beatMaxLoopInterval * 1000,
    );
    // Never a moment too early.
    return Math.max(0, Math.ceil(pause));
  }

  #wait(ms: number): Promise<void> {
    if (this.#phase !== "running") return Promise.resolve();
    return new Promise((resolve) => {
      const handle = this.#clock.after(ms, resolve);
      this.#wake = () => {
        this.#clock.cancel(handle);
        resolve();
      };
    });
  }

  #wakeUp(): void {
    this.#wake();
    this.#wake = () => {};
  }

  /** The place is to be looked at now, or, if that is under way, once more. */
  #look(): void {
    this.#isWoken = true;
    this.#lookAt = -Infinity;
    // While the broker is away the pauses stay what they are.
    if (this.#failures === 0) this.#wakeUp();
  }

  #tellHeld(held: number): void {
    const all = this.#states.size;
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

  #tellAway(place: Place, error: unknown): number {
    this.#lookAt = -Infinity;
    for (const state of this.#states.values()) state.kept = undefined;
    const { first, longest } = PAUSE;
    if (this.#failures++ === 0) {
      const why = error instanceof Error ? error.message : String(error);
      const isAway = error instanceof BrokerUnavailableError;
      const rest = why.startsWith(`${place.name}: `) ? why.slice(place.name.length + 2) : why;
      log.error(
        isAway
          ? `Lost ${place.name}, trying again until it is back: ${rest}`
          : `Scheduler: ${why}. Trying again until that is mended.`,
      );
    }
    const random = (this.#options.random ?? Math.random)();
    return Math.min(longest, first * 2 ** (this.#failures - 1)) * (0.5 + random / 2);
  }

  #tellBack(place: Place): void {
    if (this.#failures === 0) return;
    this.#failures = 0;
    log.info(`Connected to ${place.name} again.`);
  }

  async #close(): Promise<void> {
    this.#phase = "ended";
    try {
      await this.#place?.[Symbol.asyncDispose]();
    } catch (error) {
      log.warning(`Scheduler: ${error}`);
    }
    this.#ended.resolve();
  }
}

function nextTime({ timetable, catchUp }: Entry, last: number, now: number, late: number): number {
  const look = lookAt(timetable, last, now, { catchUp, late });
  switch (look.kind) {
    case "due":
      return now;
    case "wait":
      return look.next;
    case "missed":
      return timetable.next(look.at);
    case "anew":
      return timetable.next(look.first);
  }
}

function setLast(state: State, last: number): void {
  state.last = last;
  state.next = state.entry.timetable.next(last);
}
