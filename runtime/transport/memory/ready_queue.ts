/** What is ready in one priority of one queue of a memory broker: first in, first out, with a way back to the front. */
export class ReadyQueue<T> {
  /** Handed back, the next one last. */
  readonly #front: T[] = [];
  #items: T[] = [];
  #head = 0;

  get length(): number {
    return this.#front.length + this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Puts an item where it is next out. */
  unshift(item: T): void {
    this.#front.push(item);
  }

  shift(): T | undefined {
    if (this.#front.length > 0) return this.#front.pop();
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head++];
    // What was taken is dropped now and then, so that each shift costs the same however long the queue is.
    if (this.#head === this.#items.length || this.#head >= 4096) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
