import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { encodeEnvelope, markRestored } from "../../runtime/protocol/envelope.ts";
import {
  BadMessageError,
  decodeTask,
  encodeTask,
  peekTask,
  type TaskCall,
} from "../../runtime/protocol/task_message.ts";
import { callOf } from "../../runtime/workflow/compose.ts";
import { envelopeAround, envelopeOf, envelopesOf, seededRandom } from "./samples.ts";

const P1 = "redis_messages_protocol1";
const P2 = "redis_messages_protocol2";
const NEWEST = "redis_messages_newest";
const REFUSED = new Set(["pickle", "yaml", "compression_bzip2", "compression_lzma"]);

const call: TaskCall = { task: "math.add", id: "id-1", args: [1, 2], kwargs: {}, queue: "celery" };

describe("reading Celery's messages", () => {
  for (const capture of [P1, P2, NEWEST]) {
    for (const { name, text } of envelopesOf(capture)) {
      if (REFUSED.has(name)) continue;
      it(`reads ${capture}, ${name}`, () => {
        const raw = JSON.parse(text);
        const request = decodeTask(text);
        const fields = raw.headers.task === undefined ? bodyOf(raw) : raw.headers;
        assert.equal(request.id, raw.properties.correlation_id);
        assert.equal(request.correlationId, request.id);
        assert.equal(request.replyTo, raw.properties.reply_to || null);
        assert.equal(request.priority, raw.properties.priority);
        assert.equal(request.routingKey, raw.properties.delivery_info.routing_key);
        assert.equal(request.exchange, "");
        assert.equal(request.protocol, capture === P1 ? 1 : 2);
        assert.equal(request.redelivered, false);
        assert.equal(request.deliveries, 0);
        if (fields !== undefined) {
          assert.equal(request.task, fields.task);
          assert.equal(request.retries, fields.retries);
          assert.deepEqual(request.timeLimit, fields.timelimit);
          assert.equal(request.group, fields.group);
          assert.equal(request.groupIndex, fields.group_index);
          assert.equal(request.rootId, fields.root_id ?? request.id);
          assert.equal(request.parentId, fields.parent_id ?? null);
          assert.equal(request.shadow, fields.shadow ?? null);
          assert.equal(request.ignoreResult, fields.ignore_result ?? false);
        }
        const body = bodyOf(raw);
        if (body === undefined || name === "json_types" || name === "unicode") return;
        const [args, kwargs, embed] = Array.isArray(body) ? body : [body.args, body.kwargs, body];
        assert.deepEqual(request.args, args);
        assert.deepEqual(request.kwargs, kwargs);
        for (const key of ["callbacks", "errbacks", "chain", "chord"] as const) {
          assert.deepEqual(request[key], embed[key] ?? null, key);
        }
      });

      it(`peeks into ${capture}, ${name}`, () => {
        const { id, task } = decodeTask(text);
        assert.deepEqual(peekTask(text), { id, task });
        assert.deepEqual(peekTask(markRestored(text).text), { id, task });
      });
    }
  }

  it("reads times and limits", () => {
    assert.equal(decodeTask(envelopeOf(P2, "eta")).eta, Date.UTC(2030, 0, 2, 3, 4, 5, 678));
    assert.equal(decodeTask(envelopeOf(P1, "eta")).eta, Date.UTC(2030, 0, 2, 3, 4, 5, 678));
    assert.equal(decodeTask(envelopeOf(P2, "expires_datetime")).expires, Date.UTC(2030, 0, 2, 3, 4, 5, 678));
    assert.deepEqual(decodeTask(envelopeOf(P2, "time_limits")).timeLimit, [10, 5]);
    assert.deepEqual(decodeTask(envelopeOf(P1, "time_limits")).timeLimit, [10, 5]);
  });

  it("keeps the user's headers apart from Celery's", () => {
    const { headers, shadow } = decodeTask(envelopeOf(P2, "shadow_headers"));
    assert.deepEqual(headers, { my: "header" });
    assert.equal(shadow, "alias");
    assert.deepEqual(decodeTask(envelopeOf(P2, "plain")).headers, {});
    assert.deepEqual(decodeTask(envelopeOf(P2, "compression_zlib")).headers, {});
    assert.deepEqual(decodeTask(envelopeOf(NEWEST, "headers")).headers, {
      my: { deep: [1, 2n ** 70n] },
      other: "x",
    });
  });

  it("reads stamps, and does not take those that stand as headers for the user's", () => {
    const { stamps, stampedHeaders, headers } = decodeTask(envelopeOf(NEWEST, "stamps"));
    assert.deepEqual(stamps, { customer: "c1", shard: 3 });
    assert.deepEqual(stampedHeaders, ["customer", "shard"]);
    assert.deepEqual(headers, {});
    const old = envelopeOf(NEWEST, "stamps").replace('"stamps":', '"customer": "c1", "mine": 1, "stamps":');
    assert.deepEqual(decodeTask(old).headers, { mine: 1 });
  });

  it("reads every type that Python's JSON knows", () => {
    assert.deepEqual(decodeTask(envelopeOf(NEWEST, "json_types")).args, [[
      new Date("2030-01-02T03:04:05.678Z"),
      new Date("2030-01-02T03:04:05.678Z"),
      "2030-01-02",
      "03:04:05.678901",
      "1.50",
      "00000000-0000-0000-0000-000000000007",
      new TextEncoder().encode("abc"),
      new Uint8Array([255]),
      NaN,
      Infinity,
      -Infinity,
      2n ** 70n,
      -0,
    ]]);
    assert.deepEqual(decodeTask(envelopeOf(NEWEST, "unicode")).args, ["hé", "☃", "\ud800"]);
  });

  it("reads MessagePack", () => {
    const { args } = decodeTask(envelopeOf(NEWEST, "msgpack"));
    const bytes = new Uint8Array([255]);
    assert.deepEqual(args, [1, 2n ** 60n, -(2n ** 60n), 2n ** 63n, bytes, "x", null, 1.5, { a: [1] }]);
  });

  it("reads a chain that is stored in reverse, and errbacks", () => {
    const { chain, errbacks } = decodeTask(envelopeOf(P2, "chain"));
    assert.deepEqual(chain?.map((step) => step.args), [[8], [4]]);
    assert.equal(errbacks, null);
    assert.equal(decodeTask(envelopeOf(P2, "link_error")).errbacks?.[0].task, "tasks.on_error");
    assert.equal(decodeTask(envelopeOf(P2, "chord")).chord?.task, "tasks.tsum");
  });

  for (const name of REFUSED) {
    it(`refuses ${name}, saying whose message it was`, () => {
      const capture = name === "compression_lzma" ? NEWEST : P2;
      const id = JSON.parse(envelopeOf(capture, name)).headers.id;
      assert.throws(() => decodeTask(envelopeOf(capture, name)), {
        name: "RefusedContentError",
        reason: name.startsWith("compression") ? "refused compression" : "refused content type",
        id,
        task: capture === P2 ? "tasks.add" : "t.echo",
      });
    });
  }

  it("reads what was restored", () => {
    const once = markRestored(envelopeOf(P2, "plain"));
    const { redelivered, deliveries, headers } = decodeTask(once.text);
    assert.deepEqual([redelivered, deliveries, headers], [true, 1, {}]);
    const byPython = envelopeOf(P2, "plain").replace(
      '"routing_key": "celery"',
      '"routing_key": "celery", "redelivered": true',
    );
    assert.equal(decodeTask(byPython).redelivered, true);
  });
});

