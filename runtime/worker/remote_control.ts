/**
 * Remote control of a worker (Celery: pidbox): it listens to what is broadcast to all workers, by Celery's own
 * messages, and answers. What it obeys stands in `control/`. Beside the way of a task.
 */
import { getLogger } from "@logtape/logtape";
import { type Clock, sleep } from "../clock.ts";
import {
  CONTROL_EXCHANGE,
  type ControlRequest,
  decodeControl,
  encodeReply,
} from "../protocol/control_message.ts";
import type { Transport } from "../transport/transport.ts";
import { ArgumentError, type ControlledWorker } from "./control/command.ts";
import { commands } from "./control/commands.ts";

const log = getLogger(["celeriac", "control"]);

/** Milliseconds that a worker which ends waits for its last answers to leave. */
const PATIENCE = 500;

/** The open ear of a worker. */
export class RemoteControl implements AsyncDisposable {
  readonly #transport: Transport;
  readonly #worker: ControlledWorker;
  readonly #time: Clock;
  readonly #answering = new Set<Promise<void>>();
  #listening: AsyncDisposable | undefined;
  /** Lamport's clock, as Celery's messages carry it. */
  #clock = 0;

  private constructor(transport: Transport, worker: ControlledWorker, time: Clock) {
    this.#transport = transport;
    this.#worker = worker;
    this.#time = time;
  }

  /** Listens on behalf of a worker. */
  static async open(transport: Transport, worker: ControlledWorker, time: Clock): Promise<RemoteControl> {
    const control = new RemoteControl(transport, worker, time);
    control.#listening = await transport.listen(CONTROL_EXCHANGE, (text) => {
      const answering: Promise<void> = control.#hear(text).finally(() =>
        control.#answering.delete(answering)
      );
      control.#answering.add(answering);
    });
    return control;
  }

  /** Listens no more; what it was told before is answered first, such as the order to end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening?.[Symbol.asyncDispose]();
    if (this.#answering.size === 0) return;
    const over = new AbortController();
    const late = sleep(this.#time, PATIENCE, over.signal).catch(() => {});
    await Promise.race([Promise.all(this.#answering), late]);
    over.abort();
  }

  async #hear(text: string): Promise<void> {
    try {
      const request = decodeControl(text);
      this.#clock = Math.max(this.#clock, request.clock) + 1;
      if (!this.#isMeant(request)) return;
      const reply = await this.#obey(request);
      if (request.replyTo === null) return;
      const { node } = this.#worker;
      await this.#transport.publish([encodeReply(request, node, reply, ++this.#clock)]);
    } catch (error) {
      log.warning(
        `A remote control message could not be answered: ${error instanceof Error ? error.message : error}`,
      );
    }
  }

  /** The reply; what went wrong is a reply, too. */
  async #obey({ method, arguments: given }: Required<ControlRequest>): Promise<unknown> {
    const command = commands.get(method);
    if (command === undefined) {
      log.warning(`Remote control asked for "${method}", which this worker does not know.`);
      return { error: `unknown command "${method}"` };
    }
    try {
      const around = {
        clock: this.#clock,
        log: (level: "info" | "warning", text: string) => log[level](text),
      };
      return await command(this.#worker, given, around);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      log.warning(`Remote control asked for "${method}" in vain: ${why}`);
      return { error: error instanceof ArgumentError ? `${method}: ${why}` : why };
    }
  }

  #isMeant({ destination, pattern, matcher, expires }: Required<ControlRequest>): boolean {
    if (expires !== null && expires <= this.#time.now()) return false;
    const { node } = this.#worker;
    if (pattern !== null && matcher !== null) {
      return (matcher === "pcre" ? new RegExp(pattern) : globToRegExp(pattern)).test(node);
    }
    if (destination === null || destination.includes(node)) return true;
    return destination.some((name) => this.#worker.timers.isCalled(name));
  }
}

function globToRegExp(glob: string): RegExp {
  const source = glob.replace(/[.+^${}()|\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${source}$`, "s");
}
