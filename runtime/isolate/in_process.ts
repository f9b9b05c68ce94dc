/**
 * An isolate that is none: its tasks **run** in the process that asks for them, where a test sees their variables and a
 * debugger their lines. What they leave behind stays, what blocks them blocks all.
 */
import type { Clock } from "../clock.ts";
import type { RelayEnd } from "../channel/relay.ts";
import { ClaimBoard } from "./claim_board.ts";
import type { Isolate, IsolateListener, IsolateSettings } from "./isolate.ts";
import { Runner } from "./runner.ts";
import { runningTask } from "./task_context.ts";
import { describeTask, type RegisteredTask, type TaskDescription } from "./task_definition.ts";

/** Runs tasks of the given map, which may grow. */
export class InProcessIsolate implements Isolate {
  readonly board: ClaimBoard;
  readonly #tasks: ReadonlyMap<string, RegisteredTask>;
  readonly #runner: Runner;
  readonly #later: (run: () => void) => void;
  #relay: RelayEnd | undefined;
  #ended = false;

  /** `later` decides when jobs that are handed over begin: a moment later, as they would in a thread, or at once. */
  constructor(
    settings: IsolateSettings,
    tasks: ReadonlyMap<string, RegisteredTask>,
    listener: IsolateListener,
    clock: Clock,
    later: (run: () => void) => void = queueMicrotask,
  ) {
    this.board = new ClaimBoard(undefined, clock.now());
    this.#tasks = tasks;
    this.#later = later;
    this.#runner = new Runner(settings, this.board, {
      report: ([busy, ...reports]) => {
        if (!this.#ended) listener.finished(reports, busy as number);
      },
      state: (state) => {
        if (!this.#ended) listener.state(state);
      },
      relay: (request) => {
        if (this.#ended) return;
        this.#relay ??= listener.relay((answer) => this.#ended || this.#runner.hear(answer));
        this.#relay.hear(request);
      },
      progressEvery: 0,
      log: (level, text, own) => {
        const context = runningTask.getStore();
        listener.log({ level, text, task: context?.name ?? "", id: context?.id ?? "", own });
      },
    }, () => clock.now());
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

  /** What runs can't be ended; nothing is heard of it any more. */
  terminate(): void {
    this.#ended = true;
    this.#relay?.close();
  }
}
