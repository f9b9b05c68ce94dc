/**
 * Finds a timer of the hub by its number, so that it can be cancelled: a hash table that holds no keys, only slots, whose
 * numbers stand elsewhere. Eight bytes a timer, where a `Map` takes forty and more.
 */

/** How full the table may be: 5 of 8. */
const LOAD = 0.625;
const TWO_32 = 2 ** 32;

/** Numbers (whole, from 1 to 2^53) to slots (from 0). */
export class SlotIndex {
  /** By slot, as its owner keeps them. */
  #numbers: Float64Array;
  /** Slot + 1; 0 is empty. */
  #table: Int32Array;
  #mask: number;
  #size = 0;

  /** `numbers` are read at the slots that were added. */
  constructor(numbers: Float64Array) {
    this.#numbers = numbers;
    this.#table = new Int32Array(1024);
    this.#mask = this.#table.length - 1;
  }

  /** The owner's numbers stand in another array now, at the same slots. */
  moved(numbers: Float64Array): void {
    this.#numbers = numbers;
  }

  /** The slot of a number, or -1. */
  find(number: number): number {
    const place = this.#place(number);
    return this.#table[place] - 1;
  }

  /** Adds a slot, whose number is at its place already and in the table not yet. */
  add(slot: number): void {
    if (this.#size + 1 > this.#table.length * LOAD) this.#grow();
    this.#table[this.#place(this.#numbers[slot])] = slot + 1;
    this.#size++;
  }

  /** Removes a number that is there. */
  remove(number: number): void {
    const table = this.#table, mask = this.#mask;
    let hole = this.#place(number);
    // What stands behind the hole because its own place was taken moves up, so that nothing is ever marked as deleted.
    for (let at = (hole + 1) & mask; table[at] !== 0; at = (at + 1) & mask) {
      const home = hash(this.#numbers[table[at] - 1]) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      table[hole] = table[at];
      hole = at;
    }
    table[hole] = 0;
    this.#size--;
  }

  /** Where a number stands, or would. */
  #place(number: number): number {
    const table = this.#table, mask = this.#mask, numbers = this.#numbers;
    let at = hash(number) & mask;
    while (table[at] !== 0 && numbers[table[at] - 1] !== number) at = (at + 1) & mask;
    return at;
  }

  #grow(): void {
    const before = this.#table;
    this.#table = new Int32Array(before.length * 2);
    this.#mask = this.#table.length - 1;
    for (const entry of before) {
      if (entry !== 0) this.#table[this.#place(this.#numbers[entry - 1])] = entry;
    }
  }
}

function hash(number: number): number {
  const low = number % TWO_32 | 0;
  const high = number / TWO_32 | 0;
  const mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b);
  return mixed ^ mixed >>> 15;
}
