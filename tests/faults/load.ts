/** Many tasks under way, which know how far they have come and can tell how often each was run. */
import { marksIn, type Workshop } from "../worker/workshop.ts";

export class Load {
  readonly #shop: Workshop;
  readonly #file: string;
  readonly #results: { readonly id: string; readonly value: Promise<string> }[] = [];
  readonly #milestones: { readonly count: number; readonly reached: () => void }[] = [];
  #done = 0;

  constructor(shop: Workshop) {
    this.#shop = shop;
    this.#file = shop.file("runs");
  }

  /** Sends `count` tasks more; `duration` tells how many ms each is to take. */
  send(count: number, duration: () => number): void {
    for (let i = 0; i < count; i++) {
      const result = this.#shop.jobs.work(this.#file, duration());
      const value = result.get();
      value.then(() => this.#oneDone(), () => {});
      this.#results.push({ id: result.id, value });
    }
  }

  /** How many results have arrived. */
  get done(): number {
    return this.#done;
  }

  /** Resolves when `count` results have arrived. */
  reached(count: number): Promise<void> {
    if (this.#done >= count) return Promise.resolve();
    return new Promise((reached) => this.#milestones.push({ count, reached }));
  }

  /** Resolves when every task has its own result; fails with the first that has another. */
  async complete(): Promise<void> {
    for (const { id, value } of this.#results) {
      if (await value !== id) throw new Error(`the result of ${id} is ${await value}`);
    }
  }

  /**
   * How often all tasks ran together, beyond once each. Fails if one never ran, or ran again without being told, unless the
   * broker may have forgotten that it handed it out.
   */
  async secondRuns({ forgetful = false } = {}): Promise<number> {
    const runs = new Map(this.#results.map(({ id }) => [id, { all: 0, unmarked: 0 }]));
    const marks = await marksIn(this.#file);
    for (const { id, again } of marks) {
      const count = runs.get(id);
      if (count === undefined) throw new Error(`${id} ran, which nobody sent`);
      count.all++;
      if (!again) count.unmarked++;
    }
    for (const [id, { all, unmarked }] of runs) {
      if (all === 0) throw new Error(`${id} has a result but never ran`);
      if (unmarked > 1 && !forgetful) {
        throw new Error(`${unmarked} of ${all} runs of ${id} were not marked as redelivered`);
      }
    }
    return marks.length - runs.size;
  }

  #oneDone(): void {
    this.#done++;
    for (let i = this.#milestones.length - 1; i >= 0; i--) {
      if (this.#milestones[i].count <= this.#done) this.#milestones.splice(i, 1)[0].reached();
    }
  }
}
