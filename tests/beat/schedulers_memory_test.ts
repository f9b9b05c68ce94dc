/** Schedulers that share a broker in memory, and what depends on no broker: clocks that are set, reloads, the message. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Beat } from "../../runtime/beat/beat.ts";
import { openPlace, type Place } from "../../runtime/beat/place.ts";
import { resolveSettings } from "../../runtime/config/resolve.ts";
import type { Schedule } from "../../runtime/config/schedule.ts";
import { decodeTask } from "../../runtime/protocol/task_message.ts";
import { openTransport } from "../../runtime/transport/open.ts";
import { BrokerUnavailableError } from "../../runtime/transport/transport.ts";
import { FakeClock } from "../fake_clock.ts";
import { Schedulers, schedulerSuite, type TestBroker, timesBetween } from "./schedulers.ts";

const SECOND = 1_000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE;
let brokers = 0;

function open(): Promise<TestBroker> {
  const url = `memory:schedulers-${++brokers}`;
  return Promise.resolve({ url, way: () => Promise.resolve({ url }), close: () => Promise.resolve() });
}

schedulerSuite("memory", { open });

async function withSchedulers(run: (schedulers: Schedulers) => Promise<void>): Promise<void> {
  const schedulers = await Schedulers.on(await open());
  try {
    await run(schedulers);
  } finally {
    await schedulers[Symbol.asyncDispose]();
  }
}

describe("a scheduler", () => {
  const hourly: Schedule = { hourly: { task: "jobs.hourly", schedule: { crontab: "0 * * * *" } } };

  it("sends nothing twice when the clock is set back by less than an hour", () =>
    withSchedulers(async (schedulers) => {
      await schedulers.start(hourly);
      await schedulers.pass(HOUR, 10 * SECOND);
      schedulers.jump(-30 * MINUTE);
      await schedulers.pass(HOUR, 10 * SECOND);
      schedulers.jump(-30 * MINUTE);
      await schedulers.pass(2 * HOUR, 10 * SECOND);
      assert.deepEqual(
        await schedulers.times("hourly"),
        timesBetween(Date.UTC(2026, 3, 5, 21), Date.UTC(2026, 3, 5, 23), HOUR),
      );
    }));

  it("begins anew when the clock was wrong by days", () =>
    withSchedulers(async (schedulers) => {
      await schedulers.start(hourly);
      schedulers.jump(48 * HOUR);
      await schedulers.pass(MINUTE);
      schedulers.jump(-48 * HOUR);
      await schedulers.pass(HOUR, 10 * SECOND);
      assert.deepEqual(await schedulers.times("hourly"), [
        "2026-04-05T21:00:00.000Z",
        // Two days are made up for by one run.
        "2026-04-07T20:00:00.000Z",
      ]);
    }));

  it("keeps an interval going when the clock is set back", () =>
    withSchedulers(async (schedulers) => {
      await schedulers.start({ often: { task: "jobs.often", schedule: { every: { seconds: 30 } } } });
      await schedulers.pass(MINUTE, SECOND);
      assert.equal((await schedulers.times("often")).length, 2);
      schedulers.jump(-10 * MINUTE);
      // It is noticed after a moment.
      await schedulers.pass(MINUTE + 10 * SECOND, SECOND);
      assert.equal((await schedulers.times("often")).length, 4);
    }));

  it("lets an interval begin when it is first seen, or at a whole unit of time", () =>
    withSchedulers(async (schedulers) => {
      await schedulers.start({
        plain: { task: "jobs.plain", schedule: { every: { minutes: 10 } } },
        relative: { task: "jobs.relative", schedule: { every: { minutes: 10 } }, relative: true },
        number: { task: "jobs.number", schedule: 600 },
      });
      await schedulers.pass(21 * MINUTE, 10 * SECOND);
      assert.deepEqual(await schedulers.times("plain"), [
        "2026-04-05T20:10:02.000Z",
        "2026-04-05T20:20:02.000Z",
      ]);
      assert.deepEqual(await schedulers.times("number"), await schedulers.times("plain"));
      assert.deepEqual(await schedulers.times("relative"), [
        "2026-04-05T20:10:00.000Z",
        "2026-04-05T20:20:00.000Z",
      ]);
    }));

  it("sends different ids for different times, and the same for the same time", () =>
    withSchedulers(async (schedulers) => {
      await schedulers.start(hourly);
      await schedulers.pass(2 * HOUR, 10 * SECOND);
      const [first, second] = await schedulers.collect();
      assert.notEqual(first.id, second.id);
      assert.match(first.id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      await withSchedulers(async (others) => {
        await others.start(hourly);
        await others.pass(HOUR, 10 * SECOND);
        assert.equal((await others.collect())[0].id, first.id);
      });
    }));

  it("holds an entry that others do not have, beside schedulers of another schedule", () =>
    withSchedulers(async (schedulers) => {
      const one = await schedulers.start(hourly);
      const other = await schedulers.start({
        other: { task: "jobs.other", schedule: { crontab: "30 * * * *" } },
      });
      assert.deepEqual([one.held, other.held], [["hourly:jobs.hourly"], ["other:jobs.other"]]);
      await schedulers.stop(one);
      await schedulers.pass(HOUR, 10 * SECOND);
      assert.deepEqual(await schedulers.times("other"), ["2026-04-05T20:30:00.000Z"]);
      // Nobody who knows it was there.
      assert.deepEqual(await schedulers.times("hourly"), []);
      await schedulers.start(hourly);
      assert.deepEqual(await schedulers.times("hourly"), ["2026-04-05T21:00:00.000Z"]);
    }));

  it("makes up for what was due while the broker was away, by one run", async () => {
    const clock = new FakeClock(Date.UTC(2026, 0, 1));
    const url = `memory:schedulers-${++brokers}`;
    let isAway = false;
    const sent: number[] = [];
    const place = async (...options: Parameters<typeof openPlace>): Promise<Place> => {
      const real = await openPlace(...options);
      const away = () => {
        if (isAway) throw new BrokerUnavailableError(`${url}: it is away`);
      };
      return {
        name: real.name,
        connect: (signal) => real.connect(signal),
        hold: async (wanted) => (away(), await real.hold(wanted)),
        send: async (batch) => {
          away();
          sent.push(...batch.map(({ at }) => at));
          return await real.send(batch);
        },
        read: (wanted) => real.read(wanted),
        [Symbol.asyncDispose]: () => real[Symbol.asyncDispose](),
      };
    };
    const settings = resolveSettings({ from: "the test", settings: { brokerUrl: url } });
    const schedule: Schedule = { minutely: { task: "jobs.minutely", schedule: { crontab: "* * * * *" } } };
    const beat = new Beat({ settings, schedule, clock, place, random: () => 0.5 });
    await beat.start();
    await clock.advance(2 * MINUTE);
    isAway = true;
    await clock.advance(10 * MINUTE);
    isAway = false;
    await clock.advance(MINUTE + SECOND);
    assert.deepEqual(sent.map((at) => new Date(at).getUTCMinutes()), [1, 2, 12, 13]);
    await beat[Symbol.asyncDispose]();
  });

  it("takes up a schedule that is loaded anew, and keeps the old one where that can't be", async () => {
    const folder = await mkdtemp(join(tmpdir(), "celeriac-beat-"));
    const file = join(folder, "schedule.json");
    const clock = new FakeClock(Date.UTC(2026, 0, 1));
    const url = `memory:schedulers-${++brokers}`;
    const settings = resolveSettings({ from: "the test", settings: { brokerUrl: url } });
    const write = (schedule: Schedule) => writeFile(file, JSON.stringify(schedule));
    const beat = new Beat({ settings, modules: [file], clock });
    const names = () => beat.entries.map(({ name, next }) => [name, next?.toISOString().slice(11, 16)]);
    try {
      await write({ a: { task: "a", schedule: { crontab: "0 5 * * *" } } });
      await beat.start();
      await clock.advance(SECOND);
      assert.deepEqual(names(), [["a", "05:00"]]);
      await write({
        a: { task: "a", schedule: { crontab: "0 6 * * *" } },
        b: { task: "b", schedule: { every: { hours: 2 } } },
      });
      await beat.load();
      await clock.advance(SECOND);
      assert.deepEqual(names(), [["a", "06:00"], ["b", "02:00"]]);
      await writeFile(file, "{");
      await assert.rejects(beat.load(), { name: "ScheduleError", message: /schedule\.json can't be read/ });
      assert.deepEqual(names(), [["a", "06:00"], ["b", "02:00"]]);
    } finally {
      await beat[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    }
  });

  it("sends messages as a call would, with the entry's options over those of routes and settings", async () => {
    const url = `memory:schedulers-${++brokers}`;
    const clock = new FakeClock(Date.UTC(2026, 0, 1));
    const settings = resolveSettings({
      from: "the test",
      settings: {
        brokerUrl: url,
        taskRoutes: { "reports.*": { queue: "reports", priority: 3 } },
        beatSchedule: {
          report: {
            task: "reports.build",
            schedule: { crontab: "1 0 * * *" },
            args: [2026],
            kwargs: { format: "pdf" },
            options: { priority: 6, expires: 60, headers: { tenant: "x" } },
          },
        },
      },
    });
    const beat = new Beat({ settings, clock });
    await beat.start();
    await clock.advance(MINUTE);
    const transport = await openTransport(url, { clock });
    const none = () => {};
    const events = { lost: none, dead: none, restored: none, trouble: none, away: none };
    const receiver = await transport.receive({ queues: ["reports"], worker: "observer", events });
    const [{ text }] = await receiver.exchange([], 10);
    const request = decodeTask(text, { maxBodyBytes: 1e6 });
    assert.equal(request.task, "reports.build");
    assert.deepEqual([request.args, request.kwargs, request.priority], [[2026], { format: "pdf" }, 6]);
    assert.equal(request.expires, Date.UTC(2026, 0, 1, 0, 2));
    const { tenant, periodic_task_name, celeriac_due } = request.headers;
    assert.deepEqual([tenant, periodic_task_name, celeriac_due], ["x", "report", "2026-01-01T00:01:00.000Z"]);
    await beat[Symbol.asyncDispose]();
    await transport[Symbol.asyncDispose]();
  });
});
