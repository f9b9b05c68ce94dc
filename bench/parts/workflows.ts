/** How long workflows take from their call to their value, beside Celery: chains, a group, a chord, a map-reduce. */
import { copyFile, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Client, Workflow } from "../client.ts";
import { celeriac } from "../contestants/celeriac.ts";
import { celery } from "../contestants/celery.ts";
import type { RedisContestant } from "../contestants/contestant.ts";
import { rate, short, times } from "../figures.ts";
import { atLeast, type Outcome, type Part, type Setting } from "../part.ts";
import { type Program, ROOT } from "../process.ts";
import type { BenchRedis } from "../redis_server.ts";
import { takeTurns } from "../rounds.ts";
import { median, ratio } from "../statistics.ts";

/** One round is enough of what takes Celery minutes. */
const FULL = { chains: 1_000, steps: 10, group: 10_000, chord: 10_000, rounds: 1, seconds: 300 };
const QUICK = { chains: 100, steps: 10, group: 1_000, chord: 1_000, rounds: 2, seconds: 10 };
/** Texts that one call counts, and calls that one task makes. */
const TEXTS = 4, CALLS = 2;
/** How often the texts of this repository are counted. */
const COPIES = 40;
/** Rounds before the first one, so that nobody is measured while its code is new to its runtime; Python's is never. */
const WARM_UP = { ours: 3, celery: 1 };

/** The database of Celery. */
const PYTHON = 2;
/** Seconds after which a workflow is given up, and counts as that long. */
const PATIENCE = 150;

/** A workflow, what it is called in the tables, and how many tasks it has. */
interface Shape {
  readonly name: string;
  readonly workflow: Workflow;
  readonly tasks: number;
  /** How many times as fast as Celery it is to be. */
  readonly wanted?: number;
}

interface Ran {
  /** {@linkcode PATIENCE} where it was given up. */
  readonly seconds: number;
  /** Microseconds of processor time a task. */
  readonly cpu: number;
}

export const workflows: Part = {
  name: "workflows",
  title: "Redis: workflows",
  inQuick: false,
  limit: 1_200,
  run,
};

async function run({ quick, redis, folder, say }: Setting): Promise<Outcome> {
  const sizes = quick ? QUICK : FULL;
  const shapes = await shapesOf(sizes, join(folder, "texts"));
  const contestants: readonly RedisContestant[] = [
    celeriac("deno", 0),
    await celery(PYTHON),
    celeriac("bun", 1),
  ];
  const shops: Shop[] = [];
  for (const contestant of contestants) shops.push(await Shop.open(contestant, redis, shapes));
  const ran: Ran[][][] = [];
  for (const { name, workflow, tasks } of shapes) {
    const turns = shops.map((shop) => async (): Promise<Ran> => {
      const before = shop.cpu;
      const seconds = await shop.call(workflow);
      say(`${shop.name}: ${name}, ${ended(seconds)} s`);
      const ran = { seconds, cpu: (shop.cpu - before) * 1000 / tasks };
      if (seconds === PATIENCE) await shop.reopen();
      return ran;
    });
    ran.push(await takeTurns(sizes.rounds, sizes.seconds / shapes.length, turns));
  }
  await Promise.all(shops.map((shop) => shop.close()));
  return outcome(contestants, shapes, ran);
}

/** A contestant at work: a worker and a client that have run each shape before. */
class Shop {
  readonly #contestant: RedisContestant;
  readonly #redis: BenchRedis;
  readonly #shapes: readonly Shape[];
  #worker!: Program;
  #client!: Client;

  constructor(contestant: RedisContestant, redis: BenchRedis, shapes: readonly Shape[]) {
    this.#contestant = contestant;
    this.#redis = redis;
    this.#shapes = shapes;
  }

  static async open(...given: ConstructorParameters<typeof Shop>): Promise<Shop> {
    const shop = new Shop(...given);
    await shop.#start();
    return shop;
  }

  get name(): string {
    return this.#contestant.name;
  }

  /** Milliseconds of processor time so far. */
  get cpu(): number {
    return this.#worker.usage().cpu + this.#client.usage().cpu;
  }

