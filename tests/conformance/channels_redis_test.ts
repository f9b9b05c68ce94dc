/** Channels on Redis pass the suite of all channels, against a real server. */
import { after, before } from "node:test";
import { Redis } from "ioredis";
import { systemClock } from "../../runtime/clock.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { channelSuite } from "./channels.ts";

let server: RedisServer;
let admin: Redis;

before(async () => {
  server = await startRedis();
  admin = new Redis(server.port);
});
after(async () => {
  await admin.quit();
  await server.stop();
});

channelSuite("redis", {
  async open() {
    await admin.flushall();
    return {
      url: server.url,
      // Connections are shared by clock: with one of its own each end is a process for itself.
      process: () => ({ ...systemClock }),
      pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      close: () => Promise.resolve(),
    };
  },
});
