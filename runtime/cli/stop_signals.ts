/** Signals to a worker, as Celery takes them: INT and TERM let it finish what runs, a second one or QUIT does not. */
import { getLogger } from "@logtape/logtape";
import { onSignal } from "../platform.ts";
import type { Worker } from "../worker/worker.ts";
import { CommandError } from "./exit_codes.ts";

const log = getLogger(["celeriac", "worker"]);

/** A program in between (npm, make) passes on a signal that the terminal has sent to all: that is no second one. */
const SAME_SIGNAL_MS = 100;

const numbers = { SIGINT: 2, SIGTERM: 15, SIGQUIT: 3 } as const;
type SignalName = keyof typeof numbers;

/** Listens to the signals of this process for one worker. */
export class StopSignals {
  readonly #worker: Worker;
  readonly #releases: (() => void)[];
  readonly #killed = Promise.withResolvers<never>();
  #killing = false;
  #started = false;
  /** When the first signal came, by the monotonic clock. */
  #first: number | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
    this.#releases = (Object.keys(numbers) as SignalName[]).map((name) =>
      onSignal(name, () => this.#heard(name))
    );
    // Looked at only while something is waited for.
    this.#killed.promise.catch(() => {});
  }

  /** Waits for the worker's start. @throws {CommandError} With the signal's exit code, when one ended it. */
  async start(): Promise<void> {
    await this.#orKilled(this.#worker.start());
    this.#started = true;
  }

  /** Waits for the worker's end. @throws {CommandError} With the signal's exit code, when it was not let finish. */
  async done(): Promise<void> {
    await this.#orKilled(this.#worker.done);
  }

  /** Listens no more. */
  release(): void {
    for (const release of this.#releases) release();
  }

  async #orKilled(waited: Promise<void>): Promise<void> {
    await Promise.race([waited, this.#killed.promise]);
    if (this.#killing) await this.#killed.promise;
  }

  #heard(name: SignalName): void {
    const now = performance.now();
    const again = this.#first !== undefined && now - this.#first > SAME_SIGNAL_MS;
    if (name === "SIGQUIT" || !this.#started || again) return void this.#kill(name);
    if (this.#first !== undefined) return;
    this.#first = now;
    const { running } = this.#worker;
    log.info(
      `${name}: finishing ${running} running ${running === 1 ? "task" : "tasks"}; again to end at once.`,
    );
    this.#worker.stop();
  }

  async #kill(name: SignalName): Promise<void> {
    if (this.#killing) return;
    this.#killing = true;
    log.warning(`${name}: ending at once. What ran is run again.`);
    await this.#worker.kill();
    this.#killed.reject(new CommandError(`ended by ${name}`, 128 + numbers[name]));
  }
}