/** The body, decoded without this project's code; undefined where that takes more than JSON. */
// deno-lint-ignore no-explicit-any
function bodyOf(raw: any): any {
  if (raw["content-type"] !== "application/json" || raw.headers.compression !== undefined) return undefined;
  const text = Buffer.from(raw.body, "base64").toString();
  return text.includes("NaN") ? undefined : JSON.parse(text);
}

describe("reading plain messages", () => {
  it("takes a bare one, as it is", () => {
    const request = decodeTask('{"task": "m.f", "id": 123123, "args": ["foo", 12345678901234567890]}');
    assert.equal(request.id, "123123");
    assert.equal(request.task, "m.f");
    assert.deepEqual(request.args, ["foo", 12345678901234567890n]);
    assert.deepEqual(request.kwargs, {});
    assert.equal(request.protocol, 1);
    assert.equal(request.replyTo, null);
    assert.deepEqual(peekTask('{"task": "m.f", "id": 123123}'), { id: "123123", task: "m.f" });
  });

  it("takes a bare one that was restored", () => {
    const twice = markRestored(markRestored('{"task": "m.f", "id": "x"}').text).text;
    const { redelivered, deliveries, headers } = decodeTask(twice);
    assert.deepEqual([redelivered, deliveries, headers], [true, 2, {}]);
  });

  it("takes one in an envelope, with and without base64, a content type, properties or headers", () => {
    const body = {
      task: "m.f",
      id: 7,
      args: ["é"],
      eta: "2030-01-01",
      timelimit: [3, null],
      callbacks: { task: "m.g" },
    };
    const text = JSON.stringify(body);
    for (
      const envelope of [
        envelopeAround(body),
        JSON.stringify({ body: text, "content-type": "application/json", headers: {}, properties: {} }),
        JSON.stringify({ body: text, "content-type": "application/json; charset=utf-8" }),
        JSON.stringify({ body: text, headers: null, properties: null }),
        envelopeAround(body, {}, { "content-encoding": null, "content-type": "" }),
      ]
    ) {
      const request = decodeTask(envelope);
      assert.deepEqual([request.id, request.args, request.eta, request.timeLimit], [
        "7",
        ["é"],
        Date.UTC(2030, 0),
        [3, null],
      ]);
      assert.deepEqual(request.callbacks, [callOf("m.g")]);
    }
  });

  it("takes one whose name and id stand in headers, as others write it", () => {
    const body = { args: [1], kwargs: { x: 2 }, retries: 1, callbacks: null };
    const request = decodeTask(envelopeAround(body, { task: "m.f", id: "x", retries: 2 }));
    assert.deepEqual([request.task, request.id, request.args, request.kwargs, request.retries], [
      "m.f",
      "x",
      [1],
      { x: 2 },
      2,
    ]);
  });

  it("reads other encodings of text", () => {
    const body = Buffer.from('{"task": "m.f", "id": "1", "args": ["\u00e9"]}', "latin1").toString("base64");
    assert.deepEqual(decodeTask(envelopeAround({}, {}, { body, "content-encoding": "iso-8859-1" })).args, [
      "é",
    ]);
  });

  it("takes headers that are dates or marked otherwise", () => {
    const mark = { __type__: "datetime", __value__: "2030-01-02T03:04:05+00:00" };
    const { headers } = decodeTask(envelopeAround([[], {}, {}], { task: "t", id: "i", due: mark, n: 2 }));
    assert.deepEqual(headers, { due: new Date("2030-01-02T03:04:05Z"), n: 2 });
  });

  it("gives a header named __proto__ no power", () => {
    const text = envelopeAround([[], {}, {}], { task: "t", id: "i" }).replace(
      '"id":"i"',
      '"id":"i","__proto__":{"evil":true}',
    );
    const { headers } = decodeTask(text);
    assert.deepEqual(Object.keys(headers), ["__proto__"]);
    assert.equal((headers as { evil?: boolean }).evil, undefined);
  });
});

