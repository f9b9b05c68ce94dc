/** The names of everything that a broker's Redis holds: Celery's own keys, and ours, which begin with `celeriac`. */

/** What stands between the parts of kombu's keys and bindings. */
export const separator = "\x06\x16";

/** kombu's steps of priority, the most urgent first; a priority goes to the largest step that is not above it. */
export const prioritySteps: readonly number[] = [0, 3, 6, 9];

/** The step that a message of `priority` waits in. */
export function stepOf(priority: number): number {
  return priority >= 9 ? 9 : priority >= 6 ? 6 : priority >= 3 ? 3 : 0;
}

/** Keys of one database under one prefix. */
export class RedisKeys {
  /** kombu's `global_keyprefix`. */
  readonly prefix: string;
  /** The hash of what workers hold: tag to `[message, exchange, routing key]`. */
  readonly unacked: string;
  /** When each tag of {@linkcode unacked} was last renewed, in seconds. */
  readonly index: string;
  /** The names of the queues that have delayed messages. */
  readonly schedules: string;
  readonly #fanout: string;

  constructor(prefix: string, db: number) {
    this.prefix = prefix;
    this.unacked = `${prefix}unacked`;
    this.index = `${prefix}unacked_index`;
    this.schedules = `${prefix}celeriac.schedules`;
    this.#fanout = `${prefix}/${db}.`;
  }

  /** The list of a queue's messages of one step. */
  list(queue: string, step: number): string {
    return step === 0 ? this.prefix + queue : `${this.prefix}${queue}${separator}${step}`;
  }

  /** All lists of a queue, the most urgent first. */
  lists(queue: string): string[] {
    return prioritySteps.map((step) => this.list(queue, step));
  }

  /** The set of what is bound to an exchange, as {@linkcode bindingMember} writes it. */
  bindings(exchange: string): string {
    return `${this.prefix}_kombu.binding.${exchange}`;
  }

  /** Bindings that kombu 5.7's sweep of unused reply queues must leave alone. */
  permanentBindings(exchange: string): string {
    return `${this.prefix}_kombu.binding_permanent.${exchange}`;
  }

  /** A queue's delayed messages: tag to the time that each is due, in milliseconds. */
  schedule(queue: string): string {
    return `${this.prefix}celeriac.schedule.${queue}`;
  }

  /** The same messages themselves: tag to `[message, "", queue]`. */
  scheduled(queue: string): string {
    return `${this.prefix}celeriac.scheduled.${queue}`;
  }

  /** A queue's dead letters, the newest first: `{"reason", "at"}`, a line feed, the message. */
  dead(queue: string): string {
    return `${this.prefix}celeriac.dead.${queue}`;
  }

  /** The channel of a fanout exchange. */
  channel(exchange: string, routingKey: string): string {
    return routingKey === "" ? this.#fanout + exchange : `${this.#fanout}${exchange}/${routingKey}`;
  }
}

/** A binding as kombu writes it; a direct exchange has no pattern. */
export function bindingMember(routingKey: string, queue: string): string {
  return `${routingKey}${separator}${separator}${queue}`;
}