  /** Tells how many seconds it took; {@linkcode PATIENCE} where it has not ended by then. */
  async call(workflow: Workflow): Promise<number> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<number>((resolve) => {
      timer = setTimeout(() => resolve(PATIENCE), PATIENCE * 1000);
    });
    const ended = this.#client.workflow(workflow);
    // Of one that is given up the client is ended.
    ended.catch(() => {});
    try {
      return Math.min(PATIENCE, await Promise.race([ended, late]));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Drops what it is at, and begins anew. */
  async reopen(): Promise<void> {
    await this.close();
    await this.#redis.connection(this.#contestant.db).flushdb();
    await this.#start();
  }

  async close(): Promise<void> {
    await Promise.all([this.#worker.kill(), this.#client.stop()]);
  }

  async #start(): Promise<void> {
    this.#worker = this.#contestant.startWorker(this.#redis);
    this.#client = this.#contestant.startClient(this.#redis);
    const rounds = this.#contestant.db === PYTHON ? WARM_UP.celery : WARM_UP.ours;
    for (let i = 0; i < rounds; i++) {
      for (const { workflow } of this.#shapes) {
        await this.#client.workflow(
          workflow.shape === "wordcount" ? workflow : { ...workflow, count: 100 },
        );
      }
    }
  }
}

function ended(seconds: number): string {
  return seconds === PATIENCE ? `more than ${PATIENCE}` : short(seconds);
}

/** Texts to be counted are those of `docs/`, many times over: everybody has them. */
async function shapesOf(sizes: typeof FULL, folder: string): Promise<Shape[]> {
  await mkdir(folder);
  const texts = (await readdir(join(ROOT, "docs"))).filter((name) => name.endsWith(".md"));
  for (let copy = 0; copy < COPIES; copy++) {
    for (const name of texts) await copyFile(join(ROOT, "docs", name), join(folder, `${copy}-${name}`));
  }
  const { chains, steps, group, chord } = sizes;
  const words = texts.length * COPIES;
  return [
    {
      name: `${chains.toLocaleString("en-US")} chains of ${steps}`,
      workflow: { shape: "chains", count: chains, steps },
      tasks: chains * steps,
      wanted: 20,
    },
    {
      name: `a group of ${group.toLocaleString("en-US")}`,
      workflow: { shape: "group", count: group },
      tasks: group,
      wanted: 20,
    },
    {
      name: `a chord of ${chord.toLocaleString("en-US")}`,
      workflow: { shape: "chord", count: chord },
      tasks: chord + 1,
      wanted: 20,
    },
    {
      name: `the words of ${words.toLocaleString("en-US")} texts`,
      workflow: { shape: "wordcount", folder, texts: TEXTS, calls: CALLS },
      tasks: Math.ceil(words / (TEXTS * CALLS)) + 1,
    },
  ];
}

function outcome(
  contestants: readonly RedisContestant[],
  shapes: readonly Shape[],
  ran: readonly (readonly (readonly Ran[])[])[],
): Outcome {
  // To the other, by speed: the inverse of the time.
  const faster = (shape: number, one: number) =>
    ratio(ran[shape][1].map(({ seconds }) => seconds), ran[shape][one].map(({ seconds }) => seconds));
  return {
    columns: ["", "", "s", "each round", "tasks/s", "CPU of worker and client, us a task", "to Celery"],
    rows: shapes.flatMap(({ name, tasks }, i) =>
      contestants.map((contestant, one) => {
        const seconds = ran[i][one].map(({ seconds }) => seconds);
        return [
          name,
          contestant.name,
          ended(median(seconds)),
          seconds.map(ended).join(" "),
          rate(tasks / median(seconds)),
          short(median(ran[i][one].map(({ cpu }) => cpu))),
          one === 1 ? "" : times(faster(i, one)),
        ];
      })
    ),
    targets: shapes.flatMap(({ name, wanted }, i) =>
      wanted === undefined ? [] : [
        atLeast(`${name} on Deno, to Celery`, faster(i, 0), wanted),
        atLeast(`${name} on Bun, to Celery`, faster(i, 2), wanted),
      ]
    ),
    ratios: `workflows: ${
      shapes.map(({ workflow: { shape } }, i) =>
        `${shape} deno ${times(faster(i, 0))} bun ${times(faster(i, 2))} celery`
      ).join(", ")
    }`,
    notes: [
      "From the first call to the last value, by the clock of the client, which makes the workflow, sends it and waits: " +
      "`chain(...)`, `group(...)` and `chord(...)` of `add`, the chord's body sums up. Workers have been running for a while. " +
      `What has not ended after ${PATIENCE} s is given up and counts as that.`,
      `The words of texts are counted by \`examples/wordcount_tasks.ts\`, and by the same in Python: ` +
      `${TEXTS * CALLS} a task, by ` +
      "`chunks` in the header of a chord, whose body merges what each word was counted. There most of the time is " +
      "the tasks' own.",
    ],
    rounds: shapes.map(({ name }, i) => ({
      name,
      ran: contestants.map(({ name }, one) => ({ name, ran: ran[i][one] })),
    })),
  };
}
