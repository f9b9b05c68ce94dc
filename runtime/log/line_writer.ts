/**
 * Log lines on their way out. Lines are gathered for a few milliseconds and written together, one write at a time,
 * so that 50,000 lines a second cost the event loop next to nothing and a slow reader never holds a task up.
 */
import type { Clock, TimerHandle } from "../clock.ts";

/** Writes all of `bytes`; rejects when nobody reads any more. */
export type WriteBytes = (bytes: Uint8Array) => Promise<void>;

/** How long lines are gathered, in milliseconds: too short to notice, long enough for one write instead of many. */
const GATHER_MS = 5;

/** What a {@linkcode LineWriter} is told. */
export interface LineWriterOptions {
  readonly write: WriteBytes;
  readonly clock: Clock;
  /** The line that says how many lines were dropped. */
  readonly droppedLine: (count: number) => string;
  /** Held for a reader that is too slow, at the most; what is newer is dropped. Default 8 million. */
  readonly maxCharacters?: number;
}

/** Gathers lines and writes them in batches. */
export class LineWriter {
  readonly #options: LineWriterOptions;
  readonly #maxCharacters: number;
  readonly #encoder = new TextEncoder();
  #lines: string[] = [];
  #characters = 0;
  #dropped = 0;
  #closed = false;
  #gathering: TimerHandle | undefined;
  #writing: Promise<void> | undefined;

  constructor(options: LineWriterOptions) {
    this.#options = options;
    this.#maxCharacters = options.maxCharacters ?? 8_000_000;
  }

  /** Takes a line, its newline included. */
  push(line: string): void {
    if (this.#closed) return;
    if (this.#characters + line.length > this.#maxCharacters) {
      this.#dropped++;
      return;
    }
    this.#lines.push(line);
    this.#characters += line.length;
    if (this.#writing === undefined) {
      this.#gathering ??= this.#options.clock.after(GATHER_MS, () => void this.flush());
    }
  }

  /** Writes all lines taken so far; resolves when they are out, or nobody reads them any more. */
  async flush(): Promise<void> {
    if (this.#gathering !== undefined) this.#options.clock.cancel(this.#gathering);
    this.#gathering = undefined;
    if (this.#lines.length > 0) this.#writing ??= this.#writeAll().finally(() => this.#written());
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#lines.length > 0) {
        const text = this.#lines.join("");
        this.#lines = [];
        this.#characters = 0;
        await this.#options.write(this.#encoder.encode(text));
        if (this.#dropped > 0) this.#lines.unshift(this.#options.droppedLine(this.#dropped));
        this.#dropped = 0;
      }
    } catch {
      // The reader is gone (a closed pipe): there is nobody to tell, and no reason to stop working.
      this.#closed = true;
      this.#lines = [];
    }
  }

  #written(): void {
    this.#writing = undefined;
    if (this.#lines.length > 0) void this.flush();
  }
}
