/** How a connection to Redis begins and fails: users, passwords, certificates, sockets, and what is said about it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Redis } from "ioredis";
import { systemClock } from "../../../runtime/clock.ts";
import { openRedisResults } from "../../../runtime/results/redis.ts";
import { openRedisTransport } from "../../../runtime/transport/redis.ts";
import type { Transport } from "../../../runtime/transport/transport.ts";
import { eventually, within } from "../../conformance/patience.ts";
import { freePort, type RedisServer, startRedis } from "../../servers/redis.ts";
import { startProxy } from "../../servers/tcp_proxy.ts";
import { publish } from "../redis_setting.ts";

function open(url: string): Transport {
  return openRedisTransport(url, {
    clock: systemClock,
    random: Math.random,
    lease: 15,
    visibilityTimeout: 3600,
    maxDeliveries: 5,
    maxMessageBytes: 1024 * 1024,
  });
}

/** Publishes over `url`, and counts what stands there. */
async function works(url: string): Promise<void> {
  const transport = open(url);
  try {
    await within(10_000, transport.connect(), "the connection");
    await publish(transport, "celery", "m1");
    assert.equal((await transport.lengths(["celery"]))[0].ready, 1);
    await transport.purge("celery");
  } finally {
    await transport[Symbol.asyncDispose]();
  }
}

