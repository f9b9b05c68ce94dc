/** The timer hub: how many timers a second, how many bytes each, and how late it is, beside a plain setTimeout for each. */
import { join } from "node:path";
import { type Runtime, runtimeNames, runtimes } from "../contestants/celeriac.ts";
import { rate, short } from "../figures.ts";
import { atLeast, atMost, type Outcome, type Part, type Setting } from "../part.ts";
import { Program, ROOT } from "../process.ts";
import { takeTurns } from "../rounds.ts";
import { median } from "../statistics.ts";

const FULL = { timers: 1_000_000, seconds: 3, rounds: 3, limit: 240 };
const QUICK = { timers: 200_000, seconds: 1, rounds: 1, limit: 20 };
/** Timers due a second. */
const RATE = 100_000;
const WANTED = { hub: 500_000, port: 150_000, bytes: 250, late: 5 };

/** What one run measured. */
interface Measured {
  /** Timers a second. */
  readonly set?: number;
  readonly cancel?: number;
  /** Of the process, for each timer. */
  readonly bytes?: number;
  /** Milliseconds. */
  readonly p50?: number;
  readonly p99?: number;
  readonly most?: number;
  /** Messages a second that the broker took. */
  readonly published?: number;
}

export const timers: Part = {
  name: "timers",
  title: "Timers: a million in one hub",
  inQuick: false,
  limit: 600,
  run,
};

async function run({ quick, redis, folder }: Setting): Promise<Outcome> {
  const sizes = quick ? QUICK : FULL;
  const { timers, seconds } = sizes;
  let files = 0;
  const contestants = (["deno", "bun"] as const).flatMap((runtime, db) => {
    const name = runtimeNames[runtime];
    const late = (
      url: () => string,
      ...more: string[]
    ) => ["late", url(), String(RATE), String(seconds), ...more];
    return [
      { name: `hub, ${name}`, run: () => measured(runtime, ["hub", String(timers)]) },
      { name: `setTimeout each, ${name}`, run: () => measured(runtime, ["timeout", String(timers)]) },
      { name: `through a MessagePort, ${name}`, run: () => measured(runtime, ["port", String(timers)]) },
      { name: `due, on memory, ${name}`, run: () => measured(runtime, late(() => "memory:timers", "taken")) },
      {
        name: `due, on Redis, ${name}`,
        run: async () => {
          const figures = await measured(runtime, late(() => redis.url(db)));
          await redis.connection(db).flushdb();
          return figures;
        },
      },
      {
        name: `due, on SQLite, ${name}`,
        run: () => measured(runtime, late(() => `sqlite:${join(folder, `timers${++files}.db`)}`)),
      },
      {
        name: `due, on memory, nobody takes them, ${name}`,
        run: () => measured(runtime, late(() => "memory:timers")),
      },
      { name: `due, setTimeout each, ${name}`, run: () => measured(runtime, late(() => "timeout")) },
    ];
  });
  const rounds = await takeTurns(sizes.rounds, sizes.limit, contestants.map(({ run }) => run));
  const over = (i: number, pick: (measured: Measured) => number | undefined) => {
    const values = rounds[i].flatMap((round) => pick(round) ?? []);
    return values.length === 0 ? NaN : median(values);
  };
  const cell = (value: number, write: (value: number) => string) => Number.isNaN(value) ? "" : write(value);
  const each = contestants.length / 2;
  const targets = ["Deno", "Bun"].flatMap((name, i) => {
    const [hub, , port, memory, onRedis] = Array.from({ length: each }, (_, k) => each * i + k);
    const least = (at: number) => Math.min(over(at, ({ set }) => set), over(at, ({ cancel }) => cancel));
    return [
      atMost(`bytes a timer on ${name}, to 250`, over(hub, ({ bytes }) => bytes) / WANTED.bytes, 1),
      atLeast(
        `timers set and cancelled in the hub on ${name}, to 500,000 a second`,
        least(hub) / WANTED.hub,
        1,
      ),
      atLeast(
        `timers set and cancelled through a port on ${name}, to 150,000 a second`,
        least(port) / WANTED.port,
        1,
      ),
      atMost(
        `timers late on memory on ${name}, p99, to 5 ms`,
        over(memory, ({ p99 }) => p99) / WANTED.late,
        1,
      ),
      atMost(
        `timers late on Redis on ${name}, p99, to 5 ms`,
        over(onRedis, ({ p99 }) => p99) / WANTED.late,
        1,
      ),
    ];
  });
  return {
    columns: [
      "",
      "set/s",
      "cancelled/s",
      "bytes each",
      "late p50, ms",
      "late p99, ms",
      "latest, ms",
      "published/s",
    ],
    rows: contestants.map(({ name }, i) => [
      name,
      cell(over(i, ({ set }) => set), rate),
      cell(over(i, ({ cancel }) => cancel), rate),
      cell(over(i, ({ bytes }) => bytes), (bytes) => bytes.toFixed(0)),
      cell(over(i, ({ p50 }) => p50), short),
      cell(over(i, ({ p99 }) => p99), short),
      cell(over(i, ({ most }) => most), short),
      cell(over(i, ({ published }) => published), rate),
    ]),
    targets,
    ratios: `timers: ${
      ["deno", "bun"].map((name, i) =>
        `${name} ${rate(over(each * i, ({ set }) => set))}/s set, ${
          over(each * i, ({ bytes }) => bytes).toFixed(0)
        } bytes each, late p99 ${short(over(each * i + 4, ({ p99 }) => p99))} ms on Redis`
      ).join(", ")
    }`,
    notes: [
      `${
        timers.toLocaleString("en-US")
      } timers with their callbacks' names, arguments and parents, due within an hour, ` +
      "are set in no order, and cancelled in another. Bytes: by how much the process has grown (RSS after a collection), " +
      "the texts included. Through a port: a Web Worker sets and cancels ten thousand at a time, and awaits the answers.",
      `Due: ${
        RATE.toLocaleString("en-US")
      } a second for ${seconds} s, after 20,000 to be warm; how late the hub hands each out, while the main ` +
      "thread makes their messages and publishes them. A queue in memory is its own process's alone, so there the same " +
      "thread takes the messages and settles them, as a worker does; in the row that says so, and on the other brokers, " +
      "nobody takes them. With setTimeout each nothing is published. Deno has the flag with which `./celeriac` starts it.",
    ],
    rounds: contestants.map(({ name }, i) => ({ name, rounds: rounds[i] })),
  };
}

async function measured(runtime: Runtime, args: readonly string[]): Promise<Measured> {
  const flags = runtime === "deno" ? ["--v8-flags=--expose-gc,--max-semi-space-size=8"] : [];
  const program = new Program([...runtimes[runtime], ...flags, `${ROOT}bench/celeriac/timers.ts`, ...args]);
  const line = await program.line(/^{/);
  await program.exited;
  return JSON.parse(line) as Measured;
}
