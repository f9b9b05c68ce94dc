/**
 * The bare loop of the floors: two isolates, two batches under way for each, and a step of the broker that settles one
 * batch and fetches the next. What the product's worker adds to this is the distance from the floor.
 */

/** What a step of the broker gives and takes again. */
export interface Batch<Tag> {
  readonly tags: readonly Tag[];
  readonly envelopes: readonly string[];
}

/** Settles `tags` with their results (id, text, id, text), and fetches more; an empty batch ends its lane. */
export type Step<Tag> = (tags: readonly Tag[], results: readonly string[]) => Promise<Batch<Tag>>;

const ISOLATES = 2;
const BATCHES_EACH = 2;

/** Drains a queue with `step`. */
export async function drainBare<Tag>(step: Step<Tag>): Promise<void> {
  const isolates = Array.from({ length: ISOLATES }, () => new BareIsolate());
  await Promise.all(
    isolates.flatMap((isolate) => Array.from({ length: BATCHES_EACH }, () => lane(isolate, step))),
  );
  for (const isolate of isolates) isolate.end();
}

async function lane<Tag>(isolate: BareIsolate, step: Step<Tag>): Promise<void> {
  let tags: readonly Tag[] = [];
  let results: readonly string[] = [];
  for (;;) {
    const batch = await step(tags, results);
    if (batch.tags.length === 0) return;
    results = await isolate.run(batch.envelopes);
    tags = batch.tags;
  }
}

class BareIsolate {
  readonly #worker = new Worker(new URL("./isolate.ts", import.meta.url), { type: "module" });
  readonly #waiting: ((results: string[]) => void)[] = [];

  constructor() {
    this.#worker.onmessage = (event: MessageEvent<string[]>) => this.#waiting.shift()!(event.data);
  }

  run(envelopes: readonly string[]): Promise<string[]> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#worker.postMessage(envelopes);
    });
  }

  end(): void {
    this.#worker.terminate();
  }
}
