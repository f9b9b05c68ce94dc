// deno-lint-ignore-file require-await -- the contract is asynchronous; nothing in a process's own memory waits
/** Channels of `memory:` and `memory:NAME`: lines of messages inside one process, shared by all that have the URL. */
import type { Clock } from "../clock.ts";
import {
  type ChannelStore,
  type LineLimits,
  type LineReader,
  type LineWriter,
  takenOver,
} from "./channel.ts";

/** A line of messages. What its reader has taken and is not done with stands at its front. */
interface Line {
  texts: string[];
  /** How many at the front are in the reader's hands. */
  held: number;
  reader: object | undefined;
  /** Milliseconds since 1970. */
  expires: number;
  readonly watchers: Set<() => void>;
}

/** Lines of one URL in this process. */
export class MemoryChannels implements ChannelStore {
  readonly name: string;
  readonly pushes = true;
  readonly #clock: Clock;
  readonly #lines = new Map<string, Line>();
  #sweep: Iterator<[string, Line]> | undefined;

  constructor(url: string, clock: Clock) {
    this.name = url;
    this.#clock = clock;
  }

  writer(name: string, { maxMessages, whenFull, ttl }: LineLimits): LineWriter {
    return {
      pushes: true,
      watch: (wake) => this.#watch(name, wake),
      push: async (_sender, _first, texts) => {
        this.#sweepSome();
        const line = this.#line(name);
        line.expires = ttl === 0 ? Infinity : this.#clock.now() + ttl * 1000;
        const room = maxMessages - line.texts.length;
        const count = whenFull === "wait" ? Math.min(texts.length, room) : texts.length;
        if (count <= 0) return 0;
        for (let i = 0; i < count; i++) line.texts.push(texts[i]);
        const dropped = line.texts.length - maxMessages;
        if (whenFull === "drop-oldest" && dropped > 0) {
          line.texts.splice(0, dropped);
          line.held = Math.max(0, line.held - dropped);
        }
        for (const wake of line.watchers) wake();
        return count;
      },
    };
  }

  reader(name: string): LineReader {
    const self = {};
    let opened = false;
    let taken = 0;
    return {
      pushes: true,
      watch: (wake) => this.#watch(name, wake),
      take: async (most) => {
        const line = this.#line(name);
        if (line.reader !== self) {
          if (opened && line.reader !== undefined) throw takenOver(name, this.name);
          line.reader = self;
          line.held = 0;
          for (const wake of line.watchers) wake();
        }
        opened = true;
        if (line.held > 0) {
          line.texts.splice(0, line.held);
          for (const wake of line.watchers) wake();
        }
        taken = line.held = Math.min(most, line.texts.length);
        return line.texts.slice(0, line.held);
      },
      release: async (done) => {
        const line = this.#line(name);
        if (line.reader !== self) return;
        // Of those that are done with, some may have been dropped as the oldest.
        line.texts.splice(0, Math.max(0, line.held - (taken - done)));
        line.held = 0;
        line.reader = undefined;
        this.#forgetIfIdle(name, line);
      },
    };
  }

  keep(): () => void {
    return () => {};
  }

  async rest(): Promise<void> {}

  #line(name: string): Line {
    let line = this.#lines.get(name);
    if (line === undefined) {
      line = { texts: [], held: 0, reader: undefined, expires: Infinity, watchers: new Set() };
      this.#lines.set(name, line);
    } else if (line.expires <= this.#clock.now()) {
      empty(line);
    }
    return line;
  }

  #watch(name: string, wake: () => void): () => void {
    const line = this.#line(name);
    line.watchers.add(wake);
    return () => {
      line.watchers.delete(wake);
      this.#forgetIfIdle(name, line);
    };
  }

  #forgetIfIdle(name: string, line: Line): void {
    const idle = line.texts.length === 0 && line.watchers.size === 0 && line.reader === undefined;
    if (idle && this.#lines.get(name) === line) this.#lines.delete(name);
  }

  /** Looks at two lines for each push: more go than come, and no push waits for a long sweep. */
  #sweepSome(): void {
    const now = this.#clock.now();
    for (let look = 0; look < 2; look++) {
      const next = (this.#sweep ??= this.#lines.entries()).next();
      if (next.done) this.#sweep = undefined;
      else if (next.value[1].expires <= now) {
        const [name, line] = next.value;
        empty(line);
        if (line.watchers.size === 0) this.#lines.delete(name);
      }
    }
  }
}

function empty(line: Line): void {
  line.texts = [];
  line.held = 0;
  line.expires = Infinity;
}
