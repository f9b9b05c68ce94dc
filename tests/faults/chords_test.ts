/**
 * A worker is killed at each step of the settling of a chord's last part: the body is called, once or marked as a second copy,
 * with one result of each part. And what else must not make it come early, twice unmarked, or never.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { App, chord } from "../../mod.ts";
import type { GivenSettings } from "../../runtime/config/settings.ts";
import { runtimeName } from "../../runtime/platform.ts";
import { eventually, within } from "../conformance/patience.ts";
import { startRabbitmq } from "../servers/rabbitmq.ts";
import { startRedis } from "../servers/redis.ts";
import { startWorker } from "../servers/worker.ts";
import { Workshop } from "../worker/workshop.ts";
import { runsIn } from "./chord_tasks.ts";
import { Fleet } from "./fleet.ts";
import { seeded } from "./seed.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const WORKER = fileURLToPath(new URL("./chord_worker.ts", import.meta.url));
const TASKS = fileURLToPath(new URL("./chord_tasks.ts", import.meta.url));
/** In their order. */
const STEPS = [
  "after receive",
  "before count",
  "after count",
  "after parts",
  "before publish",
  "after publish",
  "before end",
  "after end",
  "before settle",
  "after settle",
];
/** Workers that die at once. */
const AT_ONCE = 2;
const CHORDS = 200;
const KILLS = 2;
const LEASE = { brokerTransportOptions: { lease: 1 } };

/** Runs a worker that kills itself at `step`, to its end. */
async function killedAt(step: string, queue: string, settings: GivenSettings): Promise<void> {
  const run = runtimeName === "deno" ? ["run", "-A", "--no-check", `--config=${ROOT}deno.json`] : [];
  const args = [...run, WORKER, step, queue, JSON.stringify(settings)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text) => said += text);
  const [, signal] = await within(60_000, once(child, "close"), `the end of the worker that dies ${step}`);
  assert.equal(signal, "SIGKILL", `the worker that was to die ${step} ended otherwise: ${said}`);
}

/** Kills workers at each step, and lets another one find what they left. `last` is what the last part does. */
async function survives(
  settings: GivenSettings,
  last: "part" | "becomes" | "adds" = "part",
  steps: readonly string[] = STEPS,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "celeriac-chords-"));
  const given = { brokerUrl: `sqlite:${folder}/broker.db`, ...LEASE, ...settings };
  const app = new App(given);
  const tasks = app.module<typeof import("./chord_tasks.ts")>("chord_tasks");
  try {
    const die = async (step: string) => {
      const queue = step.replace(" ", "-");
      const file = join(folder, queue);
      const header = [tasks.part.s(file, "a").set({ queue }), tasks[last].s(file, "b").set({ queue })];
      const result = chord(header, tasks.body.s(file).set({ queue })).delay();
      await result.published;
      await killedAt(step, queue, given);
      return { step, file, result };
    };
    const chords: Awaited<ReturnType<typeof die>>[] = [];
    for (let at = 0; at < steps.length; at += AT_ONCE) {
      chords.push(...await Promise.all(steps.slice(at, at + AT_ONCE).map(die)));
    }
    const queues = chords.map(({ step }) => step.replace(" ", "-"));
    await writeFile(join(folder, "celeriac.json"), JSON.stringify(given));
    const rescuer = await startWorker(["-A", TASKS, "-Q", queues.join(",")], { cwd: folder });
    try {
      for (const { step, file, result } of chords) {
        const values = await within(60_000, result, `the body of the chord whose worker died ${step}`);
        const names = values.map((value) => value.split(" ")[0]).sort();
        assert.deepEqual(names, last === "adds" ? ["a", "added", "b"] : ["a", "b"], step);
        const runs = runsIn(file).filter(({ id }) => id === result.id);
        assert.ok(runs.length >= 1, step);
        for (const { what } of runs) assert.deepEqual(what, values, step);
        assert.ok(runs.filter(({ again }) => !again).length <= 1, `${step}: ${JSON.stringify(runs)}`);
      }
      const transport = await app.transport();
      await eventually(async () => {
        for (const { queue, ready, unacked, dead } of await transport.lengths(queues)) {
          assert.deepEqual({ queue, ready, unacked, dead }, { queue, ready: 0, unacked: 0, dead: 0 });
        }
      }, 30_000);
    } finally {
      await rescuer.stop();
    }
  } finally {
    await app.disconnect();
    await rm(folder, { recursive: true, force: true });
  }
}

