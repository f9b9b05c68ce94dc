/**
 * The scheduler: it **publishes** tasks at their times, again and again. Any number of them may run; the broker says who
 * sends which entry (`place.ts`), and what is sent is sent for one time once. Read {@linkcode Beat} from `#run` on.
 */
import { type Clock, orAborted, systemClock } from "../clock.ts";
import { readEnvironment } from "../config/environment.ts";
import { resolveSettings } from "../config/resolve.ts";
import type { Schedule } from "../config/schedule.ts";
import type { Settings } from "../config/settings.ts";
import { findModules } from "../isolate/load_modules.ts";
import { withResolvers } from "../platform.ts";
import { Agenda, type BeatEntry, type Item, sendingOf, setLast } from "./agenda.ts";
import { type GivenSchedule, readEntries, readScheduleFile } from "./entries.ts";
import { exportedSchedules } from "./exported_schedules.ts";
import { BeatNotices } from "./notices.ts";
import { openPlace, type Place, type PlaceOptions, type Sending } from "./place.ts";

export type { BeatEntry };

/** Milliseconds between two tries while the broker is away, at first and at most. */
const PAUSE = { first: 250, longest: 5_000 };
/** So many leases late is late because a scheduler died, and counts as in time. */
const LATE = 2;
const NOTHING: ReadonlyMap<string, number> = new Map();

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
  readonly #notices = new BeatNotices();
  /** Milliseconds that are not taken for missed. */
  readonly #late: number;
  #agenda: Agenda;
  #place: Place | undefined;
  /** By the monotonic clock: when the place is looked at again. */
  #lookAt = -Infinity;
  #phase: "new" | "running" | "stopping" | "ended" = "new";
  /** Ends the waiting between two rounds. */
  #wake: () => void = () => {};
  #isWoken = false;
  #failures = 0;

  /** Takes its options; {@linkcode Beat.start} does the rest. */
  constructor(options: BeatOptions = {}) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#settings = options.settings ??
      resolveSettings({ from: "the environment", settings: readEnvironment().settings });
    this.#late = LATE * this.#settings.beatLease * 1000;
    this.#agenda = new Agenda(this.#late);
    this.#ended = withResolvers();
    this.done = this.#ended.promise;
  }

  /** The schedule, once it is loaded; with the next times. */
  get entries(): readonly BeatEntry[] {
    return this.#agenda.list(this.#clock.now());
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
      this.#agenda.know(await place.read(this.#agenda.wanted(this.#clock.now())));
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
    this.#agenda = new Agenda(this.#late, readEntries(exported, given, this.#settings), this.#agenda);
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
    this.#isWoken = false;
    const agenda = this.#agenda;
    const { held, again } = await place.hold(agenda.wanted(this.#clock.now()));
    this.#lookAt = this.#isWoken ? -Infinity : this.#clock.monotonic() + again;
    agenda.hold(held);
    this.#notices.held(held.size, this.#agenda.size);
  }

  async #sendDue(place: Place): Promise<void> {
    const now = this.#clock.now();
    const batch: { item: Item; sending: Sending }[] = [];
    for (const item of this.#agenda.ripe(now)) {
      const at = this.#dueTime(item, now);
      if (at === undefined) continue;
      try {
        batch.push({ item, sending: sendingOf(item, at, now) });
      } catch (error) {
        this.#passOver(item, at, error as Error);
      }
    }
    if (batch.length === 0) return;
    const sent = await place.send(batch.map(({ sending }) => sending));
    for (const [i, { item, sending: { at, message } }] of batch.entries()) {
      const outcome = sent[i];
      if (outcome === "lost") {
        item.kept = undefined;
        this.#look();
      } else if (outcome === "sent") {
        item.kept = at;
        setLast(item, at);
        this.#notices.sent(item.entry, message.correlationId, at, now - at > this.#late);
      } else this.#passOver(item, at, outcome);
    }
  }

  /** It is the fault of this one entry, and would be the same if it were tried again. */
  #passOver(item: Item, at: number, error: Error): void {
    this.#notices.unsent(item.entry, error);
    setLast(item, at);
  }

  /** The time for which an entry is to be sent now. */
  #dueTime(item: Item, now: number): number | undefined {
    const look = this.#agenda.look(item, now);
    if (look.kind === "due") return look.at;
    if (look.kind === "missed") {
      this.#notices.missed(item.entry, look.at);
      setLast(item, look.at);
    } else if (look.kind === "anew") {
      this.#notices.setBack(item.entry, item.last);
      setLast(item, look.first);
    }
    return undefined;
  }

  /** Milliseconds until the next round. */
  #untilNext(): number {
    const { beatMaxLoopInterval } = this.#settings;
    const pause = Math.min(
      this.#agenda.next - this.#clock.now(),
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

  /** Gives the milliseconds until the next try. */
  #tellAway(place: Place, error: unknown): number {
    this.#lookAt = -Infinity;
    this.#agenda.know(NOTHING);
    if (this.#failures++ === 0) this.#notices.away(place.name, error);
    const { first, longest } = PAUSE;
    const random = (this.#options.random ?? Math.random)();
    return Math.min(longest, first * 2 ** (this.#failures - 1)) * (0.5 + random / 2);
  }

  #tellBack(place: Place): void {
    if (this.#failures === 0) return;
    this.#failures = 0;
    this.#notices.back(place.name);
  }

  async #close(): Promise<void> {
    this.#phase = "ended";
    try {
      await this.#place?.[Symbol.asyncDispose]();
    } catch (error) {
      this.#notices.unclosed(error);
    }
    this.#ended.resolve();
  }
}
