/**
 * What the hub has handed out and nobody has **published** yet, first in, first out. It is kept in arrays that are used
 * again: a hundred thousand of them are nothing that the collector of garbage has to move.
 */

const FIRST_CAPACITY = 1024;

/** Timers that are due. */
export class DueTimers {
  /** Rings of the same capacity, a power of two: number, occurrence, text. */
  #numbers!: Float64Array;
  #occurrences!: Float64Array;
  #texts!: string[];
  #head = 0;
  #size = 0;

  constructor() {
    this.#reset(FIRST_CAPACITY);
  }

  get size(): number {
    return this.#size;
  }

  add(number: number, occurrence: number, text: string): void {
    if (this.#size === this.#texts.length) this.#grow();
    const place = (this.#head + this.#size++) & (this.#texts.length - 1);
    this.#numbers[place] = number;
    this.#occurrences[place] = occurrence;
    this.#texts[place] = text;
  }

  /** Takes out the first `limit`, in their order. */
  take(limit: number, hand: (number: number, occurrence: number, text: string) => void): void {
    for (let count = Math.min(limit, this.#size); count > 0; count--) {
      const place = this.#head;
      const text = this.#texts[place];
      this.#texts[place] = "";
      this.#head = (place + 1) & (this.#texts.length - 1);
      this.#size--;
      hand(this.#numbers[place], this.#occurrences[place], text);
    }
    // What a burst needed is given back.
    if (this.#size === 0 && this.#texts.length > 64 * FIRST_CAPACITY) this.#reset(FIRST_CAPACITY);
  }

  #grow(): void {
    const numbers = this.#numbers, occurrences = this.#occurrences, texts = this.#texts, head = this.#head;
    this.#reset(texts.length * 2);
    for (let i = 0; i < texts.length; i++) {
      const place = (head + i) & (texts.length - 1);
      this.add(numbers[place], occurrences[place], texts[place]);
    }
  }

  #reset(capacity: number): void {
    this.#numbers = new Float64Array(capacity);
    this.#occurrences = new Float64Array(capacity);
    this.#texts = new Array(capacity).fill("");
    this.#head = 0;
    this.#size = 0;
  }
}
