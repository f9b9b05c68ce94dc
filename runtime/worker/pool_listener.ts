/** What a pool tells its worker: between **dispatch** and **settle**. */
import type { RelayAnswer } from "../channel/relay.ts";
import type { HubEntrance } from "../hub/port.ts";
import type { Death, IsolateLine, LogReport, StateReport } from "../isolate/isolate.ts";
import type { RecallAnswer } from "../isolate/recollection.ts";
import type { Following } from "../protocol/chord.ts";
import type { Delivery } from "../transport/transport.ts";

/** Hears a pool. */
export interface PoolListener {
  /** A job is finished; see `isolate.ts` for what a report says. `follow` is to be done before it is settled. */
  finished(
    delivery: Delivery,
    report: number,
    id: string,
    text: string,
    extra: number | string,
    follow?: Following,
  ): void;
  /** All jobs of one message from an isolate were told, or there is more room than before. */
  reported(): void;
  state(state: StateReport): void;
  log(line: LogReport): void;
  /** Opens the line of an isolate whose tasks send or read messages, or which asks for what is stored. */
  relay(answer: (answer: RelayAnswer | RecallAnswer) => void): IsolateLine;
  /** Where isolates find the timer hub; without it their tasks can set no timers. */
  readonly timers?: HubEntrance;
  /** These wait behind long tasks and go back to the broker. */
  handBack(deliveries: readonly Delivery[]): void;
  /**
   * These ran, or had run and were not reported, in an isolate that was ended because of another task: they are to run
   * again.
   */
  interrupted(deliveries: readonly Delivery[], why: string): void;
  /** It ran longer than its hard limit of `seconds`, and its isolate was ended with it. */
  overLimit(delivery: Delivery, seconds: number): void;
  /** An isolate died: `started` ran in it, `unreported` had run and their outcome is lost. */
  died(
    reason: string,
    started: readonly Delivery[],
    unreported: readonly Delivery[],
    how?: Death,
    wasCounted?: boolean,
  ): void;
  /** A new isolate could not be started; it is tried again after `pause` ms. */
  restartFailed(reason: string, pause: number): void;
}
