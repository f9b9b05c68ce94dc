/** Pools of several demands: isolates in this process, and time that the test turns. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { resolveSettings } from "../../runtime/config/resolve.ts";
import { InProcessIsolate } from "../../runtime/isolate/in_process.ts";
import type { Isolate } from "../../runtime/isolate/isolate.ts";
import type { ModuleFile } from "../../runtime/isolate/load_modules.ts";
import type { RegisteredTask, TaskDescription, TaskOptions } from "../../runtime/isolate/task_definition.ts";
import { encodeEnvelope } from "../../runtime/protocol/envelope.ts";
import { encodeTask } from "../../runtime/protocol/task_message.ts";
import type { Delivery } from "../../runtime/transport/transport.ts";
import { type DemandPolicy, groupsOf } from "../../runtime/worker/demand.ts";
import { Pools } from "../../runtime/worker/pools.ts";
import { completeOptions, isolateSettings } from "../../runtime/worker/worker_options.ts";
import { eventually } from "../conformance/patience.ts";
import { FakeClock } from "../fake_clock.ts";

/** By the tasks that each of them has. */
const OPTIONS: Readonly<Record<string, TaskOptions>> = {
  "plain.run": {},
  "plain.hold": {},
  "big.run": { memoryLimit: "64MB" },
  "big.hold": { memoryLimit: "64MB" },
  "huge.hold": { memoryLimit: "128MB" },
};
const WRONG: TaskOptions = { memoryLimit: "a lot" };
const LONG_ENOUGH_MS = 600;

interface Made {
  /** What it is for: the memory limit in MB, or "plain". */
  readonly kind: string;
  readonly modules: readonly string[];
  isAlive: boolean;
}

interface SetUp {
  readonly concurrency?: number;
  readonly slots?: number;
  readonly policy?: Partial<DemandPolicy>;
  /** Names of the tasks that there are at first. Default: all. */
  readonly only?: readonly string[];
}

async function setUp({ concurrency = 2, slots = 1, policy = {}, only = Object.keys(OPTIONS) }: SetUp = {}) {
  const settings = resolveSettings({ from: "the test", settings: { brokerUrl: "memory:pools" } });
  const clock = new FakeClock();
  const made: Made[] = [];
  const runs: string[] = [];
  const gates = new Map<string, () => void>();
  const told = { finished: [] as Delivery[], handedBack: [] as Delivery[], reported: 0 };
  let names = only;
  const tasksNow = () =>
    new Map(names.map((name): [string, RegisteredTask] => {
      const kind = name.split(".")[0];
      const run = (id: unknown) => {
        runs.push(`${name} ${id}`);
        if (name.endsWith(".hold")) return new Promise<void>((resolve) => gates.set(String(id), resolve));
      };
      return [name, { name, module: `${kind}.ts`, run, options: OPTIONS[name] ?? WRONG }];
    }));
  const modules = (): ModuleFile[] =>
    [...new Set(names.map((name) => name.split(".")[0]))].map((name) => ({
      name,
      path: `${name}.ts`,
      url: `file:///${name}.ts`,
    }));
  const pools = new Pools({
    settings: isolateSettings(completeOptions({ settings, modules: [], slots })),
    policy: { sandbox: false, allowUnsandboxed: false, ...policy },
    clock,
    listener: {
      finished: (delivery) => void told.finished.push(delivery),
      reported: () => void told.reported++,
      state() {},
      log() {},
      relay: () => assert.fail("nothing is sent"),
      handBack: (deliveries) => void told.handedBack.push(...deliveries),
      interrupted: () => assert.fail("nothing is interrupted"),
      overLimit: () => assert.fail("nothing has a limit"),
      died: (reason) => assert.fail(reason),
      restartFailed: (reason) => assert.fail(reason),
    },
    isolatesFor: ({ memoryLimit }) => (settings, listener, clock): Isolate => {
      const isolate = new InProcessIsolate(settings, tasksNow(), listener, clock);
      const kind = memoryLimit === undefined ? "plain" : String(memoryLimit / 2 ** 20);
      const entry: Made = { kind, modules: settings.modules.map(({ name }) => name), isAlive: true };
      made.push(entry);
      const terminate = isolate.terminate.bind(isolate);
      isolate.terminate = () => {
        entry.isAlive = false;
        terminate();
      };
      return isolate;
    },
  });
  await pools.start(modules(), concurrency);
  await clock.advance(0);
  return {
    pools,
    clock,
    told,
    made,
    runs,
    /** The kinds of the isolates at work. */
    alive: () => made.filter(({ isAlive }) => isAlive).map(({ kind }) => kind).sort(),
    open: (delivery: Delivery) => gates.get(delivery.tag as string)!(),
    change: (now: readonly string[]) => (names = now, modules()),
    ran: (delivery: Delivery) =>
      eventually(() => assert.ok(runs.some((run) => run.endsWith(` ${delivery.tag}`)))),
    finished: (...deliveries: Delivery[]) =>
      eventually(() => assert.ok(deliveries.every((delivery) => told.finished.includes(delivery)))),
  };
}

