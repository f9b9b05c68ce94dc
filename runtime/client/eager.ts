/**
 * Tasks that run where they are called (`alwaysEager`): instead of being **published** a message goes through the same
 * encoding, is run in this process, and what would have been stored is kept here.
 */
import { getLogger } from "@logtape/logtape";
import { Relay } from "../channel/relay.ts";
import type { Clock } from "../clock.ts";
import type { Settings } from "../config/settings.ts";
import { settingsForIsolates } from "../config/surroundings.ts";
import { nearest } from "../config/suggest.ts";
import { type Job, JobNumbers } from "../isolate/claim_board.ts";
import { InProcessIsolate } from "../isolate/in_process.ts";
import { Report, REPORT_STRIDE, taskDefaults } from "../isolate/isolate.ts";
import { isReserved } from "../isolate/reserved_tasks.ts";
import { currentTask } from "../isolate/task_context.ts";
import {
  type RegisteredTask,
  TASK_FUNCTION,
  type TaskFunction,
  tasksOf,
} from "../isolate/task_definition.ts";
import { encodeEnvelope } from "../protocol/envelope.ts";
import { NotRegistered, outcomeOf, TaskError } from "../protocol/errors.ts";
import {
  type DecodedResult,
  decodeResult,
  encodeFailure,
  encodeSuccess,
  isReady,
} from "../protocol/result_meta.ts";
import type { ChordStart, Following } from "../protocol/chord.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import { resultKey } from "../results/result_key.ts";
import type { ResultSource } from "./async_result.ts";
import { EagerChords } from "./eager_chords.ts";
import { EagerTimers } from "./eager_timers.ts";
import { Messages } from "./messages.ts";
import type { StateListener } from "./result_waiter.ts";
import { keptGroupTexts } from "./saved_groups.ts";

const log = getLogger(["celeriac", "task"]);

/** How many tasks are remembered; the oldest are forgotten. */
const LIMIT = 100_000;

/** Each app with its own messages. */
let apps = 0;

/** What becomes of one task. */
interface Entry {
  readonly id: string;
  /** As it would be stored; null while nothing is. */
  stored: string | null;
  /** What the task's function threw. */
  thrown?: { readonly error: unknown };
  /** Its final state; rejects with what it threw where that is asked for. */
  readonly final: Promise<DecodedResult>;
  readonly resolve: (meta: DecodedResult) => void;
  readonly reject: (error: unknown) => void;
}

/** A task that runs, or is about to. */
interface Run {
  readonly entry: Entry;
  readonly text: string;
  count: number;
}

/** Runs messages at once, and holds their results. */
export class Eager {
  /** Where results of this app come from. */
  readonly source: ResultSource;
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #tasks = new Map<string, RegisteredTask>();
  readonly #isolate: InProcessIsolate;
  readonly #chords: EagerChords;
  /** Those that tasks have set. */
  readonly timers: EagerTimers;
  readonly #numbers = new JobNumbers();
  readonly #entries = new Map<string, Entry>();
  readonly #listening = new Map<string, Set<StateListener>>();
  readonly #running = new Map<Job, Run>();
  /** What follows jobs that are about to be reported. */
  readonly #follow = new Map<Job, Following>();
  /** More than a claim board holds. */
  readonly #waiting: Run[] = [];
  #included: Promise<void> | undefined;