describe("refusing bad messages", () => {
  const headers = { lang: "py", task: "tasks.add", id: "bad-1" };
  const bad: [string, string, string, boolean][] = [
    ["not JSON", "not JSON", "not JSON", false],
    ["a list", "[]", "not an envelope", false],
    ["an empty object", "{}", "not an envelope", false],
    ["no body", JSON.stringify({ headers, properties: {} }), "not an envelope", true],
    [
      "a body that is an object",
      JSON.stringify({ body: {}, headers, properties: {} }),
      "not an envelope",
      true,
    ],
    ["wrong base64", envelopeAround("", headers, { body: "%%%" }), "wrong base64", true],
    ["base64 that is cut", envelopeAround("", headers, { body: "W1sx=" }), "wrong base64", true],
    ["an empty body", envelopeAround("", headers), "body is not JSON", true],
    ["a body that is not JSON", envelopeAround("[[1, 2]", headers), "body is not JSON", true],
    ["a body that is not UTF-8", envelopeAround("", headers, { body: "Iv8i" }), "wrong base64", true],
    [
      "a body of an unknown encoding",
      envelopeAround("[]", headers, { "content-encoding": "klingon" }),
      "wrong content encoding",
      true,
    ],
    ["a body that is text", envelopeAround('"x"', headers), "body is not a task", true],
    ["an empty list", envelopeAround([], headers), "body is not a triple", true],
    ["a pair", envelopeAround([[], {}], headers), "body is not a triple", true],
    ["four items", envelopeAround([[], {}, {}, 1], headers), "body is not a triple", true],
    ["args that are an object", envelopeAround([{}, {}, {}], headers), "args is not a list", true],
    ["kwargs that are a list", envelopeAround([[], [], {}], headers), "kwargs is not an object", true],
    ["kwargs that are null", envelopeAround([[], null, {}], headers), "kwargs is not an object", true],
    ["an embed that is text", envelopeAround([[], {}, "x"], headers), "embed is not an object", true],
    ["callbacks that are none", envelopeAround([[], {}, { callbacks: [1] }], headers), "bad callbacks", true],
    ["no task", envelopeAround([[], {}, {}], { id: "bad-1" }), "missing task", false],
    [
      "a task that is a number",
      envelopeAround([[], {}, {}], { id: "bad-1", task: 5 }),
      "missing task",
      false,
    ],
    ["no id", envelopeAround([[], {}, {}], { task: "t" }), "missing id", false],
    ["a bare one without an id", '{"task": "t"}', "missing id", false],
    ["a plain one without a task", envelopeAround({ id: 1, args: [] }), "missing task", false],
    ["a bad eta", envelopeAround([[], {}, {}], { ...headers, eta: "soon" }), "bad eta", true],
    ["an eta that is a number", envelopeAround([[], {}, {}], { ...headers, eta: 5 }), "bad eta", true],
    [
      "a bad expiry",
      envelopeAround([[], {}, {}], { ...headers, expires: "2030-13-01" }),
      "bad expires",
      true,
    ],
    [
      "a bad time limit",
      envelopeAround([[], {}, {}], { ...headers, timelimit: ["1"] }),
      "bad timelimit",
      true,
    ],
    [
      "an unknown mark",
      envelopeAround('[[{"__type__": "x", "__value__": 1}], {}, {}]', headers),
      "body is not JSON",
      true,
    ],
    [
      "an unknown compression",
      envelopeAround([[], {}, {}], { ...headers, compression: "rar" }),
      "refused compression",
      true,
    ],
    [
      "a wrong compression",
      envelopeAround([[], {}, {}], { ...headers, compression: "application/zstd" }),
      "wrong compression",
      true,
    ],
    [
      "an unknown content type",
      envelopeAround([[], {}, {}], headers, { "content-type": "image/png" }),
      "refused content type",
      true,
    ],
  ];
  for (const [what, text, reason, known] of bad) {
    it(`refuses ${what}: ${reason}`, () => {
      assert.throws(() => decodeTask(text), (error) => {
        assert.ok(error instanceof BadMessageError, String(error));
        assert.equal(error.reason, reason);
        assert.ok(error.message.startsWith(reason));
        if (known) assert.deepEqual([error.id, error.task], ["bad-1", "tasks.add"]);
        return true;
      });
      if (known) assert.deepEqual(peekTask(text), { id: "bad-1", task: "tasks.add" });
    });
  }

  it("peeks into nothing that names no task", () => {
    for (const text of ["", "{", "[]", '{"headers": {"lang": "py", "task": "t"', envelopeAround({ id: 1 })]) {
      assert.equal(peekTask(text), undefined);
    }
  });

  it("peeks past escapes by parsing", () => {
    const text = envelopeAround([[], {}, {}], { lang: "py", task: 'a"b', id: "x\\y" });
    assert.deepEqual(peekTask(text.replace('"headers":', '"headers": ')), { task: 'a"b', id: "x\\y" });
  });

  it("refuses a body beyond its bound, in base64, as text, bare, and decompressed", () => {
    const limits = { maxBodyBytes: 1000 };
    const big = [["x".repeat(2000)], {}, {}];
    const error = { name: "BadMessageError", reason: "too large" };
    assert.throws(() => decodeTask(envelopeAround(big, headers), limits), error);
    assert.throws(() => decodeTask(JSON.stringify({ body: JSON.stringify(big), headers }), limits), error);
    assert.throws(() => decodeTask(JSON.stringify({ task: "t", id: "1", args: big }), limits), error);
    for (const compression of ["zlib", "zstd", "brotli"]) {
      const text = encodeEnvelope(encodeTask({ ...call, args: ["x".repeat(2000)], compression }));
      assert.throws(() => decodeTask(text, limits), { ...error, id: "id-1", task: "math.add" });
      assert.equal((decodeTask(text).args[0] as string).length, 2000);
    }
  });

  it("refuses more headers than its bound, nested ones too", () => {
    const error = { name: "BadMessageError", reason: "too many headers", id: "bad-1" };
    const many = Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`h${i}`, i]));
    const body = [[], {}, {}];
    assert.throws(() => decodeTask(envelopeAround(body, { ...headers, ...many })), error);
    assert.throws(() => decodeTask(envelopeAround(body, { ...headers, nested: [[many]] })), error);
    assert.throws(() => decodeTask(envelopeAround(body, { ...headers, stamps: many })), error);
    assert.throws(
      () => decodeTask(envelopeAround(body, { ...headers, a: 1, b: 2 }), { maxHeaders: 4 }),
      error,
    );
    assert.deepEqual(decodeTask(envelopeAround(body, { ...headers, a: 1 }), { maxHeaders: 4 }).headers, {
      a: 1,
    });
  });

  it("reads only what is accepted", () => {
    const json = envelopeOf(P2, "plain");
    const msgpack = envelopeOf(P2, "retry_policy_serializer_msgpack");
    assert.deepEqual(decodeTask(json, { accept: ["json"] }).args, [1, 2]);
    assert.deepEqual(decodeTask(msgpack, { accept: ["application/x-msgpack"] }).args, [1, 2]);
    assert.throws(() => decodeTask(msgpack, { accept: ["json"] }), { name: "RefusedContentError" });
    assert.throws(() => decodeTask('{"task": "t", "id": "1"}', { accept: ["msgpack"] }), {
      name: "RefusedContentError",
    });
  });

  const all = [P1, P2, NEWEST].flatMap((capture) => envelopesOf(capture));

  it("refuses every sample cut at any place", () => {
    for (const { name, text } of all) {
      for (let end = 0; end < text.length; end += 1 + (end * 7) % 13) {
        assert.throws(() => decodeTask(text.slice(0, end)), BadMessageError, `${name} at ${end}`);
      }
    }
  });

  it("refuses every sample with a body cut at any place", () => {
    for (const { name, text } of all) {
      const raw = JSON.parse(text);
      const body = Buffer.from(raw.body, "base64");
      for (let end = 0; end < body.length; end += 1 + (end * 7) % 5) {
        const cut = text.replace(raw.body, body.subarray(0, end).toString("base64"));
        assert.throws(
          () => decodeTask(cut),
          (error) => error instanceof BadMessageError,
          `${name} at ${end}`,
        );
      }
    }
  });

  it("reads or refuses every sample with some bytes changed, and throws nothing else", () => {
    const random = seededRandom(7);
    let refused = 0;
    const rounds = 60;
    for (const { name, text } of all) {
      const raw = JSON.parse(text);
      for (let round = 0; round < rounds; round++) {
        const inBody = round % 2 === 0;
        const bytes = inBody ? Buffer.from(raw.body, "base64") : Buffer.from(text);
        for (let i = 1 + Math.floor(random() * 3); i > 0; i--) {
          bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
        }
        const changed = inBody ? text.replace(raw.body, bytes.toString("base64")) : bytes.toString();
        try {
          decodeTask(changed);
        } catch (error) {
          refused++;
          assert.ok(error instanceof BadMessageError, `${name}: ${(error as Error).stack}\n${changed}`);
        }
      }
    }
    assert.ok(refused > all.length && refused < all.length * rounds);
  });
});

