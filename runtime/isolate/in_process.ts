/**
 * An isolate that is none: its tasks **run** in the process that asks for them, where a test sees their variables and a
 * debugger their lines. What they leave behind stays, what blocks them blocks all.
 */
import type { Clock } from "../clock.ts";
import { type HubLink, HubPort } from "../hub/port.ts";
import { ClaimBoard } from "./claim_board.ts";
import type { Isolate, IsolateLine, IsolateListener, IsolateSettings } from "./isolate.ts";
import { Runner } from "./runner.ts";
import { runningTask } from "./task_context.ts";
import { describeTask, type RegisteredTask, type TaskDescription } from "./task_definition.ts";
import type { LimitsOfTask } from "./time_limits.ts";

/** Runs tasks of the given map, which may grow. */
export class InProcessIsolate implements Isolate {
  readonly board: ClaimBoard;
  readonly #tasks: ReadonlyMap<string, RegisteredTask>;
  readonly #runner: Runner;
  readonly #later: (run: () => void) => void;
  #relay: IsolateLine | undefined;
  #hub: HubLink | undefined;
  #ended = false;

  /** `later` decides when jobs that are handed over begin: a moment later, as they would in a thread, or at once. */
  constructor(
    settings: IsolateSettings,
    tasks: ReadonlyMap<string, RegisteredTask>,
    listener: IsolateListener,
    clock: Clock,
    later: (run: () => void) => void = queueMicrotask,
  ) {
    this.board = new ClaimBoard();
    this.#tasks = tasks;
    this.#later = later;
    const hub = settings.hub && new HubPort(
      settings.hub,
      (request) => {
        if (this.#ended) return;
        this.#hub ??= listener.hub?.((answer) => this.#ended || hub?.hear(answer));
        this.#hub?.hear(request);
      },
      () => clock.monotonic(),
    );
    this.#runner = new Runner(settings, this.board, {
      report: ([busy, ...reports]) => {
        if (!this.#ended) listener.finished(reports, busy as number);
      },
      follow: (follow) => {
        if (!this.#ended) listener.follow(follow);
      },
      state: (state) => {
        if (!this.#ended) listener.state(state);
      },
      relay: (request) => {
        if (this.#ended) return;
        this.#relay ??= listener.relay((answer) => this.#ended || this.#runner.hear(answer));
        this.#relay.hear(request);
      },
      hub,
      progressEvery: 0,
      log: (level, text, own) => {
        const context = runningTask.getStore();
        listener.log({ level, text, task: context?.name ?? "", id: context?.id ?? "", own });
      },
    }, clock);
    this.#runner.tasks = tasks;
  }

  start(): Promise<readonly TaskDescription[]> {
    return Promise.resolve([...this.#tasks.values()].map(describeTask));
  }

  run(jobs: readonly (number | string)[]): void {
    this.#later(() => {
      if (this.#ended) return;
      this.#runner.take(jobs);
      // What runs on is no reason to keep back what is finished.
      this.#runner.flush();
    });
  }

  ask(): void {
    this.run([]);
  }

  setLimits(limits: LimitsOfTask): void {
    this.#runner.setLimits(limits);
  }

  /** What runs can't be ended; nothing is heard of it any more. */
  terminate(): void {
    this.#ended = true;
    this.#relay?.close();
    this.#hub?.close();
  }
}
