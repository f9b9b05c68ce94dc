import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { BadMessageError } from "../../runtime/protocol/bad_message.ts";
import { RefusedContentError, serializerFor, serializerNamed } from "../../runtime/protocol/serializers.ts";

describe("choosing a serializer", () => {
  it("finds it by its name and by its content type", () => {
    assert.equal(serializerNamed("json").contentType, "application/json");
    assert.equal(serializerFor("application/x-msgpack").name, "msgpack");
    assert.equal(serializerFor("Application/JSON; charset=utf-8").name, "json");
  });

  for (const type of ["application/x-python-serialize", "application/x-yaml"]) {
    it(`never reads ${type}, whatever is accepted`, () => {
      assert.throws(() => serializerFor(type, [type, "pickle", "yaml"]), (error: Error) => {
        assert.ok(error instanceof RefusedContentError);
        assert.ok(error instanceof BadMessageError);
        assert.equal(error.reason, "refused content type");
        assert.match(error.message, /can run code.*use json or msgpack/);
        return error.message.includes(type);
      });
    });
  }

  it("refuses what is not accepted, by name or by content type", () => {
    assert.equal(serializerFor("application/json", ["json"]).name, "json");
    assert.equal(serializerFor("application/json", ["application/json"]).name, "json");
    assert.throws(() => serializerFor("application/x-msgpack", ["json"]), /add "msgpack" to acceptContent/);
    assert.throws(() => serializerFor("application/json", []), { name: "RefusedContentError" });
  });

  it("says what there is for an unknown name", () => {
    assert.throws(() => serializerNamed("xml"), /"xml" is not known: use json or msgpack/);
    assert.throws(() => serializerNamed("pickle"), /pickle can run code/);
    assert.throws(() => serializerFor("text/plain"), /"text\/plain" is not known/);
  });
});

describe("json", () => {
  const json = serializerNamed("json");

  it("reads text and bytes", () => {
    assert.deepEqual(json.decode("[1, NaN]"), [1, NaN]);
    assert.deepEqual(json.decode(Buffer.from('["é"]')), ["é"]);
  });

  it("refuses bytes that are no UTF-8, and text that is no JSON", () => {
    assert.throws(() => json.decode(new Uint8Array([0x22, 0xff, 0x22])), { reason: "body is not JSON" });
    assert.throws(() => json.decode("[1"), { reason: "body is not JSON" });
  });
});

