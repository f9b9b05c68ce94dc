/**
 * Answers isolates that ask what is stored of a task (`isolate/recollection.ts`), on the line on which they also hand over
 * messages of tasks. Between **dispatch** and **run**, for redelivered messages only.
 */
import type { RelayAnswer, RelayEnd, RelayRequest } from "../channel/relay.ts";
import type { IsolateLine } from "../isolate/isolate.ts";
import type { RecallAnswer, RecallRequest } from "../isolate/recollection.ts";

/** One isolate's line: its questions are answered here, all else goes on to the relay, opened when it is needed. */
export class RecallLine implements IsolateLine {
  readonly #answer: (answer: RelayAnswer | RecallAnswer) => void;
  readonly #open: () => RelayEnd;
  readonly #fetch: (id: string) => Promise<string | null>;
  #relay: RelayEnd | undefined;
  #isClosed = false;

  /** `fetch` asks the store for as long as it takes; where it gives up, nothing is known of the task. */
  constructor(
    answer: (answer: RelayAnswer | RecallAnswer) => void,
    open: () => RelayEnd,
    fetch: (id: string) => Promise<string | null>,
  ) {
    this.#answer = answer;
    this.#open = open;
    this.#fetch = fetch;
  }

  hear(request: RelayRequest | RecallRequest): void {
    if (this.#isClosed) return;
    if (request.kind !== "recall") return (this.#relay ??= this.#open()).hear(request);
    const tell = (text: string | null) => {
      if (!this.#isClosed) this.#answer({ kind: "recalled", run: request.run, text });
    };
    this.#fetch(request.id).then(tell, () => tell(null));
  }

  close(): void {
    this.#isClosed = true;
    this.#relay?.close();
  }
}
