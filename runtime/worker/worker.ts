/**
 * A worker: the way of a task from the broker to its result, in five words. A client has **published** it; here it
 * is **received** (`exchange.ts`), **dispatched** to an isolate (`pool.ts`), **run** there (`isolate/runner.ts`), and
 * **settled** (`settle.ts`, then `exchange.ts` again). This file puts these parts together, starts and stops them.
 */
import { messagesUrl } from "../channel/options.ts";
import { Relay } from "../channel/relay.ts";
import type { Clock, TimerHandle } from "../clock.ts";
import { Aftermath } from "../isolate/aftermath.ts";
import { Report } from "../isolate/isolate.ts";
import { Outcomes } from "../isolate/outcomes.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";
import { withResolvers } from "../platform.ts";
import type { Following } from "../protocol/chord.ts";
import { peekTask } from "../protocol/task_message.ts";
import { uid } from "../protocol/uid.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import { openResultStore, resultUrl } from "../results/open.ts";
import type { ResultStore } from "../results/result_store.ts";
import { tellWorkers } from "../transport/ask_workers.ts";
import { openTransport } from "../transport/open.ts";
import {
  type BuriedMessage,
  type Delivery,
  PublishError,
  type Receiver,
  type Transport,
} from "../transport/transport.ts";
import { ChordBodies } from "../workflow/chord_bodies.ts";
import { Chords } from "./chords.ts";
import { demandPolicy } from "./demand.ts";
import { EarlyAcks } from "./early_acks.ts";
import { Exchange } from "./exchange.ts";
import { Losses } from "./losses.ts";
import { tasksLongerThan } from "./long_tasks.ts";
import { NearTimes } from "./near_times.ts";
import { askNeighbours } from "./neighbours.ts";
import { Notices, type WorkerCounts } from "./notices.ts";
import type { PoolListener } from "./pool_listener.ts";
import { Pools } from "./pools.ts";
import { RecallLine } from "./recall.ts";
import { RemoteControl } from "./remote_control.ts";
import { endedByThemselves, Revokes } from "./revokes.ts";
import { settlementOf } from "./settle.ts";
import { Settling } from "./settling.ts";
import { StateWriter } from "./state_writer.ts";
import { Steering } from "./steering.ts";
import { Suspects, type SuspectsListener } from "./suspects.ts";
import { TaskModules } from "./task_modules.ts";
import { WorkerTimers } from "./timers.ts";
import { Watch } from "./watch.ts";
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
  readonly #pool: Suspects;
  readonly #losses: Losses;
  /** What is stored of tasks that end in the main thread, and what comes after them. */
  readonly #outcomes: Outcomes;
  readonly #aftermath: Aftermath;
  readonly #near: NearTimes;
  /** Messages that tasks send and read. */
  readonly #messages: Relay;
  readonly #timers: WorkerTimers;
  readonly #modules: TaskModules;
  readonly #earlyAcks: EarlyAcks;
  readonly #end: () => void;
  readonly #settling = new Settling(() => this.#proceed());
  readonly #connecting = new AbortController();
  #connected: Promise<void> | undefined;
  #transport!: Transport;
  #results!: ResultStore;
  #receiver!: Receiver;
  #exchange!: Exchange;
  #control: AsyncDisposable | undefined;
  #revokes: Revokes | undefined;
  /** The worker as remote control reaches it. */
  #steering!: Steering;
  /** Sees trouble of its own. */
  readonly #trouble: Watch;
  #grace: TimerHandle;
  #phase: "new" | "running" | "stopping" | "ended" = "new";

  /** Takes its options; {@linkcode Worker.start} does the rest. */
  constructor(given: WorkerOptions) {
    const options = completeOptions(given);
    this.#options = options;
    this.#clock = options.clock;
    const { promise, resolve } = withResolvers();
    this.done = promise;
    this.#end = resolve;
    this.#messages = new Relay(messagesUrl(options.settings), this.#clock, options.random);
    this.#timers = new WorkerTimers({
      settings: options.settings,
      hostname: options.hostname,
      clock: this.#clock,
      transport: () => this.#transport,
      optionsOf: (task) => this.#modules.tasks.get(task)?.options,
      retry: (run) => this.#exchange.retry(run),
      revoke: async (ids) => {
        await this.#steering.revoke(ids);
        await tellWorkers(this.#transport, { method: "revoke", arguments: { task_id: ids } });
      },
    });
    const settings = { ...isolateSettings(options), modules: [] };
    const now = () => this.#clock.now();
    const outcomes = this.#outcomes = new Outcomes(settings, now);
    const aftermath = this.#aftermath = new Aftermath({
      settings,
      outcomes,
      now,
      // Nothing is called in the main thread.
      find: () => undefined,
      defaultsOf: (task) => this.#modules.tasks.get(task)?.options,
      state: (state) => this.#settling.store(state),
      unsent: (...what) => this.#notices.errbackUnsent(...what),
    });
    this.#losses = new Losses({
      options,
      outcomes,
      aftermath,
      notices: this.#notices,
      tasks: () => this.#modules.tasks,
      isAcknowledged: (delivery) => this.#settling.isAcknowledged(delivery),
      settle: (...ended) => this.#settling.conclude(...ended),
    });
    this.#near = new NearTimes(this.#clock, (delivery) => void this.#receive([delivery]));
    this.#trouble = new Watch(this.#clock, () => this.#pool.silences(), this.#notices.trouble);
    const listener: SuspectsListener = {
      finished: (...report) => this.#settle(...report),
      reported: () => this.#proceed(),
      state: (state) => this.#settling.store(state),
      log: (line) => this.#notices.task(line),
      relay: (answer) =>
        new RecallLine(answer, () => this.#messages.open(answer), (id) => this.#storedResult(id)),
      timers: this.#timers,
      handBack: (deliveries) => this.#handBack(deliveries),
      interrupted: (deliveries, why) => this.#losses.interrupted(deliveries, why),
      overLimit: (delivery, seconds) => {
        this.#losses.overLimit(delivery, seconds);
        this.#proceed();
      },
      died: (...death) => {
        this.#trouble.died(death[0]);
        this.#losses.died(...death);
        this.#proceed();
      },
      restartFailed: (reason) => this.#trouble.startFailed(reason),
      countStart: (delivery) => this.#countStart(delivery),
      condemned: (delivery, reason) => this.#losses.condemned(delivery, reason),
      crashed: (...crash) => this.#losses.crashed(...crash),
      putOff: (deliveries, due) => this.#settling.giveBack(deliveries, "delay", due),
      unguarded: (why) => this.#notices.unguarded(why),
    };
    const pools = (listener: PoolListener, apart: boolean) =>
      new Pools({
        settings: { ...isolateSettings(options), ...(apart && { slots: 1 }) },
        policy: { ...demandPolicy(options.settings), process: apart },
        clock: this.#clock,
        listener,
        makeIsolate: options.isolates,
      });
    this.#pool = new Suspects(pools(listener, false), listener, {
      clock: this.#clock,
      random: options.random,
      maxDeliveries: options.settings.brokerTransportOptions.maxDeliveries,
      keeps: options.drain,
      apart: (listener) => pools(listener, true),
    });
    this.#modules = new TaskModules({
      options,
      clock: this.#clock,
      loader: this.#pool,
      notices: this.#notices,
    });
    this.#earlyAcks = new EarlyAcks({ settings: options.settings, now, tasks: () => this.#modules.tasks });
  }

  /** What has become of tasks since the start. */
  get counts(): Readonly<WorkerCounts> {
    return this.#notices.counts;
  }

  /** The tasks of its modules, once it has started. */
  get tasks(): readonly TaskDescription[] {
    return [...this.#modules.tasks.values()];
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
    return this.#pool.size > 0 || this.#settling.busy || this.#timers.busy;
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
      const files = await this.#modules.find();
      // Connected while an isolate starts. What is wrong with the modules is said first.
      const loaded = this.#modules.load(files);
      this.#connected = this.#connect();
      this.#connected.catch(() => {});
      await loaded;
      await this.#connected;
      if (this.#phase !== "new") return await this.#close();
      const { takesBackAfter = Infinity } = this.#transport;
      const long = tasksLongerThan(takesBackAfter, this.tasks, this.#options.settings);
      this.#notices.mayBeTakenBack(long, takesBackAfter);
      this.#receiver = await this.#transport.receive({
        queues,
        worker: uid(),
        results: this.#results,
        events: {
          ...this.#notices.receiver,
          dead: (queue, reason, message) => this.#buried(queue, reason, message),
        },
      });
      this.#pool.ahead = this.#receiver.pace.ahead;
      if (this.#transport.ways?.redeliveredIsHint) this.#pool.takeHints();
      this.#exchange = new Exchange({
        receiver: this.#receiver,
        results: this.#results,
        publish: (messages) => this.#publish(messages),
        clock: this.#clock,
        random,
        width: 2 * this.#options.concurrency,
        room: () => this.#pool.room,
        hungry: () => this.#pool.hungry,
        receive: (deliveries) => void this.#receive(deliveries),
        empty: () => this.#proceed(),
        trouble: (error) => this.#notices.broker(this.#transport.name, error),
      });
      this.#exchange.states = new StateWriter(this.#results, this.#exchange.retry);
      this.#settling.open(this.#exchange, this.#exchange.states, this.#openChords());
      this.#steering = await this.#steer();
      this.#control = await RemoteControl.open(this.#transport, this.#steering, this.#clock);
    } catch (error) {
      await this.#close();
      throw error;
    }
    if (this.#phase !== "new") return await this.#finish();
    this.#phase = "running";
    if (this.#transport.revoked === undefined && this.#results.revoked === undefined) {
      const { signal } = this.#connecting;
      askNeighbours(this.#transport, this.#clock, this.#steering, signal).catch((error) => {
        if (!signal.aborted) this.#notices.receiver.trouble(`other workers could not be asked: ${error}`);
      });
    }
    // Isolates of a test live in this thread, and its time is not that of the machine.
    if (this.#options.isolates === undefined) this.#trouble.start();
    this.#exchange.start();
  }

  #openChords(): Chords {
    const { chords, groups } = this.#results;
    return new Chords({
      chords,
      groups,
      bodies: new ChordBodies({
        follow: this.#aftermath.follow,
        now: () => this.#clock.now(),
        ttl: this.#options.settings.resultExpires,
        trouble: (last, text) => this.#notices.chordFailed(last, text),
      }),
      retry: this.#exchange.retry,
      publish: (messages) => this.#exchange.publish(messages),
      store: (results) => this.#results.store(results),
      settle: (settlement) => this.#settling.settle(settlement),
      settled: () => this.#proceed(),
      unknown: (parts, hasStore) => this.#notices.strangers(parts, hasStore),
    });
  }

  /** Knows what was revoked, also while it was not there. */
  async #steer(): Promise<Steering> {
    const { settings } = this.#options;
    const { lease, visibilityTimeout } = settings.brokerTransportOptions;
    const revokes = this.#revokes = new Revokes({
      kept: this.#transport.revoked ?? this.#results.revoked,
      file: settings.workerStateDb,
      bounds: { seconds: settings.workerRevokeExpires, most: settings.workerRevokesMax },
      comesAgainWithin: 2 * Math.max(lease, visibilityTimeout),
      clock: this.#clock,
      ended: (ids) => endedByThemselves(this.#results, ids),
      trouble: (why) => this.#notices.revokesUnkept(why),
    });
    await revokes.open();
    return new Steering({
      options: this.#options,
      clock: this.#clock,
      outcomes: this.#outcomes,
      aftermath: this.#aftermath,
      pool: this.#pool,
      near: this.#near,
      revokes,
      notices: this.#notices,
      timers: this.#timers,
      broker: this.#transport.name,
      tasks: () => this.#modules.tasks,
      isAcknowledged: (delivery) => this.#settling.isAcknowledged(delivery),
      conclude: (delivery, result, following) => {
        this.#settling.conclude({ delivery, outcome: "ack", result }, following);
        this.#proceed();
      },
      limit: (task, { hard, soft }) => {
        if (!this.#modules.tasks.has(task)) return false;
        this.#pool.setLimits({ task, hard, soft });
        return true;
      },
      stop: () => this.stop(),
    });
  }

  /** Warm stop: fetches no more, finishes what runs, gives back what did not start, and closes. */
  stop(): void {
    if (this.#phase === "new") this.#phase = "stopping";
    this.#modules.close();
    if (this.#phase !== "running") return;
    this.#phase = "stopping";
    this.#exchange.stopFetching();
    const { grace } = this.#options;
    if (grace < Infinity) this.#grace = this.#clock.after(grace * 1000, () => void this.#endGrace());
    this.#handBack([...this.#pool.takeBack(), ...this.#near.release()]);
    this.#proceed();
  }

  async #endGrace(): Promise<void> {
    if (this.#phase !== "stopping") return;
    this.#notices.graceIsOver(this.#options.grace, this.running);
    await this.kill();
  }

  /** Cold stop: ends all isolates at once. What ran in them runs again, here or elsewhere. */
  async kill(): Promise<void> {
    if (this.#phase === "ended") return await this.done;
    this.#phase = "ended";
    this.#modules.close();
    const { started, unstarted } = this.#pool.terminate();
    this.#exchange?.stopFetching();
    this.#settling.giveBack(started, "again");
    this.#settling.giveBack([...unstarted, ...this.#near.release()], "return");
    this.#exchange?.pump();
    const patience = this.#clock.after(KILL_PATIENCE_MS, () => this.#exchange?.abort());
    if (this.#exchange !== undefined) await this.#settling.idle();
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

  /** Received: on to the isolates, after an early acknowledgement where the task asks for it. */
  async #receive(deliveries: Delivery[]): Promise<void> {
    if (this.#phase !== "running") return this.#handBack(deliveries);
    deliveries = this.#steering.withoutRevoked(deliveries);
    const early = this.#earlyAcks.among(deliveries);
    if (early.length > 0) {
      if (!await this.#settling.acknowledge(early, this.#receiver)) return;
      if (this.#phase !== "running") return this.#handBack(deliveries);
      deliveries = this.#steering.withoutRevoked(deliveries);
    }
    this.#pool.dispatch(deliveries);
  }

  /** Run: its outcome goes out with the next exchange. */
  #settle(
    delivery: Delivery,
    report: number,
    id: string,
    text: string,
    extra: number | string,
    follow?: Following,
  ): void {
    const waits = report === Report.DELAYED && this.#phase === "running";
    if (waits && this.#near.keep(delivery, extra as number)) return;
    const { resultExpires } = this.#options.settings;
    const settlement = settlementOf(delivery, report, id, text, extra, resultExpires, follow);
    if (report === Report.SUCCESS) this.#notices.counts.succeeded++;
    else if (report === Report.FAILURE) this.#notices.counts.failed++;
    else if (report === Report.RETRY) this.#notices.counts.retried++;
    else if (report === Report.DEAD) this.#notices.dead(delivery.queue, id, extra as string);
    this.#settling.finish(settlement, follow);
  }

  /** Publishes what follows tasks; what no queue takes is told of and given up. */
  async #publish(messages: readonly WireMessage[]): Promise<void> {
    try {
      await this.#transport.publish(messages);
    } catch (error) {
      if (!(error instanceof PublishError)) throw error;
      this.#notices.receiver.trouble(`messages that follow a task are lost: ${error.message}`);
    }
  }

  /** What is stored of a task, asked for as long as the store is away. */
  async #storedResult(id: string): Promise<string | null> {
    const [text] = await this.#exchange.retry(() => this.#results.fetch([id]));
    return text;
  }

  /** The broker has put a message to the dead letters: nothing else will tell its caller. */
  #buried(queue: string, reason: string, message: BuriedMessage | undefined): void {
    this.#notices.dead(queue, message && peekTask(message.text)?.id, reason);
    if (message === undefined) return;
    const { result, following } = this.#losses.buried(message, reason);
    this.#settling.tell(result, following);
  }

  /** A start of a suspect, counted before it happens. */
  async #countStart(delivery: Delivery): Promise<"counted" | "uncounted" | "lost"> {
    if (this.#receiver.countStart === undefined || this.#settling.isAcknowledged(delivery)) {
      return "uncounted";
    }
    const isOurs = await this.#exchange.retry(() => this.#receiver.countStart!(delivery));
    return isOurs ? "counted" : "lost";
  }

  #handBack(deliveries: readonly Delivery[]): void {
    // What was acknowledged already waits here for its turn.
    for (const delivery of this.#settling.giveBack(deliveries, "return")) this.#pool.dispatch([delivery]);
    this.#exchange.pump();
  }

  #isEmpty(): boolean {
    return this.#pool.size === 0 && this.#near.size === 0 && this.#settling.acknowledged === 0;
  }

  /** After a change: sends what is finished, fetches what there is room for, ends when a stop is complete. */
  #proceed(): void {
    if (this.#exchange === undefined) return;
    this.#exchange.pump();
    if (this.#options.drain && this.#exchange.nothingReady && this.#isEmpty() && !this.#settling.holds) {
      this.stop();
    }
    if (this.#phase === "stopping" && this.#isEmpty()) void this.#finish();
  }

  async #finish(): Promise<void> {
    await this.#settling.idle();
    await this.#timers.idle();
    if (this.#phase !== "stopping" || !this.#isEmpty()) return;
    this.#phase = "ended";
    this.#pool.terminate();
    await this.#close();
  }

  async #close(): Promise<void> {
    this.#phase = "ended";
    this.#clock.cancel(this.#grace);
    this.#trouble.close();
    this.#modules.close();
    this.#pool.terminate();
    this.#connecting.abort(new Error("the worker ends"));
    await this.#connected?.catch(() => {});
    this.#exchange?.abort();
    this.#timers.close();
    await this.#messages.close();
    await this.#control?.[Symbol.asyncDispose]();
    await this.#revokes?.close();
    await this.#receiver?.[Symbol.asyncDispose]();
    await this.#results?.[Symbol.asyncDispose]();
    await this.#transport?.[Symbol.asyncDispose]();
    this.#end();
  }
}