describe("msgpack", () => {
  const msgpack = serializerNamed("msgpack");
  const hex = (value: unknown) => Buffer.from(msgpack.encode(value) as Uint8Array).toString("hex");

  it("writes the bytes that Python writes", () => {
    assert.equal(hex([1, -1, 1.5, "x", null, true]), "9601ffcb3ff8000000000000a178c0c3");
    assert.equal(hex(2n ** 60n), "cf1000000000000000");
    assert.equal(hex(-(2n ** 63n)), "d38000000000000000");
    assert.equal(hex(2n ** 64n - 1n), "cfffffffffffffffff");
    assert.equal(hex(new Uint8Array([0xff])), "c401ff");
    assert.equal(hex({ a: undefined }), "81a161c0");
  });

  it("reads what it wrote", () => {
    const value = [
      2 ** 40,
      -(2 ** 40),
      2n ** 63n,
      -(2n ** 60n),
      0.1,
      "é☃",
      [[]],
      { a: { b: [null, false] } },
    ];
    assert.deepEqual(msgpack.decode(msgpack.encode(value) as Uint8Array), value);
    assert.deepEqual([...msgpack.decode(msgpack.encode(Buffer.from([1, 2])) as Uint8Array) as Uint8Array], [
      1,
      2,
    ]);
  });

  it("refuses what it has no form for, by its path", () => {
    assert.throws(() => msgpack.encode({ a: [2n ** 64n] }), { name: "UnserializableError", path: "$.a[0]" });
    assert.throws(() => msgpack.encode(-(2n ** 63n) - 1n), { name: "UnserializableError", path: "$" });
    assert.throws(() => msgpack.encode([{ b: "\ud800" }]), { name: "UnserializableError", path: "$[0].b" });
    assert.throws(() => msgpack.encode({ "\udc00": 1 }), { name: "UnserializableError" });
    assert.throws(() => msgpack.encode([{ at: new Date() }]), {
      name: "UnserializableError",
      path: "$[0].at",
    });
    assert.throws(() => msgpack.encode({ f() {} }), { name: "UnserializableError", path: "$.f" });
  });

  it("refuses text, truncations, and trailing bytes", () => {
    assert.throws(() => msgpack.decode("text"), { name: "BadMessageError" });
    const bytes = msgpack.encode({
      a: [1, 2n ** 60n, "text", new Uint8Array(300), 1.5],
      b: "x".repeat(70000),
    }) as Uint8Array;
    for (let end = 0; end < bytes.length; end += end < 400 ? 1 : 997) {
      assert.throws(
        () => msgpack.decode(bytes.subarray(0, end)),
        { name: "BadMessageError" },
        `${end} bytes`,
      );
    }
    assert.throws(() => msgpack.decode(Buffer.concat([bytes, Buffer.from([0])])), {
      name: "BadMessageError",
    });
  });

  it("refuses a few bytes that announce billions of items, without allocating them", () => {
    const list = Buffer.from("ddffffffff".repeat(1000), "hex");
    assert.throws(() => msgpack.decode(list), { name: "BadMessageError", message: /ends within a value/ });
    const map = Buffer.from("dfffffffff", "hex");
    assert.throws(() => msgpack.decode(map), { name: "BadMessageError" });
  });

  it("refuses what begins no value, extensions it does not know, and keys that are neither text nor number", () => {
    for (
      const bad of ["c1", "d40501", "c70305000000", "d4ff00", "81c001", "81c201", "8190c0", "d7ff00000000"]
    ) {
      assert.throws(() => msgpack.decode(Buffer.from(bad, "hex")), { name: "BadMessageError" }, bad);
    }
    assert.deepEqual(msgpack.decode(Buffer.from("8105a178", "hex")), { 5: "x" });
  });

  it("keeps a byte order mark that begins a text", () => {
    assert.equal(msgpack.decode(msgpack.encode("\ufeffab") as Uint8Array), "\ufeffab");
  });

  it("keeps bytes in memory of their own", () => {
    const bytes = msgpack.decode(Buffer.from("c403010203", "hex")) as Uint8Array;
    assert.equal(bytes.constructor, Uint8Array);
    assert.equal(bytes.buffer.byteLength, 3);
  });

  it("refuses a key named __proto__ when it reads", () => {
    const bytes = msgpack.encode(JSON.parse('{"__proto__": {"evil": true}}')) as Uint8Array;
    assert.throws(() => msgpack.decode(bytes), { name: "BadMessageError" });
  });

  it("writes what is longer than a length of two bytes can say", () => {
    const list = Array(70_000).fill(7);
    const map = Object.fromEntries(list.map((_, i) => [`k${i}`, i]));
    for (const long of ["é".repeat(40_000), list, map]) {
      const bytes = msgpack.encode(long) as Uint8Array;
      assert.equal(JSON.stringify(msgpack.decode(bytes)), JSON.stringify(long));
    }
    const bytes = new Uint8Array(70_000).fill(9);
    assert.deepEqual(msgpack.decode(msgpack.encode(bytes) as Uint8Array), bytes);
  });

  it("reads 32-bit floats and numbers in wider forms than they need", () => {
    const wide = "98ca3fc00000cc01cd0001ce00000001cf0000000000000001d0ffd1ffffd2ffffffff";
    assert.deepEqual(msgpack.decode(Buffer.from(wide, "hex")), [1.5, 1, 1, 1, 1, -1, -1, -1]);
    assert.equal(msgpack.decode(Buffer.from("d3ffffffffffffffff", "hex")), -1);
    assert.deepEqual(msgpack.decode(Buffer.from("d6ff00000001", "hex")), new Date(1000));
    assert.deepEqual(msgpack.decode(Buffer.from("d7ff7735940000000001", "hex")), new Date(1500));
  });

  it("refuses to nest without end", () => {
    const deep = Buffer.alloc(1_000_000, 0x91);
    deep[deep.length - 1] = 0xc0;
    assert.throws(() => msgpack.decode(deep), { name: "BadMessageError" });
  });
});
