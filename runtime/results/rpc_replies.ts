/** What has come for a client over AMQP: kept until it is asked for, told to those who wait. The caller's end of **settle**. */
import { getLogger } from "@logtape/logtape";
import type { ResultListener, ResultWatch } from "./result_store.ts";

const log = getLogger(["celeriac", "client"]);

/** Results and their length in characters that are kept for who asks later; beyond, the oldest go. */
const MOST = { results: 250_000, length: 256 * 1024 * 1024 };
const SUCCESS = /^\s*\{\s*"(?:status": ?"SUCCESS"|task_id": ?"[^"]*", ?"status": ?"SUCCESS")/;

/** Results by id. */
export class Replies {
  readonly #texts = new Map<string, string>();
  readonly #watches = new Set<ReplyWatch>();
  #length = 0;
  #said = false;

  /** The newest state of a task, or null. */
  get(id: string): string | null {
    return this.#texts.get(id) ?? null;
  }

  /** A state has come. One that was SUCCESS stays so: the same may come twice, from two runs. */
  put(id: string, text: string): void {
    const known = this.#texts.get(id);
    if (known !== undefined) {
      if (SUCCESS.test(known)) return;
      this.delete(id);
    }
    this.#texts.set(id, text);
    this.#length += text.length;
    if (this.#texts.size > MOST.results || this.#length > MOST.length) this.#drop();
    for (const watch of this.#watches) watch.tell(id, text);
  }

  delete(id: string): void {
    const text = this.#texts.get(id);
    if (text === undefined) return;
    this.#texts.delete(id);
    this.#length -= text.length;
  }

  watch(listener: ResultListener): ResultWatch {
    const watch = new ReplyWatch(listener, (id) => this.get(id), () => this.#watches.delete(watch));
    this.#watches.add(watch);
    return watch;
  }

  close(): void {
    this.#watches.clear();
    this.#texts.clear();
  }

  #drop(): void {
    if (!this.#said) {
      log.warning(
        "More results have come than are kept for who asks for them later: the oldest are dropped. Await results " +
          "soon, or send such tasks with ignoreResult.",
      );
      this.#said = true;
    }
    const [oldest] = this.#texts.keys();
    this.delete(oldest);
  }
}

class ReplyWatch implements ResultWatch {
  readonly #listener: ResultListener;
  readonly #known: (id: string) => string | null;
  readonly #closed: () => void;
  readonly #ids = new Set<string>();

  constructor(listener: ResultListener, known: (id: string) => string | null, closed: () => void) {
    this.#listener = listener;
    this.#known = known;
    this.#closed = closed;
  }

  tell(id: string, text: string): void {
    if (this.#ids.has(id)) this.#listener(id, text);
  }

  add(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      this.#ids.add(id);
      const text = this.#known(id);
      if (text !== null) this.#listener(id, text);
    }
    return Promise.resolve();
  }

  remove(ids: readonly string[]): void {
    for (const id of ids) this.#ids.delete(id);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ids.clear();
    this.#closed();
    return Promise.resolve();
  }
}
