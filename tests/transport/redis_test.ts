/** What is Redis's own: Celery's keys, entries of Python workers, and what servers and networks do. */
import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { systemClock } from "../../runtime/clock.ts";
import { encodeEnvelope } from "../../runtime/protocol/envelope.ts";
import { nameOfTag, tagsOf } from "../../runtime/transport/redis/tags.ts";
import type { Delivery } from "../../runtime/transport/transport.ts";
import { eventually, within } from "../conformance/patience.ts";
import { taskMessage } from "../conformance/transports.ts";
import { startProxy } from "../servers/tcp_proxy.ts";
import { idsOf, pass, publish, RedisSetting } from "./redis_setting.ts";

const setting = new RedisSetting();
afterEach(() => setting.close());

const separator = "\x06\x16";

describe("the keys of a Redis transport", () => {
  it("are Celery's, and gone when nothing is left", async () => {
    const { admin } = setting;
    const transport = setting.transport();
    const { receiver, worker } = await setting.work(transport, ["celery", "reports"]);
    assert.deepEqual((await admin.keys("*")).sort(), [
      "_kombu.binding.celery",
      "_kombu.binding.reports",
      "_kombu.binding_permanent.celery",
      "_kombu.binding_permanent.reports",
    ]);
    const member = `celery${separator}${separator}celery`;
    assert.deepEqual(await admin.smembers("_kombu.binding.celery"), [member]);
    assert.deepEqual(await admin.smembers("_kombu.binding_permanent.celery"), [member]);
    for (const priority of [0, 2, 3, 5, 6, 8, 9, 10]) {
      await transport.publish([taskMessage("celery", `p${priority}`, { priority })]);
    }
    const lists = ["celery", ...[3, 6, 9].map((step) => `celery${separator}${step}`)];
    const waiting = await Promise.all(lists.map(async (list) => idsOf(await admin.lrange(list, 0, -1))));
    assert.deepEqual(waiting, [["p2", "p0"], ["p5", "p3"], ["p8", "p6"], ["p10", "p9"]]);
    const held = await receiver.exchange([], 8);
    const unacked = await setting.unacked();
    const scores = await admin.zrange("unacked_index", "0", "-1", "WITHSCORES");
    assert.equal(held.length, 8);
    assert.deepEqual(Object.keys(unacked).sort(), scores.filter((_, index) => index % 2 === 0).sort());
    for (const [tag, value] of Object.entries(unacked)) {
      assert.ok(tag.startsWith(`celeriac:${worker}:`), tag);
      const [message, exchange, routingKey] = JSON.parse(value);
      assert.equal(message.headers.task, "math.add");
      assert.deepEqual([exchange, routingKey], ["", "celery"]);
      assert.ok(Math.abs(Number(scores[scores.indexOf(tag) + 1]) - Date.now() / 1000) < 30);
    }
    await receiver.exchange(held.map((delivery) => ({ delivery, outcome: "ack" })), 0);
    assert.equal((await admin.keys("*")).length, 4);
  });

  it("all begin with the prefix that kombu knows", async () => {
    const { admin, server } = setting;
    const transport = setting.transport(`${server.url}?global_keyprefix=app:`);
    const { receiver } = await setting.work(transport);
    await transport.bind("replies", "key", "reply");
    const heard: string[] = [];
    const channels: string[] = [];
    const listener = admin.duplicate();
    await listener.psubscribe("*");
    listener.on("pmessage", (_, channel) => channels.push(channel));
    await transport.listen("celery.pidbox", (text) => heard.push(text));
    await transport.broadcast("celery.pidbox", taskMessage("", "b1"));
    await publish(transport, "celery", "m1", "m2", "m3", "m4");
    await transport.publish([taskMessage("key", "r1", { exchange: "replies" })]);
    const [first, second, third] = await receiver.exchange([], 3);
    await receiver.exchange([
      { delivery: first, outcome: "delay", due: Date.now() + 60_000 },
      { delivery: second, outcome: "dead", reason: "bad" },
      { delivery: third, outcome: "return" },
    ], 1);
    const keys = await admin.keys("*");
    assert.deepEqual(keys.filter((key) => !key.startsWith("app:")), []);
    for (const key of ["celery", "reply", "unacked", "unacked_index", "celeriac.dead.celery"]) {
      assert.ok(keys.includes(`app:${key}`), key);
    }
    await eventually(() => assert.equal(heard.length, 1));
    assert.deepEqual(channels, ["app:/0.celery.pidbox"]);
    listener.disconnect();
    assert.deepEqual(await transport.lengths(), [
      { queue: "celery", ready: 1, delayed: 1, unacked: 1, dead: 1 },
      { queue: "reply", ready: 1, delayed: 0, unacked: 0, dead: 0 },
    ]);
  });

  it("hold no queues of remote control and events among those that are listed", async () => {
    const { admin } = setting;
    await admin.sadd("_kombu.binding.celery.pidbox", `${separator}${separator}w@host.celery.pidbox`);
    await admin.sadd("_kombu.binding.celeryev", `worker.#${separator}${separator}celeryev.1234`);
    await admin.sadd("_kombu.binding.topics", `a.#${separator}^a\\..*$${separator}of-python`);
    const lengths = await setting.transport().lengths();
    assert.deepEqual(lengths.map(({ queue }) => queue), ["of-python"]);
  });

  it("that hold something else stop neither the worker nor the rest of a batch", async () => {
    const { admin } = setting;
    await admin.set("broken", "a text");
    const transport = setting.transport();
    const { receiver } = await setting.work(transport, ["broken", "celery"]);
    await publish(transport, "celery", "m1", "m2");
    const held = await receiver.exchange([], 5);
    assert.deepEqual(idsOf(held), ["m1", "m2"]);
    await receiver.exchange([
      {
        delivery: held[0],
        outcome: "ack",
        follow: [taskMessage("broken", "f1"), taskMessage("celery", "f2")],
      },
      { delivery: held[1], outcome: "ack" },
    ], 0);
    assert.deepEqual(idsOf(await receiver.exchange([], 5)), ["f2"]);
    const [letter] = await transport.deadLetters("broken", 1);
    assert.equal(JSON.parse(new TextDecoder().decode(letter.body)).headers.id, "f1");
    await assert.rejects(publish(transport, "broken", "m3"), /WRONGTYPE/);
  });
});

