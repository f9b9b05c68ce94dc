/** Schedulers that share a real Redis, and a real Redis Cluster. */
import { after, before } from "node:test";
import { Cluster, Redis } from "ioredis";
import { startRedis } from "../servers/redis.ts";
import type { RedisServer } from "../servers/redis.ts";
import { RedisClusterSetting } from "../servers/redis_cluster.ts";
import { startProxy } from "../servers/tcp_proxy.ts";
import { schedulerSuite } from "./schedulers.ts";

let server: RedisServer;
let cluster: RedisClusterSetting;
let admin: Cluster;

before(async () => {
  [server, cluster] = await Promise.all([startRedis(), RedisClusterSetting.start()]);
  admin = new Cluster(cluster.masters.map(({ port }) => ({ host: "127.0.0.1", port })));
});
after(async () => {
  admin.disconnect();
  await Promise.all([server.stop(), cluster.stop()]);
});

schedulerSuite("redis", {
  async open() {
    const redis = new Redis(server.url);
    await redis.flushall();
    await redis.quit();
    return {
      url: server.url,
      async way() {
        const proxy = await startProxy(server.port);
        return {
          url: `redis://127.0.0.1:${proxy.port}/0`,
          kill: () => (proxy.refuse(), proxy.cut()),
          cut: () => proxy.cut(),
          close: () => proxy.close(),
        };
      },
      close: () => Promise.resolve(),
    };
  },
});

schedulerSuite("redis cluster", {
  async open() {
    await Promise.all(admin.nodes("master").map((node) => node.flushall()));
    const { url } = cluster;
    return { url, way: () => Promise.resolve({ url }), close: () => Promise.resolve() };
  },
});
