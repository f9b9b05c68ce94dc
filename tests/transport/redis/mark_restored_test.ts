/** The marks of a restored message are the same whether Lua splices them in on the server or TypeScript here. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { after, before, describe, it } from "node:test";
import { Redis } from "ioredis";
import { encodeEnvelope } from "../../../runtime/protocol/envelope.ts";
import { markRestored as markHere } from "../../../runtime/protocol/redelivery.ts";
import { markRestored } from "../../../runtime/transport/redis/mark_restored.ts";
import { taskMessage } from "../../conformance/transports.ts";
import { type RedisServer, startRedis } from "../../servers/redis.ts";

const lua = `${markRestored}
local answer = {}
for i = 2, #ARGV do
  local text, deliveries = markRestored(ARGV[i], tonumber(ARGV[1]))
  answer[2 * i - 3], answer[2 * i - 2] = text, deliveries
end
return answer`;

const envelope = encodeEnvelope(taskMessage("celery", "m1"));

const table = [
  envelope,
  markHere(envelope).text,
  "{}",
  "{ }",
  "{\n\t}",
  '  {"headers": {}}  ',
  '{"headers": {"a": 1}, "properties": {"delivery_info": {"exchange": ""}}}',
  '{"properties": {"delivery_info": {"redelivered": false}}, "headers": {"redelivered": null}}',
  '{"headers": null, "properties": {"delivery_info": null}}',
  '{"headers": [], "properties": []}',
  '{"task": "add", "id": 1, "args": [1, 2]}',
  '{"headers": {"celeriac_deliveries": 4}}',
  '{"headers": {"celeriac_deliveries":   004   , "x": 1}}',
  '{"headers": {"celeriac_deliveries": "4"}}',
  '{"headers": {"celeriac_deliveries": 1.5}}',
  '{"headers": {"celeriac_deliveries": -1}}',
  '{"headers": {"celeriac_deliveries": 999999999}}',
  '{"headers": {"celeriac_deliveries": 1234567890}}',
  '{"headers": {"celeriac_deliveries": {"a": [1, {"b": "}"}]}, "z": 1}}',
  '{"headers": {"celeriac_deliveries": 1, "celeriac_deliveries": 7}}',
  '{"headers": {"nested": {"celeriac_deliveries": 9, "redelivered": 1}}}',
  '{"a": "\\"headers\\": {", "headers": {"b": "\\\\"}}',
  '{"a": "\\\\\\\\\\"", "b": "}]{[,:", "headers": {"c": "headers"}}',
  '{"body": "headers", "headers": {"headers": {"x": 1}}, "headers": {"second": 1}}',
  '{"\\u0068eaders": {"a": 1}}',
  '{"headers":{"a":"Grüße ✓ 🥕","ключ":{"x":"\\ud83e"}},"properties":{"delivery_info":{"é":"è"}}}',
  '{"headers": {"big": 123456789012345678901234567890, "nan": NaN, "inf": -Infinity}}',
  '{"properties": {"delivery_info": {"a": {"redelivered": 1}}, "delivery_info": {}}}',
  '{"a": {"headers": {"deep": 1}}, "b": [{"headers": {}}, "properties"]}',
  '{"headers": "celeriac_deliveries", "redelivered": [1, 2], "celeriac_deliveries": 3}',
  "",
  "not json",
  "[]",
  "[{}]",
  "{",
  '{"a": ',
  '{"headers": {"a": 1}',
  '{"unended": "text',
  '{"ends in a backslash": "\\',
  "{]}",
  '{"a": 1}} trailing {"headers": {}}',
  '{"headers" {"a": 1}}',
  '{"headers": {"a": 1,}, "properties": {"delivery_info": {,}}}',
  '{"":"","headers":{"":""}}',
  `{"headers": {"long": "${"x".repeat(100_000)}"}, "body": "${"[{".repeat(5_000)}"}`,
];

/** Texts made of the parts that matter, most of them broken in some way; always the same ones. */
function* scrambled(count: number): Generator<string> {
  const parts = [
    '"headers"',
    '"properties"',
    '"delivery_info"',
    '"redelivered"',
    '"celeriac_deliveries"',
    ": ",
  ];
  parts.push(
    ":",
    ", ",
    ",",
    "{",
    "{",
    "}",
    "}",
    "[",
    "]",
    "1",
    "true",
    '"a"',
    '"\\""',
    '"\\\\"',
    '"',
    "\\",
    " ",
    "é",
  );
  let state = 42;
  const next = (limit: number) => (state = (state * 1103515245 + 12345) % 2147483648) % limit;
  for (let i = 0; i < count; i++) {
    let text = "{";
    for (let length = next(24); length >= 0; length--) text += parts[next(parts.length)];
    yield text;
    yield `${text}}}`;
  }
}

describe("the marks of a restored message", () => {
  let server: RedisServer;
  let redis: Redis;
  before(async () => {
    server = await startRedis();
    redis = new Redis(server.port);
  });
  after(async () => {
    await redis.quit();
    await server.stop();
  });

  async function compare(texts: readonly string[], by: 0 | 1 = 1): Promise<void> {
    const answer = await redis.eval(lua, 0, by, ...texts) as (string | number)[];
    for (const [index, text] of texts.entries()) {
      const here = markHere(text, by);
      assert.deepEqual({ text: answer[2 * index], deliveries: answer[2 * index + 1] }, here, `of ${text}`);
    }
  }

  it("are the same in Lua for a table of inputs", () => compare(table));

  it("are the same where nothing is counted", () => compare(table, 0));

  it("are the same once more, and once more", async () => {
    const again = table.map((text) => markHere(text).text);
    await compare(again);
    await compare(again.map((text) => markHere(text).text));
  });

  it("are the same for ten thousand scrambled texts", async () => {
    const texts = [...scrambled(5_000)];
    for (let at = 0; at < texts.length; at += 1_000) await compare(texts.slice(at, at + 1_000));
  });

  it("leave every byte of a text that is not UTF-8", async () => {
    const bytes = Uint8Array.from(
      [...'{"headers": {"a": "'].map((char) => char.charCodeAt(0)).concat(0xff, 0xc3, 0xed),
    );
    const item = Buffer.concat([bytes, Buffer.from('"}}')]);
    const [marked] = await redis.callBuffer("eval", lua, 0, 1, item) as [Buffer, number];
    const marks = Buffer.from(', "celeriac_deliveries": 1, "redelivered": true}}');
    assert.deepEqual([...marked], [...item.subarray(0, -2), ...marks]);
  });
});
