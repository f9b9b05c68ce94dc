/** How long an idle worker on Redis rests that was woken in vain: by faster ones, or for a queue of another database. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Redis } from "ioredis";
import { systemClock } from "../../../runtime/clock.ts";
import { RedisConnection } from "../../../runtime/transport/redis/connection.ts";
import { readRedisUrl } from "../../../runtime/transport/redis/place.ts";
import { RedisSubscriber } from "../../../runtime/transport/redis/subscriber.ts";
import { WakeUp } from "../../../runtime/transport/redis/wake_up.ts";
import { eventually, within } from "../../conformance/patience.ts";
import { FakeClock } from "../../fake_clock.ts";
import { type RedisServer, startRedis } from "../../servers/redis.ts";

const ROOM = 10;
const ALL_WORKERS = "/0.celery.pidbox";
/** More often than it counts. */
const OFTEN = 12;

describe("a worker on Redis that was woken in vain", () => {
  let server: RedisServer, here: Redis, elsewhere: Redis, other: Redis;
  const signal = new AbortController().signal;

  before(async () => {
    server = await startRedis();
    here = new Redis(server.port);
    elsewhere = new Redis(server.port, { db: 1 });
    other = new Redis(server.port);
  });
  after(async () => {
    here.disconnect();
    elsewhere.disconnect();
    other.disconnect();
    await server.stop();
  });

  /** Has it woken many times by messages of another database, after which it has found nothing. */
  async function wakeInVain(others: boolean, run: (wakeUp: WakeUp, clock: FakeClock) => Promise<void>) {
    const place = readRedisUrl(server.url);
    const options = { clock: systemClock, random: Math.random };
    const commands = new RedisConnection(place, options), subscriber = new RedisSubscriber(place, options);
    const clock = new FakeClock();
    const wakeUp = new WakeUp(commands, subscriber, ["q"], {
      clock,
      // It rests for as long as it ever does.
      random: () => 1,
      allWorkers: ALL_WORKERS,
      untracked: assert.fail,
    });
    try {
      await commands.connect();
      await wakeUp.open();
      await subscriber.subscribe([ALL_WORKERS], () => {});
      if (others) await other.subscribe(ALL_WORKERS);
      for (let i = 0; i < OFTEN; i++) {
        let woken = false;
        const arrival = wakeUp.wait(signal).then(() => woken = true);
        for (let tries = 0; !woken; tries++) {
          assert.ok(tries < 5_000, "it listens again");
          await clock.advance(300);
          await elsewhere.multi().lpush("q", "m").del("q").exec();
        }
        await arrival;
        wakeUp.fetching();
        wakeUp.fetched(0, ROOM);
      }
      await run(wakeUp, clock);
    } finally {
      wakeUp.close();
      await here.del("q");
      await other.unsubscribe();
      await Promise.all([commands.close(), subscriber.close()]);
    }
  }

  it("rests shortly where it is the only one", async () => {
    await wakeInVain(false, async (wakeUp, clock) => {
      const arrival = wakeUp.wait(signal);
      await eventually(() => assert.equal(clock.pending, 1));
      await clock.advance(8);
      await here.lpush("q", "m");
      await within(10_000, arrival, "the message");
    });
  });

  it("rests longer where there are others", async () => {
    await wakeInVain(true, async (wakeUp, clock) => {
      let woken = false;
      const arrival = wakeUp.wait(signal).then(() => woken = true);
      await eventually(() => assert.equal(clock.pending, 1));
      await clock.advance(255);
      await here.lpush("q", "m");
      assert.equal(woken, false);
      await clock.advance(1);
      await within(10_000, arrival, "the message");
    });
  });

  it("does not rest once it has found something", async () => {
    await wakeInVain(true, async (wakeUp) => {
      wakeUp.fetched(1, ROOM);
      const arrival = wakeUp.wait(signal);
      await here.lpush("q", "m");
      await within(10_000, arrival, "the message");
    });
  });
});
