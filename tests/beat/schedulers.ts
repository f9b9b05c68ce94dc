/**
 * The one suite that schedulers pass on every broker: several of them on a clock that the test turns, killed, stopped and
 * cut off. What differs between brokers is the harness's to say.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Beat } from "../../runtime/beat/beat.ts";
import { openPlace, type Place, type PlaceOptions } from "../../runtime/beat/place.ts";
import { systemClock } from "../../runtime/clock.ts";
import { resolveSettings } from "../../runtime/config/resolve.ts";
import type { Schedule } from "../../runtime/config/schedule.ts";
import type { GivenSettings } from "../../runtime/config/settings.ts";
import { decodeTask } from "../../runtime/protocol/task_message.ts";
import { openTransport } from "../../runtime/transport/open.ts";
import type { Receiver } from "../../runtime/transport/transport.ts";
import { eventually } from "../conformance/patience.ts";
import { FakeClock } from "../fake_clock.ts";

/** How one scheduler of the test reaches the broker. */
export interface Way {
  readonly url: string;
  /** Its process dies: from now on nothing that it does reaches the broker. */
  kill?(): void;
  /** Its connections are lost, and may be made again. */
  cut?(): void;
  close?(): Promise<void>;
}

/** A broker with nothing in it. */
export interface TestBroker {
  readonly url: string;
  way(): Promise<Way>;
  close(): Promise<void>;
}

/** What the suite needs to know of a kind of broker. */
export interface SchedulerHarness {
  /** It can't be asked which entries it keeps. */
  readonly forgetsNothing?: true;
  open(): Promise<TestBroker>;
}

/** What was sent for one time of an entry. */
export interface SentTask {
  readonly entry: string;
  readonly due: string;
  readonly id: string;
}

const SECOND = 1_000, MINUTE = 60 * SECOND;
/** A Sunday evening in spring. */
export const START: number = Date.UTC(2026, 3, 5, 20, 0, 2);
/** So many seconds after a kill another one must have taken over. */
const TAKE_OVER = 15 * SECOND;

class Scheduler {
  readonly clock: FakeClock;
  readonly beat: Beat;
  readonly way: Way;
  /** The keys of the entries that it holds, as of its last look. */
  held: readonly string[] = [];
  paused = false;
  /** Steps of its place that are under way. */
  underWay = 0;

  constructor(way: Way, now: number, settings: ReturnType<typeof resolveSettings>, schedule: Schedule) {
    this.clock = new FakeClock(now);
    this.way = way;
    this.beat = new Beat({
      settings: { ...settings, brokerUrl: way.url },
      schedule,
      clock: this.clock,
      random: () => 0.5,
      place: (url, options) => this.#place(url, options),
    });
  }

  async #place(url: string, options: PlaceOptions): Promise<Place> {
    const place = await openPlace(url, options);
    const counted = async <T>(step: Promise<T>): Promise<T> => {
      this.underWay++;
      try {
        return await step;
      } finally {
        this.underWay--;
      }
    };
    return {
      name: place.name,
      connect: (signal) => counted(place.connect(signal)),
      hold: async (wanted) => {
        this.held = [];
        const holding = await counted(place.hold(wanted));
        this.held = [...holding.held.keys()];
        return holding;
      },
      send: (batch) => counted(place.send(batch)),
      read: (wanted) => place.read(wanted),
      [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
    };
  }
}

/** Schedulers of one schedule on one broker, and all that they send. */
export class Schedulers implements AsyncDisposable {
  readonly sent: SentTask[] = [];
  readonly #broker: TestBroker;
  readonly #all: Scheduler[] = [];
  readonly #receiver: Receiver;
  readonly #transport: AsyncDisposable;
  #now = START;

  private constructor(broker: TestBroker, transport: AsyncDisposable, receiver: Receiver) {
    this.#broker = broker;
    this.#transport = transport;
    this.#receiver = receiver;
  }

  static async on(broker: TestBroker): Promise<Schedulers> {
    const transport = await openTransport(broker.url, { clock: systemClock });
    await transport.connect();
    const ignored = () => {};
    const receiver = await transport.receive({
      queues: ["celery"],
      worker: "observer",
      events: { lost: ignored, dead: ignored, restored: ignored, trouble: ignored, away: ignored },
    });
    return new Schedulers(broker, transport, receiver);
  }

  get now(): number {
    return this.#now;
  }

  get running(): Scheduler[] {
    return this.#all.filter(({ paused }) => !paused);
  }

  /** Who sends all entries now. What the broker refuses for a moment is tried again when a little time has passed. */
  async owner(): Promise<Scheduler> {
    for (let tries = 1;; tries++) {
      try {
        return await eventually(() => {
          const owners = this.running.filter(({ held, beat }) =>
            held.length > 0 && held.length === beat.entries.length
          );
          assert.equal(owners.length, 1, `${owners.length} schedulers hold all entries`);
          return owners[0];
        }, 2_000);
      } catch (error) {
        if (tries === 5) throw error;
        await this.pass(SECOND);
      }
    }
  }