/** Connecting fails in these words, naming the server and no password. */
async function fails(url: string, why: RegExp, permanent: boolean): Promise<void> {
  const transport = open(url);
  const results = openRedisResults(url, { clock: systemClock });
  try {
    const calls: (() => Promise<unknown>)[] = [
      () => transport.connect(),
      () => publish(transport, "celery", "m1"),
      () => results.fetch(["a"]),
    ];
    for (const call of calls) {
      await assert.rejects(
        within(10_000, call(), "the refusal"),
        (error: Error & { permanent?: boolean }) => {
          assert.equal(error.name, "BrokerUnavailableError");
          assert.match(error.message, why);
          assert.match(error.message, /^redis(s|\+socket)?:\/\//);
          assert.doesNotMatch(error.message, /hunter2/);
          assert.equal(error.permanent, permanent);
          assert.ok(error.cause instanceof Error);
          return true;
        },
      );
    }
  } finally {
    await Promise.all([transport[Symbol.asyncDispose](), results[Symbol.asyncDispose]()]);
  }
}

describe("a connection to Redis", () => {
  let server: RedisServer;
  let encrypted: RedisServer;
  const folder = mkdtempSync(join(tmpdir(), "celeriac-socket-"));
  const socket = join(folder, "redis.sock");
  const at = (login: string, db: number | string = 0) => `redis://${login}127.0.0.1:${server.port}/${db}`;

  before(async () => {
    [server, encrypted] = await Promise.all([
      startRedis({
        password: "hunter2",
        config: { unixsocket: socket },
      }),
      startRedis({ tls: true, password: "hunter2" }),
    ]);
    const admin = new Redis(server.port, { password: "hunter2" });
    await admin.call("ACL", "SETUSER", "me", "on", ">hunter2:@/", "~*", "&*", "+@all");
    await admin.quit();
  });
  after(async () => {
    await Promise.all([server.stop(), encrypted.stop()]);
    rmSync(folder, { recursive: true });
  });

  it("takes a password, a user, a database", async () => {
    await works(server.url);
    await works(at("default:hunter2@"));
    await works(at("me:hunter2%3A%40%2F@", 3));
  });

  it("goes through a socket", () => works(`redis+socket://:hunter2@${socket}?virtual_host=2`));

  it("is encrypted, with a certificate that is checked", async () => {
    await works(encrypted.url);
    const plain = `rediss://:hunter2@127.0.0.1:${encrypted.port}/0`;
    await works(`${plain}?ssl_cert_reqs=CERT_NONE`);
    await works(`${encrypted.url.replace("127.0.0.1", "localhost")}`);
    await fails(plain, /its certificate is not to be trusted/, true);
  });

  it("that is refused says why, and whether trying again is of any use", async () => {
    await fails(at(":hunter2hunter2@"), /wrong user name or password/, true);
    await fails(at("nobody:hunter2@"), /wrong user name or password/, true);
    await fails(at(""), /it asks for a password/, true);
    await fails(at(":hunter2@", 99), /no such database/, true);
    await fails(`redis://:hunter2@127.0.0.1:${await freePort()}/0`, /refused the connection/, false);
    await fails("redis://:hunter2@no-such-host.invalid/0", /no host of that name/, false);
    await fails(`redis+socket://:hunter2@${folder}/other.sock`, /no such socket/, false);
  });

  it("that is refused for good is not tried again", async () => {
    const proxy = await startProxy(server.port);
    let tries = 0;
    const counted = setInterval(() => tries = Math.max(tries, proxy.connections), 1);
    const transport = open(`redis://:wrong@127.0.0.1:${proxy.port}/0`);
    await assert.rejects(transport.connect(), { permanent: true });
    await eventually(() => assert.equal(proxy.connections, 0));
    tries = 0;
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(tries, 0);
    clearInterval(counted);
    await transport[Symbol.asyncDispose]();
    await proxy.close();
  });

  it("waits for no longer than its signal", async () => {
    const proxy = await startProxy(server.port);
    proxy.hold();
    const transport = open(`redis://:hunter2@127.0.0.1:${proxy.port}/0`);
    const reason = new Error("enough");
    const abort = new AbortController();
    const connected = transport.connect(abort.signal);
    abort.abort(reason);
    await assert.rejects(within(1_000, connected, "the end of the wait"), reason);
    await assert.rejects(transport.connect(AbortSignal.abort(reason)), reason);
    await within(3_000, transport[Symbol.asyncDispose](), "the transport's end");
    await assert.rejects(transport.connect(), /was closed/);
    await proxy.close();
  });

  it("is made later when the server comes later", async () => {
    const port = await freePort();
    const transport = open(`redis://127.0.0.1:${port}/0`);
    await assert.rejects(transport.connect(), /refused/);
    const late = await startRedis({ config: { port: String(port) } });
    await eventually(() => transport.connect());
    await publish(transport, "celery", "m1");
    await late.restart();
    await eventually(async () => assert.equal((await transport.lengths(["celery"]))[0].ready, 1));
    await transport[Symbol.asyncDispose]();
    await late.stop();
  });
});

describe("results on Redis", () => {
  it("are heard of after the connection was cut, and ten thousand are watched at once", async () => {
    const server = await startRedis();
    const proxy = await startProxy(server.port);
    const worker = openRedisResults(server.url, { clock: systemClock });
    const caller = openRedisResults(`redis://127.0.0.1:${proxy.port}/0`, { clock: systemClock });
    await Promise.all([worker.connect(), caller.connect()]);
    const ids = Array.from({ length: 10_000 }, (_, index) => `m${index}`);
    const result = (id: string) => ({
      id,
      state: "SUCCESS",
      text: `{"status": "SUCCESS", "id": "${id}"}`,
      ttl: 60,
    });
    const heard = new Set<string>();
    const watch = caller.watch((id) => heard.add(id));
    await Promise.all(ids.map((id) => watch.add([id])));
    await worker.store(ids.slice(0, 4_000).map(result));
    await eventually(() => assert.equal(heard.size, 4_000));
    proxy.refuse();
    proxy.cut();
    const late = watch.add(["late"]);
    await worker.store([...ids.slice(4_000, 8_000), "late"].map(result));
    proxy.accept();
    await within(10_000, late, "the late one");
    await eventually(() => assert.equal(heard.size, 8_001));
    await worker.store(ids.slice(8_000).map(result));
    await eventually(() => assert.equal(heard.size, 10_001));
    await Promise.all([worker, caller].map((results) => results[Symbol.asyncDispose]()));
    await proxy.close();
    await server.stop();
  });

  it("stand under Celery's keys, prefixed as Celery does, with their time to live", async () => {
    const server = await startRedis();
    const admin = new Redis(server.port);
    const prefixes = { "": "", "app:": "app:", app: "app_", "a.": "a.", "a_": "a_", "a-": "a-" };
    for (const [given, used] of Object.entries(prefixes)) {
      const results = openRedisResults(`${server.url}?global_keyprefix=${given}`, { clock: systemClock });
      await results.store([{ id: "m1", state: "STARTED", text: "{}", ttl: 100 }]);
      assert.equal(results.keyOf("m1"), `${used}celery-task-meta-m1`);
      assert.ok(await admin.ttl(`${used}celery-task-meta-m1`) > 90);
      await results[Symbol.asyncDispose]();
    }
    await admin.quit();
    await server.stop();
  });
});
