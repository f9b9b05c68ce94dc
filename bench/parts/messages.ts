/** How fast messages come from a running task to its caller: in memory, and beside ioredis and amqplib alone. */
import { type Runtime, runtimeNames, runtimes } from "../contestants/celeriac.ts";
import { rate, share, short } from "../figures.ts";
import { atLeast, type Outcome, type Part, type Setting } from "../part.ts";
import { Program, ROOT } from "../process.ts";
import { BenchRabbitmq } from "../rabbitmq_server.ts";
import { takeTurns } from "../rounds.ts";
import { median, ratio } from "../statistics.ts";

const FULL = { messages: 400_000, onAmqp: 60_000, rounds: 5, seconds: 180 };
const QUICK = { messages: 100_000, onAmqp: 10_000, rounds: 2, seconds: 25 };
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
  run(): Promise<Streamed>;
}

export const messages: Part = {
  name: "messages",
  title: "Messages from a task to its caller",
  inQuick: false,
  limit: 400,
  run,
};

function inMemory(runtime: Runtime, count: number): Contestant {
  return {
    name: `celeriac in memory, ${runtimeNames[runtime]}`,
    run: () => streamed([caller(runtime, "memory:bench", count)], count),
  };
}

/** celeriac on a broker: a worker of the command line, and a caller. */
function onBroker(broker: string, runtime: Runtime, url: string, count: number): Contestant {
  const worker = [`${ROOT}celeriac`, "worker", "-A", `${ROOT}bench/celeriac/stream_tasks.ts`];
  const options = ["-b", url, "-c", "1", "-l", "warning"];
  return {
    name: `celeriac on ${broker}, ${runtimeNames[runtime]}`,
    run: () => {
      const ends = [
        caller(runtime, url, count),
        new Program([...worker, ...options], { CELERIAC_RUNTIME: runtime }),
      ];
      return streamed(ends, count);
    },
  };
}

/** The broker's client alone: who sends, and who reads. */
function bare(client: string, floor: string, runtime: Runtime, url: string, count: number): Contestant {
  const end = (role: string) =>
    new Program([...runtimes[runtime], `${ROOT}bench/floors/${floor}.ts`, role, url, String(count)]);
  return {
    name: `${client} alone, ${runtimeNames[runtime]}`,
    run: () => streamed([end("read"), end("send")], count),
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
  const rabbitmq = await BenchRabbitmq.start();
  try {
    return await measure(setting, rabbitmq.url);
  } finally {
    await rabbitmq.stop();
  }
}

async function measure({ quick, redis }: Setting, amqp: string): Promise<Outcome> {
  const { messages, onAmqp, rounds, seconds } = quick ? QUICK : FULL;
  const contestants = (["deno", "bun"] as const).flatMap((runtime, i) => [
    inMemory(runtime, messages),
    bare("ioredis", "channel", runtime, redis.url(2 * i), messages),
    onBroker("Redis", runtime, redis.url(2 * i + 1), messages),
    bare("amqplib", "amqp_channel", runtime, amqp, onAmqp),
    onBroker("RabbitMQ", runtime, amqp, onAmqp),
  ]);
  const turns = contestants.map((contestant) => () => contestant.run());
  const streams = await takeTurns(rounds, seconds, turns);
  const rates = streams.map((rounds) => rounds.map(({ rate }) => rate));
  const figures = (["Deno", "Bun"] as const).map((name, i) => {
    const [memory, ioredis, onRedis, amqplib, onRabbitmq] = rates.slice(5 * i, 5 * i + 5);
    return {
      name,
      memory: median(memory),
      redis: ratio(onRedis, ioredis),
      amqp: ratio(onRabbitmq, amqplib),
    };
  });
  return {
    columns: ["", "messages/s", "each round", "CPU of both ends, us a message"],
    rows: contestants.map(({ name }, i) => [
      name,
      rate(median(rates[i])),
      rates[i].map(rate).join(" "),
      short(median(streams[i].map(({ cpu }) => cpu))),
    ]),
    targets: figures.flatMap(({ name, memory, redis, amqp }) => [
      atLeast(`messages in memory on ${name}, to 100,000 a second`, memory / WANTED, 1),
      atLeast(`messages on Redis on ${name}, to ioredis alone`, redis, 0.6, "%"),
      atLeast(`messages on RabbitMQ on ${name}, to amqplib alone`, amqp, 0.6, "%"),
    ]),
    ratios: "messages: " +
      figures.map(({ name, memory, redis, amqp }) =>
        `${name.toLowerCase()} ${rate(memory)}/s in memory ${share(redis)} of ioredis ${
          share(amqp)
        } of amqplib`
      ).join(", "),
    notes: [
      `A task sends ${messages.toLocaleString("en-US")} messages of 30 bytes (${
        onAmqp.toLocaleString("en-US")
      } on RabbitMQ) by \`await ctx.send\`, its caller reads them by \`for await (... of result.messages())\`; the time ` +
      "runs from the first to the last. A stream as long goes before. Processor time is that of whole programs, their " +
      "start included.",
      "ioredis alone (`floors/channel.ts`): RPUSH and LPOP of 256 at a time, in two processes, without bound, end or safety. " +
      "amqplib alone (`floors/amqp_channel.ts`): confirms and acknowledgements by the hundred. celeriac's task runs in an " +
      "isolate, beside the main thread that has the connection.",
    ],
    rounds: contestants.map(({ name }, i) => ({ name, streams: streams[i] })),
  };
}
