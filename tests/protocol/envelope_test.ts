import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import {
  decodeEnvelope,
  deliveriesOf,
  encodeEnvelope,
  markRestored,
} from "../../runtime/protocol/envelope.ts";
import type { WireMessage } from "../../runtime/protocol/wire_message.ts";
import { envelopeOf, envelopesOf, samplesOf } from "./samples.ts";

const CAPTURES = ["redis_messages_protocol1", "redis_messages_protocol2", "redis_messages_newest"];

interface AmqpMessage {
  readonly exchange: string;
  readonly routing_key: string;
  readonly properties: Record<string, unknown>;
  readonly headers: Record<string, unknown>;
  readonly body: string | { base64: string };
}

function wireMessageOf(message: AmqpMessage): WireMessage {
  const { body, properties } = message;
  return {
    exchange: message.exchange,
    routingKey: message.routing_key,
    priority: properties.priority as number ?? 0,
    headers: message.headers,
    contentType: properties.content_type as string,
    contentEncoding: properties.content_encoding as string,
    body: typeof body === "string" ? body : Buffer.from(body.base64, "base64"),
    correlationId: properties.correlation_id as string | undefined,
    replyTo: properties.reply_to as string | undefined,
  };
}

describe("envelopes", () => {
  for (const capture of CAPTURES) {
    for (const { name, text } of envelopesOf(capture)) {
      it(`of ${capture}, ${name}, are written as kombu writes them`, () => {
        const raw = JSON.parse(text);
        const { headers, properties, contentType, contentEncoding, body } = decodeEnvelope(text);
        const written = JSON.parse(encodeEnvelope({
          exchange: raw.properties.delivery_info.exchange,
          routingKey: raw.properties.delivery_info.routing_key,
          priority: raw.properties.priority,
          headers,
          contentType,
          contentEncoding,
          body,
          correlationId: properties.correlation_id as string,
          replyTo: properties.reply_to as string,
        }));
        delete raw.properties.expiration;
        assert.notEqual(written.properties.delivery_tag, raw.properties.delivery_tag);
        written.properties.delivery_tag = raw.properties.delivery_tag;
        assert.equal(JSON.stringify(written), JSON.stringify(raw));
      });
    }
  }

  for (const capture of ["amqp_messages_protocol1", "amqp_messages_protocol2"]) {
    for (const sample of samplesOf(capture)) {
      it(`carry ${capture}, ${sample.name}, unchanged`, () => {
        for (const message of sample.messages as AmqpMessage[]) {
          const envelope = decodeEnvelope(encodeEnvelope(wireMessageOf(message)));
          const body = typeof message.body === "string"
            ? Buffer.from(message.body)
            : Buffer.from(message.body.base64, "base64");
          assert.deepEqual(envelope.headers, message.headers);
          assert.deepEqual(Buffer.from(envelope.body as Uint8Array), body);
          assert.equal(envelope.contentType, message.properties.content_type);
          assert.equal(envelope.contentEncoding, message.properties.content_encoding);
          assert.equal(envelope.properties.correlation_id, message.properties.correlation_id);
          assert.equal(envelope.properties.priority, message.properties.priority ?? 0);
          assert.deepEqual(envelope.properties.delivery_info, {
            exchange: message.exchange,
            routing_key: message.routing_key,
          });
        }
      });
    }
  }

  const message: WireMessage = {
    exchange: 'an "exchange"',
    routingKey: "kéy\\",
    priority: 7,
    headers: { text: '"\n☃\ud800', big: 2n ** 70n, nan: NaN, nothing: undefined },
    contentType: 'text/"plain"',
    contentEncoding: "utf-8",
    body: "é☃😀",
    correlationId: 'a"b',
    deliveryMode: 1,
  };

  it("take text of any kind", () => {
    const envelope = decodeEnvelope(encodeEnvelope(message));
    assert.deepEqual(envelope.headers, { ...message.headers, nothing: null });
    assert.equal(Buffer.from(envelope.body as Uint8Array).toString(), message.body);
    assert.equal(envelope.contentType, message.contentType);
    assert.equal(envelope.properties.correlation_id, message.correlationId);
    assert.equal("reply_to" in envelope.properties, false);
    assert.equal(envelope.properties.delivery_mode, 1);
    assert.deepEqual(envelope.properties.delivery_info, {
      exchange: message.exchange,
      routing_key: message.routingKey,
    });
  });

  it("have a delivery tag each", () => {
    const tags = Array.from(
      { length: 1000 },
      () => decodeEnvelope(encodeEnvelope(message)).properties.delivery_tag,
    );
    assert.equal(new Set(tags).size, 1000);
  });

  it("keep routes apart, however many there are", () => {
    for (const [exchange, routingKey] of [["", "a"], ["a", ""], ["", "a\0b"], ["a", "b"]]) {
      const { properties } = decodeEnvelope(encodeEnvelope({ ...message, exchange, routingKey }));
      assert.deepEqual(properties.delivery_info, { exchange, routing_key: routingKey });
    }
    for (let i = 0; i < 3000; i++) {
      const text = encodeEnvelope({ ...message, routingKey: `q${i}` });
      assert.ok(text.includes(`"routing_key": "q${i}"`));
    }
  });

  it("are refused when they are none", () => {
    for (
      const [text, reason] of [
        ["", "not JSON"],
        ["{", "not JSON"],
        ["[]", "not an envelope"],
        ["1", "not an envelope"],
        ["null", "not an envelope"],
        ["{}", "not an envelope"],
        ['{"body": 1}', "not an envelope"],
        ['{"body": "%", "properties": {"body_encoding": "base64"}}', "wrong base64"],
      ]
    ) {
      assert.throws(() => decodeEnvelope(text), { name: "BadMessageError", reason }, text);
    }
  });

  it("give a body that stands there as text as it stands", () => {
    assert.equal(decodeEnvelope('{"body": "[1]", "properties": {}}').body, "[1]");
  });
});