let count = 0;

function delivery(task: string): Delivery {
  const id = `id-${++count}`;
  return {
    tag: id,
    queue: "q",
    text: encodeEnvelope(encodeTask({ id, task, args: [id], kwargs: {}, queue: "q" })),
  };
}

describe("pools by demand", () => {
  it("are one, with all isolates at work, where no task demands anything", async () => {
    const { pools, made, alive, finished } = await setUp({
      concurrency: 3,
      only: ["plain.run", "plain.hold"],
    });
    assert.deepEqual(alive(), ["plain", "plain", "plain"]);
    assert.equal(made.length, 3, "the one that told of the tasks is at work");
    const run = delivery("plain.run");
    pools.dispatch([run]);
    await finished(run);
    pools.terminate();
    assert.deepEqual(alive(), []);
  });

  it("are one, too, where all tasks demand the same", async () => {
    const { pools, alive, finished } = await setUp({ concurrency: 3, only: ["big.run"] });
    assert.deepEqual(alive(), ["64", "64", "64"]);
    const run = delivery("big.run");
    pools.dispatch([run]);
    await finished(run);
    pools.terminate();
  });

  it("run each task where its demands are met, and load no module of others", async () => {
    const { pools, made, runs, alive, finished } = await setUp({ concurrency: 3 });
    assert.deepEqual(alive(), ["128", "64", "plain"]);
    assert.deepEqual(
      made.filter(({ isAlive }) => isAlive).map(({ kind, modules }) => `${kind}: ${modules}`).sort(),
      ["128: huge", "64: big", "plain: plain"],
    );
    const [plain, big] = [delivery("plain.run"), delivery("big.run")];
    pools.dispatch([big, plain]);
    await finished(plain, big);
    assert.deepEqual(runs.toSorted(), [`big.run ${big.tag}`, `plain.run ${plain.tag}`]);
    assert.equal(pools.size, 0);
    pools.terminate();
  });

  it("leave it to one of them to refuse what nobody knows", async () => {
    const { pools, told } = await setUp();
    const stranger = delivery("no.such");
    pools.dispatch([stranger]);
    await eventually(() => assert.deepEqual(told.finished, [stranger]));
    pools.terminate();
  });

  it("start more isolates while there may be more, and never too many", async () => {
    const { pools, clock, alive, ran } = await setUp({ concurrency: 4 });
    assert.equal(alive().length, 3);
    const held = Array.from({ length: 3 }, () => delivery("big.hold"));
    pools.dispatch(held.slice(0, 2));
    await Promise.all(held.slice(0, 2).map(ran));
    assert.deepEqual(alive(), ["128", "64", "64", "plain"]);
    pools.dispatch(held.slice(2));
    await clock.advance(LONG_ENOUGH_MS);
    await ran(held[2]);
    assert.equal(alive().length, 4);
    assert.equal(alive().filter((kind) => kind === "64").length, 3, "an idle one made room");
    pools.terminate();
  });

  it("give up an idle isolate at once for a pool that has none", async () => {
    const { pools, alive, ran, open, finished } = await setUp({ concurrency: 1 });
    assert.deepEqual(alive(), ["plain"]);
    for (const [task, kind] of [["big.hold", "64"], ["huge.hold", "128"], ["plain.hold", "plain"]]) {
      const held = delivery(task);
      pools.dispatch([held]);
      await ran(held);
      assert.deepEqual(alive(), [kind]);
      open(held);
      await finished(held);
    }
    pools.terminate();
  });

  it("take turns where no isolate is idle", async () => {
    const { pools, clock, alive, ran, open, runs, finished } = await setUp({ concurrency: 1 });
    const plain = [delivery("plain.hold"), delivery("plain.hold"), delivery("plain.hold")];
    const big = delivery("big.hold");
    pools.dispatch(plain);
    await ran(plain[0]);
    pools.dispatch([big]);
    await clock.advance(LONG_ENOUGH_MS);
    assert.deepEqual(alive(), ["plain"], "what runs is not ended");
    open(plain[0]);
    await ran(big);
    assert.deepEqual(alive(), ["64"]);
    assert.equal(runs.length, 2, "the other plain ones wait for their turn");
    open(big);
    await finished(big, plain[0]);
    await ran(plain[1]);
    assert.deepEqual(alive(), ["plain"]);
    pools.terminate();
  });

  it("give back to the broker what waits too long for its pool", async () => {
    const { pools, clock, told, ran } = await setUp({ concurrency: 1 });
    const [plain, big] = [delivery("plain.hold"), delivery("big.hold")];
    pools.dispatch([plain]);
    await ran(plain);
    pools.dispatch([big]);
    await clock.advance(900);
    assert.deepEqual(told.handedBack, []);
    await clock.advance(200);
    assert.deepEqual(told.handedBack, [big]);
    assert.equal(pools.size, 1);
    pools.terminate();
  });

  it("have room for what they can start, waiting or not", async () => {
    const { pools, ran, clock } = await setUp({ concurrency: 4, slots: 2 });
    assert.equal(pools.room, 8);
    assert.ok(pools.hungry);
    const held = Array.from({ length: 6 }, () => delivery("plain.hold"));
    pools.dispatch(held);
    await clock.advance(LONG_ENOUGH_MS);
    await Promise.all(held.map(ran));
    assert.equal(pools.running, 6);
    assert.equal(pools.size, 6);
    assert.equal(pools.room, 2);
    pools.dispatch([delivery("big.hold"), delivery("big.hold"), delivery("big.hold")]);
    assert.equal(pools.room, 0);
    assert.ok(!pools.hungry);
    pools.terminate();
  });

  it("find, list, withdraw and end what any of them holds, or what waits", async () => {
    const { pools, ran, clock } = await setUp({ concurrency: 1 });
    const [runs, waits, next] = [delivery("plain.hold"), delivery("big.hold"), delivery("huge.hold")];
    pools.dispatch([runs, waits, next]);
    await ran(runs);
    assert.equal(pools.find(runs.tag as string)?.running, true);
    assert.deepEqual(pools.find(waits.tag as string), { delivery: waits, running: false });
    assert.equal(pools.find("another"), undefined);
    assert.deepEqual(pools.list().map(({ delivery, running }) => [delivery, running]), [
      [runs, true],
      [waits, false],
      [next, false],
    ]);
    assert.equal(pools.withdraw(waits), true);
    assert.equal(pools.withdraw(runs), false);
    assert.equal(pools.end(next, "it is told to"), "taken");
    assert.equal(pools.end(waits, "it is told to"), "late");
    assert.equal(pools.end(runs, "it is told to"), "ended");
    assert.equal(pools.size, 0);
    await clock.advance(0);
    pools.terminate();
  });

  it("give back all that has not started, and tell at the end what had", async () => {
    const { pools, ran } = await setUp({ concurrency: 1 });
    const [runs, waits, other] = [delivery("plain.hold"), delivery("big.hold"), delivery("big.hold")];
    pools.dispatch([runs, waits]);
    await ran(runs);
    assert.deepEqual(pools.takeBack(), [waits]);
    pools.dispatch([other]);
    assert.deepEqual(pools.terminate(), { started: [runs], unstarted: [other] });
  });

  it("take the place of one another when the modules change", async () => {
    const { pools, change, alive, ran, open, runs, finished } = await setUp({
      concurrency: 1,
      only: ["plain.hold"],
    });
    const [before, waits] = [delivery("plain.hold"), delivery("plain.hold")];
    pools.dispatch([before, waits]);
    await ran(before);
    const tasks = await pools.replaceModules(
      change(["plain.hold", "big.hold"]),
      new AbortController().signal,
    );
    assert.deepEqual(tasks.map(({ name }) => name), ["plain.hold", "big.hold"]);
    await ran(waits);
    assert.equal(pools.running, 2, "what ran goes on where it is");
    open(before);
    await finished(before);
    open(waits);
    await finished(waits);
    assert.deepEqual(alive(), ["plain"]);
    const big = delivery("big.hold");
    pools.dispatch([big]);
    await ran(big);
    assert.deepEqual(alive(), ["64"]);
    await pools.replaceModules(change(["plain.hold"]), new AbortController().signal);
    assert.deepEqual(alive(), ["64", "plain"]);
    open(big);
    await finished(big);
    await eventually(() => assert.deepEqual(alive(), ["plain"]));
    assert.equal(runs.length, 3);
    pools.terminate();
  });

  it("stay as they are when the new modules can't be used", async () => {
    const { pools, change, alive, finished } = await setUp({ only: ["plain.run"] });
    const signal = new AbortController().signal;
    await assert.rejects(
      pools.replaceModules(change(["plain.run", "wrong.run"]), signal),
      /the task wrong\.run in wrong\.ts: a memory limit of "a lot"/,
    );
    assert.deepEqual(alive(), ["plain", "plain"]);
    const run = delivery("plain.run");
    pools.dispatch([run]);
    await finished(run);
    pools.terminate();
  });

  const describeTask = (name: string, options: TaskDescription["options"]): TaskDescription => ({
    name,
    module: `${name}.ts`,
    params: null,
    options,
  });

  it("are processes for tasks with a time limit where a thread can't be ended", () => {
    const tasks = [
      describeTask("usual", {}),
      describeTask("limited", { timeLimit: 5 }),
      describeTask("without", { timeLimit: 0 }),
      describeTask("told", { softTimeLimit: 5 }),
      describeTask("waits", { timeLimit: 5, isolation: "thread" }),
    ];
    const names = (endsThreads: boolean) =>
      groupsOf(tasks, [], { sandbox: false, allowUnsandboxed: false, endsThreads }).map(({ tasks }) => tasks);
    assert.deepEqual(names(false), [["usual", "without", "told", "waits"], ["limited"]]);
    assert.deepEqual(names(true), [tasks.map(({ name }) => name)]);
  });

  it("of a worker that has permissions enforced tell those apart that say something", () => {
    const policy = { sandbox: true, allowUnsandboxed: false, confines: true };
    const tasks = [
      describeTask("reads", { permissions: { read: ["/a"] } }),
      describeTask("usual", {}),
      describeTask("reads too", { permissions: { read: ["/a", "/a"], net: [] } }),
      describeTask("none", { permissions: {} }),
      describeTask("all", { permissions: "inherit", isolation: "process" }),
    ];
    const groups = groupsOf(tasks, [], policy);
    assert.deepEqual(groups.map(({ tasks }) => tasks), [["usual", "none"], ["reads", "reads too"], ["all"]]);
    assert.deepEqual(groups[2].demand, { permissions: "inherit", process: true, memoryLimit: undefined });
    assert.equal(groupsOf(tasks, [], { ...policy, process: true })[0].demand.process, true);
    const unable = { ...policy, confines: false };
    assert.throws(() => groupsOf(tasks, [], unable), /the task reads in reads\.ts: it has permissions/);
    const accepted = groupsOf(tasks, [], { ...unable, allowUnsandboxed: true });
    assert.deepEqual(accepted.map(({ tasks }) => tasks), [["reads", "usual", "reads too", "none"], ["all"]]);
  });
});