  /** For an app with these settings. */
  constructor(settings: Settings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    const messages = `memory:eager-${++apps}`;
    const relay = new Relay(messages, clock, Math.random);
    this.timers = new EagerTimers({
      settings,
      clock,
      optionsOf: (task) => this.#tasks.get(task)?.options,
      run: (id, task, message) => this.#callBack(id, task, message),
    });
    this.#chords = new EagerChords({
      settings,
      clock,
      defaultsOf: (task) => this.#tasks.get(task)?.options,
      run: (messages) => this.#runSoon(messages),
      fail: (id, text) => this.#settle(this.expect(id), Report.FAILURE, text, ""),
      trouble: (text) => log.error(text),
    });
    this.#isolate = new InProcessIsolate(
      {
        modules: [],
        slots: Infinity,
        // No worker's name: that is what tells a task that it is run by its caller.
        hostname: "",
        pid: 0,
        lifetime: { tasks: null, memory: null },
        logSuccess: false,
        client: settingsForIsolates(settings),
        defaults: taskDefaults(settings),
        hub: this.timers.place,
      },
      this.#tasks,
      {
        finished: (reports) => this.#finished(reports),
        follow: (follow) => {
          for (let i = 0; i < follow.length; i += 2) {
            this.#follow.set(follow[i] as Job, follow[i + 1] as Following);
          }
        },
        state: ([id, state, text]) => {
          const entry = this.#entries.get(id);
          if (entry !== undefined && isReady(state)) this.#settle(entry, Report.FAILURE, text, "");
          else this.#store(id, text);
        },
        log: ({ level, text, task, id, own }) => log[level](text, { task, id, own }),
        relay: (answer) => relay.open(answer),
        hub: (answer) => this.timers.open(answer),
        died: () => {},
      },
      clock,
      (run) => run(),
    );
    this.source = {
      keyOf: (id) => resultKey(settings.resultBackend ?? settings.brokerUrl, id),
      fetch: (id) => Promise.resolve(this.#entries.get(id)?.stored ?? null),
      wait: (id, signal, published) => this.#wait(id, signal, published),
      listen: (id, listener) => this.#listen(id, listener),
      messages: new Messages(messages, clock),
      forget: (id) => Promise.resolve(this.#store(id, null)),
      groups: keptGroupTexts(),
      // It ran when it was called, or runs.
      revoke: () => Promise.resolve(),
      after: (ms, run) => {
        const handle = clock.after(ms, run);
        return () => clock.cancel(handle);
      },
    };
  }

  /** Adds the tasks among a module's exports. */
  register(module: string, exports: Readonly<Record<string, unknown>>): void {
    for (const task of tasksOf(exports, { name: module, path: module })) this.#add(task);
  }

  /**
   * Runs a task: before this returns, as far as it does not wait for anything.
   *
   * @param own The task, where its function is at hand.
   * @returns Resolves when it has begun.
   * @throws What the task throws before it waits for anything, with `taskEagerPropagates`.
   */
  run(id: string, name: string, message: WireMessage, own?: RegisteredTask): Promise<void> {
    const entry = this.expect(id);
    const run: Run = { entry, text: encodeEnvelope(message), count: 0 };
    if (own !== undefined && !this.#tasks.has(name)) this.#add(own);
    if (!this.#knows(name)) return this.#startWhenIncluded(name, run);
    this.#start(run);
    if (this.#settings.taskEagerPropagates && entry.thrown) throw entry.thrown.error;
    return Promise.resolve();
  }

  #knows(name: string): boolean {
    return this.#tasks.has(name) || isReserved(name);
  }

  /** Runs what a timer calls. Its result tells what it throws. */
  #callBack(id: string, name: string, message: WireMessage): void {
    const failed = (error: unknown) => {
      if (error instanceof NotRegistered) log.error(`The timer ${id} was due: ${error.message}`);
    };
    try {
      this.run(id, name, message).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** A task of that id is about to be run: its result may be waited for. */
  expect(id: string): Entry {
    const known = this.#entries.get(id);
    if (known !== undefined && known.stored === null) return known;
    const entry = newEntry(id);
    this.#entries.set(id, entry);
    if (this.#entries.size > LIMIT) this.#entries.delete(this.#entries.keys().next().value!);
    return entry;
  }

  async #startWhenIncluded(name: string, run: Run): Promise<void> {
    try {
      await this.#include();
      if (!this.#knows(name)) throw notRegistered(name, [...this.#tasks.keys()]);
    } catch (error) {
      run.entry.reject(error);
      throw error;
    }
    this.#start(run);
  }

  #start(run: Run): void {
    if (this.#running.size === JobNumbers.capacity) return void this.#waiting.push(run);
    const job = this.#numbers.take();
    run.count++;
    this.#running.set(job, run);
    this.#isolate.board.offer(job);
    this.#isolate.run([job, run.text]);
  }

  #finished(reports: readonly (number | string)[]): void {
    for (let i = 0; i < reports.length; i += REPORT_STRIDE) {
      const [job, report, , text, extra] = reports.slice(i, i + REPORT_STRIDE);
      const run = this.#running.get(job as Job)!;
      this.#running.delete(job as Job);
      this.#numbers.release(job as Job);
      const follow = this.#follow.get(job as Job);
      this.#follow.delete(job as Job);
      if (report === Report.RETRY) this.#retry(run.entry, text as string, follow!.messages[0]);
      else if (report === Report.REQUEUE) this.#again(run);
      else if (report === Report.REPLACED) this.#replace(run.entry);
      else this.#settle(run.entry, report as number, text as string, String(extra));
      if (report !== Report.RETRY) this.#goOn(run.entry, follow, report === Report.REPLACED);
      const next = this.#waiting.shift();
      // Not at once: whoever reports is not done with it yet.
      if (next !== undefined) queueMicrotask(() => this.#start(next));
    }
  }

  /** What follows a task in its workflow runs when it has ended. */
  #goOn({ id }: Entry, follow: Following | undefined, isReplaced = false): void {
    if (follow === undefined) return;
    // Before what follows: some of that may be parts of chords that are extended.
    void this.#chords.follow(follow);
    this.#runSoon(follow.messages.filter(({ correlationId }) => correlationId !== id || isReplaced));
  }

  #runSoon(messages: readonly WireMessage[]): void {
    for (const message of messages) {
      const id = message.correlationId!;
      this.expect(id);
      setTimeout(() => this.#callBack(id, String(message.headers.task), message));
    }
  }

  /** Chords that begin now, before any part of them runs. */
  begin(chords: readonly ChordStart[]): void {
    this.#chords.begin(chords);
  }

  /** Whoever waits for it goes on waiting, for what follows under its id. */
  #replace(entry: Entry): void {
    entry.stored = null;
    delete entry.thrown;
  }

  #settle(entry: Entry, report: number, text: string, reason: string): void {
    if (text !== "") entry.stored = text;
    const { thrown } = entry;
    if (thrown !== undefined && this.#settings.taskEagerPropagates) return entry.reject(thrown.error);
    const meta = decodeResult(text !== "" ? text : this.#unstored(entry, report, reason));
    if (thrown !== undefined && meta.result instanceof TaskError) {
      Object.defineProperty(meta.result, "cause", {
        value: thrown.error,
        configurable: true,
        writable: true,
      });
    }
    entry.resolve(meta);
  }

  /** Nothing is stored (`ignoreResult`, `Ignore`, `Reject`). Who waits for it all the same must not wait for ever. */
  #unstored({ id, thrown }: Entry, report: number, reason: string): string {
    const now = this.#clock.now();
    if (report === Report.SUCCESS) return encodeSuccess(id, "null", now);
    const error = report === Report.DEAD
      ? new TaskError(`its message is now a dead letter: ${reason}`)
      : thrown?.error ?? new TaskError("the task has expired", { type: "TaskRevokedError" });
    return encodeFailure(id, error, now, { taskModule: "" });
  }

  /** Runs it again by the message of its retry: nobody waits for a time that does not come. */
  #retry(entry: Entry, text: string, message: WireMessage): void {
    if (text !== "") this.#store(entry.id, text);
    delete entry.thrown;
    const again = encodeEnvelope({ ...message, headers: { ...message.headers, eta: null } });
    setTimeout(() => this.#start({ entry, text: again, count: 0 }));
  }

  /** The task has given its message back to be run again. */
  #again(run: Run): void {
    const { maxDeliveries } = this.#settings.brokerTransportOptions;
    if (run.count <= maxDeliveries) return void setTimeout(() => this.#start(run));
    this.#settle(run.entry, Report.DEAD, "", `given back ${run.count} times`);
  }

  #store(id: string, text: string | null): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) entry.stored = text;
    const listeners = this.#listening.get(id);
    if (listeners === undefined || text === null) return;
    const meta = decodeResult(text);
    for (const listener of listeners) listener(meta);
  }

  #listen(id: string, listener: StateListener): () => void {
    const listeners = this.#listening.get(id) ?? new Set();
    this.#listening.set(id, listeners.add(listener));
    const stored = this.#entries.get(id)?.stored;
    if (stored) queueMicrotask(() => listeners.has(listener) && listener(decodeResult(stored)));
    return () => {
      if (listeners.delete(listener) && listeners.size === 0) this.#listening.delete(id);
    };
  }

  async #wait(id: string, signal?: AbortSignal, published?: Promise<void>): Promise<DecodedResult> {
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      throw new Error(`no task ${id} was called through this app, which runs its tasks itself (alwaysEager)`);
    }
    return await new Promise((resolve, reject) => {
      const stop = () => reject(signal?.reason);
      if (signal?.aborted) stop();
      signal?.addEventListener("abort", stop, { once: true });
      published?.catch(reject);
      entry.final.then(resolve, reject).finally(() => signal?.removeEventListener("abort", stop));
    });
  }

  /** Keeps what the task throws: the caller's error has it as its cause. */
  #add(task: RegisteredTask): void {
    const failed = (error: unknown) => {
      // It says what is to become of its message.
      if (outcomeOf(error) !== undefined) return;
      const entry = this.#entries.get(currentTask()!.id);
      if (entry !== undefined) entry.thrown = { error };
    };
    const run: TaskFunction = (...args) => {
      let value: unknown;
      try {
        value = task.run(...args);
      } catch (error) {
        failed(error);
        throw error;
      }
      if (value instanceof Promise) value.catch(failed);
      return value;
    };
    // How many arguments a call must bring, and by what a task that sets a timer may name it.
    Object.defineProperty(run, "length", { value: task.run.length });
    Object.defineProperty(run, TASK_FUNCTION, { value: task.run });
    this.#tasks.set(task.name, { ...task, run });
  }

  /** Loads the modules of the setting `include`, when first a task is not known. */
  #include(): Promise<void> {
    return this.#included ??= (async () => {
      const { include } = this.#settings;
      if (include.length === 0) return;
      const { findModules, loadTasks } = await import("../isolate/load_modules.ts");
      for (const task of (await loadTasks(await findModules(include))).values()) this.#add(task);
    })();
  }
}

function newEntry(id: string): Entry {
  let resolve!: Entry["resolve"], reject!: Entry["reject"];
  const final = new Promise<DecodedResult>((yes, no) => (resolve = yes, reject = no));
  // Whoever wants to know of a failure waits for the result.
  final.catch(() => {});
  return { id, stored: null, final, resolve, reject };
}

function notRegistered(name: string, known: readonly string[]): NotRegistered {
  const module = name.slice(0, Math.max(0, name.lastIndexOf("."))) || "tasks";
  const meant = nearest(name, known);
  const error = new NotRegistered(name);
  error.message +=
    `${meant === undefined ? "" : `; did you mean "${meant}"?`} With alwaysEager tasks run in this ` +
    `process: tell the app of it by app.register("${module}", await import("./tasks/${module}.ts")), ` +
    `or name its file in the setting include`;
  return error;
}