describe("marks of a restore", () => {
  for (const capture of CAPTURES) {
    it(`change nothing else in ${capture}`, () => {
      for (const { name, text } of envelopesOf(capture)) {
        const once = markRestored(text);
        assert.equal(once.deliveries, 1);
        const twice = markRestored(once.text);
        assert.equal(twice.deliveries, 2);
        assert.equal(deliveriesOf(text), 0);
        assert.equal(deliveriesOf(twice.text), 2);
        const expected = JSON.parse(text);
        expected.headers.celeriac_deliveries = 2;
        expected.headers.redelivered = true;
        expected.properties.delivery_info.redelivered = true;
        assert.deepEqual(JSON.parse(twice.text), expected, name);
        const without = twice.text
          .replace(/(, )?"celeriac_deliveries": 2, "redelivered": true/, "")
          .replace(', "redelivered": true', "");
        assert.equal(without, text, name);
      }
    });
  }

  it("are set on what a Python worker has restored", () => {
    const text = envelopeOf("redis_messages_newest", "plain")
      .replace('"stamps": {}', '"stamps": {}, "redelivered": true')
      .replace('"routing_key": "celery"', '"routing_key": "celery", "redelivered": true');
    const marked = markRestored(text).text;
    assert.equal(
      marked,
      text.replace('"redelivered": true}', '"redelivered": true, "celeriac_deliveries": 1}'),
    );
  });

  const cases: [string, string, string][] = [
    [
      "on a bare message, at its top level",
      '{"task": "m.f", "id": 123123, "args": [{"headers": {"a": 1}}]}',
      '{"task": "m.f", "id": 123123, "args": [{"headers": {"a": 1}}], "celeriac_deliveries": 1, "redelivered": true}',
    ],
    ["on an empty object", "{}", '{"celeriac_deliveries": 1, "redelivered": true}'],
    [
      "in headers that are empty but for space",
      '{"headers": { }}',
      '{"headers": { "celeriac_deliveries": 1, "redelivered": true}}',
    ],
    [
      "at the top, when headers is no object",
      '{"headers": null}',
      '{"headers": null, "celeriac_deliveries": 1, "redelivered": true}',
    ],
    [
      "not in what only looks like a key",
      '{"body": "\\"headers\\": {", "x": "headers", "headers":{"a":"}\\\\"}}',
      '{"body": "\\"headers\\": {", "x": "headers", "headers":{"a":"}\\\\", "celeriac_deliveries": 1, "redelivered": true}}',
    ],
    [
      "with the count counted up, whatever stands around it",
      '{"headers":{"celeriac_deliveries" : 41 ,"redelivered":false}, "properties": {"delivery_info": {}}}',
      '{"headers":{"celeriac_deliveries" : 42 ,"redelivered":true}, "properties": {"delivery_info": {"redelivered": true}}}',
    ],
    [
      "with a count begun anew when it is none",
      '{"headers": {"celeriac_deliveries": "many"}}',
      '{"headers": {"celeriac_deliveries": 1, "redelivered": true}}',
    ],
    [
      "around numbers and words that JavaScript would change",
      '{"headers": {"n": 12345678901234567890, "x": NaN}, "properties": {"delivery_info": null}}',
      '{"headers": {"n": 12345678901234567890, "x": NaN, "celeriac_deliveries": 1, "redelivered": true}, "properties": {"delivery_info": null}}',
    ],
    ["after leading space", ' \n{"a": 1}', ' \n{"a": 1, "celeriac_deliveries": 1, "redelivered": true}'],
  ];
  for (const [what, text, expected] of cases) {
    it(`are set ${what}`, () => assert.equal(markRestored(text).text, expected));
  }

  it("are not set on what is no object, or a part of one", () => {
    const whole = envelopeOf("redis_messages_protocol2", "plain");
    const none = [
      "",
      " ",
      "[]",
      "null",
      "1",
      '"{}"',
      "x{}",
      ...Array.from({ length: whole.length }, (_, end) => whole.slice(0, end)),
    ];
    for (const text of none) assert.deepEqual(markRestored(text), { text, deliveries: 0 });
  });
});