  async start(
    schedule: Schedule,
    settings: GivenSettings = {},
  ): Promise<Scheduler> {
    const resolved = resolveSettings({ from: "the test", settings });
    const one = new Scheduler(await this.#broker.way(), this.#now, resolved, schedule);
    this.#all.push(one);
    await one.beat.start();
    await this.settled();
    return one;
  }

  async stop(one: Scheduler): Promise<void> {
    this.#all.splice(this.#all.indexOf(one), 1);
    await one.beat[Symbol.asyncDispose]();
    await one.way.close?.();
    await this.settled();
  }

  /** Ends it as `kill -9` does. What it had open is closed with the test. */
  kill(one: Scheduler): void {
    one.paused = true;
    one.way.kill?.();
  }

  /** Sets all clocks forward or back, as an administrator may. */
  jump(ms: number): void {
    this.#now += ms;
    for (const { clock } of this.#all) clock.jump(ms);
  }

  /** Lets time pass for all that run, in steps so small that nobody seems to have stood still. */
  async pass(ms: number, step: number = 2 * SECOND): Promise<void> {
    for (let left = ms; left > 0; left -= step) {
      const part = Math.min(left, step);
      this.#now += part;
      for (const one of this.running) await one.clock.advance(part);
      await this.settled();
    }
  }

  /** What has been sent until now. */
  async collect(): Promise<SentTask[]> {
    for (let idle = 0; idle < 2;) {
      const deliveries = await this.#receiver.exchange([], 1_000);
      for (const { text } of deliveries) {
        const { id, headers } = decodeTask(text, { maxBodyBytes: 1e6 });
        this.sent.push({ entry: String(headers.periodic_task_name), due: String(headers.celeriac_due), id });
      }
      await this.#receiver.exchange(deliveries.map((delivery) => ({ delivery, outcome: "ack" as const })), 0);
      if (deliveries.length === 0) idle++;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return this.sent;
  }

  /** The times for which an entry was sent, oldest first. */
  async times(entry: string): Promise<string[]> {
    return (await this.collect()).filter((sent) => sent.entry === entry).map(({ due }) => due).sort();
  }

  /** Waits until no scheduler waits for the broker. */
  async settled(): Promise<void> {
    await eventually(() => {
      assert.ok(this.running.every(({ underWay }) => underWay === 0), "a scheduler waits for the broker");
    });
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#all.map(async ({ beat, way }) => {
      await beat[Symbol.asyncDispose]();
      await way.close?.();
    }));
    await this.#receiver[Symbol.asyncDispose]();
    await this.#transport[Symbol.asyncDispose]();
  }
}

/** Times from one to another, both included, as they are written down. */
export function timesBetween(first: number, last: number, every: number): string[] {
  const times: string[] = [];
  for (let at = first; at <= last; at += every) times.push(new Date(at).toISOString());
  return times;
}