describe("what Python workers hold", () => {
  /** An entry of `unacked` as kombu writes it. */
  async function hold(
    tag: string,
    age: number,
    exchange: string | null,
    routingKey: string,
    more: object = {},
  ) {
    const message = {
      body: "W10=",
      headers: { id: tag },
      properties: { delivery_info: {}, priority: 0, ...more },
    };
    const text = JSON.stringify(message).replaceAll('":', '": ').replaceAll(',"', ', "');
    await setting.admin.hset(
      "unacked",
      tag,
      `[${text}, ${JSON.stringify(exchange)}, ${JSON.stringify(routingKey)}]`,
    );
    await setting.admin.zadd("unacked_index", Date.now() / 1000 - age, tag);
  }

  it("is restored past the visibility timeout, not before", async () => {
    const transport = setting.transport(`${setting.server.url}?visibility_timeout=100`);
    await hold("old", 101, "", "celery");
    await hold("young", 90, "", "celery");
    await hold("nowhere", 101, null, "celery");
    await hold("urgent", 101, "", "celery", { priority: 7 });
    const { receiver, heard } = await setting.work(transport);
    const found: Delivery[] = [];
    await eventually(async () => {
      found.push(...await receiver.exchange([], 5));
      assert.equal(found.length, 3);
    });
    assert.deepEqual(idsOf(found).sort(), ["nowhere", "old", "urgent"]);
    for (const { text } of found) {
      const { headers, properties } = JSON.parse(text);
      assert.equal(headers.redelivered, true);
      assert.equal(properties.delivery_info.redelivered, true);
    }
    assert.equal(heard.restorations, 3);
    await receiver.exchange(found.map((delivery) => ({ delivery, outcome: "return" })), 0);
    assert.deepEqual(idsOf(await setting.admin.lrange(`celery${separator}6`, 0, -1)), ["urgent"]);
    assert.ok("young" in await setting.unacked());
  });

  it("goes back to the queues that are bound to its exchange", async () => {
    const { admin } = setting;
    await admin.sadd(
      "_kombu.binding.direct",
      `key${separator}${separator}d1`,
      `other${separator}${separator}d2`,
    );
    await admin.sadd(
      "_kombu.binding.topic",
      ...["a.#", "a.*", "#.c", "*.b", "#", "x.#"].map((key, index) =>
        `${key}${separator}^.$${separator}t${index}`
      ),
    );
    await hold("direct", 3700, "direct", "key");
    await hold("topic1", 3700, "topic", "a.b");
    await hold("topic2", 3700, "topic", "a.b.c");
    await hold("unbound", 3700, "gone", "lost-key");
    const transport = setting.transport();
    const { heard } = await setting.work(transport);
    await eventually(async () => assert.deepEqual(await setting.unacked(), {}));
    const waiting = async (queue: string) => idsOf(await admin.lrange(queue, 0, -1)).sort();
    assert.deepEqual(await waiting("d1"), ["direct"]);
    assert.deepEqual(await waiting("d2"), []);
    assert.deepEqual(await waiting("t0"), ["topic1", "topic2"]);
    assert.deepEqual(await waiting("t1"), ["topic1"]);
    assert.deepEqual(await waiting("t2"), ["topic2"]);
    assert.deepEqual(await waiting("t3"), ["topic1"]);
    assert.deepEqual(await waiting("t4"), ["topic1", "topic2"]);
    assert.deepEqual(await waiting("t5"), []);
    assert.equal((await transport.deadLetters("lost-key", 5)).length, 1);
    await eventually(() => assert.deepEqual(heard.deaths.map(({ queue }) => queue), ["lost-key"]));
  });

  it("and cannot be read is kept as a dead letter", async () => {
    await setting.admin.hset("unacked", "odd", "no entry");
    await setting.admin.zadd("unacked_index", 1, "odd", 1, "index-only");
    const transport = setting.transport();
    await setting.work(transport);
    await eventually(async () => assert.equal(await setting.admin.zcard("unacked_index"), 0));
    const [letter] = await transport.deadLetters("unacked", 5);
    assert.equal(new TextDecoder().decode(letter.body), "no entry");
  });

  it("counts in the length of its queue", async () => {
    await hold("one", 5, "", "celery");
    await hold("two", 5, "", "celery");
    await hold("three", 5, "", 'a "quoted", queue');
    const lengths = await setting.transport().lengths(["celery", 'a "quoted", queue', "other"]);
    assert.deepEqual(lengths.map(({ unacked }) => unacked), [2, 1, 0]);
  });

  it("is renewed for as long as one of ours holds it, so that they restore nothing of it", async () => {
    const { receiver } = await setting.work(setting.transport());
    await publish(setting.transport(), "celery", "m1");
    assert.equal((await receiver.exchange([], 1)).length, 1);
    const score = async () =>
      Number((await setting.admin.zrange("unacked_index", "0", "-1", "WITHSCORES"))[1]);
    const first = await score();
    // A Python worker looks at scores: with a visibility timeout of 1 s this one would never be old enough.
    await eventually(async () => assert.ok(await score() > first + 1));
    assert.ok(Date.now() / 1000 - await score() < 0.6);
  });
});

