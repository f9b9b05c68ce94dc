/** Suspects one at a time, counted before they start: with pools that only keep what they are given. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeClock } from "../../runtime/fake_clock.ts";
import type { Death } from "../../runtime/isolate/isolate.ts";
import type { Delivery } from "../../runtime/transport/transport.ts";
import type { PoolListener } from "../../runtime/worker/pool_listener.ts";
import { type AnyPool, Suspects, type SuspectsListener } from "../../runtime/worker/suspects.ts";

/** A delivery that was restored so many times. */
function delivery(id: string, restored = 0): Delivery {
  const headers = restored === 0 ? {} : { celeriac_deliveries: restored, redelivered: true };
  return {
    tag: id,
    queue: "celery",
    text: JSON.stringify({ headers: { id, task: "jobs.any", ...headers }, body: "" }),
  };
}

/** A pool that holds what it is given until the test says what becomes of it. */
class HeldPool implements AnyPool {
  readonly listener: PoolListener | undefined;
  held: Delivery[] = [];
  isClosed = false;
  ahead = 1;
  readonly room = 10;
  readonly hungry = true;
  starting: Promise<[]> = Promise.resolve([]);

  constructor(listener?: PoolListener) {
    this.listener = listener;
  }
  start() {
    return this.starting;
  }
  replaceModules() {
    return Promise.resolve([]);
  }
  get size() {
    return this.held.length;
  }
  get running() {
    return this.held.length;
  }
  dispatch(deliveries: readonly Delivery[]) {
    this.held.push(...deliveries);
  }
  find() {
    return undefined;
  }
  list() {
    return this.held.map((delivery) => ({ delivery, running: true }));
  }
  silences() {
    return [];
  }
  withdraw() {
    return false;
  }
  end(delivery: Delivery) {
    this.held = this.held.filter((held) => held !== delivery);
    return "ended" as const;
  }
  setLimits() {}
  takeBack() {
    return [];
  }
  terminate() {
    this.isClosed = true;
    return { started: this.held.splice(0), unstarted: [] };
  }
  finish() {
    const [delivery] = this.held.splice(0, 1);
    this.listener!.finished(delivery, 0, "", "", 0);
  }
  die(how: Death) {
    this.listener!.died("it was its end", this.held.splice(0), [], how);
  }
}

function setUp(
  { keeps = false, counted = "counted" as "counted" | "uncounted" | "lost", unable = false } = {},
) {
  const clock = new FakeClock();
  const told: string[] = [];
  const pools: HeldPool[] = [];
  const others = new HeldPool();
  const tag = ({ tag }: Delivery) => tag;
  const listener = {
    finished: (delivery: Delivery) => void told.push(`finished ${delivery.tag}`),
    reported() {},
    interrupted: (deliveries: readonly Delivery[]) => void told.push(`interrupted ${deliveries.map(tag)}`),
    died: (_: string, started: readonly Delivery[], __: unknown, how: string) =>
      void told.push(`died ${started.map(tag)}: ${how}`),
    countStart: (delivery: Delivery) => {
      told.push(`counted ${delivery.tag}`);
      return Promise.resolve(counted);
    },
    condemned: ({ tag }: Delivery, reason: string) => void told.push(`condemned ${tag}: ${reason}`),
    crashed: ({ tag }: Delivery, _: string, wasCounted: boolean) =>
      void told.push(`crashed ${tag}: ${wasCounted}`),
    putOff: (deliveries: readonly Delivery[], due: number) => {
      told.push(`put off ${deliveries.map(tag)} for ${due - clock.now()}`);
      return [];
    },
    unguarded: (why: string) => void told.push(`unguarded: ${why}`),
  } as Partial<SuspectsListener> as SuspectsListener;
  const suspects = new Suspects(others, listener, {
    clock,
    random: () => 0.5,
    maxDeliveries: 5,
    keeps,
    apart: (listener) => {
      const pool = new HeldPool(listener);
      if (unable) pool.starting = Promise.reject(new Error("no processes here"));
      pools.push(pool);
      return pool;
    },
  });
  return { clock, told, pools, others, suspects };
}

const turn = () => new Promise<void>((resolve) => setTimeout(resolve));

