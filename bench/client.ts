/**
 * A contestant's client: a program that does what it is told, a line of JSON each, and answers with a line of JSON. All
 * of them know the same commands; `celeriac/client.ts`, `celery/client.py` and `bullmq/client.js` are the programs.
 */
import type { Program, Usage } from "./process.ts";

/** Calls one after the other, each waited for. */
export interface Calls {
  /** Milliseconds to wait before each call; there are as many calls. */
  readonly pauses: readonly number[];
  /** Calls go to these in turn. Default: the default queue. */
  readonly queues?: readonly string[];
  /** The same for priorities. Default: none is given. */
  readonly priorities?: readonly number[];
}

/** Calls that are all in flight at once. */
export interface Flight {
  /** From the first call to the last value. */
  readonly seconds: number;
  /** Milliseconds until all calls were made, which is one turn of the event loop. */
  readonly calling: number;
  /** By how many milliseconds each tick of a timer of 2 ms came late. */
  readonly late: readonly number[];
}

/** Workflows that are called at once, and how large they are. */
export type Workflow =
  | { readonly shape: "chains"; readonly count: number; readonly steps: number }
  | { readonly shape: "group"; readonly count: number }
  | { readonly shape: "chord"; readonly count: number }
  /** The words of all files of a folder: so many a call, so many calls a task. */
  | { readonly shape: "wordcount"; readonly folder: string; readonly texts: number; readonly calls: number };

export class Client {
  readonly #program: Program;

  constructor(program: Program) {
    this.#program = program;
  }

  /** Publishes `count` calls of `add(1, 2)` in bulk, and tells in how many seconds. */
  async publish(count: number): Promise<number> {
    return (await this.#ask<{ seconds: number }>({ do: "publish", count })).seconds;
  }

  /** Makes calls and tells how many ms each took, from the call to its value. */
  async call(calls: Calls): Promise<number[]> {
    return (await this.#ask<{ ms: number[] }>({ do: "call", ...calls })).ms;
  }

  /** Makes `count` calls at once and waits for all of them; celeriac's client alone knows this. */
  async flight(count: number): Promise<Flight> {
    return await this.#ask<Flight>({ do: "flight", count });
  }

  /** Calls workflows and waits for what they give; tells how many seconds that took. BullMQ's client knows none. */
  async workflow(workflow: Workflow): Promise<number> {
    return (await this.#ask<{ seconds: number }>({ do: "workflow", ...workflow })).seconds;
  }

  /** What it has taken so far. */
  usage(): Usage {
    return this.#program.usage();
  }

  async stop(): Promise<void> {
    await this.#program.kill();
  }

  async #ask<Answer>(command: Readonly<Record<string, unknown>>): Promise<Answer> {
    this.#program.write(JSON.stringify(command));
    return JSON.parse(await this.#program.line(/^\{/));
  }
}
