/** What is special to RabbitMQ: its URLs, queues that others have made, permissions, failover, counted deliveries. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type ChannelModel, connect } from "amqplib";
import { App } from "../../mod.ts";
import { resultUrl } from "../../runtime/results/open.ts";
import { readAmqpUrl } from "../../runtime/transport/amqp/place.ts";
import { openTransport } from "../../runtime/transport/open.ts";
import {
  BrokerUnavailableError,
  PublishError,
  type Receiver,
  type Transport,
  UnroutableError,
} from "../../runtime/transport/transport.ts";
import { BadUrlError, maskUrl } from "../../runtime/transport/url.ts";
import { eventually } from "../conformance/patience.ts";
import {
  acks,
  headersOf,
  Heard,
  idsOf,
  numbered,
  take,
  taskMessage,
} from "../conformance/transports/setting.ts";
import { startVhost, type TestVhost } from "../servers/rabbitmq.ts";
import { freePort } from "../servers/redis.ts";

describe("an AMQP URL", () => {
  it("says where the broker is and how to get in", () => {
    const { servers: [server], name } = readAmqpUrl(
      "amqp://me:s%40fe@rabbit.example:5673/my%2Fhost?heartbeat=10",
    );
    assert.deepEqual(server, {
      name: "amqp://me:**@rabbit.example:5673/my%2Fhost?heartbeat=10",
      host: "rabbit.example",
      port: 5673,
      username: "me",
      password: "s@fe",
      vhost: "my/host",
      heartbeat: 10,
    });
    assert.equal(name, server.name);
  });

  it("has defaults, kombu's", () => {
    for (
      const url of [
        "amqp://",
        "amqp://localhost",
        "amqp://localhost/",
        "pyamqp://localhost//",
        "amqp://localhost/%2F",
      ]
    ) {
      const { host, port, username, password, vhost } = readAmqpUrl(url).servers[0];
      assert.deepEqual(
        [host, port, username, password, vhost],
        ["localhost", 5672, "guest", "guest", "/"],
        url,
      );
    }
    const { port, tls } = readAmqpUrl("amqps://[::1]/x?ssl_cert_reqs=CERT_NONE").servers[0];
    assert.deepEqual([port, tls], [5671, { rejectUnauthorized: false }]);
  });

  it("may be several, and says how queues are made", () => {
    const place = readAmqpUrl("amqp://a:secret@one/x?queue_type=quorum;amqp://b:secret@two/x;amqp://three/x");
    assert.deepEqual(place.servers.map(({ host }) => host), ["one", "two", "three"]);
    assert.deepEqual(place.queues, { type: "quorum" });
    assert.equal(place.name, "amqp://a:**@one/x?queue_type=quorum;amqp://b:**@two/x;amqp://three/x");
    assert.equal(maskUrl("redis://:a;b@host"), "redis://:**@host");
    const arranged = readAmqpUrl(
      "amqp://h?max_priority=10&dead_letter_exchange=dlx&dead_letter_routing_key=k",
    );
    assert.deepEqual(arranged.queues, {
      maxPriority: 10,
      deadLetterExchange: "dlx",
      deadLetterRoutingKey: "k",
    });
  });

  it("is refused with a reason when it is wrong", () => {
    const wrong: [string, RegExp][] = [
      ["redis://h", /no AMQP URL/],
      ["amqp://h/%zz", /%25/],
      ["amqp://h?heartbeat=soon", /whole number/],
      ["amqp://h?queue_type=stream", /classic or quorum/],
      ["amqp://h?max_priority=1000", /1 to 255/],
      ["amqp://h?queue_type=quorum&max_priority=5", /no priorities/],
      ["amqps://h?ssl_ca_certs=/none/such", /cannot be read/],
    ];
    for (const [url, reason] of wrong) {
      assert.throws(
        () => readAmqpUrl(url),
        (error) => error instanceof BadUrlError && reason.test(error.message),
        url,
      );
    }
  });

  it("is what rpc:// stands for, beside a RabbitMQ and nothing else", () => {
    const brokerUrl = "amqp://h/x";
    assert.equal(resultUrl({ brokerUrl, resultBackend: null }), brokerUrl);
    assert.equal(resultUrl({ brokerUrl, resultBackend: "rpc://" }), brokerUrl);
    assert.equal(resultUrl({ brokerUrl, resultBackend: "redis://h" }), "redis://h");
    assert.throws(() => new App({ broker: "redis://:secret@h", backend: "rpc://" }), (error) => {
      assert.ok(error instanceof BadUrlError);
      assert.match(error.message, /messages of a RabbitMQ, and the broker is redis:\/\/:\*\*@h/);
      return true;
    });
  });
});

describe("the AMQP transport", () => {
  let vhost: TestVhost;
  let admin: ChannelModel;
  const open: AsyncDisposable[] = [];

  before(async () => {
    vhost = await startVhost();
    admin = await connect(vhost.url);
  });
  after(async () => {
    await Promise.all(open.map((one) => one[Symbol.asyncDispose]()));
    await admin.close();
    await vhost.close();
  });

  async function transportOf(url = vhost.url): Promise<Transport> {
    const transport = await openTransport(url);
    open.push(transport);
    await transport.connect();
    return transport;
  }

  async function receiverOf(
    transport: Transport,
    queue: string,
  ): Promise<{ receiver: Receiver; heard: Heard }> {
    const events = new Heard();
    const worker = `worker-${crypto.randomUUID()}`;
    const receiver = await transport.receive({ queues: [queue], worker, events });
    return { receiver, heard: events };
  }

  it("declares a queue as Celery does", async () => {
    const transport = await transportOf();
    await transport.declare(["tasks"]);
    const channel = await admin.createChannel();
    // RabbitMQ refuses these where a flag or an argument is another.
    await channel.assertQueue("tasks", { durable: true });
    await channel.assertExchange("tasks", "direct", { durable: true });
    await transport.publish([taskMessage("tasks", "m1", { exchange: "tasks" })]);
    assert.deepEqual(await channel.checkQueue("tasks").then(({ messageCount }) => messageCount), 1);
    await transport.listen("celery.pidbox", () => {});
    await channel.assertExchange("celery.pidbox", "fanout", { durable: false });
    await channel.close();
  });

  it("declares queues with what its URL asks for", async () => {
    const transport = await transportOf(
      `${vhost.url}?max_priority=7&dead_letter_exchange=dlx&dead_letter_routing_key=k`,
    );
    await transport.declare(["arranged"]);
    const channel = await admin.createChannel();
    await channel.assertQueue("arranged", {
      maxPriority: 7,
      deadLetterExchange: "dlx",
      deadLetterRoutingKey: "k",
    });
    await channel.close();
  });

  it("takes a queue as it is, whoever has made it", async () => {
    const channel = await admin.createChannel();
    await channel.assertQueue("odd", {
      durable: false,
      maxLength: 1000,
      arguments: { "x-single-active-consumer": false },
    });
    await channel.close();
    const transport = await transportOf(`${vhost.url}?queue_type=quorum`);
    await transport.declare(["odd"]);
    await transport.publish(numbered("m", 3).map((id) => taskMessage("odd", id)));
    const { receiver } = await receiverOf(transport, "odd");
    const deliveries = await take(receiver, 3);
    assert.deepEqual(idsOf(deliveries), numbered("m", 3));
    await receiver.exchange(acks(deliveries), 0);
  });

  it("works where it may not declare, and says what is missing", async () => {
    const channel = await admin.createChannel();
    await channel.assertQueue("given");
    await channel.assertQueue("celeriac.dead.given");
    await channel.close();
    const user = `user-${crypto.randomUUID()}`;
    await vhost.server.addUser(user, vhost.name, { configure: "^$", write: ".*", read: ".*" });
    const transport = await transportOf(vhost.url.replace("guest:guest", `${user}:${user}`));
    await transport.declare(["given"]);
    await transport.publish([taskMessage("given", "m1"), taskMessage("given", "m2")]);
    const { receiver } = await receiverOf(transport, "given");
    const [first, second] = await take(receiver, 2);
    await receiver.exchange([
      { delivery: first, outcome: "ack" },
      { delivery: second, outcome: "dead", reason: "bad" },
    ], 0);
    assert.equal((await transport.deadLetters("given", 1))[0].reason, "bad");
    await assert.rejects(transport.declare(["missing"]), (error: Error) => {
      assert.equal(error.name, "QueueMissingError");
      return /no queue "missing".*Declare it/s.test(error.message);
    });
  });

  it("a message that no queue takes is its own call's error", async () => {
    const app = new App({ broker: vhost.url, backend: "memory:unroutable" });
    const lost = app.sendTask("t.lost", [], {}, { exchange: "amq.direct", routingKey: "nowhere" });
    const found = app.sendTask("t.found", [], {}, { queue: "found" });
    await assert.rejects(lost.published, UnroutableError);
    await found.published;
    await app.disconnect();
    const transport = await transportOf();
    assert.equal((await transport.lengths(["found"]))[0].ready, 1);
    await assert.rejects(
      transport.publish([taskMessage("found", "big", { headers: { task: "t", big: "x".repeat(70_000) } })]),
      PublishError,
    );
  });

  it("a queue that was deleted comes back for who sends and who works", async () => {
    const transport = await transportOf();
    const { receiver } = await receiverOf(transport, "gone");
    const other = await transportOf();
    await other.publish([taskMessage("gone", "m1")]);
    await receiver.exchange(acks(await take(receiver, 1)), 0);
    const arrived = receiver.arrival(AbortSignal.timeout(10_000));
    const channel = await admin.createChannel();
    await channel.deleteQueue("gone");
    await channel.close();
    await other.publish([taskMessage("gone", "m2")]);
    await arrived;
    await eventually(async () => {
      const [delivery] = await receiver.exchange([], 1);
      assert.deepEqual(idsOf([delivery]), ["m2"]);
    });
  });

  it("goes to the next of its servers when one is not there", async () => {
    const dead = `amqp://me:secret@127.0.0.1:${await freePort()}/x`;
    const transport = await transportOf(`${dead};${vhost.url}`);
    await transport.publish([taskMessage("failover", "m1")]);
    assert.ok(!transport.name.includes("secret"));
    const alone = await openTransport(dead);
    open.push(alone);
    await assert.rejects(alone.connect(), (error) => {
      assert.ok(error instanceof BrokerUnavailableError);
      assert.match(error.message, /refused the connection: is RabbitMQ running there/);
      return !error.message.includes("secret") && !error.permanent;
    });
  });

  it("speaks TLS, with a server whose certificate it trusts", async () => {
    const secure = vhost.server.secureUrl(vhost.name);
    const transport = await transportOf(secure);
    await transport.publish([taskMessage("secret", "m1")]);
    const { receiver } = await receiverOf(transport, "secret");
    assert.deepEqual(idsOf(await take(receiver, 1)), ["m1"]);
    const stranger = await openTransport(secure.replace(/\?.*/, ""));
    open.push(stranger);
    await assert.rejects(stranger.connect(), (error) => {
      assert.ok(error instanceof BrokerUnavailableError);
      return error.permanent && /not to be trusted: give its authority/.test(error.message);
    });
    await transportOf(`${secure.replace(/\?.*/, "")}?ssl_cert_reqs=CERT_NONE`);
  });

  it("says what is of no use to try again", async () => {
    const wrong: [string, RegExp][] = [
      [vhost.url.replace("guest:guest", "guest:wrong"), /wrong user name or password/],
      [vhost.url.replace(vhost.name, "nowhere"), /no such virtual host/],
    ];
    for (const [url, reason] of wrong) {
      const transport = await openTransport(url);
      open.push(transport);
      await assert.rejects(transport.connect(), (error) => {
        assert.ok(error instanceof BrokerUnavailableError);
        assert.match(error.message, reason);
        return error.permanent;
      });
    }
  });

  it("in quorum queues counts crashes, and not what was handed back", async () => {
    const url = `${vhost.url}?queue_type=quorum`;
    const publisher = await transportOf(url);
    await publisher.publish([taskMessage("counted", "m1")]);
    for (let crash = 0; crash < 3; crash++) {
      const transport = await openTransport(url, { maxDeliveries: 2 });
      const { receiver, heard } = await receiverOf(transport, "counted");
      if (crash < 3) {
        await eventually(async () => {
          const [delivery] = await receiver.exchange([], 1);
          assert.equal(headersOf(delivery).celeriac_deliveries ?? 0, crash);
          if (crash === 0) return;
          await receiver.exchange([{ delivery, outcome: "return" }], 0);
          const [again] = await receiver.exchange([], 1);
          assert.equal(headersOf(again).celeriac_deliveries, crash);
        });
      }
      assert.deepEqual(heard.deaths, []);
      // Closing with a message in hand is what a crash is to the broker.
      await transport[Symbol.asyncDispose]();
    }
    const last = await openTransport(url, { maxDeliveries: 2 });
    open.push(last);
    const { receiver, heard } = await receiverOf(last, "counted");
    await eventually(async () => {
      assert.deepEqual(await receiver.exchange([], 1), []);
      assert.equal(heard.deaths.length, 1);
    });
    assert.match((await last.deadLetters("counted", 1))[0].reason, /restored 2 times/);
  });

  it("keeps results on Redis or SQLite as well", async () => {
    const app = new App({ broker: vhost.url, backend: "memory:other" });
    await app.sendTask("t.any", [], {}, { queue: "elsewhere" }).published;
    const transport = await transportOf();
    const { receiver } = await receiverOf(transport, "elsewhere");
    assert.equal(receiver.storesResults, false);
    const [delivery] = await take(receiver, 1);
    assert.equal(delivery.replyTo, undefined);
    await app.disconnect();
  });
});
