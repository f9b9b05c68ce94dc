/**
 * Messages of running tasks on their way between the isolates and the broker: an isolate hands them to the thread that
 * started it, which has one connection for all of them. So tasks that may not open connections, or whose broker is in
 * that thread's memory, send and read as any other. What an isolate may send ahead of its answers is bounded there.
 */
import type { Clock } from "../clock.ts";
import { END, type LineLimits, lineName } from "./channel.ts";
import { Intake } from "./intake.ts";
import { TTL } from "./message.ts";
import { openChannels } from "./open.ts";
import { type FlowOptions, Outflow } from "./outflow.ts";

/** From an isolate; `run` is a number of its own for each run of a task. */
export type RelayRequest =
  | {
    readonly kind: "send";
    readonly run: number;
    readonly id: string;
    /** JSON texts as a task writes them, a line each: one long text crosses threads faster than many short ones. */
    readonly lines: string;
    readonly limits: SendLimits;
  }
  | { readonly kind: "take"; readonly run: number; readonly id: string }
  /** The run is over: `heard` batches came to it, and `unread` texts of the last one were not used. */
  | {
    readonly kind: "finish";
    readonly run: number;
    readonly ends: boolean;
    readonly heard: number;
    readonly unread: number;
  };

/** How a task's messages are bounded. */
export interface SendLimits extends LineLimits {
  /** Seconds without any room after which its messages are given up. */
  readonly patience: number;
}

/** To an isolate. */
export type RelayAnswer =
  /** The oldest batch that was not answered is stored. */
  | { readonly kind: "stored"; readonly run: number }
  | { readonly kind: "texts"; readonly run: number; readonly texts: readonly string[] }
  | { readonly kind: "finished"; readonly run: number }
  | {
    readonly kind: "failed";
    readonly run: number;
    readonly of: RelayRequest["kind"];
    readonly error: RelayedError;
  };

/** An error as it crosses threads. */
export interface RelayedError {
  readonly name: string;
  readonly message: string;
}

/** Texts that one answer brings. */
const BATCH = 256;

/** All messages of the tasks of one worker. */
export class Relay {
  readonly #url: string;
  readonly #options: FlowOptions;
  #kept: Promise<() => void> | undefined;

  constructor(url: string, clock: Clock, random: () => number) {
    this.#url = url;
    // A broker that is away is waited for, as it is with results.
    this.#options = { clock, random, pollInterval: 0.5, patience: Infinity };
  }

  /** For one isolate, whom `answer` reaches. */
  open(answer: (answer: RelayAnswer) => void): RelayEnd {
    // From the first message on the connection stays as long as the worker does.
    this.#kept ??= this.#store().then((store) => store.keep());
    this.#kept.catch(() => {});
    return new RelayEnd(() => this.#store(), this.#options, answer);
  }

  async close(): Promise<void> {
    if (this.#kept === undefined) return;
    await this.#kept.then((release) => release(), () => {});
    await this.#store().then((store) => store.rest(), () => {});
  }

  #store() {
    return openChannels(this.#url, this.#options.clock);
  }
}

/** What one run of a task sends and reads. */
interface Line {
  outflow?: Outflow;
  intake?: Intake;
  /** Batches that were read for it, and how large the last one was. */
  batches: number;
  last: number;
}

/** One isolate's end of the relay. */
export class RelayEnd {
  readonly #store: () => ReturnType<typeof openChannels>;
  readonly #options: FlowOptions;
  readonly #answer: (answer: RelayAnswer) => void;
  readonly #lines = new Map<number, Line>();
  readonly #closing = new AbortController();

  constructor(
    store: () => ReturnType<typeof openChannels>,
    options: FlowOptions,
    answer: (answer: RelayAnswer) => void,
  ) {
    this.#store = store;
    this.#options = options;
    this.#answer = answer;
  }

  /** Does what the isolate asks for; what can't be done is answered, too. */
  hear(request: RelayRequest): void {
    if (this.#closing.signal.aborted) return;
    const { run } = request;
    const failed = (error: unknown) => {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      this.#tell({ kind: "failed", run, of: request.kind, error: { name, message } });
    };
    if (request.kind === "send") this.#send(request).catch(failed);
    else if (request.kind === "take") this.#take(run, request.id).catch(failed);
    else this.#finish(request).catch(failed);
  }

  /** The isolate is gone. What it has read last waits for the next run of its task. */
  close(): void {
    const gone = new Error("the isolate is gone");
    this.#closing.abort(gone);
    for (const { outflow, intake, last } of this.#lines.values()) {
      outflow?.close(gone);
      intake?.unshift(last);
      intake?.release().catch(() => {});
    }
    this.#lines.clear();
  }

  #line(run: number): Line {
    let line = this.#lines.get(run);
    if (line === undefined) this.#lines.set(run, line = { batches: 0, last: 0 });
    return line;
  }

  #send({ run, id, lines, limits }: RelayRequest & { kind: "send" }): Promise<void> {
    const line = this.#line(run);
    if (line.outflow === undefined) {
      const name = lineName(id, "to-client");
      const open = async () => (await this.#store()).writer(name, limits);
      line.outflow = new Outflow(name, open, { ...this.#options, roomPatience: limits.patience });
    }
    return line.outflow.send(lines.split("\n")).then(() => this.#tell({ kind: "stored", run }));
  }

  async #take(run: number, id: string): Promise<void> {
    const line = this.#line(run);
    const open = async () => (await this.#store()).reader(lineName(id, "to-task"), TTL);
    const intake = line.intake ??= new Intake(open, this.#options);
    let texts: string[];
    do texts = intake.shiftMany(BATCH); while (
      texts.length === 0 && await intake.fill({ signal: this.#closing.signal })
    );
    if (this.#lines.get(run) !== line) return intake.unshift(texts.length);
    line.batches++;
    line.last = texts.length;
    this.#tell({ kind: "texts", run, texts });
  }

  async #finish({ run, ends, heard, unread }: RelayRequest & { kind: "finish" }): Promise<void> {
    const line = this.#line(run);
    this.#lines.delete(run);
    const { outflow, intake } = line;
    if (ends) await outflow?.send([END]);
    await outflow?.idle();
    if (intake !== undefined) {
      intake.unshift(heard < line.batches ? line.last : unread);
      await intake.release();
    }
    this.#tell({ kind: "finished", run });
  }

  #tell(answer: RelayAnswer): void {
    if (!this.#closing.signal.aborted) this.#answer(answer);
  }
}
