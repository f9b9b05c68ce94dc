/** What each option of a call becomes on RabbitMQ, beside what Celery 5.2 was seen to send for the same call. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { type ChannelModel, connect } from "amqplib";
import { App, type CallOptions } from "../../mod.ts";
import { systemClock } from "../../runtime/clock.ts";
import { decompress } from "../../runtime/protocol/compression.ts";
import { serializerFor } from "../../runtime/protocol/serializers.ts";
import { startVhost, type TestVhost } from "../servers/rabbitmq.ts";

interface Seen {
  readonly queue: string;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string | { readonly base64: string };
}

interface Call {
  readonly task?: string;
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  readonly options?: CallOptions;
}

/** Of the captured countdown and expiry. */
const HOUR = 3_600_000;

/** The same calls as those of the samples, in TypeScript. */
const calls: Readonly<Record<string, Call>> = {
  plain: {},
  kwargs: { args: [], kwargs: { x: 1, y: 2 } },
  unicode: { args: ["hé", "☃"] },
  countdown: { options: { countdown: 3600 } },
  eta: { options: { eta: new Date("2030-01-02T03:04:05.678Z") } },
  expires_seconds: { options: { expires: 3600 } },
  expires_datetime: { options: { expires: new Date("2030-01-02T03:04:05.678Z") } },
  priority_0: { options: { priority: 0 } },
  priority_6: { options: { priority: 6 } },
  other_queue: { options: { queue: "other" } },
  time_limits: { options: { timeLimit: 10, softTimeLimit: 5 } },
  shadow_headers: { options: { shadow: "alias", headers: { my: "header" } } },
  ignore_result: { task: "tasks.ignored", args: [], options: { ignoreResult: true } },
  link: { options: { link: { task: "tasks.add", args: [10] } } },
  link_error: { options: { linkError: { task: "tasks.on_error" } } },
  retry_policy_serializer_msgpack: { options: { serializer: "msgpack" } },
  compression_zlib: { options: { compression: "zlib" } },
  compression_gzip: { options: { compression: "gzip" } },
  reply_to_group_id: { options: { taskId: "fixed-id" } },
};

/** Celery 5.2 did not write these yet; newer ones do. */
const NEWER = { replaced_task_nesting: 0, stamped_headers: null, stamps: {} };

describe("a call on RabbitMQ", () => {
  const samples = new Map<string, Seen>();
  let vhost: TestVhost;
  let connection: ChannelModel;
  /** Calls are made an hour before the times of the sample at hand. */
  let now = Date.now();
  let app: App;

  before(async () => {
    const file = new URL("../samples/amqp_messages_protocol2.json", import.meta.url);
    for (const { name, messages } of JSON.parse(await readFile(file, "utf8")).samples) {
      samples.set(name, messages[0]);
    }
    vhost = await startVhost();
    connection = await connect(vhost.url);
    app = new App({ broker: vhost.url, clock: { ...systemClock, now: () => now } });
  });

  after(async () => {
    await app?.disconnect();
    await connection?.close();
    await vhost?.close();
  });

  async function sent(call: Call, queue = "celery"): Promise<Seen> {
    const { task = "tasks.add", args = [1, 2], kwargs, options } = call;
    const result = app.sendTask(task, args, kwargs, options);
    // Nobody waits for it: what is looked at is the message.
    await result.published;
    const channel = await connection.createChannel();
    const message = await channel.get(queue, { noAck: true });
    await channel.close();
    assert.ok(message, `nothing in ${queue}`);
    const { headers = {}, ...all } = message.properties;
    const properties = Object.fromEntries(
      Object.entries({
        content_type: all.contentType,
        content_encoding: all.contentEncoding,
        delivery_mode: all.deliveryMode,
        priority: all.priority,
        correlation_id: all.correlationId,
        reply_to: all.replyTo,
        expiration: all.expiration,
      }).filter(([, value]) => value !== undefined),
    );
    const binary = headers.compression !== undefined || all.contentEncoding === "binary";
    const body = binary ? { base64: message.content.toString("base64") } : message.content.toString();
    return { queue: message.fields.routingKey, properties, headers, body };
  }

  for (const [name, call] of Object.entries(calls)) {
    it(`is as Celery's: ${name}`, async () => {
      const theirs = samples.get(name)!;
      const until = theirs.headers.eta ?? theirs.headers.expires;
      now = typeof until === "string" ? Math.floor(Date.parse(until)) - HOUR : Date.now();
      const ours = await sent(call, theirs.queue);
      assert.equal(ours.queue, theirs.queue);

      const { id, root_id: rootId, origin, lang, eta, expires, ...headers } = ours.headers;
      if (call.options?.taskId !== undefined) assert.equal(id, call.options.taskId);
      assert.equal(rootId, id);
      assert.equal(ours.properties.correlation_id, id);
      assert.equal(lang, "js");
      assert.match(String(origin), /^gen\d+@./);
      // Ours know milliseconds.
      const cut = (time: unknown) => typeof time === "string" ? Math.floor(Date.parse(time)) : time;
      assert.deepEqual([cut(eta), cut(expires)], [cut(theirs.headers.eta), cut(theirs.headers.expires)]);
      const { id: _id, root_id: _root, origin: _origin, lang: _lang, eta: _eta, expires: _expires, ...rest } =
        theirs.headers;
      assert.deepEqual(headers, { ...rest, ...NEWER });

      const { correlation_id: _ours, reply_to: replyTo, ...properties } = ours.properties;
      // An expired message stays until a worker tells its caller so: RabbitMQ would drop it without a word.
      const { correlation_id: _theirs, reply_to: _reply, expiration: _expiration, ...common } =
        theirs.properties;
      assert.match(String(replyTo), /^[0-9a-f-]{36}$/);
      assert.deepEqual(properties, { priority: 0, ...common });
      assert.deepEqual(bodyOf(ours), bodyOf(theirs));
    });
  }

  it("says where it stands: its group, its tree, its tries, and what monitors see", async () => {
    const options = {
      groupId: "group-1",
      groupIndex: 3,
      rootId: "root-1",
      parentId: "parent-1",
      retries: 2,
      argsrepr: "(...)",
      kwargsrepr: "{...}",
    };
    const { headers } = await sent({ options });
    assert.equal(headers.group, "group-1");
    assert.equal(headers.group_index, 3);
    assert.equal(headers.root_id, "root-1");
    assert.equal(headers.parent_id, "parent-1");
    assert.equal(headers.retries, 2);
    assert.equal(headers.argsrepr, "(...)");
    assert.equal(headers.kwargsrepr, "{...}");
  });

  it("goes by its own exchange and routing key, and replies to whom it says", async () => {
    const channel = await connection.createChannel();
    await channel.assertExchange("orders", "direct");
    await channel.assertQueue("tea");
    await channel.bindQueue("tea", "orders", "buy.tea");
    await channel.close();
    const { queue, properties } = await sent(
      { options: { exchange: "orders", routingKey: "buy.tea", replyTo: "answers" } },
      "tea",
    );
    assert.equal(queue, "buy.tea");
    assert.equal(properties.reply_to, "answers");
  });
});

/** A body as values, whatever it is packed in. */
function bodyOf({ body, headers, properties }: Seen): unknown {
  let bytes: Uint8Array = typeof body === "string" ? Buffer.from(body) : Buffer.from(body.base64, "base64");
  if (typeof headers.compression === "string") bytes = decompress(headers.compression, bytes, 1_000_000);
  return serializerFor(String(properties.content_type)).decode(bytes);
}
