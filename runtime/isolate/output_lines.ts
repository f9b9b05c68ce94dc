/**
 * What a child process prints, as lines for the log of its worker: beside **run**. Bounded in every way: the length of a
 * line, and lines a second; the pipe itself holds the rest back.
 */
import type { Readable } from "node:stream";
import type { Clock } from "../clock.ts";

/** Characters of a line; the rest of it begins another one. */
const LINE = 8_192;
const LINES_A_SECOND = 1_000;
/** Characters that are remembered. */
const TAIL = 4_096;

/** The lines of one stream. */
export class OutputLines {
  readonly #write: (line: string) => void;
  readonly #clock: Clock;
  #rest = "";
  #tail = "";
  #second = -Infinity;
  #written = 0;
  #dropped = 0;

  constructor(stream: Readable, clock: Clock, write: (line: string) => void) {
    this.#clock = clock;
    this.#write = write;
    stream.setEncoding("utf8").on("data", (text: string) => this.#add(text));
    stream.on("end", () => this.#end()).on("error", () => this.#end());
  }

  /** The last that was printed. */
  get tail(): string {
    return this.#tail;
  }

  #add(text: string): void {
    this.#tail = (this.#tail + text).slice(-TAIL);
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) this.#line(line);
    for (; this.#rest.length > LINE; this.#rest = this.#rest.slice(LINE)) {
      this.#line(this.#rest.slice(0, LINE));
    }
  }

  #end(): void {
    if (this.#rest !== "") this.#line(this.#rest);
    this.#rest = "";
    if (this.#dropped > 0) this.#write(`(${this.#dropped} lines dropped)`);
    this.#dropped = 0;
  }

  #line(line: string): void {
    if (line.trim() === "") return;
    const now = this.#clock.monotonic();
    if (now - this.#second >= 1_000) {
      this.#second = now;
      this.#written = 0;
    }
    if (this.#written >= LINES_A_SECOND) return void this.#dropped++;
    this.#written++;
    const text = line.length > LINE ? `${line.slice(0, LINE)}...` : line.trimEnd();
    this.#write(this.#dropped > 0 ? `${text} (${this.#dropped} lines before it dropped)` : text);
    this.#dropped = 0;
  }
}