describe("a connection to Redis that is cut", () => {
  it("in the middle of the answer to a fetch leaves nothing behind in unacked", async () => {
    const { admin, server } = setting;
    const proxy = await startProxy(server.port);
    const transport = setting.transport(`redis://127.0.0.1:${proxy.port}/0`);
    const { receiver, heard } = await setting.work(transport);
    await publish(transport, "celery", ...Array.from({ length: 50 }, (_, index) => `m${index}`));
    for (const bytes of [0, 1, 700, 20_000]) {
      const cut = proxy.cutAfter(bytes, (data) => data.length > 5_000);
      await assert.rejects(receiver.exchange([], 50), { name: "BrokerUnavailableError" });
      await cut;
      await eventually(async () => {
        assert.deepEqual(await setting.unacked(), {});
        assert.equal(await admin.zcard("unacked_index"), 0);
        assert.equal(await admin.llen("celery"), 50);
      });
      await transport.connect();
    }
    const again = await receiver.exchange([], 50);
    assert.deepEqual(idsOf(again), Array.from({ length: 50 }, (_, index) => `m${index}`));
    for (const { text } of again) assert.equal(JSON.parse(text).headers.redelivered, undefined);
    await receiver.exchange(again.map((delivery) => ({ delivery, outcome: "ack" })), 0);
    assert.deepEqual(heard.losses, []);
    await proxy.close();
  });

  it("while a settlement is under way lets it be settled again, its result and what follows once", async () => {
    const { admin, server } = setting;
    const proxy = await startProxy(server.port);
    const transport = setting.transport(`redis://127.0.0.1:${proxy.port}/0`);
    const { receiver } = await setting.work(transport);
    await publish(transport, "celery", "m1", "m2");
    const [acked, returned] = await receiver.exchange([], 2);
    const settlements = [
      { delivery: acked, outcome: "ack", follow: [taskMessage("next", "f1")] },
      { delivery: returned, outcome: "return" },
    ] as const;
    const cut = proxy.cutAfter(0);
    await assert.rejects(receiver.exchange(settlements, 0), { name: "BrokerUnavailableError" });
    await cut;
    await eventually(async () => void await receiver.exchange(settlements, 0));
    assert.equal(await admin.llen("next"), 1);
    assert.equal(await admin.llen("celery"), 1);
    assert.deepEqual(await setting.unacked(), {});
    await proxy.close();
  });

  it("comes back by itself, and says so once at each change", async () => {
    const { server } = setting;
    const proxy = await startProxy(server.port);
    const transport = setting.transport(`redis://:@127.0.0.1:${proxy.port}/0`);
    const { receiver, heard } = await setting.work(transport);
    proxy.refuse();
    proxy.cut();
    await assert.rejects(receiver.exchange([], 1), (error: Error & { permanent?: boolean }) => {
      assert.equal(error.name, "BrokerUnavailableError");
      assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${proxy.port}/0: `));
      assert.equal(error.permanent, false);
      return true;
    });
    await assert.rejects(publish(transport, "celery", "m1"), { name: "BrokerUnavailableError" });
    await pass(300);
    proxy.accept();
    await eventually(() => assert.match(heard.troubles.at(-1) ?? "", /answers again/));
    const troubles = heard.troubles.slice();
    assert.equal(new Set(troubles).size, troubles.length, troubles.join("\n"));
    assert.ok(troubles.length <= 3, troubles.join("\n"));
    assert.match(troubles[0], /the connection was (cut|lost)/);
    await publish(transport, "celery", "m1");
    assert.deepEqual(idsOf(await receiver.exchange([], 1)), ["m1"]);
    await proxy.close();
  });

  it("wakes up and is woken up again, whichever of the two connections it was", async () => {
    const { admin } = setting;
    const transport = setting.transport();
    const { receiver } = await setting.work(transport);
    for (const [round, kind] of ["pubsub", "normal", "pubsub", "normal"].entries()) {
      assert.deepEqual(await receiver.exchange([], 1), []);
      const woken = receiver.arrival(AbortSignal.timeout(20_000));
      await pass(20);
      await admin.call("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes");
      await within(800, woken, "the wake-up by a new connection");
      // Let it arm on the new pair, and then be quiet for longer than it looks by itself.
      await eventually(async () => assert.deepEqual(await receiver.exchange([], 1), []));
      await eventually(async () =>
        assert.equal((await admin.call("CLIENT", "LIST", "TYPE", "pubsub") as string).split("\n").length, 2)
      );
      await pass(50);
      const waits: number[] = [];
      for (let turn = 0; turn < 5; turn++) {
        assert.deepEqual(await receiver.exchange([], 1), []);
        const arrived = receiver.arrival(AbortSignal.timeout(20_000));
        await pass(30);
        const start = performance.now();
        await admin.lpush("celery", `{"id": ${round}}`);
        await arrived;
        waits.push(performance.now() - start);
        const held = await receiver.exchange([], 1);
        assert.equal(held.length, 1);
        await receiver.exchange([{ delivery: held[0], outcome: "ack" }], 0);
      }
      // The second net comes after 800 ms at the earliest: one woken that late was not woken by the server.
      assert.ok(
        waits.every((ms) => ms < 300),
        `after the ${kind} connection was cut: ${waits.map(Math.round)}`,
      );
    }
  });

  it("is not taken for a server without client tracking", async () => {
    const proxy = await startProxy(setting.server.port);
    const transport = setting.transport(`redis://127.0.0.1:${proxy.port}/0`);
    const { receiver, heard } = await setting.work(transport);
    const stop = new AbortController();
    const loop = (async () => {
      while (!stop.signal.aborted) await receiver.arrival(stop.signal).catch(() => {});
    })();
    for (let turn = 0; turn < 20; turn++) {
      // Messages keep it arming, so that some cuts come in the middle of that.
      const published = publish(transport, "celery", "m1").catch(() => {});
      if (turn % 2 === 0) await published;
      proxy.cut();
      const back = () => heard.troubles.filter((trouble) => trouble.includes("answers again")).length;
      await eventually(() => assert.equal(back(), turn + 1));
    }
    stop.abort();
    await loop;
    assert.deepEqual(heard.troubles.filter((trouble) => trouble.includes("tracking")), []);
    await proxy.close();
  });

  it("and leads to another server finds what has stood there for long", async () => {
    const proxy = await startProxy(setting.server.port);
    const { receiver, heard } = await setting.work(setting.transport(`redis://127.0.0.1:${proxy.port}/0`));
    // It has looked at everything up to now.
    await pass(200);
    const tag = nameOfTag(tagsOf("gone"), 10);
    const message = encodeEnvelope(taskMessage("celery", "m1"));
    await setting.admin.hset("unacked", tag, `[${message},"","celery"]`);
    await setting.admin.zadd("unacked_index", Date.now() / 1000 - 60, tag);
    proxy.cut();
    await eventually(() => assert.equal(heard.restorations, 1));
    assert.deepEqual(idsOf(await receiver.exchange([], 1)), ["m1"]);
    await proxy.close();
  });

  it("listens again to what was broadcast", async () => {
    const transport = setting.transport();
    const heard: string[] = [];
    await transport.connect();
    await transport.listen("celery.pidbox", (text) => heard.push(text));
    await setting.admin.call("CLIENT", "KILL", "TYPE", "pubsub");
    await eventually(async () => {
      await transport.broadcast("celery.pidbox", taskMessage("", "b1"));
      assert.ok(heard.length > 0);
    });
  });

  it("does not run a fetch twice", async () => {
    const proxy = await startProxy(setting.server.port);
    const transport = setting.transport(`redis://127.0.0.1:${proxy.port}/0`);
    const { receiver } = await setting.work(transport);
    await setting.admin.config("RESETSTAT");
    const calls = async () =>
      Number(/cmdstat_rpop:calls=(\d+)/.exec(await setting.admin.info("commandstats"))?.[1] ?? 0);
    proxy.hold();
    const fetched = assert.rejects(receiver.exchange([], 1), { name: "BrokerUnavailableError" });
    await pass(50);
    proxy.cut();
    proxy.accept();
    await fetched;
    await transport.connect();
    await transport.lengths(["celery"]);
    assert.equal(await calls(), 0);
    await proxy.close();
  });
});

describe("a fetch that comes to the server when its worker has given it up", () => {
  it("leaves nothing behind in unacked", async () => {
    const { admin, server } = setting;
    const proxy = await startProxy(server.port);
    const transport = setting.transport(`redis://127.0.0.1:${proxy.port}/0`);
    const { receiver, heard } = await setting.work(transport);
    await publish(transport, "celery", "m1", "m2", "m3");
    server.pause();
    const fetched = assert.rejects(receiver.exchange([], 2), { name: "BrokerUnavailableError" });
    await pass(50);
    proxy.cut();
    await fetched;
    server.resume();
    await eventually(() => transport.connect());
    await eventually(async () => {
      assert.deepEqual(await setting.unacked(), {});
      assert.equal(await admin.llen("celery"), 3);
    });
    assert.deepEqual(idsOf(await receiver.exchange([], 5)), ["m1", "m2", "m3"]);
    assert.deepEqual(heard.losses, []);
    await proxy.close();
  });
});

describe("a Redis server that is started again", () => {
  it("with its data lets its workers go on with what they hold", async () => {
    const { server } = setting;
    const transport = setting.transport();
    const { receiver, heard } = await setting.work(transport);
    await publish(transport, "celery", "m1", "m2");
    const [first] = await receiver.exchange([], 1);
    await server.restart();
    await eventually(() => receiver.exchange([], 0).then(() => transport.lengths(["celery"])).then(() => {}));
    await receiver.exchange([{ delivery: first, outcome: "ack" }], 0);
    assert.deepEqual(idsOf(await receiver.exchange([], 5)), ["m2"]);
    assert.deepEqual(heard.losses, []);
    assert.equal(heard.restorations, 0);
  });

  it("without its data tells its workers what is lost, and takes new work", async () => {
    const { server } = setting;
    const transport = setting.transport();
    const { receiver, heard } = await setting.work(transport);
    await publish(transport, "celery", "m1", "m2");
    await receiver.exchange([], 1);
    await setting.admin.flushall();
    await server.restart();
    await eventually(() => assert.deepEqual(idsOf(heard.losses), ["m1"]));
    await eventually(async () => assert.equal(await setting.admin.exists("_kombu.binding.celery"), 1));
    await publish(transport, "celery", "m3");
    await within(5_000, receiver.arrival(AbortSignal.timeout(10_000)), "the arrival");
    assert.deepEqual(idsOf(await receiver.exchange([], 5)), ["m3"]);
  });

  it("as a replica takes no writes, and is a master again later", async () => {
    const { admin, server } = setting;
    const transport = setting.transport();
    const { receiver } = await setting.work(transport);
    await publish(transport, "celery", "m1");
    const [held] = await receiver.exchange([], 1);
    await admin.replicaof("127.0.0.1", server.port + 1);
    const settlement = { delivery: held, outcome: "ack" } as const;
    await assert.rejects(receiver.exchange([settlement], 1), {
      name: "BrokerUnavailableError",
      permanent: false,
    });
    await admin.replicaof("NO", "ONE");
    await eventually(async () => void await receiver.exchange([settlement], 0));
    assert.deepEqual(await setting.unacked(), {});
  });
});

describe("a Redis server that stands still", () => {
  it("makes nobody look dead, and loses nothing", async () => {
    const { server } = setting;
    const one = await setting.work(setting.transport());
    const two = await setting.work(setting.transport());
    await publish(setting.transport(), "celery", "m1", "m2");
    const held = [...await one.receiver.exchange([], 1), ...await two.receiver.exchange([], 1)];
    for (let turn = 0; turn < 3; turn++) {
      server.pause();
      await pass(1_500);
      server.resume();
      await pass(200);
    }
    await pass(1_200);
    await one.receiver.exchange([{ delivery: held[0], outcome: "ack" }], 0);
    await two.receiver.exchange([{ delivery: held[1], outcome: "ack" }], 0);
    assert.deepEqual(one.heard.losses.concat(two.heard.losses), []);
    assert.equal(one.heard.restorations + two.heard.restorations, 0);
    assert.deepEqual(await setting.unacked(), {});
  });
});

describe("a Redis server whose memory is full", () => {
  it("refuses to publish, still settles, and loses nothing", async () => {
    const { admin } = setting;
    const transport = setting.transport();
    const { receiver } = await setting.work(transport);
    await publish(transport, "celery", "m1", "m2", "m3");
    const held = await receiver.exchange([], 2);
    await admin.config("SET", "maxmemory", "1");
    await assert.rejects(publish(transport, "celery", "m4"), /memory is full/);
    const more = await receiver.exchange([
      { delivery: held[0], outcome: "ack" },
      { delivery: held[1], outcome: "restore" },
    ], 0);
    assert.deepEqual(more, []);
    const known = async () => Object.keys(await setting.unacked()).length + await admin.llen("celery");
    assert.equal(await known(), 2);
    await receiver.exchange([], 2).catch(() => {});
    assert.equal(await known(), 2);
    await admin.config("SET", "maxmemory", "0");
    await publish(transport, "celery", "m4");
    assert.equal(await known(), 3);
  });
});

describe("an idle worker on Redis", () => {
  it("costs the server next to nothing, and hears of a message in a moment", async () => {
    const { admin } = setting;
    const transport = setting.transport(setting.server.url, { lease: 15 });
    const { receiver } = await setting.work(transport, ["a", "b", "c", "d", "e"]);
    const producer = setting.transport();
    await producer.connect();
    const stop = new AbortController();
    const arrivals = new Map<string, number>();
    const loop = (async () => {
      while (!stop.signal.aborted) {
        const held = await receiver.exchange([], 8);
        for (const { text } of held) arrivals.set(JSON.parse(text).headers.id, performance.now());
        await receiver.exchange(held.map((delivery) => ({ delivery, outcome: "ack" })), 0);
        if (held.length === 0) await receiver.arrival(stop.signal).catch(() => {});
      }
    })();
    await pass(100);
    const evals = async () =>
      [...(await admin.info("commandstats")).matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)]
        .reduce((sum, [, calls]) => sum + Number(calls), 0);
    await admin.config("RESETSTAT");
    await pass(2_000);
    const quiet = await evals();
    // A look a second, and beside it: two scripts that watch, one that moves what is due.
    assert.ok(quiet <= 15, `${quiet} scripts in two quiet seconds`);
    const waits: number[] = [];
    for (let index = 0; index < 40; index++) {
      const start = performance.now();
      await publish(producer, "abcde"[index % 5], `m${index}`);
      await eventually(() => assert.ok(arrivals.has(`m${index}`)));
      waits.push(arrivals.get(`m${index}`)! - start);
    }
    waits.sort((a, b) => a - b);
    assert.ok(waits[20] < 50, `half of the messages took ${waits[20]} ms and more`);
    stop.abort();
    await loop;
  });

  it("asks again and again where the server has no client tracking, and says so once", async () => {
    const { admin, server } = setting;
    await admin.call("ACL", "SETUSER", "plain", "on", ">pw", "~*", "&*", "+@all", "-client|tracking");
    const transport = setting.transport(server.url.replace("//", "//plain:pw@"));
    const { receiver, heard } = await setting.work(transport);
    for (const id of ["m1", "m2", "m3"]) {
      assert.deepEqual(await receiver.exchange([], 1), []);
      const arrived = receiver.arrival(AbortSignal.timeout(20_000));
      await publish(transport, "celery", id);
      await within(800, arrived, "the message");
      const [delivery] = await receiver.exchange([], 1);
      await receiver.exchange([{ delivery, outcome: "ack" }], 0);
    }
    assert.equal(heard.troubles.length, 1);
    assert.match(heard.troubles[0], /no client tracking/);
  });
});

describe("a worker on Redis that fetches all there is", () => {
  it("is woken by what comes then, without one more question", async () => {
    const transport = setting.transport();
    const { receiver } = await setting.work(transport);
    const questions = async () =>
      Number(/cmdstat_exists:calls=(\d+)/.exec(await setting.admin.info("commandstats"))?.[1] ?? 0);
    const signal = AbortSignal.timeout(30_000);
    assert.deepEqual(await receiver.exchange([], 4), []);
    const first = receiver.arrival(signal);
    await publish(transport, "celery", "first");
    await within(10_000, first, "the first arrival");
    const [delivery] = await receiver.exchange([], 4);
    assert.deepEqual(idsOf([delivery]), ["first"]);
    assert.equal(receiver.tookAll, true);
    await receiver.exchange([{ delivery, outcome: "ack" }], 0);

    const asked = await questions();
    const second = receiver.arrival(signal);
    await publish(transport, "celery", "second", "third");
    await within(10_000, second, "the second arrival");
    assert.equal(await questions(), asked);
    assert.deepEqual(idsOf(await receiver.exchange([], 1)), ["second"]);
    assert.equal(receiver.tookAll, false);
    assert.deepEqual(idsOf(await receiver.exchange([], 2)), ["third"]);

    // It comes before anybody waits for it.
    await publish(transport, "celery", "fourth");
    await within(10_000, receiver.arrival(signal), "the third arrival");
    assert.deepEqual(idsOf(await receiver.exchange([], 2)), ["fourth"]);
  });
});

describe("large batches on Redis", () => {
  it("of a thousand settlements with results of two ttls all come through", async () => {
    const transport = setting.transport();
    const { receiver } = await setting.work(transport);
    const ids = Array.from({ length: 1_000 }, (_, index) => `m${index}`);
    await publish(transport, "celery", ...ids);
    const held: Delivery[] = [];
    while (held.length < 1_000) held.push(...await receiver.exchange([], 1_000));
    assert.deepEqual(idsOf(held), ids);
    const scattered = held.toSorted((a, b) => Number(a.tag) * 7919 % 1_009 - Number(b.tag) * 7919 % 1_009);
    const outcomes = ["ack", "ack", "ack", "return", "dead"] as const;
    await receiver.exchange(
      scattered.map((delivery, index) => ({ delivery, outcome: outcomes[index % 5], reason: "bad" })),
      0,
    );
    assert.deepEqual(await transport.lengths(["celery"]), [
      { queue: "celery", ready: 200, delayed: 0, unacked: 0, dead: 200 },
    ]);
  });

  it("of ten thousand held are renewed and restored", async () => {
    const transport = setting.transport(setting.server.url, { lease: 1.5 });
    const { receiver, heard } = await setting.work(transport);
    const ids = Array.from({ length: 10_000 }, (_, index) => `m${index}`);
    await publish(transport, "celery", ...ids);
    let held = 0;
    while (held < 10_000) held += (await receiver.exchange([], 256)).length;
    await pass(3_000);
    assert.deepEqual(heard.losses, []);
    assert.equal(Object.keys(await setting.unacked()).length, 10_000);
    await receiver[Symbol.asyncDispose]();
    const other = await setting.work(setting.transport(setting.server.url, { lease: 1.5 }));
    await eventually(() => assert.equal(other.heard.restorations, 10_000), 20_000);
    assert.equal(await setting.admin.llen("celery"), 10_000);
    assert.deepEqual(await setting.unacked(), {});
  });
});

describe("a worker whose clock is not the server's", () => {
  for (const [what, skew] of [["behind", -60_000], ["ahead", 60_000]] as const) {
    it(`${what} gets what it has put aside back at its own time, and no sooner`, async () => {
      const clock = { ...systemClock, now: () => systemClock.now() + skew };
      const transport = setting.transport(undefined, { clock });
      const { receiver } = await setting.work(transport);
      await publish(transport, "celery", "m1");
      const [delivery] = await receiver.exchange([], 1);
      const due = clock.now() + 700;
      await receiver.exchange([{ delivery, outcome: "delay", due }], 0);
      let seen: Delivery[] = [];
      await eventually(async () => {
        seen = await receiver.exchange([], 1);
        assert.equal(seen.length, 1);
      });
      assert.ok(clock.now() >= due - 2, `it came ${due - clock.now()} ms too early`);
    });
  }
});