/** Runs what schedulers must do on any broker. */
export function schedulerSuite(name: string, harness: SchedulerHarness): void {
  const schedule: Schedule = {
    "five minutes": { task: "jobs.five", schedule: { crontab: "*/5 * * * *" } },
    "one minute": { task: "jobs.one", schedule: { crontab: "* * * * *" } },
  };
  const test = (title: string, run: (schedulers: Schedulers) => Promise<void>) =>
    it(title, async () => {
      const broker = await harness.open();
      const schedulers = await Schedulers.on(broker);
      try {
        await run(schedulers);
      } finally {
        await schedulers[Symbol.asyncDispose]();
        await broker.close();
      }
    });

  describe(`schedulers on ${name}`, () => {
    test("three of them send each time once, while one after the other is killed", async (schedulers) => {
      for (let i = 0; i < 3; i++) await schedulers.start(schedule);
      for (let kills = 0; kills < 3; kills++) {
        // At another moment each time, now and then right when something is due.
        await schedulers.pass((57 + 41 * kills) * SECOND);
        const dead = await schedulers.owner();
        schedulers.kill(dead);
        await schedulers.start(schedule);
        await schedulers.pass(TAKE_OVER, SECOND);
        assert.notEqual(await schedulers.owner(), dead);
      }
      // To a moment at which nothing is due.
      await schedulers.pass(45 * SECOND - schedulers.now % (30 * SECOND));
      const minute = Math.floor(schedulers.now / MINUTE) * MINUTE;
      const five = Math.floor(schedulers.now / (5 * MINUTE)) * 5 * MINUTE;
      assert.deepEqual(
        await schedulers.times("one minute"),
        timesBetween(Date.UTC(2026, 3, 5, 20, 1), minute, MINUTE),
      );
      assert.deepEqual(
        await schedulers.times("five minutes"),
        timesBetween(Date.UTC(2026, 3, 5, 20, 5), five, 5 * MINUTE),
      );
      assert.equal(new Set(schedulers.sent.map(({ id }) => id)).size, schedulers.sent.length);
    });

    test("when one stops another goes on at once", async (schedulers) => {
      await schedulers.start(schedule);
      await schedulers.start(schedule);
      const first = await schedulers.owner();
      await schedulers.stop(first);
      // No time passes.
      const second = await schedulers.owner();
      assert.notEqual(second, first);
    });

    test("one alone keeps its last times over a restart, and makes up for what it missed by one run", async (schedulers) => {
      const first = await schedulers.start(schedule);
      await schedulers.owner();
      await schedulers.pass(2 * MINUTE);
      await schedulers.stop(first);
      await schedulers.pass(17 * MINUTE, 17 * MINUTE);
      const second = await schedulers.start(schedule);
      await schedulers.owner();
      await eventually(async () => {
        assert.deepEqual(await schedulers.times("one minute"), [
          "2026-04-05T20:01:00.000Z",
          "2026-04-05T20:02:00.000Z",
          "2026-04-05T20:19:00.000Z",
        ]);
        assert.deepEqual(await schedulers.times("five minutes"), ["2026-04-05T20:15:00.000Z"]);
      });
      await schedulers.stop(second);
    });

    test("an entry that makes up for nothing waits for its next time, unless it is hardly late", async (schedulers) => {
      const none: Schedule = { "one minute": { ...schedule["one minute"], catchUp: "none" } };
      const first = await schedulers.start(none);
      await schedulers.owner();
      await schedulers.pass(MINUTE);
      await schedulers.stop(first);
      await schedulers.pass(10 * MINUTE - 20 * SECOND, 10 * MINUTE);
      const second = await schedulers.start(none);
      await schedulers.owner();
      await schedulers.pass(30 * SECOND);
      await schedulers.stop(second);
      // 20:12 is missed by ten seconds only.
      await schedulers.pass(58 * SECOND, 58 * SECOND);
      const third = await schedulers.start(none);
      await schedulers.owner();
      await eventually(async () => {
        assert.deepEqual(await schedulers.times("one minute"), [
          "2026-04-05T20:01:00.000Z",
          "2026-04-05T20:11:00.000Z",
          "2026-04-05T20:12:00.000Z",
        ]);
      });
      await schedulers.stop(third);
    });

    test("one that was cut off or stood still sends nothing that another has sent", async (schedulers) => {
      for (let i = 0; i < 2; i++) await schedulers.start(schedule);
      const still = await schedulers.owner();
      still.paused = true;
      still.way.cut?.();
      await schedulers.pass(TAKE_OVER, SECOND);
      await schedulers.owner();
      await schedulers.pass(3 * MINUTE);
      still.paused = false;
      still.clock.skip(schedulers.now - still.clock.now());
      await schedulers.pass(MINUTE);
      const times = await schedulers.times("one minute");
      assert.deepEqual(times, timesBetween(Date.UTC(2026, 3, 5, 20, 1), Date.parse(times.at(-1)!), MINUTE));
      assert.equal(times.length, Math.floor((schedulers.now - START + 2 * SECOND) / MINUTE));
    });

    test("what was changed begins anew, and what is not in the schedule is not sent", async (schedulers) => {
      const both = await schedulers.start(schedule);
      await schedulers.owner();
      await schedulers.pass(MINUTE);
      await schedulers.stop(both);
      const changed: Schedule = {
        "one minute": { ...schedule["one minute"], schedule: { crontab: "*/2 * * * *" } },
      };
      await schedulers.pass(4 * MINUTE, 4 * MINUTE);
      const other = await schedulers.start(changed);
      await schedulers.owner();
      await schedulers.pass(2 * MINUTE);
      await schedulers.stop(other);
      await schedulers.collect();
      assert.deepEqual(schedulers.sent.map(({ entry, due }) => [entry, due]), [
        ["one minute", "2026-04-05T20:01:00.000Z"],
        ["one minute", "2026-04-05T20:06:00.000Z"],
      ]);
    });

    test("what was taken out of the schedule and is put in again begins anew where that can be known", async (schedulers) => {
      const { "one minute": one } = schedule;
      for (const each of [schedule, { "one minute": one }]) {
        const running = await schedulers.start(each);
        await schedulers.owner();
        await schedulers.pass(4 * MINUTE);
        await schedulers.stop(running);
      }
      await schedulers.start(schedule);
      await schedulers.owner();
      await schedulers.pass(SECOND);
      const missed = harness.forgetsNothing ? ["2026-04-05T20:05:00.000Z"] : [];
      assert.deepEqual(await schedulers.times("five minutes"), missed);
    });
  });
}
