/** How fast messages come from a running task to its caller: in memory, and on Redis beside ioredis alone. */
import { type Runtime, runtimeNames, runtimes } from "../contestants/celeriac.ts";
import { rate, share, short } from "../figures.ts";
import { atLeast, type Outcome, type Part, type Setting } from "../part.ts";
import { Program, ROOT } from "../process.ts";
import { takeTurns } from "../rounds.ts";
import { median, ratio } from "../statistics.ts";

const FULL = { messages: 400_000, rounds: 5, seconds: 120 };
const QUICK = { messages: 100_000, rounds: 2, seconds: 15 };
/** Messages a second in memory that are asked for. */
const WANTED = 100_000;

/** One stream. */
interface Streamed {
  readonly rate: number;
  /** Processor time of all that took part but Redis, us a message. */
  readonly cpu: number;
}

interface Contestant {
  readonly name: string;
  run(setting: Setting, count: number): Promise<Streamed>;
}

export const messages: Part = {
  name: "messages",
  title: "Messages from a task to its caller",
  inQuick: true,
  limit: 240,
  run,
};

function inMemory(runtime: Runtime): Contestant {
  return {
    name: `celeriac in memory, ${runtimeNames[runtime]}`,
    run: (_, count) => streamed([caller(runtime, "memory:bench", count)], count),
  };
}

function onRedis(runtime: Runtime, db: number): Contestant {
  return {
    name: `celeriac on Redis, ${runtimeNames[runtime]}`,
    run: async ({ redis }, count) => {
      await redis.connection(db).flushdb();
      const worker = [`${ROOT}celeriac`, "worker", "-A", `${ROOT}bench/celeriac/stream_tasks.ts`];
      const options = ["-b", redis.url(db), "-c", "1", "-l", "warning"];
      return await streamed([
        caller(runtime, redis.url(db), count),
        new Program([...worker, ...options], { CELERIAC_RUNTIME: runtime }),
      ], count);
    },
  };
}

function bare(runtime: Runtime, db: number): Contestant {
  return {
    name: `ioredis alone, ${runtimeNames[runtime]}`,
    run: async ({ redis }, count) => {
      await redis.connection(db).flushdb();
      const end = (role: string) =>
        new Program([
          ...runtimes[runtime],
          `${ROOT}bench/floors/channel.ts`,
          role,
          redis.url(db),
          String(count),
        ]);
      return await streamed([end("read"), end("send")], count);
    },
  };
}

function caller(runtime: Runtime, url: string, count: number): Program {
  return new Program([...runtimes[runtime], `${ROOT}bench/celeriac/messages.ts`, url, String(count)]);
}

/** What the first of the programs measured. */
async function streamed(programs: readonly Program[], count: number): Promise<Streamed> {
  const { ms } = JSON.parse(await programs[0].line(/^{"ms"/)) as { ms: number };
  const cpu = programs.reduce((sum, program) => sum + program.usage().cpu, 0);
  await Promise.all(programs.map((program) => program.kill()));
  return { rate: count / ms * 1000, cpu: cpu * 1000 / count };
}

async function run(setting: Setting): Promise<Outcome> {
  const { messages, rounds, seconds } = setting.quick ? QUICK : FULL;
  const contestants = [
    inMemory("deno"),
    bare("deno", 1),
    onRedis("deno", 0),
    inMemory("bun"),
    onRedis("bun", 2),
    bare("bun", 3),
  ];
  const turns = contestants.map((contestant) => () => contestant.run(setting, messages));
  const streams = await takeTurns(rounds, seconds, turns);
  const rates = streams.map((rounds) => rounds.map(({ rate }) => rate));
  const [denoMemory, denoFloor, deno, bunMemory, bun, bunFloor] = rates;
  return {
    columns: ["", "messages/s", "each round", "CPU of both ends, us a message"],
    rows: contestants.map(({ name }, i) => [
      name,
      rate(median(rates[i])),
      rates[i].map(rate).join(" "),
      short(median(streams[i].map(({ cpu }) => cpu))),
    ]),
    targets: [
      atLeast("messages in memory on Deno, to 100,000 a second", median(denoMemory) / WANTED, 1),
      atLeast("messages in memory on Bun, to 100,000 a second", median(bunMemory) / WANTED, 1),
      atLeast("messages on Redis on Deno, to ioredis alone", ratio(deno, denoFloor), 0.6, "%"),
      atLeast("messages on Redis on Bun, to ioredis alone", ratio(bun, bunFloor), 0.6, "%"),
    ],
    ratios:
      `messages: deno ${rate(median(denoMemory))}/s in memory ${
        share(ratio(deno, denoFloor))
      } of ioredis on redis, ` +
      `bun ${rate(median(bunMemory))}/s in memory ${share(ratio(bun, bunFloor))} of ioredis on redis`,
    notes: [
      `A task sends ${
        messages.toLocaleString("en-US")
      } messages of 30 bytes by \`await ctx.send\`, its caller reads them by ` +
      "`for await (... of result.messages())`; the time runs from the first to the last. A stream of 20,000 goes before.",
      "ioredis alone (`floors/channel.ts`): RPUSH and LPOP of 256 at a time, in two processes, without bound, end or safety. " +
      "celeriac's task runs in an isolate, beside the main thread that has the connection.",
    ],
    rounds: contestants.map(({ name }, i) => ({ name, streams: streams[i] })),
  };
}
