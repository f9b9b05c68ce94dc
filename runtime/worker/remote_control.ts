/**
 * Remote control of a worker (Celery: pidbox): it listens to what is broadcast to all workers, by Celery's own
 * messages, and answers. Beside the way of a task.
 */
import { getLogger } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import {
  CONTROL_EXCHANGE,
  type ControlRequest,
  decodeControl,
  encodeReply,
} from "../protocol/control_message.ts";
import type { Transport } from "../transport/transport.ts";

const log = getLogger(["celeriac", "control"]);

type Command = (request: Required<ControlRequest>, control: RemoteControl) => unknown;

/** What a worker can be asked and told, by Celery's names. */
const commands: Readonly<Record<string, Command>> = {
  ping: () => ({ ok: "pong" }),
  /** What a Python worker asks its neighbours when it starts. */
  hello: (_request, control) => ({ revoked: {}, clock: control.clock }),
};

/** The open ear of a worker. */
export class RemoteControl implements AsyncDisposable {
  readonly #transport: Transport;
  readonly #node: string;
  readonly #time: Clock;
  #listening: AsyncDisposable | undefined;
  /** Lamport's clock, as Celery's messages carry it. */
  clock = 0;

  private constructor(transport: Transport, node: string, time: Clock) {
    this.#transport = transport;
    this.#node = node;
    this.#time = time;
  }

  /** Listens on behalf of `node`, as `celery@host`. */
  static async open(transport: Transport, node: string, time: Clock): Promise<RemoteControl> {
    const control = new RemoteControl(transport, node, time);
    control.#listening = await transport.listen(CONTROL_EXCHANGE, (text) => void control.#hear(text));
    return control;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening?.[Symbol.asyncDispose]();
  }

  async #hear(text: string): Promise<void> {
    try {
      const request = decodeControl(text);
      this.clock = Math.max(this.clock, request.clock) + 1;
      if (!this.#isMeant(request)) return;
      const reply = this.#obey(request);
      if (request.replyTo === null) return;
      await this.#transport.publish([encodeReply(request, this.#node, reply, ++this.clock)]);
    } catch (error) {
      log.warning(
        `A remote control message could not be answered: ${error instanceof Error ? error.message : error}`,
      );
    }
  }

  #obey(request: Required<ControlRequest>): unknown {
    const command = Object.hasOwn(commands, request.method) ? commands[request.method] : undefined;
    if (command !== undefined) return command(request, this);
    log.warning(`Remote control asked for "${request.method}", which this worker does not know.`);
    return { error: `unknown command "${request.method}"` };
  }

  #isMeant({ destination, pattern, matcher, expires }: Required<ControlRequest>): boolean {
    if (expires !== null && expires <= this.#time.now()) return false;
    if (pattern !== null && matcher !== null) {
      return (matcher === "pcre" ? new RegExp(pattern) : globToRegExp(pattern)).test(this.#node);
    }
    return destination === null || destination.includes(this.#node);
  }
}

function globToRegExp(glob: string): RegExp {
  const source = glob.replace(/[.+^${}()|\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${source}$`, "s");
}