describe("suspects", () => {
  it("run one at a time in a pool apart, each counted before it starts; all else runs as ever", async () => {
    const { suspects, others, pools, told } = setUp();
    const [fresh, one, two] = [delivery("fresh"), delivery("one", 1), delivery("two", 3)];
    suspects.dispatch([one, fresh, two]);
    assert.deepEqual(others.held, [fresh]);
    assert.equal(suspects.size, 3);
    await turn();
    assert.deepEqual(pools[0].held, [one]);
    pools[0].finish();
    await turn();
    assert.deepEqual(pools[0].held, [two]);
    pools[0].finish();
    assert.deepEqual(told, ["counted one", "finished one", "counted two", "finished two"]);
    assert.equal(suspects.size, 1);
    assert.equal(pools.length, 1, "one pool serves all of them");
  });

  it("whose process dies are to run again, and the next one's turn comes", async () => {
    const { suspects, pools, told } = setUp();
    suspects.dispatch([delivery("guilty", 1), delivery("innocent", 1)]);
    await turn();
    pools[0].die("crashed");
    await turn();
    pools[0].finish();
    assert.deepEqual(told, [
      "counted guilty",
      "crashed guilty: true",
      "counted innocent",
      "finished innocent",
    ]);
  });

  it("whose start could not be counted are counted when their process dies", async () => {
    const { suspects, pools, told } = setUp({ counted: "uncounted" });
    suspects.dispatch([delivery("one", 1)]);
    await turn();
    pools[0].die("crashed");
    assert.deepEqual(told, ["counted one", "crashed one: false"]);
  });

  for (const how of ["ended", "out of memory"] as const) {
    it(`whose isolate comes to its end (${how}) fail as others do`, async () => {
      const { suspects, pools, told } = setUp();
      suspects.dispatch([delivery("one", 1)]);
      await turn();
      pools[0].die(how);
      assert.deepEqual(told, ["counted one", `died one: ${how}`]);
      assert.equal(suspects.size, 0);
    });
  }

  it("that were counted more often than may be do not start", async () => {
    const { suspects, pools, told } = setUp();
    suspects.dispatch([delivery("five", 5), delivery("six", 6)]);
    await turn();
    pools[0].finish();
    await turn();
    assert.deepEqual(told, [
      "counted five",
      "finished five",
      "condemned six: restored 5 times and never settled",
    ]);
    assert.equal(suspects.size, 0);
  });

  it("that others have by now do not start", async () => {
    const { suspects, pools } = setUp({ counted: "lost" });
    suspects.dispatch([delivery("one", 1)]);
    await turn();
    assert.deepEqual(pools[0].held, []);
    assert.equal(suspects.size, 0);
  });

  it("that wait behind a long one are put off, for others to run them", async () => {
    const { suspects, pools, told, clock } = setUp();
    suspects.dispatch([delivery("long", 1), delivery("two", 1), delivery("three", 1)]);
    await turn();
    await clock.advance(999);
    assert.deepEqual(told, ["counted long"]);
    await clock.advance(1);
    assert.deepEqual(told, ["counted long", "put off two,three for 2500"]);
    assert.equal(suspects.size, 1);
    suspects.dispatch([delivery("four", 1)]);
    await clock.advance(1_000);
    assert.equal(told.at(-1), "put off four for 2500");
    pools[0].finish();
    assert.equal(suspects.size, 0);
  });

  it("stay with a worker that ends when its queues are empty", async () => {
    const { suspects, told, clock } = setUp({ keeps: true });
    suspects.dispatch([delivery("long", 1), delivery("two", 1)]);
    await turn();
    await clock.advance(10_000);
    assert.deepEqual(told, ["counted long"]);
  });

  it("are as many in one worker's hands as are soon done", () => {
    const { suspects } = setUp();
    assert.equal(suspects.room, 10);
    suspects.dispatch(Array.from({ length: 300 }, (_, i) => delivery(`s${i}`, 1)));
    assert.equal(suspects.room, 0);
  });

  it("go back when the worker stops, but for the one that runs", async () => {
    const { suspects, pools } = setUp();
    const [one, two] = [delivery("one", 1), delivery("two", 1)];
    suspects.dispatch([one, two]);
    await turn();
    assert.deepEqual(suspects.takeBack(), [two]);
    assert.equal(suspects.size, 1);
    assert.deepEqual(suspects.terminate(), { started: [one], unstarted: [] });
    assert.ok(pools[0].isClosed);
  });

  it("can be found and ended, before and while they run", async () => {
    const { suspects, pools } = setUp();
    const [one, two, three] = [delivery("one", 1), delivery("two", 1), delivery("three", 1)];
    suspects.dispatch([one, two, three]);
    await turn();
    assert.deepEqual(suspects.list().map(({ delivery }) => delivery), [one, two, three]);
    assert.equal(suspects.withdraw(two), true);
    assert.equal(suspects.end(one, "the test says so"), "ended");
    await turn();
    assert.deepEqual(pools[0].held, [three]);
  });

  it("end their process after half a minute without any", async () => {
    const { suspects, pools, clock } = setUp();
    suspects.dispatch([delivery("one", 1)]);
    await turn();
    pools[0].finish();
    await clock.advance(29_999);
    assert.ok(!pools[0].isClosed);
    await clock.advance(1);
    assert.ok(pools[0].isClosed);
    suspects.dispatch([delivery("two", 1)]);
    await turn();
    assert.equal(pools[1].held.length, 1);
  });

  it("load changed modules in a new process, once the old one is done", async () => {
    const { suspects, pools } = setUp();
    suspects.dispatch([delivery("one", 1)]);
    await turn();
    await suspects.replaceModules([], new AbortController().signal);
    assert.ok(!pools[0].isClosed);
    suspects.dispatch([delivery("two", 1)]);
    pools[0].finish();
    await turn();
    assert.ok(pools[0].isClosed);
    assert.equal(pools[1].held.length, 1);
  });

  it("are those that a broker which can't count has handed out before, for a minute after the start", async () => {
    const { suspects, others, pools, clock } = setUp();
    const hinted = (id: string): Delivery => ({
      tag: id,
      queue: "celery",
      text: JSON.stringify({ headers: { id, task: "jobs.any", redelivered: true }, body: "" }),
    });
    const [before, at, after] = [hinted("before"), hinted("at"), hinted("after")];
    suspects.dispatch([before]);
    suspects.takeHints();
    suspects.dispatch([at]);
    await turn();
    await clock.advance(60_000);
    suspects.dispatch([after]);
    assert.deepEqual(others.held, [before, after]);
    assert.deepEqual(pools[0].held, [at]);
  });

  it("run as all others where no process can be started", async () => {
    const { suspects, others, told } = setUp({ unable: true });
    suspects.dispatch([delivery("one", 1), delivery("two", 1)]);
    await turn();
    assert.deepEqual(told, ["unguarded: no processes here"]);
    assert.equal(others.held.length, 2);
    suspects.dispatch([delivery("three", 1)]);
    assert.equal(others.held.length, 3);
  });
});