describe("writing a call", () => {
  it("writes protocol 2 with Celery's headers in Celery's order", () => {
    const ours = encodeTask({ ...call, task: "t.echo", args: [1, 2], origin: "gen1@host", replyTo: "reply" });
    const raw = JSON.parse(envelopeOf(NEWEST, "plain"));
    assert.deepEqual(Object.keys(ours.headers), Object.keys(raw.headers));
    assert.deepEqual(ours.headers, {
      ...raw.headers,
      lang: "js",
      id: "id-1",
      root_id: "id-1",
      origin: "gen1@host",
    });
    assert.equal(
      ours.body,
      '[[1,2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]',
    );
    assert.deepEqual(JSON.parse(ours.body as string), bodyOf(raw));
    assert.deepEqual(
      { ...ours, headers: null, body: null },
      {
        exchange: "",
        routingKey: "celery",
        priority: 0,
        headers: null,
        contentType: "application/json",
        contentEncoding: "utf-8",
        body: null,
        correlationId: "id-1",
        replyTo: "reply",
      },
    );
  });

  const full: TaskCall = {
    task: "math.add",
    id: "id-2",
    args: [1, "two", 3n ** 50n, new Date(1795240610934), NaN, { deep: [undefined] }],
    kwargs: { x: "☃", y: null },
    eta: 1795240610934,
    expires: 1795240620000,
    retries: 3,
    timeLimit: [10, null],
    priority: 6,
    queue: "other",
    replyTo: "reply",
    shadow: "alias",
    ignoreResult: true,
    rootId: "root",
    parentId: "parent",
    group: "group",
    groupIndex: 0,
    headers: { mine: { a: [1] } },
    stamps: { customer: "c1" },
    stampedHeaders: ["customer"],
    callbacks: [callOf("m.cb")],
    errbacks: [callOf("m.eb")],
    chain: [callOf("m.next")],
    chord: callOf("m.body"),
    origin: "gen1@host",
    replacedTaskNesting: 2,
  };

  for (const extra of [{}, { compression: "zlib" }, { compression: "zstd" }, { compression: "brotli" }]) {
    it(`writes all that is read again ${extra.compression ?? ""}`, () => {
      const request = decodeTask(encodeEnvelope(encodeTask({ ...full, ...extra })));
      const { queue, ...rest } = full;
      assert.deepEqual(request, {
        ...rest,
        args: [1, "two", 3n ** 50n, new Date(1795240610934), NaN, { deep: [null] }],
        correlationId: "id-2",
        redelivered: false,
        deliveries: 0,
        routingKey: queue,
        exchange: "",
        protocol: 2,
      });
    });
  }

  it("writes MessagePack, compressed too", () => {
    for (const compression of [undefined, "zlib"]) {
      const message = encodeTask({ ...call, args: [1, 2n ** 60n, "é"], serializer: "msgpack", compression });
      assert.equal(message.contentType, "application/x-msgpack");
      assert.equal(message.contentEncoding, "binary");
      assert.deepEqual(decodeTask(encodeEnvelope(message)).args, [1, 2n ** 60n, "é"]);
    }
  });

  it("sends to an exchange where one is named", () => {
    const { exchange, routingKey } = encodeTask({ ...call, exchange: "topic", routingKey: "a.b" });
    assert.deepEqual([exchange, routingKey], ["topic", "a.b"]);
  });

  it("shows arguments as Python does, cut at 1024", () => {
    const show = (args: unknown[], kwargs: Record<string, unknown> = {}) => {
      const { argsrepr, kwargsrepr } = encodeTask({ ...call, args, kwargs }).headers;
      return [argsrepr, kwargsrepr];
    };
    assert.deepEqual(show([]), ["()", "{}"]);
    assert.deepEqual(show([1]), ["(1,)", "{}"]);
    assert.deepEqual(show([true, null, 1.5, "it's", [1], { a: undefined }]), [
      "(True, None, 1.5, 'it\\'s', [1], {'a': None})",
      "{}",
    ]);
    assert.deepEqual(show([[1, [2, [3]]], { k: { a: { b: 1 } } }], { x: -Infinity }), [
      "([1, [2, [...]]], {'k': {'a': {...}}})",
      "{'x': -inf}",
    ]);
    for (const args of [["x".repeat(5000)], Array(5000).fill("word"), [Array(5000).fill([1, 2])]]) {
      const [text] = show(args);
      assert.ok((text as string).length <= 1024 && (text as string).length > 1000);
    }
    assert.equal(encodeTask({ ...call, args: ["secret"], argsrepr: "(...)" }).headers.argsrepr, "(...)");
  });

  it("refuses arguments by their path", () => {
    assert.throws(() => encodeTask({ ...call, args: [1, { f() {} }] }), {
      name: "UnserializableError",
      path: "args[1].f",
    });
    assert.throws(() => encodeTask({ ...call, kwargs: { f: Symbol() } }), {
      name: "UnserializableError",
      path: "kwargs.f",
    });
  });

  it("refuses an unknown serializer, an unknown compression, and a time out of range", () => {
    assert.throws(() => encodeTask({ ...call, serializer: "pickle" }), /pickle can run code/);
    assert.throws(() => encodeTask({ ...call, compression: "bzip2" }), /use zlib, zstd, brotli/);
    assert.throws(() => encodeTask({ ...call, eta: 8.64e15 }), { name: "RangeError" });
  });
});
