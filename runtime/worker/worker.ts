/**
 * A worker: the way of a task from the broker to its result, in five words. A client has **published** it; here it
 * is **received** (`exchange.ts`), **dispatched** to an isolate (`pool.ts`), **run** there (`isolate/runner.ts`), and
 * **settled** (`settle.ts`, then `exchange.ts` again). This file puts these parts together, starts and stops them.
 */
import { messagesUrl } from "../channel/options.ts";
import { Relay } from "../channel/relay.ts";
import type { Clock } from "../clock.ts";
import { Report, type StateReport } from "../isolate/isolate.ts";
import { findModules, type ModuleFile, TaskModuleError } from "../isolate/load_modules.ts";
import { taskChanges, type TaskDescription } from "../isolate/task_definition.ts";
import { withResolvers } from "../platform.ts";
import { decodeTask, peekTask } from "../protocol/task_message.ts";
import { uid } from "../protocol/uid.ts";
import { openResultStore, resultUrl } from "../results/open.ts";
import type { ResultStore } from "../results/result_store.ts";
import { openTransport } from "../transport/open.ts";
import type { Delivery, Receiver, Transport } from "../transport/transport.ts";
import { Exchange } from "./exchange.ts";
import { NearTimes } from "./near_times.ts";
import { Notices, type WorkerCounts } from "./notices.ts";
import { Pool } from "./pool.ts";
import type { Reloader } from "./reload.ts";
import { RemoteControl } from "./remote_control.ts";
import { settlementOf, workerLost } from "./settle.ts";
import { StateWriter } from "./state_writer.ts";
import {
  type CompleteOptions,
  completeOptions,
  isolateSettings,
  type WorkerOptions,
} from "./worker_options.ts";

/** For how long a killed worker tries to give its messages back, so that nobody waits for its lease. */
const KILL_PATIENCE_MS = 500;

/**
 * Runs tasks of some queues until it is stopped. The command line's `worker` is one of these; a service may start one
 * in its own process.
 *
 * @example
 * ```ts
 * import { App, Worker } from "../../mod.ts";
 *
 * const app = new App({ broker: "sqlite:./celeriac.db" });
 * const worker = new Worker({ settings: app.settings, modules: ["tasks/math.ts"] });
 * await worker.start();
 * console.log(await app.sendTask("math.add", [1, 2]));
 * worker.stop();
 * await worker.done;
 * await app.disconnect();
 * ```
 */
export class Worker implements AsyncDisposable {
  /** Resolves when the worker has ended and closed all that it opened. */
  readonly done: Promise<void>;
  readonly #options: CompleteOptions;
  readonly #notices = new Notices();
  readonly #clock: Clock;
  readonly #pool: Pool;
  readonly #near: NearTimes;
  /** Messages that tasks send and read. */
  readonly #messages: Relay;
  #reloader: Reloader | undefined;
  /** With `reload`: modules that did not load at the start have been mended, or nobody waits for that any more. */
  readonly #mended: PromiseWithResolvers<void>;
  readonly #end: () => void;
  /** Acknowledged before their run (`acksLate: false`): only their results are still to be stored. */
  readonly #acknowledged = new Set<Delivery>();
  #tasks = new Map<string, TaskDescription>();
  #acksEarly = false;
  readonly #connecting = new AbortController();
  #connected: Promise<void> | undefined;
  #transport!: Transport;
  #results!: ResultStore;
  #receiver!: Receiver;
  #exchange!: Exchange;
  #states!: StateWriter;
  #control: AsyncDisposable | undefined;
  #phase: "new" | "running" | "stopping" | "ended" = "new";

