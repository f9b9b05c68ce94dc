/**
 * Timers by the time when they are due: a heap of four children a node, in typed arrays, that finds each of its timers by
 * its number. Part of the hub, which has one for each of its two clocks. A timer costs 32 bytes here, and its text.
 */
import { SlotIndex } from "./slot_index.ts";

const FIRST_CAPACITY = 1024;
const CHILDREN = 4;
const NONE = -1;

/** A timer as it is looked at. */
export interface HeldTimer {
  readonly number: number;
  readonly due: number;
  readonly text: string;
}

/** Timers of one clock. Of two that are due at once the one with the lower number goes first. */
export class TimerHeap {
  /** By position: when it is due, and its slot. */
  #due!: Float64Array;
  #slots!: Int32Array;
  /** By slot: its position, or while it is free the next free one; its number; its text. */
  #positions!: Int32Array;
  #numbers!: Float64Array;
  #texts!: string[];
  #index!: SlotIndex;
  #size = 0;
  /** Slots below this have been used. */
  #used = 0;
  #free = NONE;

  constructor() {
    this.#reset();
  }

  /** How many it holds. */
  get size(): number {
    return this.#size;
  }

  /** When the next one is due; `Infinity` where there is none. */
  get next(): number {
    return this.#size === 0 ? Infinity : this.#due[0];
  }

  /** Adds a timer whose number it does not hold. */
  add(number: number, due: number, text: string): void {
    const slot = this.#takeSlot();
    this.#numbers[slot] = number;
    this.#texts[slot] = text;
    this.#index.add(slot);
    this.#rise(this.#size++, due, slot);
  }

  /** Removes a timer; false where it holds none of that number. */
  remove(number: number): boolean {
    const slot = this.#index.find(number);
    if (slot < 0) return false;
    const position = this.#positions[slot];
    this.#forget(slot);
    const last = --this.#size;
    if (position !== last) {
      const due = this.#due[last], moved = this.#slots[last];
      if (position > 0 && this.#isBefore(due, moved, (position - 1) / CHILDREN | 0)) {
        this.#rise(position, due, moved);
      } else {
        this.#sink(position, due, moved);
      }
    }
    if (last === 0) this.#shrink();
    return true;
  }

  /** Takes out at most `limit` timers that are due at `now`, the earliest first; tells how many. */
  take(now: number, limit: number, hand: (number: number, due: number, text: string) => void): number {
    let taken = 0;
    while (taken < limit && this.#size > 0 && this.#due[0] <= now) {
      const slot = this.#slots[0];
      const number = this.#numbers[slot], due = this.#due[0], text = this.#texts[slot];
      this.#forget(slot);
      const last = --this.#size;
      if (last > 0) this.#sink(0, this.#due[last], this.#slots[last]);
      else this.#shrink();
      taken++;
      hand(number, due, text);
    }
    return taken;
  }

  /** The first `limit` timers in their order, without looking at the others. */
  first(limit: number): HeldTimer[] {
    const found: HeldTimer[] = [];
    // Positions whose parents were found, the earliest last.
    const candidates = this.#size > 0 ? [0] : [];
    while (found.length < limit && candidates.length > 0) {
      const position = candidates.pop()!;
      const slot = this.#slots[position];
      found.push({ number: this.#numbers[slot], due: this.#due[position], text: this.#texts[slot] });
      const first = position * CHILDREN + 1;
      for (let child = first; child < Math.min(first + CHILDREN, this.#size); child++) candidates.push(child);
      candidates.sort((a, b) => this.#isBefore(this.#due[a], this.#slots[a], b) ? 1 : -1);
    }
    return found;
  }

  /** Puts a slot where it belongs at or above a position. */
  #rise(position: number, due: number, slot: number): void {
    while (position > 0) {
      const parent = (position - 1) / CHILDREN | 0;
      if (!this.#isBefore(due, slot, parent)) break;
      this.#place(position, this.#due[parent], this.#slots[parent]);
      position = parent;
    }
    this.#place(position, due, slot);
  }

  /** Puts a slot where it belongs at or below a position. */
  #sink(position: number, due: number, slot: number): void {
    const size = this.#size, dues = this.#due, slots = this.#slots;
    for (;;) {
      const first = position * CHILDREN + 1;
      if (first >= size) break;
      let least = first;
      for (let child = first + 1; child < Math.min(first + CHILDREN, size); child++) {
        if (this.#isBefore(dues[child], slots[child], least)) least = child;
      }
      if (this.#isBefore(due, slot, least)) break;
      this.#place(position, dues[least], slots[least]);
      position = least;
    }
    this.#place(position, due, slot);
  }

  #isBefore(due: number, slot: number, position: number): boolean {
    const other = this.#due[position];
    if (due !== other) return due < other;
    return this.#numbers[slot] < this.#numbers[this.#slots[position]];
  }

  #place(position: number, due: number, slot: number): void {
    this.#due[position] = due;
    this.#slots[position] = slot;
    this.#positions[slot] = position;
  }

  #takeSlot(): number {
    const slot = this.#free;
    if (slot !== NONE) {
      this.#free = this.#positions[slot];
      return slot;
    }
    if (this.#used === this.#due.length) this.#grow();
    return this.#used++;
  }

  #forget(slot: number): void {
    this.#index.remove(this.#numbers[slot]);
    this.#texts[slot] = "";
    this.#positions[slot] = this.#free;
    this.#free = slot;
  }

  #grow(): void {
    const capacity = this.#due.length * 2;
    this.#due = grown(this.#due, new Float64Array(capacity));
    this.#slots = grown(this.#slots, new Int32Array(capacity));
    this.#positions = grown(this.#positions, new Int32Array(capacity));
    this.#numbers = grown(this.#numbers, new Float64Array(capacity));
    this.#index.moved(this.#numbers);
  }

  /** An empty heap gives back what a million timers needed. */
  #shrink(): void {
    if (this.#due.length > 64 * FIRST_CAPACITY) this.#reset();
  }

  #reset(): void {
    this.#due = new Float64Array(FIRST_CAPACITY);
    this.#slots = new Int32Array(FIRST_CAPACITY);
    this.#positions = new Int32Array(FIRST_CAPACITY);
    this.#numbers = new Float64Array(FIRST_CAPACITY);
    this.#texts = [];
    this.#index = new SlotIndex(this.#numbers);
    this.#used = 0;
    this.#free = NONE;
  }
}

function grown<T extends Float64Array | Int32Array>(before: T, after: T): T {
  after.set(before as never);
  return after;
}