describe("kill -9 at each step of the settling of a chord's last part", () => {
  it("calls the body on SQLite", () => survives({}));

  it("calls the body on Redis", async () => {
    const redis = await startRedis();
    try {
      await survives({ brokerUrl: redis.url });
    } finally {
      await redis.stop();
    }
  });

  it("calls the body where another task takes the last part's place, or is added by it", async () => {
    const redis = await startRedis();
    try {
      await survives({ brokerUrl: redis.url }, "becomes", ["before settle", "after settle", "after count"]);
      await survives({ resultBackend: redis.url }, "becomes", ["before publish", "after publish"]);
      const steps = ["before extend", "after extend", "after count", "before settle", "after settle"];
      await survives({ brokerUrl: redis.url }, "adds", steps);
      await survives({}, "adds", ["after extend", "after count"]);
    } finally {
      await redis.stop();
    }
  });

  it("calls the body where the broker is RabbitMQ and the result store Redis", async () => {
    const redis = await startRedis();
    const rabbitmq = await startRabbitmq();
    try {
      const steps = [
        "after receive",
        "after count",
        "after publish",
        "after end",
        "before settle",
        "after settle",
      ];
      await survives({ brokerUrl: rabbitmq.url(), resultBackend: redis.url }, "part", steps);
    } finally {
      await rabbitmq.stop();
      await redis.stop();
    }
  });
});

/** Chords whose parts end at once in different workers, of which some are killed. */
async function fleetSurvives(name: string, broker?: string): Promise<void> {
  const random = seeded(name);
  const shop = await Workshop.open({ broker, settings: LEASE });
  try {
    const fleet = await Fleet.start(shop, 3, "-A", TASKS, "-c", "2");
    const tasks = shop.app.module<typeof import("./chord_tasks.ts")>("chord_tasks");
    const file = shop.file("runs");
    let done = 0;
    const results = Array.from({ length: CHORDS }, () => {
      const header = ["a", "b"].map((part) => tasks.part.s(file, part));
      return chord(header, tasks.body.s(file)).delay();
    });
    const values = results.map((result) => result.get({ timeout: 120 }).finally(() => done++));
    for (let kill = 1; kill <= KILLS; kill++) {
      const moment = CHORDS * (kill - 0.5 * random()) / (KILLS + 1);
      await eventually(() => assert.ok(done >= moment), 60_000);
      await fleet.killOne(random);
    }
    const bodies = await within(60_000, Promise.all(values), "the last body");
    const runs = runsIn(file);
    results.forEach(({ id }, i) => {
      assert.deepEqual(bodies[i].map((value) => value[0]), ["a", "b"]);
      const own = runs.filter((run) => run.id === id);
      for (const { what } of own) assert.deepEqual(what, bodies[i]);
      assert.ok(own.filter(({ again }) => !again).length <= 1, `the body ${id} ran twice unmarked`);
    });
    await eventually(
      async () => assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 }),
      30_000,
    );
    await fleet.ready();
  } finally {
    await shop[Symbol.asyncDispose]();
  }
}

describe(`${CHORDS} chords of two parts that end at once, ${KILLS} times kill -9 among three workers`, () => {
  it("have one result of each part on SQLite", () => fleetSurvives("chords, SQLite"));

  it("have one result of each part on Redis", async () => {
    const redis = await startRedis();
    try {
      await fleetSurvives("chords, Redis", redis.url);
    } finally {
      await redis.stop();
    }
  });
});