  /** Takes its options; {@linkcode Worker.start} does the rest. */
  constructor(given: WorkerOptions) {
    const options = completeOptions(given);
    this.#options = options;
    this.#clock = options.clock;
    this.#mended = withResolvers();
    const { promise, resolve } = withResolvers();
    this.done = promise;
    this.#end = resolve;
    this.#messages = new Relay(messagesUrl(options.settings), this.#clock, options.random);
    this.#near = new NearTimes(this.#clock, (delivery) => void this.#receive([delivery]));
    this.#pool = new Pool(
      isolateSettings(options),
      this.#clock,
      {
        finished: (delivery, report, id, text, extra) => this.#settle(delivery, report, id, text, extra),
        reported: () => this.#proceed(),
        state: (state) => this.#storeState(state),
        log: (line) => this.#notices.task(line),
        relay: (answer) => this.#messages.open(answer),
        handBack: (deliveries) => this.#handBack(deliveries),
        interrupted: (deliveries, why) => this.#restore(deliveries, why),
        died: (reason, started, unreported) => this.#isolateDied(reason, started, unreported),
        restartFailed: (reason, pause) => this.#notices.restartFailed(reason, pause),
      },
      options.isolates,
    );
  }

  /** What has become of tasks since the start. */
  get counts(): Readonly<WorkerCounts> {
    return this.#notices.counts;
  }

  /** The tasks of its modules, once it has started. */
  get tasks(): readonly TaskDescription[] {
    return [...this.#tasks.values()];
  }

  /** How many tasks run now. */
  get running(): number {
    return this.#pool.running;
  }

  /**
   * Whether anything that it has taken is not settled yet, but for tasks that wait for their time.
   *
   * @internal
   */
  get busy(): boolean {
    return this.#pool.size > 0 || this.#acknowledged.size > 0 || this.#exchange.busy ||
      this.#states.written() !== undefined;
  }

  /**
   * Loads the modules, connects, and begins to work.
   *
   * @throws {TaskModuleError} For modules that can't be used.
   * @throws {BadUrlError} For a broker or store URL that can't be used.
   * @throws {BrokerUnavailableError} When the broker or the result store cannot be reached.
   */
  async start(): Promise<void> {
    const { queues, random } = this.#options;
    try {
      const files = await this.#find();
      // Connected while an isolate starts. What is wrong with the modules is said first.
      const loaded = this.#load(files);
      this.#connected = this.#connect();
      this.#connected.catch(() => {});
      await loaded;
      await this.#connected;
      if (this.#phase !== "new") return await this.#close();
      this.#receiver = await this.#transport.receive({
        queues,
        worker: uid(),
        results: this.#results,
        events: this.#notices.receiver,
      });
      this.#pool.ahead = this.#receiver.pace.ahead;
      this.#exchange = new Exchange({
        receiver: this.#receiver,
        results: this.#results,
        clock: this.#clock,
        random,
        width: 2 * this.#options.concurrency,
        room: () => this.#pool.room,
        hungry: () => this.#pool.hungry,
        receive: (deliveries) => void this.#receive(deliveries),
        empty: () => this.#proceed(),
        trouble: (error) => this.#notices.broker(this.#transport.name, error),
      });
      this.#states = this.#exchange.states = new StateWriter(this.#results, this.#exchange.retry);
      this.#control = await RemoteControl.open(this.#transport, this.#options.hostname, this.#clock);
    } catch (error) {
      await this.#close();
      throw error;
    }
    if (this.#phase !== "new") return await this.#finish();
    this.#phase = "running";
    this.#exchange.start();
  }

  /** Warm stop: fetches no more, finishes what runs, gives back what did not start, and closes. */
  stop(): void {
    if (this.#phase === "new") this.#phase = "stopping";
    this.#mended.resolve();
    if (this.#phase !== "running") return;
    this.#phase = "stopping";
    this.#reloader?.close();
    this.#exchange.stopFetching();
    this.#handBack([...this.#pool.takeBack(), ...this.#near.release()]);
    this.#proceed();
  }

  /** Cold stop: ends all isolates at once. What ran in them runs again, here or elsewhere. */
  async kill(): Promise<void> {
    if (this.#phase === "ended") return await this.done;
    this.#phase = "ended";
    this.#mended.resolve();
    this.#reloader?.close();
    const { started, unstarted } = this.#pool.terminate();
    this.#exchange?.stopFetching();
    for (const delivery of started) {
      if (!this.#acknowledged.has(delivery)) this.#exchange.settle({ delivery, outcome: "restore" });
    }
    for (const delivery of [...unstarted, ...this.#near.release()]) {
      if (!this.#acknowledged.has(delivery)) this.#exchange.settle({ delivery, outcome: "return" });
    }
    this.#exchange?.pump();
    const patience = this.#clock.after(KILL_PATIENCE_MS, () => this.#exchange?.abort());
    await this.#exchange?.idle();
    this.#clock.cancel(patience);
    await this.#close();
  }

  /** The same as {@linkcode Worker.stop}, waited for. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#phase === "new") return;
    this.stop();
    await this.done;
  }

  async #connect(): Promise<void> {
    const { settings, random, queues } = this.#options;
    const { signal } = this.#connecting;
    const shared = { ...settings.brokerTransportOptions, clock: this.#clock, random };
    const results = resultUrl(settings);
    this.#transport = await openTransport(settings.brokerUrl, shared);
    this.#results = await openResultStore(results, { clock: this.#clock });
    signal.throwIfAborted();
    await Promise.all([this.#transport.connect(signal), this.#results.connect(signal)]);
    await this.#transport.declare(queues);
  }

  async #find(): Promise<readonly ModuleFile[]> {
    const { modules, prefix, isolates, reload } = this.#options;
    const files = await (reload ? this.#watch() : findModules(modules, { prefix }));
    if (files.length === 0 && isolates === undefined) {
      throw new TaskModuleError("no task modules: name them with -A, as in -A tasks/math.ts");
    }
    return files;
  }

  async #load(files: readonly ModuleFile[]): Promise<void> {
    try {
      this.#know(await this.#pool.start(files, this.#options.concurrency));
    } catch (error) {
      if (this.#reloader === undefined || !(error instanceof TaskModuleError)) throw error;
      this.#notices.waitsForModules(error);
      await this.#mended.promise;
    }
  }

  /** Finds the modules and begins to watch them. */
  async #watch(): Promise<ModuleFile[]> {
    const { Reloader } = await import("./reload.ts");
    this.#reloader = new Reloader({
      patterns: this.#options.modules,
      prefix: this.#options.prefix,
      clock: this.#clock,
      load: (modules, changed, signal) => this.#reload(modules, changed, signal),
      failed: (error) => this.#notices.notReloaded(error),
    });
    return await this.#reloader.start();
  }

  async #reload(
    files: readonly ModuleFile[],
    changed: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    const begun = this.#clock.monotonic();
    const before = this.tasks;
    this.#know(await this.#pool.replaceModules(files, signal));
    this.#mended.resolve();
    this.#notices.reloaded(changed, taskChanges(before, this.tasks), this.#clock.monotonic() - begun);
  }

  #know(tasks: readonly TaskDescription[]): void {
    this.#tasks = new Map(tasks.map((task) => [task.name, task]));
    this.#acksEarly = !this.#options.settings.taskAcksLate ||
      tasks.some((task) => task.options.acksLate === false);
  }

  /** Received: on to the isolates, after an early acknowledgement where the task asks for it. */
  async #receive(deliveries: Delivery[]): Promise<void> {
    if (this.#phase !== "running") return this.#handBack(deliveries);
    const early = this.#acksEarly ? deliveries.filter((delivery) => this.#isAcknowledgedEarly(delivery)) : [];
    if (early.length > 0) {
      // From here on a stop waits for them.
      for (const delivery of early) this.#acknowledged.add(delivery);
      try {
        const acks = early.map((delivery) => ({ delivery, outcome: "ack" as const }));
        await this.#exchange.retry(() => this.#receiver.exchange(acks, 0));
      } catch {
        return;
      }
      if (this.#phase !== "running") return this.#handBack(deliveries);
    }
    this.#pool.dispatch(deliveries);
  }

  /** Only what is about to run: a time still to come would be lost with its message. */
  #isAcknowledgedEarly({ text }: Delivery): boolean {
    const name = peekTask(text)?.task;
    if (name === undefined) return false;
    const { taskAcksLate, brokerTransportOptions } = this.#options.settings;
    if (this.#tasks.get(name)?.options.acksLate ?? taskAcksLate) return false;
    try {
      const { eta } = decodeTask(text, { maxBodyBytes: brokerTransportOptions.maxMessageBytes });
      return eta === null || eta <= this.#clock.now();
    } catch {
      return false;
    }
  }

  /** Run: its outcome goes out with the next exchange. */
  #settle(delivery: Delivery, report: number, id: string, text: string, extra: number | string): void {
    const waits = report === Report.DELAYED && this.#phase === "running";
    if (waits && this.#near.keep(delivery, extra as number)) return;
    const settlement = settlementOf(delivery, report, id, text, extra, this.#options.settings.resultExpires);
    if (report === Report.SUCCESS) this.#notices.counts.succeeded++;
    else if (report === Report.FAILURE) this.#notices.counts.failed++;
    else if (report === Report.DEAD) this.#notices.dead(delivery.queue, id, extra as string);
    if (this.#acknowledged.delete(delivery)) {
      if (settlement.result !== undefined) this.#states.write(settlement.result);
    } else {
      this.#exchange.settle(settlement);
    }
  }

  #storeState([id, state, text, ttl, replyTo]: StateReport): void {
    this.#states.write({ id, state, text, ttl, replyTo });
  }

  #handBack(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      // What was acknowledged already can't go back to the broker: it waits here for its turn.
      if (this.#acknowledged.has(delivery)) this.#pool.dispatch([delivery]);
      else this.#exchange.settle({ delivery, outcome: "return" });
    }
    this.#exchange.pump();
  }

  #isolateDied(reason: string, started: readonly Delivery[], unreported: readonly Delivery[]): void {
    this.#notices.isolateDied(reason);
    const [only] = started;
    // Only where exactly one task ran is it known whose fault it was.
    if (started.length === 1 && !this.#runsAgainWhenLost(only)) {
      this.#failLost(only, reason);
    } else {
      this.#restore(started, reason);
    }
    this.#restore(unreported, reason);
    this.#proceed();
  }

  /** To be run again; what was acknowledged before its run can't be, and its caller is told so. */
  #restore(deliveries: readonly Delivery[], reason: string): void {
    for (const delivery of deliveries) {
      if (this.#acknowledged.has(delivery)) this.#failLost(delivery, reason);
      else this.#exchange.settle({ delivery, outcome: "restore" });
    }
  }

  #failLost(delivery: Delivery, reason: string): void {
    this.#notices.counts.failed++;
    const result = workerLost(delivery, reason, this.#clock.now(), this.#options.settings.resultExpires);
    if (!this.#acknowledged.delete(delivery)) this.#exchange.settle({ delivery, outcome: "ack", result });
    else if (result !== undefined) this.#states.write(result);
  }

  #runsAgainWhenLost(delivery: Delivery): boolean {
    const name = peekTask(delivery.text)?.task;
    const task = name === undefined ? undefined : this.#tasks.get(name);
    return task?.options.rejectOnWorkerLost ?? this.#options.settings.taskRejectOnWorkerLost;
  }

  #isEmpty(): boolean {
    return this.#pool.size === 0 && this.#near.size === 0 && this.#acknowledged.size === 0;
  }

  /** After a change: sends what is finished, fetches what there is room for, ends when a stop is complete. */
  #proceed(): void {
    if (this.#exchange === undefined) return;
    this.#exchange.pump();
    if (this.#options.drain && this.#exchange.nothingReady && this.#isEmpty()) this.stop();
    if (this.#phase === "stopping" && this.#isEmpty()) void this.#finish();
  }

  async #finish(): Promise<void> {
    await this.#exchange.idle();
    await this.#states.written();
    if (this.#phase !== "stopping" || !this.#isEmpty()) return;
    this.#phase = "ended";
    this.#pool.terminate();
    await this.#close();
  }

  async #close(): Promise<void> {
    this.#phase = "ended";
    this.#reloader?.close();
    this.#pool.terminate();
    this.#connecting.abort(new Error("the worker ends"));
    await this.#connected?.catch(() => {});
    this.#exchange?.abort();
    await this.#messages.close();
    await this.#control?.[Symbol.asyncDispose]();
    await this.#receiver?.[Symbol.asyncDispose]();
    await this.#results?.[Symbol.asyncDispose]();
    await this.#transport?.[Symbol.asyncDispose]();
    this.#end();
  }
}
