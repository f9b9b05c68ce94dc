/** Workers of one broker that are killed and replaced while they work. */
import type { TestWorker } from "../servers/worker.ts";
import type { Workshop } from "../worker/workshop.ts";
import { oneOf } from "./seed.ts";

export class Fleet {
  readonly #shop: Workshop;
  readonly #args: readonly string[];
  /** Those that are ready. */
  readonly #workers: TestWorker[] = [];
  readonly #starting = new Set<Promise<void>>();

  private constructor(shop: Workshop, args: readonly string[]) {
    this.#shop = shop;
    this.#args = args;
  }

  /** Starts `size` workers with `args`; resolves when all are ready. */
  static async start(shop: Workshop, size: number, ...args: string[]): Promise<Fleet> {
    const fleet = new Fleet(shop, args);
    for (let i = 0; i < size; i++) fleet.#add();
    await fleet.ready();
    return fleet;
  }

  /** `kill -9` for one of those that are ready; another takes its place. */
  async killOne(random: () => number): Promise<void> {
    while (this.#workers.length === 0) await Promise.race(this.#starting);
    const worker = oneOf(random, this.#workers);
    this.#workers.splice(this.#workers.indexOf(worker), 1);
    worker.signal("SIGKILL");
    this.#add();
  }

  /** Resolves when those that are starting are ready. */
  async ready(): Promise<void> {
    await Promise.all(this.#starting);
  }

  /** All that its workers have logged with this level, for those which are ready. */
  logged(level: string): string[] {
    return this.#workers.flatMap(({ lines }) => lines.filter((line) => line.includes(`"level":"${level}"`)));
  }

  #add(): void {
    const starting = this.#shop.worker(...this.#args).then((worker) => {
      this.#workers.push(worker);
      this.#starting.delete(starting);
    });
    this.#starting.add(starting);
  }
}
