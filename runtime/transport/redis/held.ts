/**
 * What a receiver holds: every delivery from its fetch until it is known to be settled. Only what stands here is
 * renewed, and what is settled but does not stand here was settled before.
 */
import type { Delivery, Settlement } from "../transport.ts";

/** A delivery from a Redis list; `tags.ts` says what its tag is. */
export interface HeldDelivery extends Delivery {
  readonly tag: number;
  readonly queue: string;
  /** Changes when a start is counted. */
  text: string;
  /** The exchange that is settling it. */
  turn: number;
  /** An answer to its settlement was lost: where it is not ours any more, it may have been settled by that. */
  unsure: boolean;
}

/** A settlement whose delivery is still held. */
export interface Settling {
  readonly settlement: Settlement;
  readonly delivery: HeldDelivery;
}

/** Tags as `first, last, first, last, ...`: those of one step fetched together differ by 10. */
export type Ranges = number[];

/** Adds a tag to ranges; they are short when tags come in the order of their fetch. */
export function addToRanges(ranges: Ranges, tag: number): void {
  if (ranges[ranges.length - 1] === tag - 10) ranges[ranges.length - 1] = tag;
  else ranges.push(tag, tag);
}

/** All that one receiver holds. */
export class Held {
  readonly #deliveries = new Map<number, HeldDelivery>();

  get size(): number {
    return this.#deliveries.size;
  }

  get(tag: string | number): HeldDelivery | undefined {
    return this.#deliveries.get(tag as number);
  }

  add(tag: number, queue: string, text: string): HeldDelivery {
    const delivery = { tag, queue, text, turn: 0, unsure: false };
    this.#deliveries.set(tag, delivery);
    return delivery;
  }

  delete(tag: number): void {
    this.#deliveries.delete(tag);
  }

  /** All tags as ranges, in parts of about `size` tags. */
  *ranges(size: number): Generator<Ranges> {
    let ranges: Ranges = [];
    let count = 0;
    for (const tag of this.#deliveries.keys()) {
      addToRanges(ranges, tag);
      if (++count < size) continue;
      yield ranges;
      ranges = [];
      count = 0;
    }
    if (count > 0) yield ranges;
  }
}
