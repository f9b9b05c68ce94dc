/** How long workflows take from their call to their value, beside Celery: chains, a group, a chord, a map-reduce. */
import { copyFile, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Client, Workflow } from "../client.ts";
import { celeriac } from "../contestants/celeriac.ts";
import { celery } from "../contestants/celery.ts";
import type { RedisContestant } from "../contestants/contestant.ts";
import { rate, short, times } from "../figures.ts";
import { atLeast, type Outcome, type Part, type Setting } from "../part.ts";
import { ROOT } from "../process.ts";
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

/** A workflow, what it is called in the tables, and how many tasks it has. */
interface Shape {
  readonly name: string;
  readonly workflow: Workflow;
  readonly tasks: number;
  /** How many times as fast as Celery it is to be. */
  readonly wanted?: number;
}

interface Ran {
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
  const shops = contestants.map((contestant) => ({
    contestant,
    worker: contestant.startWorker(redis),
    client: contestant.startClient(redis),
  }));
  for (const { client, contestant } of shops) {
    await warmUp(client, shapes, contestant.db === PYTHON ? WARM_UP.celery : WARM_UP.ours);
  }
  const ran: Ran[][][] = [];
  for (const { name, workflow, tasks } of shapes) {
    const turns = shops.map(({ contestant, worker, client }) => async (): Promise<Ran> => {
      const cpu = () => worker.usage().cpu + client.usage().cpu;
      const before = cpu();
      const seconds = await client.workflow(workflow);
      say(`${contestant.name}: ${name}, ${short(seconds)} s`);
      return { seconds, cpu: (cpu() - before) * 1000 / tasks };
    });
    ran.push(await takeTurns(sizes.rounds, sizes.seconds / shapes.length, turns));
  }
  for (const { worker, client } of shops) await Promise.all([worker.kill(), client.stop()]);
  return outcome(contestants, shapes, ran);
}

async function warmUp(client: Client, shapes: readonly Shape[], rounds: number): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    for (const { workflow } of shapes) {
      await client.workflow(workflow.shape === "wordcount" ? workflow : { ...workflow, count: 100 });
    }
  }
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
          short(median(seconds)),
          seconds.map(short).join(" "),
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
      "`chain(...)`, `group(...)` and `chord(...)` of `add`, the chord's body sums up. Workers have been running for a while.",
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
