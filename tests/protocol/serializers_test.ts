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
      new Date(1795240610934),
    ];
    assert.deepEqual(msgpack.decode(msgpack.encode(value) as Uint8Array), value);
    assert.deepEqual([...msgpack.decode(msgpack.encode(Buffer.from([1, 2])) as Uint8Array) as Uint8Array], [
      1,
      2,
    ]);
  });

  it("refuses integers of more than 64 bits and functions, by their path", () => {
    assert.throws(() => msgpack.encode({ a: [2n ** 64n] }), { name: "UnserializableError", path: "$.a[0]" });
    assert.throws(() => msgpack.encode({ f() {} }), { name: "UnserializableError", path: "$.f" });
  });

  it("refuses text, truncations, and trailing bytes", () => {
    assert.throws(() => msgpack.decode("text"), { name: "BadMessageError" });
    const bytes = msgpack.encode({
      a: [1, 2n ** 60n, "text", new Uint8Array(300), 1.5, new Date(1.5e12)],
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

  it("refuses to nest without end", () => {
    const deep = Buffer.alloc(1_000_000, 0x91);
    deep[deep.length - 1] = 0xc0;
    assert.throws(() => msgpack.decode(deep), { name: "BadMessageError" });
  });
});
