/**
 * Tasks that run where they are called (`alwaysEager`): instead of being **published** a message goes through the same
 * encoding and is run in this process. What becomes of it stands in `eager_results.ts`.
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
import { NotRegistered, outcomeOf } from "../protocol/errors.ts";
import type { ChordStart, Following } from "../protocol/chord.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import type { ResultSource } from "./async_result.ts";
import { EagerChords } from "./eager_chords.ts";
import { type EagerResult, EagerResults } from "./eager_results.ts";
import { EagerTimers } from "./eager_timers.ts";
import { knownTask } from "./known_tasks.ts";
import { Messages } from "./messages.ts";

const log = getLogger(["celeriac", "task"]);

/** Each app with its own messages. */
let apps = 0;

/** A task that runs, or is about to. */
interface Run {
  readonly result: EagerResult;
  readonly text: string;
  count: number;
}

/** Runs messages at once. */
export class Eager {
  /** Where results of this app come from. */
  readonly source: ResultSource;
  readonly #settings: Settings;
  readonly #results: EagerResults;
  readonly #tasks = new Map<string, RegisteredTask>();
  readonly #isolate: InProcessIsolate;
  readonly #chords: EagerChords;
  /** Those that tasks have set. */
  readonly timers: EagerTimers;
  readonly #numbers = new JobNumbers();
  readonly #running = new Map<Job, Run>();
  /** What follows jobs that are about to be reported. */
  readonly #follow = new Map<Job, Following>();
  /** More than a claim board holds. */
  readonly #waiting: Run[] = [];
  #included: Promise<void> | undefined;

  /** For an app with these settings. */
  constructor(settings: Settings, clock: Clock) {
    this.#settings = settings;
    this.#results = new EagerResults(settings, clock);
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
      fail: (id, text) => this.#results.settle(this.expect(id), Report.FAILURE, text, ""),
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
        state: ([id, state, text]) => this.#results.tell(id, state, text),
        log: ({ level, text, task, id, own }) => log[level](text, { task, id, own }),
        relay: (answer) => relay.open(answer),
        hub: (answer) => this.timers.open(answer),
        died: () => {},
      },
      clock,
      (run) => run(),
    );
    this.source = this.#results.source(new Messages(messages, clock));
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
    const result = this.expect(id);
    const run: Run = { result, text: encodeEnvelope(message), count: 0 };
    if (!this.#tasks.has(name)) {
      // What follows in a workflow has only its name: its signature was made here.
      const known = knownTask(name);
      const task = own ?? (known && { name, module: name, ...known });
      if (task !== undefined) this.#add(task);
    }
    if (!this.#knows(name)) return this.#startWhenIncluded(name, run);
    this.#start(run);
    if (this.#settings.taskEagerPropagates && result.thrown) throw result.thrown.error;
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
  expect(id: string): EagerResult {
    return this.#results.expect(id);
  }

  async #startWhenIncluded(name: string, run: Run): Promise<void> {
    try {
      await this.#include();
      if (!this.#knows(name)) throw notRegistered(name, [...this.#tasks.keys()]);
    } catch (error) {
      run.result.reject(error);
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
      if (report === Report.RETRY) this.#retry(run.result, text as string, follow!.messages[0]);
      else if (report === Report.REQUEUE) this.#again(run);
      else if (report === Report.REPLACED) this.#results.replace(run.result);
      else this.#results.settle(run.result, report as number, text as string, String(extra));
      if (report !== Report.RETRY) this.#goOn(run.result, follow, report === Report.REPLACED);
      const next = this.#waiting.shift();
      // Not at once: whoever reports is not done with it yet.
      if (next !== undefined) queueMicrotask(() => this.#start(next));
    }
  }

  /** What follows a task in its workflow runs when it has ended. */
  #goOn({ id }: EagerResult, follow: Following | undefined, isReplaced = false): void {
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

  /** Runs it again by the message of its retry: nobody waits for a time that does not come. */
  #retry(result: EagerResult, text: string, message: WireMessage): void {
    if (text !== "") this.#results.store(result.id, text);
    delete result.thrown;
    const again = encodeEnvelope({ ...message, headers: { ...message.headers, eta: null } });
    setTimeout(() => this.#start({ result, text: again, count: 0 }));
  }

  /** The task has given its message back to be run again. */
  #again(run: Run): void {
    const { maxDeliveries } = this.#settings.brokerTransportOptions;
    if (run.count <= maxDeliveries) return void setTimeout(() => this.#start(run));
    this.#results.settle(run.result, Report.DEAD, "", `given back ${run.count} times`);
  }

  /** Keeps what the task throws: the caller's error has it as its cause. */
  #add(task: RegisteredTask): void {
    const failed = (error: unknown) => {
      // It says what is to become of its message.
      if (outcomeOf(error) !== undefined) return;
      this.#results.threw(currentTask()!.id, error);
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

function notRegistered(name: string, known: readonly string[]): NotRegistered {
  const module = name.slice(0, Math.max(0, name.lastIndexOf("."))) || "tasks";
  const meant = nearest(name, known);
  const error = new NotRegistered(name);
  error.message +=
    `${meant === undefined ? "." : `; did you mean "${meant}"?`} With alwaysEager tasks run in this ` +
    `process: tell the app of it by app.register("${module}", await import("./tasks/${module}.ts")), ` +
    `or name its file in the setting include`;
  return error;
}
