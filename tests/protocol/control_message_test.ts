import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import {
  CONTROL_EXCHANGE,
  decodeControl,
  decodeReply,
  encodeControl,
  encodeReply,
  REPLY_EXCHANGE,
} from "../../runtime/protocol/control_message.ts";
import { encodeEnvelope } from "../../runtime/protocol/envelope.ts";
import { envelopeAround, samplesOf } from "./samples.ts";

/** An envelope as values: its body decoded, what is fresh in each left out. */
function shown(text: string): unknown {
  const { body, ...raw } = JSON.parse(text);
  delete raw.properties.delivery_tag;
  return { ...raw, body: JSON.parse(Buffer.from(body, "base64").toString()) };
}

describe("remote control", () => {
  for (const sample of samplesOf("redis_control")) {
    const [{ data }] = sample.published as { data: string }[];
    it(`reads and writes the request ${sample.name}`, () => {
      const raw = JSON.parse(data);
      const body = JSON.parse(Buffer.from(raw.body, "base64").toString());
      const request = decodeControl(data);
      assert.equal(request.method, body.method);
      assert.deepEqual(request.arguments, body.arguments);
      assert.deepEqual(request.destination, body.destination);
      assert.equal(request.ticket, body.ticket ?? null);
      assert.equal(request.clock, raw.headers.clock);
      assert.equal(request.expires, raw.headers.expires ? raw.headers.expires * 1000 : null);
      const written = shown(encodeEnvelope(encodeControl(request))) as { headers: { expires: number } };
      written.headers.expires = raw.headers.expires;
      assert.equal(JSON.stringify(written), JSON.stringify(shown(data)));
    });

    const replies = (sample.reply_commands as string[]).filter((command) => command.startsWith("LPUSH "));
    for (const command of replies) {
      it(`reads and writes the reply to ${sample.name}`, () => {
        const text = command.slice(command.indexOf("{")).replaceAll("\\\\", "\\");
        const { replies, ticket, clock } = decodeReply(text);
        const request = decodeControl(data);
        assert.equal(ticket, request.ticket);
        const [[node, reply]] = Object.entries(replies);
        assert.equal(node, "sample@host");
        const written = encodeEnvelope(encodeReply(request, node, reply, clock));
        assert.deepEqual(shown(written), shown(text));
      });
    }
  }

  it("has replies in its samples at all", () => {
    const commands = samplesOf("redis_control").flatMap((sample) => sample.reply_commands as string[]);
    assert.ok(commands.filter((command) => command.startsWith("LPUSH ")).length > 20);
    assert.equal(CONTROL_EXCHANGE, "celery.pidbox");
    assert.equal(REPLY_EXCHANGE, "reply.celery.pidbox");
  });

  it("wants no reply without a ticket", () => {
    const request = decodeControl(encodeEnvelope(encodeControl({ method: "shutdown", arguments: {} })));
    assert.deepEqual(request, {
      method: "shutdown",
      arguments: {},
      destination: null,
      pattern: null,
      matcher: null,
      ticket: null,
      replyTo: null,
      clock: 0,
      expires: null,
    });
  });

  it("refuses what is no request", () => {
    for (
      const text of [
        "",
        "{}",
        envelopeAround("x"),
        envelopeAround([]),
        envelopeAround({}),
        envelopeAround({ method: 1 }),
      ]
    ) {
      assert.throws(() => decodeControl(text), { name: "BadMessageError" });
    }
    const pickled = envelopeAround({ method: "ping" }, {}, {
      "content-type": "application/x-python-serialize",
    });
    assert.throws(() => decodeControl(pickled), { name: "RefusedContentError" });
    assert.throws(() => decodeReply(envelopeAround([])), { name: "BadMessageError" });
  });

  it("takes a request with fields missing or of other types", () => {
    const request = decodeControl(
      envelopeAround({ method: "ping", arguments: null, destination: "a@b", reply_to: {} }),
    );
    assert.deepEqual([request.arguments, request.destination, request.replyTo], [{}, ["a@b"], {
      exchange: "",
      routingKey: "",
    }]);
  });
});
