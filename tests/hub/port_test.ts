/** Both ends of the way from an isolate to the hub, with what crosses copied as it is between threads. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Hub } from "../../runtime/hub/hub.ts";
import { type CancelAnswer, HubEnd, HubPort, type HubRequest, SET_STRIDE } from "../../runtime/hub/port.ts";
import { FakeClock } from "../fake_clock.ts";

const HUB = "019a6f1e-0000-7000-8000-000000000001";
const OTHER = "019a6f1e-0000-7000-8000-000000000002";

function setUp({ limit = 1_000, numbers = 1_000_000 } = {}) {
  const clock = new FakeClock();
  const due: string[] = [];
  const hub = new Hub(clock, (_number, _occurrence, text) => due.push(text));
  const asked: string[] = [];
  let ends = 3;
  const kept: unknown[] = [];
  const host = {
    hub,
    get room() {
      return limit - hub.size;
    },
    newEnd: () => ++ends,
    keep: (...timer: [id: string, due: number, text: string]) => {
      if (timer[2] === "bad") return Promise.reject(new RangeError("no"));
      return Promise.resolve(void kept.push(timer));
    },
    cancelElsewhere: (id: string): Promise<CancelAnswer> => {
      asked.push(id);
      return Promise.resolve("unknown");
    },
  };
  /** The isolate's own clock shows another time. */
  const isolate = { ahead: 5_000, posted: [] as HubRequest[] };
  const place = { hub: HUB, end: 3, limit };
  const end = new HubEnd(place, host, () => clock.monotonic(), (answer) => {
    queueMicrotask(() => port.hear(structuredClone(answer)));
  });
  const port: HubPort = new HubPort(
    place,
    (request) => {
      isolate.posted.push(request);
      end.hear(structuredClone(request));
    },
    () => clock.monotonic() + isolate.ahead,
    numbers,
  );
  return { clock, due, hub, port, end, isolate, asked, kept };
}

describe("the port to the hub", () => {
  it("gives ids at once, and sets timers by the isolate's own clock", async () => {
    const { clock, port, hub, due } = setUp();
    const { id, held } = port.set(port.now + 1_000, 0, false, "call");
    assert.equal(id, `timer-${HUB}-3-1`);
    assert.equal(await held, 1);
    assert.equal(hub.size, 1);
    await clock.advance(1_000);
    assert.deepEqual(due, ["call"]);
  });

  it("posts the first timer at once, and those of one turn together", async () => {
    const { port, isolate } = setUp({ limit: 10_000 });
    const last = Array.from({ length: 1_000 }, () => port.set(port.now, 0, false, "")).at(-1)!;
    await last.held;
    const sizes = isolate.posted.map((request) =>
      request.kind === "set" && request.timers.length / SET_STRIDE
    );
    assert.deepEqual(sizes, [1, 256, 256, 256, 231]);
  });

  it("keeps a timer's while from when it was set, however late it is posted", async () => {
    const { clock, port, due } = setUp();
    port.set(port.now + 1_000, 0, false, "first");
    const { held } = port.set(port.now + 1_000, 0, false, "second");
    clock.skip(400);
    await held;
    await clock.advance(600);
    assert.deepEqual(due, ["first", "second"]);
  });

  it("cancels in the order of the calls, many at once", async () => {
    const { port, hub, isolate, due, clock } = setUp();
    const ids = Array.from({ length: 300 }, (_, i) => port.set(port.now + 1_000, 0, false, String(i)).id);
    const answers = await Promise.all([...ids, ids[0]].map((id) => port.cancel(id)));
    assert.deepEqual(answers.slice(0, 300), new Array(300).fill("cancelled"));
    assert.equal(answers[300], "too late");
    assert.equal(hub.size, 0);
    assert.ok(isolate.posted.length <= 6, `${isolate.posted.length} messages`);
    await clock.advance(2_000);
    assert.deepEqual(due, []);
  });

  it("answers for what is none of this hub's timers", async () => {
    const { port, asked } = setUp();
    assert.equal(await port.cancel("nothing of the kind"), "too late");
    assert.equal(await port.cancel(`timer-${HUB}-9-9`), "too late");
    assert.deepEqual(asked, []);
    const elsewhere = [`timer-${OTHER}-1-1`, `durable-timer-1770000000000-${OTHER}`];
    assert.deepEqual(await Promise.all(elsewhere.map((id) => port.cancel(id))), ["unknown", "unknown"]);
    assert.deepEqual(asked, elsewhere);
  });

  it("has another end before the numbers of one are used up", async () => {
    const { port, hub } = setUp({ numbers: 10 });
    const ids: string[] = [];
    for (let i = 0; i < 12; i++) {
      const { id, held } = port.set(port.now + 1_000, 0, false, String(i));
      ids.push(id.slice(-3));
      await held;
    }
    assert.deepEqual(ids, [3, 4, 5].flatMap((end) => [1, 2, 3, 4, 5].map((n) => `${end}-${n}`)).slice(0, 12));
    assert.equal(hub.size, 12);
  });

  it("says how many there was room for", async () => {
    const { port, hub } = setUp({ limit: 10 });
    const set = Array.from({ length: 10 }, (_, i) => port.set(port.now, 0, false, String(i)));
    assert.throws(() => port.set(port.now, 0, false, ""), {
      name: "TimerLimitError",
      message: /workerMaxTimers/,
    });
    for (const { held, index } of set) assert.ok(index < await held);
    const { held, index } = port.set(port.now, 0, false, "one too many");
    assert.ok(index >= await held);
    assert.equal(hub.size, 10);
  });

  it("hands durable timers on, and what went wrong with them back", async () => {
    const { port, kept } = setUp();
    const { id, held } = port.keep(1_770_000_000_000, "call");
    assert.match(id, /^durable-timer-1770000000000-[0-9a-f-]{36}$/);
    assert.equal(await held, 1);
    assert.deepEqual(kept, [[id, 1_770_000_000_000, "call"]]);
    await assert.rejects(port.keep(1_770_000_000_000, "bad").held, { name: "RangeError", message: "no" });
  });

  it("answers nobody once its isolate is gone, whose timers stay", async () => {
    const { port, end, hub, clock, due } = setUp();
    await port.set(port.now + 1_000, 0, false, "stays").held;
    end.close();
    assert.equal(hub.size, 1);
    await clock.advance(1_000);
    assert.deepEqual(due, ["stays"]);
  });
});
