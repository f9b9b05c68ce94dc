/** Settle, for all that is not simply acknowledged: returned, restored, delayed, dead. */
import type { Clock } from "../../clock.ts";
import type { ResultStore } from "../../results/result_store.ts";
import { encodeEnvelope } from "../../protocol/envelope.ts";
import type { Argument, RedisConnection } from "./connection.ts";
import type { HeldDelivery, Settling } from "./held.ts";
import { type RedisKeys, stepOf } from "./keys.ts";
import { setAsideScript } from "./set_aside_script.ts";
import { nameOfTag } from "./tags.ts";

/** Deliveries that one script settles: marking one takes about 0.1 ms. */
const BATCH = 64;

/** What became of settlements. */
export interface SetAside {
  /** These were not ours any more. */
  readonly lost: HeldDelivery[];
  /** These were to be restored, and had been too often. */
  readonly buried: HeldDelivery[];
}

export class SettingAside {
  readonly #connection: RedisConnection;
  readonly #keys: RedisKeys;
  readonly #mine: string;
  readonly #maxDeliveries: number;
  readonly #clock: Clock;
  readonly #results: ResultStore | undefined;

  constructor(
    connection: RedisConnection,
    keys: RedisKeys,
    mine: string,
    maxDeliveries: number,
    clock: Clock,
    results: ResultStore | undefined,
  ) {
    this.#connection = connection;
    this.#keys = keys;
    this.#mine = mine;
    this.#maxDeliveries = maxDeliveries;
    this.#clock = clock;
    this.#results = results;
  }

  /** Settles part after part; each is settled when it is told of. @throws {BrokerUnavailableError} */
  async *settle(settling: Settling[]): AsyncGenerator<{ batch: Settling[] } & SetAside> {
    // What goes back last is the next one out: the first fetched.
    settling.sort((a, b) => goesBack(a) - goesBack(b) || (goesBack(a) ? b.delivery.tag - a.delivery.tag : 0));
    for (let at = 0; at < settling.length; at += BATCH) {
      const batch = settling.slice(at, at + BATCH);
      const keys = [this.#keys.unacked, this.#keys.index, this.#keys.schedules];
      const args = [
        this.#keys.prefix,
        this.#maxDeliveries,
        ...batch.flatMap((each) => this.#arguments(each)),
      ];
      const answer = await this.#connection.run(setAsideScript, keys.length, [...keys, ...args]) as number[];
      yield {
        batch,
        lost: answer.filter((entry) => entry > 0).map((entry) => batch[entry - 1].delivery),
        buried: answer.filter((entry) => entry < 0).map((entry) => batch[-entry - 1].delivery),
      };
    }
  }

  #arguments({ settlement, delivery }: Settling): Argument[] {
    const { outcome, due = 0, reason = "rejected", follow = [] } = settlement;
    const wait = Math.max(0, Math.ceil(due - this.#clock.now()));
    const detail = outcome === "delay" ? wait : outcome === "dead" ? JSON.stringify(reason) : "";
    const args: Argument[] = [nameOfTag(this.#mine, delivery.tag), delivery.tag % 10, outcome, detail];
    const result = this.#results && settlement.result;
    if (result === undefined) args.push("", 0, "");
    else args.push(this.#results!.keyOf(result.id), Math.ceil(result.ttl), result.text);
    args.push(follow.length);
    for (const message of follow) {
      args.push(message.exchange, message.routingKey, stepOf(message.priority), encodeEnvelope(message));
    }
    return args;
  }
}

/** Whether a settlement puts its message back to a queue. */
function goesBack({ settlement: { outcome } }: Settling): number {
  return outcome === "return" || outcome === "restore" || outcome === "again" ? 1 : 0;
}
